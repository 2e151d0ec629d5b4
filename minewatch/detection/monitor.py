"""Judges a pixel look by look: an anomaly is seen, grows sure, and ends when vegetation is back."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit

from minewatch.detection.residual import PixelResidual
from minewatch.detection.rules import Rules


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

STATE = np.dtype(
    [
        ("source", np.int32),
        ("is_open", np.int32),
        ("first_seen", np.int32),
        ("provisional_on", np.int32),
        ("confirmed_on", np.int32),
        ("settled_on", np.int32),
        ("last_seen", np.int32),
        ("clear_before", np.int32),
        ("last_clear", np.int32),
        ("hits", np.int32),
        ("firm", np.int32),
        ("charred", np.int32),
        ("seen", np.int32),
        ("calm", np.int32),
        ("calm_from", np.int32),
        ("counted", np.int32),
        ("loss", np.float64),
        ("ground", np.float64),
        ("peak", np.float64),
        ("haze", np.float64),
        ("ndvi_change", np.float64),
        ("bsi_change", np.float64),
    ],
    align=True,
)
"""What is remembered of a pixel from look to look.

``source`` is the epoch of its baseline, ``last_clear`` its last clear look; dates are days since 1970-01-01, 0 = none.  Of the
anomaly that ``is_open``: the dates of an EPISODE; the looks that count (``hits``), of those the strong (``firm``) and the
``charred`` ones; the clear looks since its first (``seen``); the normal looks in a row (``calm``) and the first of them; the sums
of loss, NDVI (``ground``) and changes; the largest loss (``peak``); the ``haze`` of the latest look that counts; and whether the
look just judged ``counted``.
"""

State = Any
"""A record of STATE."""


@njit(nogil=True, cache=True)
def update_state(
    day: int, ndvi: float, bsi_change: float, sight: PixelResidual, rules: Rules, own: State, pixel: int, found: Any, count: int
) -> tuple[int, int]:
    """Judge one look at one pixel, whose record ``own`` it changes; gives its Outcome, and the number of episodes found."""
    heard = sight.safe_span >= rules.min_contrast and sight.sure
    strong = heard and min(sight.clean_loss, sight.loss) >= rules.strong_loss and not sight.snowy
    weak = heard and not strong and sight.loss >= rules.weak_loss
    lost, confirmed = strong or weak, own.confirmed_on > 0
    # The ground stays as blue as it is; haze changes from look to look.
    tolerance = rules.same_blue + rules.same_share * max(own.haze, 0.0)
    brighter = own.is_open > 0 and sight.haze > own.haze + tolerance
    fresh = own.is_open == 0 and (strong or (weak and sight.loss >= rules.begin_loss)) and sight.haze <= rules.cloud_blue
    restarted = False
    if own.is_open > 0 and not confirmed and lost:
        # Two looks half a year apart are two changes.
        stale = day - own.last_seen > rules.agree_days
        darker = sight.haze < own.haze - tolerance
        # A rim pixel that the mine takes whole later on is brighter from then on.
        restarted = darker or stale or (brighter and strong)
        if restarted:
            if own.provisional_on > 0:  # what was known stays known
                count = record_episode(found, count, pixel, own, day)
            # What was seen through haze before was the same loss, if it stood out with the haze taken out.
            if stale or own.firm == 0:
                _begin(own, day)
            _reset(own)
            brighter = False
    if fresh:
        _begin(own, day)
        _reset(own)
        brighter = False
    own.counted = own.is_open > 0 and lost and not (brighter and own.confirmed_on == 0)
    if own.counted > 0:
        outcome = _count_look(day, ndvi, bsi_change, strong, sight, rules, own)
        if outcome in (Outcome.STRONG, Outcome.WEAK) and (fresh or restarted):
            outcome = Outcome.BEGAN if fresh else Outcome.RESTARTED
        return outcome, count
    if own.is_open > 0:
        outcome = _check_recovery(day, ndvi, sight, rules, own)
        if outcome == Outcome.CLOSED:
            count = record_episode(found, count, pixel, own, day)
            own.is_open = 0
        if outcome != Outcome.UNDECIDED:
            return outcome, count
    if sight.safe_span < rules.min_contrast:
        return Outcome.TOO_BARE, count
    if own.is_open > 0:
        return Outcome.HAZIER if lost else Outcome.UNDECIDED, count
    return Outcome.PASSED_OVER if lost else Outcome.NORMAL, count


@njit(nogil=True, cache=True)
def _begin(own: State, day: int) -> None:
    """Let an anomaly begin at this look."""
    own.is_open = 1
    own.first_seen, own.clear_before, own.seen = day, own.last_clear, 1


@njit(nogil=True, cache=True)
def _reset(own: State) -> None:
    """Forget what was counted for the anomaly so far."""
    own.provisional_on = own.confirmed_on = own.settled_on = 0
    own.hits = own.firm = own.charred = own.calm = 0
    own.loss = own.ground = own.peak = own.ndvi_change = own.bsi_change = 0.0


@njit(nogil=True, cache=True)
def _count_look(day: int, ndvi: float, bsi_change: float, strong: bool, sight: PixelResidual, rules: Rules, own: State) -> int:
    """Add a look to the open anomaly; gives its Outcome."""
    own.haze, own.last_seen, own.calm = sight.haze, day, 0
    own.hits += 1
    own.firm += strong
    own.charred += sight.charred
    own.peak = max(own.peak, sight.loss)
    own.loss += min(max(sight.loss if strong else 0.5 * sight.loss, 0.0), 1.0)
    own.ground += ndvi
    own.ndvi_change += ndvi - sight.level
    own.bsi_change += bsi_change
    # Ground that greens up again is no mine; a burn or a thinned stand keeps some green.
    lasts, score = sight.loss >= rules.lasting_share * own.peak, own.loss * own.hits
    soil = own.ground / own.hits < rules.mine_ndvi and own.charred <= rules.char_share * own.hits
    proven = (own.firm >= 2 or own.hits >= rules.settle_looks) and soil
    outcome = Outcome.STRONG if strong else Outcome.WEAK
    if own.hits >= 2 and own.provisional_on == 0 and lasts and score >= rules.provisional_score:
        own.provisional_on = day
        outcome = Outcome.PROVISIONAL
    if own.provisional_on > 0 and own.confirmed_on == 0 and lasts and proven and score >= rules.confirmed_score:
        own.confirmed_on = day
    if own.confirmed_on > 0 and own.settled_on == 0 and own.hits >= rules.settle_looks:
        own.settled_on = day
        outcome = Outcome.SETTLED
    return Outcome.CONFIRMED if own.confirmed_on == day else outcome


@njit(nogil=True, cache=True)
def _check_recovery(day: int, ndvi: float, sight: PixelResidual, rules: Rules, own: State) -> int:
    """Ask whether a look that does not count shows vegetation: CALM, CLOSED, or else UNDECIDED."""
    # A look speaks for vegetation only where the anomaly's own ground would show on it.
    ground = own.ground / own.hits
    apart = sight.level - ground
    stands_clear = sight.level - rules.bare_ndvi >= rules.min_contrast and apart >= rules.min_contrast
    if not (stands_clear and sight.plain_loss < rules.normal_loss and ndvi - ground >= apart / 2):
        return Outcome.UNDECIDED
    if own.calm == 0:
        own.calm_from = day
    own.calm += 1
    patient = own.calm >= rules.close_looks and day - own.calm_from >= rules.close_days
    return Outcome.CLOSED if patient or (own.confirmed_on == 0 and own.calm >= rules.fade_looks) else Outcome.CALM


@njit(nogil=True, cache=True)
def record_episode(found: Any, count: int, pixel: int, own: State, closed_on: int) -> int:
    """Write the pixel's anomaly into the EPISODE record ``found[count]``; gives the new count."""
    row = found[count]
    row.row = pixel
    row.first_seen, row.provisional_on, row.confirmed_on = own.first_seen, own.provisional_on, own.confirmed_on
    row.settled_on, row.closed_on, row.last_seen = own.settled_on, closed_on, own.last_seen
    row.clear_before, row.looks = own.clear_before, own.seen
    row.ndvi_change = round(10000 * own.ndvi_change / own.hits)
    row.bsi_change = round(10000 * own.bsi_change / own.hits)
    return count + 1
