"""Pixels of synthetic Sentinel-2 scenes, made window by window: ground, mines, haze, clouds and noise.

Every value depends on its place, its scene and the seed alone, so that windows of any size fit together and a whole tile
never lies in memory.  The noise is as strong as in real scenes: files compress, and so decode, as real ones do.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

CELL = 8
"""Pixels of 10 m between the nodes of the smooth fields."""

BLUE, RED, NIR, SWIR16, SCL = range(5)
"""Numbers of the bands."""

NOISE = np.array([16.0, 20.0, 80.0, 75.0], np.float32)
"""Standard deviation of a scene's noise in each band, reflectance x 10 000."""

SHADOW = (40.0, 24.0)
"""Rows and columns of 10 m from a cloud to its shadow."""

TABLE = np.random.default_rng(7).standard_normal(1 << 18).astype(np.float32)
"""Normal noise; each row of pixels takes a stretch of it from another place."""

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels of one resolution."""

    row: int
    column: int
    height: int
    width: int
    scale: int
    """10 m pixels in one of its pixels along each side: 1 or 2."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What does not change but by season."""

    seed: int
    fields: Field
    """(4, y, x) vigour of plants, wetness, bareness, farming; each about standard normal, a node every CELL pixels."""


@dataclass(frozen=True)
class Mine:
    """An ellipse of bare ground."""

    row: float
    """Of its centre, in pixels of 10 m."""
    column: float
    major: float
    """Longer half axis, in pixels."""
    minor: float
    angle: float
    """Radians."""
    onset: dt.date
    """First day that shows it."""
    brightness: float
    """0 to 1."""

    def reach(self) -> tuple[int, int, int, int]:
        """Return top, left, bottom and right in whole pixels of 10 m, even ones."""
        top, left = int(self.row - self.major) & ~1, int(self.column - self.major) & ~1
        return top, left, int(self.row + self.major + 3) & ~1, int(self.column + self.major + 3) & ~1

    def covers(self, window: Window) -> NDArray[np.bool_]:
        """Tell which pixels of a window have their centre in it."""
        y = (window.row + np.arange(window.height)[:, None] + 0.5) * window.scale - self.row
        x = (window.column + np.arange(window.width)[None, :] + 0.5) * window.scale - self.column
        along, across = x * np.cos(self.angle) + y * np.sin(self.angle), y * np.cos(self.angle) - x * np.sin(self.angle)
        return np.asarray((along / self.major) ** 2 + (across / self.minor) ** 2 <= 1)


@dataclass(frozen=True, eq=False)
class Sky:
    """One scene's air."""

    seed: int
    clouds: Field
    """(y, x), a node every CELL pixels; what lies above ``limit`` is cloud."""
    limit: float
    haze: float
    """Added to blue, reflectance x 10 000; less to the others."""
    season: float
    """-1 in the dry season to 1 in the wet."""


def make_surface(size: int, seed: int) -> Surface:
    """Make the ground of a square of ``size`` pixels of 10 m."""
    random = np.random.default_rng([seed, 0])
    return Surface(seed, np.stack([make_field(random, size, width) for width in (6.0, 20.0, 12.0, 25.0)]))


def make_sky(size: int, seed: int, scene: int, cloudy: float, day: dt.date) -> Sky:
    """Make a scene's air with a share of clouds."""
    random = np.random.default_rng([seed, 1, scene])
    clouds = make_field(random, size, 18.0)
    limit = -99.0 if cloudy >= 1 else float(np.quantile(clouds, 1 - cloudy)) if cloudy > 0 else 99.0
    season = float(np.cos(2 * np.pi * (day.timetuple().tm_yday - 60) / 365.25))
    return Sky(int(random.integers(1 << 30)), clouds, limit, float(random.gamma(2.0, 20.0)), season)


