"""What strangers and tired people write, spoilt at random: one clear error line, no traceback, no hang, within seconds."""

from __future__ import annotations

import json
import shutil
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box, mapping

from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.context.features import read_features
from minewatch.alerts.context.layer import open_layers
from minewatch.areas.aoi import read_geometry
from minewatch.areas.outline_file import read_outlines
from minewatch.core.errors import AoiError, MinewatchError, SceneError, SourceError
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.rule import find_rules
from minewatch.operations.schedule import read_timetable
from minewatch.raster.read import open_datatake
from minewatch.settings.document import init_workspace, list_imagery, list_providers, read_settings
from minewatch.settings.pipeline import Pipeline, read_pipeline
from minewatch.sources.scene import Datatake, Scene
from minewatch.sources.search import find_grid_hint, find_scenes
from minewatch.sources.stac import open_source
from tests.helpers.mutate import SECONDS, Budget, fuzzing, spoil_bytes, spoil_documents, write_toml
from tests.helpers.rasters import lay_grid, make_item, paint_bands, write_catalog, write_raster, write_scene
from tests.journeys.test_hostile import ALWAYS


def expect_one_line(action: Callable[[], Any], kind: type[Exception] = MinewatchError) -> None:
    """Run what may be refused: with one line that can be shown, and no other error."""
    said = "nothing"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
    except kind as error:
        said = str(error)
    assert said.strip()
    assert len(said) < 2000


# --- items -----------------------------------------------------------------------------------------------------------

ITEMS = [make_item("bad", **{"proj:code": "EPSG:32719", "proj:transform": [10, 0, 600_000, 0, -10, 8_600_000]})]


def test_items(tmp_path: Path) -> None:
    budget = Budget()

    @fuzzing
    @given(spoil_documents(ITEMS))
    def fuzz(item: Any) -> None:
        budget.run(lambda: search(item))

    def search(item: Any) -> None:
        folder = tmp_path / "cat"
        shutil.rmtree(folder, ignore_errors=True)
        root = write_catalog(folder, [make_item("good")], [{"rel": "item", "href": "./bad.json"}])
        (folder / "bad.json").write_text(json.dumps(item))
        source = open_source(str(root))
        if item.get("type") != "Feature":  # a document that is no item at all
            expect_one_line(lambda: find_scenes(source, ALWAYS), SourceError)
            return
        found = find_scenes(source, ALWAYS)
        assert "good" in [scene.id for scene in found.scenes]
        assert all(refusal.id.isprintable() and refusal.reason.isprintable() for refusal in found.refused)
        expect_one_line(lambda: find_grid_hint(source, ALWAYS.area), SourceError)

    fuzz()


# --- settings --------------------------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "source": "ours",
    "context": {"c": {"file": "c.gpkg", "kind": "concession", "name": "n", "valid_from": "a", "valid_to": "b"}},
    "sources": {
        "ours": {"url": "https://stac.example.org/v1", "collection": "s2", "hosts": ["a.example.org"], "assets": {"red": "B04"}}
    },
    "schedules": {"nightly": {"cron": "0 3 * * *", "areas": ["*"]}},
    "notify": {"rangers": {"to_variable": "RANGERS", "areas": ["*"], "events": ["confirmed"]}},
    "watch": {"heartbeat_variable": "BEAT"},
    "prune": {},
}


def to_toml(spoilt: Any) -> bytes:
    """Return spoilt settings as the bytes of a file; what TOML cannot hold is written as JSON, which is none."""
    if isinstance(spoilt, bytes):
        return spoilt
    try:
        return write_toml(spoilt).encode("utf-8", "surrogatepass")
    except TypeError:
        return json.dumps(spoilt).encode()


def read_everything(workspace: Workspace) -> None:
    for read in (read_settings, list_providers, list_imagery, read_declarations, open_layers, find_rules):
        expect_one_line(lambda read=read: read(workspace))
    expect_one_line(lambda: read_timetable(workspace, []))


def test_settings(tmp_path: Path) -> None:
    workspace, budget = init_workspace(tmp_path / "watch"), Budget()
    template = workspace.settings.read_bytes()

    @fuzzing
    @given(spoil_documents([SETTINGS, tomllib.loads(template.decode())]) | spoil_bytes(template))
    def fuzz(spoilt: Any) -> None:
        workspace.settings.write_bytes(to_toml(spoilt))
        budget.run(lambda: read_everything(workspace))

    fuzz()


