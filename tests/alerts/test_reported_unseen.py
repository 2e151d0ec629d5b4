"""What others report on ground that could not be seen here: listed, told once, and no alert of ours."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from shapely.geometry import box

from minewatch.alerts.corroboration.corroboration import corroborate_alerts
from minewatch.alerts.corroboration.unseen import find_reported_places
from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import lonlat_from, make_grid, reproject
from minewatch.cli import main
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import Status
from minewatch.operations.notify.enqueue import enqueue_messages
from minewatch.operations.notify.outbox import WAITING, list_messages
from minewatch.operations.notify.rendering import render_message
from minewatch.operations.notify.rule import find_rules
from tests.helpers.small import MONITOR_FROM, NAME, UNTIL, copy_workspace, make_scanned

DAY = dt.date(2023, 2, 1)
LOOK = dt.date(2023, 1, 20)

PLACES = {
    "clouded": (4, 4, DAY),
    "uncovered": (4, 20, DAY),
    "barren": (4, 36, DAY),
    "seen later": (4, 52, DAY),
    "before": (20, 4, MONITOR_FROM - dt.timedelta(days=1)),
    "after": (20, 20, UNTIL + dt.timedelta(days=1)),
    "alert": (20, 36, DAY),
}
"""Row and column of squares of 6 pixels, and the day that is reported there."""


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace whose change map has ground that could not be seen, and a radar that reports change there."""
    workspace = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "workspace")
    folder = Path(str(workspace.changes(NAME)))
    with (
        rasterio.open(folder / "status.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as status,
        rasterio.open(folder / "last_clear.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as looks,
    ):
        codes, days = status.read(1), looks.read(1)
        codes[:], days[:] = Status.STABLE, to_day(UNTIL)
        for name, code, look in (
            ("clouded", Status.STABLE, LOOK),
            ("uncovered", Status.NEVER_COVERED, None),
            ("barren", Status.NO_VEGETATION, UNTIL),
            ("seen later", Status.STABLE, DAY),
            ("alert", Status.CONFIRMED, LOOK),
        ):
            row, column, _ = PLACES[name]
            square = slice(row, row + 6), slice(column, column + 6)
            codes[square], days[square] = code, to_day(look) if look else 0
        codes[30, 4:10], days[30, 4:10] = Status.NEVER_COVERED, 0
        status.write(codes, 1)
        looks.write(days, 1)
    report(workspace, tmp_path / "radd.gpkg", PLACES)
    return workspace


def report(workspace: Workspace, path: Path, places: dict[str, tuple[int, int, dt.date]], name: str = "RADD") -> None:
    """Add a system that reports change in squares, and in a strip that is too small."""
    grid = make_grid(read_aoi(workspace, NAME))
    squares = [(row, column, 6, 6, day) for row, column, day in places.values()] + [(30, 4, 1, 6, DAY)]
    shapes = []
    for row, column, height, width, _ in squares:
        (left, top), (right, bottom) = grid.transform @ (column, row), grid.transform @ (column + width, row + height)
        shapes.append(box(left, bottom, right, top))
    frame = gpd.GeoDataFrame(
        {"date": [str(square[-1]) for square in squares], "confidence": "high"},
        geometry=reproject(np.array(shapes, object), lonlat_from(grid.epsg)).tolist(),
        crs=4326,
    )
    frame.to_file(path)
    corroborate_alerts(workspace, path, name)


def run(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words])


def test_what_others_report_on_unseen_ground_is_listed_with_why(workspace: Workspace) -> None:
    before = read_alerts(workspace.alerts)["alert_id"].tolist()
    result = run(workspace, "alerts", "unseen", "--json")
    places = json.loads(result.stdout)
    found = {place["why"]: place for place in places}
    assert set(found) == {"no clear look since", "never covered", "no vegetation"}
    clouded = found["no clear look since"]
    assert (clouded["first"], clouded["last_clear"], clouded["systems"]) == (
        str(DAY),
        str(LOOK),
        [{"name": "RADD", "confidence": "high"}],
    )
    assert found["never covered"]["last_clear"] is None
    assert [place["area_ha"] for place in places] == pytest.approx([0.36] * 3, rel=0.01)
    assert clouded["geometry"]["type"] == "MultiPolygon"
    assert "sightings of RADD that are dated after 2023-03-31, and wait for the next scan: 1" in result.stderr
    text = run(workspace, "alerts", "unseen").stdout
    assert "no clear look since 2023-01-20" in " ".join(text.split())
    assert "These are no alerts of ours" in text
    assert read_alerts(workspace.alerts)["alert_id"].tolist() == before


def test_what_was_never_added_is_not_reported(workspace: Workspace) -> None:
    run(workspace, "alerts", "corroborate", "--name", "RADD", "--take-back")
    assert json.loads(run(workspace, "alerts", "unseen", "--json").stdout) == []
    assert run(workspace, "alerts", "unseen", "--aoi", "nowhere").exit_code == 1


def test_no_table_and_no_other_system_are_other_answers_than_no_place(workspace: Workspace) -> None:
    workspace.external_sources.unlink()
    answer = run(workspace, "alerts", "unseen")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert answer.stderr == "no other system was added yet; add one with: minewatch alerts corroborate FILE\n"
    workspace.alerts.unlink()
    result = run(workspace, "alerts", "unseen", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no alerts table yet" in result.stderr


def test_a_second_system_is_named_at_the_same_place(workspace: Workspace, tmp_path: Path) -> None:
    report(workspace, tmp_path / "dist.gpkg", {"clouded": (6, 6, DAY - dt.timedelta(days=9))}, "DIST")
    places, _ = find_reported_places(workspace, NAME)
    assert places[0].systems == {"DIST": "high", "RADD": "high"}
    assert (places[0].first, places[0].last) == (DAY - dt.timedelta(days=9), DAY)


def test_a_map_of_another_date_is_not_believed(workspace: Workspace) -> None:
    with rasterio.open(Path(str(workspace.changes(NAME))) / "status.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as status:
        status.update_tags(as_of="2023-03-30")
    places, notes = find_reported_places(workspace)
    assert places == []
    assert any("is not the change map of the table as of 2023-03-31; scan the area again" in note for note in notes)


def test_each_place_is_told_once_and_hidden_where_places_are(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL", "json://127.0.0.1:9")
    rule = 'to_variable = "MAIL"\nareas = ["*"]\nevents = ["reported-unseen"]\n'
    with workspace.settings.open("a") as file:
        file.write(f"\n[notify.open]\n{rule}\n[notify.shy]\n{rule}coordinates = false\n")
    now = dt.datetime(2023, 4, 1, tzinfo=dt.UTC)
    enqueue_messages(workspace, now)
    messages = {message.rule: message for message in list_messages(workspace.outbox, WAITING)[0]}
    rules = {one.name: one for one in find_rules(workspace)}
    texts = {name: render_message(message, rules[name], ()).render_text() for name, message in messages.items()}
    letters = {name: " ".join(text.split()) for name, text in texts.items()}
    assert [event.event for event in messages["open"].events] == ["reported-unseen"] * 3
    place = f"{messages['open'].events[0].facts['lat']:.5f}"
    assert (place in letters["open"], place in letters["shy"]) == (True, False)
    for language, word in (("en", "no alert"), ("es", "No es una alerta"), ("fr", "pas une alerte"), ("pt", "Não é um alerta")):
        told = replace(rules["open"], table=rules["open"].table.model_copy(update={"language": language}))
        text = render_message(messages["open"], told, ()).render_text()
        assert ("RADD" in text, word in " ".join(text.split())) == (True, True)
    assert all(event.geometry is None for event in messages["shy"].events)
    report(workspace, tmp_path / "more.gpkg", {"clouded": (4, 4, DAY), "grown": (4, 10, DAY)}, "DIST")
    enqueue_messages(workspace, now + dt.timedelta(days=1))
    assert len(list_messages(workspace.outbox, WAITING)[0]) == len(messages), "the place has grown, and was told"


def test_a_report_lists_them_where_it_says_what_could_not_be_seen(workspace: Workspace, tmp_path: Path) -> None:
    result = run(workspace, "report", NAME, "--lang", "es", "-o", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    (page,) = (tmp_path / "out").rglob("*.html")
    text = page.read_text("utf-8")
    seen: Any = text[text.index('id="seen"') :]
    assert seen.index("No visto aquí, señalado por otros") < seen.index('class="calendar"')
    assert seen.count("RADD (confianza alta)") == 3
    assert "sin vegetación que perder" in seen
