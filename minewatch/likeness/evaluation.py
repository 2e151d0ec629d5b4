"""How good a score is on a file of labelled chips, or on any list of scores of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.progress import Reporter
from minewatch.core.units import SIZES, name_size
from minewatch.likeness.figures import PREVALENCES, RECALLS, Figures, Group, Scored, measure, measure_groups
from minewatch.likeness.labelled_chips import LabelledChips, describe_reflectance
from minewatch.likeness.model import Model

SIZE_NAMES = (f"< {SIZES[0][0]:g} ha", *(name_size(*ends) for ends in SIZES))
"""Of size classes, from the smallest; what has no size counts as the smallest."""

WORST = 10
"""Mistakes that are shown, of mines and of other ground the same number."""

AT_A_TIME = 256
"""Chips that are read as reflectance together."""


@dataclass(frozen=True)
class Mistake:
    """A score that is far from the truth."""

    name: str
    """Number of the chip, or id of the alert."""

    source: str
    """Where it comes from."""

    ground: str
    """What the truth calls it."""

    mine: bool
    """The truth."""

    score: float
    """What was said."""

    rgb: NDArray[np.float32] | None = None
    """(y, x, 3) surface reflectance; None where there is no picture of it."""


@dataclass(frozen=True)
class Evaluation:
    """How good a score is."""

    title: str
    """Of what."""

    version: str
    """Of what was scored with."""

    notes: Sequence[str]
    """How the file was read."""

    figures: Figures
    """In all."""

    groups: Mapping[str, Sequence[Group]]
    """Kind of group (source, ground, size) to its groups."""

    mistakes: Sequence[Mistake] = field(default=())
    """The worst, the worst first."""

    @property
    def facts(self) -> dict[str, Any]:
        """All figures as plain data."""
        found = self.figures
        return {
            "title": self.title,
            "version": self.version,
            "notes": list(self.notes),
            "count": found.count,
            "mines": found.mines,
            **{name: asdict(getattr(found, name)) for name in ("auc", "brier", "ece", "f1")},
            "threshold": found.threshold,
            "precision": [
                {"recall": recall, "false_share": asdict(found.find_false_share(recall))}
                | {f"at_{prevalence:g}": asdict(found.find_precision(recall, prevalence)) for prevalence in PREVALENCES}
                for recall in RECALLS
            ],
            "reliability": [asdict(one) for one in found.bins],
            "groups": {kind: [asdict(group) for group in groups] for kind, groups in self.groups.items()},
            "mistakes": [
                {name: getattr(one, name) for name in ("name", "source", "ground", "mine", "score")} for one in self.mistakes
            ],
        }


def evaluate_chips(title: str, chips: LabelledChips, model: Model, reporter: Reporter) -> Evaluation:
    """Score chips and return how good the scores are."""
    firsts = reporter.track(range(0, len(chips.mine), AT_A_TIME), "score chips")
    score = np.concatenate([model.assess(chips.reflect(slice(first, first + AT_A_TIME))).score for first in firsts])
    scored = Scored(score.astype(np.float64), chips.mine, chips.source)
    groups = {"source": chips.source, "ground": chips.ground}
    if chips.area_ha is not None:
        groups["size"] = name_sizes(chips.area_ha)
    mistakes = list_mistakes(scored, chips.ground, lambda n: f"chip {n}", lambda n: chips.reflect([n])[0])
    return evaluate(title, model.version, [describe_reflectance(chips.rgb)], scored, groups, mistakes)


def evaluate(
    title: str,
    version: str,
    notes: Sequence[str],
    scored: Scored,
    groups: Mapping[str, NDArray[np.str_]],
    mistakes: Sequence[Mistake],
) -> Evaluation:
    """Return how good scores are, in all and by groups; ``groups`` has the group of each score, by kind."""
    figures = measure(scored)
    if figures.auc.value is None:
        kind = "mines" if figures.mines else "no mines"
        notes = [*notes, f"all of them are {kind}: how well the two are told apart is not measured"]
    measured = {kind: measure_groups(scored, group, figures.threshold) for kind, group in groups.items()}
    if "size" in measured:
        measured["size"].sort(key=lambda one: SIZE_NAMES.index(one.name))
    return Evaluation(title, version, notes, figures, measured, mistakes)


def list_mistakes(
    scored: Scored,
    ground: NDArray[np.str_],
    name: Callable[[int], str],
    draw: Callable[[int], NDArray[np.float32] | None] = lambda _: None,
) -> list[Mistake]:
    """Return the worst mistakes; ``name`` and ``draw`` give name and picture of a score by its number."""
    return [
        Mistake(name(n), str(scored.source[n]), str(ground[n]), bool(scored.mine[n]), float(scored.score[n]), draw(n))
        for n in find_worst(scored).tolist()
    ]


def find_worst(scored: Scored) -> NDArray[np.intp]:
    """Return the numbers of the scores that are farthest from the truth: half of them of mines, half of other ground."""
    order = np.argsort(-np.abs(scored.score - scored.mine), kind="stable")
    chosen = np.concatenate([order[scored.mine[order] == label][: WORST // 2] for label in (True, False)])
    return chosen[np.argsort(-np.abs(scored.score - scored.mine)[chosen], kind="stable")]


def name_sizes(area_ha: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return (n,) names of size classes, of SIZE_NAMES."""
    names = np.full(len(area_ha), SIZE_NAMES[0], "U16")
    for low, high in SIZES:
        names[(area_ha >= low) & (area_ha < high)] = name_size(low, high)
    return names
