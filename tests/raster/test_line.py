"""The line is measured by a file of the source, as a scan would read it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from minewatch.core.traffic import LineMeasure
from minewatch.raster.line import STREAMS, measure_line
from minewatch.sources.scene import Scene
from tests.helpers.rasters import paint_bands, write_scene
from tests.helpers.servers import ServeFolder

RATE = 50 * 2**10
"""Bytes per second of each connection of the throttled server."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return write_scene(tmp_path, paint_bands(64, 64))


@pytest.mark.server
def test_a_slow_line_is_found_to_be_slow(scene: Scene, tmp_path: Path, range_server: ServeFolder) -> None:
    (tmp_path / "large.tif").write_bytes(os.urandom(500_000))
    server = range_server(tmp_path, f"limit_rate {RATE};")
    found = measure_line(replace(scene, hrefs={"red": f"{server.url}/large.tif"}), "red")
    assert found is not None
    assert found.speed == pytest.approx(STREAMS * RATE, rel=0.5)
    assert 0 < found.latency < 1
    assert sum(request.sent for request in server.requests) < 1_000_000


def test_what_lies_on_this_machine_has_no_line(scene: Scene) -> None:
    assert measure_line(scene, "red") is None


def test_a_measure_says_what_comes_in_an_hour() -> None:
    assert LineMeasure(0.3, 250_000).describe() == "2.0 Mbit/s, 300 ms until an answer begins: 900 MB in an hour"
