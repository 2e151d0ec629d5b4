"""Providers: plain data, and what an item tells of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pystac
import pytest
from distributed.protocol.pickle import dumps, loads

from minewatch.settings.providers import (
    ASSET_NAMES,
    BANDS,
    PROVIDERS,
    REQUIRED_BANDS,
    Provider,
    S3Login,
    find_provider,
    infer_provider,
)

BLOB = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/06/V/VN/B04.tif"
LOGIN = S3Login("s3.example.org", "default", "OURS_KEY", "OURS_SECRET")


def test_the_built_in_ones() -> None:
    known = {name: (p.collection, p.offset, p.signing, p.s3 is not None) for name, p in PROVIDERS.items()}
    assert known == {
        "earth-search": ("sentinel-2-l2a", "earth-search", "", False),
        "earth-search-c1": ("sentinel-2-c1-l2a", "metadata", "", False),
        "planetary-computer": ("sentinel-2-l2a", "metadata", "planetary-computer", False),
        "cdse": ("sentinel-2-l2a", "metadata", "", True),
    }


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_a_provider_travels_to_workers_and_says_what_it_is(provider: Provider) -> None:
    assert loads(dumps(provider)) == provider
    assert provider.is_api
    assert provider.title
    assert provider.root.startswith("https://")


def test_every_naming_has_all_bands() -> None:
    assert all(tuple(naming) == BANDS for naming in ASSET_NAMES)
    assert set(REQUIRED_BANDS) == set(BANDS) - {"green"}


# --- by name or address ----------------------------------------------------------------------------------------------


def test_a_provider_is_found_by_name_and_by_address() -> None:
    cdse = PROVIDERS["cdse"]
    assert find_provider("cdse") is cdse
    by_address = find_provider(f"{cdse.root}/")
    assert by_address is not None
    assert (by_address.name, by_address.s3) == (f"{cdse.root}/", cdse.s3)


@pytest.mark.parametrize(
    "name",
    ["", "CDSE", "cdse/", "https://stac.dataspace.copernicus.eu/v2", "https://stac.dataspace.copernicus.eu.evil.org/v1"],
)
def test_nothing_else_gets_the_login_of_a_provider(name: str) -> None:
    assert find_provider(name) is None


def test_a_provider_of_ones_own_is_found_among_those_given() -> None:
    own = Provider("ours", "https://stac.example.org", s3=LOGIN)
    assert find_provider("ours", {"ours": own}) is own
    assert find_provider("cdse", {"ours": own}) is None


# --- what an item tells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "hrefs", "offset", "signing"),
    [
        ({}, ["./red.tif"], "metadata", ""),
        ({"earthsearch:boa_offset_applied": True}, ["./red.tif"], "earth-search", ""),
        ({"earthsearch:payload_id": "x"}, [], "earth-search", ""),
        ({}, ["./scl.tif", BLOB], "metadata", "planetary-computer"),
        ({}, [BLOB.replace("https", "HTTPS")], "metadata", "planetary-computer"),
        ({}, ["https://ours.blob.core.windows.net/scenes/red.tif"], "metadata", ""),
        ({}, [BLOB.replace(".net/", ".net.evil.org/")], "metadata", ""),
        ({}, ["https://evil.org/sentinel2l2a01.blob.core.windows.net/red.tif"], "metadata", ""),
        ({}, ["https://[broken", "http://:x/", "", "\0", None, 7, {}], "metadata", ""),
    ],
)
def test_what_a_provider_leaves_open_is_read_from_the_item(
    properties: dict[str, Any], hrefs: list[Any], offset: str, signing: str
) -> None:
    settled = infer_provider(Provider("here", "catalog.json", s3=LOGIN), properties, hrefs)
    assert (settled.offset, settled.signing, settled.s3) == (offset, signing, LOGIN)


def test_what_a_provider_says_holds_whatever_the_item_tells() -> None:
    stated = Provider("ours", "https://stac.example.org", offset="metadata")
    assert infer_provider(stated, {"earthsearch:boa_offset_applied": True}, []).offset == "metadata"
    assert infer_provider(PROVIDERS["planetary-computer"], {}, ["https://example.org/red.tif"]).signing == "planetary-computer"


def test_no_item_brings_a_login() -> None:
    item = {"earthsearch:s3_path": "s3://eodata/x", "storage:platform": "cdse"}
    assert infer_provider(Provider("here", "catalog.json"), item, ["s3://eodata/Sentinel-2/B04_10m.jp2"]).s3 is None


@pytest.mark.shared
def test_real_items(shared: Path) -> None:
    found = {}
    for path in sorted((shared / "data" / "stac-items").glob("*.json")):
        item = pystac.Item.from_dict(json.loads(path.read_text()))
        settled = infer_provider(Provider("here", "x"), item.properties, [asset.href for asset in item.assets.values()])
        found[path.stem.split("_")[0]] = (settled.offset, settled.signing)
    assert found["earth-search"] == ("earth-search", "")
    assert found["planetary-computer"] == ("metadata", "planetary-computer")