def test_pipelines(tmp_path: Path) -> None:
    workspace, budget = init_workspace(tmp_path / "watch"), Budget()
    path = workspace.pipelines / "default.toml"
    template = path.read_bytes()

    @fuzzing
    @given(spoil_documents([Pipeline().model_dump(mode="json")]) | spoil_bytes(template))
    def fuzz(spoilt: Any) -> None:
        path.write_bytes(to_toml(spoilt))
        budget.run(lambda: expect_one_line(lambda: read_pipeline(workspace, "default")))

    fuzz()


# --- areas and layers ------------------------------------------------------------------------------------------------

SQUARE = box(-70.0, -12.9, -69.9, -12.8)
FEATURE = {"type": "Feature", "properties": {"name": "a", "monitor_from": "2024-01-01"}, "geometry": mapping(SQUARE)}
CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32719"}}
AREAS = [
    json.loads(json.dumps(document))
    for document in (
        FEATURE,
        mapping(MultiPolygon([SQUARE])),
        {"type": "FeatureCollection", "features": [FEATURE, FEATURE], "crs": CRS},
        {"type": "GeometryCollection", "geometries": [mapping(SQUARE), {"type": "Point", "coordinates": [0, 0]}]},
    )
]


@pytest.mark.filterwarnings("ignore")
def test_geojson(tmp_path: Path) -> None:
    path, budget = tmp_path / "a.geojson", Budget()

    def read() -> None:
        expect_one_line(lambda: read_geometry(path), AoiError)
        expect_one_line(lambda: read_outlines(path).merge(), AoiError)

    @fuzzing
    @given(
        spoil_documents(AREAS).map(lambda document: json.dumps(document).encode()) | spoil_bytes(json.dumps(AREAS[2]).encode())
    )
    def fuzz(data: bytes) -> None:
        path.write_bytes(data)
        budget.run(read)

    fuzz()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["c.gpkg", "c.kml", "c.shp", "c.fgb", "c.geojson"])
def test_layers_and_area_files(tmp_path: Path, name: str) -> None:
    workspace, budget = init_workspace(tmp_path / "watch"), Budget(SECONDS / 4)
    path = workspace.context / name
    frame = gpd.GeoDataFrame({"name": ["Ñandú", "b"]}, geometry=[SQUARE, SQUARE], crs=4326)
    frame.to_file(path, driver="KML" if name == "c.kml" else None)
    with workspace.settings.open("a") as settings:
        settings.write(f'\n[context.c]\nfile = "{name}"\nkind = "protected-area"\n')
    sound = path.read_bytes()

    def read() -> None:
        expect_one_line(lambda: [read_features(layer) for layer in open_layers(workspace)])
        expect_one_line(lambda: read_outlines(path).merge(), AoiError)

    @fuzzing
    @given(spoil_bytes(sound))
    def fuzz(data: bytes) -> None:
        path.unlink()
        path.write_bytes(data)
        budget.run(read)

    fuzz()


# --- rasters ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)
    return write_scene(tmp_path / "scene", paint_bands(64, 64))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options", [{}, {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}], ids=["strips", "tiles"]
)
def test_cog_headers(tmp_path: Path, scene: Scene, options: dict[str, Any]) -> None:
    path, grid, budget = tmp_path / "red.tif", lay_grid(64, 64), Budget()
    write_raster(path, paint_bands(64, 64)["red"], **options)
    sound = path.read_bytes()
    spoilt = Datatake(scene.key, scene.time, (type(scene)(**{**vars(scene), "hrefs": {**scene.hrefs, "red": str(path)}}),))

    def read() -> None:
        with open_datatake(spoilt, grid) as reader:
            reader.readers[0].read("red", grid.window)

    @fuzzing
    @given(spoil_bytes(sound, head=600) | spoil_bytes(sound) | st.binary(max_size=300).map(lambda data: sound[:8] + data))
    def fuzz(data: bytes) -> None:
        path.write_bytes(data)
        budget.run(lambda: expect_one_line(read, SceneError))

    fuzz()
