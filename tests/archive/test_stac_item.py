"""The archive and what evidence takes from it are STAC: core by pystac's own schemas, extensions field by field."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from pystac.errors import STACValidationError
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from shapely.geometry import box, shape

from minewatch.archive.integrity import check_archive
from minewatch.archive.item import Observation, describe_grid, hash_item, list_observations, parse_item
from minewatch.archive.stac_item import (
    EXTENSIONS,
    AssetFile,
    ItemRewriter,
    credit_observations,
    name_collection,
    outline_grid,
    render_collection,
    render_place,
    write_collection,
)
from minewatch.areas.grid import Grid
from minewatch.core.workspace import Workspace
from minewatch.raster.indices import LAYERS
from minewatch.settings.credits import LEGAL_NOTICE, SIMULATION, DataProvider, DataTerms
from minewatch.settings.providers import PROVIDERS
from minewatch.sources.scene import Scene
from tests.archive.test_archive import AREA, GRID, HEIGHT, WIDTH, archive
from tests.helpers.rasters import paint_bands, write_scene
from tests.helpers.small import NAME, make_scanned

STAC = "1.1.0"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_scanned(tmp_path_factory)[0]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the schemas ship with pystac")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def list_items(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.name != "collection.json")


def check_core(document: dict[str, Any]) -> None:
    kind = pystac.STACObjectType.COLLECTION if document["type"] == "Collection" else pystac.STACObjectType.ITEM
    JsonSchemaSTACValidator().validate_core(document, kind, STAC)


def check_extensions(document: dict[str, Any], raster_path: Path) -> None:
    """Compare every field of an extension with the raster, as the extension's README defines it."""
    assert tuple(document["stac_extensions"]) == EXTENSIONS
    properties, asset, data = document["properties"], document["assets"]["observation"], raster_path.read_bytes()
    with rasterio.open(raster_path) as raster:
        assert properties["proj:code"] == f"EPSG:{raster.crs.to_epsg()}"
        assert properties["proj:shape"] == list(raster.shape)
        assert properties["proj:transform"] == list(raster.transform)[:6]
        assert [band["name"] for band in asset["bands"]] == list(raster.descriptions)
        assert [band["data_type"] for band in asset["bands"]] == list(raster.dtypes)
        assert [band["nodata"] for band in asset["bands"]] == list(raster.nodatavals)
        scales = [(band.get("raster:scale", 1), band.get("raster:offset", 0)) for band in asset["bands"]]
        for stated, found in zip(scales, zip(raster.scales, raster.offsets, strict=True), strict=True):
            assert stated == pytest.approx(found, abs=1e-9)
    assert asset["file:checksum"] == f"1220{hashlib.sha256(data).hexdigest()}"
    assert asset["file:size"] == len(data)
    assert isinstance(properties["version"], str)
    assert {band["name"]: band["eo:common_name"] for band in asset["bands"] if "eo:common_name" in band} == {
        "blue": "blue", "nir": "nir"
    }  # fmt: skip
    known = {"projection": "proj:", "file": "file:", "eo": "eo:", "raster": "raster:"}
    used = {key.partition(":")[0] for fields in (properties, asset, *asset["bands"]) for key in fields if ":" in key}
    assert used == {prefix.rstrip(":") for prefix in known.values()} | {"minewatch"}


def check_links(path: Path) -> None:
    """Follow every relative link of a document to a file that is there."""
    document = read(path)
    for link in document["links"]:
        if "://" not in link["href"]:
            target = path.parent / link["href"]
            assert target.is_file(), link
            kind = {"self": document["type"], "item": "Feature", "derived_from": "Feature"}.get(link["rel"], "Collection")
            assert read(target)["type"] == kind, link


# --- the archive -----------------------------------------------------------------------------------------------------


def test_the_archive_is_stac_by_the_core_schemas(scanned: Workspace) -> None:
    folder = Path(scanned.archive(NAME))
    items = list_items(folder)
    assert len(items) > 20
    for path in (*items[:5], folder / "collection.json"):
        check_core(read(path))
    broken = read(items[0]) | {"bbox": [0, 0]}
    with pytest.raises(STACValidationError):
        check_core(broken)


