"""Keys and tokens of sources: sent to their own hosts alone, renewed once for all threads, and never shown."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from shapely.geometry import box

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.cli import main
from minewatch.core import http as ranges
from minewatch.core.errors import SourceError
from minewatch.core.http import DeniedError, RangeError
from minewatch.core.url_policy import name_origin
from minewatch.raster.credentials import Access
from minewatch.settings.document import init_workspace
from minewatch.settings.providers import Provider, TokenLogin
from minewatch.sources import stac_io as documents
from minewatch.sources import tokens
from minewatch.sources.stac import open_source
from minewatch.sources.stac_io import GuardedIO
from minewatch.sources.tokens import TokenError, Tokens, authorize
from tests.helpers.hosts import Answer, Host, serve_host
from tests.helpers.rasters import make_item

VARIABLES = {"id_variable": "OURS_ID", "secret_variable": "OURS_SECRET"}
KEY = "k3y" + "-S3CRET"
AREA = box(-70.4, -12.8, -70.3, -12.7)
COLLECTION = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "sentinel-2-l2a",
    "description": "x",
    "license": "x",
    "links": [],
}
TIFF = b"II*\0" + bytes(200)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"no_proxy": "127.0.0.1,localhost", "OURS_TOKEN": KEY, "OURS_ID": "id-S3CRET", "OURS_SECRET": KEY}.items():
        monkeypatch.setenv(name, value)
    for module in (ranges, documents, tokens):
        monkeypatch.setattr(module, "FIRST_BACKOFF", 0)
    fresh = Tokens()
    for module in ("minewatch.sources.tokens", "minewatch.sources.stac_io", "minewatch.raster.credentials"):
        monkeypatch.setattr(f"{module}.TOKENS", fresh)


@dataclasses.dataclass
class Agency:
    """A catalogue, its files and a login service on one host, which let in who has the newest token or the key."""

    host: Host
    lifetime: float | None = 3600
    issued: int = 0
    uses: float = float("inf")
    """Of a token, after which it is good no longer."""
    used: int = 0
    refusal: tuple[int, Any] | None = None
    seen: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Path, and the key or token that came along, of each request but those to the login service."""
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    accepts_key: bool = True

    def answer(self, answer: Answer, _: int) -> None:
        parts = urlsplit(answer.path)
        if parts.path == "/token":
            self.issue(answer)
            return
        query = parse_qs(parts.query)
        bearer = answer.headers.get("Authorization", "").removeprefix("Bearer ")
        given = answer.headers.get("x-api-key") or query.get("access_token", [""])[0] or bearer
        self.seen.append((parts.path, given))
        with self.lock:
            is_good = (given == KEY and self.accepts_key) or (given == f"token-S3CRET-{self.issued}" and self.used < self.uses)
            self.used += is_good
        if not is_good:
            answer.send(401, json.dumps({"detail": f"Unauthorized: {given}"}).encode())
        elif parts.path == "/a.tif":
            answer.path = "/a.tif"
            answer.send_range()
        else:
            answer.send(200, json.dumps(self.describe(parts.path)).encode())

    def issue(self, answer: Answer) -> None:
        form = parse_qs(answer.body.decode())
        expected = {"grant_type": ["client_credentials"], "client_id": ["id-S3CRET"], "client_secret": [KEY]}
        if form != expected or self.refusal:
            status, document = self.refusal or (401, {"error": "invalid_client", "error_description": KEY})
            answer.send(status, json.dumps(document).encode())
            return
        self.issued, self.used = self.issued + 1, 0
        token = {"access_token": f"token-S3CRET-{self.issued}", "token_type": "Bearer", "not-before-policy": 0}
        answer.send(200, json.dumps(token | ({} if self.lifetime is None else {"expires_in": self.lifetime})).encode())

    def describe(self, path: str) -> dict[str, Any]:
        if path == "/search":
            item = make_item("a")
            for asset in item["assets"].values():
                asset["href"] = f"{self.host.url}/a.tif"
            return {"type": "FeatureCollection", "features": [item], "links": []}
        if path.startswith("/collections"):
            return COLLECTION
        search = {"rel": "search", "href": f"{self.host.url}/search", "method": "GET"}
        return {"type": "Catalog", "stac_version": "1.0.0", "id": "r", "description": "r", "links": [search]}

    def login(self, **more: Any) -> TokenLogin:
        return TokenLogin((name_origin(self.host.url),), **more)

    def fetched(self, **more: Any) -> TokenLogin:
        return self.login(url=f"{self.host.url}/token", **VARIABLES, **more)


