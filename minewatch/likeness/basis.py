"""What a score of an alert rests on: whether its ground could be scored, and what was measured beside the score."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from minewatch.likeness.grades import NOT_SCORED

MOST = 1e9
"""No number that is measured reaches it, neither metres nor hectares."""


@dataclass(frozen=True)
class ChipBasis:
    """What is known of a chip, beside the alert that it shows; a field that was not measured is None, a text ''."""

    not_scored: str = ""
    """Why it has no score, one of NOT_SCORED."""

    share: float | None = None
    """Of the chip that is hidden, or has no data, where that is why."""

    score: float | None = None
    """0 to 1, with two decimals."""

    doubt: float | None = None
    """Standard deviation of the score among the networks."""

    ground: str = ""
    """Which ground that is no mine it looks most like."""

    ground_share: float | None = None
    """How much more than like the other such grounds, 0 to 1."""

    bare: float | None = None
    """Share of the chip that the scene classes call not vegetated."""

    water: float | None = None
    """Share that they call water."""

    ponds: float | None = None
    """Share of water that ends within the chip."""

    water_m: float | None = None
    """Metres from the alert to the nearest water in the chip."""


@dataclass(frozen=True)
class Basis:
    """What the columns on likeness of an alert rest on: its chip, and how the alert grew and is shaped."""

    chip: ChipBasis
    """What the look shows."""

    look: str = ""
    """Day of the look that was scored, or could not be, ISO 8601; '' where there is none."""

    grown_from_ha: float | None = None
    """Hectares when it was confirmed, where it has grown since."""

    grown_to_ha: float | None = None
    """Hectares on the last day on which it had grown."""

    grown_days: int | None = None
    """Days between these."""

    elongation: float | None = None
    """Length of the narrowest rectangle around it, in its width."""

    def render(self) -> str:
        """Write it as one JSON object without what is not known."""
        facts = asdict(self.chip) | {name: value for name, value in vars(self).items() if name != "chip"}
        return json.dumps({name: value for name, value in facts.items() if value not in (None, "")}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: Any) -> Self | None:
        """Read what :meth:`render` wrote; None where it is something else, such as the cell of an older table."""
        try:
            facts = json.loads(text)
            chip = parse_chip({name: facts.pop(name) for name in ChipBasis.__dataclass_fields__ if name in facts})
            basis = cls(chip, **_check(facts, cls.__dataclass_fields__))
            return basis if not basis.look or dt.date.fromisoformat(basis.look) else None
        except (TypeError, ValueError, AttributeError, RecursionError):
            return None


def parse_chip(facts: Mapping[str, Any]) -> ChipBasis:
    """Return a chip's basis from its fields.  Raises ValueError or TypeError where it is none."""
    chip = ChipBasis(**_check(facts, ChipBasis.__dataclass_fields__))
    if chip.not_scored not in ("", *NOT_SCORED) or (chip.score is None) == (not chip.not_scored):
        raise ValueError("neither a score nor a reason")
    return chip


def _check(facts: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that are fields; raises TypeError or ValueError where one is of another kind."""
    known = {name: value for name, value in facts.items() if name in fields}
    for name, value in known.items():
        is_text = fields[name].default == ""
        if not isinstance(value, str if is_text else int | float | None):
            raise TypeError(name)
        if isinstance(value, int | float) and not 0 <= value < MOST:
            raise ValueError(name)
    return known
