"""Says what other systems saw of an alert, and what they report on ground that could not be seen, in the words of a report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from minewatch.alerts.corroboration.cells import read_agreements
from minewatch.core.text import show
from minewatch.products.report.texts import Texts


def describe_witnesses(row: Mapping[Any, Any], texts: Texts) -> list[tuple[str, str]]:
    """Return the name of each system that saw an alert too, and what it saw; [] where none did, or in an older table."""
    return [(show(facts["name"]), describe_witness(facts, texts)) for facts in read_agreements(row.get("witness_basis"))]


def describe_witness(facts: Mapping[str, Any], texts: Texts) -> str:
    """Return what one system saw, parts with a middle dot between them; ``facts`` as ``read_agreements`` gives them."""
    first, level = facts["first"], f"witness_level_{facts['confidence']}"
    metres = texts.number(facts["distance_m"], "0")
    parts = [
        texts.text("witness_first", date=texts.date(dt.date.fromisoformat(first))) if first else texts.text("witness_undated"),
        _compare(facts["days_before_first_seen"], "", texts),
        _compare(facts["days_before_confirmed"], "_confirmed", texts),
        texts.text("witness_inside") if facts["inside"] else texts.text("witness_away", metres=metres),
        texts.text(level) if level in texts.words else "",
    ]
    return " · ".join(filter(None, parts))


def _compare(days: int | None, ending: str, texts: Texts) -> str:
    if days is None:
        return ""
    if not days:
        return texts.text(f"witness_same{ending}")
    return texts.count(f"witness_{'before' if days > 0 else 'after'}{ending}", abs(days))


def explain_unseen(why: str, last_clear: dt.date | None, texts: Texts) -> str:
    """Return why a place that others report could not be seen."""
    if why == "no clear look since":
        return texts.text("why_not_clear", date=texts.date(last_clear)) if last_clear else texts.text("why_never_clear")
    return texts.text(f"why_{why.replace(' ', '_')}")


def name_systems(systems: Mapping[str, str], texts: Texts) -> str:
    """Return the names of systems that report a place, each with its confidence where it states one."""
    keys = {name: f"witness_level_{word}" for name, word in systems.items()}
    levels = {name: f" ({texts.text(key)})" if key in texts.words else "" for name, key in keys.items()}
    return ", ".join(f"{show(name)}{level}" for name, level in levels.items())
