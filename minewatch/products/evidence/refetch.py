"""Reads the pixels of evidence from the source again, and compares them with those in the evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pyproj.exceptions import ProjError
from shapely.errors import ShapelyError
from shapely.geometry import box

from minewatch.areas.area_plan import Query
from minewatch.areas.grid import Grid, Window, lonlat_from, reproject
from minewatch.core.errors import EvidenceError, MinewatchError
from minewatch.core.text import show
from minewatch.core.url_policy import hide_secrets
from minewatch.products.evidence.evidence_files import EvidenceFiles
from minewatch.products.evidence.image_file import compare_evidence_images, parse_evidence_image, read_evidence_image
from minewatch.products.evidence.image_writer import find_datatake
from minewatch.products.evidence.known_sources import Sources
from minewatch.products.evidence.method import parse_grid
from minewatch.raster.read import open_datatake
from minewatch.settings.providers import find_provider
from minewatch.sources.scene import Datatake
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import Source, open_source

MANIFEST_FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, ProjError, ShapelyError)
"""What the libraries raise for manifests that minewatch did not write."""


def compare_with_source(
    files: EvidenceFiles, manifest: Mapping[str, Any], sources: Sources, *, is_own: bool = False
) -> list[str]:
    """Return a line on each band whose pixels differ from the source's; ``is_own``: the user's workspace made this evidence.

    Raises EvidenceError where an image cannot be compared: the source is unknown, does not answer, or no longer lists
    the scenes.
    """
    try:
        source = open_source(_choose_source(manifest["source"], sources, is_own=is_own), sources.providers)
        return [fault for name in manifest["images"] for fault in _compare_image(files, manifest, name, source)]
    except EvidenceError:
        raise
    except MinewatchError as error:
        raise EvidenceError(str(error)) from error
    except MANIFEST_FAULTS as error:
        raise EvidenceError(f"the manifest does not say where the pixels came from ({type(error).__name__})") from error


def _choose_source(stated: Mapping[str, Any], sources: Sources, *, is_own: bool) -> str:
    """Return the source to read from; evidence of unknown origin may only name one that the user knows.

    It could name a file of this machine, a host of the user's network, or a server that serves what fits a forgery.
    """
    name, root = str(stated["name"]), str(stated["root"])
    if sources.given:
        return sources.given
    if name in sources.providers:
        return name
    if root in sources.roots:
        return sources.roots[root]
    if is_own or find_provider(root, sources.providers):
        return root
    raise EvidenceError(
        f"its manifest names the source {show(hide_secrets(root))}, which is not known here; "
        "name one that you trust with --source, or the workspace that knows it with -w"
    )


def _compare_image(files: EvidenceFiles, manifest: Mapping[str, Any], name: str, source: Source) -> list[str]:
    stated, place = manifest["images"][name], manifest["grid"]
    kept = parse_evidence_image(files.read(f"{name}.tif"), files.read(f"{name}-scl.tif"))
    grid, window = parse_grid(place), Window(*map(int, place["window"]))
    if window.shape != kept.classes.shape or min(window.row, window.column) < 0:
        return [f"{name}.tif: has another extent than its manifest says"]
    datatake = _find_again(source, grid, window, stated)
    with open_datatake(datatake, grid) as reader:
        reader.prefetch(["scl", *kept.bands], [window])
        return [
            f"{name}.tif, {fault}" for fault in compare_evidence_images(kept, read_evidence_image(reader, kept.bands, window))
        ]


def _find_again(source: Source, grid: Grid, window: Window, stated: Mapping[str, Any]) -> Datatake:
    """Return the scenes of an image, searched in the source on its day."""
    time = dt.datetime.fromisoformat(stated["acquired"])
    corner = grid.transform_of(window)
    frame = box(corner.c, corner.f + window.height * corner.e, corner.c + window.width * corner.a, corner.f)
    outline = reproject(frame, lonlat_from(grid.epsg))
    found = find_scenes(source, Query(outline, time.date(), time.date()))
    return find_datatake(stated["key"], time, stated["sources"], found.scenes, source.name)
