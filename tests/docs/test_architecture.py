"""The river: data flows one way through the stages, and few modules know the heavy libraries."""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import minewatch
from tests.helpers.places import ROOT

PACKAGE = Path(minewatch.__file__).parent

RIVER = (
    # What every stage stands on.
    "units", "errors", "text", "trust", "journal", "stopping", "drafts", "files", "holding", "workspace", "custody", "progress",
    # Areas, settings, places.
    "meridian", "scl", "aoi", "pipeline", "provider", "cron", "settings", "grid", "area_plan", "positions",
    # Scenes and the archive of observations.
    "sizes", "footprint", "harmonise", "scene", "ranges", "access", "documents", "source", "catalog", "checkup",
    "resampling", "geotiff", "blocks", "streams", "datasets", "placement", "read", "indices", "archive", "mask",
    # Changes and alerts.
    "changes", "detect", "polygons", "context", "qml", "alerts", "witness",
    # What people get.
    "export", "rasters", "coverage", "cartography", "screen", "picture", "chips", "imagery", "image", "animation",
    "qgis", "validate",
    # The scan that runs it all, and those who ask for it.
    "parallel", "plan", "news", "area_scan", "fetch", "mending",
    "checkpoint", "tiles", "change_map_writer", "mapping", "evidence",
    "outcome", "remarks", "account", "scan", "doctor", "explain",
    "figures", "report", "prune", "rounds", "notify", "simulate", "demo",
    "schedule", "heartbeat", "watch", "service", "timers", "status", "cli", "__main__",
)  # fmt: skip
"""The modules in their order: each one knows only those before it."""

FENCES = {
    "dask": {"parallel"},
    "distributed": {"parallel"},
    "rasterio": {
        "geotiff",
        "streams",
        "datasets",
        "archive.raster",
        "rasters",
        "polygons",
        "simulate",
        "evidence.specimen",
        "imagery.raster",
    },
    "sqlite3": {"alerts"},
    "structlog": {"journal"},
    "pystac_client": {"documents", "source"},
    "click": {"cli"},
    "cronsim": {"cron"},
    "rich": {"progress", "cli"},
    "matplotlib": {"cartography", "picture", "image", "animation", "figures", "report.drawing"},
    "requests": {"documents", "source"},
    "urllib3": {"documents", "ranges", "notify.webhook"},
    "apprise": set(),
    "imagecodecs": {"geotiff", "archive.raster"},
    "tifffile": {"archive.raster"},
    "upath": {"files", "archive.stack", "archive.store"},
    "s3fs": set(),
    "cryptography": set(),
    "zstandard": {"archive.raster", "checkpoint"},
}
"""Library to the modules that may import it."""

PURE = ("indices", "mask", "detect")
"""Science: plain numpy, no files and no network."""

IMPURE = {
    "rasterio",
    "os",
    "io",
    "shutil",
    "tempfile",
    "pathlib",
    "socket",
    "requests",
    "urllib",
    "sqlite3",
    "pyogrio",
    "geopandas",
}


def name_module(path: Path) -> str:
    """Give the dotted name of a file, without the package's own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[:-1] else parts)


MODULES = {name_module(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}


@functools.cache
def list_nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


def list_imports(path: Path) -> Iterator[str]:
    """Name everything a file imports, late imports too; ``from a import b`` gives a and a.b."""
    for node in list_nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_stages(path: Path) -> set[str]:
    """Name the stages of the river that a file imports."""
    names = (name.split(".") for name in list_imports(path))
    return {parts[1] for parts in names if parts[0] == "minewatch" and len(parts) > 1 and not parts[1].startswith("__")}


@functools.cache
def find_libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in list_imports(path)}


def find_calls(path: Path) -> set[str]:
    """Name what a file calls: functions by their name, methods by a dot and their name."""
    calls = [node.func for node in list_nodes(path) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    return names | {f".{call.attr}" for call in calls if isinstance(call, ast.Attribute)}


def test_every_module_has_its_place_in_the_river() -> None:
    assert {name.split(".")[0] for name in MODULES} == set(RIVER)


@pytest.mark.parametrize("name", MODULES)
def test_stages_know_only_those_before_them(name: str) -> None:
    stage = name.split(".", maxsplit=1)[0]
    before = set(RIVER[: RIVER.index(stage)])
    assert find_stages(MODULES[name]) - {stage} <= before


@pytest.mark.parametrize("library", FENCES)
def test_libraries_stay_behind_their_fence(library: str) -> None:
    users = {name for name, path in MODULES.items() if library in find_libraries(path)}
    strangers = {name for name in users if not {name, name.split(".")[0]} & FENCES[library]}
    assert strangers == set()


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in PURE])
def test_science_is_free_of_files(name: str) -> None:
    assert find_libraries(MODULES[name]) & IMPURE == set()
    assert find_calls(MODULES[name]) & {"open", ".open", ".read_text", ".write_text", ".read_bytes", ".write_bytes"} == set()


@pytest.mark.parametrize("name", MODULES)
def test_nobody_prints(name: str) -> None:
    assert "print" not in find_calls(MODULES[name])


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in {*PURE, "changes", "polygons"}])
def test_science_sees_no_clock(name: str) -> None:
    assert find_calls(MODULES[name]) & {".now", ".today", ".utcnow", ".time"} == set()
    assert find_libraries(MODULES[name]) & {"time", "random", "secrets"} == set()


def test_the_replay_sees_no_clock_and_no_table() -> None:
    path = MODULES["alerts.replay"]
    assert find_calls(path) & {".now", ".today", ".utcnow"} == set()
    assert not any(name.startswith(("minewatch.alerts.table", "minewatch.alerts.geopackage")) for name in list_imports(path))


def list_late_imports(path: Path) -> Iterator[str]:
    """Name what a file imports by a call, which hides it from readers."""
    for node in list_nodes(path):
        if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


@pytest.mark.parametrize("folder", ["benchmarks", "drills", "tests/helpers"])
def test_programs_beside_the_package_import_in_no_circle(folder: str) -> None:
    files = {f"{folder.replace('/', '.')}.{path.stem}": path for path in (ROOT / folder).glob("*.py")}
    graph = {name: files.keys() & {*list_imports(path), *list_late_imports(path)} for name, path in files.items()}
    assert len(graph) > 5
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