def test_links_lead_to_the_collection_and_to_the_source_items(scanned: Workspace) -> None:
    folder = Path(scanned.archive(NAME))
    for path in (*list_items(folder), folder / "collection.json"):
        check_links(path)
    item = pystac.Item.from_file(str(list_items(folder)[0]))
    collection = item.get_collection()
    assert collection is not None
    assert (item.collection_id, collection.id) == (name_collection(NAME), name_collection(NAME))
    assert item.get_parent().id == item.get_root_link().resolve_stac_object().target.id == collection.id  # type: ignore[union-attr]
    sources = {source["id"] for source in item.properties["minewatch:sources"]}
    derived = item.get_links("derived_from")
    assert {link.title for link in derived} == sources
    assert {pystac.Item.from_file(link.get_absolute_href() or "").id for link in derived} == sources
    assert len(list(collection.get_items())) == len(list_items(folder))


def test_extensions_say_what_the_raster_is(scanned: Workspace) -> None:
    for path in list_items(Path(scanned.archive(NAME)))[:3]:
        document = read(path)
        check_extensions(document, path.parent / document["assets"]["observation"]["href"])
    collection = read(Path(scanned.archive(NAME)) / "collection.json")
    assert [band["name"] for band in collection["item_assets"]["observation"]["bands"]] == ["scl", *(x.name for x in LAYERS)]


def test_providers_and_licence_are_those_of_sentinel_data_or_of_the_catalogue(scanned: Workspace, tmp_path: Path) -> None:
    real = archive(tmp_path / "archive" / "spot", write_scene(tmp_path, paint_bands(HEIGHT, WIDTH)))
    document = read(Path(real.item))
    assert document["properties"]["license"] == "other"
    assert [link["href"] for link in document["links"] if link["rel"] == "license"] == [LEGAL_NOTICE]
    (provider,) = document["properties"]["providers"]
    assert "Copernicus" in provider["name"]
    assert provider["roles"] == ["producer", "licensor"]
    assert real.terms == DataTerms()
    simulated = read(list_items(Path(scanned.archive(NAME)))[0])
    assert [provider["name"] for provider in simulated["properties"]["providers"]] == [SIMULATION]
    assert [link for link in simulated["links"] if link["rel"] == "license"] == []


def stated_scene(folder: Path, terms: DataTerms, href: str = "") -> Scene:

    scene = write_scene(folder, paint_bands(HEIGHT, WIDTH))
    return dataclasses.replace(scene, terms=terms, href=href)


STATED = DataTerms((DataProvider("Forest Agency", ("producer",), "https://forest.example.org"),), "CC-BY-4.0", "")


def test_what_a_catalogue_states_is_kept_and_credited(tmp_path: Path) -> None:
    address = "https://stac.example.org/items/S2A_X"
    observation = archive(tmp_path / "archive" / "spot", stated_scene(tmp_path, STATED, address))
    document = read(Path(observation.item))
    check_core(document)
    assert document["properties"]["license"] == "CC-BY-4.0"
    assert document["properties"]["providers"] == [
        {"name": "Forest Agency", "roles": ["producer"], "url": "https://forest.example.org"}
    ]
    assert [link["href"] for link in document["links"] if link["rel"] == "derived_from"] == [address]
    year = observation.time.year
    expected = f"Contains modified Copernicus Sentinel data {year}; provided by Forest Agency (licence CC-BY-4.0)"
    assert credit_observations([observation]) == expected
    (read_back,) = list_observations(Path(observation.item).parent, GRID).values()
    assert credit_observations([read_back]) == expected


def test_an_archive_whose_items_lack_all_this_is_used_as_it_is(tmp_path: Path) -> None:
    """Items of earlier versions have neither links nor collection, bands, providers or licence."""
    folder = tmp_path / "archive" / "spot"
    observation = archive(folder, write_scene(tmp_path, paint_bands(HEIGHT, WIDTH)))
    item = Path(observation.item)
    item.write_bytes(strip(item.read_bytes()))
    before = item.read_bytes()
    assert check_archive(folder, GRID, thorough=True).damages == ()
    assert list_observations(folder, GRID) == {observation.key: observation}
    write_collection(folder, "spot", AREA, [observation])
    assert item.read_bytes() == before, "files of the archive never change"
    check_core(read(folder / "collection.json"))


def strip(data: bytes) -> bytes:
    """Return an item as earlier versions wrote it."""
    document = json.loads(data)
    document["links"] = []
    del document["collection"]
    for name in ("providers", "license", "minewatch:checksum"):
        del document["properties"][name]
    del document["assets"]["observation"]["bands"]
    document["stac_extensions"] = document["stac_extensions"][:3]
    return json.dumps(document, indent=1).encode()


# --- what evidence takes from it ---------------------------------------------------------------------------------------


