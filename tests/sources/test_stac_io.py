"""Documents of catalogues over a bad line: bounded attempts, time and size, and errors that name what came."""

from __future__ import annotations

import datetime as dt
import email.utils
import gzip
import json
import math
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from minewatch.areas.area_plan import Query
from minewatch.core import http as ranges
from minewatch.core.errors import SourceError
from minewatch.core.http import LONGEST_RETRY_AFTER, MOST_REDIRECTS, parse_retry_after
from minewatch.settings.providers import Provider
from minewatch.sources import pages
from minewatch.sources import stac as source
from minewatch.sources import stac_io as documents
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import make_source, open_source
from minewatch.sources.stac_io import (
    ATTEMPTS,
    DEEPEST_NESTING,
    FORMAT_ATTEMPTS,
    DocumentError,
    FormatError,
    GuardedIO,
    parse_document,
)
from tests.helpers.proxy import (
    Act,
    Line,
    Proxy,
    Reply,
    Trouble,
    busy,
    cut,
    flood,
    garble,
    lengthen,
    reset,
    reset_midway,
    run_proxy,
    send_elsewhere,
    send_json,
    send_page,
    shorten,
    stall,
    trickle,
)
from tests.helpers.rasters import make_item

KEY = "s3" + "cret"
ALWAYS = Query(box(-70.4, -12.8, -70.3, -12.7), dt.date(2015, 1, 1), dt.date(2030, 1, 1))
ZIPPED = gzip.compress(b"[" + b" " * 2**24, 1)
EMPTY = {"type": "FeatureCollection", "features": [], "links": []}


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(documents, "FIRST_BACKOFF", 0)
    monkeypatch.setattr(documents, "TIMEOUT", (2, 0.2))
    (tmp_path / "a.json").write_text(json.dumps(EMPTY))
    with run_proxy(tmp_path) as proxy:
        yield proxy


def read(proxy: Proxy, path: str = "/files/a.json") -> dict[str, Any]:
    return GuardedIO(proxy.url).read_json(f"{proxy.url}{path}?key={KEY}")


def fail(proxy: Proxy, path: str = "/files/a.json") -> str:
    """Return the message of a failed read, once it is known to hold no secret, not even with its causes."""
    with pytest.raises(DocumentError) as caught:
        read(proxy, path)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert proxy.url not in str(caught.value)
    return str(caught.value)


# --- one document ----------------------------------------------------------------------------------------------------

PASSING = {
    "429": busy(429),
    "500": busy(500),
    "502": busy(502),
    "503": busy(503, "0"),
    "504": busy(504),
    "cut": cut,
    "reset": reset,
    "reset midway": reset_midway,
    "stall": stall(0.5),
    "too short": shorten,
    "no gzip": garble,
    "page": send_page,
}


@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_asked_again(proxy: Proxy, act: Act) -> None:
    proxy.start(Trouble("/files", act, times=2))
    assert read(proxy) == EMPTY
    assert len(proxy.paths) == 3


@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_a_lasting_fault_ends_after_a_few_attempts_and_says_what_it_is(proxy: Proxy, act: Act) -> None:
    proxy.start(Trouble("/files", act, times=math.inf))
    assert fail(proxy)
    assert len(proxy.paths) in (ATTEMPTS, FORMAT_ATTEMPTS)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 501])
def test_a_lasting_status_is_told_at_once(proxy: Proxy, status: int) -> None:
    proxy.start(Trouble("/files", busy(status), times=math.inf))
    with pytest.raises(DocumentError, match=f"status {status}") as caught:
        read(proxy)
    assert caught.value.status == status
    assert len(proxy.paths) == 1


@pytest.mark.parametrize(("status", "told"), [(404, "has no collection"), (403, "does not answer when asked for collection")])
def test_a_collection_that_is_missing_is_told_from_one_that_is_kept_back(proxy: Proxy, status: int, told: str) -> None:
    proxy.start(Trouble("/collections", busy(status), times=math.inf))
    ours = make_source(Provider("ours", proxy.url, "our-scenes"), is_api=True)
    with pytest.raises(SourceError, match=rf"{told} 'our-scenes': status {status}"):
        ours.find_collection()


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(documents, "FIRST_BACKOFF", 0)
    assert "no connection" in fail(Proxy(tmp_path, url="http://127.0.0.1:9"))