def make_field(random: np.random.Generator, size: int, width: float) -> Field:
    """Make a smooth field of mean 0 and deviation 1 with some detail; ``width`` in nodes."""
    nodes = size // CELL + 3
    coarse = ndimage.gaussian_filter(random.standard_normal((nodes, nodes), np.float32), width, mode="wrap")
    fine = ndimage.gaussian_filter(random.standard_normal((nodes, nodes), np.float32), 1.5, mode="wrap")
    mixed = coarse / coarse.std() + 0.25 * fine / fine.std()
    return np.asarray((mixed - mixed.mean()) / mixed.std(), np.float32)


def make_pixels(band: int, window: Window, surface: Surface, sky: Sky, mines: list[Mine], day: dt.date) -> NDArray[np.uint16]:
    """Make a window of one band as it is on a day: digital numbers, or scene classes for SCL."""
    out = np.empty((window.height, window.width), np.uint16)
    place = (window.row, window.column, window.scale)
    air = (sky.limit, sky.haze, sky.season)
    _fill(
        out, band, place, surface.fields, surface.seed, _draw_mines(window, mines, day), sky.clouds, air, sky.seed, TABLE, NOISE
    )
    return out


def _draw_mines(window: Window, mines: list[Mine], day: dt.date) -> NDArray[np.uint8]:
    """Lay the mines of a day into a window: 0 where there is none, else 1 + brightness x 254."""
    mask = np.zeros((window.height, window.width), np.uint8)
    for mine in mines:
        top, left, bottom, right = (edge // window.scale for edge in mine.reach())
        first, last = max(top, window.row), min(bottom, window.row + window.height)
        west, east = max(left, window.column), min(right, window.column + window.width)
        if mine.onset <= day and first < last and west < east:
            part = mask[first - window.row : last - window.row, west - window.column : east - window.column]
            part[mine.covers(Window(first, west, *part.shape, window.scale))] = 1 + round(mine.brightness * 254)
    return mask


def is_green(surface: Surface, row: float, column: float, radius: float) -> bool:
    """True if there is forest around a point."""
    around = [(row + radius * a, column + radius * b) for a in (-1.2, 0, 1.2) for b in (-1.2, 0, 1.2)]
    return all(_classify(*(_at(field, *point) for field in surface.fields[1:])) == FOREST for point in around)


FOREST, FARM, BARE, WATER = range(4)


@njit(nogil=True, cache=True)
def _classify(wet: float, bare: float, farm: float) -> int:
    if wet > 2.3:
        return WATER
    if bare > 2.4:
        return BARE
    return FARM if farm > 1.4 else FOREST


@njit(nogil=True, cache=True)
def _at(field: Field, row: float, column: float) -> float:
    """Interpolate a field at a place in pixels of 10 m; beyond its edge the edge goes on."""
    y = min(max(row / CELL, 0.0), field.shape[0] - 1.001)
    x = min(max(column / CELL, 0.0), field.shape[1] - 1.001)
    i, j = int(y), int(x)
    u, v = y - i, x - j
    above = field[i, j] * (1 - v) + field[i, j + 1] * v
    below = field[i + 1, j] * (1 - v) + field[i + 1, j + 1] * v
    return float(above * (1 - u) + below * u)


@njit(nogil=True, cache=True)
def _mix(a: int, b: int) -> int:
    """Scramble two whole numbers into one of 30 bits."""
    h = (a * 73856093) ^ (b * 19349663)
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    return (h ^ (h >> 16)) & 0x3FFFFFFF


@njit(nogil=True, cache=True)
def _blend(field: Field, row: float, line: Field) -> None:
    """Interpolate a field between two rows of nodes."""
    y = min(max(row / CELL, 0.0), field.shape[0] - 1.001)
    i = int(y)
    u = np.float32(y - i)
    for j in range(line.size):
        line[j] = field[i, j] + (field[i + 1, j] - field[i, j]) * u


@njit(nogil=True, cache=True)
def _shade(band: int, kind: int, mine: int, vigour: float, farm: float, season: float, texture: float) -> float:
    """Return the reflectance x 10 000 of ground in one band, without air."""
    if mine > 0:
        red = 1400.0 + 600.0 * (mine - 1) / 254 + 110.0 * texture
        return red * (0.55, 1.0, 1.32, 1.75)[band]
    if kind == WATER:
        return (420.0, 330.0, 210.0, 90.0)[band] + 8.0 * texture
    if kind == BARE:
        return (1050.0, 1800.0, 2450.0, 3200.0)[band] * (1 + 0.04 * texture)
    if kind == FARM:
        ndvi = 0.52 + 0.16 * season + 0.08 * farm + 0.02 * texture
        nir = 2700.0 + 400.0 * farm + 90.0 * texture
    else:
        ndvi = 0.74 + 0.025 * vigour + 0.04 * season + 0.012 * texture
        nir = 3000.0 + 250.0 * vigour + 250.0 * season + 130.0 * texture
    ndvi = min(max(ndvi, 0.2), 0.9)
    red = nir * (1 - ndvi) / (1 + ndvi)
    if band == 0:
        return 60.0 + 0.55 * red
    if band == 1:
        return red
    return nir if band == 2 else 1.6 * red + 0.36 * nir + 25.0 * texture


@njit(nogil=True, cache=True)
def _fill(
    out: NDArray[np.uint16],
    band: int,
    place: tuple[int, int, int],
    fields: Field,
    ground_seed: int,
    mines: NDArray[np.uint8],
    clouds: Field,
    air: tuple[float, float, float],
    sky_seed: int,
    table: Field,
    noise: Field,
) -> None:
    row0, column0, scale = place
    limit, haze, season = air
    mask, nodes = table.size - 1, fields.shape[2]
    lines = np.empty((6, nodes), np.float32)
    is_scl = band == SCL
    for y in range(out.shape[0]):
        row = (row0 + y + 0.5) * scale
        for k in range(4):
            _blend(fields[k], row, lines[k])
        _blend(clouds, row, lines[4])
        _blend(clouds, row + SHADOW[0], lines[5])
        still = _mix(ground_seed * 8 + scale, row0 + y)
        moving = _mix(sky_seed * 8 + band, row0 + y)
        for x in range(out.shape[1]):
            place_x = (column0 + x + 0.5) * scale / CELL
            j = min(int(place_x), nodes - 2)
            v = np.float32(place_x - j)
            cloud = lines[4, j] + (lines[4, j + 1] - lines[4, j]) * v
            far = min(j + int(SHADOW[1] / CELL), nodes - 2)
            shaded = limit < 90 and lines[5, far] + (lines[5, far + 1] - lines[5, far]) * v > limit
            if is_scl and cloud > limit:
                out[y, x] = 9 if cloud > limit + 0.12 else 8
                continue
            kind = _classify(
                lines[1, j] + (lines[1, j + 1] - lines[1, j]) * v,
                lines[2, j] + (lines[2, j + 1] - lines[2, j]) * v,
                lines[3, j] + (lines[3, j + 1] - lines[3, j]) * v,
            )
            dust = table[(moving + column0 + x) & mask]
            if is_scl:
                if shaded:
                    out[y, x] = 3
                elif mines[y, x] > 0 or kind == BARE:
                    out[y, x] = 5
                else:
                    out[y, x] = 6 if kind == WATER else 7 if dust > 2.6 else 4
                continue
            vigour = lines[0, j] + (lines[0, j + 1] - lines[0, j]) * v
            parcel = (_mix(int(row) >> 5, (column0 + x) * scale >> 5) & 255) / 128 - 1
            texture = table[(still + column0 + x) & mask]
            value = _shade(band, kind, mines[y, x], vigour, parcel, season, texture)
            value = value * (0.55 if shaded else 1.0) + haze * (1.0, 0.7, 0.4, 0.15)[band]
            if cloud > limit:
                thick = min(1.0, 0.4 + 2 * (cloud - limit))
                value = value * (1 - thick) + thick * (4200.0 + 700.0 * cloud + 60.0 * texture) * (1.0, 0.97, 1.02, 0.75)[band]
            out[y, x] = max(1, int(value + noise[band] * dust + 0.5))
