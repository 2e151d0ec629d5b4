"""Patches of forest that change: mines with ponds, ground cleared for farming, and look-alikes such as fires and landslides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from minewatch.core.errors import SimulationError
from minewatch.simulation.landscape import Landscape, Surface
from minewatch.simulation.noise import Field, make_fractal_noise
from minewatch.simulation.settings import Simulation
from minewatch.simulation.spectra import WATERS, GroundSpectrum, shade_ground

Kind = Literal["mine", "cleared", "clearing", "burn", "landslide", "logging"]
"""``cleared`` is for farming and stays without forest for months, a ``clearing`` is green again within weeks."""

SMALLEST_MINE, LARGEST_MINE = 0.2, 8.0
"""Hectares."""


@dataclass(frozen=True, eq=False)
class Blob:
    """The shape of a patch."""

    row: int
    """First row of the window in the scene."""
    column: int
    """First column of the window in the scene."""
    score: Field
    """``(y, x) float32``, largest in the core, 0 outside the blob."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What the ground of a patch becomes some days after it changed."""

    age: int
    """Days from the pixel's onset."""
    ground: NDArray[np.uint16]
    """``(y, x) uint16``, palette code of the ground from then on."""


@dataclass(frozen=True, eq=False)
class SimulatedPatch:
    """One patch that changes; its arrays have the shape of its window ``(y, x)``."""

    kind: Kind
    row: int
    """First row of the window in the scene."""
    column: int
    """First column of the window in the scene."""
    onset: NDArray[np.int32]
    """int32, proleptic ordinal of the day on which the pixel loses its leaves, 0 = never."""
    flooded: NDArray[np.int32]
    """int32, ordinal of the day from which a pond covers the pixel, 0 = never."""
    ground: NDArray[np.uint16]
    """uint16, palette code of the bared ground."""
    pond: NDArray[np.uint16]
    """uint16, palette code of the pond's water."""
    leaves: Field
    """float32, remaining share of leaves."""
    bare_days: int
    """Days from the onset to the first new leaves."""
    regrow_days: int
    """Days in which two thirds of the leaves come back; 0 = never."""
    stages: tuple[Stage, ...] = ()
    """Later states of the ground, in order of their age."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels of the window that change."""
        return self.onset > 0

    @property
    def first_onset(self) -> int:
        """Ordinal of the day on which the first pixel changes."""
        return int(self.onset[self.mask].min())

    @property
    def last_bare(self) -> int:
        """Ordinal of the last day on which the first pixel has less than half of its leaves again."""
        return self.first_onset + self.bare_days + int(np.log(2) * self.regrow_days)

    @property
    def growing(self) -> bool:
        """True if it spreads after its first day."""
        return bool(self.onset.max() > self.first_onset)

    def window(self) -> tuple[slice, slice]:
        """Return its rows and columns in the scene."""
        rows, columns = self.onset.shape
        return slice(self.row, self.row + rows), slice(self.column, self.column + columns)


def make_patches(settings: Simulation, land: Landscape, good: Sequence[int] = ()) -> list[SimulatedPatch]:
    """Place all patches in the forest, mines first.

    ``good``: ordinals of the days with few clouds; a clearing is bare on as few of them as possible, but at least one.
    Raises SimulationError where there is no room.
    """
    free = ndimage.minimum_filter(land.find_forest().astype(np.uint8), 7, mode="nearest") > 0
    free[:4], free[-4:], free[:, :4], free[:, -4:] = False, False, False, False
    patches = []
    for number, (kind, area, stretch) in enumerate(_plan(settings)):
        rng = np.random.default_rng([settings.seed, 3, number])
        for _ in range(400):
            found = _place_blob(rng, free, area * 100, stretch)
            if found is not None:
                break
        else:
            room = f"{settings.width} x {settings.height} pixels of this seed"
            raise SimulationError(
                f"simulation: no forest left for a {kind} of {area:.1f} ha in {room}: ask for fewer or a larger area"
            )
        patch = _fill_patch(rng, settings, kind, found, good)
        patches.append(patch)
        _block_surroundings(free, patch)
    return patches


