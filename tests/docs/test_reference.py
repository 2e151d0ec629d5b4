"""The reference pages say what the program is: each is what ``make reference`` writes."""

from __future__ import annotations

import pytest

from minewatch.alerts import record
from minewatch.cli import COMMANDS
from minewatch.settings.pipeline import Pipeline
from tools.reference import DOCS, PAGES, RECORDS, TABLES, clean_text, describe_type, render_table, show_constants


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_program_gives(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "write it anew: make reference"


def test_pages_are_whole() -> None:
    commands, settings, interface = ((DOCS / name).read_text("utf-8") for name in ("cli.md", "settings.md", "api.md"))
    assert all(f"\n## minewatch {name}\n" in commands for name in COMMANDS)
    assert all(f"| `{key}` |" in settings for section in Pipeline().model_dump().values() for key in section)
    assert all(f"\n### [{name}]\n" in settings for name in TABLES)
    assert all(f"\n### {record.__name__}\n" in interface for record in RECORDS)


def test_no_name_of_the_inside_stands_in_the_settings() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    assert "None" not in text
    assert "()" not in text


def test_docstrings_become_markdown() -> None:
    assert clean_text("One ``code``, see :func:`multiply`.\n\n    Two\n    lines.") == "One `code`, see `multiply`.\n\nTwo lines."
    assert render_table(("a", "b"), [("x | y", "two\nlines")]) == "| a | b |\n| --- | --- |\n| x \\| y | two lines |"


def test_constants_are_shown_by_their_values() -> None:
    assert show_constants("NDVI, or one of UNKNOWN.", record) == "NDVI, or one of UNKNOWN."
    assert show_constants("One of STATES.", record) == "One of provisional, confirmed, closed, dismissed."


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "whole number, 1 to 9"),
        ({"type": "number", "minimum": 0}, "number, 0 or more"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"anyOf": [{"type": "string"}, {"type": "string", "format": "date"}, {"type": "null"}]}, "text or date"),
        ({"enum": ["a", "b"]}, '`"a"`, `"b"`'),
        ({"type": "array", "items": {"type": "string"}}, "list: text"),
        ({"type": "array", "prefixItems": [{"type": "string"}] * 3, "minItems": 3}, "list of 3: text"),
    ],
)
def test_types_are_said_in_words(facts: dict, words: str) -> None:
    assert describe_type(facts) == words
