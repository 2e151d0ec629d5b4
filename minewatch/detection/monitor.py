"""Follows a pixel look by look: an anomaly begins, is confirmed, and ends when the vegetation is back."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import subroutine
from minewatch.detection.baseline import PixelBaseline
from minewatch.detection.change_map import EPISODE, Episodes
from minewatch.detection.residual import PixelResidual, expect_ndvi
from minewatch.detection.rules import Rules


class Outcome(IntEnum):
    """What a look did to a pixel; of several things the most important one."""

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
        ("epoch", np.int32),
        ("is_open", np.int16),
        ("is_counted", np.int16),
        ("first_seen", np.int32),
        ("provisional_on", np.int32),
        ("confirmed_on", np.int32),
        ("settled_on", np.int32),
        ("last_seen", np.int32),
        ("normal_before", np.int32),
        ("leafy_before", np.int32),
        ("last_normal", np.int32),
        ("last_leafy", np.int32),
        ("n_anomalous", np.int32),
        ("n_strong", np.int32),
        ("n_char", np.int32),
        ("n_soil", np.int32),
        ("n_clear", np.int32),
        ("n_recovered", np.int32),
        ("recovered_from", np.int32),
        ("evidence_sum", np.float64),
        ("loss_sum", np.float64),
        ("ndvi_sum", np.float64),
        ("peak_loss", np.float64),
        ("peak_gain", np.float64),
        ("haze", np.float64),
        ("ndvi_change_sum", np.float64),
        ("bsi_change_sum", np.float64),
    ],
    align=True,
)
"""The state of a pixel between two looks; dates are days since 1970-01-01, 0 = none.

