"""The command line: data on stdout, the rest on stderr, exit codes that a script can trust."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import geopandas as gpd
import pytest
from click.testing import CliRunner, Result
from shapely.geometry import mapping

from minewatch.alerts.geopackage import updating
from minewatch.areas.aoi import bbox_geometry
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.places import ROOT
from tests.helpers.small import (
    NAME,
    UNTIL,
    copy_series,
    copy_workspace,
    make_scanned,
    make_series,
    name_scenes,
    plain_environment,
)

COMMAND = Path(sys.executable).with_name("minewatch")
UNTIL_OPTION = ("--until", UNTIL.isoformat())


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every command outside any workspace."""
    monkeypatch.delenv("MINEWATCH_WORKSPACE", raising=False)
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace that no test may change."""
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path_factory.mktemp("cli") / "watch")  # exports are logged


@pytest.fixture
def watch(scanned: Workspace, tmp_path: Path) -> Workspace:
    """A copy that a test may change."""
    return copy_workspace(scanned, tmp_path / "watch")


def run(*arguments: str | Path, workspace: Workspace | None = None) -> Result:
    """Run a command; an error that is no message to the user fails the test."""
    words = [str(argument) for argument in arguments]
    if workspace:
        words = ["-w", str(workspace.root), *words]
    return CliRunner().invoke(main, words, catch_exceptions=False, prog_name="minewatch")


def run_json(*arguments: str | Path, workspace: Workspace | None = None) -> Any:
    answer = run(*arguments, "--json", workspace=workspace)
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


def run_process(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, from the root of the repository."""
    env = plain_environment(**environment)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


def check_one_red_line(answer: Result, words: str) -> None:
    """Check that a command failed with exit code 1 and one line that says why."""
    assert answer.exit_code == 1
    assert answer.stdout == ""
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert re.search(words, line), line
    assert "Traceback" not in answer.output


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Return every command and subcommand."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


COMMANDS = dict(walk(main))


# --- help ------------------------------------------------------------------------------------------------------------


def test_the_shim_equals_the_command() -> None:
    commands = [(sys.executable, "cli.py"), (str(COMMAND),), (sys.executable, "-m", "minewatch")]
    with ThreadPoolExecutor() as pool:
        shim, command, module = pool.map(lambda start: run_process(*start, "--help"), commands)
    assert shim.returncode == command.returncode == module.returncode == 0
    assert shim.stdout.startswith("Usage: minewatch ")
    assert shim.stdout == command.stdout == module.stdout
    assert shim.stderr == command.stderr == ""


