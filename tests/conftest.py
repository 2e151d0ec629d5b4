"""Fixtures that every test may use; the servers behind them are in helpers/servers.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pystac
import pytest
from s3fs import S3FileSystem

from tests.helpers import browser as chromium
from tests.helpers import servers
from tests.helpers.servers import DaskCluster, Json, PostgresCluster, RangeServer, RunQgis, ServeFolder, ServeItems
from tests.helpers.small import list_spoilt


def skip_for(reason: str | None) -> None:
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long journeys first, so that no process is left alone with one at the end; the rest stays in its order."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data beside the repository; tests that use it are marked `shared`."""
    folder = servers.ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the folder ../shared with real data is missing")
    return folder


@pytest.fixture(scope="module", autouse=True)
def shared_stays_as_it_is() -> Iterator[None]:
    """Name the module that changes what others share, or another one fails for it, and only in some orders."""
    list_spoilt()
    yield
    assert list_spoilt() == [], "a test of this module changed files that tests share; let it work on a copy"


def avoid_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep requests to servers on this machine away from any proxy of the environment."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, f"{servers.HOST},localhost")


@pytest.fixture
def range_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeFolder]:
    """A function that serves a folder with nginx."""
    skip_for(servers.explain_missing_nginx())
    avoid_proxy(monkeypatch)
    with ExitStack() as stack:

        def serve(folder: Path, directives: str = "") -> RangeServer:
            return stack.enter_context(servers.serve_folder(folder, directives))

        yield serve


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """PostgreSQL with pgSTAC in its template database."""
    skip_for(servers.explain_missing_stac_api())
    with servers.start_postgres() as cluster:
        yield cluster


@pytest.fixture
def stac_api(postgres_cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeItems]:
    """A function that serves items through a STAC API of their own."""
    avoid_proxy(monkeypatch)
    with ExitStack() as stack:

        def serve(items: servers.Items, collection: pystac.Collection | Json) -> str:
            return stack.enter_context(servers.serve_items(postgres_cluster, items, collection))

        yield serve


@pytest.fixture
def run_qgis() -> RunQgis:
    """A function that runs a script with the Python that has QGIS."""
    skip_for(servers.explain_missing_qgis())
    return servers.run_qgis_script


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    skip_for(servers.explain_missing_s3())
    with servers.start_s3() as address:
        yield address


@pytest.fixture
def s3_login(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An environment that leads to the S3 server, for this process and those that it starts; gives the address."""
    avoid_proxy(monkeypatch)
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    own = {"AWS_ENDPOINT_URL": s3_server, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    for name, value in (servers.S3_LOGIN | own | {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}).items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def object_store(s3_login: str) -> str:
    """The address of an empty bucket."""
    bucket = servers.name_bucket()
    S3FileSystem(endpoint_url=s3_login).mkdir(bucket)
    return f"s3://{bucket}"


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser]:
    """A real Chromium; ended with the module, for Playwright's loop would be in the way of others."""
    skip_for(chromium.explain_missing_browser())
    with chromium.start_browser() as started:
        yield started


@pytest.fixture
def dask_cluster() -> Iterator[DaskCluster]:
    """A scheduler and two workers."""
    with servers.start_dask() as cluster:
        yield cluster
