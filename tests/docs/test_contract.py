"""The contract of version 1 names what the program has: nothing that is promised is missing, nothing is promised unsaid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import click
import pytest
from click.testing import CliRunner

from minewatch.alerts.columns import ALERT_COLUMNS, AOIS, HISTORY, LAYER, RUNS
from minewatch.alerts.decisions import REVIEWS
from minewatch.alerts.record import STATES
from minewatch.archive.item import ARCHIVE_FORMAT
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.notify import event
from minewatch.operations.notify.webhook import VERSION
from minewatch.products.evidence.manifest import FORMAT, READABLE_FORMATS
from minewatch.settings.watching import EventKind
from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "contract.md").read_text("utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def list_words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def list_commands(group: click.Group, *before: str) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from list_commands(command, *before, name)
        else:
            yield " ".join([*before, name])


def test_every_command_is_in_it() -> None:
    assert set(list_words(section("Commands"))) - {"--json"} == set(list_commands(main))


def test_every_column_is_in_it_in_its_order() -> None:
    named = re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Columns of `alerts`"), re.MULTILINE)
    kinds = {"object": "text", "float64": "number", "int32": "number", "datetime64[D]": "date"}
    assert named == [(column.name, kinds[column.dtype]) for column in ALERT_COLUMNS]


def test_words_of_status_review_and_events_are_in_it() -> None:
    words = set(list_words(PAGE))
    assert {*STATES, *filter(None, REVIEWS)} <= words
    assert set(list_words(section("Events and webhooks"))) - {"version"} == set(get_args(EventKind))
    assert event.PROVISIONAL in words


@pytest.mark.parametrize(
    ("what", "today"), [("evidence", str(FORMAT)), ("observations", ARCHIVE_FORMAT), ("webhooks", str(VERSION))]
)
def test_formats_are_those_of_the_program(what: str, today: str) -> None:
    row = re.search(rf"^\| {what}[^|]*\| ([^|]+) \| ([^|]+) \|$", section("Formats"), re.MULTILINE)
    assert row
    assert row[1] == today
    if what == "evidence":
        assert row[2] == ", ".join(map(str, READABLE_FORMATS))


def test_what_goes_away_still_works_and_says_so_on_stderr() -> None:
    """As CONTRIBUTING.md has it done: whoever reads stdout notices nothing."""

    @click.command("show")
    @click.option("--old", deprecated="use --new; it goes with version 2.0")
    def show(old: str) -> None:
        click.echo(old)

    answer = CliRunner().invoke(show, ["--old", "1"])
    assert (answer.exit_code, answer.stdout) == (0, "1\n")
    assert re.fullmatch(r".*'old' is deprecated\. use --new; it goes with version 2\.0\n", answer.stderr)
    assert CliRunner().invoke(show, []).stderr == ""


def test_files_are_where_it_says() -> None:
    places = " ".join(list_words(section("Files of a workspace")))
    workspace = Workspace(ROOT)
    for path in (
        workspace.alerts,
        workspace.alerts_csv,
        workspace.decisions,
        workspace.custody,
        workspace.evidence,
        workspace.runs,
    ):
        assert str(path.relative_to(ROOT)) in places
    for path in (workspace.images, workspace.reports, workspace.exports, workspace.archive("NAME"), workspace.changes("NAME")):
        assert f"{path.relative_to(ROOT)}/" in places
    assert [name for name in RASTERS if f"{name}.tif" not in places] == []
    assert {LAYER, AOIS, HISTORY, RUNS} <= set(places.split())
