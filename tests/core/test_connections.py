"""The ways out: proxies with logins, certificates of one's own, and answers that never end."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from urllib3.util import Timeout

from minewatch.core import http as ranges
from minewatch.core.certificates import COMMON_VARIABLES, OWN_VARIABLE, find_ca_bundle, share_network_settings
from minewatch.core.connections import RequestError, find_proxy
from minewatch.core.http import RangeError, fetch, post, request_status
from minewatch.operations.notify import webhook
from minewatch.raster.gdal import gdal_environment
from minewatch.sources import stac_io as documents
from minewatch.sources.stac_io import DocumentError, GuardedIO
from tests.helpers.hosts import Answer, Host, serve_host
from tests.helpers.rasters import lay_grid, write_raster
from tests.helpers.tls import make_authority, serve_tls

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
WORD = "p@ss/wörd:1"
LOGIN = "Basic " + base64.b64encode(f"ana:{WORD}".encode()).decode()
EMPTY = {"type": "FeatureCollection", "features": [], "links": []}
CONTENT = bytes(range(256))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name neither proxies nor certificates, and give back whatever a program shares with its libraries."""
    for name in (*PROXIES, OWN_VARIABLE, *COMMON_VARIABLES, "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(ranges, "FIRST_BACKOFF", 0)
    monkeypatch.setattr(documents, "FIRST_BACKOFF", 0)


def read_catalogue(url: str) -> Any:
    return GuardedIO(url).read_json(f"{url}/a.json")


def read_pixels(url: str) -> Any:
    return fetch(f"{url}/a.tif", 10, 20)


def call_webhook(url: str) -> Any:
    done = webhook._post(f"{url}/hook", b"{}", {})
    if not done.sent:
        raise OSError(done.reason)
    return done


def fetch_token(url: str) -> Any:
    return post(f"{url}/token", b"x=1", {}, 1000, 5)


def call_heartbeat(url: str) -> Any:
    status = request_status(f"{url}/beat", 5)
    if status != 200:
        raise OSError(f"status {status}")
    return status


WAYS: dict[str, Callable[[str], Any]] = {
    "catalogue": read_catalogue,
    "pixels": read_pixels,
    "webhook": call_webhook,
    "token": fetch_token,
    "heartbeat": call_heartbeat,
}
"""Everything that sends requests to addresses of users and strangers."""


def give(answer: Answer, _: int) -> None:
    """Answer a document, a range, or anything else."""
    if answer.headers.get("Range"):
        answer.path = "/a.tif"
        answer.send_range()
    else:
        answer.send(200, json.dumps(EMPTY).encode())


# --- proxies ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Iterator[Host]:
    """A proxy that wants a login, and answers itself for every host."""
    with serve_host({"/a.tif": CONTENT}) as host:

        def answer(answer: Answer, number: int) -> None:
            if answer.headers.get("Proxy-Authorization") == LOGIN:
                give(answer, number)
            else:
                answer.send(407, headers={"Proxy-Authenticate": "Basic realm=x"})

        host.answer = answer
        yield host


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_gets_its_login_whatever_stands_in_it(
    proxy: Host, monkeypatch: pytest.MonkeyPatch, way: str, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url.replace("//", "//ana:p%40ss%2Fw%C3%B6rd%3A1@"))
    assert WAYS[way]("http://scenes.example.org")
    assert proxy.paths[0].startswith("http://scenes.example.org/")


@pytest.mark.parametrize("way", WAYS)
def test_a_proxy_that_refuses_is_told_by_its_variable_without_the_login(
    proxy: Host, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//ana:wrongword@"))
    with pytest.raises(OSError, match=r"status 407, the proxy of HTTP_PROXY wants a login") as caught:
        WAYS[way]("http://scenes.example.org")
    assert "wrongword" not in str(caught.value)
    assert len(proxy.paths) == 1, "asked once, since it would refuse again"


@pytest.mark.parametrize("way", WAYS)
def test_a_tunnel_that_is_refused_is_told_alike(proxy: Host, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))  # as many write it
    proxy.answer = lambda answer, _: answer.send(407)
    monkeypatch.setattr(Answer, "do_CONNECT", Answer.do_GET, raising=False)
    with pytest.raises(OSError, match=r"status 407, the proxy of HTTPS_PROXY wants a login"):
        WAYS[way]("https://scenes.example.org")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "socks5h://ana:word@127.0.0.1:1080", "SOCKS4://proxy"])
def test_a_socks_proxy_alone_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch, way: str, address: str) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(OSError, match=r"ALL_PROXY names a SOCKS proxy.*HTTPS_PROXY and HTTP_PROXY.*NO_PROXY") as caught:
        WAYS[way]("http://scenes.example.org")
    assert "word" not in str(caught.value)


def test_an_http_proxy_goes_before_a_socks_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert find_proxy("https://scenes.example.org/a") == "http://proxy.example:3128"
    monkeypatch.setenv("NO_PROXY", "example.org,10.0.0.0/8")
    for href in ("https://scenes.example.org/a", "https://10.1.2.3/a", "http://10.255.0.1:8000/a"):
        assert find_proxy(href) is None
    with pytest.raises(RequestError, match="SOCKS"):
        find_proxy("http://11.1.2.3/a")


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Path]]:
    """A server whose certificate an authority of its own signed, and the authority's certificate."""
    folder = tmp_path_factory.mktemp("agency")
    own, certificate = make_authority(folder)
    image = write_raster(folder / "a.tif", lay_grid_pixels(), compress="lzw")
    with serve_tls({"/a.tif": CONTENT, "/image.tif": image.read_bytes()}, certificate) as host:
        yield host, own