def _block_surroundings(free: NDArray[np.bool_], patch: SimulatedPatch) -> None:
    """Mark a patch and seven pixels around it as no longer free."""
    corner = max(0, patch.row - 7), max(0, patch.column - 7)
    room = free[corner[0] : patch.row + patch.mask.shape[0] + 7, corner[1] : patch.column + patch.mask.shape[1] + 7]
    taken = np.zeros_like(room)
    taken[patch.row - corner[0] :, patch.column - corner[1] :][: patch.mask.shape[0], : patch.mask.shape[1]] = patch.mask
    room &= ~ndimage.binary_dilation(taken, iterations=7)


def _plan(settings: Simulation) -> Iterator[tuple[Kind, float, float]]:
    """Yield kind, area in ha and ratio of length to width of each patch, large ones first."""
    rng = np.random.default_rng([settings.seed, 4])
    largest = min(LARGEST_MINE, 0.02 * settings.width * settings.height / 100)
    steps = (np.arange(settings.mines) + rng.uniform(0.1, 0.9, settings.mines)) / max(1, settings.mines)
    for area in sorted(SMALLEST_MINE * (max(largest, SMALLEST_MINE) / SMALLEST_MINE) ** steps, reverse=True):
        yield "mine", float(area), float(rng.uniform(1.0, 2.6))
    others: tuple[tuple[Kind, int, float, float, float], ...] = (
        ("burn", settings.burns, 1.0, 5.0, 1.4),
        ("logging", settings.logged, 0.5, 3.0, 1.3),
        ("landslide", settings.landslides, 0.3, 1.5, 4.0),
        ("clearing", settings.clearings, 0.3, 0.9, 1.2),
        ("cleared", settings.cleared, 0.5, 4.0, 1.3),
    )
    for kind, count, low, high, stretch in others:
        for _ in range(count):
            yield kind, float(min(rng.uniform(low, high), max(largest, 0.2))), stretch


def _place_blob(rng: np.random.Generator, free: NDArray[np.bool_], pixels: float, stretch: float) -> Blob | None:
    """Try a random place for an irregular blob of about ``pixels``; None where there is no room."""
    reach = int(np.sqrt(pixels * stretch)) + 3
    row, column = (int(rng.integers(4, n - 4)) for n in free.shape)
    top, left = max(0, row - reach), max(0, column - reach)
    room = free[top : row + reach + 1, left : column + reach + 1]
    if not free[row, column] or room.sum() < pixels:
        return None
    y, x = np.mgrid[top - row : top - row + room.shape[0], left - column : left - column + room.shape[1]].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    along, across = y * np.sin(turn) + x * np.cos(turn), y * np.cos(turn) - x * np.sin(turn)
    radius = np.sqrt(pixels / np.pi)
    away = np.hypot(along / stretch**0.5, across * stretch**0.5) / radius
    shape = (room.shape[0], room.shape[1])
    rough = make_fractal_noise(rng, shape, max(2.0, radius * 0.55), 3, 0.6)
    score = np.where(room, 2.5 - away + 0.32 * rough, -9)
    kept = _cut_blob(score, pixels)
    if kept is None:
        return None
    rows, columns = (slice(int(a.min()), int(a.max()) + 1) for a in np.nonzero(kept))
    blob = np.where(kept, score - score[kept].min() + 0.01, 0)[rows, columns].astype(np.float32)
    return Blob(top + rows.start, left + columns.start, blob)


def _cut_blob(score: NDArray[np.float32], pixels: float) -> NDArray[np.bool_] | None:
    """Return the connected pixels of highest score, within a fifth of the area; None where that fails."""
    cut = np.partition(score.ravel(), -int(pixels))[-int(pixels)]
    if cut < 0:
        return None
    labels, _ = ndimage.label(score >= cut)
    sizes = np.bincount(labels.ravel())[1:]
    largest = int(sizes.argmax())
    kept = ndimage.binary_fill_holes(labels == largest + 1) & (score > 0)
    return kept if 0.8 * pixels <= kept.sum() <= 1.2 * pixels else None


