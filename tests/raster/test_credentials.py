"""Opening files of providers: signatures and logins that work, that are renewed, and that nobody ever sees."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import pickle
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import numpy as np
import pytest
import rasterio
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.env import getenv
from s3fs import S3FileSystem

from minewatch.areas.grid import Window
from minewatch.core import http as ranges
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.http import DeniedError, RangeError
from minewatch.detection.change_map import RASTERS
from minewatch.raster import credentials as access
from minewatch.raster import s3_requests
from minewatch.raster.credentials import UNSIGNED, Access, SignatureError, check_scenes
from minewatch.raster.gdal import gdal_environment
from minewatch.raster.read import open_datatake
from minewatch.settings.providers import S3Login
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.scene import Datatake, Scene
from minewatch.sources.search import SearchResult, find_scenes
from tests.helpers.hosts import Answer, Host, serve_host
from tests.helpers.rasters import lay_grid, paint_bands, write_raster, write_scene
from tests.helpers.servers import S3_LOGIN, start_s3
from tests.helpers.small import copy_series, make_scanned, make_series, make_workspace, read_result, scan_small, snapshot

planetary_computer = pytest.importorskip("planetary_computer.sas")

SIDE = 256
GRID = lay_grid(SIDE, SIDE)
WINDOW = Window(60, 100, 90, 120)  # across blocks
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
JP2 = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": True, "YCBCR420": False, "BLOCKXSIZE": 64, "BLOCKYSIZE": 64}
BLOBS = "http://tiles.blob.core.windows.net/l2a"
MARK = "SECRETMARK"
SIGNED = Access("planetary-computer")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)
    monkeypatch.setattr(ranges, "FIRST_BACKOFF", 0)


def make_noise(side: int = SIDE) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    fine = {band: random.integers(0, 10_000, (side, side)) for band in ("blue", "green", "red", "nir")}
    coarse = random.integers(0, 10_000, (side // 2, side // 2))
    return paint_bands(side, side, **fine, swir16=coarse, scl=random.integers(0, 12, coarse.shape))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return write_scene(tmp_path_factory.mktemp("plain"), make_noise(), **TILED)


@pytest.fixture(scope="module")
def jp2_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the same pixels as lossless JPEG 2000, 20 m bands too."""
    folder = tmp_path_factory.mktemp("jp2")
    sizes = {"swir16": 20, "scl": 20}
    return {
        band: write_raster(folder / f"{band}.jp2", array, size=sizes.get(band, 10), nodata=0, **JP2)
        for band, array in make_noise().items()
    }


def read_all(scene: Scene, window: Window = WINDOW) -> dict[str, np.ndarray]:
    with open_datatake(Datatake("s2a_x", scene.time, (scene,)), GRID) as reader:
        return {band: reader.readers[0].read(band, window) for band in scene.hrefs}


def assert_same(found: dict[str, np.ndarray], scene: Scene, window: Window = WINDOW) -> None:
    for band, expected in read_all(scene, window).items():
        assert np.array_equal(found[band], expected), band
        assert expected.any()


def format_chain(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


# --- Planetary Computer ----------------------------------------------------------------------------------------------


@dataclass
class Cloud:
    """A token service and a blob store that lets in who has the newest token; a proxy leads to it."""

    host: Host
    lifetime: float = 3600
    issued: int = 0
    accepted: int = 0
    """Number of the token that is good; 0 = the newest."""
    served: int = 0
    expires_after: int = 10**9
    """Answers after which the newest token is good no longer."""
    token: Any = None

    def answer(self, answer: Answer, _: int) -> None:
        if answer.path.startswith("/token/"):
            self._issue(answer)
            return
        path = urlsplit(answer.path).path
        number = int(answer.path.partition(MARK)[2] or 0)
        if not number or number != (self.accepted or self.issued) or self.served >= self.expires_after:
            self.served = 0 if number == self.issued else self.served
            self.accepted = -1 if number == self.issued and self.expires_after < 10**9 else self.accepted
            answer.send(403, b"AuthenticationFailed: Signature not valid in the specified time frame")
            return
        self.served += 1
        answer.path = path
        answer.send_range()

    def _issue(self, answer: Answer) -> None:
        self.issued += 1
        self.accepted = 0 if self.accepted == -1 else self.accepted
        expiry = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.lifetime)
        token = {"msft:expiry": expiry.isoformat(), "token": f"st=2020&se=2030&sp=rl&sig={MARK}{self.issued}"}
        answer.send(200, json.dumps(token if self.token is None else self.token).encode())