def cut(observation: Observation, folder: Path) -> tuple[Grid, AssetFile]:
    """Write a corner of an observation's raster into a folder."""
    rows, columns = 12, 20
    chip = Grid(GeoBox((rows, columns), GRID.transform, f"EPSG:{GRID.epsg}"), GRID.area)
    path = folder / Path(observation.raster).name
    with rasterio.open(observation.raster) as raster:
        profile = {"driver": "GTiff", "count": raster.count, "dtype": "uint8", "nodata": 0, "crs": raster.crs}
        with rasterio.open(path, "w", width=columns, height=rows, transform=GRID.transform, **profile) as target:
            target.write(raster.read()[:, :rows, :columns])
            target.descriptions, target.scales, target.offsets = raster.descriptions, raster.scales, raster.offsets
    data = path.read_bytes()
    return chip, AssetFile(f"./{path.name}", hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize("is_old", [False, True])
def test_an_item_of_the_archive_becomes_one_of_evidence(tmp_path: Path, is_old: bool) -> None:
    source = tmp_path / "simulated" / "item.json"
    observation = archive(tmp_path / "output" / "archive" / "spot", stated_scene(tmp_path, DataTerms(), str(source)))
    source.parent.mkdir()
    source.write_text('{"type": "Feature"}')
    folder = tmp_path / "output" / "evidence" / "spot-1" / "observations"
    folder.mkdir(parents=True)
    chip, file = cut(observation, folder)
    data = Path(observation.item).read_bytes()
    name = Path(observation.item).name
    item = strip(data) if is_old else data
    rewriter = ItemRewriter(item, ["observation"], item=name, folder=folder, source_folder=Path(observation.item).parent)
    rewritten = rewriter.rewrite(render_place(chip, folder), {"observation": file})
    beside = folder.parent.with_name("spot-2") / "observations"
    other = json.loads(rewriter.rewrite(render_place(GRID, beside), {"observation": replace(file, sha256="f" * 64)}))
    assert other["collection"] == "minewatch-spot-2"
    assert other["properties"]["proj:shape"] == list(GRID.shape)
    assert other["assets"]["observation"]["file:checksum"].endswith("f" * 64)
    (folder / name).write_bytes(rewritten)
    small = parse_item(folder / name, rewritten)
    collection = render_collection(name_collection("spot-1"), "Looks behind spot-1", outline_grid(chip), [small])
    (folder / "collection.json").write_bytes(collection)
    document = read(folder / name)
    check_core(document)
    check_core(read(folder / "collection.json"))
    check_links(folder / name)
    check_links(folder / "collection.json")
    check_extensions(document, folder / Path(observation.raster).name)
    assert document["collection"] == read(folder / "collection.json")["id"] == "minewatch-spot-1"
    assert document["properties"]["minewatch:checksum"] == hash_item(rewritten)
    assert small.raster == folder / Path(observation.raster).name
    assert (small.key, small.time, small.sources, small.clear_share) == (
        observation.key, observation.time, observation.sources, observation.clear_share
    )  # fmt: skip
    assert small.grid == describe_grid(chip) != observation.grid
    assert shape(document["geometry"]).area < shape(json.loads(data)["geometry"]).area
    assert tuple(document["bbox"]) == shape(document["geometry"]).bounds
    assert [link["rel"] for link in document["links"] if link["rel"] == "derived_from"] == ([] if is_old else ["derived_from"])


def test_old_items_of_a_built_in_source_get_the_address_of_their_source_item(tmp_path: Path) -> None:
    observation = archive(tmp_path / "archive" / "spot", write_scene(tmp_path, paint_bands(HEIGHT, WIDTH)))
    document = json.loads(strip(Path(observation.item).read_bytes()))
    document["properties"]["minewatch:sources"][0] |= {"id": "S2A_19LCF_20200704_0_L2A", "source": "earth-search"}
    file = AssetFile("./x.tif", "0" * 64, 1)
    data = json.dumps(document).encode()
    folder = tmp_path / "a" / "b"
    rewriter = ItemRewriter(data, ["observation"], item="x.json", folder=folder, source_folder=tmp_path)
    rewritten = json.loads(rewriter.rewrite(render_place(GRID, folder), {"observation": file}))
    (link,) = (link for link in rewritten["links"] if link["rel"] == "derived_from")
    assert link["href"] == f"{PROVIDERS['earth-search'].root}/collections/sentinel-2-l2a/items/S2A_19LCF_20200704_0_L2A"


def test_a_grid_across_the_antimeridian_is_cut_there() -> None:
    grid = Grid(GeoBox((100, 100), rasterio.Affine(10, 0, 810_000, 0, -10, 8_000_000), "EPSG:32760"), box(0, 0, 1, 1))
    west, _, east, _ = outline_grid(grid).bounds
    assert -180 <= west < east <= 180