def test_pauses_grow_and_are_spread(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(documents, "FIRST_BACKOFF", 1)
    monkeypatch.setattr(documents.time, "sleep", pauses.append)
    proxy.start(Trouble("/files", busy(503), times=math.inf))
    fail(proxy)
    assert [2**n <= pause < 2 ** (n + 1) for n, pause in enumerate(pauses)] == [True] * (ATTEMPTS - 1)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(documents.time, "sleep", pauses.append)
    date = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=50), usegmt=True)
    proxy.start(Trouble("/files", busy(429, "50" if form == "seconds" else date)))
    assert read(proxy) == EMPTY
    (pause,) = pauses
    assert 25 < pause <= 50  # a date is nearer when it is read


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("86400", LONGEST_RETRY_AFTER),
        ("9" * 5000, LONGEST_RETRY_AFTER),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
        ("Fri, 99 Dec 9999 99:99:99 GMT", None),
    ],
)
def test_a_retry_after_is_bounded_whatever_it_says(header: str | None, wait: float | None) -> None:
    assert parse_retry_after(header) == wait


def test_a_trickle_ends(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENT_SECONDS", 0.1)
    proxy.start(Trouble("/files", trickle(0.05), times=math.inf))
    assert "too slow" in fail(proxy)


def send_zipped_flood(line: Line, _: Reply) -> None:
    line.send(Reply(200, ZIPPED, {"Content-Encoding": "gzip"}))


@pytest.mark.parametrize("act", [flood(b"x" * 2**16), send_zipped_flood], ids=["flood", "zipped"])
def test_a_document_without_an_end_does_not_fill_the_memory(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 2**20)
    proxy.start(Trouble("/files", act, times=math.inf))
    assert "more than 1 MB" in fail(proxy)
    assert len(proxy.paths) == 1


def test_a_large_file_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 2**10)
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"type": "Catalog", "description": "x" * 2**10}))
    with pytest.raises(SourceError, match=r"no STAC.*a document of more than"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!doctype html><html></html>", "a web page"),
        (b"  <?xml version='1.0'?>", "a web page"),
        (b'{"type": "FeatureColl', "only a part"),
        (b"", "only a part"),
        (b"\xff\xfe\x00", "not text"),
        (b"[1, 2]", "no object"),
        (b"null", "no object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "something else"),
        (b'{"a": ' * (DEEPEST_NESTING + 1) + b"1" + b"}" * (DEEPEST_NESTING + 1), "nested"),
        (b"[" * 10**6 + b"]" * 10**6, "nested"),
        (b'{"a":' * 10**5 + b"1" + b"}" * 10**5, "nested"),
    ],
    ids=["HTML", "XML", "cut", "nothing", "bytes", "list", "null", "long number", "deep", "bomb", "bomb of objects"],
)
def test_what_is_no_document_is_named(proxy: Proxy, body: bytes, what: str) -> None:
    proxy.start(Trouble("/files", send_json(body), times=math.inf))
    message = fail(proxy)
    assert what in message
    assert len(message) < 120


def test_the_deepest_document_is_read() -> None:
    assert parse_document('{"a": ' * DEEPEST_NESTING + "1" + "}" * DEEPEST_NESTING)


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "text/html", "nonsense"])
def test_a_wrong_content_type_does_not_matter(proxy: Proxy, kind: str) -> None:
    proxy.start(Trouble("/files", lambda line, reply: line.send(Reply(200, reply.body, {"Content-Type": kind}))))
    assert read(proxy) == EMPTY


def test_a_byte_order_mark_does_not_matter(proxy: Proxy) -> None:
    proxy.start(Trouble("/files", send_json(b"\xef\xbb\xbf" + json.dumps(EMPTY).encode())))
    assert read(proxy) == EMPTY


def test_more_bytes_than_promised_are_not_read(proxy: Proxy) -> None:
    def send(line: Line, reply: Reply) -> None:
        line.send(Reply(200, reply.body + b"}}}", {}), promise=len(reply.body))

    proxy.start(Trouble("/files", send))
    assert read(proxy) == EMPTY
    proxy.start(Trouble("/files", lengthen, times=math.inf))
    assert "something else" in fail(proxy)


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/files/a.json", "{url}/files/a.json"])
def test_a_redirect_on_the_same_host_is_followed(proxy: Proxy, status: int, location: str) -> None:
    proxy.start(Trouble("/b", send_elsewhere(location.format(url=proxy.url), status), times=math.inf))
    assert read(proxy, "/b") == EMPTY


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://127.0.0.2:9/a", "gopher://x", "", "http://["]
)
def test_no_other_redirect_is_followed(proxy: Proxy, location: str) -> None:
    proxy.start(Trouble("/b", send_elsewhere(location), times=math.inf))
    assert "redirected" in fail(proxy, "/b")
    assert len(proxy.paths) == 1


def test_a_circle_of_redirects_ends(proxy: Proxy) -> None:
    proxy.start(Trouble("/b", send_elsewhere("/b"), times=math.inf))
    assert "too often" in fail(proxy, "/b")
    assert len(proxy.paths) == MOST_REDIRECTS + 1


