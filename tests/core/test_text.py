"""Strangers' text, made safe to show."""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from minewatch.core.text import (
    LONGEST,
    count_of,
    format_day,
    format_percent,
    format_time,
    is_formula,
    printable,
    render_json,
    show,
    show_ascii,
    strip_controls,
)

STEERING = [
    "\x1b[31mred",
    "a\rb",
    "a\x08b",
    "\x9b2J",
    "a\u202eb",
    "a\u2066b",
    "\x00",
    "\u200b",
    "\ufeff",
    "\ud800",
    "\x7f",
    "\u2028",
]

any_text = st.text(st.characters())  # lone surrogates too: JSON can hold them


@pytest.mark.parametrize("text", STEERING)
def test_what_steers_a_terminal_is_replaced(text: str) -> None:
    assert printable(text).isprintable()
    assert show(text).isprintable()


@given(any_text)
def test_any_text_becomes_one_bounded_line(text: str) -> None:
    line = show(text)
    assert line.isprintable()
    assert len(line) <= LONGEST
    line.encode()


@given(st.text())
def test_text_in_files_steers_no_terminal_and_keeps_its_letters(text: str) -> None:
    clean = strip_controls(text)
    assert not {unicodedata.category(character) for character in clean} & {"Cs"}
    assert all(character in "\n\t" or unicodedata.category(character) != "Cc" for character in clean)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
    assert strip_controls(clean) == clean


def test_blanks_and_joiners_of_other_scripts_stay() -> None:
    text = "12\xa0ha\tمی\u200cخواهم क्\u200dष שלום\u200f\nA"
    assert strip_controls(text) == text
    assert strip_controls("a\r\nb\rc\x1b[2J\x9b\u202e") == "a\nb\nc\ufffd[2J\ufffd\ufffd"


def test_plain_text_stays_as_it_is() -> None:
    for text in ("S2A_19LCF_20200704_0_L2A", "Río Inambari, Ñ [1]", "[red]x[/]"):
        assert printable(text) == show(text) == text


def test_a_long_text_says_that_it_is_cut() -> None:
    assert show("x" * 10_000) == "x" * (LONGEST - 1) + "…"


@given(st.recursive(any_text | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(any_text, x), max_leaves=10))
def test_json_is_printable_and_loses_nothing(value: object) -> None:
    text = render_json(value)
    assert printable(text) == text
    text.encode()
    assert json.dumps(json.loads(text)) == json.dumps(value)


@given(
    st.recursive(
        any_text | st.integers() | st.floats() | st.booleans() | st.none(),
        lambda x: st.lists(x) | st.tuples(x, x) | st.dictionaries(any_text | st.integers() | st.booleans(), x),
        max_leaves=10,
    )
)
def test_json_is_the_text_that_the_standard_library_writes(value: object) -> None:
    """Files that were written so have their hashes in manifests."""
    plain = json.dumps(value, indent=1, ensure_ascii=False)
    expected = "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in plain)
    assert render_json(value) == expected


def test_json_takes_what_stands_for_other_values() -> None:
    assert render_json({"day": dt.date(2025, 1, 4)}, default=str) == '{\n "day": "2025-01-04"\n}'
    with pytest.raises(TypeError):
        render_json({"day": dt.date(2025, 1, 4)})


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", " =x", "\t=x", "\r=x", "\x00=x", "\ufeff=x", "＝x", "＋x", "－x", "＠x"]
)
def test_formulas_are_known(text: str) -> None:
    assert is_formula(text)


@pytest.mark.parametrize("text", ["", " ", "S2A=1", "1-1", "a@b"])
def test_other_cells_are_no_formulas(text: str) -> None:
    assert not is_formula(text)


@pytest.mark.parametrize(
    "text", ["$", "$x$", r"$\frac{1}{$", r"\$", r"\\$x$", "a$b$c$", "$\\", "{_^}$^$", "日本\u202e", "x" * 500]
)
def test_no_text_is_a_formula_in_a_picture(tmp_path: Path, text: str) -> None:
    figure = Figure(figsize=(3, 2))
    figure.suptitle(show_ascii(text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that the font lacks, say
        figure.savefig(tmp_path / "a.png")


def test_a_dollar_stays_a_dollar() -> None:
    assert show_ascii("a$b") == r"a\$b"


def test_sentences_have_dates_shares_and_plurals_as_people_write_them() -> None:
    assert format_day(dt.date(2024, 12, 31)) == "31 December 2024"
    assert format_day(dt.date(2025, 1, 1)) == "1 January 2025"
    assert format_time(dt.datetime(2024, 12, 31, 4, 27, 59, tzinfo=dt.UTC)) == "31 December 2024, 04:27 UTC"
    assert [format_percent(share) for share in (0, 0.004, 0.67, 1)] == ["0 %", "0 %", "67 %", "100 %"]
    assert format_percent(0.125, 1) == "12.5 %"
    assert [count_of(number, "scene") for number in (0, 1, 2, 5)] == ["0 scenes", "1 scene", "2 scenes", "5 scenes"]
    assert count_of(2, "pass") == "2 passes"
