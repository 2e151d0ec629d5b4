"""Why nothing was seen: where scenes were refused or could not be read, nobody is told of clouds, or that there was no scene."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.content import list_area_news
from minewatch.operations.notify.current_state import read_current_state
from minewatch.operations.notify.event_store import EventStore, find_events
from minewatch.operations.notify.rendering import read_message_texts
from minewatch.sources.skipped import SkippedCount, SkippedScene
from tests.helpers.small import MONITOR_FROM, NAME, UNTIL, copy_series, make_series, make_workspace, name_scenes

FALSE = re.compile(
    r"no scene|never covered|cloudy|nunca cubiert|nublad|nunca cobert|tinham nuvens|jamais couvert|nuageu|no usable",
    re.IGNORECASE,
)
"""What may not be said where scenes were refused or unreadable, in four languages."""


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A scanned workspace all of whose watched scenes were refused or could not be read, and what the scan printed."""
    series, folder = make_series(tmp_path_factory), tmp_path_factory.mktemp("blind")
    names = [name for name in name_scenes(series) if name.split("_")[2] >= f"{MONITOR_FROM:%Y%m%d}"][:4]
    catalogue = copy_series(series, folder / "catalogue", names)
    for name in names[:3]:
        path = catalogue.catalog.parent / name / f"{name}.json"
        item = json.loads(path.read_text())
        del item["assets"]["swir16"]
        path.write_text(json.dumps(item))
    (catalogue.catalog.parent / names[3] / "B04.tif").write_bytes(b"II*\0")
    workspace = make_workspace(folder / "watch", catalogue)
    found = CliRunner().invoke(main, ["-w", str(workspace.root), "scan", "--until", str(UNTIL)])
    assert found.exit_code == 3, found.output
    return workspace, found.output


def read_record(workspace: Workspace) -> dict[str, Any]:
    (path,) = workspace.runs.glob("*.json")
    (area,) = json.loads(path.read_text())["areas"]
    return dict(area)


def test_scan_record_and_summary_say_why(blind: tuple[Workspace, str]) -> None:
    workspace, printed = blind
    area = read_record(workspace)
    assert (area["scenes"]["refused"], area["scenes"]["unreadable"]) == (3, 1)
    assert area["coverage"]["why_unseen"] == "refused"
    (summary,) = workspace.runs.glob("*.txt")
    for text in (printed, summary.read_text(), area["coverage"]["text"], *[n for n in area["notes"] if "nothing could be" in n]):
        assert re.search(r"3 scenes were refused and 1 scene was not readable \(first: item \w+ has no swir16 asset\)", text), (
            text
        )
        assert not FALSE.search(text), text
    assert not any(FALSE.search(note) for note in area["notes"])


def test_status_says_why(blind: tuple[Workspace, str]) -> None:
    workspace, _ = blind
    text = CliRunner().invoke(main, ["-w", str(workspace.root), "status"]).output
    assert f"{NAME}: not all was seen, and 3 scenes were refused and 1 scene was not readable" in text
    assert not FALSE.search(text)
    facts = json.loads(CliRunner().invoke(main, ["-w", str(workspace.root), "status", "--json"]).stdout)["areas"][0]
    assert (facts["why_unseen"], facts["scenes_refused"], facts["scenes_unreadable"]) == ("refused", 3, 1)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "4 scenes were refused or could not be read"),
        ("es", "4 escenas fueron rechazadas o no se pudieron leer"),
        ("fr", "4 scènes ont été refusées ou n'ont pas pu être lues"),
        ("pt", "4 cenas foram recusadas ou não puderam ser lidas"),
    ],
)
def test_reports_and_mails_say_why(blind: tuple[Workspace, str], language: str, words: str, tmp_path: Path) -> None:
    workspace, _ = blind
    command = ["-w", str(workspace.root), "report", NAME, "--format", "html", "--lang", language, "-o", str(tmp_path)]
    assert CliRunner().invoke(main, command).exit_code == 0
    (page,) = tmp_path.glob("*.html")
    text = re.sub(r"<(style|script).*?</\1>", "", page.read_text(), flags=re.DOTALL).replace("&#39;", "'")
    assert words in text
    assert not FALSE.search(text), FALSE.search(text)
    events = find_events(read_current_state(workspace), EventStore(), [30], dt.datetime(2023, 4, 5, tzinfo=dt.UTC))
    message: Any = SimpleNamespace(events=events)
    (line,) = list_area_news(message, read_message_texts(language))
    assert words in line
    assert not FALSE.search(line)


def test_a_single_scene_that_is_lost_is_not_refused() -> None:
    assert (
        SkippedCount.of([SkippedScene("a", "its file is cut off")]).describe() == "1 scene was not readable (its file is cut off)"
    )
    assert SkippedCount.of([]).describe() == ""
