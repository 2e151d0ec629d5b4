"""Sources: by name, address or path; what a provider's data do to the scenes; a real STAC API."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SourceError
from minewatch.settings.providers import PROVIDERS, Provider, S3Login
from minewatch.sources.search import find_grid_hint, find_scenes
from minewatch.sources.stac import locate_provider, open_source
from minewatch.sources.stac_io import GuardedIO
from tests.helpers.hosts import Answer, serve_host
from tests.helpers.rasters import FOREST, make_item, write_catalog
from tests.helpers.servers import ServeItems

AREA = box(-70.4, -12.8, -70.3, -12.7)
ALWAYS = Query(AREA, dt.date(2015, 1, 1), dt.date(2030, 1, 1))
LOGIN = S3Login("s3.example.org", "default", "OURS_KEY", "OURS_SECRET")
BLOB = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2"

COLLECTION: dict[str, Any] = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "our-scenes",
    "title": "Our own scenes",
    "description": "Scenes for a test",
    "license": "other",
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
    "links": [],
}


def web_item(name: str, host: str = "https://example.org", **properties: Any) -> dict[str, Any]:
    """Describe a scene whose files lie on the web."""
    return make_item(name, assets={band: f"{host}/{name}/{band}.tif" for band in FOREST}, **properties)


# --- a static catalogue of a provider's own --------------------------------------------------------------------------


def test_a_scene_knows_how_its_files_are_opened(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [make_item("a")])
    provider = Provider("ours", str(root), signing="planetary-computer", s3=LOGIN)
    (scene,) = find_scenes(open_source("ours", {"ours": provider}), ALWAYS).scenes
    assert (scene.source, scene.signing, scene.s3) == ("ours", "planetary-computer", LOGIN)


def test_a_catalogue_that_was_given_by_its_path_has_no_login(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [web_item("a", "s3://eodata")])
    (scene,) = find_scenes(open_source(str(root), PROVIDERS), ALWAYS).scenes
    assert (scene.signing, scene.s3) == ("", None)


def test_scenes_on_planetary_computer_are_signed_wherever_they_are_listed(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [web_item("a", BLOB), web_item("b", "https://ours.blob.core.windows.net/scenes")])
    scenes = find_scenes(open_source(str(root)), ALWAYS).scenes
    assert {scene.id: scene.signing for scene in scenes} == {"a": "planetary-computer", "b": ""}


def test_the_offset_is_decided_item_by_item_unless_the_provider_says_how(tmp_path: Path) -> None:
    late = {"s2:processing_baseline": "05.09"}
    items = [
        make_item("applied", **late, **{"earthsearch:boa_offset_applied": True}),
        make_item("not-applied", **late, **{"earthsearch:boa_offset_applied": False}),
        make_item("other", **late),
    ]
    root = str(write_catalog(tmp_path, items))
    told = {scene.id: scene.offset for scene in find_scenes(open_source(root), ALWAYS).scenes}
    assert told == {"applied": 0, "not-applied": -1000, "other": -1000}
    stated = open_source("ours", {"ours": Provider("ours", root, offset="metadata")})
    assert {scene.offset for scene in find_scenes(stated, ALWAYS).scenes} == {-1000}


def test_assets_are_named_as_the_provider_says(tmp_path: Path) -> None:
    names = {band: f"band_{band}" for band in FOREST}
    item = make_item("a", assets={name: f"./{band}.tif" for band, name in names.items()})
    item["assets"][names["scl"]] |= {"proj:code": "EPSG:32719", "proj:transform": [20, 0, 350_000, 0, -20, 8_590_000]}
    root = str(write_catalog(tmp_path, [item]))
    source = open_source("ours", {"ours": Provider("ours", root, assets=names)})
    (scene,) = find_scenes(source, ALWAYS).scenes
    assert scene.hrefs["red"].endswith("red.tif")
    assert find_grid_hint(source, AREA).epsg == 32719
    with pytest.raises(SourceError, match="no usable"):
        find_scenes(open_source(root), ALWAYS)


def test_green_may_be_left_out(tmp_path: Path) -> None:
    names = {band: band for band in FOREST if band != "green"}
    root = str(write_catalog(tmp_path, [make_item("a")]))
    (scene,) = find_scenes(open_source("ours", {"ours": Provider("ours", root, assets=names)}), ALWAYS).scenes
    assert set(scene.hrefs) == set(names)


# --- where it is -----------------------------------------------------------------------------------------------------


def test_a_built_in_source_is_opened_without_a_network() -> None:
    assert all(open_source(name).is_api for name in PROVIDERS)


def test_a_path_of_the_settings_that_is_gone_is_named(tmp_path: Path) -> None:
    own = {"ours": Provider("ours", str(tmp_path / "gone"))}
    with pytest.raises(SourceError, match=r"source ours does not exist: .*gone is not there; check its path in the settings"):
        open_source("ours", own)


def test_an_unknown_name_is_answered_with_those_of_the_workspace(tmp_path: Path) -> None:
    own = {**PROVIDERS, "ours": Provider("ours", str(tmp_path))}
    with pytest.raises(SourceError, match=r"no provider \(earth-search, .*cdse, ours\)"):
        open_source("our", own)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:MARKER@stac.example.org/v1",
        "https://stac.example.org/v1?sig=MARKER",
        "https://MARKER@stac.example.org/v1#MARKER",
    ],
)
def test_a_secret_in_an_address_is_no_part_of_the_name(address: str) -> None:
    provider = locate_provider(address)
    assert provider.name == "https://stac.example.org/v1"
    assert provider.root == address


def test_a_secret_in_an_address_is_in_no_error() -> None:
    def refuse(answer: Answer, _number: int) -> None:
        answer.send(403, b"{}")

    with serve_host() as host:
        host.answer = refuse
        with pytest.raises(SourceError) as caught:
            open_source(f"{host.url}/catalog.json?token=MARKER")
    assert "403" in str(caught.value)
    assert "MARKER" not in str(caught.value)


def test_a_link_that_leads_astray_does_not_tell_the_secret_of_the_catalogue(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, [], [{"rel": "item", "href": "file:///etc/passwd"}])

    def give(answer: Answer, _number: int) -> None:
        answer.send(200, root.read_bytes())

    with serve_host() as host:
        host.answer = give
        source = open_source(f"{host.url}/catalog.json?token=MARKER")
        with pytest.raises(SourceError, match=r"may not name the local file") as caught:
            find_scenes(source, ALWAYS)
    assert "MARKER" not in str(caught.value)


# --- a real STAC API -------------------------------------------------------------------------------------------------


def serve_api(stac_api: ServeItems, items: list[dict[str, Any]]) -> str:
    return stac_api(items, COLLECTION)


@pytest.mark.server
def test_a_scene_with_few_clouds_is_found_and_one_with_many_is_counted(
    stac_api: ServeItems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query written as text, ``eo:cloud_cover<20``, reaches a server as the text '20', and none or all scenes match."""
    asked: list[dict[str, Any]] = []
    request = GuardedIO.request

    def note(self: GuardedIO, href: str, method: str | None = None, headers: Any = None, parameters: Any = None) -> str:
        asked.append(parameters or {})
        return request(self, href, method, headers, parameters)

    monkeypatch.setattr(GuardedIO, "request", note)
    covers = {"clear": 7, "overcast": 70}
    url = serve_api(stac_api, [web_item(name, **{"eo:cloud_cover": cover}) for name, cover in covers.items()])
    own = {"ours": Provider("ours", url, "our-scenes")}
    found = find_scenes(open_source("ours", own), Query(AREA, ALWAYS.start, ALWAYS.end, max_cloud_cover=20))
    assert ([scene.id for scene in found.scenes], found.cloudy) == (["clear"], ("overcast",))
    assert any("bbox" in parameters for parameters in asked)
    assert not any({"query", "filter", "intersects"} & set(parameters) for parameters in asked)


