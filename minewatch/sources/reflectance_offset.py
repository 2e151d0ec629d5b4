"""The reflectance offset to add to a scene's digital numbers, which depends on processing baseline and provider.

The metadata decide (:func:`decide_offset`); dark pixels of the scene show whether they can be right (:func:`check_offset`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit
from minewatch.core.errors import SceneError
from minewatch.core.units import NODATA
from minewatch.settings.scl import VEGETATION, WATER
from minewatch.sources.baseline import UNKNOWN

OFFSET_BASELINE = (4, 0)
"""From this processing baseline on, L2A digital numbers carry BOA_ADD_OFFSET (ESA, 25 January 2022)."""

BOA_OFFSET = -1000
"""BOA_ADD_OFFSET, added to such digital numbers; 10 000 is a reflectance of 1."""

SCALE_OF_NUMBERS = 0.0001
"""Reflectance of one digital number, with every baseline."""

COLLECTION_1 = "sentinel-2-c1-l2a"
"""Earth Search's collection of ESA's Collection 1: baseline 05.00 and later for all dates, with the offset left in the pixels."""

UNCHANGED = ("planetary-computer", "cdse")
"""Providers of ESA's digital numbers as they are (PlanetaryComputer #134); only the baseline counts there."""

FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Properties by which Earth Search says whether the offset is applied already: since v1, and before."""


# --- metadata --------------------------------------------------------------------------------------------------------


def decide_offset(
    properties: Mapping[str, Any],
    baseline: tuple[int, int],
    declared: int | None = None,
    *,
    collection: str = "",
    provider: str = "",
    rule: str = "",
) -> tuple[int, str]:
    """Return the offset to add to digital numbers, by the metadata, and the reason.

    ``declared`` is the offset that the item's bands declare (:func:`read_declared_offset`); ``rule`` is the provider's, ''
    where each item says.  The sensing date does not count: old dates were reprocessed.
    """
    name = f"baseline {baseline[0]:02d}.{baseline[1]:02d}" if baseline > UNKNOWN else "no baseline known"
    if rule in ("none", "baseline"):
        offset = BOA_OFFSET if rule == "baseline" and baseline >= OFFSET_BASELINE else 0
        return offset, f"{name}, and the source's setting offset = {rule!r}"
    if collection == COLLECTION_1:
        return BOA_OFFSET if declared is None else declared, f"{name}, Collection 1: the offset of its metadata"
    if UNKNOWN < baseline < OFFSET_BASELINE:
        return 0, f"{name} is older than 04.00"
    if (
        rule == "earth-search"
        or FLAGS[1] in properties
        or (not rule and any(key.startswith("earthsearch:") for key in properties))
    ):
        flag = next((_read_flag(properties[key]) for key in FLAGS if key in properties), None)
        return _decide_earth_search(flag, name, has_offset=baseline > UNKNOWN or bool(declared))
    if declared is not None and (provider not in UNCHANGED or baseline == UNKNOWN):
        return declared, f"{name}, its bands declare {'the offset' if declared else 'no offset'}"
    is_known = baseline > UNKNOWN
    return (BOA_OFFSET, f"{name} carries the offset") if is_known else (0, f"{name}, and no offset: taken as older than 04.00")


def _read_flag(value: Any) -> bool | None:
    """Return a flag, also where a catalogue writes it as text; None for anything else."""
    return {"true": True, "false": False}.get(str(value).strip().lower())


def _decide_earth_search(flag: bool | None, name: str, *, has_offset: bool) -> tuple[int, str]:
    """Return offset and reason for Earth Search, which always declares -0.1 (Element84/earth-search #66, #71)."""
    if flag is True:
        return 0, f"{name}, shifted already by the provider"
    if not has_offset:
        return 0, f"{name}, and no offset: taken as older than 04.00"
    return BOA_OFFSET, f"{name} carries the offset" + (", not applied by the provider" if flag is False else "")


Places = Iterable[Mapping[str, Any] | None]
"""Where the numbers of one band may be described, the nearest first: its asset, its item's properties, its collection."""


def read_declared_offset(bands: Iterable[Places]) -> int | None:
    """Return the offset that reflectance bands declare, in digital numbers; None where they do not agree.

    Raises SceneError for an offset or a scale that Sentinel-2 never had.
    """
    found = {next(filter(_is_number, map(_read_offset, _choose(places))), None) for places in bands}
    return found.pop() if len(found) == 1 else None


def read_declared_nodata(places: Places) -> int | None:
    """Return the number that a band declares as no data; None where it is none that a file can hold."""
    values = (fields.get("nodata", _find_band(fields).get("nodata")) for fields in _choose(places))
    value = next(filter(_is_number, values), None)
    return int(value) if value is not None and abs(value) < 2**16 and value == int(value) else None  # NaN is not below


def _choose(places: Places) -> Iterable[Mapping[str, Any]]:
    return (fields for fields in places if isinstance(fields, Mapping))


def _find_band(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the first band says, where STAC 1.0 or 1.1 puts it."""
    bands: list[Any] = next(
        (fields[key] for key in ("raster:bands", "bands") if isinstance(fields.get(key), list) and fields[key]), [{}]
    )
    return bands[0] if isinstance(bands[0], Mapping) else {}


def _read_offset(fields: Mapping[str, Any]) -> int | None:
    band = _find_band(fields)
    offset, scale = (fields.get(f"raster:{key}", band.get(f"raster:{key}", band.get(key))) for key in ("offset", "scale"))
    if _is_number(scale) and abs(scale - SCALE_OF_NUMBERS) > SCALE_OF_NUMBERS / 100:
        raise SceneError(f"its bands declare a scale of {scale:g}, and Sentinel-2 has {SCALE_OF_NUMBERS:g}")
    if not _is_number(offset):
        return None
    if abs(offset) < SCALE_OF_NUMBERS / 100:
        return 0
    if abs(offset / SCALE_OF_NUMBERS - BOA_OFFSET) < 1:
        return BOA_OFFSET
    raise SceneError(f"its bands declare an offset of {offset:g}, and Sentinel-2 has 0 or {BOA_OFFSET * SCALE_OF_NUMBERS:g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# --- pixels ----------------------------------------------------------------------------------------------------------

DARK_CLASSES = (VEGETATION, WATER)
"""SCL classes that are dark in blue and red."""

ROWS = 2
"""One of this many rows is checked; SCL pixels span two.  The check takes about 2 % of the time of reading a scene."""

LEAST_DARK = 25
"""Smallest number of checked dark pixels for an outcome: half a hectare."""

NOISE = 100
"""Digital numbers by which short-wave infrared over water, which is black there, may lie below zero reflectance."""

LARGEST_NEGATIVE = 0.25
"""Share of the dark pixels whose blue and red would both be negative, from which the offset cannot be in the pixels.

Measured without the offset: 0.55 or more in 106 of 107 real scenes of a Romanian forest (one is hazy throughout: 0), 0.28
or more in 99 % of 581 real image pairs of the tropics before mining; with the offset: 0 in all simulated scenes.
"""

LEAST_LIFTED = 0.97
"""Share of the dark pixels of which none of blue, red and short-wave infrared lies below the offset, from which it must be there.

Measured with the offset: 0.997 or more in all simulated scenes; without: 0.14 or less in 106 of 107 real scenes (the hazy
one: 0.99), up to 0.92 in simulated smoke and haze, which darken no short-wave infrared.
"""

Outcome = Literal["agree", "contradict", "cannot tell", "not needed"]


@dataclass(frozen=True)
class DarkPixels:
    """Counts of dark pixels of a scene."""

    total: int = 0
    """With data in all checked bands."""

    negative: int = 0
    """Blue and red both below the offset."""

    lifted: int = 0
    """Blue, red and short-wave infrared all above it."""

    def __add__(self, other: Self) -> DarkPixels:
        return DarkPixels(self.total + other.total, self.negative + other.negative, self.lifted + other.lifted)


@dataclass(frozen=True)
class OffsetCheck:
    """Whether the pixels of a scene agree with the offset of its metadata."""

    stated: int
    """Offset by the metadata."""

    outcome: Outcome
    """Whether the pixels agree."""

    share: float | None = None
    """Of the dark pixels: negative ones where an offset is stated, else ones that look as if they had one."""

    pixels: int = 0
    """Dark pixels that were checked."""

    def describe(self) -> str:
        """Return a text for people."""
        if self.outcome in ("not needed", "cannot tell"):
            return "too few dark pixels to tell" if self.outcome == "cannot tell" else "nothing to check"
        verb = "would be negative with it" if self.stated else "look as if they still carried it"
        kind = "an offset" if self.stated else "no offset (or one that was applied)"
        return f"the metadata state {kind}; {self.share or 0:.0%} of {self.pixels} dark pixels {verb}"

    def as_record(self) -> dict[str, Any]:
        """Return it as properties of an item."""
        facts = {"check": self.outcome, "stated": self.stated, "share": self.share, "pixels": self.pixels}
        return {f"offset_{name}": value for name, value in facts.items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> OffsetCheck | None:
        """Read it from properties of an item; None where they do not have it."""
        if "offset_check" not in record:
            return None
        return cls(*(record[f"offset_{name}"] for name in ("stated", "check", "share", "pixels")))


def check_offset(stated: int, baseline: tuple[int, int], dark: DarkPixels) -> OffsetCheck:
    """Return whether counts of dark pixels agree with the stated offset.

    Baselines older than any offset are not checked: a hazy scene would look as if it had one.
    """
    if not stated and UNKNOWN < baseline < OFFSET_BASELINE:
        return OffsetCheck(stated, "not needed")
    if dark.total < LEAST_DARK:
        return OffsetCheck(stated, "cannot tell", None, dark.total)
    share = round((dark.negative if stated else dark.lifted) / dark.total, 4)
    fails = share >= (LARGEST_NEGATIVE if stated else LEAST_LIFTED)
    return OffsetCheck(stated, "contradict" if fails else "agree", share, dark.total)


def count_dark_pixels(
    classes: NDArray[np.uint8],
    origin: NDArray[np.int8],
    bands: Mapping[str, NDArray[np.int16]],
    offsets: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return the counts of dark pixels by scene, in one of ROWS rows: (scene, [total, negative, lifted]).

    ``origin`` (y, x) says which scene a pixel comes from, -1 = none; ``bands`` are reflectance x 10 000, not below 0, to
    which ``offsets`` (one for each scene) were added.
    """
    counts = np.zeros((len(offsets), 3), np.int64)
    for index, offset in enumerate(offsets):
        if len(offsets) == 1 or (origin == index).any():
            line = np.int16(offset - BOA_OFFSET)  # the value of a digital number of 1000
            _count(classes, origin, bands["blue"], bands["red"], bands["swir16"], np.int8(index), line, counts[index])
    return counts


@njit(nogil=True, cache=True)
def _count(
    classes: NDArray[np.uint8],
    origin: NDArray[np.int8],
    blue: NDArray[np.int16],
    red: NDArray[np.int16],
    swir: NDArray[np.int16],
    index: np.int8,
    line: np.int16,
    counts: NDArray[np.int64],
) -> None:
    least = np.int16(line - NOISE)
    for row in range(0, classes.shape[0], ROWS):  # row by row and without branches: six times as fast
        code, scene, b, r, s = classes[row], origin[row], blue[row], red[row], swir[row]
        total, negative, lifted = np.int32(0), np.int32(0), np.int32(0)
        for i in range(code.size):
            is_dark = (code[i] == DARK_CLASSES[0]) | (code[i] == DARK_CLASSES[1])
            counts_here = is_dark & (scene[i] == index) & (b[i] != NODATA) & (r[i] != NODATA) & (s[i] != NODATA)
            total += counts_here
            negative += counts_here & (b[i] <= line) & (r[i] <= line)
            lifted += counts_here & (b[i] >= line) & (r[i] >= line) & (s[i] >= least)
        counts[0] += total
        counts[1] += negative
        counts[2] += lifted
