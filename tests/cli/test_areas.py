"""``aoi add``, ``edit`` and ``show`` as people use them: what is said of an area, what an edit means, and its map."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from shapely.geometry import box, mapping

from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.areas.area_source import choose_source
from minewatch.cli import main
from minewatch.core.errors import AoiError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.small import NAME, copy_workspace, make_scanned, make_series

PIT = "-70.0,-13.0,-69.99,-12.99"


@pytest.fixture
def watch(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture
def scanned(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "scanned")


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *map(str, words)], catch_exceptions=False)


def ask(workspace: Workspace, *words: str | Path) -> Any:
    answer = run(workspace, *words, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_adding_says_where_it_lies_and_what_is_doubtful(watch: Workspace) -> None:
    answer = run(watch, "aoi", "add", "swapped", "--bbox", "-13.0271,-70.1337,-12.8729,-69.8663")
    assert answer.exit_code == 0
    assert "\n  70.00° S, 12.95° W; 5.9 × 30 km; tiles " in answer.stderr
    assert "swapped: check this: 70.00° S" in answer.stderr
    assert "write --bbox -70.1337,-13.0271,-69.8663,-12.8729" in answer.stderr
    facts = ask(watch, "aoi", "add", "pit", "--bbox", PIT, "--monitor-from", "2031-01-01")
    assert (facts["tiles"], facts["overpasses_a_year"]) == (["19LCF"], {"least": 73, "most": 73})
    assert len(facts["doubts"]) == 1


def test_each_feature_becomes_a_numbered_area(watch: Workspace, tmp_path: Path) -> None:
    shapes = [box(-70 + n, -13, -69.9 + n, -12.9) for n in range(2)]
    features = [{"type": "Feature", "properties": {}, "geometry": mapping(shape)} for shape in shapes]
    path = tmp_path / "pits.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert "--each" in run(watch, "aoi", "add", "pits", path).stderr
    assert [area["aoi"] for area in ask(watch, "aoi", "add", "pits", path, "--each")] == ["pits-1", "pits-2"]
    assert run(watch, "aoi", "add", "more", path, "--each", "--merge").exit_code == 2


# --- edits -----------------------------------------------------------------------------------------------------------


def test_an_edit_says_what_it_means_and_keeps_the_file(scanned: Workspace) -> None:
    before = (scanned.aois / f"{NAME}.geojson").read_bytes()
    first = read_alerts(scanned.alerts)["first_seen"].min().date()
    later = f"{first.replace(day=1).year + 1}-01-01"
    words = ("aoi", "edit", NAME, "--monitor-from", later)
    dry = run(scanned, *words, "--dry-run")
    assert "nothing was changed" in dry.stderr
    assert (scanned.aois / f"{NAME}.geojson").read_bytes() == before
    done = ask(scanned, *words)
    assert done["changed"]
    assert f"monitor_from 2022-10-01 -> {later}" in done["meaning"][0]
    assert any(re.search(rf"the next scan takes from the table .*first seen before {later}", line) for line in done["meaning"])
    assert Path(done["former"]).read_bytes() == before
    assert f"{read_aoi(scanned, NAME).monitor_from}" == later
    assert list_aois(scanned) == [NAME], "the former file is no area"
    again = ask(scanned, *words)
    assert (again["changed"], again["meaning"]) == (False, [])


def test_an_edit_of_the_outline_tells_what_is_read_again(scanned: Workspace) -> None:
    west, south, east, north = read_aoi(scanned, NAME).bounds
    half = ask(scanned, "aoi", "edit", NAME, "--bbox", f"{west},{south},{(west + east) / 2},{north}", "--dry-run")
    assert "the next scan reads all 43 archived looks again" in half["meaning"][0]
    (scanned.aois / "cut.json").write_text(
        json.dumps(mapping(box(west, south, east, north).difference(box(west, south, west + 2e-4, south + 2e-4))))
    )
    cut = ask(scanned, "aoi", "edit", NAME, scanned.aois / "cut.json", "--dry-run")
    assert "its pixel grid stays the same, so that nothing is read again" in cut["meaning"][0]
    assert run(scanned, "aoi", "edit", NAME).exit_code == 2
    refused = run(scanned, "aoi", "edit", NAME, "--bbox", "0,0,10,10")
    assert (refused.exit_code, "--large" in refused.stderr) == (1, True)
    assert run(scanned, "aoi", "edit", "none", "--pipeline", "default").exit_code == 1


def test_the_budget_of_an_area_is_set_said_and_shown(watch: Workspace) -> None:
    run(watch, "aoi", "add", "pit", "--bbox", PIT, "--budget", "1.5GB", "--large")
    assert read_aoi(watch, "pit").budget == 1_500_000_000
    shown = " ".join(run(watch, "aoi", "show", "pit").stdout.split())
    assert "budget 1.5GB for the first baseline and the first year of monitoring large allowed" in shown.replace(
        "scenes from the workspace's source ", ""
    )
    assert ask(watch, "aoi", "show", "pit")["budget"] == 1_500_000_000
    smaller = ask(watch, "aoi", "edit", "pit", "--budget", "12MB")
    assert smaller["meaning"] == ["budget 1.5GB -> 12MB: alerts rest on the looks that it pays for; the archive stays"]
    assert "it is like that already" in run(watch, "aoi", "edit", "pit", "--budget", "12MB").stderr
    larger = ask(watch, "aoi", "edit", "pit", "--budget", "none")
    assert larger["meaning"][0].startswith("budget 12MB -> none: the next scan reads what it left unread")
    assert "budget none: every look is read" in " ".join(run(watch, "aoi", "show", "pit").stdout.split())
    assert "write it like 1GB" in run(watch, "aoi", "edit", "pit", "--budget", "lots").stderr


# --- sources ---------------------------------------------------------------------------------------------------------


def test_an_area_has_a_source_of_its_own(watch: Workspace, series: SimulatedSeries) -> None:
    run(watch, "aoi", "add", "pit", "--bbox", PIT, "--source", "cdse")
    assert choose_source(watch, read_aoi(watch, "pit")) == "cdse"
    assert choose_source(watch, read_aoi(watch, "pit"), "earth-search-c1") == "earth-search-c1"
    edited = ask(watch, "aoi", "edit", "pit", "--source", series.catalog.parent)
    assert "asks for --switch-source" in edited["meaning"][-1]
    assert choose_source(watch, read_aoi(watch, "pit")) == str(series.catalog.resolve())
    run(watch, "aoi", "edit", "pit", "--source", "none")
    assert choose_source(watch, read_aoi(watch, "pit")) == "earth-search"
    for wrong in ("nowhere", "https://stac.example.org/v1"):
        assert run(watch, "aoi", "edit", "pit", "--source", wrong).exit_code == 1


def test_where_an_outline_is_from_is_no_source(watch: Workspace) -> None:
    """Nor is an address, which a stranger may have written; a misspelt name is an error."""
    run(watch, "aoi", "add", "pit", "--bbox", PIT)
    path = watch.aois / "pit.geojson"

    def say(note: str) -> str:
        document = json.loads(path.read_text())
        document["features"][0]["properties"]["source"] = note
        path.write_text(json.dumps(document))
        return choose_source(watch, read_aoi(watch, "pit"))

    assert say("https://stac.evil.org/v1") == say("Amazon Mining Watch 2024") == "earth-search"
    with pytest.raises(AoiError, match="did you mean 'planetary-computer'"):
        say("planetary-computor")
    mended = ask(watch, "aoi", "edit", "pit", "--source", "planetary-computer")
    assert mended["meaning"][0].startswith("source planetary-computor -> planetary-computer")
    say("Amazon Mining Watch 2024")
    run(watch, "aoi", "edit", "pit", "--source", "cdse")
    assert read_aoi(watch, "pit").properties == {"source": "cdse", "outline_source": "Amazon Mining Watch 2024"}


# --- the map ---------------------------------------------------------------------------------------------------------


def test_the_map_of_an_area_shows_its_latest_clear_look(scanned: Workspace, tmp_path: Path) -> None:
    drawn = ask(scanned, "aoi", "show", NAME, "--image")
    assert drawn["image_date"] is not None
    with Image.open(drawn["image"]) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.int16)
    green = (pixels[..., 1] > pixels[..., 0] + 20) & (pixels[..., 1] > pixels[..., 2] + 20)
    assert green.mean() > 0.2, "forest"
    assert (abs(pixels - (255, 45, 138)).max(axis=-1) < 40).any(), "the outline"
    for file in scanned.archive(NAME).glob("*"):
        file.unlink()
    bare = ask(scanned, "aoi", "show", NAME, "--image", "-o", tmp_path / "bare.png")
    assert bare["image_date"] is None
    with Image.open(bare["image"]) as picture:
        assert picture.width > 500
    assert run(scanned, "aoi", "show", NAME, "-o", tmp_path / "x.png").exit_code == 2
