"""The explanation of an alert tells what the scan did, look by look, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import fields, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from minewatch.alerts.explain.alert_pixels import AlertPixels, assess_area, choose_pixel, find_pixels, trace_pixels
from minewatch.alerts.explain.explain import explain_alert, explain_alerts
from minewatch.alerts.explain.record import OUTCOMES, ExplainedLook, Explanation
from minewatch.alerts.explain.writer import ExplanationWriter
from minewatch.alerts.read import read_alerts
from minewatch.archive.item import list_observations, select_observations
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import make_grid
from minewatch.cli import main
from minewatch.core.errors import AlertsError, AoiError, MinewatchError
from minewatch.core.progress import Reporter
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.detection.monitor import COUNTED, Outcome
from minewatch.detection.rules import make_rules
from minewatch.detection.track import track_pixels
from minewatch.operations.scan_report import ScanReport
from minewatch.products.images.charts import draw_explanation
from minewatch.settings.pipeline import DetectorSettings
from tests.helpers.small import MONITOR_FROM, NAME, UNTIL, copy_workspace, make_scanned


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    return make_scanned(tmp_path_factory)


@pytest.fixture(scope="module")
def workspace(scanned: tuple[Workspace, ScanReport]) -> Workspace:
    """A scanned workspace that no test may change."""
    return scanned[0]


@pytest.fixture(scope="module")
def alert_id(workspace: Workspace) -> str:
    """The largest alert."""
    table = read_alerts(workspace.alerts)
    return str(table.loc[table["area_ha"].idxmax(), "alert_id"])


@pytest.fixture(scope="module")
def explanation(workspace: Workspace, alert_id: str) -> Explanation:
    return explain_alert(workspace, alert_id)


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "explain", *map(str, words)], catch_exceptions=False)


def date_of(explanation: Explanation, *outcomes: Outcome) -> list[dt.date]:
    return [look.date for look in explanation.looks if look.outcome in outcomes]


def test_it_tells_what_the_rasters_tell(workspace: Workspace, explanation: Explanation) -> None:
    """First seen and confirmed at this pixel are those that the scan wrote."""
    (episode,) = explanation.episodes
    for name in ("first_seen", "confirmed_on"):
        with rasterio.open(workspace.changes(NAME) / f"{name}.tif") as raster:
            written = int(raster.read(1)[explanation.pixel])
        told = getattr(episode, name)
        assert written == to_day(told), name


def test_the_confirmed_look_is_the_confirmed_date(explanation: Explanation) -> None:
    (episode,) = explanation.episodes
    assert date_of(explanation, Outcome.CONFIRMED) == [episode.confirmed_on]
    assert date_of(explanation, Outcome.BEGAN, Outcome.RESTARTED)[-1] >= episode.first_seen
    assert date_of(explanation, Outcome.BEGAN)[0] == episode.first_seen
    assert date_of(explanation, Outcome.CLOSED) == ([episode.closed_on] if episode.closed_on else [])


def test_the_alert_is_confirmed_when_enough_pixels_are(explanation: Explanation) -> None:
    counts = {look.date: look.confirmed_pixels for look in explanation.looks}
    assert explanation.confirmed_on is not None
    assert counts[explanation.confirmed_on] >= 12
    earlier = [count for date, count in counts.items() if date < explanation.confirmed_on]
    assert max(earlier) < 12
    assert max(counts.values()) <= explanation.pixels


@pytest.fixture(scope="module")
def ground(scanned: tuple[Workspace, ScanReport]) -> AlertPixels:
    """Every pixel of the area, traced."""
    workspace, report = scanned
    (area,) = (done.plan for done in report.areas)
    observations = select_observations(list_observations(workspace.archive(NAME), area.grid).values(), area)
    scenes = assess_area(observations, area, Reporter())
    return trace_pixels(observations, area, scenes, area.grid.window, np.ones(area.grid.shape, bool))


def test_tracing_changes_nothing(ground: AlertPixels) -> None:
    plain = track_pixels(ground.series, ground.scenes, make_rules(ground.tile.settings))
    assert plain.episodes.tobytes() == ground.tracked.episodes.tobytes()


def test_outcomes_agree_with_the_episodes(ground: AlertPixels) -> None:
    """Each date of each anomaly is a look of that outcome, and there are no others."""
    allowed = {
        "first_seen": {Outcome.BEGAN, Outcome.RESTARTED},
        "provisional_on": {Outcome.PROVISIONAL, Outcome.CONFIRMED},
        "confirmed_on": {Outcome.CONFIRMED},
        "settled_on": {Outcome.SETTLED, Outcome.CONFIRMED},
        "closed_on": {Outcome.CLOSED},
        "last_seen": set(COUNTED),
    }
    days, found, trace = ground.series.days.tolist(), ground.tracked.episodes, ground.tracked.trace
    assert len(found) > 100
    for row in found.tolist():
        facts = dict(zip(found.dtype.names, row, strict=True))
        did = trace[facts["row"], 0]
        for name, outcomes in allowed.items():
            assert facts[name] == 0 or did[days.index(facts[name])] in outcomes, name
    for outcome, name in ((Outcome.CLOSED, "closed_on"), (Outcome.CONFIRMED, "confirmed_on")):
        assert (trace[:, 0] == outcome).sum() == (found[name] > 0).sum(), name


def test_every_look_has_its_place(explanation: Explanation) -> None:
    dates = [look.date for look in explanation.looks]
    assert dates == sorted(set(dates))
    assert dates[-1] <= UNTIL == explanation.as_of
    for look in explanation.looks:
        assert look.scenes
        assert look.clear == (look.outcome != Outcome.NOT_CLEAR)
        assert (look.haze is None) == (not look.clear)
        assert look.loss is None or look.clear
        assert (look.outcome == Outcome.BASELINE) <= (look.date < MONITOR_FROM)
        known = look.expected_ndvi, look.low, look.high, look.expected_bsi, look.scene_shift
        if look.expected_ndvi is None or look.low is None or look.high is None:
            assert known == (None,) * 5, "no reference pixel of the scene was usable"
            assert look.loss is None
            continue
        assert look.low < look.expected_ndvi < look.high
        assert (look.area_ndvi is None) == (look.clear_pixels == 0)


def test_looks_that_count_stand_out(explanation: Explanation) -> None:
    counted = [look for look in explanation.looks if look.outcome in COUNTED]
    assert len(counted) >= 2
    for look in counted:
        assert look.ndvi is not None
        assert look.low is not None
        assert look.ndvi < look.low
        assert look.loss is not None
        assert look.loss > 0.15
    for look in explanation.looks:
        if look.outcome == Outcome.NORMAL and look.ndvi is not None and look.low is not None:
            assert look.ndvi > look.low


def test_the_last_normal_look_is_one_that_the_pixel_calls_normal(explanation: Explanation) -> None:
    last, first = explanation.last_normal, explanation.first_seen
    assert last is not None
    assert last < first
    assert next(look for look in explanation.looks if look.date == last).text == "normal"
    assert not [look for look in explanation.looks if last < look.date < first and look.is_normal]


def test_looks_that_show_soil_or_char_say_so(explanation: Explanation) -> None:
    for look in explanation.looks:
        assert ("soil shows" in look.text, "char" in look.text) == (look.shows_soil, look.charred)
        if look.shows_soil:
            assert look.soil_gain is not None
            assert look.soil_gain >= DetectorSettings().soil_gain
        if look.outcome not in COUNTED:
            assert not look.shows_soil | look.charred
    confirming = next(look for look in explanation.looks if look.outcome == Outcome.CONFIRMED)
    assert replace(confirming, shows_soil=True, charred=False).text == "confirmed, soil shows"


def test_a_scene_without_reference_pixels_gives_no_expected_value(
    ground: AlertPixels, scanned: tuple[Workspace, ScanReport]
) -> None:
    """A made-up shift would make its band and loss false; the look itself is told."""
    workspace, report = scanned
    (area,) = (done.plan for done in report.areas)
    observations = select_observations(list_observations(workspace.archive(NAME), area.grid).values(), area)
    row = read_alerts(workspace.alerts).to_dict("records")[0]
    window, members = find_pixels(row, area.grid)
    traced = trace_pixels(observations, area, ground.scenes, window, members)
    shift = traced.scenes.shift.copy()
    shift[-1] = 0
    unknown = replace(traced, scenes=replace(traced.scenes, shift=shift))
    looks = [
        ExplanationWriter(row, area, observations, pixels, choose_pixel(row, area.grid, window, members)).write(()).looks
        for pixels in (traced, unknown)
    ]
    told, silent = (each[-1] for each in looks)
    assert told.scene_shift is not None
    assert [silent.expected_ndvi, silent.low, silent.high, silent.expected_bsi, silent.scene_shift, silent.loss] == [None] * 6
    assert silent.ndvi == told.ndvi
    assert looks[0][:-1] == looks[1][:-1]


def test_the_curve_passes_where_scenes_shift_nothing(explanation: Explanation) -> None:
    curve = explanation.curve
    assert curve.days[-1] == to_day(explanation.as_of)
    for look in explanation.looks:
        day = to_day(look.date) - int(curve.days[0])
        if look.expected_ndvi is None or look.scene_shift is None:
            continue
        assert look.expected_ndvi == pytest.approx(curve.ndvi[day] + look.scene_shift, abs=1e-9)


def test_outcomes_have_their_words() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert len(set(OUTCOMES.values())) == len(Outcome)


def test_table_figure_and_json(workspace: Workspace, alert_id: str, explanation: Explanation, tmp_path: Path) -> None:
    figure = tmp_path / "why.png"
    answer = run(workspace, alert_id, "-o", figure)
    assert answer.exit_code == 0, answer.stderr
    assert figure.read_bytes().startswith(b"\x89PNG")
    lines = answer.stdout.splitlines()
    assert any(line.startswith(str(explanation.confirmed_on)) and " confirmed " in line for line in lines)
    everything = json.loads(run(workspace, alert_id, "-o", figure, "--all", "--json").stdout)
    assert len(everything["looks"]) == len(explanation.looks)
    assert everything["alert_id"] == alert_id
    assert {look["outcome"] for look in everything["looks"]} == {look.outcome.name.lower() for look in explanation.looks}
    few = json.loads(run(workspace, alert_id, "-o", figure, "--json").stdout)
    assert 0 < len(few["looks"]) < len(everything["looks"])
    assert few["notes"] == []


def test_the_figure_lies_with_the_pictures(workspace: Workspace, alert_id: str, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    assert run(copy, alert_id).exit_code == 0
    assert (copy.images / f"{alert_id}.png").stat().st_size > 10_000


def test_an_alert_without_confirmation_is_drawn(explanation: Explanation, tmp_path: Path) -> None:
    looks: tuple[ExplainedLook, ...] = tuple(
        replace(look, area_ndvi=None, ndvi=None, bsi=None, area_bsi=None) for look in explanation.looks
    )
    draw_explanation(tmp_path / "bare.png", replace(explanation, confirmed_on=None, episodes=(), looks=looks))
    assert (tmp_path / "bare.png").exists()


def test_unknown_alert_is_one_line(workspace: Workspace) -> None:
    answer = run(workspace, "nowhere-20200101-000000")
    assert answer.exit_code == 1
    assert answer.stdout == ""
    (line,) = answer.stderr.strip().splitlines()
    assert "there is no alert 'nowhere-20200101-000000'" in line


def test_missing_archive_is_named(workspace: Workspace, alert_id: str, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    for path in copy.archive(NAME).iterdir():
        path.unlink()
    with pytest.raises(AlertsError, match="archive has no look"):
        explain_alert(copy, alert_id)


def test_missing_area_is_named(workspace: Workspace, alert_id: str, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    (copy.aois / f"{NAME}.geojson").unlink()
    with pytest.raises(AoiError, match="there is no area"):
        explain_alert(copy, alert_id)


def test_a_changed_archive_is_noted(workspace: Workspace, alert_id: str, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    archived = list_observations(copy.archive(NAME), make_grid(read_aoi(copy, NAME)))
    max(archived.values(), key=lambda observation: observation.time).item.unlink()
    (note,) = explain_alert(copy, alert_id).notes
    assert "archive has changed since the scan (0 more scenes, 1 fewer)" in note


def test_changed_settings_and_a_lost_record_are_noted(workspace: Workspace, alert_id: str, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    (copy.pipelines / "default.toml").write_text("[detector]\nsettle_looks = 4\n")
    (note,) = explain_alert(copy, alert_id).notes
    assert "other settings than pipeline 'default'" in note
    for path in copy.runs.glob("*.json"):
        path.unlink()
    (note,) = explain_alert(copy, alert_id).notes
    assert "record of the scan" in note


def test_every_alert_can_be_explained(workspace: Workspace) -> None:
    table: gpd.GeoDataFrame = read_alerts(workspace.alerts)
    for row in table.to_dict("records"):
        told = explain_alert(workspace, row["alert_id"])
        assert told.pixels == pytest.approx(row["area_ha"] * 100, rel=0.01)
        assert np.hypot(told.position[0] - row["lat"], told.position[1] - row["lon"]) < 2e-4


def test_alerts_explained_together_are_explained_as_each_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = read_alerts(workspace.alerts)["alert_id"].tolist()
    alone = {name: explain_alert(workspace, name) for name in ids}
    areas = []
    monkeypatch.setattr(
        "minewatch.alerts.explain.explain.assess_area", lambda *words: areas.append(words[1]) or assess_area(*words)
    )
    together = dict(explain_alerts(workspace, [*ids, "nowhere-1"]))
    assert len(areas) == 1, "scenes are judged once"
    assert isinstance(together.pop("nowhere-1"), AlertsError), "one that fails leaves the others alone"
    assert list(together) == ids
    assert len(ids) > 1
    for name, told in together.items():
        assert not isinstance(told, MinewatchError)
        for field in fields(told):
            one, other = getattr(told, field.name), getattr(alone[name], field.name)
            if field.name == "curve":
                for part in fields(one):
                    assert np.array_equal(getattr(one, part.name), getattr(other, part.name)), part.name
            else:
                assert one == other, field.name
