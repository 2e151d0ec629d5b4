"""Follows each pixel from look to look: an anomaly is seen, grows sure, and ends when vegetation is back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detect.baseline import evaluate
from minewatch.detect.pixels import PixelBaseline, Rules, fit_pixel

NOTHING, CALM, WEAK, STRONG = 0, 1, 2, 3
"""What a look says of a pixel: it does not count, vegetation is there, some is lost, much is lost."""

FIELDS = (
    "row",
    "first_seen",
    "provisional_on",
    "confirmed_on",
    "settled_on",
    "closed_on",
    "last_seen",
    "clear_before",
    "looks",
    "ndvi_change",
    "bsi_change",
)
"""Columns of the anomalies that are found; ``row`` holds the number of the pixel."""


class Sight(NamedTuple):
    """One look at one pixel, set against its baseline."""

    level: float
    """Expected NDVI, the scene's shift included."""

    loss: float
    """Share of the vegetation lost against the lowest level that a season early or late would give."""

    clean_loss: float
    """The same with haze taken out of the look."""

    plain_loss: float
    """The same against the expected level."""

    safe_span: float
    """Lowest level above bare ground."""

    sure: bool
    """The loss stands out of the noise of pixel and scene."""

    haze: float
    """Blue above its baseline, reflectance."""


@njit(nogil=True, cache=True)
def see(
    ndvi: float,
    blue: float,
    nir: float,
    base: PixelBaseline,
    terms: NDArray[np.float64],
    scene: NDArray[np.float64],
    rules: Rules,
) -> Sight:
    """Set a look against the baseline.  ``terms`` are (3, term); ``scene`` is shift, spread and blue of the look."""
    shift, spread, scene_blue = scene
    level = _level(base, terms[0]) + shift
    safe = min(min(_level(base, terms[1]), _level(base, terms[2])) + shift, level)
    haze = blue - evaluate(terms[0], base.blue) - scene_blue
    # Haze adds the same to red and near infrared, and what it adds is what it adds to blue.
    red = nir * (1 - ndvi) / max(1 + ndvi, 0.01)
    clean = min(max((nir - red) / max(nir + red - 2 * max(haze, 0.0), 0.03), -1.0), 1.0)
    safe_span = safe - rules.bare_ndvi
    room = max(safe_span, 0.05)
    return Sight(
        level,
        (safe - ndvi) / room,
        (safe - clean) / room,
        (level - ndvi) / max(level - rules.bare_ndvi, 0.05),
        safe_span,
        safe - ndvi >= 3 * np.hypot(base.noise, 0.75 * spread),
        haze,
    )


@njit(nogil=True, cache=True)
def _level(base: PixelBaseline, row: NDArray[np.float64]) -> float:
    return min(max(evaluate(row, base.ndvi), base.low), base.high)


