"""Names and notes of strangers that would steer a terminal: none reaches one, from no list, no error and no export."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import geopandas as gpd
import pytest
from click.testing import CliRunner
from shapely.geometry import box

from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from tests.helpers.small import copy_workspace, make_scanned

UGLY = "\x1b[2J\x9b31m\x07\u202eevil\x85\u2028\rB"
STEERS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
TEXTS = (".csv", ".json", ".jsonl", ".kml", ".geojson", ".html", ".qgs", ".xml")


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A table whose concession, title, review and area say what would steer a terminal."""
    made = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")
    west, south, east, north = read_alerts(made.alerts).total_bounds
    outline = box(west - 0.01, south - 0.01, east + 0.01, north + 0.01)
    columns = {"HOLDER": [f"Acme {UGLY}"], "ID": [f"7 {UGLY}"], "TO": [UGLY]}
    gpd.GeoDataFrame(columns, geometry=[outline], crs=4326).to_file(made.context / "c.gpkg")
    with made.settings.open("a") as settings:
        settings.write('\n[context.c]\nfile = "c.gpkg"\nkind = "concession"\nname = "HOLDER"\nid = "ID"\nvalid_to = "TO"\n')
    with sqlite3.connect(made.alerts) as table:
        for (name,) in table.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'alerts'").fetchall():
            table.execute(f'DROP TRIGGER "{name}"')
        table.execute("UPDATE alerts SET review = 'confirmed', review_note = ?, reviewed_by = ?", (UGLY, UGLY))
    table.close()
    return made


def run(workspace: Workspace, *words: str) -> str:
    answer = CliRunner().invoke(main, ["-w", str(workspace.root), *words], color=True)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    shown = (answer.stdout + answer.stderr).replace("\x1b[31m", "").replace("\x1b[0m", "")  # our own red
    assert not STEERS.search(shown), words
    return shown


def test_no_list_no_error_and_no_export_steers_a_terminal(workspace: Workspace) -> None:
    assert "Acme" in run(workspace, "context", "refresh") + run(workspace, "alerts", "list", "--json")
    for words in ("context check", "alerts list", "status", "aoi list", "qgis", "report spot --format html"):
        run(workspace, *words.split())
    run(workspace, "alerts", "show", read_alerts(workspace)["alert_id"][0])
    for form in ("csv", "kml", "geojson", "shp"):
        run(workspace, "alerts", "export", "--format", form)
    for path in sorted(workspace.output.rglob("*")):
        if path.suffix in TEXTS:
            text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
            assert not STEERS.search(text), path
    assert "Acme" in workspace.alerts_csv.read_text("utf-8")


def test_no_error_repeats_what_steers_a_terminal(workspace: Workspace) -> None:
    """Shells put the names of files into the place of patterns."""
    settings = workspace.settings.read_text()
    for words in (
        ["aoi", "list", "a", UGLY],
        ["aoi", UGLY],
        ["scan", "--until", UGLY],
        ["aoi", "add", "x", UGLY],
        ["verify", UGLY],
    ):
        run(workspace, *words)
    for table in (
        '[context."{}"]\nfile = "c.gpkg"\n',
        '[context.d]\nfile = "{}"\nkind = "river"\n',
        '[sources."{}"]\nurl = "{}"\n',
    ):
        escaped = "\\u001b[2J\\u009b\\u202e"
        workspace.settings.write_text(settings + "\n" + table.format(escaped, escaped))
        for words in (["context", "check"], ["source", "list"], ["status"]):
            run(workspace, *words)
