"""How good scores are where the truth is known: figures with intervals from draws of whole sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.core.estimate import LEVEL, Estimate, estimate_share

BINS = 10
"""Of equal width, from 0 to 1, in which scores are compared with the share of mines."""

DRAWS = 500
"""Of the bootstrap."""

RECALL = 0.9
"""Share of the mines that are called mines at the score from which confusers are counted."""

RECALLS = (0.5, 0.7, 0.8, 0.9, 0.95)
"""At which the precision is told."""

PREVALENCES = (0.01, 0.1)
"""Share of mines among alerts for which it is told."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Scores of which the truth is known."""

    score: Numbers
    """(n,) 0 to 1."""

    mine: NDArray[np.bool_]
    """(n,) the truth."""

    source: NDArray[np.str_]
    """(n,) where each comes from; what is of one source is alike, so that sources are drawn, not single scores."""

    def choose(self, chosen: NDArray[np.bool_]) -> Scored:
        """Return some of them."""
        return Scored(self.score[chosen], self.mine[chosen], self.source[chosen])


@dataclass(frozen=True)
class Bin:
    """Scores of nearly the same value."""

    score: float
    """Their mean."""

    share: Estimate
    """How many of them are mines."""

    count: int
    """How many there are."""


@dataclass(frozen=True)
class Group:
    """Scores of one source, ground or size."""

    name: str
    """Its name."""

    count: int
    """How many."""

    mines: int
    """How many of them are mines."""

    auc: Estimate
    """Against all scores of the other class; among themselves where it has both."""

    called: Estimate
    """Share that is called mines at the score at which RECALL of all mines are."""

    gap: float
    """Mean score less share of mines."""


@dataclass(frozen=True)
class Figures:
    """How good the scores are."""

    count: int
    """How many."""

    mines: int
    """How many of them are mines."""

    auc: Estimate
    """Chance that a mine scores higher than other ground."""

    brier: Estimate
    """Mean squared distance between score and truth."""

    ece: Estimate
    """Mean distance between score and share of mines, over BINS, by how many are in each."""

    f1: Estimate
    """Where scores of 0.5 and more are called mines."""

    threshold: float | None
    """Score at which RECALL of the mines are called mines; None where there are none."""

    roc: tuple[Numbers, Numbers]
    """Shares of other ground and of mines that are called mines, as the score at which they are falls."""

    bins: Sequence[Bin]
    """Those with scores in them."""

    def find_false_share(self, recall: float) -> Estimate:
        """Return the share of other ground that is called mines where this share of the mines is."""
        others, (false, true) = self.count - self.mines, self.roc
        if not self.mines:
            return Estimate(None)
        return estimate_share(round(float(false[int(np.argmax(true >= recall))]) * others), others)

    def find_precision(self, recall: float, prevalence: float) -> Estimate:
        """Return the share of mines among what is called mines, at this recall and with this share of mines in all.

        Its interval is that of the share of other ground: where none of a few is called a mine, more may be.
        """
        false = self.find_false_share(recall)
        right, others = prevalence * recall, 1 - prevalence
        ends = [None if end is None else right / (right + others * end) for end in (false.value, false.high, false.low)]
        return Estimate(*ends)


def measure(scored: Scored) -> Figures:
    """Return the figures; those that compare mines with other ground are None where there are not both."""
    order = np.argsort(-scored.score, kind="stable")
    values, mine, source = scored.score[order], scored.mine[order], scored.source[order]
    ends = np.flatnonzero(np.append(np.diff(values) != 0, True))
    ordered, weight = Scored(values, mine, source), np.ones(len(values))
    false, true = _count_called(ordered, ends, weight)
    draws = [_summarise(ordered, ends, drawn) for drawn in draw_sources(ordered)]
    auc, brier, ece, f1 = (
        _make_estimate(value, [draw[number] for draw in draws]) for number, value in enumerate(_summarise(ordered, ends, weight))
    )
    threshold = float(values[ends][int(np.argmax(true[1:] >= RECALL))]) if mine.any() else None
    return Figures(len(mine), int(mine.sum()), auc, brier, ece, f1, threshold, (false, true), _list_bins(scored))


def measure_within(scored: Scored) -> Estimate:
    """Return the AUC of mines and other ground of the same source, with an interval from draws of sources.

    It compares no scores of different sources: those of leave-one-out come from different layers.
    """
    counts = []
    for source in np.unique(scored.source):
        own = scored.choose(scored.source == source)
        places = _place(own.score[own.mine], np.sort(own.score[~own.mine]))
        if len(places) and np.isfinite(places).all():
            counts.append((places.sum() * (~own.mine).sum(), own.mine.sum() * (~own.mine).sum()))
    if not counts:
        return Estimate(None)
    random, table = np.random.default_rng(0), np.array(counts, float)
    drawn = [table[random.integers(0, len(table), len(table))].sum(axis=0) for _ in range(DRAWS)]
    won, pairs = table.sum(axis=0)
    return _make_estimate(float(won / pairs), [float(one[0] / one[1]) for one in drawn])


