"""Finding scenes: what a static catalogue gives, what is no source, and where links may not lead.

The same over HTTP and through a STAC API is in the tests that start servers.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import box

from minewatch.areas.aoi import Aoi
from minewatch.areas.area_plan import Query
from minewatch.areas.grid import make_grid
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.url_policy import check_href
from minewatch.settings.providers import Provider
from minewatch.sources.search import find_grid_hint, find_scenes, has_scenes
from minewatch.sources.stac import Source, open_source
from tests.helpers.opened import watching_files
from tests.helpers.rasters import FOREST, make_item, paint_bands, write_catalog, write_raster
from tests.helpers.servers import ServeFolder

AREA = box(-70.4, -12.8, -70.3, -12.7)
"""Meets the tiny scenes' corner of Peru."""

ALWAYS = Query(AREA, dt.date(2015, 1, 1), dt.date(2030, 1, 1))


def search(catalog: Path, **limits: Any) -> list[str]:
    """Return the ids of the scenes that a search finds."""
    query = Query(**({"area": AREA, "start": ALWAYS.start, "end": ALWAYS.end} | limits))
    return [scene.id for scene in find_scenes(open_source(str(catalog)), query).scenes]


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Three scenes, listed out of order."""
    days = {"c": "2020-07-09T14:50:21Z", "a": "2020-07-04T14:50:21Z", "b": "2020-07-04T14:50:21Z"}
    return write_catalog(tmp_path / "cat", [make_item(name, time=time) for name, time in days.items()])


def test_scenes_come_by_time_and_id(catalog: Path) -> None:
    assert search(catalog) == ["a", "b", "c"]


def test_a_folder_is_its_catalog_json(catalog: Path) -> None:
    assert search(catalog.parent) == ["a", "b", "c"]


def test_a_collection_below_the_catalogue_and_as_the_root(tmp_path: Path) -> None:
    inner = write_catalog(tmp_path / "cat" / "inner", [make_item("a")])
    collection = json.loads(inner.read_text()) | {
        "type": "Collection",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
    }
    path = inner.with_name("collection.json")
    path.write_text(json.dumps(collection))
    root = write_catalog(tmp_path / "cat", [], [{"rel": "child", "href": "./inner/collection.json"}])
    assert search(root) == search(path) == ["a"]


def test_hrefs_are_the_files_beside_the_item(catalog: Path) -> None:
    scene = find_scenes(open_source(str(catalog)), ALWAYS).scenes[0]
    assert scene.hrefs == {band: str(catalog.parent / "a" / f"{band}.tif") for band in FOREST}
    assert scene.source == str(catalog)


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2020-07-04", "2020-07-04", ["a", "b"]),
        ("2020-07-05", "2020-07-09", ["c"]),
        ("2020-07-05", "2020-07-08", []),
        ("2020-07-10", "2030-01-01", []),
    ],
)
def test_both_dates_are_inclusive(catalog: Path, start: str, end: str, found: list[str]) -> None:
    assert search(catalog, start=dt.date.fromisoformat(start), end=dt.date.fromisoformat(end)) == found


def test_the_date_is_that_of_utc(tmp_path: Path) -> None:
    late = write_catalog(tmp_path, [make_item("a", time="2020-07-04T21:30:00-05:00")])
    assert search(late, start=dt.date(2020, 7, 5), end=dt.date(2020, 7, 5)) == ["a"]


def test_only_scenes_over_the_area_are_found(catalog: Path) -> None:
    elsewhere = box(10, 50, 11, 51)
    assert search(catalog, area=elsewhere) == []
    assert has_scenes(open_source(str(catalog)), AREA)
    assert not has_scenes(open_source(str(catalog)), elsewhere)


def test_cloudy_scenes_are_named_and_not_read(tmp_path: Path) -> None:
    covers = {"clear": 7, "half": 50.0, "none": 50.1}
    root = write_catalog(tmp_path, [make_item(name, **{"eo:cloud_cover": cover}) for name, cover in covers.items()])
    found = find_scenes(open_source(str(root)), Query(AREA, ALWAYS.start, ALWAYS.end, max_cloud_cover=50))
    assert [scene.id for scene in found.scenes] == ["clear", "half"]
    assert found.cloudy == ("none",)


def test_a_scene_that_lacks_an_asset_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    poor = make_item("poor", assets={band: f"./{band}.tif" for band in FOREST if band != "swir16"})
    found = find_scenes(open_source(str(write_catalog(tmp_path, [poor, make_item("good")]))), ALWAYS)
    assert [scene.id for scene in found.scenes] == ["good"]
    assert [(refusal.id, "swir16" in refusal.reason) for refusal in found.refused] == [("poor", True)]


def test_a_scene_with_a_senseless_property_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    odd = make_item("odd", **{"eo:cloud_cover": "some"})
    found = find_scenes(open_source(str(write_catalog(tmp_path, [odd, make_item("good")]))), ALWAYS)
    assert [scene.id for scene in found.scenes] == ["good"]
    assert [refusal.id for refusal in found.refused] == ["odd"]


# --- what is no source -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nowhere", "./nowhere/catalog.json", "earth-serch", "", "ftp://example.org/x"])
def test_a_source_that_does_not_exist_names_the_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"does not exist.*earth-search"):
        open_source(name)


def test_a_folder_without_a_catalogue_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"catalog\.json is not there"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"<!doctype html><html><body>Sign in</body></html>",
        b"",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b'{"type": "Catalog", ',
        b"[1, 2, 3]",
        b'"Catalog"',
        b"null",
        b'{"type": "FeatureCollection", "features": []}',
        json.dumps(make_item()).encode(),
        b'{"name": "a package", "version": "1.0.0"}',
    ],
    ids=["HTML", "nothing", "picture", "cut short", "list", "text", "null", "GeoJSON", "an item", "other JSON"],
)
def test_a_file_that_is_no_catalogue_is_no_stac(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalog.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="is no STAC"):
        open_source(str(path))


def test_a_catalogue_in_name_only_is_no_stac(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text('{"type": "Catalog"}')
    with pytest.raises(SourceError):
        search(path)


def test_a_link_to_nothing_is_an_error_that_names_the_source(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [make_item("a")], [{"rel": "item", "href": "./gone.json"}])
    with pytest.raises(SourceError, match=str(root)):
        search(root)


def test_a_damaged_item_is_an_error_that_names_the_source(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [make_item("a")])
    (tmp_path / "a" / "a.json").write_text('{"type": "Feature", "id": "a", "prop')
    with pytest.raises(SourceError, match=str(root)):
        search(root)


def test_a_catalogue_that_holds_itself_ends(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [make_item("a")], [{"rel": "child", "href": "./catalog.json"}])
    try:
        found = search(root)
    except SourceError:
        return
    assert set(found) == {"a"}


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ({"B4": "x.tif", "B5": "x.tif", "qa_pixel": "x.tif"}, "no usable Sentinel-2 L2A scene"),
        ({"visual": "x.tif"}, "no usable Sentinel-2 L2A scene"),
        ({}, "no usable Sentinel-2 L2A scene"),
        ({band: f"./{band}.tif" for band in FOREST if band != "swir16"}, "swir16"),
        (dict.fromkeys(("B02", "B03", "B04", "B08", "SCL"), "x.tif"), "B11"),
    ],
    ids=["Landsat", "pictures only", "no assets", "no SWIR, Earth Search", "no SWIR, Planetary Computer"],
)
def test_a_source_of_other_things_is_refused(tmp_path: Path, assets: dict[str, str], message: str) -> None:
    root = write_catalog(tmp_path, [make_item("a", assets=assets), make_item("b", assets=assets)])
    with pytest.raises(SourceError, match=message):
        search(root)


# --- where strangers' data may point ---------------------------------------------------------------------------------

HOSTILE = [
    "/etc/passwd",
    "../../outside/red.tif",
    "../../../../../../../etc/passwd",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "FILE:///etc/passwd",
    "file:///{root}/../outside/red.tif",
    "file:///{root}/%2e%2e/outside/red.tif",
    "{root}/../outside/red.tif",
    "./link.tif",
    "/vsicurl/http://127.0.0.1:9/red.tif",
    "/vsizip//etc/archive.zip/red.tif",
    "/vsimem/red.tif",
    "/vsistdin/",
    "vrt:///etc/passwd",
    "vrt://{root}/a/red.tif?bands=1",
    "zip:///etc/archive.zip!red.tif",
    "zip+file:///etc/archive.zip!red.tif",
    "ftp://127.0.0.1/red.tif",
    "gs://bucket/red.tif",
    "data:image/tiff;base64,SUkqAA==",
]


@pytest.mark.parametrize("href", HOSTILE)
def test_a_hostile_address_is_refused_before_a_byte_is_read(tmp_path: Path, href: str) -> None:
    secret = write_raster(tmp_path / "outside" / "red.tif", paint_bands(40, 40)["red"])
    folder = tmp_path / "cat"
    item = make_item("a", assets={band: f"./{band}.tif" for band in FOREST} | {"red": href.format(root=folder)})
    root = write_catalog(folder, [item, make_item("good")])
    (folder / "a" / "link.tif").symlink_to(secret)
    with watching_files(secret.parent) as opened:
        found = find_scenes(open_source(str(root)), ALWAYS)
    assert [scene.id for scene in found.scenes] == ["good"]
    assert [refusal.id for refusal in found.refused] == ["a"]
    assert "red" in found.refused[0].reason
    assert opened == []


@pytest.mark.parametrize(
    "href",
    [
        "https://example.org/red.tif",
        "http://127.0.0.1:8000/red.tif?sig=x",
        "s3://bucket/red.tif",
        "./red.tif",
        "../shared/red.tif",
        "{root}/a/red.tif",
        "file://{root}/a/red.tif",
        "file://{root}/a/with%20space.tif",
    ],
)
def test_an_honest_address_is_taken(tmp_path: Path, href: str) -> None:
    folder = tmp_path / "a catalogue"
    item = make_item("a", assets={band: f"./{band}.tif" for band in FOREST} | {"red": href.format(root=folder)})
    (scene,) = find_scenes(open_source(str(write_catalog(folder, [item]))), ALWAYS).scenes
    assert "%20" not in scene.hrefs["red"]
    if "://" not in scene.hrefs["red"]:
        assert Path(scene.hrefs["red"]).is_relative_to(folder)


@pytest.mark.parametrize("href", ["/etc/passwd", "file:///etc/passwd", "/vsicurl/http://127.0.0.1:9/x.tif", "relative.tif"])
def test_a_catalogue_on_the_web_may_name_no_local_file(href: str) -> None:
    with pytest.raises(SceneError, match="may not name the local file"):
        check_href(href, "https://example.org/catalog.json", "item a")


@pytest.mark.parametrize("rel", ["item", "child"])
@pytest.mark.parametrize("how", ["../outside/{file}", "{outside}/{file}", "file://{outside}/{file}", "./link/{file}"])
def test_a_link_out_of_the_catalogue_is_not_followed(tmp_path: Path, rel: str, how: str) -> None:
    outside = write_catalog(tmp_path / "outside", [make_item("a")]).parent
    file = "a/a.json" if rel == "item" else "catalog.json"
    href = how.format(outside=outside, file=file)
    root = write_catalog(tmp_path / "cat", [], [{"rel": rel, "href": href}])
    (root.parent / "link").symlink_to(outside)
    with watching_files(outside) as opened, pytest.raises(SourceError, match="outside the catalogue's folder"):
        search(root)
    assert opened == []


# --- the lattice -----------------------------------------------------------------------------------------------------


def place_item(name: str, **fields: Any) -> dict[str, Any]:
    """Describe an item whose SCL asset tells where its pixels lie."""
    item = make_item(name)
    item["assets"]["scl"] |= fields
    return item


TRANSFORM = [20, 0, 350_000, 0, -20, 8_590_000]


def test_the_lattice_is_read_from_the_first_item_that_tells_it(tmp_path: Path) -> None:
    told = place_item("b", **{"proj:code": "EPSG:32719", "proj:transform": TRANSFORM})
    hint = find_grid_hint(open_source(str(write_catalog(tmp_path, [make_item("a"), told]))), AREA)
    assert (hint.epsg, hint.origin) == (32719, (350_000, 8_590_000))


def test_the_lattice_with_the_older_name_of_the_crs(tmp_path: Path) -> None:
    item = place_item("a", **{"proj:transform": TRANSFORM})
    item["properties"]["proj:epsg"] = 32719
    assert find_grid_hint(open_source(str(write_catalog(tmp_path, [item]))), AREA).epsg == 32719


def test_a_source_that_does_not_tell_its_lattice_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="pixel grid"):
        find_grid_hint(open_source(str(write_catalog(tmp_path, [make_item("a")]))), AREA)


def test_an_item_without_the_bands_does_not_hide_the_lattice_of_the_next(tmp_path: Path) -> None:
    told = place_item("b", **{"proj:code": "EPSG:32719", "proj:transform": TRANSFORM})
    root = write_catalog(tmp_path, [make_item("a", assets={"visual": "x.tif"}), told])
    assert find_grid_hint(open_source(str(root)), AREA).epsg == 32719


# --- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_series(shared: Path) -> None:
    source = open_source(str(shared / "data" / "romania-s2"))
    area = box(22.150, 45.203, 22.154, 45.206)
    found = find_scenes(source, Query(area, dt.date(2015, 1, 1), dt.date(2021, 12, 31)))
    assert len(found.scenes) == 140
    assert not found.refused
    assert {scene.offset for scene in found.scenes} == {0}
    hint = find_grid_hint(source, area)
    grid = make_grid(Aoi("romania", area, dt.date(2019, 1, 1), grid=hint))
    assert grid.epsg == 3035
    steps = (np.array(grid.bounds) - np.array(hint.origin * 2)) / 20
    assert np.allclose(steps, np.rint(steps), atol=1e-6)


def test_a_source_is_plain_data_that_says_what_it_is(catalog: Path) -> None:
    source = open_source(str(catalog))
    assert source == Source(Provider(str(catalog), str(catalog)))
    assert not source.is_api
    api = open_source("earth-search")
    assert api.is_api
    assert api.root.startswith("https://")


# --- over the web ----------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_catalogue_on_the_web_gives_the_same_scenes(range_server: ServeFolder, catalog: Path) -> None:
    source = open_source(f"{range_server(catalog.parent).url}/catalog.json")
    scenes = find_scenes(source, ALWAYS).scenes
    assert [scene.id for scene in scenes] == ["a", "b", "c"]
    assert scenes[0].hrefs["red"] == source.root.replace("catalog.json", "a/red.tif")


@pytest.mark.server
def test_a_page_on_the_web_is_no_stac(range_server: ServeFolder, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!doctype html><html><body>Sign in</body></html>")
    url = range_server(tmp_path).url
    with pytest.raises(SourceError, match="is no STAC"):
        open_source(f"{url}/page.html")
    with pytest.raises(SourceError, match=r"does not answer.*404"):
        open_source(f"{url}/gone.json")


@pytest.mark.server
def test_a_link_on_the_web_that_leads_nowhere_is_no_answer_and_keeps_its_secret(
    range_server: ServeFolder, tmp_path: Path
) -> None:
    root = write_catalog(tmp_path, [], [{"rel": "item", "href": "./gone.json?sig=SECRET"}])
    source = open_source(f"{range_server(root.parent).url}/catalog.json")
    with pytest.raises(SourceError, match=r"does not answer.*404") as caught:
        find_scenes(source, ALWAYS)
    assert "SECRET" not in str(caught.value)


@pytest.mark.server
def test_a_catalogue_on_the_web_never_makes_a_local_file_open(range_server: ServeFolder, tmp_path: Path) -> None:
    secret = write_catalog(tmp_path / "outside", [make_item("secret")])
    hostile = make_item("hostile", assets={band: f"./{band}.tif" for band in FOREST} | {"red": str(secret)})
    links = [{"rel": "item", "href": str(secret.parent / "secret" / "secret.json")}]
    for number, root in enumerate((write_catalog(tmp_path / "0", [hostile]), write_catalog(tmp_path / "1", [], links))):
        url = f"{range_server(root.parent).url}/catalog.json"
        with watching_files(secret.parent) as opened, pytest.raises(SourceError):
            find_scenes(open_source(url), ALWAYS)
        assert opened == [], number