@pytest.fixture
def agency() -> Iterator[Agency]:
    with serve_host({"/a.tif": TIFF}) as host:
        agency = Agency(host)
        host.answer = agency.answer
        yield agency


def read(agency: Agency, login: TokenLogin) -> bytes:
    return Access(token=login).fetch(f"{agency.host.url}/a.tif?x=1", 0, 4)


FORMS: list[dict[str, str]] = [{"header": "x-api-key"}, {"query": "access_token"}, {}]


@pytest.mark.parametrize("form", FORMS)
def test_a_key_opens_catalogue_and_files(agency: Agency, form: dict[str, str]) -> None:
    login = agency.login(variable="OURS_TOKEN", **form)
    assert GuardedIO(agency.host.url, login).read_json(agency.host.url)["id"] == "r"
    assert read(agency, login) == TIFF[:4]
    assert [given for _, given in agency.seen] == [KEY, KEY]
    assert agency.host.paths[-1].startswith("/a.tif?x=1")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["asked", "redirected"])
def test_a_key_is_sent_to_no_other_host(agency: Agency, form: dict[str, str], way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "resolve_redirect", lambda _href, location: location)
    monkeypatch.setattr(documents, "resolve_redirect", lambda _href, location: location)
    login = agency.login(variable="OURS_TOKEN", **form)
    told: list[str] = []

    def listen(answer: Answer, _: int) -> None:
        told.append(f"{answer.path} {answer.headers}")
        if answer.headers.get("Range"):
            answer.path = "/a.tif"
            answer.send_range()
        else:
            answer.send(200, b"{}")

    with serve_host({"/a.tif": TIFF}) as other:
        other.answer = listen
        if way == "asked":
            href = other.url
        else:
            href = agency.host.url
            agency.host.answer = lambda answer, _: answer.send(302, headers={"Location": f"{other.url}/a.tif"})
        assert Access(token=login).fetch(f"{href}/a.tif", 0, 4) == TIFF[:4]
        GuardedIO(href, login).read_json(f"{href}/a.json")
    assert len(told) == 2
    assert KEY not in "".join(told)


def test_a_token_is_fetched_once_and_renewed_before_its_end(agency: Agency) -> None:
    for _ in range(3):
        assert read(agency, agency.fetched()) == TIFF[:4]
    assert agency.issued == 1
    agency.lifetime = 0.2
    other = agency.fetched(scope="")
    assert other == agency.fetched()
    fresh = agency.fetched(header="x-api-key")
    assert read(agency, fresh) == TIFF[:4]
    threading.Event().wait(0.25)
    assert read(agency, fresh) == TIFF[:4]
    assert agency.issued == 3


@pytest.mark.parametrize("lifetime", [None, 3600])
def test_a_token_that_is_rejected_is_renewed_on_the_way(agency: Agency, lifetime: float | None) -> None:
    agency.lifetime, agency.uses = lifetime, 2
    documents_read = GuardedIO(agency.host.url, agency.fetched())
    for _ in range(3):
        assert read(agency, agency.fetched()) == TIFF[:4]
        assert documents_read.read_json(agency.host.url)["id"] == "r"
    assert agency.issued == 3


