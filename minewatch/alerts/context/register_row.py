"""What one row of a layer says of itself: name and id, its standing, and from when to when it holds."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minewatch.alerts.context.cells import read_date, read_line, read_text
from minewatch.alerts.context.declaration import Declaration
from minewatch.alerts.context.standing import find_standing, list_columns
from minewatch.alerts.context.terms import ALWAYS, APPLICATION, LAPSED, NEVER

Period = tuple[dt.date, dt.date]
"""First and last day of validity."""


@dataclass(frozen=True)
class RegisterRow:
    """What a row says of itself."""

    name: str
    """'' where no column is declared, or the cell is empty."""

    id: str
    """What the declared column calls it; '' for nothing."""

    standing: str
    """One of STANDINGS."""

    words: str
    """Of the register on its status; '' where no column is declared."""

    applied: dt.date | None
    """When it was applied for; None where that is not known."""

    period: Period | None
    """When it is valid; None where that is not known, and of applications."""


def read_register_row(cells: Mapping[str, Any], declaration: Declaration, faults: Counter[str]) -> RegisterRow:
    """Read a row from its cells, by the key that declares them; what cannot be read is counted in ``faults``."""
    columns = list_columns(declaration.choices)
    status = {column: read_line(cells[f"status {number}"]) for number, column in enumerate(columns, 1)}
    standing = find_standing(status, declaration.choices)
    applied = read_date(cells.get("applied"), declaration.date_format)
    return RegisterRow(
        name=read_line(cells.get("name")),
        id=read_line(cells.get("id")),
        standing=standing,
        words=" · ".join(filter(None, status.values())),
        applied=applied,
        period=_read_period(cells, declaration, standing, applied, faults),
    )


def _read_period(
    cells: Mapping[str, Any], declared: Declaration, standing: str, applied: dt.date | None, faults: Counter[str]
) -> Period | None:
    never_ends = declared.open_ended and standing != LAPSED
    if standing == APPLICATION or (declared.valid_from is None and declared.valid_to is None and not never_ends):
        return None
    first, last = read_text(cells.get("valid_from")), read_text(cells.get("valid_to"))
    earliest = applied or ALWAYS  # where the register states no first day, no title is older than what was applied for
    start = _read_bound(declared.valid_from, cells.get("valid_from"), earliest, declared)
    if never_ends and not last and not isinstance(declared.valid_to, dt.date):
        end: dt.date | None = NEVER
    else:
        end = _read_bound(declared.valid_to, cells.get("valid_to"), NEVER, declared)
    if start is None or end is None:
        bad = first if start is None else last
        is_empty = (start is None and not first) or (end is None and not last)
        faults["have no date" if is_empty else f"have a date that cannot be read (such as {bad[:30]!r})"] += 1
        return None
    if end < start:
        faults["end before they begin"] += 1
        return None
    return start, end


def _read_bound(declared: str | dt.date | None, cell: Any, unbound: dt.date, declaration: Declaration) -> dt.date | None:
    if declared is None:
        return unbound
    return declared if isinstance(declared, dt.date) else read_date(cell, declaration.date_format)
