"""Chooses what lies below the alerts of a field package: the latest image of their areas, and the two looks of each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.core.units import SCALE
from minewatch.core.workspace import Workspace
from minewatch.products.field.mbtiles import JPEG, PNG, Render, TileLayer
from minewatch.products.images.quicklook import TIMES, MapImage, list_maps
from minewatch.products.images.stretch import DARKEST, apply_stretch
from minewatch.products.qgis.layer_styles import BRIGHTEST
from minewatch.products.qgis.project_layers import BANDS_KNOWN
from minewatch.products.report.on_file import find_all_evidence
from minewatch.products.report.report_facts import AFTER, BEFORE
from minewatch.products.report.texts import Texts
from minewatch.raster.damage import find_damage
from minewatch.raster.web_tiles import Tile, TileSource, list_tiles

FINEST = 14
"""Zoom at which pixels of 10 m are shown as they are, near the equator."""

COARSEST = 8
"""Least zoom: a tile is 150 km wide there."""

AROUND = 0.01
"""Degrees around an alert that the image shows at full resolution: a kilometre."""

IMAGE = "image"
"""Name of the file of tiles with the latest image; those of the looks are called as the looks."""


@dataclass(frozen=True)
class Background:
    """The pictures of a package."""

    layers: Sequence[TileLayer]
    """From the top."""

    tiles: frozenset[Tile]
    """Which are written, where a layer has anything to show there."""

    notes: Sequence[str]
    """Lines on what is missing, and why."""


def gather_background(workspace: Workspace, rows: Sequence[Mapping[str, Any]], texts: Texts, credit: str) -> Background:
    """Return what is at hand below some alerts, with the credit that it needs; nothing is fetched."""
    notes: list[str] = []
    layers = [*_gather_looks(workspace, rows, texts, notes), *_gather_images(workspace, rows, texts, notes)]
    layers = [replace(layer, credit=credit) for layer in layers]
    return Background(layers, choose_tiles([row["geometry"] for row in rows]), notes)


def choose_tiles(outlines: Sequence[BaseGeometry]) -> frozenset[Tile]:
    """Return the tiles around some outlines at the finest zoom, and all those that they lie in at coarser ones."""
    boxes = [shapely.bounds(outline.buffer(AROUND)).tolist() for outline in outlines]
    found = {tile for box in boxes for tile in list_tiles(box, FINEST)}
    tiles = set(found)
    for _ in range(FINEST - COARSEST):
        found = {tile.parent for tile in found}
        tiles |= found
    return frozenset(tiles)


def _gather_images(workspace: Workspace, rows: Sequence[Mapping[str, Any]], texts: Texts, notes: list[str]) -> list[TileLayer]:
    images: list[MapImage] = []
    for area in sorted({str(row["aoi"]) for row in rows}):
        latest = [image for image in list_maps(workspace.images / f"{area}.png") if image.when == TIMES[-1]]
        faults = [fault for image in latest if (fault := find_damage(image.path))]
        images += latest if not faults else []
        if faults or not latest:
            why = faults[0] if faults else "there is none yet"
            notes.append(f"left out: the image of {area}: {why}; the next scan that reads its scenes writes it")
    if not images:
        return []
    days = [dt.date.fromisoformat(image.date) for image in images]
    title = texts.text("image", dates=" · ".join(dict.fromkeys(map(texts.short_date, sorted(days)))))
    sources = {TileSource(image.path, (1, 2, 3)): _take for image in images}
    return [TileLayer(IMAGE, title, sources, JPEG)]


def _gather_looks(workspace: Workspace, rows: Sequence[Mapping[str, Any]], texts: Texts, notes: list[str]) -> list[TileLayer]:
    """Return the looks of the alerts with evidence: as reports and the QGIS project show them."""
    evidence = find_all_evidence(workspace, [str(row["alert_id"]) for row in rows])
    layers = []
    for name in (AFTER, BEFORE):
        sources: dict[TileSource, Render] = {}
        for kept in evidence.values():
            path = workspace.evidence / kept.name / f"{name}.tif"
            if name not in kept.dates or kept.format < BANDS_KNOWN or not path.is_file():
                continue
            if fault := find_damage(path):
                notes.append(f"left out: a look: {fault}")
                continue
            sources[TileSource(path, (3, 2, 1))] = partial(_brighten, BRIGHTEST)
        if sources:
            layers.append(TileLayer(name, texts.text(name), sources, PNG))
    return layers


def _take(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(values, np.uint8)


def _brighten(white: float, values: NDArray[np.generic]) -> NDArray[np.uint8]:
    return apply_stretch(np.asarray(values, np.float32) / np.float32(SCALE), DARKEST, white)