def test_the_commands_of_the_contract_are_there() -> None:
    names = {" ".join(path) for path in COMMANDS}
    assert names >= {"init", "demo", "scan"}
    assert names >= {"aoi add", "aoi list", "aoi show", "aoi remove"}
    assert names >= {"pipeline list", "pipeline check", "pipeline show"}
    assert names >= {"alerts list", "alerts show", "alerts review", "alerts export"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_with_an_example(path: tuple[str, ...]) -> None:
    answer = run(*path, "--help")
    assert answer.exit_code == 0
    _, example = answer.stdout.split("Example:", 1)
    line = example.strip().splitlines()[0].strip()
    assert line.startswith("minewatch"), line
    if path:
        assert line.startswith(f"minewatch {' '.join(path)}"), "the example shows the command itself"
    assert run(*path, "-h").stdout == answer.stdout


@pytest.mark.parametrize(
    "path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)], ids=" ".join
)
def test_every_command_takes_a_workspace_and_json(path: tuple[str, ...]) -> None:
    options = {name for parameter in COMMANDS[path].params for name in parameter.opts}
    assert {"-w", "--workspace", "--json", "--traceback"} <= options


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_version_is_told() -> None:
    assert re.match(r"minewatch, version \d+\.\d+\.\d+\S*\n", run("--version").stdout)


# --- the workspace ---------------------------------------------------------------------------------------------------


def test_no_workspace_is_one_red_line() -> None:
    check_one_red_line(run("alerts", "list"), "no workspace.*minewatch init")


def test_the_workspace_may_stand_before_and_after_the_command(scanned: Workspace) -> None:
    before = run("-w", scanned.root, "alerts", "list", "--json")
    after = run("alerts", "list", "--json", "-w", scanned.root)
    assert before.exit_code == 0
    assert before.stdout == after.stdout
    assert NAME in before.stdout


def test_the_workspace_after_the_command_wins(scanned: Workspace, tmp_path: Path) -> None:
    assert run("-w", tmp_path, "aoi", "list", "-w", scanned.root).exit_code == 0


def test_the_workspace_may_come_from_the_environment(scanned: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINEWATCH_WORKSPACE", str(scanned.root))
    assert [area["aoi"] for area in run_json("aoi", "list")] == [NAME]


def test_the_option_wins_over_the_environment(scanned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINEWATCH_WORKSPACE", str(tmp_path))
    assert [area["aoi"] for area in run_json("aoi", "list", workspace=scanned)] == [NAME]


def test_the_workspace_may_be_a_folder_above(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(watch.aois)
    assert [area["aoi"] for area in run_json("aoi", "list")] == [NAME]


def test_init_makes_a_workspace_that_works(tmp_path: Path) -> None:
    root = tmp_path / "a new one"
    assert run_json("init", root) == {"workspace": str(root)}
    assert {path.name for path in root.iterdir()} >= {"minewatch.toml", "aois", "pipelines", "context"}
    assert run("-w", root, "pipeline", "check").exit_code == 0
    assert run_json("-w", root, "aoi", "list") == []


def test_init_changes_no_workspace(watch: Workspace) -> None:
    before = watch.settings.read_text()
    check_one_red_line(run("init", watch.root), "workspace already")
    assert watch.settings.read_text() == before


# --- areas and pipelines ---------------------------------------------------------------------------------------------


def test_an_area_is_added_listed_shown_and_removed(watch: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "pit.geojson"
    geometry = mapping(bbox_geometry((-70.0, -13.0, -69.99, -12.99)))
    file.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}))
    added = run_json("aoi", "add", "pit", file, "--monitor-from", "2024-01-31", workspace=watch)
    assert (added["aoi"], added["monitor_from"], added["pipeline"]) == ("pit", "2024-01-31", "default")
    assert added["area_km2"] == pytest.approx(1.2, abs=0.05)
    assert [area["aoi"] for area in run_json("aoi", "list", workspace=watch)] == ["pit", NAME]
    assert run_json("aoi", "show", "pit", workspace=watch)["bbox"] == [-70.0, -13.0, -69.99, -12.99]
    assert "pit" in run("aoi", "list", workspace=watch).stdout
    assert "EPSG:32719" in run("aoi", "show", "pit", workspace=watch).stdout
    assert run("aoi", "remove", "pit", workspace=watch).exit_code == 0
    assert [area["aoi"] for area in run_json("aoi", "list", workspace=watch)] == [NAME]
    check_one_red_line(run("aoi", "remove", "pit", workspace=watch), "no area 'pit'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("a/b", "--bbox", "0,0,1,1"), "a/b", id="slash"),
        pytest.param(("..", "--bbox", "0,0,1,1"), r"'\.\.'", id="parent"),
        pytest.param(("x", "--bbox", "1,0,0,1"), "W > E means an area across 180°", id="empty box"),
        pytest.param(("x", "--bbox", "0,0,10,10"), "--large", id="too large"),
        pytest.param(("x", "missing.geojson"), "does not exist", id="no file"),
        pytest.param(("x", "--bbox", "0,0,.1,.1", "--pipeline", "none"), "no pipeline 'none'", id="no pipeline"),
        pytest.param(("x", "--bbox", "0,0,.1,.1", "--grid-from", "missing"), "does not exist", id="no source"),
        pytest.param((NAME, "--bbox", "0,0,.1,.1"), NAME, id="taken"),
    ],
)
def test_an_area_that_will_not_do_is_one_red_line(watch: Workspace, arguments: tuple[str, ...], words: str) -> None:
    before = sorted(watch.aois.iterdir())
    check_one_red_line(run("aoi", "add", *arguments, workspace=watch), words)
    assert sorted(watch.aois.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [("x",), ("x", "file.geojson", "--bbox", "0,0,1,1"), ("x", "--bbox", "0,0,1"), ("x", "--bbox", "a,b,c,d")],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(watch: Workspace, arguments: tuple[str, ...]) -> None:
    answer = run("aoi", "add", *arguments, workspace=watch)
    assert answer.exit_code == 2
    assert "Usage: minewatch aoi add" in answer.stderr


def test_the_lattice_of_a_source_can_be_taken(watch: Workspace, series: SimulatedSeries) -> None:
    bbox = ",".join(map(str, series.bbox))
    added = run_json("aoi", "add", "again", "--bbox", bbox, "--grid-from", series.catalog.parent, workspace=watch)
    assert added["grid"].startswith(f"EPSG:{series.epsg}")


def test_pipelines_are_listed_checked_and_shown(watch: Workspace) -> None:
    (watch.pipelines / "strict.toml").write_text("[alerts]\nmin_area_ha = 0.5\n")
    assert [row["pipeline"] for row in run_json("pipeline", "list", workspace=watch)] == [
        "default",
        "early",
        "cautious",
        "strict",
    ]
    assert run_json("pipeline", "show", "strict", workspace=watch)["alerts"]["min_area_ha"] == 0.5
    text = run("pipeline", "show", "default", "--set", "alerts.min_area_ha=0.7", workspace=watch).stdout
    assert "min_area_ha = 0.7" in text
    assert "smallest alert" in text
    assert run("pipeline", "check", workspace=watch).exit_code == 0
    (watch.pipelines / "broken.toml").write_text("[alerts]\nmin_area = 0.5\n")
    answer = run("pipeline", "check", workspace=watch)
    assert answer.exit_code == 1
    assert "min_area_ha" in answer.stderr
    assert "bad" in answer.stdout


# --- scans -----------------------------------------------------------------------------------------------------------


def test_a_scan_prints_a_summary_and_stays_silent_otherwise(watch: Workspace) -> None:
    answer = run("scan", *UNTIL_OPTION, workspace=watch)
    assert answer.exit_code == 0
    head, row, *_ = answer.stdout.splitlines()
    assert head.split()[:5] == ["area", "scenes", "read", "used", "skipped"]
    assert row.split()[:5] == [NAME, "43", "0", "43", "0"]
    assert "alerts.gpkg" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_scan_as_json_is_the_record(watch: Workspace) -> None:
    report = run_json("scan", NAME, *UNTIL_OPTION, workspace=watch)
    record = json.loads(Path(report["record"]).read_text())
    assert {name: record[name] for name in report} == report
    assert report["areas"][0]["aoi"] == NAME
    assert (watch.runs / f"{report['run_id']}.json").exists()


def test_until_before_since_is_wrong_usage(watch: Workspace) -> None:
    answer = run("scan", "--since", "2023-01-02", "--until", "2023-01-01", workspace=watch)
    assert answer.exit_code == 2
    assert "2023-01-01 is before --since 2023-01-02" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("scan", "nowhere"), 1),
        (("scan", "--until", "2022-01-01"), 1),
        (("scan", "--set", "scenes.max_clouds=1"), 1),
        (("scan", "--set", "nonsense"), 1),
        (("scan", "--source", "missing"), 1),
        (("scan", "--until", "yesterday"), 2),
        (("scan", "--nonsense"), 2),
        (("nonsense",), 2),
        (("alerts", "list", "--status", "nonsense"), 2),
        (("alerts", "show", "nonsense"), 1),
        (("alerts", "export", "--format", "nonsense"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_have_their_exit_codes(scanned: Workspace, arguments: tuple[str, ...], code: int) -> None:
    answer = run(*arguments, workspace=scanned)
    assert answer.exit_code == code
    if code == 1:
        check_one_red_line(answer, ".")


def test_the_traceback_is_shown_on_demand(scanned: Workspace) -> None:
    for answer in (
        run("--traceback", "scan", "nowhere", workspace=scanned),
        run("scan", "nowhere", "--traceback", workspace=scanned),
    ):
        assert answer.exit_code == 1
        assert "Traceback (most recent call last)" in answer.stderr
        assert answer.stderr.splitlines()[-1].startswith("Error: ")


def test_errors_are_red_on_a_terminal(scanned: Workspace) -> None:
    red = run_process(COMMAND, "-w", scanned.root, "aoi", "show", "nowhere", FORCE_COLOR="1")
    assert red.returncode == 1
    assert red.stderr.startswith("\x1b[31mError: ")
    assert len(red.stderr.strip().splitlines()) == 1


def test_an_unreadable_scene_is_exit_code_3_without_noise(watch: Workspace, series: SimulatedSeries, tmp_path: Path) -> None:
    """In a process of its own: Dask and GDAL must not write to stderr what the summary says already."""
    names = name_scenes(series)[:4]
    catalogue = copy_series(series, tmp_path / "catalogue", names)
    (catalogue.catalog.parent / names[1] / "B04.tif").write_bytes(b"no raster at all")
    (catalogue.catalog.parent / names[2] / "SCL.tif").unlink()
    shutil.rmtree(watch.output)
    done = run_process(COMMAND, "-w", watch.root, "scan", *UNTIL_OPTION, "--source", catalogue.catalog)
    assert done.returncode == 3, done.stderr
    assert names[1] in done.stdout
    assert names[2] in done.stdout
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert "Compute Failed" not in done.stderr
    (record,) = watch.runs.glob("*.json")
    assert "2 scenes could not be used" in done.stderr
    assert {failed["id"] for failed in json.loads(record.read_text())["areas"][0]["scenes"]["failed"]} == set(names[1:3])


def test_a_window_without_scenes_is_exit_code_0_with_the_words(watch: Workspace) -> None:
    answer = run("scan", "--since", "2025-01-01", "--until", "2025-06-30", "--replace", workspace=watch)
    assert answer.exit_code == 0
    assert "nothing could be seen since 1 January 2025" in answer.stdout


def test_a_scan_into_another_folder(watch: Workspace, tmp_path: Path) -> None:
    before = watch.alerts.read_bytes()
    answer = run("scan", *UNTIL_OPTION, "--into", tmp_path / "apart", "--set", "alerts.min_area_ha=0.5", workspace=watch)
    assert answer.exit_code == 0
    assert str(tmp_path / "apart" / "alerts.gpkg") in answer.stderr.replace("\n", "")
    assert watch.alerts.read_bytes() == before
    assert (tmp_path / "apart" / "alerts.csv").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_may_not_be_written_is_one_red_line(watch: Workspace) -> None:
    shutil.rmtree(watch.output)
    watch.root.chmod(0o500)
    try:
        check_one_red_line(run("scan", *UNTIL_OPTION, workspace=watch), "permissions")
    finally:
        watch.root.chmod(0o700)


def test_an_output_folder_that_is_a_file_is_one_red_line(watch: Workspace) -> None:
    shutil.rmtree(watch.output)
    watch.output.write_text("in the way")
    check_one_red_line(run("scan", *UNTIL_OPTION, workspace=watch), "output")


def test_a_run_that_is_stopped_says_so(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minewatch.operations.scan.scan", stop)
    answer = run("scan", *UNTIL_OPTION, workspace=watch)
    assert answer.exit_code == 130
    assert "stopped" in answer.stderr


# --- alerts ----------------------------------------------------------------------------------------------------------


def test_alerts_are_listed_with_area_dates_and_position(scanned: Workspace) -> None:
    table = gpd.read_file(scanned.alerts, layer="alerts")
    answer = run("alerts", "list", workspace=scanned)
    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert len(lines) == 1 + len(table)
    for row in table.itertuples():
        (line,) = [line for line in lines if line.startswith(row.alert_id)]
        for text in (row.status, f"{row.first_seen:%Y-%m-%d}", f"{row.area_ha:.2f}", f"{row.lat:.5f}", f"{row.lon:.5f}"):
            assert text in line.split()


def test_alerts_as_json_have_every_column(scanned: Workspace) -> None:
    rows = run_json("alerts", "list", workspace=scanned)
    table = gpd.read_file(scanned.alerts, layer="alerts")
    assert {row["alert_id"] for row in rows} == set(table["alert_id"])
    assert all(set(row) == set(table.columns) - {"geometry"} for row in rows)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["first_seen"]) for row in rows)


def test_alerts_can_be_chosen(scanned: Workspace) -> None:
    rows = run_json("alerts", "list", workspace=scanned)
    largest = max(row["area_ha"] for row in rows)
    last = max(row["first_seen"] for row in rows)

    def choose(*filters: str) -> list[str]:
        return [row["alert_id"] for row in run_json("alerts", "list", *filters, workspace=scanned)]

    assert choose("--min-area", str(largest)) == [row["alert_id"] for row in rows if row["area_ha"] == largest]
    assert choose("--since", last) == [row["alert_id"] for row in rows if row["first_seen"] == last]
    assert choose("--status", "confirmed") == [row["alert_id"] for row in rows if row["status"] == "confirmed"]
    both = choose("--status", "confirmed", "--status", "closed")
    assert both == [row["alert_id"] for row in rows if row["status"] in {"confirmed", "closed"}]
    assert choose("--status", "dismissed") == []


def test_an_empty_list_is_no_error(scanned: Workspace) -> None:
    answer = run("alerts", "list", "--status", "dismissed", workspace=scanned)
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert re.fullmatch(r"no alert passes these filters: \d without --status\n", answer.stderr)


def test_one_alert_is_shown(scanned: Workspace) -> None:
    row = run_json("alerts", "list", workspace=scanned)[0]
    facts = run_json("alerts", "show", row["alert_id"], workspace=scanned)
    assert facts["geometry"]["type"] == "MultiPolygon"
    assert {name: facts[name] for name in row} == row
    text = run("alerts", "show", row["alert_id"], workspace=scanned).stdout
    assert re.search(r"12\.\d{5}°S 69\.\d{5}°W", text)


def test_a_review_is_shown_and_can_be_taken_back(watch: Workspace) -> None:
    alert_id = run_json("alerts", "list", workspace=watch)[0]["alert_id"]
    facts = run_json("alerts", "review", alert_id, "--dismiss", "road works", "--by", "Rosa", workspace=watch)
    assert facts == {"alert_id": alert_id, "status": "dismissed", "review": "dismissed"}
    shown = run_json("alerts", "show", alert_id, workspace=watch)
    assert (shown["status"], shown["review_note"], shown["reviewed_by"]) == ("dismissed", "road works", "Rosa")
    assert "road works" in watch.alerts_csv.read_text("utf-8")
    text = run("alerts", "review", alert_id, "--clear", "--by", "Rosa", workspace=watch).stdout
    assert "review taken back by Rosa, status" in text
    assert run_json("alerts", "show", alert_id, workspace=watch)["review"] == ""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--by", "Rosa"], "exactly one"),
        (["--confirm", "--needs-visit", "--by", "Rosa"], "exactly one"),
        (["--confirm"], "--by"),
        (["--confirm", "--by", " "], "needs a name"),
        (["--dismiss", " ", "--by", "Rosa"], "needs a reason"),
    ],
)
def test_a_review_says_what_and_who(scanned: Workspace, options: list[str], text: str) -> None:
    result = run("alerts", "review", "nonsense", *options, workspace=scanned)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not scanned.decisions.exists() or "nonsense" not in scanned.decisions.read_text("utf-8")


