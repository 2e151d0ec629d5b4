"""How other systems write their alerts into rasters: which number means what, and by which names their files are known.

docs/witnesses.md has the tables with their sources.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.corroboration.sighting import HIGH, HIGHEST, LOW, NO_DAY, to_day
from minewatch.core.errors import ExternalAlertError

STATUS, DATE, BOTH = "status", "date", "both"
"""What a band holds: how sure the system is, the day of its first detection, or both in one number."""

SINCE, YEAR_AND_DAY, DAY_OF_YEAR = "days since", "year and day of the year", "day of the year"
"""How a day is written."""

OPERA_EPOCH, GFW_EPOCH, GLAD_S2_EPOCH = dt.date(2020, 12, 31), dt.date(2014, 12, 31), dt.date(2018, 12, 31)

_DIGIT = 10_000
"""In Global Forest Watch's numbers the digit of the confidence stands before four digits of the day."""


@dataclass(frozen=True)
class Coding:
    """How one system writes its alerts."""

    name: str
    """As ``--coding`` takes it."""

    system: str
    """What the witness is called unless a name is given."""

    levels: Mapping[int, int]
    """Number of the status to its level; of a coding with both in one number its first digit."""

    days: str = SINCE
    """SINCE, YEAR_AND_DAY or DAY_OF_YEAR."""

    epoch: dt.date = GFW_EPOCH
    """Where days are counted from."""

    empty: tuple[int, ...] = (0,)
    """Numbers of the status that mean no alert, or no data."""

    is_joint: bool = False
    """True if status and day are one number."""

    def read_levels(self, numbers: NDArray[np.integer], where: str) -> NDArray[np.uint8]:
        """Return the level of each pixel, and 255 where there is no alert.

        Raises ExternalAlertError for a number that the coding does not have.
        """
        levels = np.full(numbers.shape, NOTHING, np.uint8)
        for number, level in self.levels.items():
            levels[numbers == number] = level
        strange = (levels == NOTHING) & ~np.isin(numbers, self.empty)
        self._refuse(numbers, strange, where)
        return levels

    def read_days(self, numbers: NDArray[np.integer], year: int | None, where: str) -> NDArray[np.int32]:
        """Return the day of each pixel since 1970-01-01, NO_DAY where there is none; raises as ``read_levels`` does."""
        given = numbers.astype(np.int64)
        if self.days == SINCE:
            return np.where(given > 0, to_day(self.epoch) + given, NO_DAY).astype(np.int32)
        years, days = np.divmod(given, 1000) if self.days == YEAR_AND_DAY else (np.full(given.shape, (year or 0) % 100), given)
        self._refuse(numbers, (given > 0) & ((days < 1) | (days > 366) | (years > 99)), where)
        starts = np.array([to_day(dt.date(2000 + number, 1, 1)) for number in range(100)])
        return np.where(given > 0, starts[np.clip(years, 0, 99)] + days - 1, NO_DAY).astype(np.int32)

    def split(self, numbers: NDArray[np.integer], where: str) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return day and level of pixels that have both in one number; raises as ``read_levels`` does."""
        digits, days = np.divmod(np.maximum(numbers.astype(np.int64), 0), _DIGIT)
        strange = (numbers != 0) & ~(np.isin(digits, list(self.levels)) & (days > 0))
        self._refuse(numbers, strange, where)
        levels = self.read_levels(np.where(numbers == 0, 0, digits), where)
        return np.where(numbers == 0, NO_DAY, to_day(self.epoch) + days).astype(np.int32), levels

    def _refuse(self, numbers: NDArray[np.integer], strange: NDArray[np.bool_], where: str) -> None:
        if strange.any():
            raise ExternalAlertError(
                f"{where} has the number {numbers[strange].flat[0]}, which the coding {self.name} does not have; "
                f"if it is another system's, say which with --coding: {list_codings()}"
            )


NOTHING = 255
"""Level of a pixel without an alert."""

_STAGES = {1: LOW, 2: LOW, 3: HIGH, 4: LOW, 5: LOW, 6: HIGH, 7: HIGH, 8: HIGH}
"""DIST-ALERT of HLS: first, provisional and confirmed, below and from 50 % on; 7 and 8 confirmed and finished."""

CODINGS = {
    coding.name: coding
    for coding in (
        Coding("opera-hls", "DIST-ALERT HLS", _STAGES, epoch=OPERA_EPOCH, empty=(0, 255)),
        Coding(
            "opera-hls-v0", "DIST-ALERT HLS", {1: LOW, 2: HIGH, 3: LOW, 4: HIGH}, epoch=OPERA_EPOCH, empty=(0, 255)
        ),
        Coding(
            "opera-s1",
            "DIST-ALERT S1",
            {1: LOW, 2: LOW, 3: LOW, 7: LOW, 4: HIGH, 5: HIGH, 6: HIGH, 8: HIGH},
            epoch=OPERA_EPOCH,
            empty=(0, 255),
        ),
        Coding("gfw", "GFW", {2: LOW, 3: HIGH, 4: HIGHEST}, is_joint=True),
        Coding("radd-wur", "RADD", {2: LOW, 3: HIGH}, days=YEAR_AND_DAY),
        Coding("glad-l", "GLAD-L", {1: LOW, 2: LOW, 3: HIGH}, days=DAY_OF_YEAR),
        Coding("glad-s2", "GLAD-S2", {1: LOW, 2: LOW, 3: HIGH, 4: HIGH}, epoch=GLAD_S2_EPOCH),
    )
}  # fmt: skip
"""By name."""


def list_codings(names: tuple[str, ...] = tuple(CODINGS)) -> str:
    """Name codings for an error."""
    return ", ".join(names)


# --- names of files --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RasterName:
    """What the name of a raster tells."""

    path: Path
    """Of the file."""

    coding: Coding | None
    """None where the name does not tell."""

    role: str
    """STATUS, DATE, BOTH; '' where the name does not tell."""

    key: str
    """The same for the files that belong together."""

    system: str = ""
    """Name of the system, where it is more than the coding says."""

    year: int | None = None
    """Of a coding with days of the year."""


GFW_SYSTEMS = {
    "wur_radd_alerts": "RADD",
    "umd_glad_landsat_alerts": "GLAD-L",
    "umd_glad_sentinel2_alerts": "GLAD-S2",
    "gfw_integrated_alerts": "GFW integrated",
}
"""Datasets of Global Forest Watch that have its numbers, and whose they are."""

_OPERA = re.compile(r"(veg|gen)-dist-(status|date)(?!-acq)")
_OPERA_OTHER = re.compile(
    r"-acq\b|(veg|gen)-(anom|ind|hist|metric|last-date|dist-(conf|count|dur|perc|last))|(data|land)-mask|browse"
)
_GLAD_L = re.compile(r"(?<![a-z])(alert|conf)(date)?-?(\d{2})(?!\d)")
_TILE = re.compile(r"\d{3}[we]-\d{2}[ns]-\d{3}[we]-\d{2}[ns]")
_DATE_WORD, _STATUS_WORD = re.compile(r"date(?!-conf)"), re.compile(r"(?<![a-z])(alert|status|conf)(?![a-z])")


def is_needless(path: Path) -> bool:
    """True if the name is that of a layer that says neither whether nor when something changed."""
    return bool(_OPERA_OTHER.search(_simplify(path.name)))


def read_name(path: Path, asked: str | None) -> RasterName:
    """Return what the name of a raster tells; of an ``asked`` coding it tells only the role.

    Raises ExternalAlertError where the name tells of a product that is not taken, or leaves several codings open.
    """
    name, folder = _simplify(path.name), _simplify(path.absolute().parent.name)
    system = next((title for dataset, title in GFW_SYSTEMS.items() if dataset.replace("_", "-") in f"{folder}/{name}"), "")
    year = _read_year(name)
    if asked is not None:
        coding = CODINGS[asked]
        if coding.is_joint:
            return RasterName(path, coding, BOTH, name, system)
        return RasterName(path, coding, *_read_role(name, folder), year=year)
    _refuse_other(path, folder, name)
    if found := _OPERA.search(name):
        coding = _find_opera(path, name, found.group(1))
        return RasterName(path, coding, found.group(2), name.replace(found.group(0), f"{found.group(1)}-dist"))
    if system:
        return RasterName(path, CODINGS["gfw"], BOTH, name, system)
    is_s2 = "s2alert" in f"{folder}/{name}" or (_TILE.search(name) and folder in ("alert", "alertdate"))
    kind = CODINGS["glad-s2"] if is_s2 else CODINGS["glad-l"] if year is not None else None
    return RasterName(path, kind, *_read_role(name, folder), year=year)


def _refuse_other(path: Path, folder: str, name: str) -> None:
    """Raise ExternalAlertError for products that are known, and not taken."""
    if "glad-dist-alerts" in f"{folder}/{name}" or "integrated-dist-alerts" in f"{folder}/{name}":
        raise ExternalAlertError(
            f"{path}: what is public on this raster of Global Forest Watch gives two starting days for its dates; "
            "take the layers VEG-DIST-STATUS and VEG-DIST-DATE of OPERA's DIST-ALERT instead"
        )
    if "dist-ann" in name:
        raise ExternalAlertError(f"{path} is OPERA's annual summary, no alert; take the layers of DIST-ALERT instead")


def refuse_unknown(name: RasterName) -> ExternalAlertError:
    """Return the error for a raster whose coding nothing tells."""
    if "radd" in _simplify(name.path.name):
        return _refuse_ambiguous(name.path, ("gfw", "radd-wur"))
    return ExternalAlertError(
        f"which system {name.path} is from cannot be told from its name; say so with --coding: {list_codings()}"
    )


def _refuse_ambiguous(path: Path, names: tuple[str, ...]) -> ExternalAlertError:
    return ExternalAlertError(f"the numbers of {path} may be written in two ways; say which with --coding: {list_codings(names)}")


def _find_opera(path: Path, name: str, group: str) -> Coding:
    if "dist-alert-s1" in name:
        return CODINGS["opera-s1"]
    if "dist-alert-hls" not in name and group == "gen":
        raise _refuse_ambiguous(path, ("opera-hls", "opera-s1"))
    return CODINGS["opera-hls-v0" if re.search(r"-v0(\.\d+)?-", name) or "provisional-v0" in name else "opera-hls"]


def _read_role(name: str, folder: str) -> tuple[str, str]:
    """Return what a file holds by its name, else by that of its folder, and the key without that word."""
    stem = name.removesuffix(".tiff").removesuffix(".tif")
    for word, role in ((_DATE_WORD, DATE), (_STATUS_WORD, STATUS)):
        if word.search(stem):
            return role, re.sub(r"alertdate|alert|conf|date|status", "", stem)
    if folder.endswith("date"):
        return DATE, stem
    return (STATUS, stem) if _STATUS_WORD.search(folder) else ("", stem)


def _read_year(name: str) -> int | None:
    found = _GLAD_L.search(name)
    return 2000 + int(found.group(3)) if found else None


def _simplify(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")
