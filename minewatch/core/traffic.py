"""Bytes over the line: counted as they arrive, and written for people as amounts, speeds and durations."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from minewatch.core.text import show

SIZES = {"b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "tb": 1_000_000_000_000}
"""Units of amounts, as 1GB; decimal, as lines and contracts count them."""

MOST_BYTES = 2**53
"""Amounts are smaller: every number of bytes up to here is exact in the alerts table."""

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb)", re.IGNORECASE)
_SPEED = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(bit/s|bps|bit|b/s)", re.IGNORECASE)


class ByteCounter:
    """Counts bytes; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.total = 0
        """Bytes so far."""

    def add(self, count: int) -> None:
        """Add bytes."""
        with self._lock:
            self.total += count

    def count_from_now(self) -> Callable[[], int]:
        """Return a function that returns the bytes added since this call."""
        before = self.total
        return lambda: self.total - before


@dataclass(frozen=True)
class LineMeasure:
    """How fast a line is."""

    latency: float
    """Seconds until an answer begins."""

    speed: float
    """Bytes per second."""

    def describe(self) -> str:
        """Return both, and what they mean for a scan."""
        hour = format_bytes(3600 * self.speed)
        return f"{format_speed(self.speed)}, {1000 * self.latency:.0f} ms until an answer begins: {hour} in an hour"


RECEIVED = ByteCounter()
"""Bytes of all answers that this process received, without their heads."""


def _explain_comma(text: str) -> str:
    return ", with a point in decimals" if "," in text else ""


def parse_bytes(text: str) -> int:
    """Return the bytes of an amount such as ``1GB`` or ``250 MB``; raises ValueError for what is none."""
    match = _AMOUNT.fullmatch(text.strip())
    size = float(match[1]) * SIZES[match[2].lower()] if match else 0.0
    if not 0.5 < size < MOST_BYTES:
        raise ValueError(f"{show(text)!r} is no amount of data; write it like 1GB or 1.5GB{_explain_comma(text)}")
    return round(size)


def parse_speed(text: str) -> float:
    """Return the bytes per second of a line such as ``2Mbit/s`` or ``250kB/s``; raises ValueError for what is none."""
    match = _SPEED.fullmatch(text.strip())
    speed = 0.0
    if match:
        is_bytes = match[3] == "B/s"  # a small b is a bit: 250 kb/s
        speed = float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[match[2].lower()] / (1 if is_bytes else 8)
    if not 0 < speed < MOST_BYTES:
        raise ValueError(f"{show(text)!r} is no speed of a line; write it like 2Mbit/s or 250kB/s{_explain_comma(text)}")
    return speed


def format_bytes(size: float) -> str:
    """Return an amount of data, ``640 MB``; two digits where it is below 10."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_exact(size: int) -> str:
    """Return an amount of data that :func:`parse_bytes` reads back, with one decimal at most: ``1GB``, ``1.5GB``."""
    for unit in ("TB", "GB", "MB", "kB"):
        tenths, rest = divmod(10 * size, SIZES[unit.lower()])
        if not rest and tenths >= 10:
            decimal = f".{tenths % 10}" if tenths % 10 else ""
            return f"{tenths // 10}{decimal}{unit}"
    return f"{size}B"


def format_speed(speed: float) -> str:
    """Return a speed in bits, as lines are sold, ``2.0 Mbit/s``."""
    return f"{8 * speed / 1e6:.1f} Mbit/s" if speed >= 12_500 else f"{8 * speed / 1e3:.0f} kbit/s"


def format_duration(seconds: float) -> str:
    """Return a duration, rounded as a forecast deserves: ``40 s``, ``25 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
