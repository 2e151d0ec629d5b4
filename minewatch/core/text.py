"""Text for people: formats of dates and numbers, and untrusted text made safe to show."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from json.encoder import encode_basestring
from typing import Any, NoReturn

REPLACEMENT = "�"
"""Replaces a character that cannot be shown."""

LONGEST = 200
"""Characters of a name that are shown; a longer one ends in an ellipsis."""

_STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, C1), separators of lines, and what turns the direction of text round."""

FORMULAS = ("=", "+", "-", "@")
"""First characters of what a spreadsheet evaluates."""


def printable(text: str) -> str:
    """Replace control characters, direction marks and invisible characters; line breaks stay."""
    return "".join(character if character.isprintable() or character == "\n" else REPLACEMENT for character in text)


def strip_controls(text: str) -> str:
    """Replace what would steer a terminal or turn text round; line breaks, tabs and the letters of all scripts stay.

    For text in files; what is printed goes through :func:`printable`, which is stricter.
    """
    return _STEERING.sub(REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n")) if _STEERING.search(text) else text


def show(text: object, longest: int = LONGEST) -> str:
    """Return untrusted text on one line, printable and of limited length."""
    line = printable(" ".join(str(text)[: 4 * longest].split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def show_ascii(text: object, longest: int = 60) -> str:
    """Return untrusted text for images: as :func:`show`, in ASCII, which every font has, and without math marks."""
    return escape_math(show(text, longest).encode("ascii", "replace").decode())


def format_day(day: dt.date) -> str:
    """Return a day for sentences, ``31 December 2024``; tables, files and data have ISO dates."""
    return f"{day.day} {day:%B %Y}"


def format_time(time: dt.datetime) -> str:
    """Return a time in UTC for sentences, ``31 December 2024, 04:27 UTC``."""
    return f"{format_day(time)}, {time:%H:%M} UTC"


def format_place(lat: float, lon: float) -> str:
    """Return a position to about a kilometre, as ``12.95° S, 70.00° W``."""
    return f"{abs(lat):.2f}° {'NS'[round(lat, 2) < 0]}, {abs(lon):.2f}° {'EW'[round(lon, 2) < 0]}"


def format_percent(share: float, decimals: int = 0) -> str:
    """Return a share (0 to 1) in per cent, ``67 %``."""
    return f"{100 * share:.{decimals}f} %"


def count_of(number: int, what: str) -> str:
    """Return a number with its noun: ``1 scene``, ``2 scenes``, ``3 passes``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"


_COMMA = re.compile(r"([+-]?\d+),(\d+)")


def has_decimal_comma(text: str) -> bool:
    """True if a text is one number whose decimals have a comma, as many languages write them."""
    return bool(_COMMA.fullmatch(text.strip()))


def use_points(text: str) -> str:
    """Return a text with points in its numbers, where they had commas."""
    return _COMMA.sub(r"\1.\2", text)


MOST_KNOWN = 12
"""Names that an error lists."""


def join_some(names: Sequence[str], most: int = MOST_KNOWN) -> str:
    """Return names with commas: the first ones, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def find_nearest(word: str, known: Collection[str]) -> str | None:
    """Return the name that was probably meant, whatever its capitals; None where none is near."""
    for way in (1, -1):  # difflib misses some swapped letters from the front, and finds them from the back
        lower = {name.lower()[::way]: name for name in reversed(list(known))}
        if near := difflib.get_close_matches(word.lower()[::way], lower, n=1, cutoff=0.5):
            return lower[near[0]]
    return None


def suggest(word: str, known: Iterable[str], kind: str) -> str:
    """Return the end of an error about an unknown name: what was probably meant, else what there is."""
    names = list(known)
    if near := find_nearest(word, names):
        return f"; did you mean {near!r}?"
    return f"; known {kind}: {join_some(names) or 'none'}"


def escape_math(text: str) -> str:
    """Escape dollar signs, which matplotlib would parse as math, failing where they are none."""
    return text.replace("\\", "/").replace("$", r"\$")


def is_formula(text: str) -> bool:
    """True if a spreadsheet would evaluate a cell: it skips blanks and normalizes full-width signs.

    A leading tab or line break counts too: some programs start another cell there (OWASP, CSV injection).
    """
    if text[:1] in ("\t", "\r", "\n"):
        return True
    first = next((character for character in text if character.isprintable() and not character.isspace()), "")
    return unicodedata.normalize("NFKC", first)[:1] in FORMULAS if first else False


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises ValueError for what is none, NaN and infinite numbers and deep nests included."""
    try:
        return json.loads(text, parse_constant=_refuse_number, parse_float=_parse_number)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _parse_number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def render_json(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return JSON, indented by one space, in which every character can be shown; others are written as escapes.

    ``default`` returns what stands for a value that JSON has not.  json's own encoder takes four times as long to indent.
    """
    text = _render(value, "\n", default)
    return text if text.isascii() and "\x7f" not in text else re.sub(r"[^\n -~]", _escape, text)


def _render(value: Any, indent: str, default: Callable[[Any], Any] | None) -> str:
    """Return JSON; ``indent`` is the line break before what stands as deep as the value."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int or (kind is float and math.isfinite(value)):
        return repr(value)
    inner = indent + " "
    if isinstance(value, dict):
        # Most entries are texts, which need no call of their own.
        entries = [
            f"{_render_key(key)}: {encode_basestring(entry) if type(entry) is str else _render(entry, inner, default)}"
            for key, entry in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(entries)}{indent}}}" if entries else "{}"
    if isinstance(value, list | tuple):
        return f"[{inner}{f',{inner}'.join([_render(entry, inner, default) for entry in value])}{indent}]" if value else "[]"
    if value is None or isinstance(value, str | int | float) or default is None:
        return json.dumps(value, ensure_ascii=False)
    return _render(default(value), indent, default)


def _render_key(key: Any) -> str:
    return encode_basestring(key) if isinstance(key, str) else json.dumps({key: 0})[1:].rpartition(":")[0]


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]
