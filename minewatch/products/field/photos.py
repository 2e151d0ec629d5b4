"""Reads photographs of strangers' phones: where and when they were taken, by their EXIF.

No pixel is decoded, and nothing of a file is changed or left out: what is kept are its bytes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import math
import os
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from minewatch.core.errors import ImageError
from minewatch.core.plain_file import open_plain_handle
from minewatch.core.text import show

ENDINGS = (".jpg", ".jpeg")
"""Of photographs, in lower case."""

OTHERS = (".heic", ".heif", ".png", ".webp", ".dng", ".tif", ".tiff")
"""Endings of pictures that are not taken."""

LARGEST = 40 * 2**20
"""Bytes of a photograph; those of a phone have up to 20 MB."""

MOST = 2000
"""Files of a folder that are looked at."""

HEAD = b"\xff\xd8\xff"
"""First bytes of a JPEG."""

GARBLED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, struct.error,
    Image.DecompressionBombError, RecursionError, MemoryError,
)  # fmt: skip
"""What damaged metadata raise."""


@dataclass(frozen=True)
class Photo:
    """A photograph."""

    path: Path
    """Where it lies."""

    data: bytes
    """The file as it is."""

    position: tuple[float, float] | None
    """Latitude and longitude, degrees; None where it says none."""

    taken: str
    """When, as it says: UTC by its GPS, else by its own clock; '' where it says nothing."""

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


def list_photos(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the photographs below a folder by name, and lines on pictures that are not taken; links are not followed.

    Raises ImageError where it cannot be read, or holds more files than a journey brings back.
    """
    found: list[Path] = []
    notes, count = [], 0

    def fail(error: OSError) -> None:
        raise ImageError(f"{error.filename} cannot be read: {error.strerror}") from error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > MOST:
                raise ImageError(f"{folder} holds more than {MOST} files; give the folder that came back from the field")
            path, ending = Path(place) / name, Path(name).suffix.lower()
            if ending in ENDINGS and not path.is_symlink():
                found.append(path)
            elif ending in OTHERS or (ending in ENDINGS):
                why = (
                    "it is a link, not a copy" if path.is_symlink() else f"photographs are JPEG, and this is {ending[1:].upper()}"
                )
                notes.append(f"{show(name)}: not taken in: {why}")
    return found, notes


def read_photo(path: Path) -> Photo:
    """Read a photograph; raises ImageError where it is none, or too large."""
    try:
        with os.fdopen(open_plain_handle(path), "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ImageError(f"{show(path.name)}: not taken in: {error.strerror}") from error
    if len(data) > LARGEST:
        raise ImageError(f"{show(path.name)}: not taken in: it is larger than any photograph ({LARGEST >> 20} MB)")
    if not data.startswith(HEAD):
        raise ImageError(f"{show(path.name)}: not taken in: it is no JPEG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of large pictures, which are not decoded
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                exif = image.getexif()
                gps, own = exif.get_ifd(IFD.GPSInfo), exif.get_ifd(IFD.Exif)
    except GARBLED:
        return Photo(path, data, None, "")
    return Photo(path, data, _read_position(gps), _read_time(gps, own | dict(exif)))


def _read_position(gps: Mapping[int, Any]) -> tuple[float, float] | None:
    try:
        lat = _read_degrees(gps[GPS.GPSLatitude], gps[GPS.GPSLatitudeRef], "NS")
        lon = _read_degrees(gps[GPS.GPSLongitude], gps[GPS.GPSLongitudeRef], "EW")
    except GARBLED:
        return None
    is_place = abs(lat) <= 90 and abs(lon) <= 180 and (lat, lon) != (0, 0)  # what phones write that do not know
    return (lat, lon) if is_place else None


def _read_degrees(parts: Sequence[Any], reference: Any, letters: str) -> float:
    """Return degrees from degrees, minutes and seconds; raises one of GARBLED where they are none."""
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    letter = (reference.decode("ascii") if isinstance(reference, bytes) else str(reference)).strip("\0 ").upper()
    if letter not in tuple(letters) or not math.isfinite(value) or min(degrees, minutes, seconds) < 0:
        raise ValueError("no place")
    return -value if letter in "SW" else value


def _read_time(gps: Mapping[int, Any], own: Mapping[int, Any]) -> str:
    try:
        hours, minutes, seconds = (int(part) for part in gps[GPS.GPSTimeStamp])
        day = dt.datetime.strptime(str(gps[GPS.GPSDateStamp]).strip("\0 "), "%Y:%m:%d")  # noqa: DTZ007  only its date is taken
        return f"{day.replace(hour=hours, minute=minutes, second=min(seconds, 59)):%Y-%m-%d %H:%M} UTC"
    except GARBLED:
        pass
    try:
        text = str(own.get(Base.DateTimeOriginal) or own[Base.DateTime]).strip("\0 ")
        moment = dt.datetime.strptime(text, "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007  in whatever zone the camera was set to
    except GARBLED:
        return ""
    return f"{moment:%Y-%m-%d %H:%M} by its own clock"