def test_many_threads_renew_a_token_once(agency: Agency) -> None:
    assert read(agency, agency.fetched()) == TIFF[:4]
    agency.uses = -1  # the first is good no longer
    barrier, found = threading.Barrier(12), []

    def fetch() -> None:
        barrier.wait()
        found.append(read(agency, agency.fetched()))

    agency.issue, issue = lambda answer: (setattr(agency, "uses", 1000), issue(answer)), agency.issue  # type: ignore[method-assign]
    threads = [threading.Thread(target=fetch) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert agency.issued == 2


def test_a_host_that_takes_no_token_is_not_asked_for_ever(agency: Agency) -> None:
    agency.uses = 0
    for _ in range(4):
        with pytest.raises(DeniedError, match="status 401, access is denied; check OURS_ID and OURS_SECRET"):
            read(agency, agency.fetched())
    assert agency.issued == 2


@pytest.mark.parametrize(
    ("refusal", "told", "requests"),
    [
        ((401, {"error": KEY}), "status 401, access is denied; check OURS_ID and OURS_SECRET", 1),
        ((400, {"error": "invalid_grant"}), "status 400; check OURS_ID and OURS_SECRET", 1),
        ((503, {}), "status 503", tokens.ATTEMPTS),
        ((200, {"token": KEY}), "holds no token", 1),
        ((200, {"access_token": f"{KEY}\r\nHost: evil"}), "holds no token", 1),
        ((302, {}), "redirect", tokens.ATTEMPTS),
    ],
)
def test_a_login_service_that_gives_no_token_is_told_without_secrets(
    agency: Agency, refusal: tuple[int, Any], told: str, requests: int
) -> None:
    agency.refusal = refusal
    with pytest.raises(TokenError, match=told) as caught:
        read(agency, agency.fetched())
    assert "S3CRET" not in "".join(traceback.format_exception(caught.value))
    assert len(agency.host.paths) == requests


@pytest.mark.parametrize("value", ["", " ", "a\nb", "wörd"])
def test_a_key_that_is_not_set_or_no_key_is_told_by_its_variable(
    agency: Agency, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OURS_TOKEN", value)
    with pytest.raises(RangeError, match="OURS_TOKEN") as caught:
        read(agency, agency.login(variable="OURS_TOKEN", header="x-api-key"))
    assert not value.strip() or value not in str(caught.value)
    assert not agency.host.paths


def test_a_parameter_of_the_address_is_replaced_and_others_stay() -> None:
    login = TokenLogin(("https://a.example:443",), "OURS_TOKEN", query="key")
    assert authorize(login, "https://a.example/x?key=old&b=1&c=")[0] == f"https://a.example/x?b=1&c=&key={KEY}"
    for href in ("http://a.example/x", "https://a.example:8443/x", "https://b.example/x", "s3://a.example/x", "https://["):
        assert authorize(login, href) == (href, {})


# --- a workspace -----------------------------------------------------------------------------------------------------


def check(tmp_path: Path, agency: Agency, table: str, *more: str) -> Result:
    workspace = init_workspace(tmp_path / "watch")
    text = f'[sources.ours]\nurl = "{agency.host.url}"\n{table}'
    workspace.settings.write_text(text, "utf-8")
    write_aoi(workspace, Aoi("here", AREA, dt.date(2020, 1, 1)))
    done = CliRunner().invoke(main, ["source", "check", "-w", str(workspace.root), "ours", *more])
    assert "S3CRET" not in done.output
    return done


HEADER = '[sources.ours.token]\nvariable = "OURS_TOKEN"\nheader = "x-api-key"\n'


def test_a_check_reads_bytes_of_a_file_before_it_says_all_ok(tmp_path: Path, agency: Agency) -> None:
    done = check(tmp_path, agency, HEADER)
    assert done.exit_code == 0, done.output
    assert "ok      pixels" in done.stdout
    assert "bytes=0-11" in agency.host.ranges
    assert "found: OURS_TOKEN" in done.stdout


def gate_files(agency: Agency) -> None:
    """Let anybody search, and only those with a key read files."""

    def answer(answer: Answer, number: int) -> None:
        path = urlsplit(answer.path).path
        if path == "/a.tif":
            agency.answer(answer, number)
        else:
            answer.send(200, json.dumps(agency.describe(path)).encode())

    agency.host.answer = answer


def test_a_check_names_what_is_missing(tmp_path: Path, agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    gate_files(agency)
    done = check(tmp_path / "none", agency, "")
    assert done.exit_code == 1
    assert "failed  pixels" in done.stdout
    assert "status 401, access is denied" in done.stdout
    assert "[sources.NAME.token]" in done.stdout
    monkeypatch.delenv("OURS_TOKEN")
    done = check(tmp_path / "unset", agency, HEADER)
    assert done.exit_code == 1
    assert "set OURS_TOKEN in the environment" in done.stdout
    monkeypatch.setenv("OURS_TOKEN", "wrong-S3CRET")
    done = check(tmp_path / "wrong", agency, HEADER)
    assert "status 401, access is denied; check OURS_TOKEN" in done.stdout


def test_a_catalogue_whose_key_is_not_set_is_told_before_it_is_asked(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OURS_TOKEN")
    ours = {"ours": Provider("ours", agency.host.url, token=agency.login(variable="OURS_TOKEN"))}
    with pytest.raises(SourceError, match="source ours needs a key: set OURS_TOKEN in the environment"):
        open_source("ours", ours)
    assert not agency.host.paths


def test_what_a_catalogue_says_of_a_rejected_key_does_not_show_it(agency: Agency) -> None:
    agency.accepts_key = False
    ours = {"ours": Provider("ours", agency.host.url, token=agency.login(variable="OURS_TOKEN"))}
    with pytest.raises(SourceError, match=r'status 401, "Unauthorized: \*\*\*"') as caught:
        open_source("ours", ours)
    assert "S3CRET" not in "".join(traceback.format_exception(caught.value))
