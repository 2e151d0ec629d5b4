"""Names areas after a column of their file: cleaned, unique, and safe as names of files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from minewatch.areas.outline_file import Outline, OutlineFile
from minewatch.core.errors import AoiError
from minewatch.core.text import show

LONGEST_NAME = 64
"""Characters of an area's name."""

_REST = 4
"""Characters that are left for a number behind a name that comes twice."""


def name_outlines(file: OutlineFile, column: str, prefix: str = "") -> dict[str, Outline]:
    """Return the outlines of a file by names made from a column: ``prefix-value``, and the value alone without a prefix.

    Names that come twice, in letters of any case, get a number, and so do empty cells.  Raises AoiError where there is no such
    column, or where a name would be longer than names are.
    """
    known = next(
        (name for name in (column, *file.columns) if name.casefold() == column.casefold() and name in file.columns), None
    )
    if known is None:
        columns = ", ".join(show(name, 40) for name in file.columns) or "none"
        raise AoiError(f"{file.path} has no column {show(column)!r}; it has {columns}")
    if len(prefix) > LONGEST_NAME // 2:
        raise AoiError(f"{show(prefix)!r} is too long to stand before other names; take at most {LONGEST_NAME // 2} characters")
    named: dict[str, Outline] = {}
    taken: set[str] = set()
    for number, outline in enumerate(file.outlines, 1):
        base = "-".join(filter(None, (prefix, clean_name(_read_cell(outline.properties, known)))))
        base = base[: LONGEST_NAME - _REST - 1].rstrip("-.") if base != prefix else "-".join(filter(None, (prefix, str(number))))
        name, count = base, 1
        while name.casefold() in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(name.casefold())
        named[name] = outline
    return named


def clean_name(text: str) -> str:
    """Return text as the name of a file: letters, digits, '-' and '_', no other character; '' where nothing is left."""
    return re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", text)).strip("-")


def _read_cell(properties: Mapping[str, Any], column: str) -> str:
    value = properties.get(column)
    if value is None or isinstance(value, dict | list):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
