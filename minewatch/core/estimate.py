"""A number with its interval."""

from __future__ import annotations

from dataclasses import dataclass

LEVEL = 0.95
"""Of the confidence intervals."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float | None
    """None where there was nothing to count."""

    low: float | None = None
    """Lower end of the interval."""

    high: float | None = None
    """Upper end."""


def estimate_share(hits: int, trials: int) -> Estimate:
    """Return a share with its interval (Wilson 1927)."""
    from scipy import stats  # noqa: PLC0415  takes half a second to load

    if not trials:
        return Estimate(None)
    interval = stats.binomtest(hits, trials).proportion_ci(LEVEL, method="wilson")
    return Estimate(hits / trials, float(interval.low), float(interval.high))
