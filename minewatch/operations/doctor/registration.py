"""Measures how far each scene is shifted: its near infrared is correlated with the same season's median.

Windows without cloud and water are compared: slow changes of brightness are removed, masked pixels become 0, the edges fade
out, and the peak of the cross correlation is found to a twentieth of a pixel by an upsampled Fourier transform
(Guizar-Sicairos et al. 2008).  The spectrum is not whitened: with masked pixels that was several times worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from minewatch.archive.item import Observation
from minewatch.archive.stack import read_stack
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Window
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData, find_worst, name_observation
from minewatch.operations.doctor.reference_pixels import find_median, find_peers
from minewatch.raster.indices import LAYERS
from minewatch.settings.scl import WATER

SIDE = 192
"""Side of a window in pixels at most."""

WINDOWS = 4
"""Windows at most, spread over the area."""

HELD = 2**25
"""Pixels of a window times observations at most; windows are smaller where there are more observations."""

TOGETHER = 16
"""Observations that are read at a time."""

UPSAMPLING = 20
"""Steps of a pixel in which a shift is found."""

SLOW = 5
"""Scale in pixels of the changes of brightness that are removed."""

CLIP = 3
"""Robust standard deviations at which contrast is clipped, so that single bright objects do not decide."""

LEAST_CLEAR = 0.3
"""Clear share of a window that a scene needs."""

LEAST_PIXELS = 900
"""Clear pixels of a window that a scene needs."""

LEAST_AGREEMENT = 0.45
"""Correlation at the peak that a shift needs."""

FARTHEST = 10
"""Pixels beyond which a peak is rejected."""

SPREAD = 0.5
"""Pixels by which the shifts of windows may differ."""

PEERS = 9
"""Observations of the same season whose median a scene is compared with."""

LEAST_PEERS = 3
"""Clear ones among them that a pixel needs."""

NOTABLE, SEVERE = 0.5, 1.5
"""Pixels beyond which a shift is reported, and beyond which it is a fault."""

NIR = next(number for number, layer in enumerate(LAYERS) if layer.name == "nir")


@dataclass(frozen=True)
class Shift:
    """Displacement of a scene against the baseline."""

    rows: float
    """Pixels towards the south."""

    columns: float
    """Pixels towards the east."""

    agreement: float
    """Correlation at the peak, 0 to 1."""

    @property
    def length(self) -> float:
        """Pixels."""
        return float(np.hypot(self.rows, self.columns))


def check_registration(data: ExaminedData, reporter: Reporter) -> DataCheck:
    """Measure the shift of each observation against the same season's median."""
    name, total = "misregistration", len(data.observations)
    shifts = measure_shifts(data.observations, data.area, reporter)
    findings = [_make_finding(observation, shift) for observation, shift in zip(data.observations, shifts, strict=True)]
    measured = [shift for shift in shifts if shift is not None]
    if not measured:
        text = "too little clear ground with contrast to measure a shift"
        return DataCheck(name, CheckOutcome.UNKNOWN, "-", text, findings, {"judged": 0})
    metres = np.array([shift.length * PIXEL for shift in measured])
    far = sum(finding.outcome in (CheckOutcome.LOOK, CheckOutcome.FAULT) for finding in findings)
    median, largest = float(np.median(metres)), float(metres.max())
    text = f"shift against the baseline: median {median:.1f} m, largest {largest:.1f} m;"
    text += f" {far} of {count_of(len(measured), 'scene')} beyond {NOTABLE * PIXEL:.0f} m"
    text += f"; not measurable for {total - len(measured)}" if total > len(measured) else ""
    facts = {"judged": len(measured), "median_m": round(median, 1), "largest_m": round(largest, 1), "beyond_half_a_pixel": far}
    return DataCheck(name, find_worst(findings), f"{largest:.1f} m", text, findings, facts)


def _make_finding(observation: Observation, shift: Shift | None) -> CheckFinding:
    name, date = name_observation(observation), observation.time.date()
    if shift is None:
        return CheckFinding(name, date, CheckOutcome.UNKNOWN, "too little clear ground with contrast to measure a shift")
    east, north = shift.columns * PIXEL, -shift.rows * PIXEL
    outcome = CheckOutcome.FAULT if shift.length > SEVERE else CheckOutcome.LOOK if shift.length > NOTABLE else CheckOutcome.OK
    facts = {"shift_m": round(shift.length * PIXEL, 1), "east_m": round(east, 1), "north_m": round(north, 1)}
    ways = f"{abs(east):.1f} m {'east' if east >= 0 else 'west'}, {abs(north):.1f} m {'north' if north >= 0 else 'south'}"
    text = f"lies {shift.length * PIXEL:.1f} m beside the baseline ({ways})"
    return CheckFinding(name, date, outcome, text, facts | {"agreement": round(shift.agreement, 2)})