@njit(nogil=True, cache=True)
def follow_pixels(
    days: NDArray[np.int32],
    clear: NDArray[np.bool_],
    layers: NDArray[np.int16],
    epochs: NDArray[np.int64],
    terms: NDArray[np.float64],
    rules: Rules,
    scenes: NDArray[np.float64],
    agrees: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    looks: NDArray[np.int32],
    high: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Follow every pixel inside the area; gives its anomalies as rows of FIELDS.

    ``scenes`` is (time, 3): shift, spread, blue.  ``looks`` and ``high`` (pixel,) are filled with the number of looks of
    the latest baseline and its largest NDVI.
    """
    found = np.zeros((1024, len(FIELDS)), np.int32)
    count = 0
    for pixel in range(clear.shape[0]):
        if inside[pixel]:
            start = count
            found, count = _follow_pixel(
                days, clear[pixel], layers[pixel], epochs, terms, rules, scenes, agrees, found, count, looks[pixel:], high[pixel:]
            )
            found[start:count, 0] = pixel
    return found[:count]


@njit(nogil=True, cache=True)
def _follow_pixel(
    days: NDArray[np.int32],
    clear: NDArray[np.bool_],
    layers: NDArray[np.int16],
    epochs: NDArray[np.int64],
    terms: NDArray[np.float64],
    rules: Rules,
    scenes: NDArray[np.float64],
    agrees: NDArray[np.bool_],
    found: NDArray[np.int32],
    count: int,
    looks: NDArray[np.int32],
    high: NDArray[np.float64],
) -> tuple[NDArray[np.int32], int]:
    excluded = np.zeros(days.size, np.bool_)
    is_open = False
    first_seen = provisional_on = confirmed_on = settled_on = last_seen = clear_before = last_clear = 0
    hits = seen = calm = calm_from = 0
    total = ground = haze = ndvi_change = bsi_change = 0.0
    base = fit_pixel(clear, layers, excluded, epochs[0, 0], epochs[0, 1], terms[0])
    for epoch in range(epochs.shape[0]):
        if epoch > 0 and not is_open:
            base = fit_pixel(clear, layers, excluded, epochs[epoch, 0], epochs[epoch, 1], terms[0])
        monitored = base.looks >= rules.min_looks and base.high >= rules.min_vegetation
        for t in range(epochs[epoch, 1], epochs[epoch, 2]):
            if not clear[t]:
                continue
            day = int(days[t])
            seen += 1
            if not (monitored and agrees[t]):
                last_clear = day
                continue
            ndvi, blue, nir = layers[0, t] / 10000, layers[2, t] / 10000, layers[3, t] / 10000
            sight = see(ndvi, blue, nir, base, terms[:, t], scenes[t], rules)
            heard = sight.safe_span >= rules.min_contrast and sight.sure
            strong = heard and sight.clean_loss >= rules.strong_loss and sight.loss >= rules.strong_loss
            weak = heard and not strong and sight.loss >= rules.weak_loss
            # The ground stays as blue as it is; haze changes from look to look.
            tolerance = rules.same_blue + rules.same_share * max(haze, 0.0)
            darker = is_open and confirmed_on == 0 and sight.haze < haze - tolerance and (strong or weak)
            fresh = not is_open and (strong or (weak and sight.loss >= rules.begin_loss)) and sight.haze <= rules.cloud_blue
            brighter = is_open and sight.haze > haze + tolerance
            if fresh or darker:
                is_open = True
                first_seen, provisional_on, confirmed_on, settled_on, clear_before = day, 0, 0, 0, last_clear
                hits, seen, calm = 0, 1, 0
                total = ground = ndvi_change = bsi_change = 0.0
                brighter = False
            if is_open and (strong or weak) and not (brighter and confirmed_on == 0):
                excluded[t] = True
                haze = sight.haze
                hits += 1
                calm = 0
                last_seen = day
                total += min(max(sight.loss if strong else 0.5 * sight.loss, 0.0), 1.0)
                ground += ndvi
                ndvi_change += ndvi - sight.level
                bsi_change += layers[1, t] / 10000 - evaluate(terms[0, t], base.bsi)
                score = total * hits
                if hits >= 2 and provisional_on == 0 and score >= rules.provisional_score:
                    provisional_on = day
                if hits >= 2 and confirmed_on == 0 and score >= rules.confirmed_score:
                    confirmed_on = day
                if confirmed_on > 0 and settled_on == 0 and hits >= rules.settle_looks:
                    settled_on = day
            elif is_open:
                # A look speaks for vegetation only where the anomaly's own ground would show on it.
                apart = sight.level - ground / hits
                stands_clear = sight.level - rules.bare_ndvi >= rules.min_contrast and apart >= rules.min_contrast
                if stands_clear and sight.plain_loss < rules.normal_loss and ndvi - ground / hits >= apart / 2:
                    if calm == 0:
                        calm_from = day
                    calm += 1
                    patient = calm >= rules.close_looks and day - calm_from >= rules.close_days
                    if (confirmed_on == 0 and calm >= rules.fade_looks) or patient:
                        found = _grow(found, count)
                        _record_dates(
                            found[count], first_seen, provisional_on, confirmed_on, settled_on, day, last_seen, clear_before, seen
                        )
                        _record_changes(found[count], ndvi_change / hits, bsi_change / hits)
                        count += 1
                        is_open = False
            last_clear = day
    if is_open:
        found = _grow(found, count)
        _record_dates(found[count], first_seen, provisional_on, confirmed_on, settled_on, 0, last_seen, clear_before, seen)
        _record_changes(found[count], ndvi_change / hits, bsi_change / hits)
        count += 1
    looks[0], high[0] = base.looks, base.high
    return found, count


@njit(nogil=True, cache=True)
def _grow(found: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    if count < found.shape[0]:
        return found
    larger = np.zeros((2 * found.shape[0], found.shape[1]), np.int32)
    larger[:count] = found
    return larger


@njit(nogil=True, cache=True)
def _record_dates(
    row: NDArray[np.int32],
    first_seen: int,
    provisional_on: int,
    confirmed_on: int,
    settled_on: int,
    closed_on: int,
    last_seen: int,
    clear_before: int,
    looks: int,
) -> None:
    row[1], row[2], row[3], row[4] = first_seen, provisional_on, confirmed_on, settled_on
    row[5], row[6], row[7], row[8] = closed_on, last_seen, clear_before, looks


@njit(nogil=True, cache=True)
def _record_changes(row: NDArray[np.int32], ndvi_change: float, bsi_change: float) -> None:
    row[9], row[10] = np.rint(10000 * ndvi_change), np.rint(10000 * bsi_change)
