"""Finds where other systems report change on ground of an area that could not be seen here at that time: no alerts of ours.

Made anew each time from the change map, the sources that count, and nothing else: what is seen later leaves the list.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import AOIS
from minewatch.alerts.corroboration.record import ExternalSource, read_external_sources, read_sightings
from minewatch.alerts.corroboration.sighting import LEVELS, NO_DAY, Sightings, to_date, to_day
from minewatch.alerts.rows import Row, read_layer, reading
from minewatch.areas.aoi import measure_area_ha, read_aoi
from minewatch.areas.grid import Grid, Window, lonlat_to, make_grid, reproject
from minewatch.areas.vectorize import find_patches, find_position, outline, rasterize_numbers, to_lonlat
from minewatch.core.errors import AlertsError, ExternalAlertError, MinewatchError
from minewatch.core.files import AnyPath
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import Status
from minewatch.raster.gdal import READ_ERRORS, HeaderError, NumberRaster, open_numbers
from minewatch.settings.pipeline import read_pipeline

NEVER_COVERED, NO_VEGETATION, NOT_MONITORED, NOT_CLEAR = "never covered", "no vegetation", "not monitored", "no clear look since"
REASONS = ("", NEVER_COVERED, NO_VEGETATION, NOT_MONITORED, NOT_CLEAR)
"""Why ground could not be seen, by number; '' where it could be."""

TILE = 512
"""Pixels of the change map that are looked at together, on each side."""

CELL = 3
"""Pixels on each side of the cells by which a place holds together: 30 m, the pixel of Landsat, on whatever grid it came."""


@dataclass(frozen=True)
class ReportedPlace:
    """Ground on which other systems report change, and which could not be seen here at that time."""

    place_id: str
    """Area, first day and a hash of its first cell: the same in every list that has it."""

    aoi: str
    """Name of the area."""

    systems: Mapping[str, str]
    """Name of each system that reports it to its confidence; '' where it states none."""

    first: dt.date
    """Their first detection."""

    last: dt.date
    """The latest first detection of any of its pixels."""

    area_ha: float
    """Hectares that could not be seen."""

    lat: float
    """Degrees, of a point inside."""

    lon: float
    """Degrees, of the same point."""

    why: str
    """One of REASONS: that of most of its pixels."""

    last_clear: dt.date | None
    """The last clear look at any of its pixels; None where there was none."""

    as_of: dt.date
    """Of the change map."""

    outline: BaseGeometry
    """Polygons, degrees."""

    def describe(self) -> dict[str, Any]:
        """Return it as plain data, but for the outline."""
        dates = {
            name: day.isoformat() if (day := getattr(self, name)) else None for name in ("first", "last", "last_clear", "as_of")
        }
        facts = {name: getattr(self, name) for name in ("place_id", "aoi", "area_ha", "lat", "lon", "why")}
        systems = [{"name": name, "confidence": word or None} for name, word in self.systems.items()]
        return {**facts, **dates, "systems": systems}


def find_reported_places(workspace: Workspace, aoi: str | None = None) -> tuple[list[ReportedPlace], list[str]]:
    """Return the places of an area, or of all in the table, the largest first; and notes on what cannot be told.

    Raises AlertsError where the table cannot be read, or does not have the area.
    """
    if not workspace.alerts.exists():
        return [], []
    with reading(workspace.alerts) as connection:
        rows = {str(row["aoi"]): row for row in read_layer(connection, AOIS)}
    if aoi is not None and aoi not in rows:
        raise AlertsError(f"area {aoi!r} is not in the table; it has {', '.join(rows) or 'none'}")
    known = read_external_sources(workspace.external_sources)
    found: list[ReportedPlace] = []
    notes: list[str] = []
    for name, row in rows.items():
        sources = known.of(name, row["as_of"]) if aoi in (None, name) else []
        if not sources:
            continue
        try:
            found += _find_in_area(workspace, row, sources, notes)
        except (HeaderError, *READ_ERRORS):
            notes.append(
                f"{name}: what others report on unseen ground cannot be told, its change map is missing or damaged; scan again"
            )
        except MinewatchError as error:
            notes.append(f"{name}: what others report on unseen ground cannot be told: {error}")
    return sorted(found, key=lambda place: (-place.area_ha, place.place_id)), list(dict.fromkeys(notes))


def _find_in_area(workspace: Workspace, row: Row, sources: Sequence[ExternalSource], notes: list[str]) -> list[ReportedPlace]:
    name, as_of = str(row["aoi"]), row["as_of"]
    grid = make_grid(read_aoi(workspace, name))
    least_ha = read_pipeline(workspace, str(row["pipeline"])).alerts.min_area_ha
    reported = []
    for source in sources:
        try:
            sightings = read_sightings(workspace.external_alerts / source.sightings)
        except ExternalAlertError as error:
            notes.append(f"witness {source.name!r} cannot be asked: {error}")
            continue
        later = int((sightings.days > to_day(as_of)).sum())
        if later:
            notes.append(f"{name}: sightings of {source.name} that are dated after {as_of}, and wait for the next scan: {later}")
        dated = (sightings.days != NO_DAY) & (sightings.days >= to_day(row["monitor_from"])) & (sightings.days <= to_day(as_of))
        if dated.any():
            reported.append(_Reported(source.name, _place(sightings.choose(dated), grid)))
    if not reported:
        return []
    folder = workspace.changes(name)
    with open_numbers(folder / "status.tif") as status, open_numbers(folder / "last_clear.tif") as last_clear:
        _check_map(status, grid, as_of, folder)
        pixels = _Pixels.join(
            [part for window in grid.window.cut(TILE, TILE) for part in _list_unseen(window, grid, status, last_clear, reported)]
        )
    return [
        place for place in _make_places(pixels, grid, name, as_of, [one.name for one in reported]) if place.area_ha >= least_ha
    ]


@dataclass(frozen=True)
class _Reported:
    """What a source reports in an area, in the grid's CRS, the first days last."""

    name: str
    sightings: Sightings

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """(4, n) left, bottom, right, top of each."""
        return np.ascontiguousarray(shapely.bounds(self.sightings.shapes).T)

    def cut(self, window: Window, grid: Grid) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return day and level of each pixel of a window, NO_DAY where nothing is reported."""
        left, top = grid.transform_of(window) @ (0, 0)
        right, bottom = grid.transform_of(window) @ (window.width, window.height)
        west, south, east, north = self.bounds
        near = np.flatnonzero((west <= right) & (east >= left) & (south <= top) & (north >= bottom))
        chosen = self.sightings.choose(near)
        order = np.arange(1, len(near) + 1, dtype=np.int32)
        drawn = rasterize_numbers(chosen.shapes, order, grid.transform_of(window), window.shape)
        days = np.concatenate([[NO_DAY], chosen.days]).astype(np.int32)
        return days[drawn], np.concatenate([[0], chosen.levels]).astype(np.uint8)[drawn]


def _place(sightings: Sightings, grid: Grid) -> Sightings:
    """Return sightings in the grid's CRS, the latest first: where several lie on a pixel, the first day is drawn last."""
    placed = Sightings(reproject(sightings.shapes, lonlat_to(grid.epsg)), sightings.days, sightings.levels)
    return placed.choose(np.argsort(-placed.days.astype(np.int64), kind="stable"))


