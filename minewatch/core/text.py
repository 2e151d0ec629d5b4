"""Text that strangers wrote, made safe to show: on a terminal, in a picture, in a table, in JSON."""

from __future__ import annotations

import datetime as dt
import json
import re
import unicodedata
from typing import Any

REPLACEMENT = "�"
"""Stands for a character that cannot be shown."""

LONGEST = 200
"""Characters of a name that are shown; longer ones end in dots."""

FORMULAS = ("=", "+", "-", "@")
"""First characters of what a spreadsheet would run."""


def printable(text: str) -> str:
    """Replace what steers a terminal: control characters, changes of direction, invisible ones; line ends stay."""
    return "".join(character if character.isprintable() or character == "\n" else REPLACEMENT for character in text)


def show(text: object, longest: int = LONGEST) -> str:
    """Return a stranger's text on one line, printable and of bounded length."""
    line = printable(" ".join(str(text)[: 4 * longest].split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def show_ascii(text: object, longest: int = 60) -> str:
    """The same for pictures: in letters that every font has, and with no sign that starts a formula there."""
    return escape_math(show(text, longest).encode("ascii", "replace").decode())


def format_day(day: dt.date) -> str:
    """Return a day as a sentence has it: ``31 December 2024``; tables, files and data have ISO dates."""
    return f"{day.day} {day:%B %Y}"


def format_time(time: dt.datetime) -> str:
    """Return a time in UTC as a sentence has it: ``31 December 2024, 04:27 UTC``."""
    return f"{format_day(time)}, {time:%H:%M} UTC"


def format_percent(share: float, decimals: int = 0) -> str:
    """Return a share of one in per cent, ``67 %``."""
    return f"{100 * share:.{decimals}f} %"


def count_of(number: int, what: str) -> str:
    """Return a number of things: ``1 scene``, ``2 scenes``, ``3 passes``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"


def escape_math(text: str) -> str:
    """Keep a picture from reading dollar signs as the ends of a formula, and from failing where it is none."""
    return text.replace("\\", "/").replace("$", r"\$")


def is_formula(text: str) -> bool:
    """True if a spreadsheet would run a cell; it skips blanks, and reads wide signs as the usual ones.

    A tab or a line's end at the beginning counts too: some programs start another cell there (OWASP, CSV injection).
    """
    if text[:1] in ("\t", "\r", "\n"):
        return True
    first = next((character for character in text if character.isprintable() and not character.isspace()), "")
    return unicodedata.normalize("NFKC", first)[:1] in FORMULAS if first else False


def render_json(value: Any, **options: Any) -> str:
    """Render JSON in which every character can be shown; what cannot is written as its number, so nothing is lost."""
    return re.sub(r"[^\n -~]", _escape, json.dumps(value, indent=1, ensure_ascii=False, **options))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]
