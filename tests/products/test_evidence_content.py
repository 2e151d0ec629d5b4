"""What a folder of evidence holds, and that it suffices to confirm the alert again; later growth is added, nothing is changed."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from shapely.geometry import shape

from minewatch.archive.budget import LEAST_CLEAR
from minewatch.archive.item import list_observations
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import COARSE_PIXEL, make_grid
from minewatch.core.errors import EvidenceError
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.evidence_files import open_folder
from minewatch.products.evidence.recompute import recompute
from minewatch.settings.pipeline import check_pipeline
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.dossiers import list_evidence, make_watch, read_json, rewrite, run, start_apart
from tests.helpers.small import NAME, UNTIL, make_series, make_workspace, scan_small, snapshot


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)


def read_alert(folder: Path) -> dict[str, object]:
    (feature,) = read_json(folder / "alert.geojson")["features"]
    return feature


# --- the alert as of its confirming look -------------------------------------------------------------------------------


def test_the_outline_is_that_of_the_confirming_look(watch: Workspace, series: SimulatedSeries, tmp_path: Path) -> None:
    """A scan up to the confirming look has the same outline, hectares and dates in its table."""
    for folder in list_evidence(watch):
        properties = read_alert(folder)["properties"]
        then = make_workspace(tmp_path / folder.name, series)
        scan_small(then, dt.date.fromisoformat(properties["confirmed_on"]))
        row = json.loads(run("alerts", "show", folder.name, "-w", then.root, "--json").stdout)
        for name in ("area_ha", "lat", "lon", "ndvi_change", "bsi_change", "looks"):
            assert row[name] == pytest.approx(properties[name])
        for name in ("status", "first_seen", "confirmed_on", "last_seen", "last_normal"):
            assert row[name] == properties[name]
        assert shape(row["geometry"]).symmetric_difference(shape(read_alert(folder)["geometry"])).area == pytest.approx(0)


def test_growth_is_added_and_chained_and_nothing_on_file_changes(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "own", series)
    on_file: dict[str, bytes] = {}
    for until in (dt.date(2022, 12, 1), dt.date(2023, 1, 1), dt.date(2023, 2, 1), UNTIL):
        scan_small(workspace, until)
        now = snapshot(workspace.evidence)
        assert on_file.items() <= now.items()
        on_file = now
    whole = make_workspace(tmp_path / "whole", series)
    scan_small(whole)
    names = [{p.relative_to(w.evidence).as_posix() for p in w.evidence.rglob("growth-*")} for w in (workspace, whole)]
    assert names[0] == names[1]
    assert names[0]
    for folder in list_evidence(workspace):
        first = previous = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        area = read_alert(folder)["properties"]["area_ha"]
        for addendum in sorted(folder.glob("growth-*")):
            manifest, properties = read_json(addendum / "manifest.json"), read_alert(addendum)["properties"]
            assert (manifest["extends"], manifest["previous"]) == (first, previous)
            assert properties["area_ha"] >= min(1.25 * area, area + 1) * 0.998
            assert addendum.name == f"growth-{properties['as_of']}"
            assert manifest["images"]["after"]["acquired"][:10] == properties["as_of"]
            previous, area = hashlib.sha256((addendum / "manifest.json").read_bytes()).hexdigest(), properties["area_ha"]
    assert run("verify", workspace.root).exit_code == 0


# --- what it rests on --------------------------------------------------------------------------------------------------


def test_its_items_point_to_rasters_that_are_there(watch: Workspace) -> None:
    grid = make_grid(read_aoi(watch, NAME))
    archived = {o.item.stem: o for o in list_observations(watch.archive(NAME), grid).values()}
    for folder in list_evidence(watch):
        manifest = read_json(folder / "manifest.json")
        assert max(look["acquired"][:10] for look in manifest["looks"]) == manifest["bracket"]["confirmed_on"]
        for look in manifest["looks"]:
            item = pystac.Item.from_file(str(folder / "observations" / f"{look['item']}.json"))
            path = Path(item.assets["observation"].get_absolute_href())
            assert path.parent == folder / "observations"
            data = path.read_bytes()
            assert item.assets["observation"].extra_fields["file:checksum"] == f"1220{hashlib.sha256(data).hexdigest()}"
            with rasterio.open(path) as chip, rasterio.open(archived[look["item"]].raster) as whole:
                assert list(chip.shape) == item.properties["proj:shape"]
                assert np.array_equal(chip.read(), whole.read(window=whole.window(*chip.bounds)))


def test_the_table_of_looks_tells_the_confirmation(watch: Workspace) -> None:
    for folder in list_evidence(watch):
        properties = read_alert(folder)["properties"]
        with (folder / "series.csv").open() as file:
            rows = list(csv.DictReader(file))
        alert = [row for row in rows if row["pixel"] == "alert"]
        assert [row["date"] for row in alert] == sorted({row["date"] for row in rows})
        assert alert[-1]["date"] == properties["confirmed_on"]
        confirmed = {row["pixel"]: row["date"] for row in rows if row["outcome"].startswith("confirmed")}
        assert len(confirmed) >= 10
        assert max(confirmed.values()) <= properties["confirmed_on"]
        assert int(alert[-1]["confirmed_pixels"]) >= len(confirmed)
        clear = [row for row in alert if int(row["clear_pixels"])]
        before = [float(row["ndvi"]) for row in clear if row["date"] <= properties["last_normal"]]
        assert np.median(before) - float(clear[-1]["ndvi"]) > 0.2
        assert set(read_json(folder / "method.json")["series_columns"]) == set(rows[0])


def test_the_settings_stand_in_it_twice_and_agree(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    method = read_json(folder / "method.json")
    pipeline = check_pipeline(tomllib.loads((folder / "pipeline.toml").read_text()), "pipeline.toml")
    assert pipeline.model_dump(mode="json") == method["settings"]
    assert pipeline.digest == method["pipeline"]["digest"]
    assert method["software"]["minewatch"]


# --- recomputed --------------------------------------------------------------------------------------------------------


def test_the_confirmation_is_recomputed_from_the_folder_alone(watch: Workspace, tmp_path: Path) -> None:
    for folder in list_evidence(watch):
        assert read_json(folder / "manifest.json")["recomputed"]["agrees"]
        alone = tmp_path / "alone" / folder.name
        alone.parent.mkdir(exist_ok=True)
        folder.rename(alone)
        assert recompute(open_folder(alone), read_json(alone / "manifest.json")) == []
        answer = run("verify", alone, "--recompute")
        assert "recomputed from these files alone, the alert is the same" in answer.stdout


def drop_look(folder: Path) -> str:
    """Take away the confirming look."""
    last = max(folder.glob("observations/s2*.json"), key=lambda path: read_json(path)["properties"]["datetime"])
    last.unlink()
    return "recomputed"


def raise_threshold(folder: Path) -> str:
    document = read_json(folder / "method.json")
    document["settings"]["alerts"]["core_area_ha"] = 50
    rewrite(folder / "method.json", json.dumps(document).encode())
    return "confirmed_on is None"


def claim_earlier_date(folder: Path) -> str:
    document = read_json(folder / "alert.geojson")
    document["features"][0]["properties"]["first_seen"] = "2022-10-20"
    rewrite(folder / "alert.geojson", json.dumps(document).encode())
    return "first_seen is 20"


def claim_more_ground(folder: Path) -> str:
    document = read_json(folder / "alert.geojson")
    grown = shape(document["features"][0]["geometry"]).buffer(0.0002)
    document["features"][0]["geometry"] = grown.__geo_interface__
    rewrite(folder / "alert.geojson", json.dumps(document).encode())
    return "another outline"


def drop_early_look(folder: Path) -> str:
    """Take away a look in the middle, and what method.json says of its scene."""
    items = sorted(folder.glob("observations/s2*.json"), key=lambda path: read_json(path)["properties"]["datetime"])
    gone = items[len(items) // 2]
    day = read_json(gone)["properties"]["datetime"][:10]
    gone.unlink()
    document = read_json(folder / "method.json")
    document["scenes"] = [scene for scene in document["scenes"] if scene["date"] != day]
    rewrite(folder / "method.json", json.dumps(document).encode())
    return "the list of looks in the manifest does not agree"


def paint_image(folder: Path) -> str:
    """Put the image before in the place of the one after."""
    rewrite(folder / "after.tif", (folder / "before.tif").read_bytes())
    return "after.tif shows another NDVI"


def rewrite_table(folder: Path) -> str:
    text = (folder / "series.csv").read_text().replace("strong loss", "normal").replace("confirmed", "normal")
    rewrite(folder / "series.csv", text.encode())
    return "series.csv is not the one on file"


def claim_hectares(folder: Path) -> str:
    document = read_json(folder / "alert.geojson")
    document["features"][0]["properties"]["area_ha"] = 99.0
    rewrite(folder / "alert.geojson", json.dumps(document).encode())
    return "area_ha is "


def claim_other_bracket(folder: Path) -> str:
    manifest = read_json(folder / "manifest.json")
    manifest["bracket"]["last_normal"] = "2022-11-30"
    rewrite(folder / "manifest.json", json.dumps(manifest).encode())
    return "the bracket in the manifest does not agree"


FORGERIES = [
    drop_look,
    raise_threshold,
    claim_earlier_date,
    claim_more_ground,
    drop_early_look,
    paint_image,
    rewrite_table,
    claim_hectares,
    claim_other_bracket,
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_what_the_looks_do_not_give_is_found(watch: Workspace, forge: Callable[[Path], str]) -> None:
    folder = list_evidence(watch)[0]
    expected = forge(folder)
    differing = recompute(open_folder(folder), read_json(folder / "manifest.json"))
    assert any(expected in line for line in differing)


def test_sharp_images_of_looks_in_larger_pixels_agree_with_them(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.archive.budget.FULL_LOOKS", 1e9)
    workspace = make_workspace(tmp_path / "own", series)
    (area,) = scan_small(workspace, budget=10**12).areas
    assert all(look.read_pixel == COARSE_PIXEL for look in area.observations if look.clear_share > LEAST_CLEAR)
    for folder in list_evidence(workspace):
        assert recompute(open_folder(folder), read_json(folder / "manifest.json")) == []
        expected = paint_image(folder)
        assert any(expected in line for line in recompute(open_folder(folder), read_json(folder / "manifest.json")))


@pytest.mark.parametrize("name", ["method.json", "alert.geojson"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"features": [1]}', "[" * 100_000, '{"scenes": [], "pipeline": {}}'])
def test_documents_that_are_none_are_refused(watch: Workspace, name: str, text: str) -> None:
    folder = list_evidence(watch)[0]
    rewrite(folder / name, text.encode())
    with pytest.raises(EvidenceError, match="recomputed"):
        recompute(open_folder(folder), read_json(folder / "manifest.json"))


def test_evidence_of_format_1_cannot_be_recomputed(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    manifest = read_json(folder / "manifest.json") | {"format": 1}
    with pytest.raises(EvidenceError, match="format 1"):
        recompute(open_folder(folder), manifest)
