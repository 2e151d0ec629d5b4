"""Learns from a workspace's own reviews what its mines look like, and measures it on areas that were held out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.own_reviews import OwnReviews, gather_reviews
from minewatch.core.errors import AlertsError
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.likeness.figures import Figures, Scored, measure, measure_within
from minewatch.likeness.home_layer import HomeLayer, apply_home_layer, fit_home_layer
from minewatch.likeness.home_versions import HomeVersion, add_version
from minewatch.likeness.model import Model, read_model

FEWEST = 30
"""Reviews; of fewer nobody can tell whether the layer is better than the shipped score."""


@dataclass(frozen=True)
class AreaResult:
    """One area, judged by what was learnt in all others."""

    aoi: str
    """Its name."""

    reviews: int
    """Of its alerts."""

    mines: int
    """How many say mine."""

    shipped_brier: float
    """Mean squared distance between the shipped score and the reviews."""

    home_brier: float
    """The same after the layer."""


@dataclass(frozen=True)
class Learnt:
    """A layer, and how good it is in areas that it has not seen."""

    layer: HomeLayer
    """Fitted to all reviews."""

    reviews: OwnReviews
    """What it was fitted to."""

    shipped: Figures | None
    """Of the shipped score, with the AUC within areas; None where the reviews are all of one area."""

    home: Figures | None
    """Of layers that were each fitted without the area that they are judged on, with the AUC within areas."""

    areas: Sequence[AreaResult] = ()
    """Area by area."""

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept beside the layer, as plain data."""
        return {
            "reviews": len(self.reviews.mine),
            "mines": int(self.reviews.mine.sum()),
            "areas": [asdict(area) for area in self.areas],
            **{name: _describe(found) for name, found in {"shipped": self.shipped, "home": self.home}.items() if found},
        }


def _describe(figures: Figures) -> dict[str, Any]:
    facts = {name: asdict(getattr(figures, name)) for name in ("auc", "brier", "ece")}
    return {**facts, "reliability": [asdict(one) for one in figures.bins]}


def learn_likeness(workspace: Workspace, model: Model | None = None) -> Learnt:
    """Return what the reviews of a workspace teach; nothing is written.

    Raises AlertsError where they are fewer than FEWEST, or all say the same.
    """
    model = model or read_model()
    reviews = gather_reviews(workspace, model.version)
    check_reviews(reviews)
    layer = _fit(reviews, np.ones(len(reviews.mine), bool), model)
    if len(np.unique(reviews.aoi)) == 1:
        return Learnt(layer, reviews, None, None)
    held_out = _judge_held_out(reviews, model)
    judged = (Scored(score.astype(np.float64), reviews.mine, reviews.aoi) for score in (reviews.score, held_out))
    shipped, home = (replace(measure(scored), auc=measure_within(scored)) for scored in judged)
    return Learnt(layer, reviews, shipped, home, _list_areas(reviews, held_out))


def adopt(workspace: Workspace, learnt: Learnt, today: dt.date) -> HomeVersion:
    """Use what was learnt from the next scan on; raises AlertsError where no area could be held out to measure it."""
    if learnt.home is None:
        raise AlertsError(
            f"all reviews are of one area, {learnt.reviews.aoi[0]}: how the layer does on ground that it has not seen cannot be "
            "measured, and without that it is not adopted; review alerts of a second area"
        )
    with workspace.lock("likeness learn"):
        return add_version(workspace.home_layers, learnt.layer, today, learnt.facts)


def check_reviews(reviews: OwnReviews) -> None:
    """Raise AlertsError where nothing can be learnt from the reviews, saying why."""
    count, mines = len(reviews.mine), int(reviews.mine.sum())
    if count < FEWEST:
        others = "; ".join(f"{number} {reason}" for reason, number in reviews.left_out.items())
        raise AlertsError(
            f"{count_of(count, 'review')} can be learnt from, and {FEWEST} are needed: with fewer, chance decides whether the "
            f"layer is better than the shipped score{f' (left out: {others})' if others else ''}"
        )
    if mines in (0, count):
        said, lacking = ("are mines", "are none") if mines else ("are no mines", "are")
        raise AlertsError(
            f"all {count} reviews say that alerts {said}: a likeness is learnt from both; review some that {lacking}"
        )


def _fit(reviews: OwnReviews, chosen: NDArray[np.bool_], model: Model) -> HomeLayer:
    return fit_home_layer(model.version, reviews.score[chosen], reviews.features[chosen], reviews.mine[chosen], model.axes)


def _judge_held_out(reviews: OwnReviews, model: Model) -> NDArray[np.float32]:
    """Return the scores of each area by a layer that was fitted without it."""
    score = np.empty(len(reviews.mine), np.float32)
    for aoi in np.unique(reviews.aoi):
        own = reviews.aoi == aoi
        score[own] = apply_home_layer(_fit(reviews, ~own, model), reviews.score[own], reviews.features[own])
    return score


def _list_areas(reviews: OwnReviews, held_out: NDArray[np.float32]) -> list[AreaResult]:
    errors = [np.square(score.astype(np.float64) - reviews.mine) for score in (reviews.score, held_out)]
    areas = []
    for aoi in np.unique(reviews.aoi):
        own = reviews.aoi == aoi
        briers = (float(error[own].mean()) for error in errors)
        areas.append(AreaResult(str(aoi), int(own.sum()), int(reviews.mine[own].sum()), *briers))
    return areas
