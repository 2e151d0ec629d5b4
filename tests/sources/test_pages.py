"""STAC APIs as they are in the wild: GET alone, links of every form, errors in the server's words, and floods of items."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from shapely.geometry import box

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SourceError
from minewatch.settings.providers import Provider
from minewatch.sources import pages
from minewatch.sources import stac_io as documents
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import open_source
from tests.helpers.hosts import Answer, Host, serve_host
from tests.helpers.rasters import make_item

ALWAYS = Query(box(-70.4, -12.8, -70.3, -12.7), dt.date(2015, 1, 1), dt.date(2030, 1, 1))
PAGE = 3


class Api:
    """A STAC API that hands out seven items, three on a page, in the way of some server."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.root: dict[str, Any] = {"type": "Catalog", "stac_version": "1.0.0", "id": "r", "description": "r"}
        self.search: dict[str, Any] = {"rel": "search", "href": f"{host.url}/search"}
        self.refuses: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.next = self.link_by_get
        host.answer = self.answer

    def answer(self, answer: Answer, _: int) -> None:
        parts = urlsplit(answer.path)
        if parts.path != "/search":
            answer.send(200, json.dumps({**self.root, "links": [self.search]}).encode())
            return
        asked = json.loads(answer.body) if answer.command == "POST" else {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.asked.append((answer.command, asked))
        if answer.command in self.refuses:
            status, document = self.refuses[answer.command]
            answer.send(status, document if isinstance(document, bytes) else json.dumps(document).encode())
            return
        start = int(asked.get("token", 0))
        names = [f"item-{number}" for number in range(7)][start : start + PAGE]
        links = [self.next(start + PAGE)] if start + PAGE < 7 else []
        page = {"type": "FeatureCollection", "features": [make_item(name) for name in names], "links": links}
        answer.send(200, json.dumps(page).encode())

    def link_by_get(self, start: int) -> dict[str, Any]:
        return {"rel": "next", "href": f"{self.host.url}/search?token={start}"}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(documents, "FIRST_BACKOFF", 0)
    with serve_host() as host:
        yield Api(host)


def search(api: Api, query: Query = ALWAYS, **options: Any) -> int:
    provider = Provider("ours", api.host.url, **options)
    return len(find_scenes(open_source("ours", {"ours": provider}), query).scenes)


def refuse(api: Api) -> str:
    with pytest.raises(SourceError) as caught:
        search(api)
    assert str(caught.value).isprintable()
    return str(caught.value)


# --- GET and POST ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [405, 501])
@pytest.mark.parametrize("method", [None, "POST", "post"])
def test_a_server_without_post_is_asked_by_get(api: Api, status: int, method: str | None) -> None:
    api.search |= {"method": method} if method else {}
    api.refuses["POST"] = status, {"detail": "Method Not Allowed"}
    assert search(api) == 7
    assert [command for command, _ in api.asked] == ["POST", "GET", "GET", "GET"]
    asked = api.asked[1][1]
    assert asked["collections"] == "sentinel-2-l2a"
    assert asked["bbox"].count(",") == 3
    assert asked["datetime"] == "2015-01-01T00:00:00Z/2030-01-01T23:59:59Z"


def test_a_server_that_offers_get_alone_is_not_asked_by_post(api: Api) -> None:
    api.search["method"] = "get"
    assert search(api, outline=True) == 7
    assert {command for command, _ in api.asked} == {"GET"}
    assert json.loads(api.asked[0][1]["intersects"])["type"] == "Polygon"


@pytest.mark.parametrize("conforms", [None, [], ["https://api.stacspec.org/v1.0.0-beta.1/core"], "nonsense"])
def test_what_an_api_conforms_to_is_not_asked(api: Api, conforms: Any) -> None:
    api.root |= {} if conforms is None else {"conformsTo": conforms}
    assert search(api) == 7


@pytest.mark.parametrize("kind", ["lower case", "relative", "32 kB", "no method", "headers of nonsense", "whole body"])
def test_next_links_are_followed_in_every_form(api: Api, kind: str) -> None:
    def link(start: int) -> dict[str, Any]:
        forms: dict[str, dict[str, Any]] = {
            "lower case": {"method": "post", "body": {"token": str(start)}, "merge": True},
            "relative": {"href": f"/search?token={start}", "method": "get"},
            "32 kB": {"href": f"{api.host.url}/search?token={start}&state={'k' * 32_000}"},
            "no method": {"href": f"{api.host.url}/search?token={start}"},
            "headers of nonsense": {"href": f"{api.host.url}/search?token={start}", "headers": {"x": 7}},
            "whole body": {"method": "POST", "body": {**api.asked[0][1], "token": str(start)}},
        }
        return {"rel": "next", "href": f"{api.host.url}/search"} | forms[kind]

    api.next = link  # type: ignore[method-assign]
    assert search(api) == 7
    if kind == "lower case":
        assert all(asked["collections"] == ["sentinel-2-l2a"] for _, asked in api.asked)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"code": "InvalidParameterValue", "description": "limit must be 50 or less"}, '"limit must be 50 or less"'),
        ({"detail": [{"loc": ["body", "limit"], "msg": "ensure this value is less"}]}, '"ensure this value is less"'),
        ({"error": {"message": "no\u001b[31m such\u202e\ncollection"}}, "no�[31m such� collection"),
        ({"message": "x" * 500}, "x" * 199 + "…"),
        (b"<html>not for people</html>", "status 400;"),
        ([[[[[[[["deep"]]]]]]]], "status 400;"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_server(api: Api, document: Any, told: str) -> None:
    api.refuses["POST"] = 400, document
    message = refuse(api)
    assert "refuses the search: status 400" in message
    assert told in message
    assert "later" not in message
    assert "x" * 201 not in message
    assert len(api.asked) == 1


@pytest.mark.parametrize(("status", "is_lasting"), [(400, True), (403, True), (422, True), (429, False), (425, False)])
def test_later_is_advised_only_where_it_would_help(api: Api, status: int, is_lasting: bool) -> None:
    api.refuses["POST"] = status, {}
    assert ("try again later" in refuse(api)) != is_lasting


def test_secrets_in_the_words_of_a_server_are_hidden(api: Api) -> None:
    api.refuses["POST"] = 400, {"description": f"bad request {api.host.url}/search?key=S3CRETKEY for S3CRETKEY, user ana"}
    with pytest.raises(SourceError, match="bad request") as caught:
        find_scenes(open_source(f"{api.host.url}/?key=S3CRETKEY"), ALWAYS)
    assert "S3CRETKEY" not in str(caught.value)


# --- floods ----------------------------------------------------------------------------------------------------------


def send_page(api: Api, features: list[Any], token: str = "") -> None:
    links = [{"rel": "next", "href": f"{api.host.url}/search?token={token}"}] if token else []
    body = gzip.compress(json.dumps({"type": "FeatureCollection", "features": features, "links": links}).encode())

    def answer(answer: Answer, number: int) -> None:
        if answer.path.startswith("/search"):
            answer.send(200, body, {"Content-Encoding": "gzip"})
        else:
            api.answer(answer, number)

    api.host.answer = answer


def test_a_page_of_twenty_thousand_empty_items_is_refused_at_once(api: Api) -> None:
    send_page(api, [{"type": "Feature", "id": str(number)} for number in range(20_000)])
    start = time.monotonic()
    assert "a page of 20000 items, more than 10000" in refuse(api)
    assert time.monotonic() - start < 3


def test_the_items_of_a_search_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_ITEMS", 6)
    assert "7 items or more, over 6" in refuse(api)


def test_the_clock_is_looked_at_for_each_item(api: Api) -> None:
    source = open_source(api.host.url)
    items = source.items(ALWAYS)
    assert next(items).id == "item-0"
    source._io._deadline = 0
    with pytest.raises(SourceError, match="took longer"):
        next(items)
    assert len(api.asked) == 1, "of the same page"
