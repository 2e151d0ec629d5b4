"""Time stamps by a real authority (openssl ts): asked for in passing, kept with the evidence, checked without trusting us."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from minewatch.core.errors import EvidenceError, TimestampError
from minewatch.core.workspace import Workspace
from minewatch.products.evidence import timestamps
from minewatch.products.evidence.timestamp_queue import append_hashes, queue_timestamp, read_failure, read_queue
from minewatch.products.evidence.timestamp_token import check_timestamp, join_certificates, split_certificates
from minewatch.products.evidence.timestamps import stamp_in_passing
from tests.conftest import avoid_proxy, skip_for
from tests.helpers.authority import (
    Authority,
    AuthorityServer,
    accepts,
    explain_missing_openssl,
    make_authority,
    run_openssl,
    serve_authority,
)
from tests.helpers.dossiers import list_evidence, make_watch, read_json, run, start_apart
from tests.helpers.servers import find_free_port
from tests.helpers.small import scan_small

DATA = b'{"format": 2}\n'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    skip_for(explain_missing_openssl())
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    skip_for(explain_missing_openssl())
    return make_authority(tmp_path_factory.mktemp("other"))


@pytest.fixture
def tsa(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuthorityServer]:
    avoid_proxy(monkeypatch)
    with serve_authority(authority) as server:
        yield server


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    start_apart(tmp_path, monkeypatch)
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture
def stamped(watch: Workspace, tsa: AuthorityServer) -> Workspace:
    """A workspace whose evidence and logs were stamped."""
    tsa.name_in(watch)
    answer = run("stamp", "-w", watch.root)
    assert answer.exit_code == 0, answer.stderr
    return watch


def write_anew(workspace: Workspace) -> None:
    """Let a scan make the evidence once more."""
    shutil.rmtree(workspace.evidence)
    scan_small(workspace)


# --- what a token proves ---------------------------------------------------------------------------------------------


def test_a_good_token_is_accepted_here_and_by_openssl(authority: Authority, tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    tsr = authority.stamp(DATA)
    found = check_timestamp(DATA, tsr, b"", authority.root.read_bytes())
    assert found.is_named
    assert found.authority == "Test tsa"
    assert before <= found.time <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    assert len(found.certificates) == 3
    chain = join_certificates(found.certificates)
    assert accepts(DATA, tsr, authority.root, tmp_path)
    assert accepts(DATA, tsr, authority.root, tmp_path, chain)
    unnamed = check_timestamp(DATA, tsr, chain, None)
    assert not unnamed.is_named
    assert "an authority that you did not name" in unnamed.describe()
    assert unnamed.time == found.time


def test_a_chain_that_came_with_a_token_is_never_trusted(authority: Authority, other: Authority) -> None:
    tsr = other.stamp(DATA)
    chain = other.root.read_bytes() + other.chain.read_bytes()
    found = check_timestamp(DATA, tsr, chain, authority.root.read_bytes())
    assert not found.is_named
    with pytest.raises(EvidenceError, match="without the root certificate") as caught:
        check_timestamp(DATA, tsr, b"", None)
    assert not isinstance(caught.value, TimestampError)


def of_other_data(authority: Authority) -> bytes:
    return authority.stamp(b"another manifest")


def of_another_hash(authority: Authority) -> bytes:
    return authority.stamp(DATA, "tsa", "-sha512", "-cert")


def for_mail_too(authority: Authority) -> bytes:
    authority.certify("mail", purposes=[ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    return authority.forge(DATA, "mail")


def of_an_uncritical_purpose(authority: Authority) -> bytes:
    authority.certify("uncritical", is_critical=False)
    return authority.forge(DATA, "uncritical")


def without_purpose(authority: Authority) -> bytes:
    authority.certify("plain", purposes=[])
    return authority.forge(DATA, "plain")


def of_an_expired_certificate(authority: Authority) -> bytes:
    authority.certify("expired", last=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
    return authority.forge(DATA, "expired")


def without_hash_of_the_certificate(authority: Authority) -> bytes:
    """Another certificate with the same key could be put in its place."""
    return authority.forge(DATA, "tsa", has_ess=False)


def of_an_issuer_that_may_not_certify(authority: Authority) -> bytes:
    authority.certify("leaf")
    authority.certify("below", "leaf")
    kept = authority.chain.read_bytes()
    authority.chain.write_bytes(kept + (authority.folder / "leaf.pem").read_bytes())
    try:
        return authority.stamp(DATA, "below")
    finally:
        authority.chain.write_bytes(kept)


def without_certificate(authority: Authority) -> bytes:
    return authority.stamp(DATA, "tsa", "-sha256")


def that_was_refused(authority: Authority) -> bytes:
    return authority.stamp(DATA, "tsa", "-sha256", "-cert", "-tspolicy", "1.9.9")


FORGERIES = [
    of_other_data,
    of_another_hash,
    for_mail_too,
    of_an_uncritical_purpose,
    without_purpose,
    of_an_expired_certificate,
    without_hash_of_the_certificate,
    of_an_issuer_that_may_not_certify,
    without_certificate,
    that_was_refused,
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_forged_tokens_are_refused_here_and_by_openssl(
    authority: Authority, tmp_path: Path, forge: Callable[[Authority], bytes]
) -> None:
    tsr, root = forge(authority), authority.root
    chain = root.read_bytes() + authority.chain.read_bytes()
    with pytest.raises(TimestampError):
        check_timestamp(DATA, tsr, chain, root.read_bytes())
    with pytest.raises(TimestampError):
        check_timestamp(DATA, tsr, chain, None)
    assert not accepts(DATA, tsr, root, tmp_path)


def test_a_token_that_was_forged_by_hand_would_pass_if_it_were_true(authority: Authority, tmp_path: Path) -> None:
    """Without this the forgeries above could be refused for being made badly."""
    tsr = authority.forge(DATA, "tsa")
    assert check_timestamp(DATA, tsr, b"", authority.root.read_bytes()).is_named
    assert accepts(DATA, tsr, authority.root, tmp_path)


def test_what_is_accepted_of_damaged_tokens_openssl_accepts_too(authority: Authority, tmp_path: Path) -> None:
    good, root, chance = authority.stamp(DATA), authority.root.read_bytes(), random.Random(7)
    accepted = []
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(chance.choice([1, 1, 2, 4])):
            at = chance.randrange(len(data))
            data[at : at + chance.choice([0, 1, 1, 1, 3])] = chance.randbytes(chance.choice([0, 1, 1, 1, 3]))
        try:
            check_timestamp(DATA, bytes(data), b"", root)
        except EvidenceError:
            continue
        accepted.append(bytes(data))
    assert len(accepted) < 75  # of bytes that no signature covers, such as those of a second certificate
    assert all(accepts(DATA, data, authority.root, tmp_path) for data in dict.fromkeys(accepted))


@pytest.mark.parametrize("tsr", [b"", b"garbage", b"<html>", b"\x30\x03\x02\x01\x00", bytes(200_000)])
def test_what_is_no_token_is_named(authority: Authority, tsr: bytes) -> None:
    with pytest.raises(TimestampError, match=r"no answer of a time-stamping authority|larger than"):
        check_timestamp(DATA, tsr, b"", authority.root.read_bytes())


def test_a_token_outlives_the_certificate_of_its_authority(authority: Authority) -> None:
    """What counts is the time of the stamp, not today."""
    authority.certify("brief", last=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
    tsr = authority.forge(DATA, "brief", dt.datetime(2020, 6, 1, 12, tzinfo=dt.UTC))
    found = check_timestamp(DATA, tsr, b"", authority.root.read_bytes())
    assert found.is_named
    assert found.time == dt.datetime(2020, 6, 1, 12, 0, 1, tzinfo=dt.UTC)  # the authority admits a second
