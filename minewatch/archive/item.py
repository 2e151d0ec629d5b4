"""Observations as STAC items: read back as the newest version of each key."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Grid
from minewatch.core.errors import ArchiveError
from minewatch.core.files import AnyPath, list_names, read_files
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.text import render_json
from minewatch.core.units import to_day
from minewatch.settings.credits import SENTINEL_TERMS, UNSTATED, DataTerms, parse_terms
from minewatch.settings.scl import CIRRUS, CLEAR_CLASSES, CLOUD, NO_DATA

UNREAD_CLASSES = (NO_DATA, CLOUD, CIRRUS)
"""SCL classes under which indices may be left unread."""

UNREAD_MARGIN_M = 200
"""... where they fill a block and this much around it."""

ARCHIVE_FORMAT = "4"
"""Change it, to "5" and so on, when an observation of the same scenes would be written otherwise: other layers, ranges, formulas,
blocks or unread blocks.  Observations of formats that are not among READABLE_FORMATS are fetched anew; descriptions may change
without that."""

READABLE_FORMATS = (ARCHIVE_FORMAT, "c988a2f3e09018aa")
"""Formats whose pixels say the same, so that they are used side by side and nothing is fetched again.  The second, a digest that
earlier versions wrote, stores codes where today's stores differences; each raster says which.  Those without BROKEN_PIXELS are
from before numbers that are no reflectance counted as no data."""

ITEM_CHECKSUM = "minewatch:checksum"
"""SHA-256 of an item's own bytes, with zeros where it stands itself; items of earlier versions have none."""

BROKEN_PIXELS = "minewatch:broken_pixels"
"""Pixels of the area, by SCL class, whose numbers are no reflectance; items of earlier versions did not count them."""

READ_PIXEL = "minewatch:read_pixel"
"""Metres of the pixels in which bands of 10 m were read; items of earlier versions do not say it, and read 10 m."""

USUALLY_BROKEN = 0.01
"""Share of such pixels from which a look is named."""

_OWN = re.compile(rb'("minewatch:checksum": ")([0-9a-f]{64})(")')


@dataclass(frozen=True)
class Observation:
    """One datatake on the grid of an area, as it lies in the archive."""

    key: str
    """Platform and start of the datatake."""

    time: dt.datetime
    """Acquisition, UTC."""

    version: int
    """1 for the first; a later version has more scenes or newer baselines."""

    digest: str
    """Format it was written in, ARCHIVE_FORMAT or an earlier one."""

    grid: str
    """The grid it lies on, as :func:`describe_grid` says."""

    sources: tuple[Mapping[str, Any], ...]
    """Scenes it was made from: id, source, tile, baseline, offset, offset_reason, offset_check; empty where all were refused."""

    clear_share: float
    """Share of the area's pixels whose SCL is one of CLEAR_CLASSES; for choosing images, independent of the pipeline."""

    raster: AnyPath
    """The COG."""

    item: AnyPath
    """Its STAC item."""

    valid_share: float = 1.0
    """Share of the area's pixels that have data, clear or not."""

    broken_share: float | None = None
    """Share of the pixels that SCL says have data whose numbers are no reflectance; None where nobody counted them."""

    read_pixel: int = PIXEL
    """Metres of the pixels in which bands of 10 m were read; overviews where they are larger."""

    refused: tuple[Mapping[str, Any], ...] = ()
    """Scenes that were left out because their pixels contradict the offset in their metadata."""

    terms: DataTerms = UNSTATED
    """What the catalogue states on the data; nothing in items of earlier versions."""

    @property
    def day(self) -> int:
        """Acquisition date in days since 1970-01-01."""
        return to_day(self.time.date())

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of the source items."""
        return tuple(str(source["id"]) for source in self.sources)


def sort_observations(observations: Iterable[Observation]) -> list[Observation]:
    """Sort observations by day and, within a day, by key: the order in which looks of one day are joined."""
    return sorted(observations, key=lambda observation: (observation.day, observation.key))


def select_observations(archived: Iterable[Observation], area: AreaPlan) -> list[Observation]:
    """Choose the observations that a result rests on: by date and cloud cover alone, so that earlier scans leave no trace."""
    return sort_observations(
        observation
        for observation in archived
        if area.history_from <= observation.time.date() <= area.until
        and observation.sources  # none is left where all were refused
        and min(float(source["cloud_cover"]) for source in observation.sources) <= area.pipeline.scenes.max_cloud_cover
    )


def describe_grid(grid: Grid) -> str:
    """Name a grid by CRS, corner and shape."""
    left, _, _, top = grid.bounds
    return f"EPSG:{grid.epsg} {left:.3f} {top:.3f} {grid.shape[0]}x{grid.shape[1]}"


def is_current(digest: str, described: str, grid: Grid) -> bool:
    """True if an observation of a format and described grid is usable; others are fetched anew."""
    return digest in READABLE_FORMATS and described == describe_grid(grid)


def sign_item(document: dict[str, Any]) -> bytes:
    """Render an item with its own checksum in it."""
    document["properties"][ITEM_CHECKSUM] = "0" * 64
    data = (render_json(document) + "\n").encode()
    return _OWN.sub(rb"\g<1>" + hash_item(data).encode() + rb"\g<3>", data, count=1)


def hash_item(data: bytes) -> str:
    """Return the SHA-256 of an item's bytes, with zeros where its own checksum stands."""
    return hashlib.sha256(_OWN.sub(rb"\g<1>" + b"0" * 64 + rb"\g<3>", data, count=1)).hexdigest()


