"""What a legal status rests on, as data: titles, their dates and ids, and the files that say so.

It is kept in one cell of the alert, ``legal_basis``, as JSON, so that it goes wherever the alert goes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from minewatch.alerts.context.source_file import SourceFile
from minewatch.alerts.context.terms import ALWAYS, LEGAL, NEVER, STANDINGS, TITLE

if TYPE_CHECKING:
    from minewatch.alerts.context.legal_status import Verdict
    from minewatch.alerts.context.overlap import Overlap

_UNSTATED = {"standing": TITLE, "words": "", "applied": None, "as_of": None}
"""What is left out of the JSON where nothing is stated."""

TITLE_SHARE = 0.05
"""Share of an alert beyond which every title is listed; smaller ones are where they decide."""


@dataclass(frozen=True)
class Title:
    """One row of a register that an alert lies in."""

    name: str
    """Of the feature."""

    id: str
    """What the layer calls it; '' where no column is declared for it, or the cell is empty."""

    layer: str
    """Name of the layer."""

    dated: bool
    """False where its dates are missing or cannot be read."""

    valid_from: dt.date | None
    """First day of validity; None = no bound, or not known."""

    valid_to: dt.date | None
    """Last day of validity; None = no bound, or not known."""

    hectares: float
    """Of the alert in it."""

    per_cent: float
    """Of the alert in it."""

    decides: bool
    """True if the legal status rests on it."""

    standing: str = TITLE
    """What the row is: one of STANDINGS."""

    words: str = ""
    """Of the register on its status; '' where it has none."""

    applied: dt.date | None = None
    """When it was applied for; None where that is not known."""


@dataclass(frozen=True)
class BasisPeriod:
    """Days running, of those on which the ground may have changed, with the same status."""

    first: dt.date | None
    """None where no normal look is known: any day up to the last."""

    last: dt.date
    """The last of them."""

    status: str
    """One of LEGAL."""


@dataclass(frozen=True)
class BasisLayer:
    """A layer that covers the alert."""

    layer: str
    """Its name."""

    files: tuple[SourceFile, ...]
    """The layer's file, and those beside it that belong to it."""

    as_of: dt.date | None = None
    """The day whose state it shows, as declared; None where nothing is."""


@dataclass(frozen=True)
class LegalBasis:
    """What the legal status of an alert rests on."""

    periods: tuple[BasisPeriod, ...]
    """The time in which the ground may have changed, as judged."""

    titles: tuple[Title, ...]
    """Those that decide first; then the largest first."""

    smaller: int
    """Titles that are not listed, since they neither decide nor cover more than TITLE_SHARE."""

    layers: tuple[BasisLayer, ...]
    """All that were consulted, also where the alert lies in none of their titles."""

    @classmethod
    def of(cls, verdict: Verdict, found: Sequence[Overlap], total: float, layers: Sequence[BasisLayer]) -> Self:
        """Gather it for a site of ``total`` hectares."""
        titles = [_describe_title(overlap, verdict, total) for overlap in found]
        listed = [title for title in titles if title.decides or title.hectares > TITLE_SHARE * total]
        listed.sort(key=lambda title: (not title.decides, -title.hectares, title.name, title.id, title.layer))
        periods = [BasisPeriod(None if p.first == ALWAYS else p.first, p.last, p.status) for p in verdict.periods]
        return cls(tuple(periods), tuple(listed), len(titles) - len(listed), tuple(layers))

    def render(self) -> str:
        """Return it as compact JSON; a title of a layer that states no status has no status here."""
        document = asdict(self)
        for part in (*document["titles"], *document["layers"]):
            for key, default in _UNSTATED.items():
                if key in part and part[key] == default:
                    del part[key]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str)


def _describe_title(overlap: Overlap, verdict: Verdict, total: float) -> Title:
    from minewatch.alerts.context.overlap import measure_union  # noqa: PLC0415  reading a basis measures nothing

    hectares = min(measure_union([overlap]), total)
    first, last = overlap.period or (ALWAYS, NEVER)
    return Title(
        name=overlap.name,
        id=overlap.feature_id,
        layer=overlap.layer,
        dated=overlap.period is not None,
        valid_from=None if first == ALWAYS else first,
        valid_to=None if last == NEVER else last,
        hectares=round(hectares, 4),
        per_cent=round(100 * hectares / total, 2),
        decides=overlap in verdict.deciding,
        standing=overlap.standing,
        words=overlap.words,
        applied=overlap.applied,
    )


def read_legal_basis(cell: Any) -> LegalBasis | None:
    """Read the cell ``legal_basis``, as text or, in evidence, as data.

    None where there is nothing, or somebody has changed it to what it cannot be.
    """
    try:
        document = cell if isinstance(cell, dict) else json.loads(cell)
        return LegalBasis(
            tuple(map(_read_period, document["periods"])),
            tuple(map(_read_title, document["titles"])),
            int(document["smaller"]),
            tuple(map(_read_layer, document["layers"])),
        )
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
        return None


def _read_period(cells: Mapping[str, Any]) -> BasisPeriod:
    if cells["status"] not in LEGAL:
        raise ValueError(cells["status"])
    return BasisPeriod(_read_day(cells["first"]), dt.date.fromisoformat(cells["last"]), cells["status"])


def _read_title(cells: Mapping[str, Any]) -> Title:
    name, feature_id, layer = (str(cells[key]) for key in ("name", "id", "layer"))
    days = _read_day(cells["valid_from"]), _read_day(cells["valid_to"])
    size = float(cells["hectares"]), float(cells["per_cent"])
    standing = str(cells.get("standing", TITLE))
    if standing not in STANDINGS:
        raise ValueError(standing)
    words, applied = str(cells.get("words", "")), _read_day(cells.get("applied"))
    return Title(name, feature_id, layer, bool(cells["dated"]), *days, *size, bool(cells["decides"]), standing, words, applied)


def _read_layer(cells: Mapping[str, Any]) -> BasisLayer:
    files = [SourceFile(*(str(file[key]) for key in ("file", "modified", "sha256"))) for file in cells["files"]]
    return BasisLayer(str(cells["layer"]), tuple(files), _read_day(cells.get("as_of")))


def _read_day(cell: str | None) -> dt.date | None:
    return None if cell is None else dt.date.fromisoformat(cell)