def _fill_patch(rng: np.random.Generator, settings: Simulation, kind: Kind, blob: Blob, good: Sequence[int]) -> SimulatedPatch:
    """Draw the days, soil, ponds and regrowth of a blob."""
    score = blob.score
    inside, shape = score > 0, (score.shape[0], score.shape[1])
    tone = make_fractal_noise(rng, shape, 4, 3, 0.7)
    onset = np.where(inside, _draw_day(rng, settings, kind, good), 0).astype(np.int32)
    patchy = np.clip(make_fractal_noise(rng, shape, 3, 2), 0, None)
    flooded, pond = np.zeros_like(onset), np.zeros(shape, np.uint16)
    if kind == "mine":
        onset = _grow(rng, settings, onset, score)
        flooded, pond = _dig_ponds(rng, onset, score)
    ground, leaves = _describe_bared_ground(rng, kind, score, tone, patchy)
    bare, regrow = {"clearing": (14, 14), "burn": (20, 110), "logging": (200, 1500)}.get(kind, (0, 0))
    stages: tuple[Stage, ...] = ()
    if kind == "cleared":
        bare, regrow = int(rng.integers(25, 65)), int(rng.integers(50, 105))
        stages = _plan_stages(rng, tone)
    leaves = np.where(inside, leaves, 1).astype(np.float32)
    return SimulatedPatch(kind, blob.row, blob.column, onset, flooded, ground, pond, leaves, bare, regrow, stages)


def _plan_stages(rng: np.random.Generator, tone: Field) -> tuple[Stage, ...]:
    """Let slash dry and show soil; a third burns in between, though not all over."""
    dry = int(rng.integers(8, 30))
    soil = shade_ground(GroundSpectrum.FELLED, rng.uniform(0.3, 0.7) + 0.18 * tone)
    if rng.random() < 0.65:
        return (Stage(dry, soil),)
    burnt = shade_ground(GroundSpectrum.CHAR, 0.6 + 0.2 * tone)
    return Stage(dry, np.where(tone > -0.3, burnt, soil)), Stage(dry + int(rng.integers(10, 25)), soil)


def _describe_bared_ground(
    rng: np.random.Generator, kind: Kind, score: Field, tone: Field, patchy: Field
) -> tuple[NDArray[np.uint16], Field]:
    """Return the palette code of the bared ground and the remaining share of leaves."""
    core = score / np.float32(max(0.3, float(score.max())))
    if kind == "mine":
        # Ochre or pale, darker and wetter at the edge, bright tailings in places.
        soil = GroundSpectrum.OCHRE if rng.random() < 0.65 else GroundSpectrum.SAND
        shade = rng.uniform(0.25, 0.5) + 0.2 * np.clip(core * 2, 0, 1) + 0.22 * tone
        return shade_ground(soil, shade), _draw_weeds(rng, tone, core)
    if kind == "cleared":  # slash: dying leaves, branches, some soil
        return shade_ground(GroundSpectrum.FELLED, rng.uniform(0.1, 0.45) + 0.2 * tone), 0.03 + 0.07 * patchy
    if kind == "burn":
        return shade_ground(GroundSpectrum.CHAR, 0.5 + 0.2 * tone), 0.55 - 0.35 * np.clip(core * 2.5, 0, 1) + 0.12 * patchy
    if kind == "landslide":
        return shade_ground(GroundSpectrum.OCHRE, 0.45 + 0.15 * tone), 0.03 + 0.04 * patchy
    return shade_ground(GroundSpectrum.TILLED, 0.4 + 0.15 * tone), 0.14 + 0.08 * patchy


def _draw_weeds(rng: np.random.Generator, tone: Field, core: Field) -> Field:
    """Draw the leaves that a mine keeps or soon has again: some are bare all over, others half green, most at their edge."""
    green, patchy = rng.uniform(0, 0.26), make_fractal_noise(rng, (tone.shape[0], tone.shape[1]), 5, 3)
    weeds: Field = np.clip(green + 0.16 * patchy + 0.12 * (1 - np.clip(core * 3, 0, 1)), 0.02, 0.55).astype(np.float32)
    return weeds


