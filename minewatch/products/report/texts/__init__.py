"""The texts of reports, a complete TOML for each language, and how dates and numbers are written in it."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, get_month_names
from babel.numbers import format_decimal, get_decimal_symbol

FOLDER = Path(__file__).parent

LOCALES = {"en": "en_GB"}
"""Locale of dates, where it is not the language: 31 December 2024."""

Words = Mapping[str, str | Mapping[str, str]]
"""Key to text, or to its plural forms (CLDR: one, other); names in braces are replaced by values."""


@dataclass(frozen=True)
class Texts:
    """The texts and number formats of one language."""

    language: str
    """One of LANGUAGES."""

    words: Words
    """Its texts."""

    def text(self, key: str, **values: object) -> str:
        """Return a text, in the singular where it has plural forms; raises KeyError for an unknown key."""
        text = self.words[key]
        return (text if isinstance(text, str) else text["one"]).format(**values)

    def count(self, key: str, number: float, form: str = "#,##0.##", **values: object) -> str:
        """Return a text in the plural form of ``number``, which replaces ``{count}``; ``form`` is Babel's number pattern."""
        text = self.words[key]
        if not isinstance(text, str):
            # Written decimals matter: 1.00 hectares, but 1 hectare.
            written = f"{number:.2f}" if form.endswith("0.00") else str(number)
            text = text.get(Locale.parse(self.language).plural_form(Decimal(written)), text["other"])
        return text.format(count=self.number(number, form), **values)

    def date(self, day: dt.date) -> str:
        """Return a day for a sentence: 31 December 2024."""
        return self._write_day(day, "long")

    def day_of_year(self, day: dt.date) -> str:
        """Return a day for a sentence that names the year later: 31 December."""
        locale = LOCALES.get(self.language, self.language)
        text = str(format_skeleton("MMMMd", day, locale=locale))
        return f"1er {text[2:]}" if self.language == "fr" and text.startswith("1 ") else text

    def short_date(self, day: dt.date) -> str:
        """Return a day for a table: 31 Dec 2024."""
        return self._write_day(day, "medium")

    def month(self, day: dt.date) -> str:
        """Return the month of a day, for a sentence: December 2024."""
        return str(format_skeleton("yMMMM", day, locale=LOCALES.get(self.language, self.language)))

    def _write_day(self, day: dt.date, form: str) -> str:
        text = str(format_date(day, form, locale=LOCALES.get(self.language, self.language)))
        return f"1er {text[2:]}" if self.language == "fr" and text.startswith("1 ") else text

    def moment(self, time: dt.datetime) -> str:
        """Return a day and time of day, in the time's own zone: 31 December 2024, 04:27."""
        return f"{self.date(time.date())}, {format_time(time.time(), 'HH:mm', locale=self.language)}"

    def months(self) -> list[str]:
        """Return the short names of the months."""
        names = get_month_names("abbreviated", context="stand-alone", locale=self.language)
        return [str(names[month]) for month in range(1, 13)]

    @property
    def colon(self) -> str:
        """A colon; in French with a space before it."""
        return "\N{NO-BREAK SPACE}:" if self.language == "fr" else ":"

    @property
    def decimal_mark(self) -> str:
        """The mark between ones and tenths."""
        return str(get_decimal_symbol(self.language))

    def number(self, value: float, form: str = "#,##0.##") -> str:
        """Return a number by Babel's pattern ``form``."""
        return str(format_decimal(value, form, locale=self.language))

    def percent(self, share: float) -> str:
        """Return a share of one in per cent; only 0 is written as 0 %, and only 1 as 100 %."""
        is_near = 0 < share < 0.01 or 0.99 < share < 1
        value = self.number(100 * min(max(share, 0.0001), 0.9999), "0.0#") if is_near else self.number(100 * share, "0")
        return f"{value}\N{NO-BREAK SPACE}%"


def read_texts(language: str, folder: Path = FOLDER) -> Texts:
    """Read the texts of one of LANGUAGES; notifications keep theirs in another folder."""
    return Texts(language, tomllib.loads((folder / f"{language}.toml").read_text("utf-8")))
