"""Reads other systems' alerts from their rasters, by windows: of each file only the blocks near the areas."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from minewatch.alerts.context.features import convert_box, move
from minewatch.alerts.context.region import shift
from minewatch.alerts.corroboration.codings import BOTH, DATE, NOTHING, STATUS
from minewatch.alerts.corroboration.raster_files import Tile, digest_files, find_tiles, list_files, open_raster
from minewatch.alerts.corroboration.sighting import NO_DAY, UNSTATED, Reading, Region, Sightings, join_sightings, to_day
from minewatch.areas.antimeridian import Bounds
from minewatch.areas.grid import is_lonlat, lonlat_from, reproject
from minewatch.areas.vectorize import outline_numbers
from minewatch.core.errors import ExternalAlertError
from minewatch.core.text import count_of
from minewatch.raster.gdal import NumberRaster
from minewatch.raster.tiff_header import Box

MOST_PATCHES = 500_000
"""Patches of one day near one area: what has more is no raster of alerts."""

PIECE = 2**22
"""Pixels that are decoded at a time."""


@dataclass
class RasterReading(Reading):
    """What rasters hold near the areas, and what they are."""

    system: str = ""
    """Name of the system."""

    file: str = ""
    """Name of the file, or of the first, and how many more there are."""

    digest: str = ""
    """By which the same rasters are recognised."""


def read_rasters(paths: Sequence[Path], regions: Sequence[Region], asked: str | None, least: int) -> RasterReading:
    """Read the alerts of rasters that lie in the regions, of at least a level; ``asked`` names their coding.

    Raises ExternalAlertError where they cannot be read, do not belong together, or are not of the coding.
    """
    notes: list[str] = []
    files = list_files(paths, notes)
    tiles = find_tiles(files, asked, notes)
    found: dict[str, list[Sightings]] = {}
    pixels = near = undated = ahead = 0
    for tile in tiles:
        if least and STATUS not in tile.files and BOTH not in tile.files:
            raise ExternalAlertError(
                f"{tile.path} does not say how sure it is; give the raster with the status too, or leave --confidence out"
            )
        with _open(tile) as opened:
            for region in regions:
                for piece in opened.read(region, least):
                    found.setdefault(region.aoi, []).append(piece.sightings)
                    pixels, undated, ahead = pixels + piece.pixels, undated + piece.undated, ahead + piece.ahead
            near += opened.is_near
    sightings = {
        aoi: join_sightings([part for part in parts if len(part)]) for aoi, parts in found.items() if any(map(len, parts))
    }
    if undated:
        notes.append(f"{count_of(undated, 'pixel')} near the areas with an alert and no date: left out")
    if ahead:
        notes.append(
            f"{count_of(ahead, 'pixel')} near the areas with an alert and a date to come: left out; "
            f"are they written in the coding {tiles[0].coding.name}?"
        )
    if len(tiles) > 1 or not near:
        notes.append(f"{near} of {count_of(len(tiles), 'raster')} {'reaches' if near == 1 else 'reach'} the areas")
    first = files[0].name
    return RasterReading(
        sightings=sightings,
        rows=pixels,
        coding=tiles[0].coding.name,
        tiles=len(tiles),
        date_column=tiles[0].coding.name,
        notes=notes,
        system=tiles[0].system,
        file=f"{first} and {len(files) - 1} more" if len(files) > 1 else first,
        digest=digest_files(files),
    )


# --- their pixels ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open(tile: Tile) -> Iterator[_OpenTile]:
    with contextlib.ExitStack() as stack:
        rasters = {role: stack.enter_context(open_raster(path)) for role, path in tile.files.items()}
        bands = _choose_bands(tile, rasters)
        for role, (raster, band) in bands.items():
            if role == DATE and raster.dtypes[band - 1] == "uint8":
                raise ExternalAlertError(f"{tile.find(role)} has numbers of type uint8, too small for dates")
        shapes = {(one.shape, one.transform, one.crs) for one in rasters.values()}
        if len(shapes) > 1:
            status, date = tile.files[STATUS], tile.files[DATE]
            raise ExternalAlertError(
                f"{status} and {date} do not match: size, place or reference system differ; give two layers of a tile"
            )
        yield _OpenTile(tile, bands, _find_crs(rasters, tile))


def _choose_bands(tile: Tile, rasters: Mapping[str, NumberRaster]) -> dict[str, tuple[NumberRaster, int]]:
    """Return the raster and the band of each role."""
    for role, raster in rasters.items():
        most = 2 if role == BOTH and not tile.coding.is_joint else 1
        if len(raster.bands) > most:
            raise ExternalAlertError(
                f"{tile.files[role]} has {len(raster.bands)} bands, and the coding {tile.coding.name} {most}"
            )
    if BOTH not in rasters or tile.coding.is_joint:
        return {role: (raster, 1) for role, raster in rasters.items()}
    raster = rasters[BOTH]
    if len(raster.bands) < 2:
        raise ExternalAlertError(
            f"{tile.path} does not say when: give the raster with the dates too, or name another coding with --coding"
        )
    date = 1 if "date" in raster.bands[0].lower() else 2
    return {STATUS: (raster, 3 - date), DATE: (raster, date)}


def _find_crs(rasters: Mapping[str, NumberRaster], tile: Tile) -> CRS:
    try:
        crs = CRS.from_user_input(next(iter(rasters.values())).crs)
        lonlat_from(crs)
    except (CRSError, ProjError) as error:
        raise ExternalAlertError(f"the coordinate reference system of {tile.path} leads to no place on Earth") from error
    return crs


@dataclass(frozen=True)
class _Part:
    sightings: Sightings
    pixels: int
    undated: int
    ahead: int
    """Dated after today, which no system can have seen."""


@dataclass
class _OpenTile:
    """An open raster of alerts."""

    tile: Tile
    bands: Mapping[str, tuple[NumberRaster, int]]
    crs: CRS
    is_near: bool = field(default=False, init=False)

    def read(self, region: Region, least: int) -> Iterator[_Part]:
        """Yield what lies in a region, piece by piece."""
        patches = 0
        for turn in (-360, 0, 360):
            box = move(region.box, turn)
            if box[2] < -180 or box[0] > 180:
                continue
            for piece in self._list_pieces(box if is_lonlat(self.crs) else convert_box(box, self.crs)):
                self.is_near = True
                part = self._read_piece(piece, box, turn, least)
                patches += len(part.sightings)
                if patches > MOST_PATCHES:
                    raise ExternalAlertError(
                        f"{self.tile.path} has more than {MOST_PATCHES} patches near {region.aoi}; is it a raster of alerts, "
                        f"written in the coding {self.tile.coding.name}?"
                    )
                yield part

    def _list_pieces(self, box: Bounds | None) -> Iterator[Box]:
        raster, _ = next(iter(self.bands.values()))
        if box is None:
            return
        inverse = ~raster.transform
        corners = [inverse @ (x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
        (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*corners, strict=True))
        rows = max(0, math.floor(top)), min(raster.shape[0], math.ceil(bottom))
        columns = max(0, math.floor(left)), min(raster.shape[1], math.ceil(right))
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return
        height = max(1, PIECE // (columns[1] - columns[0]))
        for row in range(rows[0], rows[1], height):
            yield row, columns[0], min(row + height, rows[1]), columns[1]

    def _read_piece(self, piece: Box, box: Bounds, turn: int, least: int) -> _Part:
        days, levels = self._decode(piece)
        chosen = (levels != NOTHING) & (levels >= least)
        dated = chosen & (days != NO_DAY)
        undated = int(chosen.sum() - dated.sum())
        past = dated & (days <= to_day(dt.datetime.now(dt.UTC).date()))
        ahead = int(dated.sum() - past.sum())
        numbers = np.where(past, (days << 2) | levels, 0).astype(np.int32)
        if not numbers.any():
            return _Part(Sightings(np.zeros(0, object), np.zeros(0, np.int32)), 0, undated, ahead)
        raster, _ = next(iter(self.bands.values()))
        outlines, found = outline_numbers(numbers, raster.transform @ Affine.translation(piece[1], piece[0]))
        if not is_lonlat(self.crs):
            outlines = reproject(outlines, lonlat_from(self.crs))
        west, south, east, north = shapely.bounds(outlines).T
        near = (west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1])
        sightings = Sightings(shift(outlines[near], -turn), found[near] >> 2, (found[near] & 3).astype(np.uint8))
        return _Part(sightings, int(past.sum()), undated, ahead)

    def _decode(self, piece: Box) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        coding, numbers = self.tile.coding, {role: self._read(role, piece) for role in self.bands}
        if coding.is_joint:
            return coding.split(numbers[BOTH], str(self.tile.path))
        days = coding.read_days(numbers[DATE], self.tile.year, str(self.tile.find(DATE)))
        if STATUS not in numbers:
            return days, np.where(days == NO_DAY, NOTHING, UNSTATED).astype(np.uint8)
        return days, coding.read_levels(numbers[STATUS], str(self.tile.find(STATUS)))

    def _read(self, role: str, piece: Box) -> NDArray[np.integer]:
        """Read numbers, 0 where the file declares no data."""
        raster, band = self.bands[role]
        numbers = raster.read(piece, band)
        nodata = raster.nodata
        if nodata is None or not math.isfinite(nodata) or nodata == 0:
            return numbers
        return np.where(numbers == nodata, 0, numbers)