@pytest.fixture
def cloud(scene: Scene, jp2_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """Lead requests to blob stores here, as a proxy does; the package is the real one."""
    files = {f"/l2a/{band}.tif": Path(href).read_bytes() for band, href in scene.hrefs.items()}
    files |= {f"/l2a/{band}.jp2": path.read_bytes() for band, path in jp2_files.items()}
    with serve_host(files) as host:
        cloud = Cloud(host)
        host.answer = cloud.answer
        for name, value in {"http_proxy": host.url, "no_proxy": "127.0.0.1", "HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{host.url}/token")
        monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", f"key-{MARK}")
        monkeypatch.setattr(access, "SIGNATURES", access.Signatures())
        planetary_computer.Settings.get.cache_clear()
        planetary_computer.TOKEN_CACHE.clear()
        yield cloud
    planetary_computer.Settings.get.cache_clear()
    planetary_computer.TOKEN_CACHE.clear()


def put_in_cloud(scene: Scene, ending: str = "tif") -> Scene:
    hrefs = {band: f"{BLOBS}/{band}.{ending}" for band in scene.hrefs}
    return dataclasses.replace(scene, hrefs=hrefs, signing="planetary-computer")


@pytest.mark.parametrize("ending", ["tif", "jp2"])
def test_signed_files_are_read_with_one_token(cloud: Cloud, scene: Scene, ending: str) -> None:
    assert_same(read_all(put_in_cloud(scene, ending)), scene)
    assert cloud.issued == 1
    assert sum("/token/" in path for path in cloud.host.paths) == 1
    assert all(f"sig={MARK}1" in path for path in cloud.host.paths if "/token/" not in path)


def test_without_a_signature_nothing_is_given(cloud: Cloud, scene: Scene) -> None:
    unsigned = dataclasses.replace(put_in_cloud(scene), signing="")
    with pytest.raises(SceneError, match="status 403, access is denied"):
        read_all(unsigned)
    assert cloud.issued == 0


@pytest.mark.parametrize("ending", ["tif", "jp2"])
def test_a_signature_that_expires_on_the_way_is_renewed(cloud: Cloud, scene: Scene, ending: str) -> None:
    cloud.expires_after = 3  # the first header, and bytes, and no more
    assert_same(read_all(put_in_cloud(scene, ending), GRID.window), scene, GRID.window)
    assert cloud.issued > 2


def test_an_old_signature_is_renewed_once_for_all_threads(cloud: Cloud) -> None:
    assert SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    cloud.accepted = 2  # as if the first were stale, whatever it says
    barrier, found = threading.Barrier(12), []

    def fetch() -> None:
        barrier.wait()
        found.append(SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4))

    threads = [threading.Thread(target=fetch) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert cloud.issued == 2


def test_a_store_that_takes_no_signature_is_not_asked_for_ever(cloud: Cloud) -> None:
    cloud.accepted = 99
    for _ in range(5):
        with pytest.raises(DeniedError, match="status 403, access is denied"):
            SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    assert cloud.issued == 2  # one that was asked for first, and one to be sure
    assert len(cloud.host.paths) == 2 + 6


def test_a_token_is_asked_for_anew_before_it_expires(cloud: Cloud) -> None:
    cloud.lifetime = 59
    assert SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    before = cloud.issued
    assert SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    assert cloud.issued > before


def test_other_hosts_are_asked_without_a_signature(cloud: Cloud) -> None:
    cloud.host.files["/red.tif"] = b"0123"
    cloud.host.answer = lambda answer, _: answer.send_range()
    assert SIGNED.fetch(f"{cloud.host.url}/red.tif", 0, 4) == b"0123"
    assert cloud.host.paths == ["/red.tif"]


def test_a_host_without_signature_that_denies_is_a_plain_error(cloud: Cloud) -> None:
    cloud.host.answer = lambda answer, _: answer.send(403)
    with pytest.raises(DeniedError):
        SIGNED.fetch(f"{cloud.host.url}/red.tif", 0, 4)
    assert len(cloud.host.paths) == 1


@pytest.mark.parametrize(
    "token", [{"token": MARK, "msft:expiry": f"never {MARK}"}, {"msft:expiry": "2030-01-01"}, [MARK], f"no {MARK}"]
)
def test_a_malformed_token_is_told_without_it(cloud: Cloud, token: Any) -> None:
    cloud.token = token
    with pytest.raises(SignatureError, match="no signature from the Planetary Computer") as caught:
        SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    assert MARK not in format_chain(caught.value)


def test_a_refusal_of_the_token_service_is_told(cloud: Cloud) -> None:
    cloud.host.answer = lambda answer, _: answer.send(401, MARK.encode())
    with pytest.raises(SignatureError, match="HTTPError 401") as caught:
        SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    assert MARK not in format_chain(caught.value)


def test_a_token_service_that_says_nothing_is_given_up(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SIGNING_SECONDS", 0.2)
    is_over = threading.Event()
    cloud.host.answer = lambda answer, _: (is_over.wait(10), answer.send(503))
    with pytest.raises(SignatureError, match="TimeoutError"):
        SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    is_over.set()


@pytest.mark.parametrize("stale", ["st=2024-01-01T00%3A00%3A00Z&se=2024-01-02T00%3A00%3A00Z&sp=rl&sr=c&sig=abc", "sig=x"])
def test_a_stale_signature_of_a_saved_item_is_made_anew(cloud: Cloud, stale: str) -> None:
    assert SIGNED.fetch(f"{BLOBS}/red.tif?{stale}", 0, 4)
    assert cloud.issued == 1


@pytest.mark.parametrize(
    "query",
    [
        "st=2024-01-01T00%3A00%3A00Z&se=2024-01-02T00%3A00%3A00Z&sig=abc",
        "X-Amz-Date=20240101T000000Z&X-Amz-Expires=86400&X-Amz-Signature=abc",
        "Expires=1704153600&Signature=abc&AWSAccessKeyId=x",
    ],
)
def test_an_address_whose_own_signature_has_expired_is_told_with_its_date(cloud: Cloud, query: str) -> None:
    cloud.host.answer = lambda answer, _: answer.send(403)
    with pytest.raises(DeniedError, match="carries a signature that expired on 2024-01-02"):
        UNSIGNED.fetch_part(f"{cloud.host.url}/red.tif?{query}", 0, 4)


def test_a_token_service_that_hands_out_what_has_expired_is_told(cloud: Cloud) -> None:
    cloud.lifetime = -86400
    with pytest.raises(SignatureError, match="had expired already"):
        SIGNED.fetch(f"{BLOBS}/red.tif", 0, 4)
    assert cloud.issued <= 2


def test_a_missing_package_is_told_with_what_to_do(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SceneError, match=r"scene .*, .* pip install 'minewatch\[planetary-computer\]'"):
        read_all(put_in_cloud(scene))
    with pytest.raises(SourceError, match=r".*: .* pip install 'minewatch\[planetary-computer\]'"):
        check_scenes([put_in_cloud(scene)])


# --- object stores ---------------------------------------------------------------------------------------------------


@pytest.fixture
def login(s3_login: str, monkeypatch: pytest.MonkeyPatch) -> S3Login:
    """Keys under names of their own; those that others look for are wrong."""
    monkeypatch.setenv("OWN_KEY", S3_LOGIN["AWS_ACCESS_KEY_ID"])
    monkeypatch.setenv("OWN_SECRET", S3_LOGIN["AWS_SECRET_ACCESS_KEY"])
    return S3Login(s3_login, "us-east-1", "OWN_KEY", "OWN_SECRET")


def put_in_store(scene: Scene, store: str, login: S3Login, files: dict[str, Path]) -> Scene:
    filesystem = S3FileSystem(endpoint_url=login.endpoint)
    hrefs = {}
    for band, path in files.items():
        hrefs[band] = f"{store}/Sentinel-2/a scene+1.SAFE/{path.name}"
        filesystem.put_file(str(path), hrefs[band])
    return dataclasses.replace(scene, hrefs=hrefs, s3=login)


@pytest.mark.server
@pytest.mark.parametrize("ending", ["tif", "jp2"])
def test_objects_are_the_pixels_of_the_files(
    scene: Scene, jp2_files: dict[str, Path], object_store: str, login: S3Login, ending: str
) -> None:
    files = jp2_files if ending == "jp2" else {band: Path(href) for band, href in scene.hrefs.items()}
    stored = put_in_store(scene, object_store, login, files)
    for window in (WINDOW, GRID.window, Window(255, 0, 1, 1)):
        found = read_all(stored, window)
        for band, expected in read_all(scene, window).items():
            assert np.array_equal(found[band], expected), band


@pytest.fixture(scope="module")
def strict_store() -> Iterator[S3Login]:
    """An S3 server that checks every signature, and the keys of one user who may read."""
    with start_s3() as address:
        own = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-west-1", "endpoint_url": address}
        iam = boto3.client("iam", **own)
        iam.create_user(UserName="reader")
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(policy))
        keys = iam.create_access_key(UserName="reader")["AccessKey"]
        s3 = boto3.client("s3", **own)
        s3.create_bucket(Bucket="tiles", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for name in ODD_NAMES:
            s3.put_object(Bucket="tiles", Key=name, Body=name.encode())
        s3.put_object(Bucket="tiles", Key="open.txt", Body=b"for all", ACL="public-read")
        requests.post(f"{address}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STRICT_KEY", keys["AccessKeyId"])
            patch.setenv("STRICT_SECRET", keys["SecretAccessKey"])
            yield S3Login(address, "eu-west-1", "STRICT_KEY", "STRICT_SECRET")


ODD_NAMES = ("plain.jp2", "a/b c/d+e.jp2", "ä/%41?x=1&y#z.jp2", "S2A_MSIL2A.SAFE/GRANULE/~(1)*'!.jp2")


@pytest.mark.server
@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.usefixtures("s3_login")
def test_a_strict_store_takes_the_login(strict_store: S3Login, name: str) -> None:
    part = Access(s3=strict_store).fetch_part(f"s3://tiles/{name}", 1, 4)
    assert part == (name.encode()[1:4], len(name.encode()))


@pytest.mark.server
@pytest.mark.usefixtures("s3_login")
def test_a_wrong_key_is_told_by_the_names_of_the_variables(strict_store: S3Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRICT_SECRET", MARK)
    with pytest.raises(DeniedError, match=r"status 403.*SignatureDoesNotMatch.*; check STRICT_KEY and STRICT_SECRET") as caught:
        Access(s3=strict_store).fetch("s3://tiles/plain.jp2", 0, 4)
    assert MARK not in format_chain(caught.value)


@pytest.mark.server
@pytest.mark.usefixtures("s3_login")
def test_a_public_object_needs_no_login(s3_server: str, object_store: str, tmp_path: Path) -> None:
    path = tmp_path / "open.txt"
    path.write_bytes(b"for all")
    S3FileSystem(endpoint_url=s3_server).put_file(str(path), f"{object_store}/open.txt", ACL="public-read")
    S3FileSystem(endpoint_url=s3_server).put_file(str(path), f"{object_store}/closed.txt")
    public = Access(s3=S3Login(s3_server, "", "", ""))
    assert public.fetch(f"{object_store}/open.txt", 4, 9) == b"all"
    with pytest.raises(DeniedError, match="status 403, access is denied; the store wants a login"):
        public.fetch(f"{object_store}/closed.txt", 4, 9)


def ask_for(href: str, login: S3Login | None) -> tuple[str, dict[str, str]]:
    return Access(s3=login)._prepare(href)


def test_amazons_store_is_asked_by_the_buckets_host() -> None:
    assert ask_for("s3://sentinel-cogs/a/b.tif", None) == ("https://sentinel-cogs.s3.amazonaws.com/a/b.tif", {})
    assert ask_for("s3://has.dots/b.tif", None) == ("https://s3.amazonaws.com/has.dots/b.tif", {})


def test_who_pays_says_so_in_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K", "key")
    monkeypatch.setenv("S", "secret")
    href, headers = ask_for("s3://sentinel-s2-l2a/a.jp2", S3Login("", "eu-central-1", "K", "S", requester_pays=True))
    assert href == "https://sentinel-s2-l2a.s3.eu-central-1.amazonaws.com/a.jp2"
    assert headers["x-amz-request-payer"] == "requester"
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-request-payer" in headers["Authorization"]


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), st.sampled_from(["", "eu-west-1"]))
def test_the_signature_is_amazons_own(key: str, region: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("K", "an-id")
        patch.setenv("S", "a/secret+")
        href, headers = ask_for(f"s3://tiles/{key}", S3Login("https://store.example:8443/", region, "K", "S"))
    moment = headers["x-amz-date"]
    own = AWSRequest("GET", href, headers={name: headers[name] for name in headers if name != "Authorization"})
    own.context["timestamp"] = moment
    signer = S3SigV4Auth(Credentials("an-id", "a/secret+"), "s3", region or "us-east-1")
    canonical = signer.canonical_request(own)
    assert headers["Authorization"].endswith(signer.signature(signer.string_to_sign(own, canonical), own))


@pytest.mark.parametrize("href", ["s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://user:pw@host/key", "s3://../key"])
def test_an_address_without_a_bucket_or_a_key_is_refused(href: str) -> None:
    with pytest.raises(RangeError, match="without the name of a bucket"):
        UNSIGNED.fetch(href, 0, 4)


@pytest.mark.parametrize("missing", [["OWN_KEY"], ["OWN_SECRET"], ["OWN_KEY", "OWN_SECRET"]])
def test_missing_keys_are_named_before_anything_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    for name in ("OWN_KEY", "OWN_SECRET"):
        monkeypatch.setenv(name, "" if name in missing else MARK)
    with serve_host() as host:
        login = S3Login(host.url, "", "OWN_KEY", "OWN_SECRET")
        stored = dataclasses.replace(scene, hrefs={band: f"s3://tiles/{band}.tif" for band in scene.hrefs}, s3=login)
        words = f"its files need a login: set {' and '.join(missing)} in the environment"
        with pytest.raises(SceneError, match=f"scene {scene.id}, .*: {words}"):
            read_all(stored)
        with pytest.raises(SourceError, match=words):
            check_scenes([stored])
        assert host.paths == []
    check_scenes([dataclasses.replace(stored, hrefs=scene.hrefs)])  # nothing of it lies in the store


def test_temporary_keys_sign_their_session_token_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers are those that botocore makes."""
    for name, value in {"OWN_KEY": "ASIAEXAMPLE", "OWN_SECRET": MARK, "OWN_SESSION": "session/token=="}.items():
        monkeypatch.setenv(name, value)
    login = S3Login("", "eu-west-1", "OWN_KEY", "OWN_SECRET", requester_pays=True, session_variable="OWN_SESSION")
    address, headers = s3_requests.request_object("s3://tiles/a.tif", login)
    request = AWSRequest("GET", address, headers={"x-amz-request-payer": "requester"})
    request.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials("ASIAEXAMPLE", MARK, "session/token=="), "s3", "eu-west-1")
    signer._modify_request_before_signing(request)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["x-amz-security-token"] == "session/token=="
    assert headers["Authorization"].endswith(f"Signature={expected}")
    assert "x-amz-security-token" in headers["Authorization"]


def test_a_temporary_key_without_its_session_token_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OWN_KEY", "ASIAEXAMPLE")
    monkeypatch.setenv("OWN_SECRET", MARK)
    with serve_host() as host:
        host.answer = lambda answer, _: answer.send(403, b"<Error><Code>InvalidToken</Code></Error>")
        login = S3Login(host.url, "", "OWN_KEY", "OWN_SECRET")
        with pytest.raises(DeniedError, match=r"OWN_KEY holds a temporary key.*session_variable"):
            Access(s3=login).fetch("s3://tiles/a.tif", 0, 4)
        named = dataclasses.replace(login, session_variable="OWN_SESSION")
        assert "set OWN_SESSION in" in Access(s3=named).find_fault(["s3://tiles/a.tif"])


def test_a_store_in_another_region_names_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"no_proxy": "127.0.0.1", "OWN_KEY": "id", "OWN_SECRET": MARK}.items():
        monkeypatch.setenv(name, value)
    answers = iter([(301, {}), (307, {"Location": "/elsewhere"}), (400, {})])

    def answer(answer: Answer, _: int) -> None:
        status, headers = next(answers)
        answer.send(status, headers={"x-amz-bucket-region": "us-west-2", **headers})

    with serve_host() as host:
        host.answer = answer
        for _ in range(3):
            with pytest.raises(RangeError, match='region us-west-2; write region = "us-west-2"'):
                Access(s3=S3Login(host.url, "eu-1", "OWN_KEY", "OWN_SECRET")).fetch("s3://tiles/a.tif", 0, 4)


def test_a_login_is_sent_to_its_own_store_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OWN_KEY", "id")
    monkeypatch.setenv("OWN_SECRET", MARK)
    seen: list[str] = []

    def answer(answer: Answer, number: int) -> None:
        seen.append(answer.headers.get("Authorization", ""))
        if number == 0:
            answer.send(307, headers={"Location": "/elsewhere"})
        else:
            answer.send_range()

    with serve_host({"/elsewhere": b"0123"}) as host:
        host.answer = answer
        assert Access(s3=S3Login(host.url, "", "OWN_KEY", "OWN_SECRET")).fetch("s3://tiles/a.tif", 0, 4) == b"0123"
    assert seen[0].startswith("AWS4-HMAC-SHA256 Credential=id/")
    assert seen[1] == ""


# --- what nobody sees ------------------------------------------------------------------------------------------------


def test_scenes_travel_with_names_only(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", f"id-{MARK}")
    monkeypatch.setenv("OWN_SECRET", MARK)
    stored = dataclasses.replace(scene, s3=S3Login("store.example", "", "OWN_KEY", "OWN_SECRET"), signing="planetary-computer")
    data = pickle.dumps(stored)
    assert MARK.encode() not in data
    assert MARK not in repr(stored)


@pytest.mark.parametrize("ending", ["tif", "jp2"])
def test_gdal_gets_no_key_and_no_signature(
    cloud: Cloud, scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    caplog.set_level(logging.DEBUG)
    real, names = rasterio.open, []

    def watch(name: Any, **options: Any) -> Any:
        names.append((str(name), [value for value in options.values() if isinstance(value, str)]))
        return real(name, **options)

    monkeypatch.setattr(rasterio, "open", watch)
    cloud.expires_after = 4
    read_all(put_in_cloud(scene, ending))
    cloud.accepted, cloud.expires_after = 99, 10**9
    with pytest.raises(SceneError) as caught:
        read_all(put_in_cloud(scene, ending))
    assert (ending == "jp2") == any("band" in name for name, _ in names)
    assert MARK not in str(names) + caplog.text + format_chain(caught.value)
    assert "GET" in caplog.text
    assert any(MARK in path for path in cloud.host.paths)


def test_addresses_in_logs_lose_what_may_be_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3.connectionpool", "rasterio._env"):
        logging.getLogger(name).warning("HTTP error code: 503 - http://me:%s@host/a.tif?sig=%s. Retrying", MARK, MARK)
    assert MARK not in caplog.text
    assert caplog.text.count("host/a.tif?...") == 2


def sign_series(series: SimulatedSeries, folder: Path, cloud: Cloud) -> SimulatedSeries:
    """Copy a catalogue whose files lie in the blob store of Planetary Computer."""
    copied = copy_series(series, folder)
    for path in folder.rglob("S2*.json"):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            file = path.parent / asset["href"]
            asset["href"] = f"https://sentinel2l2a01.blob.core.windows.net/l2a/{path.stem}/{file.name}"
            cloud.host.files[f"/l2a/{path.stem}/{file.name}"] = file.read_bytes()
            file.unlink()
        path.write_text(json.dumps(item))
    return copied


def find_without_tls(*arguments: Any) -> SearchResult:
    """Find scenes and take the encryption off their addresses, so that a plain proxy can stand for the store."""
    found = find_scenes(*arguments)
    assert all(scene.signing == "planetary-computer" for scene in found.scenes)
    scenes = [
        dataclasses.replace(scene, hrefs={band: href.replace("https:", "http:") for band, href in scene.hrefs.items()})
        for scene in found.scenes
    ]
    return dataclasses.replace(found, scenes=tuple(scenes))


def test_a_scan_of_signed_scenes_ends_as_one_of_files_and_keeps_no_signature(
    cloud: Cloud,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = read_result(make_scanned(tmp_path_factory)[0])
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("minewatch.archive.fetch.find_scenes", find_without_tls)
    cloud.expires_after = 100
    series = sign_series(make_series(tmp_path_factory), tmp_path / "series", cloud)
    workspace = make_workspace(tmp_path / "watch", series)
    report = scan_small(workspace)
    assert report.areas[0].failures == []
    assert cloud.issued > 2
    assert {name: value for name, value in read_result(workspace).items() if name in RASTERS} == {
        name: value for name, value in expected.items() if name in RASTERS
    }
    leaks = [name for name, content in snapshot(workspace.root).items() if MARK.encode() in content]
    assert leaks == []
    assert MARK not in caplog.text + "".join(capfd.readouterr())


# --- faults in JPEG 2000 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_damaged_jp2_never_gives_wrong_pixels(scene: Scene, jp2_files: dict[str, Path], tmp_path: Path, share: float) -> None:
    data = bytearray(jp2_files["red"].read_bytes())
    start = int(len(data) * share)
    data[start : start + 2000] = bytes(2000)
    path = tmp_path / "red.jp2"
    path.write_bytes(data[: start + 2000])
    with pytest.raises(SceneError, match="red: cannot be read"):
        read_all(dataclasses.replace(scene, hrefs={"red": str(path)}), GRID.window)


def test_bytes_that_do_not_come_are_told_and_the_next_attempt_reads(cloud: Cloud, scene: Scene) -> None:
    faults = {2, 9}

    def answer(answer: Answer, number: int) -> None:
        if number in faults:
            answer.send(404)
        else:
            cloud.answer(answer, number)

    cloud.host.answer = answer
    stored = put_in_cloud(scene, "jp2")
    assert_same(read_all(stored, GRID.window), scene, GRID.window)
    cloud.host.answer = lambda answer, _: answer.send(404) if "swir16" in answer.path else cloud.answer(answer, 0)
    with pytest.raises(SceneError, match=r"swir16: cannot be read .status 404 in place"):
        read_all(stored, GRID.window)


def test_many_threads_read_jp2_side_by_side(cloud: Cloud, scene: Scene) -> None:
    expected, stored, found = read_all(scene), put_in_cloud(scene, "jp2"), []
    threads = [threading.Thread(target=lambda: found.append(read_all(stored))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(np.array_equal(pixels[band], expected[band]) for pixels in found for band in expected)
    assert cloud.issued == 1


def test_nothing_of_a_login_is_told_to_gdal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, MARK)
    with gdal_environment():
        assert not [name for name in getenv() if name.startswith("AWS_")]
