"""The reflectance offset: what metadata say of it, what the pixels say, and what a scan does where the two disagree."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
from distributed.protocol.pickle import dumps, loads

from minewatch.archive.item import Observation, list_observations
from minewatch.archive.publication import TempRaster
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.areas.grid import make_grid
from minewatch.core.errors import SceneError
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest, plan_scan
from minewatch.operations.scan_report import ScanReport
from minewatch.settings.providers import PROVIDERS, infer_provider
from minewatch.simulation.series import SimulatedSeries, simulate_series
from minewatch.sources.reflectance_offset import (
    BOA_OFFSET,
    LARGEST_NEGATIVE,
    LEAST_DARK,
    LEAST_LIFTED,
    ROWS,
    DarkPixels,
    OffsetCheck,
    check_offset,
    count_dark_pixels,
    decide_offset,
    read_declared_offset,
)
from minewatch.sources.scene import Datatake, Scene, name_assets, parse_scene
from tests.helpers.rasters import FOREST, lay_grid, make_item, paint_bands, write_scene
from tests.helpers.small import NAME, SMALL, UNTIL, copy_series, make_workspace, read_result, scan_small

# --- metadata: real items and variants of them -----------------------------------------------------------------------

OLD = "earth-search_S2A_33TWN_20171005_0_L2A"
MIDDLE = "earth-search_S2A_33TWN_20190707_1_L2A"
LATE = "earth-search_S2A_33TWN_20220122_0_L2A"
NEW = "earth-search_S2B_33TWN_20220226_0_L2A"
PLANETARY = "planetary-computer_T06VVN"
HALVES = ("antimeridian_T01VCG_a", "antimeridian_T01VCG_b")

FLAG = "earthsearch:boa_offset_applied"
BASELINE = "s2:processing_baseline"


def read_variant(shared: Path, name: str, change: dict[str, Any], declared: float | None = None) -> pystac.Item:
    """Read a real item with some properties changed (None takes one out), and another offset declared by its bands."""
    document = json.loads((shared / "data" / "stac-items" / f"{name}.json").read_text())
    document["collection"] = change.pop("collection", document.get("collection"))
    document["properties"] = {k: v for k, v in (document["properties"] | change).items() if v is not None}
    for asset in document["assets"].values():
        for band in asset.get("raster:bands", []):
            if declared is not None and "offset" in band:
                band["offset"] = declared
    return pystac.Item.from_dict(document)


def parse(item: pystac.Item, source: str) -> Scene:
    provider = infer_provider(PROVIDERS[source], item.properties, [asset.href for asset in item.assets.values()])
    return parse_scene(item, source, {band: item.assets[name].href for band, name in name_assets(item).items()}, provider)


REAL: list[tuple[str, dict[str, Any], float | None, int]] = [
    # Below 04.00 there is none, whatever the flag and the bands say.
    (OLD, {}, None, 0),
    (MIDDLE, {}, None, 0),
    (LATE, {}, None, 0),
    (OLD, {FLAG: True}, None, 0),
    (LATE, {}, -0.1, 0),
    (PLANETARY, {}, None, 0),
    # From 04.00 on Earth Search's flag counts, and what its bands declare does not.
    (NEW, {}, None, -1000),
    (NEW, {FLAG: True}, None, 0),
    (NEW, {FLAG: True}, 0, 0),
    (NEW, {FLAG: None}, None, -1000),
    (NEW, {}, 0, -1000),
    # The same by the flag's older name.
    (NEW, {FLAG: None, "sentinel:boa_offset_applied": True}, None, 0),
    # Collection 1: its metadata count, for old dates too.
    (OLD, {BASELINE: "05.00", "collection": "sentinel-2-c1-l2a"}, -0.1, -1000),
    (NEW, {BASELINE: "05.00", "collection": "sentinel-2-c1-l2a", FLAG: None}, -0.1, -1000),
    (NEW, {BASELINE: "05.00", "collection": "sentinel-2-c1-l2a", FLAG: True}, -0.1, -1000),
    (NEW, {BASELINE: None, "s2:product_uri": None, "collection": "sentinel-2-c1-l2a"}, None, -1000),
    # Nobody shifted ESA's own files; no date tells (Collection 1 of 2017).
    (HALVES[0], {}, None, -1000),
    (HALVES[1], {}, None, -1000),
    (PLANETARY, {BASELINE: "04.00"}, None, -1000),
    (PLANETARY, {BASELINE: "05.09", "datetime": "2017-06-29T21:25:29Z"}, None, -1000),
    # No baseline: the product's name has it, else the bands tell.
    (NEW, {BASELINE: None, FLAG: False}, None, -1000),
    (HALVES[0], {"sentinel2:processing_baseline": None}, 0, 0),
    (HALVES[0], {"sentinel2:processing_baseline": None, "sentinel2:product_title": None}, -0.1, -1000),
    (HALVES[0], {"sentinel2:processing_baseline": None, "sentinel2:product_title": None}, 0, 0),
]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "change", "declared", "offset"), REAL)
@pytest.mark.parametrize("open_as", ["a provider", "a copy elsewhere"])
def test_the_offset_of_real_items(
    shared: Path, name: str, change: dict[str, Any], declared: float | None, offset: int, open_as: str
) -> None:
    item = read_variant(shared, name, copy.deepcopy(change), declared)
    known = {"earth-search": "earth-search", "planetary-computer": "planetary-computer"}.get(
        name.split("_", maxsplit=1)[0], "cdse"
    )
    is_foreign = known == "cdse" and declared == 0 and "product_title" not in str(change)
    provider = PROVIDERS["earth-search-c1" if "c1" in str(item.collection_id) else known]
    if open_as == "a copy elsewhere":
        provider = infer_provider(replace(provider, name="/data/mirror", offset=""), item.properties, [])
    scene = parse_scene(item, "here", {}, provider)
    wanted = -1000 if is_foreign and open_as == "a provider" else offset  # CDSE never shifts, whatever is declared
    assert (scene.offset, bool(scene.offset_reason)) == (wanted, True)


@pytest.mark.parametrize("provider", ["planetary-computer", "cdse"])
@pytest.mark.parametrize("declared", [None, 0, -1000])
def test_two_providers_never_shift(provider: str, declared: int | None) -> None:
    assert decide_offset({}, (5, 10), declared, provider=provider, rule="metadata")[0] == -1000
    assert decide_offset({}, (3, 1), declared, provider=provider, rule="metadata")[0] == 0


def test_another_provider_may_have_shifted_and_says_so() -> None:
    assert decide_offset({}, (5, 10), 0, provider="mine") == (0, "baseline 05.10, its bands declare no offset")
    assert decide_offset({}, (5, 10), -1000, provider="mine")[0] == -1000


def declare(offset: Any, scale: Any = 0.0001) -> dict[str, Any]:
    return {"raster:bands": [{"offset": offset, "scale": scale}]}


@pytest.mark.parametrize(
    ("assets", "declared"),
    [
        ([declare(-0.1)] * 4, -1000),
        ([declare(0)] * 4, 0),
        ([declare(-0.1), declare(0)], None),
        ([declare(-0.1), {}], None),
        ([{}] * 4, None),
        ([{"raster:bands": []}, {"raster:bands": "x"}, {"raster:bands": [None]}], None),
        ([declare("-0.1")], None),
        ([declare(True)], None),
        ([{"raster:offset": -0.1, "raster:scale": 0.0001}], -1000),
        ([{"bands": [{"raster:offset": -0.1}]}], -1000),
    ],
)
def test_what_bands_declare(assets: list[dict[str, Any]], declared: int | None) -> None:
    assert read_declared_offset([asset] for asset in assets) == declared


@pytest.mark.parametrize("asset", [declare(-0.05), declare(-1000), declare(0, 1), declare(-0.1, 0.0000275)])
def test_an_offset_or_scale_that_is_none_of_sentinel_2_refuses_the_scene(asset: dict[str, Any]) -> None:
    item = pystac.Item.from_dict(make_item())
    item.assets["nir"].extra_fields |= asset
    with pytest.raises(SceneError, match=rf"item {item.id}: its bands declare"):
        parse_scene(item, "here", {})


# --- pixels ----------------------------------------------------------------------------------------------------------


def count_forest(stated: int, **numbers: int) -> DarkPixels:
    """Count the dark pixels of 100 pixels of forest, whose digital numbers may be given."""
    values = {band: max(0, number + stated) for band, number in (FOREST | numbers).items() if band != "scl"}
    bands = {band: np.full((10, 10), value, np.int16) for band, value in values.items()}
    classes = np.full((10, 10), numbers.get("scl", 4), np.uint8)
    (counts,) = count_dark_pixels(classes, np.zeros((10, 10), np.int8), bands, np.array([stated], np.int32)).tolist()
    return DarkPixels(*counts)


CARRIED = {band: number + 1000 for band, number in FOREST.items() if band != "scl"}


@pytest.mark.parametrize(
    ("stated", "baseline", "numbers", "outcome", "share"),
    [
        (-1000, (5, 9), CARRIED, "agree", 0),
        (-1000, (5, 9), {}, "contradict", 1),
        (0, (5, 9), {}, "agree", 0),
        (0, (5, 9), CARRIED, "contradict", 1),
        (0, (0, 0), CARRIED, "contradict", 1),
        (0, (2, 14), CARRIED, "not needed", None),
        (0, (5, 9), {"scl": 6, "swir16": 10}, "agree", 0),
        (0, (5, 9), {"scl": 6, "blue": 1300, "red": 1100, "swir16": 990}, "contradict", 1),
        (0, (5, 9), {"blue": 1300, "red": 1200, "swir16": 700}, "agree", 0),  # haze lifts blue and red, not the infrared
        (-1000, (5, 9), CARRIED | {"red": 990}, "agree", 0),  # clear water, a little too dark in red
        (-1000, (5, 9), {"scl": 5}, "cannot tell", None),
        (-1000, (5, 9), {"scl": 9}, "cannot tell", None),
    ],
)
def test_what_forest_and_water_say(
    stated: int, baseline: tuple[int, int], numbers: dict[str, int], outcome: str, share: float | None
) -> None:
    check = check_offset(stated, baseline, count_forest(stated, **numbers))
    assert (check.outcome, check.share) == (outcome, share)
    assert check.describe()
    assert OffsetCheck.from_record(json.loads(json.dumps(check.as_record()))) == check


@pytest.mark.parametrize(("count", "outcome"), [(LEAST_DARK - 1, "cannot tell"), (LEAST_DARK, "contradict")])
def test_too_few_dark_pixels_cannot_tell(count: int, outcome: str) -> None:
    assert check_offset(-1000, (5, 9), DarkPixels(count, count, 0)).outcome == outcome


def test_pixels_without_data_or_of_another_scene_do_not_count() -> None:
    bands = {band: np.full((4 * ROWS, 4), 300, np.int16) for band in ("blue", "red", "swir16")}
    bands["red"][:ROWS] = -32768
    origin = np.repeat(np.array([0, 1, -1, 0], np.int8), ROWS)[:, None].repeat(4, 1)
    counts = count_dark_pixels(np.full((4 * ROWS, 4), 4, np.uint8), origin, bands, np.array([0, -1000], np.int32))
    assert counts[:, 0].tolist() == [4, 4]


def read_pixels(item: Path) -> dict[str, Any]:
    """Read the bands of a real scene that the check looks at; coarse ones are doubled."""
    assets = json.loads(item.read_text())["assets"]
    bands = {}
    for band in ("blue", "red", "swir16", "scl"):
        with rasterio.open(item.parent / assets[band]["href"]) as raster:
            bands[band] = raster.read(1)
    shape = bands["blue"].shape
    return {name: band if band.shape == shape else band.repeat(2, 0).repeat(2, 1) for name, band in bands.items()}


@pytest.mark.shared
def test_real_forest_tells_the_right_offset_from_the_wrong_one(shared: Path) -> None:
    """Over 140 real scenes: as they are, and as if they carried the offset.  One is hazy throughout, and deceives."""
    outcomes: dict[tuple[bool, int], list[str]] = {}
    for item in sorted((shared / "data" / "romania-s2").glob("*/S2*.json")):
        bands = read_pixels(item)
        empty = bands["blue"] == 0
        for carried in (False, True):
            for stated in (0, BOA_OFFSET):
                numbers = {b: bands[b].astype(np.int32) + 1000 * carried + stated for b in ("blue", "red", "swir16")}
                kept = {b: np.where(empty, -32768, np.clip(n, 0, 32767)).astype(np.int16) for b, n in numbers.items()}
                origin = np.zeros(empty.shape, np.int8)
                counts = count_dark_pixels(bands["scl"], origin, kept, np.array([stated], np.int32))
                outcome = check_offset(stated, (5, 9), DarkPixels(*counts[0].tolist())).outcome
                outcomes.setdefault((carried, stated), []).append(outcome)
    judged = {key: [outcome for outcome in found if outcome != "cannot tell"] for key, found in outcomes.items()}
    assert min(map(len, judged.values())) > 100
    wrong = {key: judged[key].count("contradict") for key in judged}
    assert wrong[False, 0] <= 1
    assert wrong[True, BOA_OFFSET] == 0
    assert wrong[True, 0] == len(judged[True, 0])
    assert wrong[False, BOA_OFFSET] >= 0.85 * len(judged[False, BOA_OFFSET])


def test_the_thresholds_leave_room() -> None:
    assert 0 < LARGEST_NEGATIVE < 0.5 < LEAST_LIFTED < 1


# --- one overpass ----------------------------------------------------------------------------------------------------

GRID = lay_grid(40, 60)
PLAIN = paint_bands(40, 60)
LIFTED = paint_bands(40, 60, **CARRIED)


def write(folder: Path, *scenes: Scene, conflict: Any = "refuse", older: tuple[Scene, ...] = ()) -> TempRaster:
    take = Datatake(scenes[0].key, scenes[0].time, scenes, older)
    (temp,) = write_temp_rasters([Target(take, GRID, folder / "archive", conflict)])
    assert isinstance(temp, TempRaster)
    return temp


@pytest.mark.parametrize(("bands", "stated"), [(PLAIN, -1000), (LIFTED, 0)])
def test_the_setting_decides_who_is_believed(tmp_path: Path, bands: dict[str, Any], stated: int) -> None:
    wrong = write_scene(tmp_path, bands, name="a", offset=stated, baseline=(5, 9))
    right = write(tmp_path, write_scene(tmp_path, bands, name="b", offset=-1000 - stated, baseline=(5, 9)))
    assert not right.stats.refused
    refused = write(tmp_path, wrong)
    assert (refused.datatake.scenes, refused.stats.refused, refused.stats.classes) == ((), [wrong], {0: 40 * 60})
    believed = write(tmp_path, wrong, conflict="pixels")
    assert believed.sha256 == right.sha256
    assert (believed.datatake.scenes[0].offset, believed.stats.checks["a"].stated) == (-1000 - stated, stated)
    kept = write(tmp_path, wrong, conflict="metadata")
    assert kept.sha256 != right.sha256
    is_empty = kept.sha256 == refused.sha256
    assert is_empty == (stated < 0), "with an offset that is not in the pixels, red lies below zero: no reflectance"
    assert (
        kept.stats.checks["a"].outcome == believed.stats.checks["a"].outcome == refused.stats.checks["a"].outcome == "contradict"
    )


def test_the_other_scenes_of_an_overpass_count_on(tmp_path: Path) -> None:
    wrong = write_scene(tmp_path, PLAIN, name="a", offset=-1000, baseline=(5, 9))
    right = write_scene(tmp_path, paint_bands(40, 60, **(CARRIED | {"red": 1700})), name="b", offset=-1000, baseline=(5, 9))
    temp = write(tmp_path, wrong, right)
    assert (temp.datatake.scenes, temp.stats.refused) == ((right,), [wrong])
    assert temp.sha256 == write(tmp_path, right).sha256
    assert temp.stats.checks["b"].pixels == 40 * 60 // ROWS, "it was looked at again without the scene that lay over it"


def test_the_older_baseline_steps_in_for_a_refused_one(tmp_path: Path) -> None:
    old = write_scene(tmp_path, PLAIN, name="a", baseline=(2, 14))
    new = write_scene(tmp_path, PLAIN, name="b", offset=-1000, baseline=(5, 9))
    temp = write(tmp_path, new, older=(old,))
    assert (temp.datatake.scenes, temp.stats.refused) == ((old,), [new])
    assert temp.sha256 == write(tmp_path, old).sha256


def test_what_a_worker_sends_back_can_be_sent(tmp_path: Path) -> None:
    temp = write(tmp_path, write_scene(tmp_path, PLAIN, offset=-1000, baseline=(5, 9)))
    assert loads(dumps(temp)) == temp


# --- whole scans -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def make_kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], SimulatedSeries]:
    """Simulate half of the scenes with a late baseline: the same ground and sky, its pixels with the offset or without."""
    made: dict[bool, SimulatedSeries] = {}

    def make(is_applied: bool) -> SimulatedSeries:
        if is_applied not in made:
            settings = replace(SMALL, offset_share=0.5, offset_applied=is_applied)
            made[is_applied] = simulate_series(tmp_path_factory.mktemp("kind"), settings)
        return made[is_applied]

    return make


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)


def turn_flags(series: SimulatedSeries, folder: Path) -> tuple[SimulatedSeries, set[str]]:
    """Copy a catalogue with the flags of its late baselines turned round; gives their ids too."""
    copied = copy_series(series, folder)
    turned = set()
    for path in copied.catalog.parent.glob("*/S2*.json"):
        item = json.loads(path.read_text())
        if item["properties"][BASELINE] >= "04.00":
            item["properties"][FLAG] = not item["properties"][FLAG]
            path.write_text(json.dumps(item))
            turned.add(item["id"])
    return copied, turned


def read_archive(workspace: Workspace) -> dict[str, Observation]:
    (area,) = plan_scan(workspace, ScanRequest(until=UNTIL)).areas
    return list_observations(workspace.archive(NAME), make_grid(area.aoi))


def read_ndvi(workspace: Workspace) -> dict[str, np.ndarray]:
    """Return the clear NDVI codes of each overpass."""
    ndvi = {}
    for key, observation in read_archive(workspace).items():
        with rasterio.open(observation.raster) as raster:
            ndvi[key] = np.where(raster.read(1) == 4, raster.read(2), 0)
    return ndvi


def describe_alerts(report: ScanReport) -> list[tuple[Any, ...]]:
    return [(a.alert_id, a.status, a.first_seen, a.confirmed_on) for a in report.areas[0].alerts]


def test_ndvi_is_the_same_before_and_after_the_change_of_baseline(
    make_kind: Callable[[bool], SimulatedSeries], tmp_path: Path
) -> None:
    watches = [make_workspace(tmp_path / str(is_applied), make_kind(is_applied)) for is_applied in (True, False)]
    reports = [scan_small(watch) for watch in watches]
    assert [report.failures for report in reports] == [0, 0]
    assert describe_alerts(reports[0]) == describe_alerts(reports[1]) != []
    shifted, carried = (read_ndvi(watch) for watch in watches)
    assert shifted.keys() == carried.keys()
    for key, codes in shifted.items():
        assert np.abs(codes.astype(int) - carried[key]).max() <= 1, key
    late = {s["offset"] for o in read_archive(watches[1]).values() for s in o.sources if s["baseline"] >= "04.00"}
    assert late == {BOA_OFFSET}


@pytest.mark.parametrize("is_applied", [True, False])
def test_wrong_metadata_are_refused_or_corrected_and_never_alert(
    make_kind: Callable[[bool], SimulatedSeries], tmp_path: Path, is_applied: bool
) -> None:
    right = make_kind(is_applied)
    wrong, turned = turn_flags(right, tmp_path / "wrong")
    sites = gpd.read_file(right.truth, layer="sites").to_crs(4326)
    expected = describe_alerts(scan_small(make_workspace(tmp_path / "right", right)))

    watch = make_workspace(tmp_path / "refusing", right, source=str(wrong.catalog))
    report = scan_small(watch)
    refused = {failure.id for failure in report.areas[0].failures}
    assert refused <= turned
    assert len(refused) > 0.6 * len(turned)
    assert all("dark pixels" in f.reason and "offset_conflict" in f.reason for f in report.areas[0].failures)
    used = {name for o in read_archive(watch).values() for name in o.source_ids}
    assert not refused & used
    for alert in gpd.read_file(watch.alerts, layer="alerts").itertuples():
        assert sites.geometry.intersects(alert.geometry).any(), "an alert where nothing happened"

    correcting = scan_small(watch, overrides=("scenes.offset_conflict=pixels",))
    (note,) = (note for note in correcting.areas[0].notes if "offset_conflict" in note)
    assert all(name in note for name in refused)
    assert correcting.areas[0].fetched == len(refused), "only what was refused is read again"
    assert correcting.failures == 0
    assert describe_alerts(correcting) == expected


def test_a_refused_scene_is_named_again_and_not_read_again(make_kind: Callable[[bool], SimulatedSeries], tmp_path: Path) -> None:
    right = make_kind(False)
    wrong, _ = turn_flags(right, tmp_path / "wrong")
    watch = make_workspace(tmp_path / "watch", right, source=str(wrong.catalog))
    first, result = scan_small(watch), read_result(watch)
    again = scan_small(watch)
    assert again.areas[0].fetched == 0
    assert {f.id: f.reason for f in again.areas[0].failures} == {f.id: f.reason for f in first.areas[0].failures} != {}
    assert read_result(watch) == result


def test_a_catalogue_that_was_put_right_ends_as_if_it_had_always_been(
    make_kind: Callable[[bool], SimulatedSeries], tmp_path: Path
) -> None:
    right = make_kind(False)
    wrong, turned = turn_flags(right, tmp_path / "catalogue")
    watch = make_workspace(tmp_path / "watch", right, source=str(wrong.catalog))
    scan_small(watch)
    for name in turned:
        shutil.copy(right.catalog.parent / name / f"{name}.json", wrong.catalog.parent / name)
    report = scan_small(watch)
    assert (report.failures, report.areas[0].fetched) == (0, len(turned))
    fresh = make_workspace(tmp_path / "fresh", right, source=str(right.catalog))
    scan_small(fresh)
    assert read_result(watch) == read_result(fresh)
