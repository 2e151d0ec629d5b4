"""Processing baselines as catalogues write them, and the offset that follows."""

from __future__ import annotations

from typing import Any

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minewatch.settings.providers import Provider
from minewatch.sources.baseline import UNKNOWN, parse_baseline
from minewatch.sources.scene import parse_scene
from tests.helpers.rasters import make_item


@pytest.mark.parametrize(
    ("written", "baseline"),
    [
        ("05.12", (5, 12)), ("5.12", (5, 12)), (5.12, (5, 12)), ("N0512", (5, 12)), ("N05.12", (5, 12)), ("0512", (5, 12)),
        (512, (5, 12)), (5.1, (5, 10)), ("5.1", (5, 10)), (5.09, (5, 9)), (4.0, (4, 0)), (4, (4, 0)), ("04", (4, 0)),
        ("2.14", (2, 14)), (2.14, (2, 14)), (" 04.00\n", (4, 0)),
        ("N9999", UNKNOWN), ("99.99", UNKNOWN), (99.99, UNKNOWN), (9999, UNKNOWN), ("00.00", UNKNOWN), ("", UNKNOWN),
        (None, UNKNOWN), (True, UNKNOWN), ("05.12.01", UNKNOWN), ("05.123", UNKNOWN), ("-5.12", UNKNOWN), ("٠٥.١٢", UNKNOWN),
        (float("nan"), UNKNOWN), (["05.12"], UNKNOWN), ("5,12", UNKNOWN), ("newest", UNKNOWN), (51200, UNKNOWN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["s2", "sentinel", "sentinel2", "eopf"])
def test_as_it_is_written(name: str, written: Any, baseline: tuple[int, int]) -> None:
    assert parse_baseline({f"{name}:processing_baseline": written}) == baseline


def test_what_has_none_leaves_the_next_to_say() -> None:
    product = "S2A_MSIL2A_20200704T144731_N0500_R139_T19LCF"
    assert parse_baseline({"processing:version": "05.11"}) == (5, 11)
    assert parse_baseline({"s2:processing_baseline": "N9999", "processing:version": "05.11"}) == (5, 11)
    assert parse_baseline({"s2:processing_baseline": "?"}, product) == (5, 0)
    assert parse_baseline({}, product.replace("N0500", "N9999")) == UNKNOWN
    assert parse_baseline({}) == UNKNOWN


@given(st.one_of(st.text(max_size=8), st.floats(), st.integers(), st.none(), st.booleans(), st.lists(st.integers())))
def test_nothing_odd_gives_an_offset(written: Any) -> None:
    baseline = parse_baseline({"s2:processing_baseline": written})
    assert baseline == UNKNOWN or (UNKNOWN < baseline < (20, 0) and str(baseline[0]) in str(written))


@pytest.mark.parametrize(
    ("rule", "properties", "offset"),
    [
        ("none", {"s2:processing_baseline": "05.12"}, 0),
        ("none", {"s2:processing_baseline": "05.12", "earthsearch:boa_offset_applied": False, "raster:offset": -0.1}, 0),
        ("baseline", {"s2:processing_baseline": "05.12", "earthsearch:boa_offset_applied": True}, -1000),
        ("baseline", {"s2:processing_baseline": "03.01"}, 0),
        ("baseline", {"s2:processing_baseline": "N9999"}, 0),
        ("metadata", {"s2:processing_baseline": "05.12"}, -1000),
        ("metadata", {"raster:offset": -0.1, "raster:scale": 0.0001}, -1000),
        ("", {"bands": [{"raster:offset": -0.1}]}, -1000),
        ("", {"s2:product_uri": "S2A_MSIL2A_20200704T144731_N9999_R139_T19LCF_20220428T215138.SAFE"}, 0),
    ],
)
def test_a_source_says_what_decides_on_the_offset(rule: Any, properties: dict[str, Any], offset: int) -> None:
    scene = parse_scene(pystac.Item.from_dict(make_item(**properties)), "here", {}, Provider("ours", "/data", offset=rule))
    assert scene.offset == offset
    assert scene.offset_reason


def test_an_offset_that_only_the_collection_declares_counts() -> None:
    item = pystac.Item.from_dict(make_item())
    shared = {name: {"raster:offset": -0.1, "nodata": 0 if name == "red" else 7} for name in item.assets if name != "scl"}
    scene = parse_scene(item, "here", {}, None, shared)
    assert (scene.offset, scene.nodata) == (-1000, {"blue": 7, "green": 7, "nir": 7, "swir16": 7})
    item.assets["nir"].extra_fields["raster:bands"] = [{"offset": 0, "nodata": 65535}]
    scene = parse_scene(item, "here", {}, None, shared)
    assert scene.nodata["nir"] == 65535
    assert scene.offset == 0  # its bands do not agree