def _draw_day(rng: np.random.Generator, settings: Simulation, kind: Kind, good: Sequence[int]) -> int:
    """Draw the ordinal of the day of a change, early enough to be seen afterwards."""
    start, stop = settings.changes_start.toordinal(), settings.last.toordinal()
    late = start + int((stop - start) * 0.6)
    if kind == "clearing" and good:  # with a second look at bare ground it could not be distinguished from a mine
        looks = [sum(d <= g < d + 26 for g in good) for d in range(start, late + 1)]
        fewest = min(n for n in looks if n) if any(looks) else 0
        return start + int(rng.choice([k for k, n in enumerate(looks) if n == fewest]))
    if kind == "burn":  # fires run in the dry season, if the period has one
        dry = 8 if settings.latitude < 0 or settings.climate == "temperate" else 2
        days = [d for d in range(start, late + 1) if dt.date.fromordinal(d).month in (dry, dry + 1)]
        if days:
            return int(rng.choice(days))
    if kind == "cleared" and rng.random() < 0.7:  # forest is felled as the dry season begins
        first = 5 if settings.latitude < 0 or settings.climate == "temperate" else 11
        days = [d for d in range(start, late + 1) if (dt.date.fromordinal(d).month - first) % 12 < 4]
        if days:
            return int(rng.choice(days))
    return int(rng.integers(start, late + 1))


def _grow(rng: np.random.Generator, settings: Simulation, onset: NDArray[np.int32], score: Field) -> NDArray[np.int32]:
    """Let two mines in three spread from their core in steps of about ten days."""
    inside = onset > 0
    if rng.random() > 0.67 or inside.sum() < 40:
        return onset
    first = int(onset.max())
    days = min(int(rng.integers(60, 200)), (settings.last.toordinal() - first) * 2 // 3)
    order = np.zeros(onset.shape, np.float64)
    order[inside] = 1 - (score[inside].argsort().argsort() + 1) / inside.sum()
    spread = np.clip((order - 0.35) / 0.65, 0, 1) ** 0.8
    return np.where(inside, first + (spread * days / 10).astype(np.int32) * 10, 0).astype(np.int32)


def _dig_ponds(rng: np.random.Generator, onset: NDArray[np.int32], score: Field) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Flood a few hollows some weeks after they were dug, each with its own water."""
    inside, shape = onset > 0, (onset.shape[0], onset.shape[1])
    hollow = make_fractal_noise(rng, shape, max(2.5, 0.12 * inside.sum() ** 0.5), 2) + 0.3 * (score > 0.35 * score.max())
    labels, count = ndimage.label(inside & (hollow > np.quantile(hollow[inside], rng.uniform(0.7, 0.9))))
    delay = np.concatenate([[0], rng.integers(5, 50, count)])
    kind = np.concatenate([[0], np.where(rng.random(count) < 0.55, GroundSpectrum.POND, GroundSpectrum.GREEN_POND)])
    tone = np.concatenate([[0], rng.beta(1.2, 2, count)])
    water = np.select([kind[labels] == w for w in WATERS[1:]], [shade_ground(w, tone[labels]) for w in WATERS[1:]], 0)
    return np.where(labels > 0, onset + delay[labels], 0).astype(np.int32), water.astype(np.uint16)


def apply_patch(patch: SimulatedPatch, surface: Surface, day: dt.date, rows: slice) -> None:
    """Apply a patch to some rows of a surface, as it is on a day."""
    own_rows, columns = patch.window()
    top, bottom = max(rows.start, own_rows.start), min(rows.stop, own_rows.stop)
    if top >= bottom:
        return
    own = slice(top - patch.row, bottom - patch.row)
    here = slice(top - rows.start, bottom - rows.start), columns
    age = day.toordinal() - patch.onset[own]
    changed = (patch.onset[own] > 0) & (age >= 0)
    before = surface.leaves[here]
    back = np.zeros(before.shape, np.float32)
    if patch.regrow_days:
        back += 1 - np.exp(-np.clip(age - patch.bare_days, 0, None) / patch.regrow_days).astype(np.float32)
    left = np.minimum(patch.leaves[own], before)
    surface.leaves[here] = np.where(changed, left + (before - left) * back, before)
    wet = (patch.flooded[own] > 0) & (day.toordinal() >= patch.flooded[own])
    surface.leaves[here] = np.where(changed & wet, 0, surface.leaves[here])
    soil = patch.ground[own]
    for stage in patch.stages:
        soil = np.where(age >= stage.age, stage.ground[own], soil)
    soil = np.where(wet, patch.pond[own], soil)
    surface.ground[here] = np.where(changed & (back < 0.8), soil, surface.ground[here])
