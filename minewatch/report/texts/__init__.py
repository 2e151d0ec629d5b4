"""The words of reports: one complete TOML for each language; dates and numbers as its readers write them."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from babel.dates import format_date, format_datetime, get_month_names
from babel.numbers import format_decimal, format_percent

FOLDER = Path(__file__).parent

LANGUAGES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
"""Each has every text."""


@dataclass(frozen=True)
class Texts:
    """Writes in one language."""

    language: str
    """One of LANGUAGES."""

    words: Mapping[str, str]
    """Key to text, with names in braces for what is put in."""

    def text(self, key: str, **values: object) -> str:
        """Give a text; raises KeyError for one that there is not."""
        return self.words[key].format(**values)

    def date(self, day: dt.date) -> str:
        """Write a day."""
        return str(format_date(day, "medium", locale=self.language))

    def moment(self, time: dt.datetime) -> str:
        """Write a time of day, as it is in its own zone."""
        return str(format_datetime(time.replace(tzinfo=None), "medium", locale=self.language))

    def months(self) -> list[str]:
        """Name the months, short."""
        names = get_month_names("abbreviated", context="stand-alone", locale=self.language)
        return [str(names[month]) for month in range(1, 13)]

    def number(self, value: float, form: str = "#,##0.##") -> str:
        """Write a number."""
        return str(format_decimal(value, form, locale=self.language))

    def percent(self, share: float) -> str:
        """Write a share of one; what is more than nothing and less than all never rounds to these."""
        if 0 < share < 0.01 or 0.99 < share < 1:
            return str(format_percent(min(max(share, 0.0001), 0.9999), "0.0#%", locale=self.language))
        return str(format_percent(share, "0%", locale=self.language))


def read_texts(language: str, folder: Path = FOLDER) -> Texts:
    """Read the texts of one of LANGUAGES; messages have a folder of their own."""
    return Texts(language, tomllib.loads((folder / f"{language}.toml").read_text("utf-8")))
