"""Says how much the ground of an alert looks like a mine, and what was measured of it, in the words of a report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from minewatch.core.text import show
from minewatch.likeness.basis import Basis, ChipBasis
from minewatch.likeness.grades import (
    BARE_FROM,
    DOUBTFUL,
    DRAWN_OUT_FROM,
    LIKE,
    NAMED_FROM,
    PONDS_FROM,
    UNLIKE,
    WATER_FROM,
    grade_score,
)
from minewatch.products.report.texts import Texts

OTHER = "other ground"
"""Of the grounds that are told apart, the one that says nothing."""


def describe_likeness(basis: Basis, texts: Texts) -> str:
    """Return what is said of an alert, parts with a middle dot between them: the score first, or why there is none."""
    if basis.chip.score is None:
        return texts.text("likeness_none", reason=_explain(basis, texts))
    score = texts.number(basis.chip.score, "0.00")
    return " · ".join([_describe_score(basis.chip, basis.chip.score, score, texts), *_list_measures(basis, texts)])


def describe_cell(cell: object, texts: Texts) -> str:
    """Return what the cell ``mine_basis`` of the alerts table says in words; '' where it is empty, as in an older table."""
    basis = Basis.parse(cell)
    return describe_likeness(basis, texts) if basis else ""


def _explain(basis: Basis, texts: Texts) -> str:
    chip = basis.chip
    values = {"share": texts.percent(chip.share or 0), "day": texts.date(dt.date.fromisoformat(basis.look)) if basis.look else ""}
    return texts.text(f"likeness_not_{chip.not_scored.replace('-', '_')}", **values)


def _describe_score(chip: ChipBasis, score: float, written: str, texts: Texts) -> str:
    grade = grade_score(score)
    if grade == LIKE:
        return texts.text("likeness_like", ground=_name_ground(chip, texts), score=written)
    key = f"likeness_ground_{chip.ground.replace(' ', '_')}"
    named = (chip.ground_share or 0) >= NAMED_FROM and chip.ground != OTHER
    ground = (texts.text(key) if key in texts.words else show(chip.ground)) if named else ""
    kind = "unlike" if grade == UNLIKE else "partly"
    return texts.text(f"likeness_{kind}_ground" if ground else f"likeness_{kind}", ground=ground, score=written)


def _name_ground(chip: ChipBasis, texts: Texts) -> str:
    """Return what the ground looks like, from what the scene classes show of it."""
    water, ponds, bare = chip.water or 0, chip.ponds or 0, chip.bare or 0
    parts = ["bare"] * (bare >= BARE_FROM) + ["ponds"] * (ponds >= PONDS_FROM)
    name = texts.text("_".join(["likeness_looks", *parts]))
    return texts.text("likeness_along_water", ground=name) if water - ponds >= WATER_FROM else name


def _list_measures(basis: Basis, texts: Texts) -> Iterator[str]:
    chip = basis.chip
    if (chip.doubt or 0) >= DOUBTFUL:
        yield texts.text("likeness_doubt", spread=texts.number(chip.doubt or 0, "0.00"))
    if (chip.bare or 0) >= BARE_FROM:
        yield texts.text("likeness_bare", share=texts.percent(chip.bare or 0))
    if (chip.water or 0) >= PONDS_FROM:
        key = "likeness_water_away" if chip.water_m else "likeness_water"
        yield texts.text(key, share=texts.percent(chip.water or 0), metres=texts.number(chip.water_m or 0))
    if (chip.ponds or 0) >= PONDS_FROM:
        yield texts.text("likeness_ponds", share=texts.percent(chip.ponds or 0))
    if basis.grown_from_ha is not None and basis.grown_to_ha is not None and basis.grown_days is not None:
        sizes = {"first": texts.number(basis.grown_from_ha, "0.00"), "last": texts.number(basis.grown_to_ha, "0.00")}
        yield texts.count("likeness_grown", basis.grown_days, **sizes)
    if (basis.elongation or 0) >= DRAWN_OUT_FROM:
        yield texts.text("likeness_drawn_out", times=texts.number(basis.elongation or 0, "0.0"))
    if basis.look:
        yield texts.text("likeness_look", day=texts.date(dt.date.fromisoformat(basis.look)))