def test_alerts_are_exported(scanned: Workspace, tmp_path: Path) -> None:
    answer = run("alerts", "export", "--format", "csv,geojson", "-o", tmp_path / "out", workspace=scanned)
    names = ("alerts.csv", "alerts.csv-metadata.json", "alerts.geojson")
    assert answer.stdout.splitlines() == [str(tmp_path / "out" / name) for name in names]
    with (tmp_path / "out" / "alerts.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(gpd.read_file(scanned.alerts, layer="alerts"))
    paths = run_json("alerts", "export", "--status", "confirmed", "-o", tmp_path / "out", workspace=scanned)
    assert paths == [str(tmp_path / "out" / "alerts.geojson")]
    exported = gpd.read_file(paths[0])
    assert set(exported["status"]) == {"confirmed"}


def test_an_export_never_replaces_the_table_itself(watch: Workspace) -> None:
    """Reviews, history and runs stand in it, and QGIS may have it open."""
    inode, content = watch.alerts.stat().st_ino, watch.alerts.read_bytes()
    answer = run("alerts", "export", "--format", "gpkg", "--status", "dismissed", "-o", watch.output, workspace=watch)
    assert answer.exit_code in (1, 2)
    assert (watch.alerts.stat().st_ino, watch.alerts.read_bytes()) == (inode, content)


def test_no_table_yet_is_one_red_line(watch: Workspace) -> None:
    watch.alerts.unlink()
    for command in (("list",), ("show", "x"), ("export",)):
        check_one_red_line(run("alerts", *command, workspace=watch), "no alerts table yet.*minewatch scan")


@pytest.mark.parametrize("content", [b"", b"rubbish " * 600])
def test_a_damaged_table_is_one_red_line(watch: Workspace, content: bytes) -> None:
    watch.alerts.write_bytes(content)
    check_one_red_line(run("alerts", "list", workspace=watch), "alerts.gpkg")


def test_what_people_wrote_is_json_as_they_wrote_it(watch: Workspace) -> None:
    with updating(watch.alerts) as connection:
        connection.execute("UPDATE alerts SET review_note = '-> see map'")
    assert {row["review_note"] for row in run_json("alerts", "list", workspace=watch)} == {"-> see map"}


def test_control_characters_do_not_reach_the_terminal(watch: Workspace) -> None:
    with updating(watch.alerts) as connection:
        connection.execute("UPDATE alerts SET review_note = ?", ("\x1b[2J\x1b]0;evil\x07",))
    alert_id = gpd.read_file(watch.alerts, layer="alerts")["alert_id"][0]
    assert "\x1b" not in run("alerts", "show", alert_id, workspace=watch).stdout