def measure_shifts(observations: Sequence[Observation], area: AreaPlan, reporter: Reporter) -> list[Shift | None]:
    """Return the shift of each observation, None where it cannot be measured."""
    windows = choose_windows(area, len(observations))
    days = np.array([observation.day for observation in observations], np.int32)
    measured: list[list[Shift]] = [[] for _ in observations]
    for window in reporter.track(windows, f"{area.aoi.name}: measuring shifts", len(windows)):
        codes = _read_window(observations, area, window)
        usable = (codes > 0).mean(axis=(1, 2)) >= LEAST_CLEAR
        for number in np.flatnonzero(usable).tolist():
            peers = find_peers(days, number, usable, PEERS)
            if len(peers) >= LEAST_PEERS:
                shift = estimate_shift(codes[number], find_median(codes[peers], LEAST_PEERS))
                measured[number] += [shift] if shift else []
    return [join_shifts(shifts) for shifts in measured]


def choose_windows(area: AreaPlan, observations: int) -> list[Window]:
    """Choose windows spread over the area, those with the largest share inside it."""
    side = min(SIDE, max(64, int((HELD / max(1, observations)) ** 0.5)))
    tiles = [tile for tile in area.grid.window.cut(side, side) if tile.height * tile.width >= LEAST_PIXELS]
    if area.grid.shape[0] <= side * 1.5 and area.grid.shape[1] <= side * 1.5:
        tiles = [area.grid.window]
    # Of many tiles only some are measured.
    tiles = [tiles[number] for number in np.linspace(0, len(tiles) - 1, min(64, len(tiles))).round().astype(int)]
    shares = [float(area.grid.inside(tile).mean()) * tile.height * tile.width for tile in tiles]
    good = [tile for tile, share in zip(tiles, shares, strict=True) if share >= 0.6 * max(shares)]
    return [good[number] for number in np.linspace(0, len(good) - 1, min(WINDOWS, len(good))).round().astype(int)]


def _read_window(observations: Sequence[Observation], area: AreaPlan, window: Window) -> NDArray[np.uint8]:
    """Read the near infrared of a window, (time, y, x) codes, 0 where not clear or water."""
    around = window.grow(margin_pixels(area.pipeline.mask), area.grid.shape)
    inner = window.within(around)
    codes = np.empty((len(observations), *window.shape), np.uint8)
    for first in range(0, len(observations), TOGETHER):
        rows = slice(first, first + TOGETHER)
        stack = read_stack(observations[rows], around)
        shows = find_clear(stack.scl, area.pipeline.mask) & (stack.scl != WATER)  # water moves
        codes[rows] = np.where(shows[:, *inner], stack.codes[NIR][:, *inner], np.uint8(0))
    return codes


def estimate_shift(scene: NDArray[np.uint8], baseline: NDArray[np.uint8]) -> Shift | None:
    """Find how far a scene lies from the baseline, both (y, x) codes with 0 = masked; None where it cannot be measured."""
    both = (scene > 0) & (baseline > 0)
    if both.sum() < LEAST_PIXELS or both.mean() < LEAST_CLEAR:
        return None
    fade = np.outer(*(np.hanning(side + 2)[1:-1] for side in both.shape))
    first, second = (_sharpen(image, both) * fade for image in (baseline, scene))
    if not (first.any() and second.any()):
        return None
    found, error, _ = phase_cross_correlation(first, second, upsample_factor=UPSAMPLING, normalization=None)
    agreement = float(np.sqrt(max(0.0, 1 - float(error) ** 2)))
    shift = Shift(-float(found[0]), -float(found[1]), agreement)
    return shift if agreement >= LEAST_AGREEMENT and shift.length <= FARTHEST else None


def _sharpen(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Remove slow changes, clip extremes, and set masked pixels to 0."""
    values = np.where(mask, image, 0).astype(float)
    weight = ndimage.gaussian_filter(mask.astype(float), SLOW)
    sharp = np.where(mask, values - ndimage.gaussian_filter(values, SLOW) / np.maximum(weight, 1e-6), 0)
    limit = CLIP * 1.4826 * float(np.median(np.abs(sharp[mask])))
    return np.clip(sharp, -limit, limit)


def join_shifts(shifts: Sequence[Shift]) -> Shift | None:
    """Combine the shifts of several windows; None where there is none or they contradict each other."""
    if not shifts:
        return None
    rows, columns = (np.array([getattr(shift, name) for shift in shifts]) for name in ("rows", "columns"))
    joint = Shift(float(np.median(rows)), float(np.median(columns)), float(np.median([s.agreement for s in shifts])))
    spread = np.median(np.hypot(rows - joint.rows, columns - joint.columns))
    return joint if spread <= SPREAD else None