def draw_sources(scored: Scored) -> Iterator[Numbers]:
    """Yield how often each score is drawn, where its sources are drawn with replacement.

    Sources of mines, of other ground and of both are drawn among themselves; where there is only one of a kind, its scores are.
    """
    _, number = np.unique(scored.source, return_inverse=True)
    count = np.bincount(number)
    kind = np.sign(np.bincount(number, scored.mine)) + 2 * np.sign(np.bincount(number, ~scored.mine))
    random = np.random.default_rng(0)
    for _ in range(DRAWS):
        weight = np.zeros(len(number))
        for own in np.unique(kind):
            members = np.flatnonzero(kind == own)
            if len(members) > 1:
                drawn = np.bincount(random.choice(members, len(members)), minlength=len(count))
                weight += drawn[number]
            else:
                chips = np.flatnonzero(number == members[0])
                weight += np.bincount(random.choice(chips, len(chips)), minlength=len(number))
        yield weight


def _count_called(ordered: Scored, ends: NDArray[np.intp], weight: Numbers) -> tuple[Numbers, Numbers]:
    """Return the shares of other ground and of mines at and above each distinct score, from none on."""
    shares = []
    for chosen in (~ordered.mine, ordered.mine):
        summed = np.cumsum(weight * chosen)
        shares.append(np.concatenate([[0.0], summed[ends] / max(summed[-1], 1e-12)]))
    return shares[0], shares[1]


def _summarise(ordered: Scored, ends: NDArray[np.intp], weight: Numbers) -> tuple[float, float, float, float]:
    """Return AUC, Brier score, calibration error and F1 of weighted scores; AUC is no number where a class is missing."""
    false, true = _count_called(ordered, ends, weight)
    both = weight[ordered.mine].sum() and weight[~ordered.mine].sum()
    auc = float(np.trapezoid(true, false)) if both else float("nan")
    error = ordered.score - ordered.mine
    place = np.minimum((ordered.score * BINS).astype(int), BINS - 1)
    ece = float(np.abs(np.bincount(place, weight * error)).sum() / weight.sum())
    called = ordered.score >= 0.5
    hits, wrong = (weight * called * ordered.mine).sum(), (weight * (called != ordered.mine)).sum()
    return auc, float((weight * error**2).sum() / weight.sum()), ece, float(2 * hits / max(2 * hits + wrong, 1e-12))


def _make_estimate(value: float, draws: Sequence[float]) -> Estimate:
    known = [draw for draw in draws if np.isfinite(draw)]
    if not np.isfinite(value) or not known:
        return Estimate(value if np.isfinite(value) else None)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _list_bins(scored: Scored) -> list[Bin]:
    place = np.minimum((scored.score * BINS).astype(int), BINS - 1)
    return [
        Bin(float(scored.score[place == n].mean()), estimate_share(int(scored.mine[place == n].sum()), count), count)
        for n, count in enumerate(np.bincount(place, minlength=BINS).tolist())
        if count
    ]


def measure_groups(scored: Scored, group: NDArray[np.str_], threshold: float | None) -> list[Group]:
    """Return how good the scores of each group are, those of other ground first, the worst of each kind first."""
    sides = {label: np.sort(scored.score[scored.mine == label]) for label in (True, False)}
    groups = [_measure_group(scored.choose(group == name), str(name), sides, threshold) for name in np.unique(group)]
    return sorted(groups, key=lambda found: (found.mines > 0, found.auc.value or 0.0, found.name))


def _measure_group(own: Scored, name: str, sides: Mapping[bool, Numbers], threshold: float | None) -> Group:
    mines, count = int(own.mine.sum()), len(own.mine)
    if 0 < mines < count:
        places = _place(own.score[own.mine], np.sort(own.score[~own.mine]))
    else:
        against = _place(own.score, sides[not mines])
        places = against if mines else 1 - against
    random = np.random.default_rng(0)
    draws = [float(places[random.integers(0, len(places), len(places))].mean()) for _ in range(DRAWS)]
    called = Estimate(None) if threshold is None else estimate_share(int((own.score >= threshold).sum()), count)
    return Group(name, count, mines, _make_estimate(float(places.mean()), draws), called, float(own.score.mean()) - mines / count)


def _place(score: Numbers, others: Numbers) -> Numbers:
    """Return which share of sorted other scores each score is above, equal ones by half; no numbers where there are none."""
    below, upto = (np.searchsorted(others, score, side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(others)) if len(others) else np.full(len(score), np.nan), np.float64)
