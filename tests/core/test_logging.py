"""The journal and the account of a run: what happened, for machines and for people, and nothing secret."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from minewatch.cli import main
from minewatch.core import logging as journal
from minewatch.core.logging import find_secrets, redact
from minewatch.core.workspace import Workspace
from minewatch.operations.run_summary import render_summary
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.small import NAME, UNTIL, copy_series, copy_workspace, make_scanned, make_series, make_workspace, scan_small

HIDDEN = "s3cr3t-t0ken-of-the-rangers"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    journal.close_log()


def run(watch: Workspace, *arguments: str, **environment: str) -> Result:
    command = ["-w", str(watch.root), *arguments]
    return CliRunner().invoke(main, command, env={"MINEWATCH_LOG": None, **environment})


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_of_json_carry_one_run_id(watch: Workspace) -> None:
    answer = run(watch, "--log-format", "json", "scan", "--until", UNTIL.isoformat(), "--json")
    lines = read_lines(answer.stderr)
    ids = {line.get("run_id") for line in lines}
    assert ids == {json.loads(answer.stdout)["run_id"]}
    events = [line["event"] for line in lines]
    assert events[0] == "scan started"
    assert events[-1] == "scan ended"
    assert {"table updated", "area done"} <= set(events)
    (area,) = [line for line in lines if line["event"] == "area done"]
    assert area["aoi"] == NAME
    assert area["looks_used"] == 43
    assert list(area)[:4] == ["time", "level", "event", "run_id"]


def test_the_environment_may_say_so_and_people_see_words_otherwise(watch: Workspace) -> None:
    by_variable = run(watch, "scan", "--until", UNTIL.isoformat(), MINEWATCH_LOG="json")
    assert read_lines(by_variable.stderr)[0]["event"] == "scan started"
    words = run(watch, "scan", "--until", UNTIL.isoformat()).stderr
    assert "scan started" not in words
    assert "alerts:" in words
    assert not any(line.startswith("{") for line in words.splitlines())


def test_errors_and_notes_are_lines_too(watch: Workspace) -> None:
    answer = run(watch, "--log-format", "json", "scan", "nowhere")
    (line,) = read_lines(answer.stderr)
    assert (line["event"], line["level"]) == ("error", "error")
    assert "nowhere" in line["text"]
    assert answer.exit_code == 1


def test_skipped_scenes_are_told_with_the_reason(series: SimulatedSeries, tmp_path: Path) -> None:
    catalogue = copy_series(series, tmp_path / "source")
    path = sorted(catalogue.catalog.parent.glob("*/B04.tif"))[3] if list(catalogue.catalog.parent.glob("*/B04.tif")) else None
    path = path or sorted(catalogue.catalog.parent.glob("*/*.tif"))[3]
    path.write_bytes(path.read_bytes()[:100])
    watch = make_workspace(tmp_path / "watch", catalogue)
    lines = read_lines(run(watch, "--log-format", "json", "scan", "--until", UNTIL.isoformat()).stderr)
    (skipped,) = [line for line in lines if line["event"] == "scene skipped"]
    assert skipped["scene"] == path.parent.name
    text = next(watch.runs.glob("*.txt")).read_text()
    assert f"skipped: {path.parent.name}: " in text


def test_an_unknown_format_is_a_usage_error(watch: Workspace) -> None:
    assert run(watch, "--log-format", "xml", "scan").exit_code == 2
    assert run(watch, "scan", MINEWATCH_LOG="loud").exit_code == 2


# --- nothing secret --------------------------------------------------------------------------------------------------


def test_what_the_named_variables_hold_never_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANGERS_MAIL", f"mailtos://rosa:{HIDDEN}@mail.example.org?to=ranger@example.org")
    monkeypatch.setenv("OURS_SECRET_KEY", "an/odd+key=")
    settings = {
        "notify": {"rangers": {"to_variable": "RANGERS_MAIL"}},
        "sources": {"x": {"s3": {"secret_variable": "OURS_SECRET_KEY"}}},
    }
    stream = io.StringIO()
    journal.start_log(find_secrets(settings), stream)
    journal.log_event(
        "message", text=f"login {HIDDEN} refused", where=["mailtos://rosa:x@mail.example.org"], more={"k": "an/odd+key="}
    )
    journal.log_event("an%2Fodd%2Bkey%3D")
    text = stream.getvalue()
    assert HIDDEN not in text
    assert "odd" not in text
    assert "mail.example.org" not in text
    assert text.count("\n") == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://rosa:pw@host.org/a?sig=x#y failed", "https://host.org/a failed"),
        ("'https://host.org/tile?token=1', next", "'https://host.org/tile', next"),
        ("slack://T1/B2/C3", "slack://***"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("tcp://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("no address", "no address"),
        ("\x1b[31mred", "\ufffd[31mred"),
    ],
)
def test_addresses_lose_what_may_be_secret(text: str, told: str) -> None:
    assert redact(text, ()) == told


@given(st.recursive(st.text() | st.integers() | st.none(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)))
def test_no_line_is_broken_and_no_secret_survives(value: Any) -> None:
    stream = io.StringIO()
    writer = journal.LogWriter(stream, [HIDDEN])
    writer.write("info", "event", {"value": [value, {"x": f"a{HIDDEN}b"}]})
    assert HIDDEN not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_a_closed_journal_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    journal.log_event("event", x=1)
    assert capsys.readouterr() == ("", "")


# --- the account of a run --------------------------------------------------------------------------------------------


def test_a_person_can_read_what_a_scan_did(tmp_path: Path, series: SimulatedSeries) -> None:
    report = scan_small(make_workspace(tmp_path / "watch", series))
    text = report.record.with_suffix(".txt").read_text()
    assert report.record.with_suffix(".txt").stat().st_mode & 0o777 == 0o600
    assert text == render_summary(json.loads(report.record.read_text()))
    assert f"Scan {report.run_id}" in text
    assert "43 found, 43 looks read now, 43 used" in text
    for alert in report.areas[0].alerts:
        assert f"new: {alert.alert_id} {alert.status}" in text
        assert f"evidence written: {alert.alert_id}" in text
    assert "coverage: " in text


def test_the_account_of_a_quiet_night_is_short(watch: Workspace) -> None:
    text = scan_small(watch).record.with_suffix(".txt").read_text()
    assert "unchanged: 2" in text
    assert "new:" not in text
