"""The table of looks in evidence: what was seen and expected, look by look, in the pixels that decided and in the alert."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from minewatch.alerts.explain.alert_pixels import AlertPixels, find_pixels, find_surroundings, trace_stack
from minewatch.alerts.explain.look_writer import LookWriter
from minewatch.alerts.explain.record import ExplainedLook
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
    pixels = [_describe_pixel(writer, method, pixel) for pixel in choose_deciding(traced, method, most)]
    for described in zip(*(explained for _, explained in pixels), strict=True):
        rows.writerow(_describe_alert(described[0]))
        rows.writerows(_describe_look(place, look) for (place, _), look in zip(pixels, described, strict=True))
    return text.getvalue().encode()


def choose_deciding(traced: AlertPixels, method: Method, most: int) -> list[int]:
    """Return the pixels that confirmed the alert, by their numbers in the traced window: the first that were confirmed."""
    episodes = traced.tracked.episodes
    confirmed = episodes[(episodes["confirmed_on"] > 0) & (episodes["confirmed_on"] <= to_day(method.until))]
    order = np.lexsort((confirmed["row"], confirmed["confirmed_on"]))
    first = list(dict.fromkeys(confirmed["row"][order].tolist()))[:most]
    return [int(pixel) for pixel in np.flatnonzero(traced.tile.inside)[first]]


def _describe_pixel(writer: LookWriter, method: Method, pixel: int) -> tuple[tuple[str, str, str], tuple[ExplainedLook, ...]]:
    """Return what the columns ``pixel``, ``lat`` and ``lon`` say of a pixel, and its looks."""
    tile = writer.traced.tile
    row, column = tile.window.row + pixel // tile.window.width, tile.window.column + pixel % tile.window.width
    x, y = method.grid.transform @ (column + 0.5, row + 0.5)
    lon, lat = lonlat_from(method.grid.crs).transform(x, y)
    explained = writer.write(pixel, writer.fit_baselines(writer.find_number(pixel)))
    return (f"{column}/{row}", f"{lat:.6f}", f"{lon:.6f}"), explained


def _describe_alert(look: ExplainedLook) -> list[Any]:
    cells = {
        "date": look.date,
        "pixel": ALERT,
        "ndvi": _round(look.area_ndvi),
        "bsi": _round(look.area_bsi),
        "clear_pixels": look.clear_pixels,
        "confirmed_pixels": look.confirmed_pixels,
        "scenes": " ".join(look.scenes),
    }
    return [cells.get(name, "") for name in COLUMNS]


def _describe_look(place: tuple[str, str, str], look: ExplainedLook) -> tuple[Any, ...]:
    """Return the cells of a pixel's look in the order of COLUMNS; the last three are empty."""
    return (
        *(look.date, *place, look.text, look.why_not_clear, int(look.is_normal), int(look.is_in_leaf)),
        *(_round(look.ndvi), _round(look.expected_ndvi), _round(look.low), _round(look.high)),
        *(_round(look.bsi), _round(look.expected_bsi), _round(look.loss), _round(look.clean_loss), _round(look.soil_gain)),
        *(int(look.shows_soil), int(look.charred), _round(look.haze), _round(look.scene_shift), "", "", ""),
    )


def _round(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
