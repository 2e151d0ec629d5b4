"""The figures of a drill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from drills.child import Ending
from drills.truth import Difference

MOST_TROUBLES = 12
"""Rounds with differences that are listed singly."""


@dataclass
class Figures:
    """The result of a drill."""

    name: str
    """Of the drill."""

    rounds: int = 0
    """Repetitions."""

    hits: int = 0
    """Rounds in which the disturbance hit its stage."""

    lost: int = 0
    """Facts that were missing or others after the next run."""

    invented: int = 0
    """Facts that should not have been there."""

    faults: int = 0
    """Evidence or custody that does not verify, files that cannot be read, next runs that fail."""

    leftovers: int = 0
    """Unfinished files after the next run."""

    repeats: int = 0
    """Events that a recipient got once more; allowed, since they carry the same id."""

    endings: Counter[int] = field(default_factory=Counter)
    """Exit codes of the disturbed runs."""

    following: Counter[int] = field(default_factory=Counter)
    """Exit codes of the next runs."""

    troubles: list[str] = field(default_factory=list)
    """Differences, with the moment of the round."""

    remark: str = ""
    """A note for readers; why a drill could not be made."""

    def add(self, difference: Difference, hits: int, following: Ending, moment: str) -> None:
        """Add a round."""
        self.rounds += 1
        self.hits += hits
        self.following[following.code] += 1
        for name in ("lost", "invented", "faults", "leftovers"):
            found: Sequence[str] = getattr(difference, name)
            setattr(self, name, getattr(self, name) + len(found))
            if found and len(self.troubles) < MOST_TROUBLES:
                more = f" and {len(found) - 3} more" if len(found) > 3 else ""
                self.troubles.append(f"{moment}: {name}: {'; '.join(fact[:160] for fact in found[:3])}{more}")

    @property
    def is_clean(self) -> bool:
        """True if no round had a difference."""
        return not (self.lost or self.invented or self.faults or self.leftovers)
