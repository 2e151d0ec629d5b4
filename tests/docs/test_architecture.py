"""The river: data flow one way through the rooms, and few modules know the heavy libraries."""

from __future__ import annotations

import ast
import functools
import graphlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import minewatch
from tests.helpers.places import ROOT

PACKAGE = Path(minewatch.__file__).parent

ROOMS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]["layers"]
"""The layers of the import contract, from the top down; ``make lint`` holds every import against them."""

MOST_ENTRIES = 15
"""Modules and rooms at the first level of the package."""

FENCES = {
    "dask": {"core.cluster"},
    "distributed": {"core.cluster"},
    "rasterio": {
        "raster.tiff_header",
        "raster.tiff_writer",
        "raster.gdal_vsi",
        "raster.gdal",
        "raster.area_mean",
        "raster.cog",
        "raster.web_tiles",
        "raster.gdal_version",
        "archive.raster_header",
        "detection.change_map_writer",
        "areas.vectorize",
        "areas.outline_mask",
        "simulation",
        "products.evidence.image_file",
        "products.images.imagery.image_reader",
    },
    "sqlite3": {"alerts", "core.geopackage_check", "products.field.mbtiles"},
    "structlog": {"core.logging"},
    "pystac_client": {"sources.stac_io", "sources.stac"},
    "click": {"cli"},
    "cronsim": {"settings.cron"},
    "rich": {"core.progress", "core.transfer_column", "cli"},
    "matplotlib": {"products.images"},
    "requests": {"sources.stac_io", "sources.stac"},
    "urllib3": {"sources.stac_io", "core.connections", "core.http", "core.refusals", "operations.notify.webhook"},
    "certifi": {"core.certificates"},
    "apprise": set(),
    "imagecodecs": {"raster.tiff_header", "raster.tiff_writer", "archive.raster"},
    "upath": {"core.files", "archive.stack", "archive.object_store"},
    "s3fs": set(),
    "cryptography": set(),
    "zstandard": {"archive.raster", "detection.array_file"},
}
"""Library to the modules that may import it."""

EDGE = {
    "area_changes", "change_map_date", "change_map_writer", "change_record", "checkpoint", "coverage", "parallel_tiles", "tiles",
}  # fmt: skip
"""Modules of detection that read, write or spread the work; all others are science: plain numpy, no files and no network."""

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
    """Return the dotted name of a file, without the package's own."""
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


@functools.cache
def find_libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in list_imports(path)}


def find_calls(path: Path) -> set[str]:
    """Name what a file calls: functions by their name, methods by a dot and their name."""
    calls = [node.func for node in list_nodes(path) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    return names | {f".{call.attr}" for call in calls if isinstance(call, ast.Attribute)}


def is_under(name: str, places: set[str]) -> bool:
    """True if a module is one of some places, or lies below one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


SCIENCE = [
    name
    for name in MODULES
    if name == "raster.indices" or (is_under(name, {"detection"}) and name.rpartition(".")[2] not in EDGE)
]


def test_the_package_has_few_rooms_and_each_has_its_layer() -> None:
    entries = {name.split(".")[0] for name in MODULES} | {"__init__"}
    assert len(entries) <= MOST_ENTRIES
    layers = {room.strip() for layer in ROOMS for room in layer.split("|")}
    assert layers == entries - {"__init__"}


def test_every_room_says_its_contract() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        tree = ast.parse(path.read_text("utf-8"))
        assert ast.get_docstring(tree), path
        if path.parent.parent == PACKAGE and path.parent.name != "cli":
            assert len(tree.body) == 1, f"{path} does more than say what the room is for"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        f"minewatch.{name}": {found for found in list_imports(path) if found.removeprefix("minewatch.") in MODULES}
        for name, path in MODULES.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("library", FENCES)
def test_libraries_stay_behind_their_fence(library: str) -> None:
    users = {name for name, path in MODULES.items() if library in find_libraries(path)}
    assert {name for name in users if not is_under(name, FENCES[library])} == set()


@pytest.mark.parametrize("name", SCIENCE)
def test_science_is_free_of_files(name: str) -> None:
    assert find_libraries(MODULES[name]) & IMPURE == set()
    assert find_calls(MODULES[name]) & {"open", ".open", ".read_text", ".write_text", ".read_bytes", ".write_bytes"} == set()


@pytest.mark.parametrize("name", MODULES)
def test_nobody_prints(name: str) -> None:
    assert "print" not in find_calls(MODULES[name])


@pytest.mark.parametrize("name", [name for name in MODULES if is_under(name, {"cli"}) and name != "cli.output"])
def test_what_commands_print_goes_through_one_module(name: str) -> None:
    """There control characters are replaced."""
    assert ".echo" not in find_calls(MODULES[name])


@pytest.mark.parametrize("name", [*SCIENCE, "areas.vectorize"])
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
