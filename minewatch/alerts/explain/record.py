"""The explanation of an alert: the values, expected values and outcome of each look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.detection.monitor import Outcome

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.NOT_CLEAR: "not clear",
    Outcome.BASELINE: "before the monitoring: for the baseline",
    Outcome.NOT_MONITORED: "pixel not monitored",
    Outcome.SCENE_DISAGREES: "scene not used: its stable ground disagrees",
    Outcome.TOO_BARE: "not used: expected ground is nearly bare",
    Outcome.NORMAL: "normal",
    Outcome.PASSED_OVER: "loss, too faint or bright to begin with",
    Outcome.UNDECIDED: "neither loss nor vegetation back",
    Outcome.HAZIER: "loss not counted: hazier than before",
    Outcome.BEGAN: "anomaly begins",
    Outcome.RESTARTED: "haze cleared: counted anew",
    Outcome.WEAK: "weak loss",
    Outcome.STRONG: "strong loss",
    Outcome.PROVISIONAL: "made provisional",
    Outcome.CONFIRMED: "confirmed",
    Outcome.SETTLED: "settled",
    Outcome.CALM: "vegetation is back",
    Outcome.CLOSED: "closed",
}
"""What each outcome is called."""

LEAFLESS = "not in leaf"
"""Note on a normal look, from which a thinned stand would hardly differ."""

NOT_NORMAL = "less green than normal, no loss that counts"
"""What a look is called that neither counts as a loss nor shows all of the expected vegetation."""


@dataclass(frozen=True)
class ExplainedLook:
    """One look at the pixel."""

    date: dt.date
    """Acquisition."""

    scenes: tuple[str, ...]
    """Ids of the scenes it was made from."""

    why_not_clear: str
    """Empty where the ground shows."""

    ndvi: float | None
    """As seen; None where nothing was read, and of no meaning where it is not clear."""

    bsi: float | None
    """The same for the bare soil index."""

    expected_ndvi: float | None
    """The baseline with the scene's shift; None where no reference pixel of the scene was usable, and no shift is known."""

    low: float | None
    """Lower edge of the band: an NDVI above it does not stand out of season and noise; None as before."""

    high: float | None
    """Upper edge: expected NDVI and three times the noise; None as before."""

    expected_bsi: float | None
    """The baseline with the scene's shift; None as before."""

    haze: float | None
    """Blue above its baseline, reflectance; None where it is not clear."""

    scene_shift: float | None
    """Median NDVI residual of the scene's stable ground; None where no reference pixel was usable."""

    loss: float | None
    """Share of the vegetation lost, as seen; None where it is not clear, or no shift is known."""

    clean_loss: float | None
    """The same with haze taken out."""

    soil_gain: float | None
    """Bare soil index above any that the season gives; None as for the loss."""

    shows_soil: bool
    """True where the look counts, and soil shows where dense vegetation was expected."""

    charred: bool
    """True where the look counts, and shows char or thin canopy."""

    outcome: Outcome
    """Its outcome."""

    is_normal: bool
    """True where the expected vegetation was there: the ground changed after the last such look."""

    is_in_leaf: bool
    """True where nearly as much vegetation is expected as at any time of the year; of a thinned stand only a look in leaf shows
    that it was there."""

    clear_pixels: int
    """Pixels of the alert that are clear in it."""

    confirmed_pixels: int
    """Pixels of the alert that are confirmed after it."""

    area_ndvi: float | None
    """Median over the alert's clear pixels."""

    area_bsi: float | None
    """The same for the bare soil index."""

    @property
    def clear(self) -> bool:
        """True where the ground shows."""
        return not self.why_not_clear

    @property
    def text(self) -> str:
        """The outcome in words."""
        return describe_outcome(self.outcome, self.why_not_clear, self.is_normal, self.is_in_leaf, self.shows_soil, self.charred)


@lru_cache(1024)
def describe_outcome(
    outcome: Outcome, why_not_clear: str, is_normal: bool, is_in_leaf: bool, shows_soil: bool, charred: bool
) -> str:
    """Return the outcome of a look in words; the arguments are those of :class:`ExplainedLook`."""
    if outcome == Outcome.NORMAL and not is_normal:
        return NOT_NORMAL
    leafless = outcome == Outcome.NORMAL and not is_in_leaf
    notes = [note for note, holds in (("soil shows", shows_soil), ("char", charred), (LEAFLESS, leafless)) if holds]
    return ", ".join([OUTCOMES[outcome] + (f": {why_not_clear}" if why_not_clear else ""), *notes])


@dataclass(frozen=True)
class Episode:
    """An anomaly of the pixel; dates that it did not reach are None."""

    first_seen: dt.date | None
    """First look that shows it."""

    provisional_on: dt.date | None
    """Second look or later."""

    confirmed_on: dt.date | None
    """The look that proved it."""

    settled_on: dt.date | None
    """The look from which a small patch suffices."""

    closed_on: dt.date | None
    """Vegetation was back."""


@dataclass(frozen=True)
class Curve:
    """The baseline day by day, without what single scenes shift; all arrays are (day,) float64."""

    days: NDArray[np.int32]
    """(day,) days since 1970-01-01."""

    ndvi: NDArray[np.float64]
    """Expected NDVI."""

    low: NDArray[np.float64]
    """Lower edge of its band: an early or late season, less three times the noise."""

    high: NDArray[np.float64]
    """Upper edge: three times the noise above."""

    bsi: NDArray[np.float64]
    """Expected BSI."""

    bsi_noise: float
    """Robust deviation of the baseline's looks about it; for the eye, no rule uses it."""


@dataclass(frozen=True)
class Explanation:
    """The explanation of one alert."""

    alert_id: str
    """Id of the alert."""

    status: str
    """As the table has it."""

    last_normal: dt.date | None
    """Of the alert: its last look judged normal before first_seen, None where none is known; it changed between the two."""

    first_seen: dt.date
    """Of the alert."""

    confirmed_on: dt.date | None
    """Of the alert."""

    green_again: dt.date | None
    """The look from which its ground counts as green again; None while it is open, or where it was merged into another."""

    monitor_from: dt.date
    """First acquisition that may raise an alert."""

    as_of: dt.date
    """Of the table."""

    pixel: tuple[int, int]
    """Row and column on the area's grid: the alert's pixel nearest to its position."""

    position: tuple[float, float]
    """Latitude and longitude of the pixel's centre."""

    pixels: int
    """Of the alert."""

    noise: float
    """Of the pixel's NDVI about its latest baseline."""

    baseline_looks: int
    """Looks that baseline rests on."""

    episodes: tuple[Episode, ...]
    """The pixel's anomalies, in order."""

    looks: tuple[ExplainedLook, ...]
    """All from the first of the baseline to the as-of date."""

    curve: Curve
    """For the figure."""

    witnesses: tuple[Mapping[str, Any], ...] = ()
    """What other systems saw of it, as the column ``witness_basis`` of the table has it."""

    notes: tuple[str, ...] = ()
    """Lines for the user."""