def lay_grid_pixels() -> Any:
    return np.full(lay_grid(16, 16).window.shape, 7, np.uint16)


@pytest.fixture
def inside(agency: tuple[Host, Path]) -> tuple[str, Path]:
    host, own = agency
    host.answer = give
    return host.url, own


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variable", [OWN_VARIABLE, *COMMON_VARIABLES])
def test_an_authority_of_ones_own_is_trusted_by_any_variable(
    inside: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, way: str, variable: str
) -> None:
    url, own = inside
    monkeypatch.setenv(variable, str(own))
    assert WAYS[way](url)


@pytest.mark.parametrize("way", WAYS)
def test_another_authority_is_trusted_by_nobody_and_the_setting_is_named(
    inside: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, way: str, tmp_path: Path
) -> None:
    url, _ = inside
    with pytest.raises(OSError, match=rf"certificate.*{OWN_VARIABLE}"):
        WAYS[way](url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_authority(tmp_path)[0]))
    with pytest.raises(OSError, match=rf"certificate.*{OWN_VARIABLE}"):
        WAYS[way](url)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("text", "told"), [(None, "which is not there"), ("no certificate", "which holds no certificates")])
def test_a_file_without_certificates_is_told_by_its_variable(
    inside: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, text: str | None, told: str
) -> None:
    path = tmp_path / "root.pem"
    if text:
        path.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(OSError, match=rf"SSL_CERT_FILE names \S+root\.pem, {told}"):
        WAYS[way](inside[0])


def test_local_files_are_read_whatever_a_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with gdal_environment():
        pass


def test_files_of_several_variables_count_together(
    inside: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, own = inside
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_authority(tmp_path)[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert read_pixels(url) == CONTENT[10:20]
    bundle = Path(find_ca_bundle())
    assert bundle.read_text().count("BEGIN CERTIFICATE") == 2
    assert bundle.stat().st_mode & 0o777 == 0o600
    share_network_settings()
    assert {os.environ[name] for name in COMMON_VARIABLES} == {str(bundle)}
    assert read_pixels(url) == CONTENT[10:20]


def test_the_own_setting_is_added_to_the_authorities_of_the_machine(
    inside: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWN_VARIABLE, str(inside[1]))
    context = ssl.create_default_context(cafile=find_ca_bundle())
    assert len(context.get_ca_certs()) > 50
    assert "Agency Root" in str(context.get_ca_certs())


@pytest.mark.parametrize("variable", [OWN_VARIABLE, *COMMON_VARIABLES])
def test_gdal_trusts_the_same_authority(agency: tuple[Host, Path], monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    host, own = agency

    def answer(answer: Answer, _: int) -> None:
        if answer.command == "GET":
            answer.send_range()
        else:
            answer.send(200, promise=len(host.files["/image.tif"]))

    monkeypatch.setattr(Answer, "do_HEAD", Answer.do_GET, raising=False)
    host.answer = answer
    monkeypatch.setenv(variable, str(own))
    with gdal_environment(), rasterio.open(f"{host.url}/image.tif?{variable}", driver="GTiff") as dataset:
        assert dataset.read(1).max() == 7


# --- answers without an end ------------------------------------------------------------------------------------------


def continue_for_ever(line: socket.socket) -> None:
    while True:
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
        time.sleep(0.01)


def dribble_headers(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        line.sendall(b"x")
        time.sleep(0.05)


def dribble_status(line: socket.socket) -> None:
    while True:
        line.sendall(b"H")
        time.sleep(0.05)


def dribble_body(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 10-19/256\r\nTransfer-Encoding: chunked\r\n\r\n1;")
    while True:
        line.sendall(b"x")
        time.sleep(0.05)


@contextlib.contextmanager
def serve_raw(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that reads a request and then does what it likes with the line."""

    def talk(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            line.recv(65536)
            act(line)

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("act", [continue_for_ever, dribble_headers, dribble_status, dribble_body])
def test_an_answer_without_an_end_ends_in_time(monkeypatch: pytest.MonkeyPatch, act: Callable[[socket.socket], None]) -> None:
    monkeypatch.setattr(ranges, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(ranges, "ATTEMPTS", 1)
    monkeypatch.setattr(documents, "DOCUMENT_SECONDS", 0.3)
    monkeypatch.setattr(documents, "ATTEMPTS", 1)
    monkeypatch.setattr(webhook, "LONGEST_ANSWER", 0.3)
    monkeypatch.setattr(webhook, "TIMEOUT", Timeout(connect=2, read=2))
    ways: dict[str, Callable[[str], Any]] = {
        "pixels": read_pixels,
        "catalogue": read_catalogue,
        "webhook": call_webhook,
        "token": lambda url: post(f"{url}/token", b"x=1", {}, 1000, 0.3),
        "heartbeat": lambda url: request_status(url, 0.3),
    }
    if act is dribble_body:  # of a webhook and a heartbeat no body is read
        del ways["webhook"], ways["heartbeat"], ways["token"], ways["catalogue"]
    with serve_raw(act) as url:
        for name, way in ways.items():
            start = time.monotonic()
            with pytest.raises((RangeError, DocumentError, OSError), match=r"too slow|no whole answer"):
                way(url)
            assert time.monotonic() - start < 1.5, name
