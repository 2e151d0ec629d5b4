"""The landscape without mines: forest stands, river, cropland, pasture and ground that was always bare."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from minewatch.simulation import spectra
from minewatch.simulation.noise import Field, NoisePool, make_fractal_noise, make_smooth_noise, smooth_step
from minewatch.simulation.settings import Simulation
from minewatch.simulation.spectra import GroundSpectrum, shade_ground

PIXEL = 10.0
STANDS = 200
"""Forest stands have the unit numbers 0 to 199; parcels, pasture, bare ground and river follow."""
PARCELS = 997


class Cover(IntEnum):
    """Kind of a unit of land."""

    EVERGREEN = 0
    BROADLEAF = 1
    CONIFER = 2
    CROP = 3
    PASTURE = 4
    BARE = 5
    RIVER = 6


@dataclass(frozen=True, eq=False)
class Units:
    """Properties of each stand or field."""

    cover: NDArray[np.uint8]
    """``(unit,) uint8``, :class:`Cover`."""
    phase: NDArray[np.float32]
    """``(unit,) float32``, days by which the unit is late; crops: day of year on which the field turns bare."""
    level: NDArray[np.float32]
    """``(unit,) float32``, deviation of the unit from others of its cover, unit normal."""
    spell: NDArray[np.float32]
    """``(unit,) float32``, crops: days without leaves."""


@dataclass(frozen=True, eq=False)
class River:
    """Pixels of the river's bed, whose bars drift and whose water rises and falls."""

    index: NDArray[np.int64]
    """``(n,) int64``, ascending flat index of the pixels of the bed."""
    height: Field
    """``(n,) float32``, mean height of the bed, low in the channel."""
    first: Field
    second: Field
    """``(n,) float32``, two patterns of bars; the bed turns from one to the other over the years."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """Static maps of one simulation, shape ``(y, x)``."""

    unit: NDArray[np.uint16]
    """uint16, number of the stand or field, an index into ``units``."""
    ground: NDArray[np.uint16]
    """uint16, palette code of what lies below the leaves."""
    canopy: NDArray[np.int8]
    """int8, brightness of the leaves, percent off their mean: crowns and the shade between them."""
    density: NDArray[np.uint8]
    """uint8, leaves of the pixel in percent of its unit's, at most 100."""
    units: Units
    river: River
    seed: int
    southern: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.unit.shape[0], self.unit.shape[1]

    def find_forest(self) -> NDArray[np.bool_]:
        """Return a map ``(y, x) bool``, true where forest stands."""
        return self.units.cover[self.unit] <= Cover.CONIFER


def make_landscape(settings: Simulation) -> Landscape:
    """Draw the landscape of a simulation."""
    rng = np.random.default_rng([settings.seed, 1])
    shape = (settings.height, settings.width)
    pasture, bare, bed = range(STANDS + PARCELS, STANDS + PARCELS + 3)
    unit = _draw_stands(rng, shape)
    number, suited = _draw_parcels(rng, shape)
    unit = np.where(suited > np.quantile(suited[::4, ::4], 0.88), STANDS + number, unit)
    unit[(suited > np.quantile(suited[::4, ::4], 0.83)) & ((unit < STANDS) | (number % 5 == 0))] = pasture
    river, gap = _draw_river(rng, shape, settings)
    unit[_draw_bare(rng, shape, gap)] = bare
    unit.reshape(-1)[river.index] = bed
    units = _describe_units(rng, settings, bed + 1, (pasture, bare, bed))
    ground = _cover_ground(rng, unit, units)
    canopy, density = _draw_leaves(rng, shape, settings)
    return Landscape(unit, ground, canopy, density, units, river, settings.seed, settings.latitude < 0)


