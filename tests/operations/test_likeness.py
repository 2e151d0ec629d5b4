"""Scans score alerts: from the looks alone, remembered, and never in the way of anything."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Point

from minewatch.alerts.record import Alert, AlertStage
from minewatch.areas.grid import Grid, lonlat_from, reproject
from minewatch.core.errors import ModelError
from minewatch.core.workspace import SCORED
from minewatch.likeness.basis import Basis
from minewatch.likeness.grades import EDGE, UNCONFIRMED, UNLISTED, UNREADABLE
from minewatch.likeness.home_layer import HomeLayer
from minewatch.likeness.home_versions import add_version, use_version
from minewatch.likeness.measure import find_obstacle
from minewatch.likeness.model import CHIP, read_model
from minewatch.likeness.record import read_scored
from minewatch.operations import alert_chips, score_alerts
from minewatch.operations.alert_chips import ChipRequest, read_chips
from minewatch.operations.scan_report import AreaReport
from minewatch.operations.score_alerts import NAME, AlertScores, ScoringInput
from minewatch.raster.read import DatatakeReader, open_datatake
from minewatch.sources.scene import group_scenes
from tests.helpers.small import make_scanned, read_layer
from tests.helpers.tables import make_alert


@pytest.fixture(scope="module")
def area(tmp_path_factory: pytest.TempPathFactory) -> AreaReport:
    """The small area as it was scanned."""
    return make_scanned(tmp_path_factory)[1].areas[0]


def make_stage(area: AreaReport, row: float, column: float, *, nth: int = 0) -> AlertStage:
    """Make a stage of half a hectare at a pixel of the grid, on the day of the clearest look, or the one after."""
    look = sorted(area.observations, key=lambda o: (-o.clear_share, o.time))[nth]
    grid = area.plan.grid
    shape = reproject(Point(grid.transform @ (column, row)).buffer(40), lonlat_from(grid.crs))
    lon, lat = shapely.get_coordinates(shape.centroid)[0]
    return AlertStage(look.time.date(), MultiPolygon([shape]), 0.5, lat, lon)


def make_staged(number: int, *stages: AlertStage) -> Alert:
    return make_alert(number, stages=stages)


def score(area: AreaReport, *alerts: Alert, folder: Path | None = None, **changes: Any) -> AlertScores:
    parts = ScoringInput(area.plan, "simulated", area.found.scenes, area.observations, alerts)
    return score_alerts.score_alerts(replace(parts, **changes), folder)


def read_basis(scores: AlertScores, alert: Alert) -> Basis:
    basis = Basis.parse(scores.cells[alert.alert_id]["mine_basis"])
    assert basis is not None
    return basis


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("pixels are read")

    monkeypatch.setattr(alert_chips, "open_datatake", fail)
    monkeypatch.setattr(score_alerts, "find_datatake_of", fail)


def test_an_alert_is_scored_as_its_chip_is(area: AreaReport) -> None:
    stage = make_stage(area, 48, 48)
    alert = make_staged(0, stage)
    cells = score(area, alert).cells[alert.alert_id]
    datatake = next(d for d in group_scenes(area.found.scenes) if d.time.date() == stage.date)
    ((_, chip),) = read_chips(area.plan.grid, [ChipRequest(alert.alert_id, stage, datatake)])
    assert not isinstance(chip, str)
    assert cells["mine_score"] == round(float(read_model().assess(chip.rgb[None]).score[0]), 2)
    assert cells["mine_model"] == read_model().version
    assert str(cells["mine_score"]) in str(cells["mine_reasons"]) + "0"


def test_chips_are_the_pixels_around_the_position(area: AreaReport) -> None:
    stage, grid = make_stage(area, 40, 50), area.plan.grid
    datatake = next(d for d in group_scenes(area.found.scenes) if d.time.date() == stage.date)
    ((_, chip),) = read_chips(grid, [ChipRequest("a", stage, datatake)])
    assert not isinstance(chip, str)
    with open_datatake(datatake, grid) as reader:
        _, origin = reader.read_scl(grid.window)
        red = reader.read_reflectance("red", grid.window, origin)
    expected = red[40 - CHIP // 2 : 40 + CHIP // 2, 50 - CHIP // 2 : 50 + CHIP // 2]
    assert np.array_equal(chip.rgb[..., 0], (expected / np.float32(10_000)).astype(np.float32))
    assert chip.outline[CHIP // 2, CHIP // 2]
    assert not chip.outline[0].any()


def test_of_hidden_ground_nothing_but_its_classes_is_read(area: AreaReport, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = replace(make_stage(area, 48, 48), date=min(area.observations, key=lambda o: o.clear_share).time.date())
    datatake = next(d for d in group_scenes(area.found.scenes) if d.time.date() == stage.date)
    monkeypatch.setattr(DatatakeReader, "read_reflectance", None)
    ((_, chip),) = read_chips(area.plan.grid, [ChipRequest("a", stage, datatake)])
    assert not isinstance(chip, str)
    assert find_obstacle(chip.classes)
    assert chip.empty.all()


def test_an_area_smaller_than_a_chip_is_read_beyond_its_edge(area: AreaReport) -> None:
    stage, whole = make_stage(area, 48, 48), area.plan.grid
    small = Grid(whole.geobox[40:56, 40:56], whole.area)
    datatake = next(d for d in group_scenes(area.found.scenes) if d.time.date() == stage.date)
    chips = [chip for grid in (whole, small) for _, chip in read_chips(grid, [ChipRequest("a", stage, datatake)])]
    first, second = chips
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    assert np.array_equal(first.rgb, second.rgb, equal_nan=True)
    assert not first.empty.any()


def test_a_corner_of_the_scene_is_not_scored(area: AreaReport) -> None:
    alert = make_staged(0, make_stage(area, 1, 1))
    scores = score(area, alert)
    assert read_basis(scores, alert).chip.not_scored == EDGE
    assert scores.cells[alert.alert_id]["mine_score"] is None
    assert scores.cells[alert.alert_id]["mine_model"] is None
    assert str(scores.cells[alert.alert_id]["mine_reasons"]).startswith("not scored: chip at the edge of data, ")


def test_an_alert_that_was_never_confirmed_is_not_scored(area: AreaReport, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_reading(monkeypatch)
    scores = score(area, make_alert(0))
    assert read_basis(scores, make_alert(0)).chip.not_scored == UNCONFIRMED
    assert scores.counts == {UNCONFIRMED: 1}


def test_where_the_latest_look_hides_the_ground_the_one_before_is_scored(area: AreaReport) -> None:
    clear, edge = make_stage(area, 48, 48), make_stage(area, 1, 1, nth=1)
    alert = make_staged(0, clear, edge)
    scores = score(area, alert)
    assert read_basis(scores, alert).look == clear.date.isoformat()
    assert scores.cells[alert.alert_id]["mine_score"] == score(area, make_staged(0, clear)).cells[alert.alert_id]["mine_score"]


def test_where_the_one_before_cannot_be_read_the_latest_look_is_no_reason(
    area: AreaReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear, edge = make_stage(area, 48, 48), make_stage(area, 1, 1, nth=1)
    alert = make_staged(0, make_stage(area, 48, 48), clear, edge)
    real = alert_chips.read_chips

    def fail(grid: Any, requests: Any) -> Any:
        return ((request, "status 503" if request.stage is clear else chip) for request, chip in real(grid, requests))

    monkeypatch.setattr(score_alerts, "read_chips", fail)
    scores = score(area, alert)
    assert read_basis(scores, alert).chip.not_scored == UNREADABLE
    assert scores.counts == {UNREADABLE: 1}
    assert "status 503" in scores.notes[0]


def test_a_night_with_nothing_new_reads_no_pixel(area: AreaReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = [make_staged(0, make_stage(area, 48, 48)), make_staged(1, make_stage(area, 1, 1))]
    first = score(area, *alerts, folder=tmp_path)
    forbid_reading(monkeypatch)
    assert score(area, *alerts, folder=tmp_path) == first


@pytest.mark.parametrize("damage", [b"", b"{}", b"0" * 64 + b"\n{}"])
def test_a_damaged_record_is_made_anew(area: AreaReport, tmp_path: Path, damage: bytes) -> None:
    alert = make_staged(0, make_stage(area, 48, 48))
    first = score(area, alert, folder=tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(damage)
    assert score(area, alert, folder=tmp_path) == first
    assert (tmp_path / NAME).read_bytes() == whole


def test_other_weights_and_another_outline_are_scored_anew(
    area: AreaReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(area, 48, 48)
    score(area, make_staged(0, stage), folder=tmp_path)
    moved = replace(stage, lat=stage.lat + 1e-5)
    monkeypatch.setattr(score_alerts, "read_chips", lambda _, requests: ((request, "read anew") for request in requests))
    assert "read anew" in score(area, make_staged(0, moved), folder=tmp_path).notes[0]
    newer = replace(read_model(), version="2-other")
    monkeypatch.setattr(score_alerts, "read_model", lambda: newer)
    assert "read anew" in score(area, make_staged(0, stage), folder=tmp_path).notes[0]


def test_what_the_source_does_not_give_is_said_and_tried_again(
    area: AreaReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = make_staged(0, make_stage(area, 48, 48))
    gone = score(area, alert, folder=tmp_path, scenes=())
    assert read_basis(gone, alert).chip.not_scored == UNLISTED
    assert alert.alert_id in gone.notes[0]
    with monkeypatch.context() as patched:
        patched.setattr(alert_chips, "_read_reflectance", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        broken = score(area, alert, folder=tmp_path)
    assert read_basis(broken, alert).chip.not_scored == UNREADABLE
    assert "Input/output error" in broken.notes[0]
    again = score(area, alert, folder=tmp_path)
    assert isinstance(again.cells[alert.alert_id]["mine_score"], float)
    assert again.notes == ()
    assert score(area, alert, folder=tmp_path, scenes=()) == again, "what was scored stays, whatever the source lists now"


def test_a_scan_writes_the_columns_and_counts_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    workspace, report = make_scanned(tmp_path_factory)
    rows = read_layer(workspace.alerts, "alerts")
    assert all(Basis.parse(row["mine_basis"]) and row["mine_reasons"] for row in rows)
    record = json.loads(report.record.read_text())
    assert sum(record["areas"][0]["likeness"].values()) == len(rows)
    assert (workspace.checkpoints("spot") / NAME).exists()


def test_what_was_learnt_from_reviews_changes_scores_and_is_named(area: AreaReport, tmp_path: Path) -> None:
    alert = make_staged(1, make_stage(area, 40, 40))
    shipped = score(area, alert, folder=tmp_path / "kept")
    (kept,) = read_scored(tmp_path / "kept" / SCORED)
    assert (kept.alert_id, round(kept.score, 2)) == (alert.alert_id, shipped.cells[alert.alert_id]["mine_score"])
    layer = HomeLayer(read_model().version, 0.0, np.zeros(len(kept.features)), 2.0)
    adopted = add_version(tmp_path / "layers", layer, dt.date(2026, 1, 1), {})
    parts = ScoringInput(area.plan, "simulated", area.found.scenes, area.observations, [alert])
    learnt = score_alerts.score_alerts(parts, tmp_path / "kept", tmp_path / "layers").cells[alert.alert_id]
    assert (learnt["mine_score"], learnt["mine_model"]) == (0.88, adopted.version)
    use_version(tmp_path / "layers", "shipped")
    again = score_alerts.score_alerts(parts, tmp_path / "kept", tmp_path / "layers")
    assert again.cells == shipped.cells
    (tmp_path / "layers" / "in-use").write_text(adopted.name)
    (tmp_path / "layers" / adopted.name).write_bytes(b"damaged")
    damaged = score_alerts.score_alerts(parts, tmp_path / "kept", tmp_path / "layers")
    assert damaged.cells == shipped.cells
    assert any("is damaged" in note and "alerts have the shipped score" in note for note in damaged.notes)


def test_damaged_weights_leave_alerts_without_a_score_and_say_so(area: AreaReport, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ModelError("weights.npz is damaged or gone; install minewatch anew")

    monkeypatch.setattr("minewatch.operations.score_alerts.read_model", fail)
    alert = make_staged(1, make_stage(area, 40, 40))
    scores = score(area, alert)
    assert scores.cells == {alert.alert_id: {}}
    assert scores.notes == ("no likeness was measured: weights.npz is damaged or gone; install minewatch anew",)
