"""The dialects of CSV: for programs, and for the Excel of each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CsvDialect:
    """How numbers and cells are written."""

    delimiter: str = ","
    """Between cells."""

    decimal: str = "."
    """Before the decimals of a number."""

    has_mark: bool = False
    """True = the file begins with a byte order mark, by which Excel knows UTF-8."""

    @property
    def encoding(self) -> str:
        """Python's name."""
        return "utf-8-sig" if self.has_mark else "utf-8"

    def write_number(self, value: float) -> str:
        """Return a number as its reader's Excel writes it."""
        return str(value).replace(".", self.decimal)


RFC_4180 = CsvDialect()
"""What programs expect."""

DIALECTS: Mapping[str, CsvDialect] = {
    "en": CsvDialect(has_mark=True),
    "es": CsvDialect(";", ",", has_mark=True),
    "fr": CsvDialect(";", ",", has_mark=True),
    "pt": CsvDialect(";", ",", has_mark=True),
}
"""Language of an Excel to what it opens with a double click."""