def _draw_stands(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Split the area into stands with wavering borders: nearest of random points, on warped coordinates."""
    spacing = max(12.0, (shape[0] * shape[1] / STANDS) ** 0.5)
    points = rng.uniform(-0.1, 1.1, (STANDS, 2)) * shape
    step = max(4, int(spacing / 12))
    grid = np.meshgrid(*(np.arange(0, n, step) for n in shape), indexing="ij")
    nearest = KDTree(points).query(np.stack(grid, -1))[1]
    position = []
    for axis, n in enumerate(shape):
        warp = make_fractal_noise(rng, shape, spacing / 3, 3) * (spacing * 0.18)
        steps = np.arange(n, dtype=np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        position.append((np.clip(warp + steps, 0, n - 1) / step).astype(np.int32))
    found: NDArray[np.uint16] = nearest.astype(np.uint16)[position[0], position[1]]
    return found


def _draw_parcels(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[NDArray[np.uint16], Field]:
    """Draw rectangular parcels on a tilted grid; returns their numbers and how suited each is for farming."""
    tilt, wide, long = (np.float32(rng.uniform(*limits)) for limits in ((0, np.pi), (9, 16), (16, 30)))
    cosine, sine, half = np.cos(tilt), np.sin(tilt), np.float32(0.5)
    rows, columns = (np.arange(n, dtype=np.float32) for n in shape)
    strip = np.floor((rows[:, None] * cosine - columns[None] * sine) / wide)
    lag = (strip * np.float32(0.37)) % 1
    parcel = np.floor((columns[None] * cosine + rows[:, None] * sine) / long + lag)
    across, along = (strip + half) * wide, (parcel + half - lag) * long
    centre = across * cosine + along * sine, along * cosine - across * sine
    y, x = (np.clip(c, 0, n - 1).astype(np.int32) for c, n in zip(centre, shape, strict=True))
    suited = make_fractal_noise(rng, shape, min(shape) / 5, 4)[y, x]
    return ((strip * np.float32(31) + parcel * np.float32(17)) % PARCELS).astype(np.uint16), suited


def _draw_river(rng: np.random.Generator, shape: tuple[int, int], settings: Simulation) -> tuple[River, Field]:
    """Draw a meandering river; also returns the distance of every pixel from its bank in pixels."""
    braided, size, turned = settings.climate == "tropical", min(shape), bool(rng.integers(2))
    length, breadth = (shape[1], shape[0]) if turned else shape
    flow = np.arange(length, dtype=np.float32)
    half = np.clip(size * rng.uniform(0.025, 0.035), 4, 18) if braided else np.clip(size * 0.006, 1.2, 2.5)
    bend = rng.uniform(0.5, 0.9) * size * 0.12 * np.sin(flow / size * rng.uniform(5, 8) + rng.uniform(0, 6))
    wobble = make_fractal_noise(rng, (length, 1), size / 6, 4, 0.4)[:, 0] * size * 0.03
    centre = breadth * rng.uniform(0.3, 0.7) + bend + wobble + (flow - length / 2) * rng.uniform(-0.25, 0.25)
    width = np.clip(half * (1 + 0.25 * make_smooth_noise(rng, (length, 1), size / 12)[:, 0]), 1, None)
    side = np.arange(breadth, dtype=np.float32)[None] - centre[:, None].astype(np.float32)
    apart = np.abs(side) / width[:, None].astype(np.float32)
    bars = [_draw_bars(rng, side, half) for _ in (1, 2)]
    apart, *bars = (np.ascontiguousarray(a.T if turned else a) for a in (apart, *bars))
    index = np.flatnonzero(apart < 1)
    height = (1.7 * apart.reshape(-1)[index] ** 2 - (0.95 if braided else 2.6)).astype(np.float32)
    return River(index, height, *(b.reshape(-1)[index] for b in bars)), (apart - 1) * np.float32(half)


def _draw_bars(rng: np.random.Generator, side: Field, half: float) -> Field:
    """Draw bars three times longer than wide that follow the river; ``side``: distance from its middle in pixels."""
    length = side.shape[0]
    field = make_fractal_noise(rng, (length // 3 + 2, 201), max(2.0, half * 0.28), 3)
    across = np.clip(np.round(side) + 100, 0, 200).astype(np.int32)
    along = np.arange(length) // 3
    t = (np.arange(length) % 3 / np.float32(3))[:, None].astype(np.float32)
    return field[along[:, None], across] * (1 - t) + field[along[:, None] + 1, across] * t


def _draw_bare(rng: np.random.Generator, shape: tuple[int, int], gap: Field) -> NDArray[np.bool_]:
    """Mark ground that was always bare: a track, a settlement, an old working away from the river."""
    size = min(shape)
    start, slope = rng.uniform(0.15, 0.85) * shape[0], rng.uniform(-0.5, 0.5)
    columns = np.arange(shape[1], dtype=np.float32)
    wave = make_fractal_noise(rng, (shape[1], 1), size / 5, 5, 0.45)[:, 0] * size * 0.04
    track = np.abs(np.arange(shape[0])[:, None] - (start + slope * (columns - shape[1] / 2) + wave)[None]) < 0.8
    yard = np.zeros(shape, np.bool_)
    rough = make_fractal_noise(rng, shape, 6, 3)
    for share in (0.014, 0.03):
        for _ in range(40):
            y, x = (int(v) for v in rng.uniform(0.08, 0.92, 2) * shape)
            if gap[y, x] > size * 0.05 + 4:
                break
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        away = np.hypot(rows - y, (columns - x) * rng.uniform(0.5, 1)).astype(np.float32) / (size * share + 1)
        yard |= away + 0.35 * rough < 1
    return track | yard


def _describe_units(rng: np.random.Generator, settings: Simulation, count: int, special: tuple[int, int, int]) -> Units:
    """Draw cover, phase, level and bare spell of every unit; ``special``: numbers of pasture, bare ground and river."""
    tropical = settings.climate == "tropical"
    cover = np.full(count, Cover.CROP, np.uint8)
    cover[:STANDS] = Cover.EVERGREEN if tropical else np.where(rng.random(STANDS) < 0.18, Cover.CONIFER, Cover.BROADLEAF)
    cover[list(special)] = [Cover.PASTURE, Cover.BARE, Cover.RIVER]
    phase = rng.normal(0, 20 if tropical else 5, count)
    if tropical:  # fields are cleared in the dry season
        phase[STANDS:] = (195 if settings.latitude < 0 else 15) + rng.normal(0, 30, count - STANDS)
    else:  # seedbeds of spring, or stubble turned after the harvest
        phase[STANDS:] = np.where(rng.random(count - STANDS) < 0.6, 85, 225) + rng.normal(0, 12, count - STANDS)
    spell = rng.uniform(50, 110, count)
    return Units(cover, *(a.astype(np.float32) for a in (phase, rng.standard_normal(count), spell)))


def _cover_ground(rng: np.random.Generator, unit: NDArray[np.uint16], units: Units) -> NDArray[np.uint16]:
    """Return the palette code of the ground below the leaves."""
    kinds = np.array(
        [
            GroundSpectrum.LITTER,
            GroundSpectrum.LEAFLESS,
            GroundSpectrum.LITTER,
            GroundSpectrum.TILLED,
            GroundSpectrum.STRAW,
            GroundSpectrum.OCHRE,
            GroundSpectrum.SAND,
        ]
    )
    shape = (unit.shape[0], unit.shape[1])
    tone = np.clip(0.5 + 0.16 * make_fractal_noise(rng, shape, 12, 4, 0.75), 0, 1)
    tone += (0.12 * units.level)[unit]
    ground = kinds[units.cover].astype(np.uint16)[unit] * np.uint16(spectra.TONES)
    ground += np.clip(tone * spectra.TONES, 0, spectra.TONES - 1).astype(np.uint16)
    return ground


def _draw_leaves(
    rng: np.random.Generator, shape: tuple[int, int], settings: Simulation
) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Draw brightness and density of the leaves of each pixel."""
    tropical = settings.climate == "tropical"
    crowns = ndimage.gaussian_filter(NoisePool(rng, *shape).take_window(rng, *shape), 0.6, mode="nearest") / np.float32(0.47)
    hills = make_fractal_noise(rng, shape, 40, 3)
    canopy = (9.0 if tropical else 6.0) * crowns + 3.5 * hills
    density = 100 - 2.0 * np.clip(make_fractal_noise(rng, shape, 10, 3), 0, None)
    return np.clip(canopy, -40, 60).astype(np.int8), density.astype(np.uint8)


def find_leaves(units: Units, day: dt.date, seed: int, southern: bool) -> Field:
    """Return the share of leaves of every unit on a day, ``(unit,) float32`` from 0 to 1."""
    doy = float(day.timetuple().tm_yday)
    season = (doy + 182.5) % 365.25 if southern else doy
    leaves = np.full(len(units.cover), 0.93, np.float32)
    dry = 0.5 + 0.5 * np.cos((season - 30 - units.phase) / 365.25 * 2 * np.pi)
    out = smooth_step(season - units.phase, 110, 138) * (1 - smooth_step(season - units.phase, 268, 312))
    share: Field = np.select(
        [units.cover == c for c in (Cover.EVERGREEN, Cover.BROADLEAF, Cover.CROP, Cover.PASTURE, Cover.BARE, Cover.RIVER)],
        [
            0.972 - 0.022 * dry + 0.006 * units.level,
            0.955 * out + 0.01 * units.level * out,
            _grow_crops(units, day, seed),
            0.78 - 0.22 * (0.5 + 0.5 * np.cos((season - 30) / 365.25 * 2 * np.pi)),
            np.full_like(leaves, 0.05),
            np.zeros_like(leaves),
        ],
        leaves,
    ).astype(np.float32)
    return share


def _grow_crops(units: Units, day: dt.date, seed: int) -> Field:
    """Return the leaves of fields: bare for some weeks, then growing, ripe and dry; the dates vary from year to year."""
    age: NDArray[np.float64] = np.full(len(units.cover), 1000.0)
    for year in (day.year - 1, day.year):
        start = dt.date(year, 1, 1).toordinal() + units.phase.astype(np.float64)
        start += np.random.default_rng([seed, 2, year]).normal(0, 10, len(age))
        since = day.toordinal() - start
        age = np.where(since >= 0, np.minimum(age, since), age)
    growing = 0.88 * smooth_step(age - units.spell, 0, 50)
    ripe = 1 - 0.5 * smooth_step(age, 325, 355)
    leaves: Field = (0.04 + growing * ripe).astype(np.float32)
    return leaves


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of some rows on one day."""

    ground: NDArray[np.uint16]
    """``(y, x) uint16``, palette code of the ground."""
    leaves: Field
    """``(y, x) float32``, share of leaves, 0 to 1."""


def paint_surface(land: Landscape, day: dt.date, water: float, rows: slice) -> Surface:
    """Return the surface of some rows on a day; ``water``: level of the river, 0 at its mean."""
    unit = land.unit[rows]
    leaves = find_leaves(land.units, day, land.seed, land.southern)[unit] * (land.density[rows] * np.float32(0.01))
    surface = Surface(land.ground[rows].copy(), leaves)
    _fill_river(land, surface, day, water, rows)
    return surface


def _fill_river(land: Landscape, surface: Surface, day: dt.date, water: float, rows: slice) -> None:
    """Fill the river bed: water below its level, sand above, thin grass where it stays dry."""
    river, columns = land.river, land.shape[1]
    part = slice(*np.searchsorted(river.index, [rows.start * columns, rows.stop * columns]))
    turn = (day.toordinal() % 3653) / 3653 * 2 * np.pi
    bed = river.height[part] + 0.8 * (np.cos(turn) * river.first[part] + np.sin(turn) * river.second[part])
    depth = (water - bed).astype(np.float32)
    position = river.index[part] - rows.start * columns
    stream = shade_ground(GroundSpectrum.RIVER, np.clip(0.65 - 0.3 * depth, 0, 1))
    sand = shade_ground(GroundSpectrum.SAND, np.clip(0.35 - 0.35 * depth, 0, 0.9))
    surface.ground.reshape(-1)[position] = np.where(depth > 0, stream, sand)
    surface.leaves.reshape(-1)[position] = 0.35 * smooth_step(-depth, 1.1, 1.9)
