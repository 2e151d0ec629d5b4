"""Ranges of bytes: checked answers, bounded attempts, redirects, and no secrets in messages."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from minewatch.core import http as ranges
from minewatch.core.connections import RequestError
from minewatch.core.http import (
    ATTEMPTS,
    LONGEST_RETRY_AFTER,
    MOST_REQUESTS,
    UNKNOWN,
    RangeError,
    compute_backoff,
    fetch,
    fetch_part,
    get_fetch_pool,
    post,
    resolve_redirect,
)
from tests.helpers.hosts import Answer, Host, serve_host

CONTENT = bytes(range(256)) * 40
SIGNATURE = "c0" + "ffee"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(ranges, "FIRST_BACKOFF", 0)
    with serve_host({"/a": CONTENT}) as host:
        yield host


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, in seconds; they are noted, not made."""
    noted: list[float] = []
    monkeypatch.setattr(ranges.time, "sleep", noted.append)
    return noted


def refuse(host: Host, path: str = "/a") -> str:
    """Return the message of a failed fetch, once it is known to hold no secret, not even with its causes."""
    with pytest.raises(RangeError) as caught:
        fetch(f"{host.url}{path}?sig={SIGNATURE}", 100, 200)
    assert SIGNATURE not in "".join(traceback.format_exception(caught.value))
    assert host.url not in str(caught.value)
    return str(caught.value)


