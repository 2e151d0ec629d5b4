"""Follows each pixel from look to look: an anomaly is seen, grows sure, and ends when vegetation is back."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detect.baseline import evaluate
from minewatch.detect.pixels import PixelBaseline, Rules, fit_pixel, is_monitored


class Outcome(IntEnum):
    """What a look did to a pixel; of several things the one that weighs most."""

    NOT_CLEAR = 0
    BASELINE = 1
    NOT_MONITORED = 2
    SCENE_DISAGREES = 3
    TOO_BARE = 4
    NORMAL = 5
    PASSED_OVER = 6
    UNDECIDED = 7
    HAZIER = 8
    BEGAN = 9
    RESTARTED = 10
    WEAK = 11
    STRONG = 12
    PROVISIONAL = 13
    CONFIRMED = 14
    SETTLED = 15
    CALM = 16
    CLOSED = 17


COUNTED = (
    Outcome.BEGAN,
    Outcome.RESTARTED,
    Outcome.WEAK,
    Outcome.STRONG,
    Outcome.PROVISIONAL,
    Outcome.CONFIRMED,
    Outcome.SETTLED,
)
"""Looks that belong to an anomaly: no baseline is made from them."""

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

    charred: bool
    """Dark in red as leaves are, and not dark in the short-wave infrared as water and mud are: char or thin canopy, no soil."""

    snowy: bool
    """Bright in blue and near infrared, dark in the short-wave infrared: this may be snow, and alone proves nothing."""


@njit(nogil=True, cache=True)
def see(
    values: NDArray[np.float64],
    base: PixelBaseline,
    terms: NDArray[np.float64],
    scene: NDArray[np.float64],
    rules: Rules,
) -> Sight:
    """Set a look against the baseline.

    ``values`` are NDVI, BSI, blue and near infrared, ``terms`` (3, term), ``scene`` shift, spread, blue and BSI of the look.
    """
    ndvi, bsi, blue, nir = values
    shift, spread, scene_blue, scene_bsi = scene
    level = _level(base, terms[0]) + shift
    safe = min(min(_level(base, terms[1]), _level(base, terms[2])) + shift, level)
    haze = blue - evaluate(terms[0], base.blue) - scene_blue
    # Haze adds the same to red and near infrared, and what it adds is what it adds to blue.
    red = nir * (1 - ndvi) / max(1 + ndvi, 0.01)
    clean = min(max((nir - red) / max(nir + red - 2 * max(haze, 0.0), 0.03), -1.0), 1.0)
    safe_span = safe - rules.bare_ndvi
    room = max(safe_span, 0.05)
    swir = (nir + blue) * (1 + bsi) / max(1 - bsi, 0.05) - red
    fall = evaluate(terms[0], base.bsi) + scene_bsi - bsi
    return Sight(
        level,
        (safe - ndvi) / room,
        (safe - clean) / room,
        (level - ndvi) / max(level - rules.bare_ndvi, 0.05),
        safe_span,
        safe - ndvi >= 3 * np.hypot(base.noise, 0.75 * spread),
        haze,
        # Leaves are as dark in red as in blue, so the blue that is expected stands for both.
        red - evaluate(terms[0], base.blue) - scene_blue < rules.char_red and swir >= rules.water_swir,
        fall > rules.snow_bsi and haze > rules.snow_blue and nir > rules.water_nir,
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
    green: NDArray[np.bool_],
    trace: NDArray[np.int8],
) -> NDArray[np.int32]:
    """Follow every pixel inside the area; gives its anomalies as rows of FIELDS.

    ``scenes`` is (time, 4): shift, spread, blue, BSI.  ``looks`` and ``green`` (pixel,) are filled with the number of looks of
    the latest baseline, and with whether there is vegetation to lose.  ``trace`` (pixel, 2, time) is filled with the Outcome
    of each look and the epoch whose baseline it was set against; with one row for all pixels it is a scratch.
    """
    found = np.zeros((1024, len(FIELDS)), np.int32)
    count = 0
    for pixel in range(clear.shape[0]):
        if inside[pixel]:
            start = count
            found, count = _follow_pixel(
                days,
                clear[pixel],
                layers[pixel],
                epochs,
                terms,
                rules,
                scenes,
                agrees,
                found,
                count,
                looks[pixel:],
                green[pixel:],
                trace[pixel % trace.shape[0]],
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
    green: NDArray[np.bool_],
    trace: NDArray[np.int8],
) -> tuple[NDArray[np.int32], int]:
    did, fitted = trace[0], trace[1]
    excluded = np.zeros(days.size, np.bool_)
    is_open = False
    first_seen = provisional_on = confirmed_on = settled_on = last_seen = clear_before = last_clear = 0
    hits = firm = charred = seen = calm = calm_from = 0
    total = ground = peak = haze = ndvi_change = bsi_change = 0.0
    for t in range(epochs[0, 1]):
        if clear[t]:
            last_clear = int(days[t])
            did[t] = Outcome.BASELINE
    source = 0
    base = fit_pixel(clear, layers, excluded, epochs[0, 0], epochs[0, 1], terms[0], rules)
    for epoch in range(epochs.shape[0]):
        if epoch > 0 and not is_open:
            source = epoch
            base = fit_pixel(clear, layers, excluded, epochs[epoch, 0], epochs[epoch, 1], terms[0], rules)
        monitored = is_monitored(base, rules)
        for t in range(epochs[epoch, 1], epochs[epoch, 2]):
            fitted[t] = source
            if not clear[t]:
                continue
            day = int(days[t])
            seen += 1
            if not (monitored and agrees[t]):
                did[t] = Outcome.SCENE_DISAGREES if monitored else Outcome.NOT_MONITORED
                last_clear = day
                continue
            values = layers[:, t] / 10000
            ndvi = values[0]
            sight = see(values, base, terms[:, t], scenes[t], rules)
            heard = sight.safe_span >= rules.min_contrast and sight.sure
            strong = heard and min(sight.clean_loss, sight.loss) >= rules.strong_loss and not sight.snowy
            weak = heard and not strong and sight.loss >= rules.weak_loss
            # The ground stays as blue as it is; haze changes from look to look.
            tolerance = rules.same_blue + rules.same_share * max(haze, 0.0)
            darker = is_open and confirmed_on == 0 and sight.haze < haze - tolerance and (strong or weak)
            # Two looks half a year apart are two changes.
            stale = is_open and confirmed_on == 0 and day - last_seen > rules.agree_days and (strong or weak)
            fresh = not is_open and (strong or (weak and sight.loss >= rules.begin_loss)) and sight.haze <= rules.cloud_blue
            brighter = is_open and sight.haze > haze + tolerance
            if sight.safe_span < rules.min_contrast:
                did[t] = Outcome.TOO_BARE
            elif strong or weak:
                did[t] = Outcome.HAZIER if is_open else Outcome.PASSED_OVER
            else:
                did[t] = Outcome.UNDECIDED if is_open else Outcome.NORMAL
            # A rim pixel that the mine takes whole later on is brighter from then on.
            taken = brighter and confirmed_on == 0 and strong
            if fresh or darker or stale or taken:
                if provisional_on > 0 and is_open:  # what was known stays known
                    found = _grow(found, count)
                    _record_dates(found[count], first_seen, provisional_on, 0, 0, day, last_seen, clear_before, seen)
                    _record_changes(found[count], ndvi_change / hits, bsi_change / hits)
                    count += 1
                # What was seen through haze before was the same loss, if it stood out with the haze taken out.
                if fresh or stale or firm == 0:
                    first_seen, clear_before, seen = day, last_clear, 1
                is_open, brighter = True, False
                provisional_on = confirmed_on = settled_on = 0
                hits = firm = charred = calm = 0
                total = ground = peak = ndvi_change = bsi_change = 0.0
            if is_open and (strong or weak) and not (brighter and confirmed_on == 0):
                excluded[t] = True
                haze = sight.haze
                hits += 1
                did[t] = Outcome.STRONG if strong else Outcome.WEAK
                if fresh or darker or stale or taken:
                    did[t] = Outcome.BEGAN if fresh else Outcome.RESTARTED
                firm += strong
                charred += sight.charred
                calm = 0
                last_seen = day
                peak = max(peak, sight.loss)
                total += min(max(sight.loss if strong else 0.5 * sight.loss, 0.0), 1.0)
                ground += ndvi
                ndvi_change += ndvi - sight.level
                bsi_change += values[1] - evaluate(terms[0, t], base.bsi)
                # Ground that greens up again is no mine; a burn or a thinned stand keeps some green.
                lasts = sight.loss >= rules.lasting_share * peak
                soil = ground / hits < rules.mine_ndvi and charred <= rules.char_share * hits
                proven = (firm >= 2 or hits >= rules.settle_looks) and soil
                if hits >= 2 and provisional_on == 0 and lasts and total * hits >= rules.provisional_score:
                    provisional_on = day
                    did[t] = Outcome.PROVISIONAL
                if provisional_on > 0 and confirmed_on == 0 and lasts and proven and total * hits >= rules.confirmed_score:
                    confirmed_on = day
                if confirmed_on > 0 and settled_on == 0 and hits >= rules.settle_looks:
                    settled_on = day
                    did[t] = Outcome.SETTLED
                if confirmed_on == day:
                    did[t] = Outcome.CONFIRMED
            elif is_open:
                # A look speaks for vegetation only where the anomaly's own ground would show on it.
                apart = sight.level - ground / hits
                stands_clear = sight.level - rules.bare_ndvi >= rules.min_contrast and apart >= rules.min_contrast
                if stands_clear and sight.plain_loss < rules.normal_loss and ndvi - ground / hits >= apart / 2:
                    if calm == 0:
                        calm_from = day
                    calm += 1
                    did[t] = Outcome.CALM
                    patient = calm >= rules.close_looks and day - calm_from >= rules.close_days
                    if (confirmed_on == 0 and calm >= rules.fade_looks) or patient:
                        found = _grow(found, count)
                        _record_dates(
                            found[count], first_seen, provisional_on, confirmed_on, settled_on, day, last_seen, clear_before, seen
                        )
                        _record_changes(found[count], ndvi_change / hits, bsi_change / hits)
                        count += 1
                        is_open = False
                        did[t] = Outcome.CLOSED
            last_clear = day
    if is_open:
        found = _grow(found, count)
        _record_dates(found[count], first_seen, provisional_on, confirmed_on, settled_on, 0, last_seen, clear_before, seen)
        _record_changes(found[count], ndvi_change / hits, bsi_change / hits)
        count += 1
    looks[0] = base.looks
    green[0] = base.high >= rules.min_vegetation and base.bare < rules.tilled_share
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