@pytest.mark.parametrize(("status", "method"), [(301, "POST"), (302, "POST"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_search_that_is_redirected_keeps_its_question(proxy: Proxy, status: int, method: str) -> None:
    proxy.start(Trouble("/b", send_elsewhere("/c", status), times=math.inf), Trouble("/c", send_json(EMPTY)))
    GuardedIO(proxy.url).request(f"{proxy.url}/b", "POST", parameters={"limit": 7})
    assert proxy.paths == ["POST /b", f"{method} /c"]
    assert proxy.bodies[1] == (b'{"limit": 7}' if method == "POST" else b"")


def test_a_key_is_not_told_to_another_host(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "resolve_redirect", lambda _href, location: location)
    told: list[dict[str, str]] = []

    def listen(line: Line, _: Reply) -> None:
        told.append({name.lower(): value for name, value in line.headers.items()})
        line.send(Reply(200, json.dumps(EMPTY).encode()))

    elsewhere = proxy.url.replace("127.0.0.1", "localhost")
    proxy.start(Trouble("/b", send_elsewhere(f"{elsewhere}/c"), times=math.inf), Trouble("/c", listen, times=math.inf))
    GuardedIO(proxy.url).request(f"{proxy.url}/c", headers={"X-Api-Key": KEY})
    GuardedIO(proxy.url).request(f"{proxy.url}/b", headers={"X-Api-Key": KEY})
    assert [headers.get("x-api-key") for headers in told] == [KEY, None]


# --- a search --------------------------------------------------------------------------------------------------------


def root(proxy: Proxy, **more: Any) -> dict[str, Any]:
    search = {"rel": "search", "href": f"{proxy.url}/search", "type": "application/geo+json", "method": "POST"}
    conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
    document = {"type": "Catalog", "stac_version": "1.0.0", "id": "r", "description": "r", "conformsTo": conforms}
    return document | {"links": [search]} | more


def serve_pages(proxy: Proxy, *pages: Any, last: Any = None) -> None:
    """Answer searches with these pages, one after the other, and then with ``last`` for ever."""
    rest = list(pages)

    def turn(line: Line, _: Reply) -> None:
        page = rest.pop(0) if rest else last
        act = page if callable(page) else send_json(page)
        act(line, Reply(200, json.dumps(EMPTY).encode()))

    proxy.start(Trouble("/search", turn, times=math.inf), Trouble("", send_json(root(proxy)), times=math.inf))


def page(proxy: Proxy, *names: str, to: str = "", **more: Any) -> dict[str, Any]:
    links = [{"rel": "next", "href": f"{proxy.url}/search?token={to}", "method": "GET"}] if to else []
    return {"type": "FeatureCollection", "features": [make_item(name) for name in names], "links": links} | more


def search(proxy: Proxy) -> list[str]:
    return [scene.id for scene in find_scenes(open_source(proxy.url), ALWAYS).scenes]


def refuse(proxy: Proxy) -> str:
    with pytest.raises(SourceError) as caught:
        search(proxy)
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    return message


def test_pages_are_turned_to_the_last(proxy: Proxy) -> None:
    serve_pages(proxy, page(proxy, "a", "b", to="1"), page(proxy, "c", to="2"), page(proxy, "d"))
    assert search(proxy) == ["a", "b", "c", "d"]


def test_an_empty_page_in_between_is_not_the_end(proxy: Proxy) -> None:
    serve_pages(proxy, page(proxy, "a", to="1"), page(proxy, to="2"), page(proxy, "b"))
    assert search(proxy) == ["a", "b"]


def test_an_item_that_moved_to_the_next_page_counts_once(proxy: Proxy) -> None:
    serve_pages(proxy, page(proxy, "a", "b", to="1"), page(proxy, "b", "c"))
    assert search(proxy) == ["a", "b", "c"]


def test_a_page_that_leads_to_itself_is_an_error(proxy: Proxy) -> None:
    serve_pages(proxy, page(proxy, "a", to="1"), last=page(proxy, "b", to="1"))
    assert "no end" in refuse(proxy)


def test_pages_with_the_same_items_are_an_error(proxy: Proxy) -> None:
    numbers = iter(range(10**6))

    def turn(line: Line, reply: Reply) -> None:
        send_json(page(proxy, "a", to=str(next(numbers))))(line, reply)

    serve_pages(proxy, last=turn)
    assert "no end" in refuse(proxy)
    assert next(numbers) < 10


def test_empty_pages_without_end_are_an_error(proxy: Proxy) -> None:
    numbers = iter(range(10**6))

    def turn(line: Line, reply: Reply) -> None:
        send_json(page(proxy, to=str(next(numbers))))(line, reply)

    serve_pages(proxy, last=turn)
    assert "no end" in refuse(proxy)


def test_pages_with_new_items_without_end_are_an_error(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 20)
    numbers = iter(range(10**6))

    def turn(line: Line, reply: Reply) -> None:
        number = next(numbers)
        send_json(page(proxy, f"s{number}", to=str(number)))(line, reply)

    serve_pages(proxy, last=turn)
    assert "no end" in refuse(proxy)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"code": "InternalError", "description": "the database is away"},
        {"type": "FeatureCollection"},
        {"type": "FeatureCollection", "features": None},
        {"type": "FeatureCollection", "features": {"a": 1}},
        {"type": "FeatureCollection", "features": ["a"]},
        {"type": "FeatureCollection", "features": [None]},
        {"type": "FeatureCollection", "features": [{}]},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "id": "a"}]},
        {"type": "FeatureCollection", "features": [make_item("a") | {"properties": None}]},
        {"type": "FeatureCollection", "features": [make_item("a") | {"links": [{}]}]},
        {"type": "FeatureCollection", "features": [make_item("a") | {"assets": []}]},
        {"type": "FeatureCollection", "features": [make_item("a", time="yesterday")]},
        EMPTY | {"links": {"next": "x"}},
        EMPTY | {"links": [{"rel": "next"}]},
        EMPTY | {"links": [{"rel": "next", "href": 7}]},
        EMPTY | {"links": [{"rel": "next", "href": "http://["}]},
        make_item("a"),
    ],
)
def test_an_answer_that_is_no_page_of_items_never_passes_for_no_scenes(proxy: Proxy, answer: Any) -> None:
    serve_pages(proxy, last=answer)
    assert proxy.url in refuse(proxy)