def test_the_bytes_asked_for_come(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    for href in (f"{host.url}/a", str(path)):
        assert fetch(href, 100, 200) == CONTENT[100:200]
        assert fetch(href, len(CONTENT) - 10, len(CONTENT) + 90) == CONTENT[-10:]
    assert len(host.paths) == 2


def send_all(answer: Answer, _: int) -> None:
    answer.send(200, CONTENT)


def send_other_part(answer: Answer, _: int) -> None:
    answer.send(206, CONTENT[99:199], {"Content-Range": f"bytes 99-198/{len(CONTENT)}"})


def send_less(answer: Answer, _: int) -> None:
    answer.send(206, CONTENT[100:150], {"Content-Range": f"bytes 100-149/{len(CONTENT)}"})


def send_no_place(answer: Answer, _: int) -> None:
    answer.send(206, CONTENT[100:200])


def send_nonsense(answer: Answer, _: int) -> None:
    answer.send(206, CONTENT[100:200], {"Content-Range": "bytes 100-199/" + "9" * 5000})


def send_more(answer: Answer, _: int) -> None:
    answer.send(206, CONTENT, {"Content-Range": f"bytes 100-199/{len(CONTENT)}"})


def send_page(answer: Answer, _: int) -> None:
    answer.send(404, b"<html>no such file</html>")


@pytest.mark.parametrize("answer", [send_all, send_other_part, send_less, send_no_place, send_nonsense, send_more, send_page])
def test_any_other_answer_is_refused_at_once(host: Host, answer: object) -> None:
    host.answer = answer  # type: ignore[assignment]
    refuse(host)
    assert len(host.paths) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "told"),
    [
        (200, {}, CONTENT, "ignores ranges of bytes"),
        (206, {"Content-Encoding": "gzip", "Content-Range": "bytes 100-199/9999"}, gzip.compress(CONTENT[100:200]), "compresses"),
        (206, {"Content-Range": "*/*"}, CONTENT[100:200], r"does not say which part .*Content-Range: \*/\*"),
        (206, {"Content-Range": "bytes */*"}, CONTENT[100:200], "does not say which part"),
        (206, {}, CONTENT[100:200], "does not say which part"),
        (301, {"x-amz-bucket-region": "eu-west-1"}, b"", "lies in the region eu-west-1; write region = ."),
        (400, {}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>sa-east-1</Region></Error>", "region sa-east-1"),
        (403, {}, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "signature has expired"),
        (400, {}, b"<Error><Code>ExpiredToken</Code><Token-0>S3CRET</Token-0></Error>", "signature has expired .ExpiredToken"),
        (
            403,
            {},
            b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><D>Signature not valid in the specified time frame",
            "signature has expired .AuthenticationFailed",
        ),
        (403, {}, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", "clock of this machine is wrong"),
        (403, {}, b"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>S3CRET</StringToSign></Error>", "secret key does not"),
        (404, {}, b"<Error><Code>NoSuchKey</Code></Error>", "no such object"),
        (403, {}, b"<html>S3CRET <Code>AccessDenied</Code></html>", "status 403, access is denied$"),
        (407, {}, b"", "wants a login"),
    ],
)
def test_an_odd_answer_is_called_what_it_is(host: Host, status: int, headers: dict[str, str], body: bytes, told: str) -> None:
    host.answer = lambda answer, _: answer.send(status, body, headers)
    message = refuse(host)
    assert re.search(told, message)
    assert "S3CRET" not in message
    assert len(host.paths) == 1


@pytest.mark.parametrize("place", ["bytes 100-199/*", "Bytes 100-199/*"])
def test_a_part_of_a_file_of_unknown_length_is_read(host: Host, place: str) -> None:
    host.answer = lambda answer, _: answer.send(206, CONTENT[100:200], {"Content-Range": place})
    assert fetch_part(f"{host.url}/a", 100, 200, {}) == (CONTENT[100:200], UNKNOWN)


def test_headers_go_along_with_redirects_only_where_they_belong(host: Host) -> None:
    seen: list[str | None] = []

    def answer(answer: Answer, _: int) -> None:
        seen.append(answer.headers.get("X-Key"))
        if answer.path.startswith("/b"):
            answer.send(302, headers={"Location": "/a"})
        elif answer.path.startswith("/c"):
            answer.send(302, headers={"Location": f"http://localhost:{host.url.rpartition(':')[2]}/a"})
        else:
            answer.send_range()

    host.answer = answer
    for path in ("/b", "/c"):
        with contextlib.suppress(RangeError):  # a name of this machine, where only its number was given
            fetch_part(f"{host.url}{path}", 0, 10, {"X-Key": "k"}, is_host_wide=True)
    fetch_part(f"{host.url}/b", 0, 10, {"X-Key": "k"})
    assert seen[:2] == ["k", "k"]
    assert seen[2] == "k"
    assert seen[3:] in ([None, "k", None], ["k", None])


def test_a_store_that_takes_few_requests_at_one_time_gets_no_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CDSE's, with four; before, requests were lost after four attempts of all 32 at one time."""
    monkeypatch.setattr(ranges, "FIRST_BACKOFF", 0.02)

    def answer(answer: Answer, _: int) -> None:
        if host.open > 4:
            answer.send(429, b"<Error><Code>TooManyRequests</Code></Error>")
        else:
            time.sleep(0.03)
            answer.send_range()

    host.answer = answer
    jobs = [get_fetch_pool().submit(fetch, f"{host.url}/a", 0, 10) for _ in range(150)]
    wait(jobs)
    assert not [job.exception() for job in jobs if job.exception()]
    assert len(host.paths) < 2 * len(jobs), "it has slowed down"


def test_a_part_behind_the_end_is_refused(host: Host) -> None:
    host.answer = lambda answer, _: answer.send(416)
    assert "416" in refuse(host)


def send_half(answer: Answer, number: int) -> None:
    body, first, last, size = answer.find_range()
    cut = number < 2
    header = {"Content-Range": f"bytes {first}-{last}/{size}"}
    answer.send(206, body[:50] if cut else body, header, promise=len(body) if cut else None)


def test_a_body_cut_short_is_asked_for_again(host: Host) -> None:
    host.answer = send_half
    assert fetch(f"{host.url}/a", 100, 200) == CONTENT[100:200]
    assert len(host.paths) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_attempts_are_bounded(host: Host, status: int) -> None:
    host.answer = lambda answer, _: answer.send(status)
    assert str(status) in refuse(host)
    assert len(host.paths) == ATTEMPTS


def test_retry_after_is_honoured(host: Host, pauses: list[float]) -> None:
    def answer_later(answer: Answer, number: int) -> None:
        answer.send_range() if number else answer.send(429, headers={"Retry-After": "1"})

    host.answer = answer_later
    assert fetch(f"{host.url}/a", 100, 200) == CONTENT[100:200]
    assert pauses == [1]


@pytest.mark.parametrize("header", ["soon", "", "9" * 5000, "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 99 Dec 9999 99:99:99 GMT"])
def test_a_senseless_retry_after_does_no_harm(host: Host, pauses: list[float], header: str) -> None:
    host.answer = lambda answer, number: answer.send_range() if number else answer.send(503, headers={"Retry-After": header})
    assert fetch(f"{host.url}/a", 100, 200) == CONTENT[100:200]
    assert len(pauses) == 1
    assert 0 <= pauses[0] <= LONGEST_RETRY_AFTER


def test_attempts_end_with_the_patience(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "RETRY_SECONDS", 10)
    host.answer = lambda answer, _: answer.send(429, headers={"Retry-After": "50"})
    assert "429" in refuse(host)
    assert len(host.paths) == 1


def test_pauses_grow_and_are_spread() -> None:
    for attempt in range(1, 4):
        pauses = {compute_backoff(1, attempt) for _ in range(20)}
        assert len(pauses) > 1
        assert all(2 ** (attempt - 1) <= pause < 2**attempt for pause in pauses)


def test_a_server_that_comes_back_is_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is tried again: on a bad line the next attempt may find the way."""
    ways = iter(["http://127.0.0.1:9/a", f"{host.url}/a"])
    ask = ranges._request
    monkeypatch.setattr(ranges, "_request", lambda _href, *more: ask(next(ways), *more))
    assert fetch(f"{host.url}/a", 100, 200) == CONTENT[100:200]


def test_retry_after_is_not_believed_for_ever(host: Host, pauses: list[float]) -> None:
    host.answer = lambda answer, _: answer.send(429, headers={"Retry-After": "86400"})
    assert "429" in refuse(host)
    assert pauses == [LONGEST_RETRY_AFTER] * (ATTEMPTS - 1)


def test_a_trickle_ends(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(ranges, "ATTEMPTS", 1)

    def trickle(answer: Answer, _: int) -> None:
        body, first, last, size = answer.find_range()
        answer.send(206, b"", {"Content-Range": f"bytes {first}-{last}/{size}"}, promise=len(body))
        for byte in body:
            answer.wfile.write(bytes([byte]))
            time.sleep(0.03)

    host.answer = trickle
    assert "too slow" in refuse(host)


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(ranges, "FIRST_BACKOFF", 0)
    assert "no connection" in refuse(Host(url="http://127.0.0.1:9"))


def redirect(host: Host, location: str) -> None:
    def answer(answer: Answer, _: int) -> None:
        if answer.path.startswith("/a"):
            answer.send_range()
        else:
            answer.send(302, headers={"Location": location})

    host.answer = answer


@pytest.mark.parametrize("location", ["/a", "{url}/a"])
def test_a_redirect_on_the_same_host_is_followed(host: Host, location: str) -> None:
    redirect(host, location.format(url=host.url))
    assert fetch(f"{host.url}/b", 100, 200) == CONTENT[100:200]


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://127.0.0.2:{port}/a",
        "//127.0.0.2/a",
        "gopher://x",
        "",
        "http://[",
        "https://[",
    ],
)
def test_no_other_redirect_is_followed(host: Host, location: str) -> None:
    redirect(host, location.format(port=host.url.rsplit(":", maxsplit=1)[-1]))
    assert "redirected" in refuse(host, "/b")
    assert len(host.paths) == 1


def test_a_circle_of_redirects_ends(host: Host) -> None:
    redirect(host, "/b")
    assert "too often" in refuse(host, "/b")


def test_https_never_falls_back_to_http() -> None:
    assert resolve_redirect("http://a.example/x", "https://b.example/y") == "https://b.example/y"
    assert resolve_redirect("https://a.example/x", "https://b.example/y") == "https://b.example/y"
    with pytest.raises(RangeError):
        resolve_redirect("https://a.example/x", "http://a.example/x")


def test_requests_in_flight_are_bounded(host: Host) -> None:
    host.delay = 0.02
    wait([get_fetch_pool().submit(fetch, f"{host.url}/a", 0, 10) for _ in range(4 * MOST_REQUESTS)])
    assert 1 < host.most <= MOST_REQUESTS
    assert len(host.paths) == 4 * MOST_REQUESTS


# --- posting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def dribbler() -> Iterator[str]:
    """A server whose headers never end: a byte now and then."""
    ended = threading.Event()

    def dribble(line: socket.socket) -> None:
        with line:
            while not ended.wait(0.05):
                try:
                    line.send(b"H")
                except OSError:
                    return

    def serve(server: socket.socket) -> None:
        while not ended.is_set():
            try:
                line, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=dribble, args=(line,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_post_ends_in_time_whatever_the_server_does(dribbler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    began = time.monotonic()
    with pytest.raises(RangeError, match=r"no whole answer within|too slow"):
        post(dribbler, b"?", {}, 1000, 0.5)
    assert time.monotonic() - began < 3


def test_a_host_that_cannot_be_looked_up_does_not_keep_a_post(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def look_up(*_args: object, **_options: object) -> None:
        is_over.wait(10)
        raise RequestError("no such host")

    monkeypatch.setattr(ranges, "send", look_up)
    with pytest.raises(RangeError, match="no whole answer within"):
        post("http://slow.example/", b"?", {}, 1000, 0.1)
    with pytest.raises(RangeError, match="an earlier request still hangs"):
        post("http://slow.example/", b"?", {}, 1000, 5)
    is_over.set()
