"""The table of looks in evidence: what was seen and expected, look by look, in the pixels that decided and in the alert."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from minewatch.alerts.explain.alert_pixels import AlertPixels, find_pixels, find_surroundings, trace_stack
from minewatch.alerts.explain.look_writer import LookColumns, LookWriter
from minewatch.alerts.explain.record import describe_outcome
from minewatch.archive.item import Observation
from minewatch.archive.stack import Stack
from minewatch.areas.grid import PIXEL, Window, lonlat_from
from minewatch.core.units import to_day
from minewatch.products.evidence.method import Method

ALERT = "alert"
"""In the column ``pixel``: the row has the medians over the alert's clear pixels."""

COLUMNS: Mapping[str, str] = {
    "date": "acquisition, UTC",
    "pixel": "'alert', or column/row of a deciding pixel in the files of observations/, from 0",
    "lat": "degrees, centre of the pixel",
    "lon": "degrees, centre of the pixel",
    "outcome": "of the pixel's look",
    "not_clear": "why the pixel does not show; empty where it does",
    "is_normal": "1 = the expected vegetation was there; whether that shows the ground unchanged depends on is_in_leaf",
    "is_in_leaf": "1 = nearly the year's most vegetation is expected: only such a look shows that a thinned stand was whole",
    "ndvi": "as seen; for the alert the median of its clear pixels",
    "expected_ndvi": "of the pixel's baseline, with the shift of the scene",
    "low": "lower edge of the band: an NDVI above it does not stand out",
    "high": "upper edge of the band",
    "bsi": "bare soil index as seen; for the alert the median of its clear pixels",
    "expected_bsi": "of the pixel's baseline, with the shift of the scene",
    "loss": "share of the vegetation lost, as seen",
    "clean_loss": "the same with haze taken out",
    "soil_gain": "bare soil index above any that the season gives",
    "shows_soil": "1 = soil shows where dense vegetation was expected",
    "charred": "1 = char or thin canopy shows",
    "haze": "blue above its baseline, reflectance",
    "scene_shift": "median NDVI residual of the scene's stable ground",
    "clear_pixels": "clear pixels of the alert",
    "confirmed_pixels": "pixels of the alert that are confirmed after this look",
    "scenes": "ids of the source items, separated by spaces",
}
"""Column to its meaning; empty cells say that there is no such value."""

FLAGS = ("is_normal", "is_in_leaf", "shows_soil", "charred")
"""Columns of a pixel's look with 0 or 1."""

NUMBERS = (
    *("ndvi", "expected_ndvi", "low", "high", "bsi", "expected_bsi"),
    *("loss", "clean_loss", "soil_gain", "haze", "scene_shift"),
)
"""Columns of a pixel's look with a number."""


class Looks(Protocol):
    """The looks of a chip, in the archive or in evidence."""

    observations: list[Observation]
    """In order of acquisition."""

    def load(self, window: Window) -> Stack:
        """Return the looks in a window of the chip."""


def render_series(alert: Mapping[str, Any], method: Method, looks: Looks) -> bytes:
    """Return the table of looks of an alert, given as its columns and ``geometry``."""
    window, members = find_pixels(alert, method.grid)
    stack = looks.load(find_surroundings(method.area, window))
    traced = trace_stack(stack, method.area, method.scenes, window, members)
    core = max(1, round(method.pipeline.alerts.core_area_ha * 10_000 / PIXEL**2))
    return render_look_table(traced, looks, method, core)


def render_look_table(traced: AlertPixels, looks: Looks, method: Method, most: int) -> bytes:
    """Return the table as CSV: for each look a row of the alert, and one of each of the ``most`` pixels that decided.

    ``traced`` are the alert's pixels on the chip.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    writer = LookWriter(looks.observations, traced, method.pipeline.mask.clear_classes)
    pixels = choose_deciding(traced, method, most)
    fitted = writer.fit_baselines([writer.find_number(pixel) for pixel in pixels])
    looks_of_pixels = [writer.write_columns(pixel, bases) for pixel, bases in zip(pixels, fitted, strict=True)]
    places = _place_pixels(traced, method, pixels)
    described = [_describe_pixel(*place, looks) for place, looks in zip(places, looks_of_pixels, strict=True)]
    for of_look in zip(*(_describe_alert(looks) for looks in looks_of_pixels[:1]), *described, strict=True):
        rows.writerows(of_look)
    return text.getvalue().encode()


def choose_deciding(traced: AlertPixels, method: Method, most: int) -> list[int]:
    """Return the pixels that confirmed the alert, by their numbers in the traced window: the first that were confirmed."""
    episodes = traced.tracked.episodes
    confirmed = episodes[(episodes["confirmed_on"] > 0) & (episodes["confirmed_on"] <= to_day(method.until))]
    order = np.lexsort((confirmed["row"], confirmed["confirmed_on"]))
    first = list(dict.fromkeys(confirmed["row"][order].tolist()))[:most]
    return [int(pixel) for pixel in np.flatnonzero(traced.tile.inside)[first]]


def _place_pixels(traced: AlertPixels, method: Method, pixels: Sequence[int]) -> list[tuple[str, float, float]]:
    """Return what the columns ``pixel``, ``lat`` and ``lon`` say of pixels of the traced window."""
    window = traced.tile.window
    rows, columns = np.divmod(np.array(pixels, np.intp), window.width)
    rows, columns = rows + window.row, columns + window.column
    transform = method.grid.transform
    xs, ys = transform.c + (columns + 0.5) * transform.a, transform.f + (rows + 0.5) * transform.e
    lons, lats = lonlat_from(method.grid.epsg).transform(xs, ys)
    names = [f"{column}/{row}" for column, row in zip(columns.tolist(), rows.tolist(), strict=True)]
    return list(zip(names, lats.tolist(), lons.tolist(), strict=True))


def _describe_pixel(pixel: str, lat: float, lon: float, looks: LookColumns) -> list[tuple[Any, ...]]:
    """Return the rows of a pixel."""
    count = len(looks.date)
    cells: dict[str, Sequence[Any]] = {
        "date": looks.date,
        "pixel": [pixel] * count,
        "lat": [f"{lat:.6f}"] * count,
        "lon": [f"{lon:.6f}"] * count,
        "outcome": [
            *map(
                describe_outcome,
                *(looks.outcome, looks.why_not_clear, looks.is_normal, looks.is_in_leaf, looks.shows_soil, looks.charred),
            )
        ],
        "not_clear": looks.why_not_clear,
        **{name: [*map(int, getattr(looks, name))] for name in FLAGS},
        **{name: _round(getattr(looks, name)) for name in NUMBERS},
    }
    return _lay_out(cells, count)


def _describe_alert(looks: LookColumns) -> list[tuple[Any, ...]]:
    """Return the rows of the alert."""
    count = len(looks.date)
    cells = {
        "date": looks.date,
        "pixel": [ALERT] * count,
        "ndvi": _round(looks.area_ndvi),
        "bsi": _round(looks.area_bsi),
        "clear_pixels": looks.clear_pixels,
        "confirmed_pixels": looks.confirmed_pixels,
        "scenes": [" ".join(ids) for ids in looks.scenes],
    }
    return _lay_out(cells, count)


def _lay_out(cells: Mapping[str, Sequence[Any]], count: int) -> list[tuple[Any, ...]]:
    """Return rows in the order of COLUMNS."""
    return list(zip(*(cells.get(name, [""] * count) for name in COLUMNS), strict=True))


def _round(values: Sequence[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.4f}" for value in values]
