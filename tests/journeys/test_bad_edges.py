"""A bad edge that comes back with each overpass of an orbit raises nothing, and is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.operations.scan_report import ScanReport
from tests.helpers.small import (
    MONITOR_FROM,
    NAME,
    copy_series,
    make_scanned,
    make_series,
    make_workspace,
    name_scenes,
    scan_small,
)

EDGE, PATCH, DROPOUT = (slice(0, 96), slice(70, 73)), (slice(0, 20), slice(74, 94)), (slice(22, 34), slice(76, 90))
"""A strip along the edge of a swath, a block of DN 1, and a block that near infrared lacks; the two mines lie elsewhere."""

BANDS = {"blue": "B02", "red": "B04", "nir": "B08", "swir16": "B11"}


def spoil(folder: Path) -> None:
    """Break a scene in the same places as the others of its orbit; SCL stays as it is."""
    for band, file in BANDS.items():
        with rasterio.open(folder / f"{file}.tif") as raster:
            numbers, profile = raster.read(1), raster.profile
        size = 96 // numbers.shape[0]
        for rows, columns in (EDGE, PATCH, *([DROPOUT] if band == "nir" else [])):
            numbers[rows.start // size : rows.stop // size, columns.start // size : -(-columns.stop // size)] = 1
        with rasterio.open(folder / f"{file}.tif", "w", **profile) as raster:
            raster.write(numbers, 1)


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    """A scanned workspace whose orbit has had a bad edge ever since monitoring began."""
    folder = tmp_path_factory.mktemp("bad-edges")
    series = copy_series(make_series(tmp_path_factory), folder / "series")
    for name in name_scenes(series):
        if name.split("_")[2] >= f"{MONITOR_FROM:%Y%m%d}":
            spoil(series.catalog.parent / name)
    workspace = make_workspace(folder / "ws", series)
    return workspace, scan_small(workspace)


def list_alerts(report: ScanReport) -> list[tuple[Any, ...]]:
    (area,) = report.areas
    return [(alert.alert_id, alert.status, alert.first_seen, alert.confirmed_on) for alert in area.alerts]


def test_an_edge_that_comes_back_raises_nothing(
    spoilt: tuple[Workspace, ScanReport], tmp_path_factory: pytest.TempPathFactory
) -> None:
    (_, report), (_, clean) = spoilt, make_scanned(tmp_path_factory)
    assert list_alerts(report) == list_alerts(clean)
    assert len(report.areas[0].alerts) == 2
    unseen, before = report.areas[0].coverage.never_clear, clean.areas[0].coverage.never_clear
    lost = np.zeros((96, 96), bool)
    for part in (EDGE, PATCH, DROPOUT):
        lost[part] = True
    assert unseen >= before + 0.9 * lost.mean()  # such ground counts as not seen


def test_looks_with_broken_numbers_are_named_in_the_run_record(spoilt: tuple[Workspace, ScanReport]) -> None:
    _, report = spoilt
    record = json.loads(report.record.read_text())["areas"][0]
    named = record["scenes"]["broken_numbers"]
    assert {look["date"] >= MONITOR_FROM.isoformat() for look in named} == {True}
    assert all(0.01 <= look["share"] < 0.3 and look["ids"] for look in named)
    assert any(f"of the numbers of {named[-1]['ids'][0]} are no reflectance" in note for note in record["notes"])
    assert "are no reflectance" in report.record.with_suffix(".txt").read_text()


def test_the_doctor_names_them_with_their_share(spoilt: tuple[Workspace, ScanReport]) -> None:
    workspace, _ = spoilt
    result = CliRunner().invoke(main, ["-w", str(workspace.root), "doctor", NAME, "--offline", "--json"])
    (check,) = (check for check in json.loads(result.stdout)["checks"] if check["check"] == "broken numbers")
    assert (check["result"], result.exit_code) == ("look", 0)
    broken = [scene for scene in check["scenes"] if scene["result"] == "look"]
    assert broken
    assert all(scene["date"] >= MONITOR_FROM.isoformat() and 0.01 <= scene["broken"] < 0.3 for scene in broken)
