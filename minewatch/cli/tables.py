"""Lays out tables in the width that there is: cells stay whole; columns are left out, or rows become blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from minewatch.core.text import show

CELL = 2000
"""Characters of a table cell; longer ones end in dots."""

GAP = 2
"""Blanks between two columns, and before what belongs to the line above."""

NARROWEST = 16
"""Characters of the narrowest column in which words are wrapped."""

JOIN = " · "
"""Between two fields of a block."""


@dataclass(frozen=True)
class Layout:
    """A table as lines of text."""

    lines: Sequence[str]
    """Top to bottom, without blanks at their ends."""

    has_head: bool = False
    """True where the first line names the columns."""

    dropped: Sequence[str] = ()
    """Columns for which there was no room; empty ones are not named."""


def lay_out(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None, *, spare: Sequence[str] = (), wrap: bool = False
) -> Layout:
    """Lay out a table in ``width`` characters, None = as wide as it is; no cell is cut.

    Where it does not fit, words of the last column are wrapped (with ``wrap``), then the columns in ``spare`` are left out one
    by one, empty ones first; where that is not enough, each row becomes a block that has all its cells.  Numbers stand right.
    """
    cells = [[_format_cell(value) for value in row] for row in rows]
    if not any(columns):
        return Layout(list(_list_pairs(cells, width)))
    is_number = [bool(rows) and all(isinstance(row[n], int | float) for row in rows) for n in range(len(columns))]
    empty = {name for n, name in enumerate(columns) if not any(row[n] for row in cells)}
    giving_way = sorted(spare, key=lambda name: name not in empty)
    for count in range(len(spare) + 1):
        kept = [n for n, name in enumerate(columns) if name not in giving_way[:count]]
        shown = [[row[n] for n in kept] for row in ([*columns], *cells)]
        widths = _find_widths(shown, width if wrap else None)
        if width is None or sum(widths) + GAP * (len(widths) - 1) <= width:
            lines = [line for row in shown for line in _list_row(row, widths, [is_number[n] for n in kept])]
            return Layout(lines, has_head=True, dropped=[name for name in giving_way[:count] if name in {*columns} - empty])
    assert width is not None, "without a width every table fits"
    return Layout([line for row in cells for line in _list_block(columns, row, width)])


def _find_widths(rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the widths of columns: as wide as their cells, the last one narrower where there is a width to keep to."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    room = widths[-1] if width is None else width - sum(widths[:-1]) - GAP * (len(widths) - 1)
    if room < widths[-1]:
        widths[-1] = max(room, NARROWEST, *(cell_len(word) for row in rows for word in row[-1].split()))
    return widths


def _format_cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else show(value, CELL)


def _list_row(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    """Return a row as lines: one, or several where its last cell is wrapped."""
    *first, last = row
    wrapped = wrap_words(last.split(), widths[-1]) if cell_len(last) > widths[-1] else [last]
    lines = [[*first, wrapped[0]], *([""] * len(first) + [text] for text in wrapped[1:])]
    gap = " " * GAP
    return [gap.join(_pad(*cell) for cell in zip(line, widths, right, strict=True)).rstrip() for line in lines]


def _pad(text: str, width: int, is_right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks


def _list_block(columns: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """Return a row as a block: its first cell, then all others that are not empty with the names of their columns."""
    fields = [f"{name} {cell}".strip() for name, cell in zip(columns[1:], row[1:], strict=True) if cell]
    lines = [row[0]]
    room = width - GAP
    for field in fields:
        joined = lines[-1] + JOIN + field
        if len(lines) > 1 and cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines += [" " * GAP + part for part in wrap_words(field.split(" "), room)]
    return lines


def _list_pairs(rows: Iterable[Sequence[str]], width: int | None) -> Iterable[str]:
    """Yield names with their values, which are wrapped; one whose longest word has no room beside its name stands below it."""
    rows = list(rows)
    beside = max((cell_len(name) for name, _ in rows), default=0) + GAP
    for name, value in rows:
        head = _pad(name, beside, is_right=False)
        if width is None or beside + cell_len(value) <= width:
            yield (head + value).rstrip()
            continue
        words = value.split()
        fits = beside + max(NARROWEST, *map(cell_len, words)) <= width
        indent = beside if fits else GAP
        lines = wrap_words(words, width - indent)
        if fits:
            yield head + lines.pop(0)
        else:
            yield name
        yield from (" " * indent + line for line in lines)


def wrap_words(words: Sequence[str], width: int) -> list[str]:
    """Return words on lines of a width; a longer word stays whole on a line of its own."""
    lines: list[str] = []
    for word in words:
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]
