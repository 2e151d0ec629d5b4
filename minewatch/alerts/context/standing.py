"""What the rows of a register are: titles, exploration, applications or lapsed, by the words in their status columns."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping

from minewatch.alerts.context.terms import APPLICATION, EXPLORATION, LAPSED, TITLE, UNREAD

Words = Mapping[str, tuple[str, ...]]
"""Column to the words that may stand in it, in which * matches any letters; a row has one of them in each column."""

Choice = bool | tuple[Words, ...]
"""Rows of a layer: all that are nothing else (True), or those that fit any of the tables of words."""

ORDER = ((LAPSED, "lapsed"), (APPLICATION, "applications"), (EXPLORATION, "exploration"), (TITLE, "titles"))
"""Standing and the key that chooses its rows, from the least that a register grants to the most.

Of tables of words that fit a row, the one that names most columns holds; of equal ones the first in this order, so that
doubtful words make no title."""


@functools.lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Return a text without accents, capitals and double blanks: registers spell their own words in several ways."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in plain if not unicodedata.combining(letter)).split())


def list_columns(choices: Mapping[str, Choice]) -> list[str]:
    """Return the columns that choices of rows look at, each once."""
    found = [column for choice in choices.values() if not isinstance(choice, bool) for words in choice for column in words]
    return list(dict.fromkeys(found))


def find_standing(cells: Mapping[str, str], choices: Mapping[str, Choice]) -> str:
    """Return what a row is, given the text in its status columns and which rows are what; without such choices, a title."""
    if not choices:
        return TITLE
    fitting = [
        (-len(words), rank, standing)
        for rank, (standing, key) in enumerate(ORDER)
        if not isinstance(choice := choices.get(key, ()), bool)
        for words in choice
        if _fits(cells, words)
    ]
    if fitting:
        return min(fitting)[2]
    return next((standing for standing, key in ORDER if choices.get(key) is True), UNREAD)


def _fits(cells: Mapping[str, str], words: Words) -> bool:
    return all(_compile(patterns).fullmatch(fold(cells.get(column, ""))) for column, patterns in words.items())


@functools.cache
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return an expression for folded text; only * is special in a pattern."""
    return re.compile("|".join(".*".join(map(re.escape, fold(pattern).split("*"))) for pattern in patterns))