@pytest.mark.server
def test_the_outline_is_sent_only_where_the_user_wants_it(stac_api: ServeItems, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    request = GuardedIO.request
    monkeypatch.setattr(
        GuardedIO, "request", lambda self, *given, **named: asked.append((given, named)) or request(self, *given, **named)
    )
    url = serve_api(stac_api, [web_item("a")])
    corner = AREA.difference(AREA.centroid.buffer(0.01))
    query = Query(corner, ALWAYS.start, ALWAYS.end)
    for outline in (False, True):
        asked.clear()
        (scene,) = find_scenes(open_source("ours", {"ours": Provider("ours", url, "our-scenes", outline=outline)}), query).scenes
        assert scene.id == "a"
        assert ("intersects" in str(asked)) == outline


@pytest.mark.server
def test_only_the_collection_of_the_provider_is_searched(stac_api: ServeItems) -> None:
    url = serve_api(stac_api, [web_item("a")])
    assert find_scenes(open_source(url), ALWAYS).scenes == ()
    ours = Provider("ours", url, "our-scenes", s3=LOGIN)
    source = open_source("ours", {"ours": ours})
    (scene,) = find_scenes(source, ALWAYS).scenes
    assert (scene.source, scene.s3) == ("ours", LOGIN)
    assert source.is_api
    assert source.find_collection() == "Our own scenes"
    assert source.list_collections() == ["our-scenes"]
    with pytest.raises(SourceError, match=r"no collection 'sentinel-2-l2a': .*404"):
        open_source(url).find_collection()


@pytest.mark.server
def test_an_api_given_by_the_address_of_a_provider_has_what_is_its_own(stac_api: ServeItems) -> None:
    url = serve_api(stac_api, [web_item("a")])
    ours = Provider("ours", url, "our-scenes", s3=LOGIN)
    (scene,) = find_scenes(open_source(f"{url}/", {"ours": ours}), ALWAYS).scenes
    assert (scene.source, scene.s3) == (f"{url}/", LOGIN)
