"""Time stamps by a real authority (openssl ts): asked for in passing, kept with the evidence, checked without trusting us."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asn1crypto import tsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from minewatch.core.errors import EvidenceError, TimestampError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.status import describe_status, find_status
from minewatch.products.evidence import timestamps
from minewatch.products.evidence.custody_log import record_custody
from minewatch.products.evidence.timestamp_queue import append_hashes, queue_timestamps, read_failure, read_queue
from minewatch.products.evidence.timestamp_token import check_timestamp, join_certificates, split_certificates
from minewatch.products.evidence.timestamps import stamp_in_passing
from tests.conftest import avoid_proxy, skip_for
from tests.helpers.authority import (
    Authority,
    AuthorityServer,
    accepts,
    explain_missing_openssl,
    make_authority,
    serve_authority,
)
from tests.helpers.dossiers import list_evidence, make_watch, read_json, run, start_apart
from tests.helpers.places import ROOT
from tests.helpers.servers import find_free_port
from tests.helpers.small import UNTIL, scan_small

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


def hash_of(path: Path) -> str:
    return hash_of_line(path.read_bytes())


def hash_of_line(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def list_folders(workspace: Workspace) -> list[Path]:
    """Return the folders that have a manifest: of evidence, and of addenda."""
    return sorted(path.parent for path in workspace.evidence.rglob("manifest.json"))


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
    for _ in range(600):
        data = bytearray(good)
        for _ in range(chance.choice([1, 1, 2, 4])):
            at = chance.randrange(len(data))
            data[at : at + chance.choice([0, 1, 1, 1, 3])] = chance.randbytes(chance.choice([0, 1, 1, 1, 3]))
        try:
            check_timestamp(DATA, bytes(data), b"", root)
        except EvidenceError:
            continue
        accepted.append(bytes(data))
    assert len(accepted) < 30  # of bytes that no signature covers, such as those of a second certificate
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


# --- asked for in passing --------------------------------------------------------------------------------------------


def test_a_scan_stamps_the_evidence_that_it_writes(watch: Workspace, tsa: AuthorityServer, tmp_path: Path) -> None:
    tsa.name_in(watch)
    write_anew(watch)
    folders = list_folders(watch)
    assert folders
    for folder in folders:
        manifest, tsr, chain = ((folder / name).read_bytes() for name in ("manifest.json", "manifest.tsr", "manifest-tsa.pem"))
        assert accepts(manifest, tsr, tsa.authority.root, tmp_path)
        assert accepts(manifest, tsr, tsa.authority.root, tmp_path, chain)
        assert "manifest.tsr" not in read_json(folder / "manifest.json")["files"]
        assert {oct(path.stat().st_mode)[-3:] for path in folder.glob("manifest*")} == {"600"}
    answer = run("verify", watch.root, "--tsa-ca", tsa.authority.root)
    assert answer.exit_code == 0, answer.stderr
    assert len(re.findall(r"manifest\.json existed before .*, says Test tsa\n", answer.stdout)) == len(folders)
    assert re.search(r"custody\.jsonl, line \d+ existed before .*, says Test tsa\n", answer.stdout)


def test_only_hashes_leave_the_machine(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    write_anew(watch)
    hashes = {hash_of(folder / "manifest.json") for folder in list_folders(watch)}
    hashes |= {hash_of_line(line) for line in watch.custody.read_bytes().splitlines()}
    assert len(tsa.requests) == len(list_folders(watch)) + 1
    for body in tsa.requests:
        query = tsp.TimeStampReq.load(body, strict=True)
        assert query["message_imprint"]["hashed_message"].native.hex() in hashes
        assert set(query.native) == {"version", "message_imprint", "req_policy", "nonce", "cert_req", "extensions"}
        assert (query["cert_req"].native, query["extensions"].native, query["req_policy"].native) == (True, None, None)


def test_the_end_of_the_log_is_stamped_once_a_day(watch: Workspace, tsa: AuthorityServer, tmp_path: Path) -> None:
    tsa.name_in(watch)
    stamp_in_passing(watch)
    (token,) = watch.timestamps.glob("custody-line-*.tsr")
    line = watch.custody.read_bytes().split(b"\n")[int(token.stem.rpartition("-")[2]) - 1]
    assert hash_of_line(line) == read_json(watch.custody.with_suffix(".head"))["sha256"]
    assert accepts(line, token.read_bytes(), tsa.authority.root, tmp_path)
    run("verify", watch.root)  # lines on the opening
    before = len(tsa.requests)
    stamp_in_passing(watch)
    assert len(tsa.requests) == before
    assert run("stamp", "-w", watch.root).exit_code == 0
    assert len(list(watch.timestamps.glob("custody-line-*.tsr"))) == 2


def test_without_an_authority_nothing_is_asked_or_kept(watch: Workspace) -> None:
    write_anew(watch)
    assert not watch.timestamps.exists()
    answer = run("stamp", "-w", watch.root)
    assert answer.exit_code == 1
    assert "[timestamps]" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_older_evidence_is_stamped_when_that_is_asked_for(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    stamp_in_passing(watch)
    assert not list(watch.evidence.glob("*/manifest.tsr"))
    answer = run("stamp", "-w", watch.root, "--json")
    assert answer.exit_code == 0
    count = len(list_folders(watch))
    assert json.loads(answer.stdout) == {"stamped": count, "waiting": 0, "since": None, "reason": "", "notes": []}
    assert len(list(watch.evidence.rglob("manifest.tsr"))) == count
    again = run("stamp", "-w", watch.root)
    assert (again.exit_code, again.stdout) == (0, "0 time stamps received, 0 waiting\n")


def refuse(server: AuthorityServer) -> str:
    server.status = 503
    return "status 503"


def deny(server: AuthorityServer) -> str:
    server.status = 401
    return "access is denied"


def redirect(server: AuthorityServer) -> str:
    server.status = 302
    return "a redirect, which is not followed"


def send_garbage(server: AuthorityServer) -> str:
    server.spoil = lambda _: b"<html>Welcome to our hotel</html>"
    return "it is no answer of a time-stamping authority"


def send_nothing(server: AuthorityServer) -> str:
    server.spoil = lambda _: b""
    return "it is no answer of a time-stamping authority"


def send_a_gigabyte(server: AuthorityServer) -> str:
    server.endless = True
    return "more than"


def answer_another_hash(server: AuthorityServer) -> str:
    server.spoil = lambda _: server.authority.stamp(b"other")
    return "it is over other data"


def answer_an_earlier_request(server: AuthorityServer) -> str:
    kept: dict[bytes, bytes] = {}

    def replay(answer: bytes) -> bytes:
        hashed = tsp.TimeStampReq.load(server.requests[-1])["message_imprint"]["hashed_message"].native
        answered = tsp.TimeStampReq({"version": 1, "message_imprint": {"hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashed}, "nonce": 5, "cert_req": True})  # fmt: skip
        return kept.setdefault(answer, server.authority.answer(answered.dump()))

    server.spoil = replay
    return "its nonce is another"


def answer_with_an_error(server: AuthorityServer) -> str:
    server.spoil = lambda _: server.authority.stamp(b"other", "tsa", "-sha256", "-cert", "-tspolicy", "1.9.9")
    return "the authority refused it: rejection"


def damage_the_answer(server: AuthorityServer) -> str:
    server.spoil = lambda answer: answer[:-1] + bytes([answer[-1] ^ 1])
    return "did not hold"


HARMS = [refuse, deny, redirect, send_garbage, send_nothing, send_a_gigabyte]
HARMS += [answer_another_hash, answer_an_earlier_request, answer_with_an_error, damage_the_answer]


@pytest.mark.parametrize("harm", HARMS)
def test_a_bad_authority_is_one_line_and_the_hash_waits(
    watch: Workspace, tsa: AuthorityServer, harm: Callable[[AuthorityServer], str]
) -> None:
    tsa.name_in(watch)
    reason = harm(tsa)
    (first, *_) = list_evidence(watch)
    queue_timestamps(watch, {first.name: hash_of(first / "manifest.json")})
    began = time.monotonic()
    found = stamp_in_passing(watch)
    assert time.monotonic() - began < timestamps.SCAN_SECONDS
    assert (found.stamped, found.waiting, len(tsa.requests)) == (0, 2, 1)  # and the log
    assert reason in found.reason
    assert "\n" not in found.describe()
    assert not (first / "manifest.tsr").exists()
    assert stamp_in_passing(watch).waiting == 2
    assert len(tsa.requests) == 1  # it is left alone for some minutes
    status = run("status", "-w", watch.root)
    assert reason in status.stderr
    tsa.status, tsa.spoil, tsa.endless = 200, lambda answer: answer, False
    answer = run("stamp", "-w", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert (first / "manifest.tsr").exists()
    assert read_failure(watch) is None
    assert "missing since" not in run("status", "-w", watch.root).stderr


@pytest.mark.parametrize("is_trickling", [False, True])
def test_an_authority_that_hangs_costs_a_scan_no_more_than_the_limit(
    watch: Workspace, tsa: AuthorityServer, monkeypatch: pytest.MonkeyPatch, is_trickling: bool
) -> None:
    monkeypatch.setattr(timestamps, "ANSWER_SECONDS", 1.0)
    tsa.stall, tsa.trickle = (0.2 if is_trickling else 60), is_trickling
    tsa.name_in(watch)
    lines: list[str] = []
    began = time.monotonic()
    report = scan(watch, ScanRequest(until=UNTIL), Reporter(note=lines.append))
    took = time.monotonic() - began
    written = read_json(report.record)["seconds"]
    assert took < written + 3
    assert any("missing since" in line for line in lines)


def test_a_dead_authority_is_asked_once_and_the_evidence_is_written(watch: Workspace, authority: Authority) -> None:
    AuthorityServer(authority, url=f"http://127.0.0.1:{find_free_port()}/").name_in(watch)
    write_anew(watch)
    assert run("verify", watch.root).exit_code == 0
    assert len(read_queue(watch).waiting) == len(list_folders(watch)) + 1
    answer = run("stamp", "-w", watch.root)
    assert answer.exit_code == 3
    assert f"{len(list_folders(watch)) + 1} time stamps are missing since" in answer.stderr
    assert "no connection" in answer.stderr


def test_what_waits_too_long_needs_attention(watch: Workspace, authority: Authority) -> None:
    AuthorityServer(authority, url=f"http://127.0.0.1:{find_free_port()}/").name_in(watch)
    (first, *_) = list_evidence(watch)
    queue_timestamps(watch, {first.name: hash_of(first / "manifest.json")})
    now = dt.datetime.now(dt.UTC)
    fresh, late = find_status(watch, now), find_status(watch, now + dt.timedelta(days=3))
    assert fresh.stamps.waiting == late.stamps.waiting == 1
    assert "1 time stamp is missing" in " ".join(fresh.notes)
    assert "1 time stamp is missing" in " ".join(late.faults)
    assert not late.is_well
    assert describe_status(fresh)["time_stamps"]["waiting"] == 1


def test_the_watch_asks_again(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    (first, *_) = list_evidence(watch)
    queue_timestamps(watch, {first.name: hash_of(first / "manifest.json")})
    answer = run("watch", "--once", "-w", watch.root, "--json")
    assert json.loads(answer.stdout)["time_stamps"]["stamped"] == 2
    assert (first / "manifest.tsr").exists()


def test_a_queue_that_cannot_be_written_stops_nothing(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    watch.timestamps.write_text("in the way")
    lines: list[str] = []
    shutil.rmtree(watch.evidence)
    report = scan(watch, ScanRequest(until=UNTIL), Reporter(note=lines.append))
    assert report.areas[0].evidence.written
    assert sum("time stamps could not be asked for" in line for line in lines) == 1
    assert run("stamp", "-w", watch.root).exit_code == 1


def test_a_queue_that_was_spoilt_leads_nowhere(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    outside = watch.root / "elsewhere"
    outside.mkdir()
    (outside / "manifest.json").write_bytes(DATA)
    append_hashes(watch, dict.fromkeys(("evidence/../../elsewhere", "/etc", "evidence/gone-20230101-000000"), "0" * 64))
    with (watch.timestamps / "queue.jsonl").open("a") as file:
        file.write("no json\n{}\n[]\n")
    found = stamp_in_passing(watch)
    assert not (outside / "manifest.tsr").exists()
    assert [note for note in found.notes if "gone-20230101" in note]
    assert found.waiting == 0


def test_evidence_that_was_changed_meanwhile_is_not_stamped(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    (first, *_) = list_evidence(watch)
    queue_timestamps(watch, {first.name: hash_of(first / "manifest.json")})
    (first / "manifest.json").write_bytes(DATA)
    found = stamp_in_passing(watch)
    assert "it is not as it was when its hash was noted" in found.notes[0]
    assert not (first / "manifest.tsr").exists()


def test_a_login_is_sent_and_never_shown(watch: Workspace, tsa: AuthorityServer, monkeypatch: pytest.MonkeyPatch) -> None:
    tsa.name_in(watch, 'user_variable = "TSA_USER"\npassword_variable = "TSA_PASSWORD"\npolicy = "1.2.3.4.5"\n')
    answer = run("stamp", "-w", watch.root)
    assert "put the login of the authority into TSA_USER and TSA_PASSWORD" in answer.stderr
    monkeypatch.setenv("TSA_USER", "ranger")
    monkeypatch.setenv("TSA_PASSWORD", "hemlich")
    tsa.status = 401
    answer = run("stamp", "-w", watch.root)
    assert "hemlich" not in answer.stderr + answer.stdout
    assert tsa.logins == [f"Basic {base64.b64encode(b'ranger:hemlich').decode()}"]
    tsa.status = 200
    assert run("stamp", "-w", watch.root).exit_code == 0
    assert tsp.TimeStampReq.load(tsa.requests[-1])["req_policy"].dotted == "1.2.3.4.5"


def test_without_the_packages_one_line_says_so(watch: Workspace, tsa: AuthorityServer, monkeypatch: pytest.MonkeyPatch) -> None:
    tsa.name_in(watch)
    assert run("stamp", "-w", watch.root).exit_code == 0
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "rfc3161_client" else found(name))
    append_hashes(watch, {"custody.jsonl": hash_of_line(watch.custody.read_bytes().splitlines()[-1])})
    answer = run("verify", watch.root)
    assert answer.exit_code == 3
    assert "manifest.tsr was not checked: time stamps need packages that are not installed; pip install" in answer.stderr
    assert "minewatch[evidence]" in stamp_in_passing(watch).reason


# --- what verify says of stamps --------------------------------------------------------------------------------------


def test_the_authority_of_the_settings_is_trusted_in_the_own_workspace(stamped: Workspace) -> None:
    (first, *_) = list_evidence(stamped)
    own = run("verify", first, "-w", stamped.root)
    assert own.exit_code == 0
    assert "says Test tsa\n" in own.stdout
    strange = run("verify", first)
    assert strange.exit_code == 0
    assert "an authority that you did not name" in strange.stdout


def test_a_stamp_of_another_authority_is_a_fault_where_one_is_named(stamped: Workspace, other: Authority) -> None:
    answer = run("verify", list_evidence(stamped)[0], "--tsa-ca", other.root)
    assert answer.exit_code == 3
    assert "manifest.tsr is not of an authority that you named, but of Test tsa" in answer.stderr


def test_a_stamp_that_is_gone_is_a_fault_where_one_is_asked_for(stamped: Workspace, authority: Authority) -> None:
    (first, *_) = list_evidence(stamped)
    (first / "manifest.tsr").unlink()
    assert run("verify", first).exit_code == 0
    answer = run("verify", first, "--tsa-ca", authority.root)
    assert answer.exit_code == 3
    assert "manifest.tsr is missing" in answer.stderr


def swap_stamps(workspace: Workspace, _: Authority) -> str:
    first, second, *_rest = list_evidence(workspace)
    shutil.copy(second / "manifest.tsr", first / "manifest.tsr")
    return "manifest.tsr: it is over other data"


def damage_stamp(workspace: Workspace, _: Authority) -> str:
    path = list_evidence(workspace)[0] / "manifest.tsr"
    data = path.read_bytes()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    return "manifest.tsr: its signature"


def blow_up_stamp(workspace: Workspace, _: Authority) -> str:
    (list_evidence(workspace)[0] / "manifest.tsr").write_bytes(bytes(2**24))
    return "is larger than any of its kind"


def spoil_chain(workspace: Workspace, _: Authority) -> str:
    path = list_evidence(workspace)[0] / "manifest-tsa.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return "its certificates cannot be read"


def link_stamp(workspace: Workspace, _: Authority) -> str:
    path = list_evidence(workspace)[0] / "manifest.tsr"
    path.unlink()
    path.symlink_to("/dev/zero")
    return "manifest.tsr: a link, not a copy"


@pytest.mark.parametrize("harm", [swap_stamps, damage_stamp, blow_up_stamp, spoil_chain, link_stamp])
def test_each_harm_to_a_stamp_is_named(
    stamped: Workspace, authority: Authority, harm: Callable[[Workspace, Authority], str]
) -> None:
    expected = harm(stamped, authority)
    answer = run("verify", stamped.root)
    assert answer.exit_code == 3
    assert expected in answer.stderr


def test_a_log_that_was_cut_and_healed_is_found(stamped: Workspace) -> None:
    """The stamp outlives the end of the log, though log and head agree again."""
    lines = stamped.custody.read_bytes().splitlines(keepends=True)
    stamped.custody.write_bytes(b"".join(lines[:-1]))
    stamped.custody.with_suffix(".head").unlink()
    answer = run("verify", stamped.custody)
    assert answer.exit_code == 3
    assert f"custody.jsonl, line {len(lines)}, is missing: the log was cut or made anew" in answer.stderr


def test_a_log_that_was_made_anew_is_found(stamped: Workspace, authority: Authority) -> None:
    count = len(stamped.custody.read_bytes().splitlines())
    stamped.custody.unlink()
    stamped.custody.with_suffix(".head").unlink()
    for number in range(count):
        record_custody(stamped.custody, "made", f"spot-{number}", "0" * 64)
    answer = run("verify", stamped.custody, "--tsa-ca", authority.root)
    assert answer.exit_code == 3
    assert f"custody-line-{count}.tsr: does not hold for custody.jsonl, line {count}: it is over other data" in answer.stderr


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_a_stamp_of_a_log_that_is_no_file_is_not_read(stamped: Workspace, make: Callable[[Path], None]) -> None:
    path = stamped.timestamps / "custody-line-1.tsr"
    make(path)
    answer = run("verify", stamped.custody)
    assert answer.exit_code == 3
    assert "custody-line-1.tsr was not checked" in answer.stderr


def test_a_pack_carries_stamp_and_chain(stamped: Workspace, authority: Authority, other: Authority, tmp_path: Path) -> None:
    (first, *_) = list_evidence(stamped)
    assert run("pack", first.name, "-w", stamped.root, "-o", tmp_path).exit_code == 0
    path = tmp_path / f"{first.name}.zip"
    answer = run("verify", path, "--tsa-ca", authority.root)
    assert answer.stderr == ""
    assert re.search(r"manifest\.json existed before .*, says Test tsa\n", answer.stdout)
    assert "you did not name" in run("verify", path).stdout
    assert "is not of an authority that you named" in run("verify", path, "--tsa-ca", other.root).stderr
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    folder = tmp_path / "out" / first.name / "evidence"
    tsr, chain = (folder / "manifest.tsr").read_bytes(), (folder / "manifest-tsa.pem").read_bytes()
    assert accepts((folder / "manifest.json").read_bytes(), tsr, authority.root, tmp_path, chain)
    assert len(split_certificates(chain)) == 3


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_root_that_is_none_is_one_line(stamped: Workspace, tmp_path: Path, text: str) -> None:
    (tmp_path / "root.pem").write_text(text)
    for path in (tmp_path / "root.pem", tmp_path / "missing.pem"):
        answer = run("verify", stamped.root, "--tsa-ca", path)
        assert answer.exit_code == 1
        assert len(answer.stderr.splitlines()) == 1
        assert str(path) in answer.stderr


def test_the_documented_commands_check_stamps_with_openssl_alone(stamped: Workspace, authority: Authority) -> None:
    page = (ROOT / "docs" / "timestamps.md").read_text("utf-8").partition("### With openssl alone")[2]
    of_evidence, of_log = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[:2]
    (token,) = stamped.timestamps.glob("custody-line-*.tsr")
    number = token.stem.rpartition("-")[2]
    of_log = of_log.replace("12p", f"{number}p").replace("line-12.", f"line-{number}.")
    for commands, folder in ((of_evidence, list_evidence(stamped)[0]), (of_log, stamped.output)):
        shutil.copy(authority.root, folder / "tsa-root.pem")
        done = subprocess.run(["sh", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Verification: OK" in done.stdout + done.stderr
    assert (
        "Time stamp:"
        in subprocess.run(
            ["sh", "-e", "-c", of_evidence], cwd=list_evidence(stamped)[0], capture_output=True, text=True, check=True
        ).stdout
    )


def test_the_documented_way_past_expired_certificates(authority: Authority, tmp_path: Path) -> None:
    """With -attime openssl judges by the time of the stamp, as minewatch does."""
    authority.certify("past", last=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
    when = dt.datetime(2020, 6, 1, 12, tzinfo=dt.UTC)
    tsr = authority.forge(DATA, "past", when)
    assert check_timestamp(DATA, tsr, b"", authority.root.read_bytes()).is_named
    assert not accepts(DATA, tsr, authority.root, tmp_path)
    assert accepts(DATA, tsr, authority.root, tmp_path, b"", "-attime", str(int(when.timestamp())))


def test_addenda_are_stamped_and_found(watch: Workspace, tsa: AuthorityServer, tmp_path: Path) -> None:
    tsa.name_in(watch)
    folder = list_evidence(watch)[0] / "growth-2023-03-20"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(DATA)
    queue_timestamps(watch, {f"{folder.parent.name}/{folder.name}": hash_of(folder / "manifest.json")})
    stamp_in_passing(watch)
    assert accepts(DATA, (folder / "manifest.tsr").read_bytes(), tsa.authority.root, tmp_path)
    (folder / "manifest.tsr").unlink()
    assert run("stamp", "-w", watch.root).exit_code == 0
    assert (folder / "manifest.tsr").exists()


def test_a_clock_that_differs_is_told(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    (first, *_) = list_evidence(watch)
    queue_timestamps(watch, {first.name: hash_of(first / "manifest.json")})
    found = timestamps.TimestampCheck(dt.datetime.now(dt.UTC) - dt.timedelta(hours=2), "Test", is_named=True, certificates=())
    assert timestamps._compare_clocks(found) == ["the clock of this machine is 120 minutes ahead of that of Test"]
    assert stamp_in_passing(watch).notes == ()


def test_two_processes_do_not_ask_at_once(watch: Workspace, tsa: AuthorityServer) -> None:
    tsa.name_in(watch)
    (first, *_) = list_evidence(watch)
    queue_timestamps(watch, {first.name: hash_of(first / "manifest.json")})
    with timestamps._excluding_others(watch) as is_free:
        assert is_free
        found = stamp_in_passing(watch)
    assert (found.stamped, found.reason) == (0, "another process is asking for it now")
    assert tsa.requests == []


def test_of_many_hashes_a_scan_asks_for_as_many_as_its_time_allows(
    watch: Workspace, tsa: AuthorityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timestamps, "SCAN_SECONDS", 1.5)
    tsa.name_in(watch)
    tsa.stall = 0.4
    (first, *_) = list_evidence(watch)
    for number in range(9):
        folder = first / f"growth-{number}"
        folder.mkdir()
        (folder / "manifest.json").write_bytes(DATA)
        queue_timestamps(watch, {f"{first.name}/{folder.name}": hash_of(folder / "manifest.json")})
    began = time.monotonic()
    found = stamp_in_passing(watch)
    assert time.monotonic() - began < 3
    assert 0 < found.stamped < 9
    assert found.waiting == 10 - found.stamped
    assert read_failure(watch) is None


def test_a_stamp_without_any_root_is_not_judged(stamped: Workspace, authority: Authority, tmp_path: Path) -> None:
    (first, *_) = list_evidence(stamped)
    (first / "manifest-tsa.pem").write_bytes(authority.chain.read_bytes())
    copy = shutil.copytree(first, tmp_path / "copy")
    answer = run("verify", copy)
    assert answer.exit_code == 3
    assert "manifest.tsr was not checked: it cannot be checked without the root certificate" in answer.stderr
    named = run("verify", copy, "--tsa-ca", authority.root)
    assert "manifest.json existed before" in named.stdout
    assert named.stderr == ""


def test_all_roots_of_a_system_may_be_given(authority: Authority) -> None:
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if not system.exists():
        pytest.skip("the system has no list of certificates")
    tsr = authority.stamp(DATA)
    assert check_timestamp(DATA, tsr, b"", system.read_bytes() + authority.root.read_bytes()).is_named
    with pytest.raises(EvidenceError):
        check_timestamp(DATA, tsr, b"", system.read_bytes())


def test_a_what_if_keeps_its_stamps_apart(watch: Workspace, tsa: AuthorityServer, tmp_path: Path) -> None:
    tsa.name_in(watch)
    answer = run("scan", "-w", watch.root, "--until", UNTIL.isoformat(), "--into", tmp_path / "apart")
    assert answer.exit_code == 0, answer.stderr
    assert list((tmp_path / "apart" / "evidence").glob("*/manifest.tsr"))
    assert list((tmp_path / "apart" / "timestamps").glob("custody-line-*.tsr"))
    assert not watch.timestamps.exists()


def test_decisions_are_stamped_and_a_forged_one_is_found(watch: Workspace, tsa: AuthorityServer, tmp_path: Path) -> None:
    tsa.name_in(watch)
    (first, *_) = list_evidence(watch)
    assert run("alerts", "review", first.name, "--confirm", "--by", "R. Quispe", "-w", watch.root).exit_code == 0
    assert run("stamp", "-w", watch.root).exit_code == 0
    count = len(watch.decisions.read_bytes().splitlines())
    token = watch.timestamps / f"decisions-line-{count}.tsr"
    line = watch.decisions.read_bytes().splitlines()[-1]
    assert accepts(line, token.read_bytes(), tsa.authority.root, tmp_path)
    answer = run("verify", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert re.search(rf"decisions\.jsonl, line {count} existed before .*, says Test tsa\n", answer.stdout)
    watch.decisions.write_bytes(watch.decisions.read_bytes().replace(b"R. Quispe", b"A. Nother"))
    answer = run("verify", watch.root)
    assert answer.exit_code == 3
    assert f"decisions-line-{count}.tsr: does not hold for decisions.jsonl, line {count}" in answer.stderr


def test_a_flood_of_certificates_is_refused_at_once(authority: Authority) -> None:
    tsr = authority.stamp(DATA)
    for index in range(20):
        authority.certify(f"flood-{index}", f"flood-{index}", is_ca=True)
    chain = b"".join((authority.folder / f"flood-{index}.pem").read_bytes() for index in range(20))
    with pytest.raises(TimestampError, match="more than 20 certificates"):
        check_timestamp(DATA, tsr, chain, authority.root.read_bytes())
