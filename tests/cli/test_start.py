"""What commands load before they say anything: help and lists are there at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from minewatch.core.workspace import Workspace
from tests.helpers.small import copy_workspace, make_scanned, plain_environment

HEAVY = {
    "geopandas", "pandas", "pyogrio", "pyproj", "shapely", "numpy", "rasterio", "matplotlib", "skimage", "scipy", "numba",
    "distributed", "dask", "odc", "boto3", "upath", "fsspec", "pystac", "pystac_client", "requests", "urllib3", "structlog",
    "jinja2", "cryptography", "apprise", "asyncio", "PIL", "imagecodecs", "tifffile",
}  # fmt: skip
"""Packages that take a tenth of a second or more, alone or together with what they bring."""

FOR_HELP = {"rich", "pydantic", "sqlite3", "babel"}
"""Lists need these, help does not; sqlite3 comes with the module that lists alerts."""

GROUND = {"numpy", "shapely", "pyproj"}
"""Areas are outlines on the ellipsoid: their size and grid need these."""

RUN = """
import json, sys
from minewatch.__main__ import main
sys.argv = json.loads(sys.argv[1])
try:
    main()
except SystemExit as end:
    code = end.code
sys.stdout.flush()
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""

ALL_HELP = """
import json, sys
import click
from minewatch.cli import main
def show(command, context):
    command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            show(command.get_command(context, name), click.Context(command.get_command(context, name), context, name))
show(main, click.Context(main, info_name="minewatch"))
print("\\n" + json.dumps([0, sorted(sys.modules)]))
"""

LISTS = {
    "alerts list": (set(), 320),
    "alerts list --json --confirmed": (set(), 320),
    "alerts show {alert}": (set(), 320),
    "alerts show {alert} --json": ({"numpy", "shapely"}, 420),
    "aoi list": (GROUND, 480),
    "aoi show spot": (GROUND, 480),
    "pipeline list": (set(), 370),
    "pipeline show": (set(), 370),
    "source list": (set(), 400),
    "schedule show": (set(), 400),
    "status": (set(), 420),
    "status --json": (set(), 400),
    "notify list": (set(), 400),
}
"""Command to the heavy packages that it may load, and how many modules at most; a single library brings hundreds."""


def load(code: str, *words: str) -> tuple[int, set[str]]:
    """Run a command in a fresh interpreter; gives its exit code and the modules that it loaded."""
    command = [sys.executable, "-c", code, json.dumps(["minewatch", *words])]
    done = subprocess.run(command, env=plain_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    exit_code, modules = json.loads(done.stdout.splitlines()[-1])
    return exit_code, set(modules)


def find_packages(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path_factory.mktemp("start") / "watch")


def test_the_version_of_gdal_is_looked_for_only_when_asked() -> None:
    _, modules = load(RUN, "--version")
    assert find_packages(modules) & HEAVY <= {"rasterio", "numpy", "boto3", "urllib3", "asyncio", "requests"}
    assert len(modules) < 700


@pytest.mark.parametrize("words", [(), ("--help",), ("scan", "--help"), ("completion", "zsh")])
def test_help_loads_the_command_line_alone(words: tuple[str, ...]) -> None:
    _, modules = load(RUN, *words)
    assert find_packages(modules) & (HEAVY | FOR_HELP - {"sqlite3"}) == set()
    assert len(modules) < 280


def test_no_help_of_any_command_loads_a_library() -> None:
    _, modules = load(ALL_HELP)
    assert find_packages(modules) & (HEAVY | FOR_HELP - {"sqlite3"}) == set()
    assert "minewatch.cli.watch" in modules
    assert len(modules) < 280


@pytest.mark.parametrize("words", LISTS)
def test_lists_load_what_they_show(workspace: Workspace, words: str) -> None:
    allowed, most = LISTS[words]
    alert = next(line for line in Path(workspace.alerts_csv).read_text("utf-8").splitlines()[1:]).split(",")[0]
    code, modules = load(RUN, "-w", str(workspace.root), *words.format(alert=alert).split())
    assert code in (0, 3)
    assert find_packages(modules) & HEAVY == allowed
    assert len(modules) < most
