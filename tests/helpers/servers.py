"""The real servers that the tests talk to; the fixtures in conftest.py hand them out and stop them.

    range_server(folder, directives="") -> RangeServer    nginx serving a folder with range requests; .url, .requests
    stac_api(items, collection) -> str                    address of a STAC API (stac-fastapi-pgstac on PostgreSQL)
    run_qgis(script, *args) -> dict                       what a script printed as JSON, run by the Python that has QGIS
    dask_cluster -> DaskCluster                           .address, .scheduler_pid, .worker_pids (two workers)
    object_store -> str                                   s3://bucket of its own in a local S3 server (moto)
    shared -> Path                                        the folder ../shared with real data

The first three are functions that a test may call as often as it likes. All of them skip the test, with the reason,
where a part is not installed. Everything listens on 127.0.0.1 and is stopped by its pid, whatever the test does.
Types for annotations: `from tests.helpers.servers import RangeServer, ServeFolder, ServeItems, RunQgis, DaskCluster`.
"""

from __future__ import annotations

import getpass
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pystac

from tests.helpers.places import HELPERS, ROOT

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 10.0

QGIS_PYTHON = Path("/usr/bin/python3")
STAC_PYTHON = ROOT / ".venv-stac" / "bin" / "python"
POSTGRES_FOLDERS = Path("/usr/lib/postgresql")

Json = dict[str, Any]
Items = Iterable[pystac.Item | Json]
_databases = count(1)
_buckets = count(1)


