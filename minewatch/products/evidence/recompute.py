"""Recomputes the confirmation of an alert from its evidence alone, and compares the result with what is on file."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.ndimage import maximum_filter, minimum_filter
from shapely.geometry import shape

from minewatch.alerts.record import Alert
from minewatch.archive.item import Observation
from minewatch.areas.grid import COARSE_PIXEL, PIXEL, Grid, Window
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.text import show
from minewatch.core.units import NODATA, SCALE, to_date
from minewatch.detection.rules import RULES_VERSION
from minewatch.products.evidence.evidence_files import LARGEST_TEXT, EvidenceFiles
from minewatch.products.evidence.image_file import parse_evidence_image
from minewatch.products.evidence.look_table import render_series
from minewatch.products.evidence.manifest import AFTER, ALERT, BEFORE, METHOD, OBSERVATIONS, PIPELINE, SERIES
from minewatch.products.evidence.method import Method, parse_grid, parse_method, replay_chip
from minewatch.products.evidence.observation_chips import KeptLooks
from minewatch.settings.pipeline import render_pipeline

SIDE = 128
"""Pixels on each side of the tiles that are recomputed one after the other, so that a large chip needs little memory."""

LARGEST_SIDE = 4096
"""Pixels on each side of a chip of unknown origin."""

DATES = ("last_normal", "first_seen", "confirmed_on")
VALUES = ("status", "area_ha", "lat", "lon", "ndvi_change", "bsi_change", "looks")
"""What an alert on file says of itself, and its looks say again."""

ROUNDED = 1e-6
"""Difference of numbers that were rounded and written as text."""

SAME_NDVI, SAME_SHARE = 0.02, 0.02
"""NDVI by which a pixel of an image may differ from the coded look, and the share of pixels that may differ by more."""

LARGEST_SERIES = 2**26
"""Bytes of a table of looks of unknown origin."""

SAME_AREA = 1e-4
"""Share of an outline by which two outlines may differ and be the same: positions are rounded to the centimetre."""

FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError, ValidationError, RecursionError)
"""Errors of documents that minewatch did not write."""


def recompute(files: EvidenceFiles, manifest: Mapping[str, Any]) -> list[str]:
    """Recompute a confirmation; return a line on each thing that differs from what is on file.

    Raises EvidenceError where the files do not allow it.
    """
    if manifest["format"] == 1 or METHOD not in files.names:
        raise EvidenceError(f"it has no {METHOD}, as evidence of format 1 has none")
    try:
        document = json.loads(files.read(METHOD, LARGEST_TEXT))
        (feature,) = json.loads(files.read(ALERT, LARGEST_TEXT))["features"]
        method = parse_method(document)
        if max(method.grid.shape) > LARGEST_SIDE:
            raise EvidenceError(f"its chip is larger than {LARGEST_SIDE} pixels; nothing is recomputed")
        looks = KeptLooks(files, method.grid)
        alerts = replay_chip(method, looks.load, SIDE)
        differing = [
            *compare_alert(feature, alerts, method.until),
            *_compare_statements(feature, manifest, document, method, looks.observations),
            *_compare_texts(files, feature, method, looks),
            *compare_images(files, manifest, method, looks),
        ]
    except EvidenceError:
        raise
    except MinewatchError as error:
        raise EvidenceError(describe(error)) from error
    except (*FAULTS, shapely.errors.ShapelyError) as error:
        raise EvidenceError(f"its {METHOD} or {ALERT} is none that can be recomputed ({type(error).__name__})") from error
    if differing and (rules := document.get("rules_version")) != RULES_VERSION:
        differing.append(f"recomputed: it was confirmed under rules {show(str(rules))}, these are {RULES_VERSION}")
    return differing


def compare_alert(feature: Mapping[str, Any], alerts: Sequence[Alert], until: dt.date) -> list[str]:
    """Return in what an alert on file differs from the alerts that its looks give; nothing where it is among them.

    A part that split off later was part of another alert then: it must lie in one that was confirmed.
    """
    stated, outline = feature["properties"], shape(feature["geometry"])
    found = next((alert for alert in alerts if alert.alert_id == stated["alert_id"]), None)
    if found is None and stated.get("split_from"):
        holds = any(a.confirmed_on and _share_outside(outline, a) <= SAME_AREA for a in alerts)
        return [] if holds else ["recomputed: no confirmed alert has its ground"]
    if found is None:
        return [f"recomputed: its looks up to {until} give no such alert"]
    faults = [
        f"recomputed: {name} is {getattr(found, name)}, and {show(str(stated[name]), 30)} on file"
        for name in (*DATES, *VALUES)
        if name in stated and not _is_same(getattr(found, name), stated[name])
    ]
    if outline.symmetric_difference(found.geometry).area > SAME_AREA * outline.area:
        faults.append(f"recomputed: {found.area_ha:.2f} ha have another outline than the {stated['area_ha']:.2f} ha on file")
    return faults


def _is_same(found: Any, stated: Any) -> bool:
    if isinstance(found, int | float) and isinstance(stated, int | float):
        return abs(found - stated) <= ROUNDED
    return str(found) == str(stated)


def _compare_statements(
    feature: Mapping[str, Any],
    manifest: Mapping[str, Any],
    document: Mapping[str, Any],
    method: Method,
    observations: Sequence[Observation],
) -> list[str]:
    """Return where alert, manifest and method state other dates, looks or settings than each other."""
    stated = feature["properties"]
    looks = sorted(str(look["item"]) for look in manifest["looks"])
    images = {name: str(image["acquired"])[:10] for name, image in manifest["images"].items()}
    pairs = {
        "the bracket in the manifest": ({name: manifest["bracket"][name] for name in DATES}, {n: stated[n] for n in DATES}),
        "the as-of date": (stated["as_of"], method.until.isoformat()),
        "the list of looks in the manifest": (looks, sorted(Path(str(o.item)).stem for o in observations)),
        "the looks in method.json": ([str(to_date(day)) for day in method.days.tolist()], _list_dates(observations)),
        "the settings' digest": (document["pipeline"]["digest"], method.pipeline.digest),
        "the day of the image after": (images[AFTER], stated["confirmed_on"]),
        "the day of the image before": (images.get(BEFORE, stated["last_normal"]), stated["last_normal"]),
    }
    return [f"recomputed: {what} does not agree with the rest" for what, (one, other) in pairs.items() if one != other]


def _list_dates(observations: Sequence[Observation]) -> list[str]:
    return sorted({observation.time.date().isoformat() for observation in observations})


def _compare_texts(files: EvidenceFiles, feature: Mapping[str, Any], method: Method, looks: KeptLooks) -> list[str]:
    """Return which of the tables and settings are not those that looks and method give."""
    made = {
        SERIES: render_series(feature["properties"] | {"geometry": shape(feature["geometry"])}, method, looks),
        PIPELINE: render_pipeline(method.pipeline).encode(),
    }
    return [
        f"recomputed: {name} is not the one on file" for name, data in made.items() if files.read(name, LARGEST_SERIES) != data
    ]


def compare_images(files: EvidenceFiles, manifest: Mapping[str, Any], method: Method, looks: KeptLooks) -> list[str]:
    """Return which images show another NDVI than the look of the same item that the confirmation rests on."""
    faults = []
    for name, stated in manifest["images"].items():
        number = next((n for n, o in enumerate(looks.observations) if Path(str(o.item)).stem == stated["item"]), None)
        if number is None:
            faults.append(f"recomputed: {name}.tif is of a look that is not among its observations")
            continue
        seen = looks.load(method.grid.window).layer("ndvi")[number]
        image = parse_evidence_image(files.read(f"{name}.tif"), files.read(f"{name}-scl.tif"))
        window = Window(*map(int, manifest["grid"]["window"]))
        whole, reach = parse_grid(manifest["grid"]), _find_reach(looks.observations[number])
        lowest, highest = (_place(edge, method.grid, whole, window) for edge in _bound(image.compute_ndvi(), reach))
        known = (seen != NODATA) & np.isfinite(lowest)
        is_other = (seen / SCALE < lowest - SAME_NDVI) | (seen / SCALE > highest + SAME_NDVI)
        if known.any() and is_other[known].mean() > SAME_SHARE:
            faults.append(f"recomputed: {name}.tif shows another NDVI than the look of that day in {OBSERVATIONS}")
    return faults


def _find_reach(look: Observation) -> int:
    """Return how far away the pixels lie from which a pixel of a look may have been made; images are sharp, looks may not be.

    A pixel of an overview, or one between four of them, has an NDVI between those of the pixels that it covers.
    """
    return 0 if look.read_pixel <= PIXEL else round(1.5 * COARSE_PIXEL / PIXEL)


def _bound(values: NDArray[np.float64], reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest number within ``reach`` pixels of each; NaN where none of these is finite."""
    size = 2 * reach + 1
    is_known = np.isfinite(values)
    lowest = minimum_filter(np.where(is_known, values, np.inf), size, mode="nearest")
    highest = maximum_filter(np.where(is_known, values, -np.inf), size, mode="nearest")
    return np.where(np.isfinite(lowest), lowest, np.nan), np.where(np.isfinite(highest), highest, np.nan)


def _place(values: NDArray[np.float64], chip: Grid, whole: Grid, window: Window) -> NDArray[np.float64]:
    """Return the values of an image, which is a window of the area's grid, on a chip; NaN where it does not reach."""
    column, row = ~whole.transform_of(window) @ (chip.transform.c, chip.transform.f)
    rows, columns = (np.arange(size) + round(start) for size, start in zip(chip.shape, (row, column), strict=True))
    inner = [(at >= 0) & (at < size) for at, size in zip((rows, columns), values.shape, strict=True)]
    placed = np.full(chip.shape, np.nan)
    placed[np.ix_(*inner)] = values[np.ix_(rows[inner[0]], columns[inner[1]])]
    return placed


def _share_outside(outline: Any, alert: Alert) -> float:
    return float(outline.difference(alert.geometry).area / outline.area)
