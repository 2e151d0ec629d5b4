"""Reads the pixels of evidence from the source again and compares them with what was kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry import box

from minewatch.catalog import find_scenes
from minewatch.errors import EvidenceError, MinewatchError
from minewatch.evidence.bundle import Bundle
from minewatch.evidence.chip import compare_chips, parse_chip, read_chip
from minewatch.evidence.folder import find_take
from minewatch.evidence.manifest import IMAGES
from minewatch.grid import Grid, Window, reproject
from minewatch.provider import Provider
from minewatch.read import open_datatake
from minewatch.scene import Datatake
from minewatch.source import Query, Source, open_source


def compare_with_source(bundle: Bundle, manifest: Mapping[str, Any], providers: Mapping[str, Provider]) -> list[str]:
    """Name each image whose pixels the source gives otherwise today.

    Raises EvidenceError where an image cannot be compared: the source does not answer, or lists the scenes no more.
    """
    try:
        stated = manifest["source"]
        source = open_source(stated["name"] if stated["name"] in providers else stated["root"], providers)
        return [fault for name in IMAGES for fault in _compare_image(bundle, manifest, name, source)]
    except EvidenceError:
        raise
    except MinewatchError as error:
        raise EvidenceError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"the manifest does not say where the pixels came from ({type(error).__name__})") from error


def _compare_image(bundle: Bundle, manifest: Mapping[str, Any], name: str, source: Source) -> list[str]:
    stated, place = manifest["images"][name], manifest["grid"]
    kept = parse_chip(bundle.read(f"{name}.tif"), bundle.read(f"{name}-scl.tif"))
    grid, window = _make_grid(place), Window(*map(int, place["window"]))
    take = _find_again(source, grid, window, stated)
    with open_datatake(take, grid) as reader:
        reader.expect(["scl", *kept.bands], [window])
        return [f"{name}.tif, {fault}" for fault in compare_chips(kept, read_chip(reader, kept.bands, window))]


def _make_grid(place: Mapping[str, Any]) -> Grid:
    """Lay the area's grid again: the same pixels come out only of the same grid."""
    height, width = map(int, place["shape"])
    geobox = GeoBox((height, width), Affine(*map(float, place["transform"])), f"EPSG:{int(place['epsg'])}")
    bounds = geobox.boundingbox
    return Grid(geobox, box(bounds.left, bounds.bottom, bounds.right, bounds.top))


def _find_again(source: Source, grid: Grid, window: Window, stated: Mapping[str, Any]) -> Datatake:
    """Search the source for the scenes of an image, on its day."""
    time = dt.datetime.fromisoformat(stated["acquired"])
    corner = grid.transform_of(window)
    frame = box(corner.c, corner.f + window.height * corner.e, corner.c + window.width * corner.a, corner.f)
    outline = reproject(frame, Transformer.from_crs(grid.crs, 4326, always_xy=True))
    found = find_scenes(source, Query(outline, time.date(), time.date()))
    return find_take(stated["key"], time, stated["sources"], found.scenes, source.name)