# --- processes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A process that was started here, and the file that holds what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def has_printed(self, text: str) -> bool:
        return text in self.read_log()

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait for the server to answer; say what it printed when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.read_log()[-3000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not answer after {START_SECONDS:.0f} s:\n{self.read_log()[-3000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)


@contextmanager
def start_server(
    command: list[str | Path],
    folder: Path,
    *,
    name: str,
    environment: Mapping[str, str] | None = None,
    stop_by: signal.Signals = signal.SIGTERM,
    user: str | None = None,
) -> Iterator[Server]:
    """Run a server in a folder until the block ends."""
    log = folder / f"{name}.log"
    # Without teardown (tests killed from outside) the kernel ends the server with its parent, where it can.
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", stop_by.name.removeprefix("SIG")] if setpriv else []
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*guard, *command],
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    server = Server(name, process, log)
    try:
        yield server
    finally:
        server.stop(stop_by)


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def fetch_status(port: int, path: str) -> int | None:
    """Status of a GET, past any proxy; None while nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would lead another Python, PostgreSQL or PROJ astray."""
    astray = ("PYTHON", "PG", "PROJ_", "GDAL_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(astray)} | more


# --- nginx: files over HTTP with range requests ----------------------------------------------------------------------

NGINX_MARK = "/.mark"
NGINX_CONFIG = """
{user}
daemon off;
worker_processes 1;
pid "{home}/nginx.pid";
error_log stderr;
events {{ worker_connections 256; }}
http {{
    types {{ application/json json; application/geo+json geojson; image/tiff tif tiff; }}
    default_type application/octet-stream;
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    log_format lines escape=json
        '{{"method":"$request_method","path":"$uri","range":"$http_range","status":$status,"sent":$body_bytes_sent}}';
    access_log "{home}/access.log" lines;
    limit_req_zone $binary_remote_addr zone=polite:1m rate=5r/s;
    limit_req_status 429;
    server {{
        listen {host}:{port};
        location = {mark} {{ return 204; }}
        location / {{
            root "{folder}";
            {directives}
        }}
    }}
}}
"""


@dataclass(frozen=True)
class LoggedRequest:
    """One line of the access log."""

    method: str
    path: str
    range: str | None
    """Range header as sent, e.g. `bytes=0-16383`; None without one."""
    status: int
    sent: int
    """Bytes of the body."""


@dataclass(frozen=True)
class RangeServer:
    """A running nginx."""

    url: str
    """Address of the folder, without a slash at the end."""
    port: int
    access_log: Path

    @property
    def requests(self) -> list[LoggedRequest]:
        """All requests answered up to now, in the order of their answers."""
        lines = [json.loads(line) for line in self._read_settled_log().splitlines()]
        wanted = [line | {"range": line["range"] or None} for line in lines if line["path"] != NGINX_MARK]
        return [LoggedRequest(**line) for line in wanted]

    def _read_settled_log(self) -> str:
        # nginx writes a line after the answer has gone out. It has one worker, so once the line of a request made
        # now is there, those of all earlier ones are.
        before = self.access_log.read_text(encoding="utf-8").count(NGINX_MARK)
        assert fetch_status(self.port, NGINX_MARK) == 204
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            text = self.access_log.read_text(encoding="utf-8")
            if text.count(NGINX_MARK) > before and text.endswith("\n"):
                return text
            assert time.monotonic() < deadline, "nginx writes no access log"
            time.sleep(0.005)


class ServeFolder(Protocol):
    """Serve a folder; `directives` go into nginx's location block.

    For faults: `limit_req zone=polite;` (429 beyond 5 requests a second), `max_ranges 0;`, `limit_rate 2k;`,
    `return 503;`.
    """

    def __call__(self, folder: Path, directives: str = "") -> RangeServer: ...


def find_nginx() -> str | None:
    """Path of nginx, also where /usr/sbin is not on the path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def explain_missing_nginx() -> str | None:
    return None if find_nginx() else "nginx is not installed (Debian: nginx-light)"


@contextmanager
def serve_folder(folder: Path, directives: str = "") -> Iterator[RangeServer]:
    with tempfile.TemporaryDirectory(prefix="minewatch-nginx-") as name:
        home, port, nginx = Path(name), find_free_port(), find_nginx()
        assert nginx is not None
        # As root, workers would become `nobody`, who may not read the folders of pytest.
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        config = home / "nginx.conf"
        config.write_text(
            NGINX_CONFIG.format(
                user=user, home=home, host=HOST, port=port, mark=NGINX_MARK, folder=folder.resolve(), directives=directives
            ),
            encoding="utf-8",
        )
        with start_server([nginx, "-p", home, "-e", "stderr", "-c", config], home, name="nginx") as server:
            server.wait_until(lambda: fetch_status(port, NGINX_MARK) == 204)
            yield RangeServer(f"http://{HOST}:{port}", port, home / "access.log")


# --- STAC API: stac-fastapi-pgstac on PostgreSQL with PostGIS ----------------------------------------------------------

TEMPLATE = "stac"


class ServeItems(Protocol):
    """Serve items through a STAC API with nothing but them in it; returns its address."""

    def __call__(self, items: Items, collection: pystac.Collection | Json) -> str: ...


@dataclass(frozen=True)
class PostgresCluster:
    """A running PostgreSQL with the pgSTAC schema in its template database."""

    binaries: Path
    port: int

    def make_environment(self, database: str) -> dict[str, str]:
        # The API wants all five, the password too, though none is asked for.
        settings = {"PGHOST": HOST, "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": "x"}
        return clean_environment(**settings, PGDATABASE=database)

    def run(self, *command: str | Path, database: str = "postgres") -> None:
        run_tool(list(command), self.make_environment(database))

    def copy_template(self) -> str:
        """Make a database of its own for one test."""
        database = f"test_{next(_databases)}"
        self.run(self.binaries / "createdb", "--template", TEMPLATE, database)
        return database


def run_tool(command: list[str | Path], environment: Mapping[str, str], user: str | None = None) -> None:
    groups: list[str | int] | None = None if user is None else []
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        user=user,
        group=user,
        extra_groups=groups,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


def find_postgres() -> Path | None:
    """Folder of the newest PostgreSQL server that has PostGIS."""
    found = [folder for folder in POSTGRES_FOLDERS.glob("*/bin") if (folder / "initdb").exists() and _has_postgis(folder)]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


def _has_postgis(binaries: Path) -> bool:
    version = binaries.parent.name
    return Path(f"/usr/share/postgresql/{version}/extension/postgis.control").exists()


def explain_missing_stac_api() -> str | None:
    if find_postgres() is None:
        return "PostgreSQL with PostGIS is not installed (Debian: postgresql-15-postgis-3)"
    if not STAC_PYTHON.exists():
        return "the environment .venv-stac is missing (make one and install tests/stac-server.lock into it)"
    return None


@contextmanager
def start_postgres() -> Iterator[PostgresCluster]:
    """Run a private PostgreSQL, made for this run of the tests and deleted with it."""
    binaries = find_postgres()
    assert binaries is not None
    user = "postgres" if os.geteuid() == 0 else None  # neither initdb nor postgres runs as root
    with tempfile.TemporaryDirectory(prefix="minewatch-postgres-") as name:
        home, data, port = Path(name), Path(name) / "data", find_free_port()
        if user:
            shutil.chown(home, user, user)
        initdb: list[str | Path] = [
            binaries / "initdb",
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        run_tool([*initdb, "-D", data], clean_environment(), user)
        settings = [f"listen_addresses={HOST}", f"port={port}", "unix_socket_directories=", "timezone=UTC"]
        settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB"]
        options = [part for setting in settings for part in ("-c", setting)]
        command: list[str | Path] = [binaries / "postgres", "-D", data, *options]
        with start_server(
            command, home, name="postgres", environment=clean_environment(), stop_by=signal.SIGINT, user=user
        ) as server:
            server.wait_until(partial(server.has_printed, "ready to accept connections"))
            cluster = PostgresCluster(binaries, port)
            cluster.run(binaries / "createdb", TEMPLATE)
            cluster.run(STAC_PYTHON, "-m", "pypgstac.pypgstac", "migrate", database=TEMPLATE)
            yield cluster


@contextmanager
def serve_items(cluster: PostgresCluster, items: Items, collection: pystac.Collection | Json) -> Iterator[str]:
    plain = describe_collection(collection)
    with tempfile.TemporaryDirectory(prefix="minewatch-stac-") as name:
        home, port, database = Path(name), find_free_port(), cluster.copy_template()
        load_rows(cluster, database, "collections", home, [plain])
        load_rows(cluster, database, "items", home, [describe_item(item, plain["id"]) for item in items])
        environment = cluster.make_environment(database) | {"DB_MIN_CONN_SIZE": "1", "DB_MAX_CONN_SIZE": "4"}
        app = ["stac_fastapi.pgstac.app:create_app", "--factory", "--host", HOST, "--port", str(port)]
        command: list[str | Path] = [STAC_PYTHON, "-m", "uvicorn", *app]
        with start_server(command, home, name="stac-api", environment=environment) as server:
            server.wait_until(lambda: fetch_status(port, "/collections") == 200)
            yield f"http://{HOST}:{port}"


def load_rows(cluster: PostgresCluster, database: str, table: str, home: Path, rows: list[Json]) -> None:
    if not rows:
        return
    lines = home / f"{table}.ndjson"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    load = ["-m", "pypgstac.pypgstac", "load", table, str(lines), "--method", "upsert"]
    cluster.run(STAC_PYTHON, *load, database=database)


def describe_collection(collection: pystac.Collection | Json) -> Json:
    """The collection as a server keeps it: the links are the server's own."""
    plain = collection if isinstance(collection, dict) else collection.to_dict(include_self_link=False, transform_hrefs=False)
    return {**plain, "links": []}


def describe_item(item: pystac.Item | Json, collection: str) -> Json:
    """The item as a server keeps it: absolute asset addresses, in the collection, without links."""
    if isinstance(item, pystac.Item):
        copy = item.clone()
        if item.get_self_href():
            copy.make_asset_hrefs_absolute()
        item = copy.to_dict(include_self_link=False, transform_hrefs=False)
    return {**item, "links": [], "collection": collection}


# --- QGIS --------------------------------------------------------------------------------------------------------------


class RunQgis(Protocol):
    """Run a script with the Python that has QGIS; returns the JSON of the last line it printed."""

    def __call__(self, script: Path | str, *args: Path | str) -> Json: ...


@cache
def explain_missing_qgis() -> str | None:
    if not QGIS_PYTHON.exists():
        return f"{QGIS_PYTHON} is missing"
    done = subprocess.run(
        [QGIS_PYTHON, "-c", "import qgis.core"],
        env=clean_environment(QT_QPA_PLATFORM="offscreen"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 0:
        return None
    return f"QGIS is not installed for {QGIS_PYTHON} (Debian: python3-qgis): {done.stderr.strip().splitlines()[-1:]}"


def run_qgis_script(script: Path | str, *args: Path | str) -> Json:
    """Run a script beside this file, or one named by its full path; a crash at exit counts as a failure."""
    with tempfile.TemporaryDirectory(prefix="minewatch-qgis-") as home:
        done = subprocess.run(
            [QGIS_PYTHON, HELPERS / script, *args],
            env=clean_environment(QT_QPA_PLATFORM="offscreen", HOME=home, XDG_RUNTIME_DIR=home, PYTHONDONTWRITEBYTECODE="1"),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    answer: Json = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


# --- Dask --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DaskCluster:
    """A scheduler and workers, each a process of its own."""

    address: str
    """Of the scheduler, e.g. `tcp://127.0.0.1:40001`."""
    scheduler_pid: int
    worker_pids: tuple[int, ...]
    """The workers themselves: no nanny brings back one that a test kills."""


@contextmanager
def start_dask(workers: int = 2, **settings: str) -> Iterator[DaskCluster]:
    """Run a scheduler and workers; `settings` go into their environment."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minewatch-dask-")))
        port = find_free_port()
        address = f"tcp://{HOST}:{port}"
        command: list[str | Path] = [sys.executable, "-m", "dask", "scheduler", "--host", HOST, "--port", str(port)]
        environment = {**os.environ, **settings}
        scheduler = stack.enter_context(
            start_server([*command, "--no-dashboard"], home, name="scheduler", environment=environment)
        )
        scheduler.wait_until(lambda: is_open(port))
        pids = tuple(stack.enter_context(start_worker(address, **settings)) for _ in range(workers))
        yield DaskCluster(address, scheduler.process.pid, pids)


@contextmanager
def start_worker(address: str, **settings: str) -> Iterator[int]:
    """Run a worker of a cluster until the block ends; gives its pid."""
    with tempfile.TemporaryDirectory(prefix="minewatch-worker-") as name:
        home = Path(name)
        options = ["--nthreads", "1", "--no-nanny", "--memory-limit", "1GB", "--no-dashboard", "--host", HOST]
        command: list[str | Path] = [sys.executable, "-m", "dask", "worker", address, *options, "--local-directory", home]
        with start_server(command, home, name="worker", environment={**os.environ, **settings}) as worker:
            worker.wait_until(partial(worker.has_printed, "Starting established connection"))
            yield worker.process.pid


# --- S3: moto ----------------------------------------------------------------------------------------------------------

S3_LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret", "AWS_DEFAULT_REGION": "us-east-1"}
"""What the server takes, as anything else, until it is told to check."""


@contextmanager
def start_s3(**settings: str) -> Iterator[str]:
    """Run an S3 server; gives its address. `INITIAL_NO_AUTH_ACTION_COUNT="0"` lets it refuse every login."""
    with tempfile.TemporaryDirectory(prefix="minewatch-s3-") as name:
        port = find_free_port()
        program = Path(sys.executable).with_name("moto_server")
        environment = {**os.environ, **settings}
        with start_server([program, "-H", HOST, "-p", str(port)], Path(name), name="s3", environment=environment) as server:
            server.wait_until(lambda: fetch_status(port, "/moto-api/") == 200)
            yield f"http://{HOST}:{port}"


def explain_missing_s3() -> str | None:
    return None if Path(sys.executable).with_name("moto_server").exists() else "moto is not installed (pip: moto[s3,server])"


def name_bucket() -> str:
    """A name that no other test of this run has."""
    return f"archive-{next(_buckets)}"
