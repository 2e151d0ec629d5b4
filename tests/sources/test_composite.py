"""A composite over several days is no look, and is refused as one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pystac
import pytest
from shapely.geometry import box

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SceneError
from minewatch.operations.doctor.catalogue_items import read_catalogue_item
from minewatch.sources.scene import parse_scene
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import open_source
from tests.helpers.rasters import make_item, write_catalog

AREA = box(-70.4, -13, -70.3, -12.7)
COMPOSITES: dict[str, tuple[dict[str, Any], str]] = {
    "16 days": ({"start_datetime": "2020-06-20T00:00:00Z", "end_datetime": "2020-07-05T23:59:59Z"}, "16 days"),
    "8 days": ({"start_datetime": "2020-07-01T00:00:00Z", "end_datetime": "2020-07-09T00:00:00Z"}, "8 days"),
    "no date": ({"datetime": None, "start_datetime": "2020-06-20T00:00:00Z", "end_datetime": "2020-07-06T00:00:00Z"}, "16 days"),
    "a cube": (
        {"cube:dimensions": {"t": {"type": "temporal", "extent": ["2020-06-20T00:00:00Z", "2020-07-06T00:00:00Z"]}}},
        "16 days",
    ),
    "its values": ({"cube:dimensions": {"t": {"type": "temporal", "values": ["2020-07-01", "2020-07-04"]}}}, "3 days"),
    "a leap second": ({"start_datetime": "2020-07-01T00:00:00Z", "end_datetime": "2020-07-28T23:59:60Z"}, "28 days"),
    "backwards": ({"start_datetime": "2020-07-09T00:00:00Z", "end_datetime": "2020-07-01T00:00:00Z"}, "8 days"),
}
LOOKS: dict[str, dict[str, Any]] = {
    "one date": {},
    "an overpass": {"start_datetime": "2020-07-04T14:47:31Z", "end_datetime": "2020-07-04T14:51:00Z"},
    "a day": {"start_datetime": "2020-07-04T00:00:00Z", "end_datetime": "2020-07-05T00:00:00Z"},
    "half a period": {"start_datetime": "2020-06-01T00:00:00Z"},
    "open": {"start_datetime": "2020-06-01T00:00:00Z", "end_datetime": None},
    "no times": {"start_datetime": "soon", "end_datetime": 5},
    "an open cube": {"cube:dimensions": {"t": {"type": "temporal", "extent": [None, "2020-07-06T00:00:00Z"]}, "x": 3}},
}


def as_item(**properties: Any) -> pystac.Item:
    return pystac.Item.from_dict(make_item(**properties))


@pytest.mark.parametrize("kind", COMPOSITES)
def test_a_composite_is_refused_with_its_days(kind: str) -> None:
    properties, days = COMPOSITES[kind]
    item = as_item(**properties)
    with pytest.raises(SceneError, match=rf"^item {item.id} is a composite over {days} \(2020-0"):
        parse_scene(item, "here", {})
    assert read_catalogue_item(item) is None


@pytest.mark.parametrize("kind", LOOKS)
def test_an_item_of_one_date_stays_a_look(kind: str) -> None:
    item = as_item(**LOOKS[kind])
    assert parse_scene(item, "here", {}).time == dt.datetime(2020, 7, 4, 14, 50, 21, tzinfo=dt.UTC)
    assert read_catalogue_item(item) is not None


def test_the_asset_of_a_composite_says_so_too() -> None:
    item = as_item()
    item.assets["red"].extra_fields |= COMPOSITES["16 days"][0]
    with pytest.raises(SceneError, match="composite over 16 days"):
        parse_scene(item, "here", {})


def test_the_search_names_composites_of_its_period_alone(tmp_path: Path) -> None:
    long_ago = make_item("long-ago", datetime=None, start_datetime="2019-06-20T00:00:00Z", end_datetime="2019-07-05T00:00:00Z")
    reaching = make_item("reaching", **COMPOSITES["no date"][0])
    dated = make_item("dated", time="2020-06-20T00:00:00Z", **COMPOSITES["16 days"][0])
    root = write_catalog(tmp_path, [make_item("look"), long_ago, reaching, dated])
    found = find_scenes(open_source(str(root)), Query(AREA, dt.date(2020, 7, 1), dt.date(2020, 7, 31)))
    assert [scene.id for scene in found.scenes] == ["look"]
    assert sorted((one.id, "composite over 16 days" in one.reason) for one in found.refused) == [
        ("dated", True),
        ("reaching", True),
    ]
