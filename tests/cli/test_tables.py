"""Tables fit a terminal: nothing is cut, columns give way or rows become blocks; lists are ordered, limited and summed."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from minewatch.alerts.decisions import REVIEWS
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.cli import main
from minewatch.cli.output import print_json
from minewatch.cli.tables import lay_out
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from tests.helpers.tables import AREA, make_alert, put, review

COLUMNS = ("alert", "status", "first seen", "ha", "lat", "lon", "NDVI", "review")
ROWS = [
    ("la-pampa-20240611-3fa9c1", "confirmed", "2024-06-11", 0.51, "-12.94951", "-69.98951", "-0.30", "needs-visit"),
    ("la-pampa-20240711-77a0d2", "provisional", "2024-07-11", 1234.5, "-12.94952", "-69.98952", "-0.30", ""),
]

STATES = {0: "closed", 1: "provisional", 2: "confirmed", 3: "dismissed", 4: "confirmed"}
HECTARES = {0: 1.004, 1: 0.5, 2: 2.25, 3: 0.1, 4: 12.5}

ON_A_TERMINAL = """
import fcntl, json, struct, sys, termios
from minewatch.cli import main
for width, words in json.loads(sys.argv[1]):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    print(f"\\n=== {width} {' '.join(words)}", flush=True)
    try:
        main(words, prog_name="minewatch")
    except SystemExit:
        pass
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A table of five alerts; ids, positions and a scene are as long as real ones."""
    made = init_workspace(tmp_path_factory.mktemp("tables") / "watch")
    write_aoi(made, Aoi("pampa", AREA, dt.date(2024, 1, 1)))
    write_aoi(made, Aoi("new-ground", bbox_geometry((-70.5, -13.0, -70.4, -12.9)), dt.date(2024, 1, 1)))
    alerts = [
        make_alert(n, status=status, area_ha=HECTARES[n], closed_on=dt.date(2024, 10, 1) if status == "closed" else None)
        for n, status in STATES.items()
    ]
    put(made.alerts, *alerts)
    review(made.alerts, alerts[2].alert_id, "seen from the air by the rangers, who will go back there in the dry season")
    return made


def run(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words], catch_exceptions=False, prog_name="minewatch")


def name(number: int) -> str:
    return make_alert(number).alert_id


def list_ids(workspace: Workspace, *words: str) -> list[str]:
    answer = run(workspace, "alerts", "list", *words, "--json")
    assert answer.exit_code == 0, answer.stderr
    return [row["alert_id"] for row in json.loads(answer.stdout)]


# --- the width ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_no_cell_is_cut_and_no_line_is_too_long(width: int) -> None:
    layout = lay_out(COLUMNS, ROWS, width, spare=("NDVI", "review"))
    assert max(map(len, layout.lines)) <= width
    text = "\n".join(layout.lines)
    for row in ROWS:
        kept = [cell for column, cell in zip(COLUMNS, row, strict=True) if column not in layout.dropped]
        assert all((f"{cell:.2f}" if isinstance(cell, float) else cell) in text for cell in kept)
    assert layout.has_head == (width >= 80)
    assert list(layout.dropped) == (["NDVI", "review"] if width == 80 else [])


def test_a_pipe_gets_all_columns_in_one_line_a_row() -> None:
    long = [*ROWS, ("x" * 500, *ROWS[0][1:])]
    assert [len(line.split()) for line in lay_out(COLUMNS, long, None).lines[1:]] == [8, 7, 8]


def test_words_are_wrapped_and_names_are_not() -> None:
    why = "the mailbox does not exist any more, so the message was given up after two days"
    lines = lay_out(("message", "why"), [("rangers-0000012-1f0c9a77b2d4", why)], 60, wrap=True).lines
    assert max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines[1:]).split()) == f"rangers-0000012-1f0c9a77b2d4 {why}"
    scene = "S2B_MSIL2A_20240312T145729_N0510_R039_T19LCF_20240312T190000"
    pairs = lay_out(("", ""), [("scene_before", scene), ("looks", "7")], 60).lines
    assert pairs == ["scene_before", f"  {scene}", "looks         7"]


def test_lists_fit_a_real_terminal(workspace: Workspace) -> None:
    """On a pseudo-terminal, where the program asks the terminal itself."""
    commands = [["alerts", "list"], ["alerts", "show", name(4)], ["aoi", "list"], ["status"], ["source", "list"]]
    asked = [(width, ["-w", str(workspace.root), *words]) for width in (120, 80, 60) for words in commands]
    leader, follower = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-c", ON_A_TERMINAL, json.dumps(asked)]
    env = kept | {"TERM": "xterm"}
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=subprocess.DEVNULL, env=env) as child:
        os.close(follower)
        shown = _read_all(leader)
    assert child.returncode == 0, shown
    parts = re.split(r"^=== (\d+) .*\n", re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n"), flags=re.MULTILINE)[1:]
    assert len(parts) == 2 * len(asked)
    for (width, words), text in zip(asked, parts[1::2], strict=True):
        assert "…" not in text
        if words[2:] == ["alerts", "list"]:
            *table, reviewed = text.strip().splitlines()
            assert all(name(number) in text for number in STATES)
            assert all(re.search(rf"\b{hectares:.2f}\b", text) for hectares in HECTARES.values())
            assert all(f"{make_alert(number).lon:.5f}" in text for number in STATES)
            assert reviewed.startswith(name(2))
            assert max(map(len, table)) <= width
        elif words[2] == "alerts":
            assert name(4) in text
            assert "S2A_BEFORE" in text
        elif words[2] != "source":  # addresses are longer than some terminals
            table = text.split("pampa: ")[0]  # sentences come below
            assert max(map(len, table.splitlines())) <= width


def _read_all(leader: int) -> str:
    data = b""
    while True:
        try:
            more = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not more:
            break
        data += more
    os.close(leader)
    return data.decode()


# --- order, limits, sums -------------------------------------------------------------------------------------------------


def test_open_alerts_come_first(workspace: Workspace) -> None:
    assert list_ids(workspace) == [name(n) for n in (2, 4, 1, 0, 3)]
    assert list_ids(workspace, "--sort", "id") == [name(n) for n in range(5)]
    assert list_ids(workspace, "--sort", "date") == [name(n) for n in (4, 3, 2, 1, 0)]
    assert list_ids(workspace, "--sort", "area", "--limit", "2") == [name(4), name(2)]


def test_alerts_are_chosen_by_last_day_review_and_law(workspace: Workspace) -> None:
    assert list_ids(workspace, "--since", "2024-02-01", "--until", "2024-03-01", "--sort", "id") == [name(1), name(2)]
    assert list_ids(workspace, "--review", "confirmed") == [name(2)]
    assert name(2) not in list_ids(workspace, "--review", "none")
    assert list_ids(workspace, "--legal-status", "inside") == []


def test_hectares_add_up(workspace: Workspace) -> None:
    said = run(workspace, "alerts", "list").stderr
    assert (
        "5 alerts, 16.35 ha: 2 confirmed (14.75 ha), 1 provisional (0.50 ha), 1 closed (1.00 ha), 1 dismissed (0.10 ha)" in said
    )
    assert "the first 2 of 5 alerts, 16.35 ha" in run(workspace, "alerts", "list", "--limit", "2").stderr


def test_numbers_in_json_are_numbers_or_null(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(workspace, "alerts", "list", "--json").stdout)
    for row in rows:
        assert row["mine_score"] is None
        assert row["concession_ha"] is None
        assert isinstance(row["area_ha"], float)
        assert row["closed_on"] in ("", "2024-10-01")
    print_json({"a": np.float64("nan"), "b": [float("inf")], "c": np.int64(3)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None], "c": 3}
    assert "mine_score\n" in run(workspace, "alerts", "show", name(0)).stdout, "an empty cell shows nothing"


# --- names that are not there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "nearest"),
    [
        (("alerts", "list", "--aoi", "pamap"), 1, "'pampa'"),
        (("alerts", "export", "--aoi", "Pampas"), 1, "'pampa'"),
        (("alerts", "list", "--status", "confirmd"), 2, "Did you mean 'confirmed'?"),
        (("alerts", "list", "--legal-status", "aplication"), 2, "Did you mean 'application'?"),
        (("alerts", "list", "--review", "need-visit"), 2, "'needs-visit'"),
        (("alerts", "list", "--outside", "concesion"), 2, "Did you mean 'concession'?"),
        (("alerts", "list", "--sort", "aera"), 2, "Did you mean 'area'?"),
        (("alerts", "show", "pampa-20240101-00000"), 1, f"'{name(0)}'"),
        (("alerts", "review", "pampa-2024-0101-000000", "--confirm", "--by", "Rosa"), 1, f"'{name(0)}'"),
        (("explain", "pampa-20240101-00000"), 1, f"'{name(0)}'"),
        (("image", "pampa-20240101-00000", "--date", "2024-05-01"), 1, f"'{name(0)}'"),
        (("report", "pmapa"), 1, "'pampa'"),
        (("report", "--alert", "pampa-20240101-00000"), 1, f"'{name(0)}'"),
        (("validate", "truth.gpkg", "--aoi", "pamap"), 1, "'pampa'"),
        (("scan", "pamap"), 1, "'pampa'"),
        (("scan", "pampa", "--pipeline", "defualt"), 1, "'default'"),
        (("aoi", "show", "pamap"), 1, "'pampa'"),
        (("aoi", "remove", "pamap"), 1, "'pampa'"),
        (("doctor", "pamap"), 1, "'pampa'"),
        (("source", "check", "earth-search", "--aoi", "pamap"), 1, "'pampa'"),
        (("pipeline", "show", "defualt"), 1, "'default'"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_a_mistyped_name_is_an_error_that_names_the_nearest(
    workspace: Workspace, words: tuple[str, ...], code: int, nearest: str
) -> None:
    answer = run(workspace, *words)
    assert answer.exit_code == code
    assert answer.stdout == ""
    assert nearest in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == (1 if code == 1 else 4)


def test_an_area_without_a_scan_is_an_empty_list_that_says_so(workspace: Workspace) -> None:
    answer = run(workspace, "alerts", "list", "--aoi", "new-ground")
    assert answer.exit_code == 0
    assert "new-ground has not been scanned yet" in answer.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--status", "closed", "--min-area", "5"), "no alert passes these filters: 1 without --status, 1 without --min-area"),
        (("--since", "2030-01-01"), "no alert passes these filters: 5 without --since"),
        (("--status", "closed", "--since", "2030-01-01"), "no alert passes these filters: 1 without --since"),
        (
            ("--status", "closed", "--review", "confirmed", "--since", "2030-01-01"),
            "passes all of these filters; without them there would be 5",
        ),
        (("--outside", "concession"), "passes all of these filters; without them there would be 5"),
    ],
)
def test_an_empty_list_says_which_filter_empties_it(workspace: Workspace, words: tuple[str, ...], why: str) -> None:
    answer = run(workspace, "alerts", "list", *words)
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert why in answer.stderr
    assert "0 alerts" not in answer.stderr
    assert list_ids(workspace, *words) == []


@pytest.mark.parametrize("words", [("aoi", "list"), ("status",), ("prune", "--keep-gb", "1")])
def test_where_there_is_no_area_no_table_is_printed(tmp_path: Path, words: tuple[str, ...]) -> None:
    answer = run(init_workspace(tmp_path), *words)
    assert answer.exit_code == 0
    assert f"there is no area in {tmp_path / 'aois'}; add one with: minewatch aoi add NAME FILE" in answer.stderr
    assert not answer.stdout.startswith("area")
    data = json.loads(run(Workspace(tmp_path), *words, "--json").stdout)
    assert (data if words[0] == "aoi" else data["areas"]) == []


def test_a_table_without_alerts_says_so(workspace: Workspace, tmp_path: Path) -> None:
    empty = init_workspace(tmp_path)
    shutil.copytree(workspace.output, empty.output, dirs_exist_ok=True)
    with sqlite3.connect(empty.alerts) as connection:
        connection.execute("DELETE FROM alerts")
    connection.close()
    answer = run(empty, "alerts", "list")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "the table has no alert; how much of each area was seen: minewatch status" in answer.stderr


def test_each_review_can_be_chosen(workspace: Workspace) -> None:
    assert all(run(workspace, "alerts", "list", "--review", one or "none").exit_code == 0 for one in REVIEWS)


@pytest.mark.parametrize(
    ("words", "code", "help_"),
    [
        (("alerts", "list", "--min-area", "0,5"), 2, "decimals have a point: write 0.5"),
        (("alerts", "list", "--since", "1.6.2024"), 2, "'1.6.2024' is no date: write year, month and day, like 2024-06-30"),
        (("scan", "--until", "2024-06-31"), 2, "there is no such day"),
        (("scan", "--budget", "1,5GB"), 2, "write it like 1GB or 1.5GB, with a point in decimals"),
        (("scan", "pampa,new-ground"), 2, "minewatch scan pampa new-ground"),
        (("scan", "--aoi", "pampa"), 2, "Areas stand here without an option: minewatch scan NAME"),
        (("aoi", "show", "--aoi", "pampa"), 2, "Areas stand here without an option: minewatch aoi show NAME"),
        (("alerts", "list", "pampa"), 2, "Areas are chosen with --aoi NAME"),
        (("alerts", "list", "--area", "pampa"), 2, "'--area'. Areas are chosen with --aoi NAME\n"),
        (("doctor", "pampa", "new-ground"), 2, "It takes one at a time"),
        (("status", "pampa"), 2, "it shows all areas; of one: minewatch aoi show NAME"),
        (("status", "--aoi", "pampa"), 2, "It shows all areas; of one: minewatch aoi show NAME"),
        (("watch", "pampa"), 2, "to scan an area now: minewatch scan NAME"),
        (("aoi", "list", "pampa"), 2, "one of them: minewatch aoi show NAME"),
        (("prune", "pampa"), 2, "it takes no name: it is for the whole workspace"),
        (("alerts", "show", "pampa"), 1, "it is an area; its alerts: minewatch alerts list --aoi pampa"),
        (("alerts", "review", name(0), "--dismiss", "--by", "Rosa"), 2, 'give the reason: --dismiss "road works"'),
        (("report", name(0)), 2, f"is an alert: write minewatch report --alert {name(0)}"),
        (("scan", "--source", "earthsearch"), 1, "did you mean 'earth-search'?"),
        (("help",), 2, "All commands: minewatch --help"),
        (("aoi", "add", "a", "--bbox", "-70,1", "-13,0", "-69,9", "-12,9"), 2, "as one word: --bbox -70.13,-13.02"),
        (("aoi", "add", "a", "--bbox", "-70,1,-13,0,-69,9,-12,9"), 2, "write -70.1,-13.0,-69.9,-12.9"),
        (("aoi", "add", "a", "--bbox", "-70,1; -13,0; -69,9; -12,9"), 2, "write -70.1,-13.0,-69.9,-12.9"),
        (("aoi", "add", "a", "--bbox", "here"), 2, "'here' is not four numbers W,S,E,N\n"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_was_written_wrongly_is_explained(workspace: Workspace, words: tuple[str, ...], code: int, help_: str) -> None:
    answer = run(workspace, *words)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert help_ in answer.stderr


def test_words_are_taken_whatever_their_capitals(workspace: Workspace) -> None:
    assert list_ids(workspace, "--status", "Confirmed") == list_ids(workspace, "--status", "confirmed")


def test_alerts_that_were_confirmed_since_a_day_are_not_passed_over(workspace: Workspace) -> None:
    """Who asks what is new since a day would miss those that were first seen before, and confirmed since then."""
    first, confirmed = make_alert(4).first_seen, make_alert(4).confirmed_on
    assert confirmed
    between = str(first + (confirmed - first) / 2)
    assert re.search(r"\d more alerts? first seen before " + between, run(workspace, "alerts", "list", "--since", between).stderr)


# --- exports -----------------------------------------------------------------------------------------------------------


def export(workspace: Workspace, folder: Path, *words: str) -> Result:
    return run(workspace, "alerts", "export", "--format", "csv", "-o", str(folder), *words)


def test_an_export_says_how_many_went_where_and_what_it_replaced(workspace: Workspace, tmp_path: Path) -> None:
    first = export(workspace, tmp_path / "out", "--status", "confirmed")
    assert f"2 alerts of 5 written to {tmp_path / 'out'}" in first.stderr
    assert "replaced" not in first.stderr
    again = export(workspace, tmp_path / "out")
    assert again.exit_code == 0
    assert f"5 alerts of 5 written to {tmp_path / 'out'}" in again.stderr
    assert re.search(r"alerts\.csv of \d+ \w+ \d{4}, \d\d:\d\d UTC was replaced", again.stderr)


def test_an_export_has_the_alerts_that_are_named(workspace: Workspace, tmp_path: Path) -> None:
    assert "2 alerts of 5 written" in export(workspace, tmp_path, name(1), name(3)).stderr
    assert {line.split(",")[0] for line in (tmp_path / "alerts.csv").read_text("utf-8").splitlines()[1:]} == {name(1), name(3)}
    assert "1 alert of 5 written" in export(workspace, tmp_path, name(1), name(3), "--status", "dismissed").stderr
    refused = export(workspace, tmp_path, "pampa-20240101-00000")
    assert refused.exit_code == 1
    assert f"did you mean '{name(0)}'?" in refused.stderr


def test_an_export_that_somebody_has_worked_in_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    export(workspace, tmp_path)
    file = tmp_path / "alerts.csv"
    file.write_text(file.read_text("utf-8") + "notes of mine\n", "utf-8")
    before = file.read_bytes()
    refused = export(workspace, tmp_path)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert file.read_bytes() == before
    assert export(workspace, tmp_path, "--overwrite").exit_code == 0
    assert b"notes of mine" not in file.read_bytes()
