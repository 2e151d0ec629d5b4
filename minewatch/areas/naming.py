"""Names areas after a column of their file: cleaned, unique, and safe as names of files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from minewatch.areas.area_files import fold_name
from minewatch.areas.outline_file import Outline, OutlineFile
from minewatch.core.errors import AoiError
from minewatch.core.text import show

LONGEST_NAME = 64
"""Characters of an area's name."""

_REST = 4
"""Characters that are left for a number behind a name that comes twice."""


def name_outlines(file: OutlineFile, column: str | None, prefix: str = "") -> dict[str, Outline]:
    """Return the outlines of a file by names made from a column: ``prefix-value``, and the value alone without a prefix.

    Names that come twice, in letters of any case, get a number, and so do empty cells; without a column all are
    ``prefix-number``.  Raises AoiError where there is no such column, or where a name would be longer than names are.
    """
    known = _find_column(file, column) if column is not None else None
    if len(prefix) > LONGEST_NAME // 2:
        raise AoiError(f"{show(prefix)!r} is too long to stand before other names; take at most {LONGEST_NAME // 2} characters")
    named: dict[str, Outline] = {}
    taken: set[str] = set()
    for number, outline in enumerate(file.outlines, 1):
        value = _read_cell(outline.properties, known) if known is not None else ""
        base = "-".join(filter(None, (prefix, clean_name(value))))
        base = base[: LONGEST_NAME - _REST - 1].rstrip("-.") if base != prefix else "-".join(filter(None, (prefix, str(number))))
        name, count = base, 1
        while fold_name(name) in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(fold_name(name))
        named[name] = outline
    return named


def _find_column(file: OutlineFile, column: str) -> str:
    """Return the name of a column as the file has it; raises AoiError where there is none."""
    for name in (column, *file.columns):
        if name.casefold() == column.casefold() and name in file.columns:
            return name
    columns = ", ".join(show(name, 40) for name in file.columns) or "none"
    raise AoiError(f"{file.path} has no column {show(column)!r}; it has {columns}")


def clean_name(text: str) -> str:
    """Return text as the name of a file: letters, digits, '-' and '_', no other character; '' where nothing is left."""
    return re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", text)).strip("-")


def _read_cell(properties: Mapping[str, Any], column: str) -> str:
    value = properties.get(column)
    if value is None or isinstance(value, dict | list):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
