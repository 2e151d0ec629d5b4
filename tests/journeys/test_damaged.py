"""Files of a workspace that a full disk, a crash or a stranger spoilt: each is named in one line where it matters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from minewatch.cli import main
from minewatch.core.temp_files import make_temp_name
from minewatch.core.text import parse_json
from minewatch.core.workspace import Workspace
from minewatch.sources.run_source import find_run_source
from tests.helpers.small import copy_workspace, make_scanned

NUMBER = re.compile(rb":\s*-?\d+(\.\d+)?(?=[,\s}\]])")

SPOILING: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "infinity": lambda data: NUMBER.sub(b": Infinity", data),
    "no number": lambda data: NUMBER.sub(b": NaN", data),
    "too large": lambda data: NUMBER.sub(b": 1e999", data),
    "too deep": lambda _: b"[" * 100_000,
    "a list": lambda _: b"[1]",
}


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")


def run(workspace: Workspace, *words: str) -> str:
    """Return what a command says on stderr, each line whole."""
    answer = CliRunner().invoke(main, ["-w", str(workspace.root), *words])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return " ".join(answer.output.split())


@pytest.mark.parametrize("name", SPOILING)
def test_a_spoilt_record_of_a_scan_is_named(workspace: Workspace, name: str) -> None:
    (record,) = workspace.runs.glob("*.json")
    record.write_bytes(SPOILING[name](record.read_bytes()))
    said = f"the record of the scan {record.stem} cannot be read ({record} is cut off or damaged)"
    assert f"{said}; scan again" in run(workspace, "status")
    assert any(
        said in fault
        for fault in json.loads(CliRunner().invoke(main, ["-w", str(workspace.root), "status", "--json"]).stdout)["faults"]
    )
    assert find_run_source(workspace, record.stem)


@pytest.mark.parametrize("name", ["cut off", "infinity"])
def test_a_report_says_that_it_lacks_the_record(workspace: Workspace, name: str) -> None:
    (record,) = workspace.runs.glob("*.json")
    record.write_bytes(SPOILING[name](record.read_bytes()))
    assert "cut off or damaged): of what was seen the report says less" in run(workspace, "report", "spot", "--format", "html")


@pytest.mark.parametrize("cut", [0, 0.5, 0.97])
def test_a_change_raster_that_was_cut_off_is_named_and_left_out(workspace: Workspace, cut: float) -> None:
    path = Path(str(workspace.changes("spot"))) / "status.tif"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    assert f"a change raster of spot cannot be read: {path} is cut off or damaged; scan it again" in run(workspace, "status")
    said = run(workspace, "qgis")
    assert f"left out: a change raster of spot: {path} is cut off or damaged; scan it again" in said


def test_what_a_scan_is_writing_is_no_damage(workspace: Workspace) -> None:
    (Path(str(workspace.changes("spot"))) / f"{make_temp_name()}status.tif").write_bytes(b"II*")
    assert "cannot be read" not in run(workspace, "status")


def test_an_image_that_was_cut_off_is_named_and_left_out(workspace: Workspace) -> None:
    path = next(workspace.images.glob("spot-after-*.tif"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert f"left out: an image of spot: {path} is cut off or damaged" in run(workspace, "qgis")


@pytest.mark.parametrize("name", SPOILING)
def test_a_spoilt_list_of_images_and_collection_end_in_no_traceback(workspace: Workspace, name: str) -> None:
    listed = workspace.images / "spot.json"
    listed.write_bytes(SPOILING[name](b'{"a": 1, ' + listed.read_bytes()))
    assert f"left out: images of spot: {listed} is cut off or damaged" in run(workspace, "qgis")
    collection = Path(str(workspace.archive("spot"))) / "collection.json"
    collection.write_bytes(SPOILING[name](collection.read_bytes()))
    run(workspace, "status")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[" * 10_000, "{", "", b"\xff"])
def test_what_is_no_json_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_json_is_read_as_it_is() -> None:
    assert parse_json(b'{"a": [1.5, -2, 1e3, "\xc3\xb1", null, true]}') == {"a": [1.5, -2, 1000.0, "ñ", None, True]}
    assert math.isclose(parse_json("1e308"), 1e308)