def _damaged(path: AnyPath | str, error: Exception) -> ArchiveError:
    return ArchiveError(f"{path} is damaged ({type(error).__name__}); delete it, the next scan makes it anew")


def parse_item(path: AnyPath, data: bytes | Mapping[str, Any]) -> Observation:
    """Return the observation that an item describes; raises ArchiveError where it is damaged."""
    try:
        document = json.loads(data.decode("utf-8")) if isinstance(data, bytes) else data
        properties = document["properties"]
        return Observation(
            key=properties["minewatch:key"],
            time=dt.datetime.fromisoformat(properties["datetime"]),
            version=int(properties["version"]),
            digest=properties["minewatch:digest"],
            grid=properties["minewatch:grid"],
            sources=tuple(properties["minewatch:sources"]),
            clear_share=_measure_share(properties["minewatch:scl_pixels"], CLEAR_CLASSES),
            raster=path.parent / Path(document["assets"]["observation"]["href"]).name,
            item=path,
            valid_share=_measure_share(properties["minewatch:scl_pixels"], range(NO_DATA + 1, 256)),
            broken_share=_measure_broken(properties.get(BROKEN_PIXELS), properties["minewatch:scl_pixels"]),
            read_pixel=int(properties.get(READ_PIXEL, PIXEL)),
            refused=tuple(properties.get("minewatch:refused", ())),  # items of older formats have none; they are not used
            terms=read_terms(document),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def read_terms(document: Mapping[str, Any]) -> DataTerms:
    """Return what an item or collection of the archive says that the catalogue states; nothing where it stated nothing."""
    terms = parse_terms(document)
    return UNSTATED if terms == SENTINEL_TERMS else terms


def _measure_share(pixels: Mapping[str, int], classes: Collection[int]) -> float:
    return sum(count for code, count in pixels.items() if int(code) in classes) / max(1, sum(pixels.values()))


def _measure_broken(broken: Mapping[str, int] | None, pixels: Mapping[str, int]) -> float | None:
    if broken is None:
        return None
    lost = sum(broken.values())
    return lost / max(1, lost + sum(count for code, count in pixels.items() if int(code) != NO_DATA))


def list_observations(folder: AnyPath, grid: Grid) -> dict[str, Observation]:
    """Return the newest usable version of each key: written in today's format, on this grid, its raster there."""
    newest: dict[str, Observation] = {}
    names = list_names(folder)
    items = [name for name in names if name.endswith(".json") and not name.startswith(("collection", TEMPORARY_PREFIX))]
    paths = [folder / name for name in sorted(items)]
    try:
        contents = read_files(paths)
    except OSError as error:
        raise _damaged(error.filename, error) from error
    for path, data in zip(paths, contents, strict=True):
        observation = parse_item(path, data)
        current = newest.get(observation.key)
        usable = observation.raster.name in names and is_current(observation.digest, observation.grid, grid)
        if usable and (current is None or observation.version > current.version):
            newest[observation.key] = observation
    return newest
