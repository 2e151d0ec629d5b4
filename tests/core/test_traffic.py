"""Amounts of data and speeds of lines, as people write and read them."""

from __future__ import annotations

import pytest

from minewatch.core.traffic import (
    ByteCounter,
    format_bytes,
    format_duration,
    format_exact,
    format_speed,
    parse_bytes,
    parse_speed,
)


@pytest.mark.parametrize(("text", "size"), [("1GB", 10**9), ("250 MB", 250 * 10**6), ("1.5gb", 15 * 10**8), ("800kB", 800_000)])
def test_amounts_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size == parse_bytes(format_exact(size))
    assert format_exact(size).lower() == text.lower().replace(" ", "")


@pytest.mark.parametrize(
    "text", ["", "1", "GB", "-1GB", "0MB", "1e3MB", "1,5GB", "nanGB", "infGB", "1GBit", "9" * 400 + "TB", "9" * 17 + "B"]
)
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"like 1GB or 1\.5GB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "speed"),
    [("2Mbit/s", 250_000), ("2 Mbps", 250_000), ("250kB/s", 250_000), ("64kbit/s", 8_000), ("1Gbit", 125e6), ("800kb/s", 1e5)],
)
def test_speeds_are_bits_but_where_they_are_written_as_bytes(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "0Mbit/s", "2", "2MB", "-2Mbit/s", "9" * 400 + "Mbit/s"])
def test_what_is_no_speed_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="like 2Mbit/s"):
        parse_speed(text)


def test_figures_are_as_round_as_a_forecast() -> None:
    assert [format_bytes(size) for size in (12, 9_400, 640e6, 1.04e9, 2e12)] == ["12 B", "9.4 kB", "640 MB", "1.0 GB", "2.0 TB"]
    assert [format_bytes(size) for size in (999, 999.6e3)] == ["999 B", "1.0 MB"]
    assert [format_speed(speed) for speed in (250_000, 8_000)] == ["2.0 Mbit/s", "64 kbit/s"]
    assert [format_duration(s) for s in (40, 1500, 12_600, 181_440)] == ["40 s", "25 min", "3.5 h", "2.1 days"]


def test_a_count_begins_where_it_is_asked_for() -> None:
    counter = ByteCounter()
    counter.add(5)
    since = counter.count_from_now()
    counter.add(7)
    assert (counter.total, since()) == (12, 7)