def _check_map(status: NumberRaster, grid: Grid, as_of: dt.date, folder: AnyPath) -> None:
    """Raise AlertsError where the change map is not that of the table."""
    if status.shape != grid.shape or status.tags.get("as_of") != as_of.isoformat():
        raise AlertsError(f"{folder} is not the change map of the table as of {as_of}; scan the area again")


@dataclass(frozen=True)
class _Pixels:
    """Unseen pixels on which a source reports change; all arrays are (n,)."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    days: NDArray[np.int32]
    levels: NDArray[np.uint8]
    source: NDArray[np.int32]
    why: NDArray[np.uint8]
    last_clear: NDArray[np.int32]

    @classmethod
    def join(cls, parts: Sequence[_Pixels]) -> _Pixels:
        return cls(
            *(np.concatenate([np.zeros(0, np.int32), *(vars(part)[name] for part in parts)]) for name in cls.__annotations__)
        )

    def choose(self, chosen: NDArray[Any]) -> _Pixels:
        return _Pixels(*(values[chosen] for values in vars(self).values()))


def _list_unseen(
    window: Window, grid: Grid, status: NumberRaster, last_clear: NumberRaster, reported: Sequence[_Reported]
) -> Iterator[_Pixels]:
    """Yield the pixels of a window that were not seen when a source reports change there."""
    cuts = [one.cut(window, grid) for one in reported]
    if not any((days != NO_DAY).any() for days, _ in cuts):
        return
    box = window.row, window.column, window.row + window.height, window.column + window.width
    codes, looks = status.read(box), last_clear.read(box).astype(np.int32)
    for number, (days, levels) in enumerate(cuts):
        why = np.zeros(window.shape, np.uint8)
        for code, reason in (
            (Status.NEVER_COVERED, NEVER_COVERED),
            (Status.NO_VEGETATION, NO_VEGETATION),
            (Status.NOT_MONITORED, NOT_MONITORED),
        ):
            why[codes == code] = REASONS.index(reason)
        why[(codes == Status.STABLE) & (looks < days)] = REASONS.index(NOT_CLEAR)
        rows, columns = np.nonzero((days != NO_DAY) & (why > 0))
        here = rows, columns
        yield _Pixels(
            (rows + window.row).astype(np.int32),
            (columns + window.column).astype(np.int32),
            days[here],
            levels[here],
            np.full(len(rows), number, np.int32),
            why[here],
            looks[here],
        )


def _make_places(pixels: _Pixels, grid: Grid, aoi: str, as_of: dt.date, names: Sequence[str]) -> Iterator[ReportedPlace]:
    width = grid.shape[1] // CELL + 1
    positions, cell_of = np.unique(pixels.rows.astype(np.int64) // CELL * width + pixels.columns // CELL, return_inverse=True)
    labels = np.zeros(len(positions), np.int64)
    rows, columns = (axis.astype(np.int32) for axis in np.divmod(positions, width))
    for number, patch in enumerate(find_patches(rows, columns, (grid.shape[0] // CELL + 1, width))):
        inside = np.argwhere(patch.mask) + np.array([patch.window.row, patch.window.column])
        labels[np.searchsorted(positions, inside[:, 0] * width + inside[:, 1])] = number
    order = np.argsort(labels[cell_of], kind="stable")
    borders = np.flatnonzero(np.diff(labels[cell_of][order])) + 1
    for members in np.split(order, borders) if len(order) else ():
        yield _make_place(pixels.choose(members), grid, aoi, as_of, names)


def _make_place(pixels: _Pixels, grid: Grid, aoi: str, as_of: dt.date, names: Sequence[str]) -> ReportedPlace:
    window = Window(
        int(pixels.rows.min()), int(pixels.columns.min()), int(np.ptp(pixels.rows)) + 1, int(np.ptp(pixels.columns)) + 1
    )
    mask = np.zeros(window.shape, bool)
    mask[pixels.rows - window.row, pixels.columns - window.column] = True
    drawn = to_lonlat(outline(mask, window, grid), grid)
    lat, lon = find_position(drawn)
    order = np.lexsort((pixels.columns, pixels.rows, pixels.days))[0]
    first = to_date(int(pixels.days[order])) or as_of
    cell = f"{grid.epsg} {pixels.rows[order] // CELL} {pixels.columns[order] // CELL}"
    levels = {names[number]: int(pixels.levels[pixels.source == number].max()) for number in np.unique(pixels.source).tolist()}
    latest = int(pixels.last_clear.max())
    return ReportedPlace(
        place_id=f"{aoi}-unseen-{first:%Y%m%d}-{hashlib.sha256(cell.encode()).hexdigest()[:6]}",
        aoi=aoi,
        systems={name: LEVELS[level] for name, level in sorted(levels.items())},
        first=first,
        last=to_date(int(pixels.days.max())) or as_of,
        area_ha=round(measure_area_ha(drawn), 4),
        lat=lat,
        lon=lon,
        why=REASONS[int(np.bincount(pixels.why).argmax())],
        last_clear=to_date(latest) if latest > 0 else None,
        as_of=as_of,
        outline=drawn,
    )
