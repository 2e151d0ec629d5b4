"""Scenes: where providers differ, and what makes one overpass."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from minewatch.core.errors import SceneError
from minewatch.settings.providers import BANDS
from minewatch.sources.baseline import parse_baseline
from minewatch.sources.reflectance_offset import decide_offset
from minewatch.sources.scene import Datatake, Scene, find_tile, group_scenes, make_key, name_assets, parse_scene
from tests.helpers.rasters import FOREST, make_item

EARTH_SEARCH = {band: band for band in BANDS}
PLANETARY = dict(zip(BANDS, ("B02", "B03", "B04", "B08", "B11", "SCL"), strict=True))
CDSE = dict(zip(BANDS, ("B02_10m", "B03_10m", "B04_10m", "B08_10m", "B11_20m", "SCL_20m"), strict=True))
NOON = dt.datetime(2020, 7, 4, 14, 50, 21, tzinfo=dt.UTC)


@dataclasses.dataclass(frozen=True)
class Known:
    """What a person reads in a real item."""

    file: str
    key: str
    tile: str
    baseline: tuple[int, int]
    offset: int
    assets: dict[str, str] = dataclasses.field(default_factory=lambda: EARTH_SEARCH)


REAL = [
    Known("earth-search_S2A_33TWN_20171005_0_L2A", "s2a_20171005T095031", "33TWN", (0, 1), 0),
    Known("earth-search_S2A_33TWN_20190707_1_L2A", "s2a_20190707T095031", "33TWN", (2, 12), 0),
    Known("earth-search_S2A_33TWN_20220122_0_L2A", "s2a_20220122T095321", "33TWN", (3, 1), 0),
    Known("earth-search_S2B_33TWN_20220226_0_L2A", "s2b_20220226T095029", "33TWN", (4, 0), -1000),
    Known("planetary-computer_T06VVN", "s2b_20190629T212529", "06VVN", (2, 12), 0, PLANETARY),
    Known("antimeridian_T01VCG_a", "s2b_20230512T231559", "01VCG", (5, 9), -1000),
    Known("antimeridian_T01VCG_b", "s2b_20230512T231559", "01VCG", (5, 9), -1000),
]


def read_real(shared: Path, name: str) -> pystac.Item:
    return pystac.Item.from_file(str(shared / "data" / "stac-items" / f"{name}.json"))


def parse_real(shared: Path, name: str) -> Scene:
    item = read_real(shared, name)
    return parse_scene(item, "here", {band: item.assets[asset].href for band, asset in name_assets(item).items()})


def as_item(**changes: Any) -> pystac.Item:
    return pystac.Item.from_dict(make_item(**changes))


def make_scene(name: str, **changes: Any) -> Scene:
    scene = Scene(name, "here", NOON, "s2a_x", "19LCF", (2, 14), {}, 0, "", box(-70, -13, -69, -12), 0)
    return dataclasses.replace(scene, **changes)


@pytest.mark.shared
@pytest.mark.parametrize("known", REAL, ids=lambda known: known.file)
def test_a_real_item_is_understood(shared: Path, known: Known) -> None:
    scene = parse_real(shared, known.file)
    assert name_assets(read_real(shared, known.file)) == known.assets
    assert scene.key == known.key
    assert scene.tile == known.tile
    assert scene.baseline == known.baseline
    assert scene.offset == known.offset
    assert "{:02d}.{:02d}".format(*known.baseline) in scene.offset_reason
    assert scene.time.tzinfo is dt.UTC
    assert scene.footprint.is_valid


@pytest.mark.shared
def test_both_halves_of_a_tile_cut_in_two_are_one_overpass_and_stay(shared: Path) -> None:
    halves = [parse_real(shared, "antimeridian_T01VCG_b"), parse_real(shared, "antimeridian_T01VCG_a")]
    (datatake,) = group_scenes(halves)
    assert {scene.id for scene in datatake.scenes} == {half.id for half in halves}
    assert datatake.time == min(half.time for half in halves)


@pytest.mark.shared
def test_real_overpasses_are_apart_and_in_order(shared: Path) -> None:
    datatakes = group_scenes(parse_real(shared, known.file) for known in REAL[:4])
    assert [datatake.time.date().isoformat() for datatake in datatakes] == [
        "2017-10-05",
        "2019-07-07",
        "2022-01-22",
        "2022-02-26",
    ]


@pytest.mark.parametrize(
    ("properties", "offset"),
    [
        ({"s2:processing_baseline": "03.01"}, 0),
        ({"s2:processing_baseline": "03.01", "earthsearch:boa_offset_applied": False}, 0),
        ({"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": True}, 0),
        ({"s2:processing_baseline": "04.00"}, -1000),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, 0),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False}, -1000),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": None}, -1000),
        ({"s2:processing_baseline": 5.09, "sentinel:boa_offset_applied": "True"}, 0),
        ({"s2:processing_baseline": "05.00"}, -1000),  # Collection 1, also for old dates
        ({"processing:version": "05.11"}, -1000),
        ({"s2:processing_baseline": "99.99"}, 0),  # nobody knows; the pixels are checked
        ({}, 0),
    ],
)
def test_the_offset_follows_from_baseline_and_provider(properties: dict[str, Any], offset: int) -> None:
    scene = parse_scene(as_item(**properties), "here", {})
    assert scene.offset == offset
    assert decide_offset(properties, scene.baseline) == (offset, scene.offset_reason)
    assert scene.offset_reason


@pytest.mark.parametrize(
    ("text", "baseline"),
    [
        ("05.09", (5, 9)),
        ("N05.09", (5, 9)),
        ("N0509", (5, 9)),
        (" 04.00 ", (4, 0)),
        ("", (0, 0)),
        ("new", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_baselines(text: str | None, baseline: tuple[int, int]) -> None:
    assert parse_baseline({"s2:processing_baseline": text}) == baseline


@pytest.mark.parametrize(
    ("properties", "key"),
    [
        ({"platform": "sentinel-2a", "s2:datatake_id": "GS2A_20200704T144731_026291_N05.09"}, "s2a_20200704T144731"),
        ({"platform": "sentinel-2a", "s2:datatake_id": "GS2A_20200704T144731_026291_N02.12"}, "s2a_20200704T144731"),
        ({"platform": "Sentinel-2A", "eopf:datatake_id": "GS2A_20200704T144731_026291_N05.10"}, "s2a_20200704T144731"),
        ({"s2:datatake_id": "GS2C_20200704T144731_026291_N05.10"}, "s2c_20200704T144731"),
        ({"platform": "sentinel-2a", "s2:datatake_id": "GS2A_20230815T095031_042547_N05.09"}, "s2a_20200704T1450"),
        ({"platform": "sentinel-2a", "s2:datatake_id": "GS2A_20209999T995031_042547_N05.09"}, "s2a_20200704T1450"),
        ({"platform": "sentinel-2c"}, "s2c_20200704T1450"),
        ({"platform": "sentinel-2b", "s2:datatake_id": "unknown"}, "s2b_20200704T1450"),
        ({}, "s2_20200704T1450"),
        ({"platform": "../../etc"}, "etc_20200704T1450"),
        ({"platform": "a/" * 99}, "aaaaaaaa_20200704T1450"),
    ],
)
def test_the_key_names_the_overpass_and_can_be_a_files_name(properties: dict[str, Any], key: str) -> None:
    assert make_key(properties, NOON) == key


PRODUCT = "S2B_MSIL2A_20200704T144729_N0500_R096_T19LCF_20230512T234921"


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        (PRODUCT, {}),  # CDSE
        ("S2B_MSIL2A_20200704T144729_R096_T19LCF_20230512T234921", {"s2:processing_baseline": "05.00"}),  # Planetary Computer
        ("x", {"s2:product_uri": f"{PRODUCT}.SAFE"}),
        ("x", {"sentinel2:product_title": PRODUCT}),
        ("x", {"title": f"{PRODUCT}.SAFE"}),
    ],
)
def test_a_products_name_tells_what_else_is_missing(name: str, properties: dict[str, Any]) -> None:
    item = as_item(name=name, **properties)
    del item.properties["platform"]
    scene = parse_scene(item, "here", {})
    assert (scene.key, scene.tile, scene.baseline, scene.offset) == ("s2b_20200704T144729", "19LCF", (5, 0), -1000)


def test_parts_of_an_overpass_in_different_minutes_are_one() -> None:
    times = ("2020-07-04T14:50:59Z", "2020-07-04T14:51:02Z")
    parts = [as_item(name=f"part-{n}", time=time, **{"s2:product_uri": PRODUCT}) for n, time in enumerate(times)]
    (datatake,) = group_scenes(parse_scene(part, "here", {}) for part in parts)
    assert [scene.id for scene in datatake.scenes] == ["part-0", "part-1"]
    assert datatake.time == dt.datetime(2020, 7, 4, 14, 50, 59, tzinfo=dt.UTC)


def test_an_id_of_another_day_than_the_datetime_does_not_count() -> None:
    scene = parse_scene(as_item(name=PRODUCT, time="2020-07-09T14:50:59Z"), "here", {})
    assert (scene.time.date(), scene.key) == (dt.date(2020, 7, 9), "s2a_20200709T1450")


@pytest.mark.parametrize(
    ("properties", "tile"),
    [
        ({"s2:mgrs_tile": "06VVN"}, "06VVN"),
        ({"grid:code": "MGRS-1VCG"}, "01VCG"),
        ({"grid:code": "MGRS-19LCF"}, "19LCF"),
        ({"grid:code": "somewhere else"}, ""),
        ({"mgrs:utm_zone": 1, "mgrs:latitude_band": "V", "mgrs:grid_square": "CG"}, "01VCG"),
        ({}, ""),
    ],
)
def test_tiles(properties: dict[str, Any], tile: str) -> None:
    assert find_tile(properties) == tile


@pytest.mark.parametrize("names", [EARTH_SEARCH, PLANETARY, CDSE], ids=["Earth Search", "Planetary Computer", "CDSE"])
def test_assets_are_found_under_every_naming(names: dict[str, str]) -> None:
    twins = {f"{name}-jp2": "x.jp2" for name in names.values()}
    item = as_item(assets=dict.fromkeys(names.values(), "x.tif") | twins | {"thumbnail": "x.jpg"})
    assert name_assets(item) == names


@pytest.mark.parametrize("lost", ["blue", "red", "nir", "swir16", "scl"])
@pytest.mark.parametrize("names", [EARTH_SEARCH, PLANETARY, CDSE], ids=["Earth Search", "Planetary Computer", "CDSE"])
def test_a_missing_asset_is_named(names: dict[str, str], lost: str) -> None:
    item = as_item(assets={name: "x.tif" for band, name in names.items() if band != lost})
    with pytest.raises(SceneError, match=f"has no {names[lost]} asset"):
        name_assets(item)


def test_green_may_be_missing() -> None:
    item = as_item(assets={band: "x.tif" for band in FOREST if band != "green"})
    assert "green" not in name_assets(item)


def test_time_is_utc_whatever_the_item_says() -> None:
    scene = parse_scene(as_item(time="2020-07-04T21:30:00-05:00"), "here", {})
    assert scene.time == dt.datetime(2020, 7, 5, 2, 30, tzinfo=dt.UTC)
    assert scene.time.date() == dt.date(2020, 7, 5)


def test_an_item_without_place_or_date_is_refused() -> None:
    placeless = as_item()
    placeless.geometry = None
    with pytest.raises(SceneError, match="no geometry"):
        parse_scene(placeless, "here", {})
    dateless = as_item()
    dateless.datetime = None
    with pytest.raises(SceneError, match="no datetime"):
        parse_scene(dateless, "here", {})


def test_a_cloud_cover_that_is_no_number_refuses_the_scene_alone() -> None:
    with pytest.raises(SceneError):
        parse_scene(as_item(**{"eo:cloud_cover": "some"}), "here", {})


def test_of_each_tile_the_newest_baseline_stays() -> None:
    old, new = make_scene("a", baseline=(2, 12)), make_scene("b", baseline=(5, 0))
    neighbour = make_scene("c", tile="19LCG", baseline=(2, 12))
    (datatake,) = group_scenes([old, neighbour, new])
    assert datatake.scenes == (new, neighbour)
    assert datatake.baseline == (5, 0)
    assert datatake.older == (old,)


def test_without_a_refused_scene_the_older_steps_in() -> None:
    old, new, neighbour = make_scene("a", baseline=(2, 12)), make_scene("b", baseline=(5, 0)), make_scene("c", tile="19LCG")
    (datatake,) = group_scenes([old, new, neighbour])
    assert datatake.without({"b"}).scenes == (old, neighbour)
    assert datatake.without({"b", "a", "c"}) == Datatake(datatake.key, datatake.time, ())


def test_parts_of_the_same_baseline_stay_in_order_of_id() -> None:
    (datatake,) = group_scenes([make_scene("b"), make_scene("a")])
    assert [scene.id for scene in datatake.scenes] == ["a", "b"]


def test_a_scene_listed_twice_counts_once() -> None:
    (datatake,) = group_scenes([make_scene("a"), make_scene("a")])
    assert len(datatake.scenes) == 1


@st.composite
def scene_sets(draw: st.DrawFn) -> list[Scene]:
    names = draw(st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=8))
    return [
        make_scene(
            name,
            key=draw(st.sampled_from(["s2a_1", "s2b_1"])),
            tile=draw(st.sampled_from(["19LCF", "19LCG", ""])),
            baseline=draw(st.sampled_from([(2, 12), (4, 0), (5, 9)])),
            time=NOON + dt.timedelta(seconds=draw(st.integers(0, 3))),
        )
        for name in names
    ]


@given(scene_sets(), st.randoms())
def test_grouping_does_not_depend_on_the_order_of_arrival(scenes: list[Scene], random: Any) -> None:
    shuffled = list(scenes)
    random.shuffle(shuffled)
    datatakes = group_scenes(scenes)
    assert group_scenes(shuffled) == datatakes
    assert {datatake.key for datatake in datatakes} == {scene.key for scene in scenes}
    assert [datatake.time for datatake in datatakes] == sorted(datatake.time for datatake in datatakes)