@pytest.mark.parametrize(
    "act", [busy(503), cut, reset, stall(0.5), send_page, garble, busy(403), send_elsewhere("file:///etc/passwd")]
)
def test_a_later_page_that_does_not_come_is_an_error_and_not_the_end(proxy: Proxy, act: Act) -> None:
    serve_pages(proxy, page(proxy, "a", to="1"), last=act)
    assert "source http" in refuse(proxy)


@pytest.mark.parametrize("act", [busy(429), cut, reset, stall(0.5), send_page, garble])
def test_a_posted_page_is_asked_for_again(proxy: Proxy, act: Act) -> None:
    link = {"rel": "next", "href": f"{proxy.url}/search", "method": "POST", "body": {"token": "1"}, "merge": True}
    serve_pages(proxy, act, page(proxy, "a") | {"links": [link]}, act, page(proxy, "b"))
    assert search(proxy) == ["a", "b"]
    posted = [json.loads(body) for body in proxy.bodies if body]
    assert [request.get("token") for request in posted] == [None, None, "1", "1"]
    assert {tuple(request["bbox"]) for request in posted} == {tuple(posted[0]["bbox"])}


def test_the_time_of_a_search_is_bounded(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SEARCH_SECONDS", 0.3)
    numbers = iter(range(10**6))

    def turn(line: Line, reply: Reply) -> None:
        time.sleep(0.05)
        number = next(numbers)
        send_json(page(proxy, f"s{number}", to=str(number)))(line, reply)

    serve_pages(proxy, last=turn)
    assert "took longer" in refuse(proxy)


def test_a_pause_that_reaches_beyond_the_time_of_a_search_is_not_made(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SEARCH_SECONDS", 20)
    serve_pages(proxy, last=busy(429, "50"))
    assert "took longer" in refuse(proxy)


@pytest.mark.parametrize(
    "change",
    [
        {"links": []},
        {"conformsTo": []},
        {"type": "Feature"},
        {"type": None},
        {"id": None},
        {"links": [{"rel": "search", "href": "file:///etc/passwd", "type": "application/json"}]},
        {"links": [{"rel": "search", "href": "http://[", "type": "application/json"}]},
        {"links": [{"rel": "search"}]},
        {"links": "none"},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_an_odd_root_is_an_error_and_not_a_crash(proxy: Proxy, change: dict[str, Any]) -> None:
    # The first look at the root is honest; it has changed when it is opened for the search.
    honest = Trouble("^/$", send_json(root(proxy)))
    proxy.start(honest, Trouble("^/$", send_json(root(proxy, **change)), times=math.inf))
    assert proxy.url in refuse(proxy)


def test_a_source_that_does_not_answer_at_first_is_opened(proxy: Proxy) -> None:
    trouble = Trouble("^/$", busy(503), times=2)
    serve_pages(proxy, page(proxy, "a"))
    proxy.plan.insert(0, trouble)
    assert search(proxy) == ["a"]


def test_limits_of_the_search_and_of_the_ranges_are_the_same() -> None:
    assert documents.BUSY_STATUSES is ranges.BUSY_STATUSES
    assert source.PAGE * pages.MOST_PAGES > 100_000
    assert issubclass(FormatError, DocumentError)