``epoch`` is that of its baseline, ``last_normal`` its last normal look, ``last_leafy`` its last normal look in leaf.  Of the
anomaly that ``is_open``: the dates of an EPISODE, and these two looks before it (``normal_before``, ``leafy_before``); the
number of looks that count (``n_anomalous``), of strong ones, of charred ones and of those that show soil among them; of clear
looks since its first (``n_clear``); of normal looks in a row (``n_recovered``) and the day of the first of these; sums of
evidence, loss, NDVI and changes over the looks that count; their largest loss and soil gain; the ``haze`` of the latest; and
whether the present look counts (``is_counted``).
"""

State = Any
"""A record of STATE."""

PLAIN_FALL = 0.25
"""NDVI by which ground must have fallen from a normal look that was not in leaf: else that look does not show it unchanged."""


@subroutine
def update_state(
    day: int,
    ndvi: float,
    residual: PixelResidual,
    base: PixelBaseline,
    rules: Rules,
    state: State,
    pixel: int,
    ended: Any,
    ends: NDArray[np.int64],
    count: int,
) -> tuple[int, int]:
    """Update the record ``state`` of a pixel by one look; return its Outcome and the number of ``episodes_out``."""
    is_significant = residual.safe_span >= rules.min_contrast and residual.sure
    clearly_lost = min(residual.clean_loss, residual.loss) >= rules.strong_loss and not residual.snowy
    strong = is_significant and (clearly_lost or residual.shows_soil)
    weak = is_significant and not strong and residual.loss >= rules.weak_loss
    lost, confirmed = strong or weak, state.confirmed_on > 0
    # The blue of the ground stays the same; haze changes from look to look.
    tolerance = rules.same_blue + rules.same_share * max(state.haze, 0.0)
    brighter = state.is_open > 0 and residual.haze > state.haze + tolerance
    begins = state.is_open == 0 and (strong or (weak and residual.loss >= rules.strong_loss))
    begins = begins and residual.haze <= rules.cloud_blue
    restarted = False
    if state.is_open > 0 and not confirmed and lost:
        # Two looks half a year apart are two changes.
        stale = day - state.last_seen > rules.agree_days
        darker = residual.haze < state.haze - tolerance
        # A rim pixel that the mine takes whole later on is brighter from then on.
        restarted = darker or stale or (brighter and strong)
        if restarted:
            if state.provisional_on > 0:  # its episode is kept
                count = record_end(ended, ends, count, pixel, state, day)
            # What was seen through haze before was the same loss, if it stood out with the haze taken out.
            if stale or state.n_strong == 0:
                _open_anomaly(state, day)
            _reset(state)
            brighter = False
    if begins:
        _open_anomaly(state, day)
        _reset(state)
        brighter = False
    state.is_counted = state.is_open > 0 and lost and not (brighter and state.confirmed_on == 0)
    if state.is_counted > 0:
        outcome = _count_look(day, ndvi, strong, residual, base, rules, state)
        is_plain = outcome == Outcome.STRONG or outcome == Outcome.WEAK  # noqa: PLR1714 - quicker to compile
        if is_plain and (begins or restarted):
            outcome = Outcome.BEGAN if begins else Outcome.RESTARTED
        return outcome, count
    if state.is_open > 0:
        outcome = _check_recovery(day, ndvi, residual, rules, state)
        if outcome == Outcome.CLOSED:
            count = record_end(ended, ends, count, pixel, state, day)
            state.is_open = 0
        if outcome != Outcome.UNDECIDED:
            return outcome, count
    if residual.safe_span < rules.min_contrast:
        return Outcome.TOO_BARE, count
    if state.is_open > 0:
        return Outcome.HAZIER if lost else Outcome.UNDECIDED, count
    return Outcome.PASSED_OVER if lost else Outcome.NORMAL, count


@subroutine
def _open_anomaly(state: State, day: int) -> None:
    """Begin an anomaly at this look."""
    state.is_open = 1
    state.first_seen, state.n_clear = day, 1
    state.normal_before, state.leafy_before = state.last_normal, state.last_leafy


@subroutine
def _reset(state: State) -> None:
    """Set the counts, sums and dates of the anomaly to 0."""
    state.provisional_on = state.confirmed_on = state.settled_on = 0
    state.n_anomalous = state.n_strong = state.n_char = state.n_soil = state.n_recovered = 0
    state.evidence_sum = state.loss_sum = state.ndvi_sum = state.peak_loss = state.peak_gain = 0.0
    state.ndvi_change_sum = state.bsi_change_sum = 0.0


@subroutine
def _count_look(
    day: int, ndvi: float, strong: bool, residual: PixelResidual, base: PixelBaseline, rules: Rules, state: State
) -> int:
    """Add a look to the open anomaly; return its Outcome."""
    state.haze, state.last_seen, state.n_recovered = residual.haze, day, 0
    state.n_anomalous += 1
    state.n_strong += strong
    state.n_char += residual.charred
    state.n_soil += residual.shows_soil
    state.peak_loss, state.peak_gain = max(state.peak_loss, residual.loss), max(state.peak_gain, residual.soil_gain)
    gain = residual.soil_gain if residual.shows_soil else 0.0
    state.evidence_sum += min(max((residual.loss if strong else 0.5 * residual.loss) + gain, 0.0), 1.0)
    state.loss_sum += residual.loss
    state.ndvi_sum += ndvi
    state.ndvi_change_sum += ndvi - residual.level
    state.bsi_change_sum += residual.bsi_change
    score = state.evidence_sum * state.n_anomalous
    # Ground that greens up again is no mine: neither its loss nor its soil lasts.
    lasts = residual.loss >= rules.lasting_share * state.peak_loss or gain >= rules.lasting_share * max(state.peak_gain, 0.01)
    # A burn or a thinned stand keeps some green and shows no soil; cleared ground does, though it may be charred or half green.
    unburnt = state.n_char <= rules.char_share * state.n_anomalous
    is_bared = state.n_soil >= 2 or (unburnt and state.loss_sum >= rules.bared_loss * state.n_anomalous)
    proven = (state.n_strong >= 2 or state.n_anomalous >= rules.settle_looks) and is_bared
    outcome = Outcome.STRONG if strong else Outcome.WEAK
    if state.n_anomalous >= 2 and state.provisional_on == 0 and lasts and score >= rules.min_score:
        state.provisional_on = day
        _settle_normal(ndvi, base, state)
        outcome = Outcome.PROVISIONAL
    if state.provisional_on > 0 and state.confirmed_on == 0 and lasts and proven:
        state.confirmed_on = day
    if state.confirmed_on > 0 and state.settled_on == 0 and state.n_anomalous >= rules.settle_looks:
        state.settled_on = day
        outcome = Outcome.SETTLED
    return Outcome.CONFIRMED if state.confirmed_on == day else outcome


@subroutine
def _settle_normal(ndvi: float, base: PixelBaseline, state: State) -> None:
    """Go back to the last normal look in leaf where the one before the anomaly does not show that the ground was unchanged.

    A stand without leaves looks like one that was thinned: only ground that fell far below it, and stays there, tells that it
    was there.
    """
    ground = max(ndvi, state.ndvi_sum / state.n_anomalous)
    if state.normal_before > state.leafy_before and expect_ndvi(base, state.normal_before) - ground < PLAIN_FALL:
        state.normal_before = state.leafy_before


@subroutine
def _check_recovery(day: int, ndvi: float, residual: PixelResidual, rules: Rules, state: State) -> int:
    """Return CALM or CLOSED where a look that does not count shows vegetation, UNDECIDED otherwise."""
    # A look proves vegetation only where the bare ground of the anomaly would differ from it.
    ground = state.ndvi_sum / state.n_anomalous
    apart = residual.level - ground
    # Where soil proved it, half-green ground differs in that.
    soil_is_gone = state.n_soil >= 2 and residual.soil_gain < 0.5 * state.peak_gain
    if not (residual.is_normal and (apart >= rules.min_contrast or soil_is_gone) and ndvi - ground >= apart / 2):
        return Outcome.UNDECIDED
    if state.n_recovered == 0:
        state.recovered_from = day
    state.n_recovered += 1
    patient = state.n_recovered >= rules.close_looks and day - state.recovered_from >= rules.close_days
    return Outcome.CLOSED if patient or (state.confirmed_on == 0 and state.n_recovered >= rules.fade_looks) else Outcome.CALM


@subroutine
def record_end(ended: Any, ends: NDArray[np.int64], count: int, pixel: int, state: State, closed_on: int) -> int:
    """Copy the state of an anomaly into ``ended[count]``, and its pixel and day into ``ends[count]``; return the new count."""
    ended[count] = state
    ends[count, 0], ends[count, 1] = pixel, closed_on
    return count + 1


def make_episodes(states: Any, pixels: NDArray[np.integer[Any]], closed_on: NDArray[np.integer[Any]] | int) -> Episodes:
    """Return the EPISODE records of anomalies with these STATE records; ``closed_on`` is 0 where they are open."""
    episodes = np.zeros(len(states), EPISODE)
    episodes["row"], episodes["closed_on"] = pixels, closed_on
    for name in ("first_seen", "provisional_on", "confirmed_on", "settled_on", "last_seen"):
        episodes[name] = states[name]
    episodes["last_normal"], episodes["looks"] = states["normal_before"], states["n_clear"]
    for name in ("ndvi_change", "bsi_change"):
        episodes[name] = np.rint(10000 * states[f"{name}_sum"] / np.maximum(states["n_anomalous"], 1))
    return episodes
