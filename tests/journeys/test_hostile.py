"""A catalogue that means harm: every attack ends in a named refusal, and the honest scenes stay."""

from __future__ import annotations

import copy
import csv
import dataclasses
import datetime as dt
import io
import json
import re
import resource
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import imagecodecs
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from minewatch.alerts.csv_file import CSV_COLUMNS, render_csv
from minewatch.alerts.read import read_alerts
from minewatch.areas.area_plan import Query
from minewatch.cli import main
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.workspace import Workspace
from minewatch.products.export.formats import export_alerts
from minewatch.products.images.quicklook import draw_quicklook
from minewatch.raster.gdal import DRIVERS, gdal_environment
from minewatch.raster.read import open_datatake
from minewatch.settings.providers import Provider
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.scene import Datatake, Scene, group_scenes
from minewatch.sources.search import find_grid_hint, find_scenes
from minewatch.sources.stac import open_source
from tests.helpers.forged import Claim, forge_jp2, forge_tiff
from tests.helpers.hosts import Answer, Host, serve_host
from tests.helpers.opened import watching_files
from tests.helpers.places import ROOT
from tests.helpers.rasters import (
    EPSG,
    FOREST,
    LEFT,
    TOP,
    lay_grid,
    make_item,
    paint_bands,
    write_catalog,
    write_raster,
    write_scene,
)
from tests.helpers.small import UNTIL, copy_series, make_scanned, make_series, make_workspace, plain_environment, read_result

ALWAYS = Query(box(-70.4, -12.8, -70.3, -12.7), dt.date(2015, 1, 1), dt.date(2030, 1, 1))
GRID = lay_grid(40, 40)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A server that has nothing and notes who asks."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve_host() as host:
        host.answer = lambda answer, _: answer.send(404)
        monkeypatch.setattr(Answer, "do_HEAD", Answer.do_GET, raising=False)
        yield host


def read_red(scene: Scene, path: Path | str, pixel: int = 10) -> np.ndarray:
    """Read a file as the red band, as scans do it, or as pictures do with a coarser pixel."""
    spoiled = dataclasses.replace(scene, hrefs={**scene.hrefs, "red": str(path)})
    grid = GRID if pixel == 10 else dataclasses.replace(GRID, geobox=GRID.geobox.zoom_out(pixel / 10))
    with open_datatake(Datatake(scene.key, scene.time, (spoiled,)), grid) as reader:
        return reader.readers[0].read("red", grid.window)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return write_scene(tmp_path / "scene", paint_bands(40, 40))


# --- drivers ---------------------------------------------------------------------------------------------------------


def write_vrt(path: Path, target: str) -> Path:
    """Write a raster that sends its readers to another one."""
    path.write_text(
        f'<VRTDataset rasterXSize="40" rasterYSize="40"><SRS>EPSG:{EPSG}</SRS>'
        f"<GeoTransform>{LEFT},10,0,{TOP},0,-10</GeoTransform>"
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{target}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


@pytest.mark.parametrize("driver", ["GTiff", *DRIVERS.values()])
@pytest.mark.parametrize(
    "name",
    ["{folder}/trap.vrt", "{folder}/trap.tif", "vrt://{folder}/sound.tif", "/vsicurl/{url}/x.tif",
    "/vsizip/{folder}/x.zip/sound.tif",
     "zip://{folder}/x.zip!sound.tif", "/vsisubfile/0_9999999,{folder}/sound.tif.gz", "{folder}/sound.tif;x",
     "{folder}/sound.tif?x",
     "DERIVED_SUBDATASET:LOGAMPLITUDE:{folder}/sound.tif", "<VRTDataset/>", "/etc/passwd", "/vsistdin/", "/vsimem/x", "{folder}"],
)  # fmt: skip
def test_gdal_opens_with_the_named_driver_only(tmp_path: Path, host: Host, driver: str, name: str) -> None:
    """What rasterio makes of names that no check would let through: the driver is a second wall behind the addresses."""
    write_raster(tmp_path / "sound.tif", paint_bands(40, 40)["red"])
    write_vrt(tmp_path / "trap.vrt", f"/vsicurl/{host.url}/x.tif")
    write_vrt(tmp_path / "trap.tif", f"/vsicurl/{host.url}/x.tif")
    with gdal_environment(), pytest.raises((rasterio.errors.RasterioError, OSError)):
        rasterio.open(name.format(folder=tmp_path, url=host.url), driver=driver)
    assert [path for path in host.paths if path != "/x.tif"] == []
    assert not host.paths or name.startswith("/vsicurl/")


@pytest.mark.parametrize("pixel", [10, 20])
@pytest.mark.parametrize("compress", ["deflate", "lzw"])
@pytest.mark.parametrize(
    ("domain", "key"), [("OVERVIEWS", "OVERVIEW_FILE"), ("ProxyOverviewRequest", "FILENAME"), ("overviews", "OVERVIEW_FILE")]
)
def test_a_file_that_names_another_in_its_metadata_leads_nowhere(
    tmp_path: Path, scene: Scene, host: Host, pixel: int, compress: str, domain: str, key: str
) -> None:
    path = write_raster(tmp_path / "a.tif", paint_bands(40, 40)["red"], compress=compress)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(ns=domain, **{key: f"/vsicurl/{host.url}/other.tif"})
    if compress == "deflate":  # our own reader looks at no metadata
        assert (read_red(scene, path, pixel) == FOREST["red"]).all()
    else:
        with pytest.raises(SceneError, match="name another file"):
            read_red(scene, path, pixel)
    assert host.paths == []


def test_gdal_would_follow_such_metadata(tmp_path: Path, host: Host) -> None:
    """The attack of the test above works where nobody looks; else that test would be worth nothing."""
    path = write_raster(tmp_path / "a.tif", paint_bands(40, 40)["red"])
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{host.url}/other.tif")
    with gdal_environment(), rasterio.open(path, driver="GTiff") as raster:
        assert raster.files  # which looks for overviews too
    assert host.paths


@pytest.mark.parametrize("pixel", [10, 20])
@pytest.mark.parametrize("ending", [".tif", ".jp2"])
def test_files_beside_a_file_are_not_looked_at(tmp_path: Path, scene: Scene, host: Host, ending: str, pixel: int) -> None:
    path = tmp_path / f"a{ending}"
    options = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"} if ending == ".jp2" else {"compress": "LZW"}
    write_raster(path, paint_bands(40, 40)["red"], **options)
    (tmp_path / f"a{ending}.aux.xml").write_text(
        f'<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>1,2,3,4,5,6</GeoTransform><Metadata domain="OVERVIEWS">'
        f'<MDI key="OVERVIEW_FILE">/vsicurl/{host.url}/aux.tif</MDI></Metadata></PAMDataset>'
    )
    for side in (".ovr", ".msk"):
        write_vrt(tmp_path / f"a{ending}{side}", f"/vsicurl/{host.url}/x{side}")
    for world in (".tfw", ".j2w", ".wld", ".tab"):
        path.with_suffix(world).write_text("1\n0\n0\n-1\n7\n7\n")
    assert (read_red(scene, path, pixel) == FOREST["red"]).all()
    assert host.paths == []


# --- sizes -----------------------------------------------------------------------------------------------------------

ZEROS = zlib.compress(bytes(2**24), 9)

CLAIMS = {
    "endless": Claim(width=2**31 - 1, height=2**31 - 1),
    "endless in large blocks": Claim(width=2**31 - 1, height=2**31 - 1, block=(65_520, 65_520)),
    "endless in one block": Claim(width=2**31 - 1, height=2**31 - 1, block=(2**31 - 16, 2**31 - 16), blocks=1),
    "a block of 20 GB": Claim(width=100_000, height=100_000, block=(100_000, 100_000), blocks=1),
    "millions of blocks": Claim(width=131_072, height=131_072, blocks=2**26, real_table=False),
    "tables of a billion": Claim(blocks=2**30, real_table=False),
    "a bomb in a small block": Claim(data=ZEROS),
    "a bomb in a block": Claim(width=512, height=512, block=(512, 512), blocks=1, data=ZEROS),
    "a zstd bomb": Claim(
        width=512, height=512, block=(512, 512), blocks=1, compression=50_000, data=imagecodecs.zstd_encode(bytes(2**28))
    ),
    "pixels of no size": Claim(pixel=(0.0, 0.0)),
    "pixels that are no number": Claim(pixel=(float("nan"), 10.0)),
    "huge pixels": Claim(pixel=(1e300, 1e300)),
    "tiny pixels": Claim(pixel=(1e-300, 1e-300)),
    "millimetres": Claim(pixel=(0.001, 0.001)),
    "nowhere": Claim(place=(float("nan"), 0.0)),
    "at the end of the world": Claim(place=(float("inf"), 0.0)),
    "far away": Claim(place=(1e300, 1e300)),
    "fractions": Claim(bits=32, sample_format=3),
    "four bytes": Claim(bits=32),
    "signed": Claim(sample_format=2),
    "65535 bands": Claim(bands=65_535),
    "no lossless code": Claim(compression=7),
    "an unknown code": Claim(compression=60_000),
}  # fmt: skip

JP2 = {
    "endless": (2**31 - 1, 2**31 - 1, 2**31 - 1),
    "endless in tiles": (2**31 - 1, 2**31 - 1, 64),
    "one tile": (100_000, 100_000, 100_000),
    "more than there is": (20_000, 20_000, 20_000),
}

MEMORY = 1000
"""MB that a process may take to meet them all; 230 to 700 of them are Python, its libraries and their compiled code."""


def test_no_file_that_lies_takes_time_or_memory(tmp_path: Path) -> None:
    for name, claim in CLAIMS.items():
        forge_tiff(tmp_path / f"{name}.tif", claim)
    for name, sides in JP2.items():
        forge_jp2(tmp_path / f"{name}.jp2", *sides)
    forge_tiff(tmp_path / "honest.tif", Claim(data=zlib.compress(b"\7\0" * 256)))
    limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2)}
    command = [sys.executable, "-W", "ignore", "-m", "tests.helpers.forged", str(tmp_path)]
    answer = subprocess.run(command, cwd=ROOT, env=plain_environment(), capture_output=True, timeout=120, check=False, **limits)  # type: ignore[call-overload]
    assert answer.returncode == 0, answer.stderr.decode()[-2000:]
    results = json.loads(answer.stdout)
    assert len(results) == 2 * (len(CLAIMS) + len(JP2) + 2)
    for name, (said, memory) in results.items():
        honest = name.partition(" ")[2] in ("sound", "honest.tif")
        assert (said == "read") == honest, (name, said)
        assert honest or re.fullmatch(r"scene \w+, red: [^\n]{10,200}", said), (name, said)
        assert memory < MEMORY, name


# --- items -----------------------------------------------------------------------------------------------------------


def search(folder: Path, items: list[dict[str, Any]]) -> tuple[list[str], dict[str, str]]:
    """Return the ids that a search finds, and those that it refuses with the reason."""
    folder.mkdir()
    links = []
    for number, item in enumerate(items):
        (folder / f"{number}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./{number}.json"})
    found = find_scenes(open_source(str(write_catalog(folder, [], links))), ALWAYS)
    return [scene.id for scene in found.scenes], {refusal.id: refusal.reason for refusal in found.refused}


def spoil(**changes: Any) -> dict[str, Any]:
    """Make an item of which some fields are something else."""
    return make_item("bad") | changes


def with_property(**changes: Any) -> dict[str, Any]:
    return make_item("bad", **changes)


SCRIBBLE = np.random.default_rng(1).random((400, 2)) / 50 + (-70.35, -12.75)
CIRCLE = [[-70.35 + np.cos(a) / 50, -12.75 + np.sin(a) / 50] for a in np.linspace(0, 2 * np.pi, 200_000)]

ODD = {
    "no id": {key: value for key, value in make_item().items() if key != "id"},
    "an id that is a number": spoil(id=7),
    "an id that is a list": spoil(id=["a"]),
    "an id above": spoil(id="../../x"),
    "an id that is a path": spoil(id="/etc/x"),
    "an id of two lines": spoil(id="a\nError: b"),
    "an id that steers": spoil(id="\x1b[2J\x1b]0;x\x07"),
    "an id turned round": spoil(id="\u202egpj.exe"),
    "an id without letters": spoil(id="\ud800"),
    "a long id": spoil(id="x" * 10_000),
    "properties in a list": spoil(properties=[1]),
    "no properties": spoil(properties=None),
    "assets in a list": spoil(assets=[1]),
    "no assets": spoil(assets=None),
    "an asset without an address": spoil(assets=make_item()["assets"] | {"red": {}}),
    "an asset that is a text": spoil(assets=make_item()["assets"] | {"red": "red.tif"}),
    "an address that is a number": spoil(assets=make_item()["assets"] | {"red": {"href": 5}}),
    "an address that is a list": spoil(assets=make_item()["assets"] | {"red": {"href": ["red.tif"]}}),
    "links in a text": spoil(links="x"),
    "a link that is a number": spoil(links=[1]),
    "a version that is a list": spoil(stac_version=["1.0.0"]),
    "no version": spoil(stac_version=None),
    "extensions in an object": spoil(stac_extensions={"a": 1}),
    "a place that is a text": spoil(geometry="POINT (0 0)"),
    "a point": spoil(geometry={"type": "Point", "coordinates": [-70.35, -12.75]}),
    "no place": spoil(geometry=None),
    "a place of texts": spoil(geometry={"type": "Polygon", "coordinates": [["a", "b"]]}),
    "a place that is no number": spoil(
        geometry={"type": "Polygon", "coordinates": [[[float("nan"), 0], [1, 0], [1, 1], [0, 0]]]}
    ),
    "a scribble": spoil(geometry={"type": "Polygon", "coordinates": [SCRIBBLE.tolist()]}),
    "200 000 points": spoil(geometry={"type": "Polygon", "coordinates": [CIRCLE]}),
    "no date": with_property(datetime=None),
    "a date that is a number": with_property(datetime=5),
    "a date that is none": with_property(datetime="yesterday"),
    "the year 1": with_property(datetime="0001-01-01T00:00:00+14:00"),
    "the year 9999": with_property(datetime="9999-12-31T23:59:59-14:00"),
    "clouds that are no number": with_property(**{"eo:cloud_cover": float("nan")}),
    "endless clouds": with_property(**{"eo:cloud_cover": float("inf")}),
    "clouds in a list": with_property(**{"eo:cloud_cover": [5]}),
    "clouds of words": with_property(**{"eo:cloud_cover": "5 %"}),
}


@pytest.mark.parametrize("item", ODD.values(), ids=ODD)
def test_a_bad_item_is_refused_by_name_and_the_others_stay(tmp_path: Path, item: dict[str, Any]) -> None:
    found, refused = search(tmp_path / "cat", [make_item("good"), item, make_item("fine")])
    assert found == ["fine", "good"]
    ((name, reason),) = refused.items()
    assert name.isprintable()
    assert reason.isprintable()
    assert len(name) <= 200
    assert len(reason) < 600


@pytest.mark.parametrize(
    "properties",
    [{"platform": ["x"]}, {"platform": "../../x"}, {"platform": "x" * 10_000}, {"s2:datatake_id": "GS2A_../../../_x"},
    {"s2:mgrs_tile": {"a": 1}},
     {"grid:code": "../../33TWN"}, {"s2:processing_baseline": [5]}, {"eo:cloud_cover": "5"}, {"updated": {}},
     {"title": "[/red]\x1b[2J"}],
    ids=str,
)  # fmt: skip
def test_no_property_shapes_a_files_name(tmp_path: Path, properties: dict[str, Any]) -> None:
    root = write_catalog(tmp_path / "cat", [make_item("a", **properties)])
    (take,) = group_scenes(find_scenes(open_source(str(root)), ALWAYS).scenes)
    assert re.fullmatch(r"[a-z0-9]{1,8}_\d{8}T\d{4,6}", take.key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PATHS = [
    ("id",), ("type",), ("stac_version",), ("geometry",), ("geometry", "type"), ("geometry", "coordinates"), ("bbox",),
    ("links",),
    ("properties",), ("properties", "datetime"), ("properties", "platform"), ("properties", "eo:cloud_cover"), ("assets",),
    ("properties", "s2:datatake_id"), ("properties", "s2:mgrs_tile"), ("properties", "s2:processing_baseline"),
    ("stac_extensions",),
    ("properties", "earthsearch:boa_offset_applied"), ("properties", "proj:code"), ("properties", "proj:transform"),
    ("collection",),
    ("assets", "red"), ("assets", "red", "href"), ("assets", "scl", "proj:transform"), ("assets", "scl", "raster:bands"),
]  # fmt: skip


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(PATHS), json_values), min_size=1, max_size=3))
def test_nothing_but_a_refusal_comes_of_any_item(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[Any, Any]]
) -> None:
    item = copy.deepcopy(make_item("bad", **{"proj:code": "EPSG:32719", "proj:transform": [10, 0, 0, 0, -10, 0]}))
    for path, value in changes:
        place: Any = item
        for key in path[:-1]:
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = value
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "bad.json").write_text(json.dumps(item))
    root = write_catalog(folder, [make_item("good")], [{"rel": "item", "href": "./bad.json"}])
    source = open_source(str(root))
    try:
        found = find_scenes(source, ALWAYS)
        assert "good" in [scene.id for scene in found.scenes]
        assert all(refusal.id.isprintable() and refusal.reason.isprintable() for refusal in found.refused)
    except SourceError:  # a document that is no item at all
        assert item.get("type") != "Feature"
    try:
        find_grid_hint(source, ALWAYS.area)
    except SourceError:
        pass
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "transform", [["a"] * 6, [float("nan")] * 6, [1e300] * 6, [10**400] * 6, [[1]] * 6, "123456", {"a": 1}, 5, None, []]
)
def test_an_absurd_lattice_is_not_taken(tmp_path: Path, transform: Any) -> None:
    absurd = make_item("a", **{"proj:code": "EPSG:32719", "proj:transform": transform})
    honest = make_item("b", **{"proj:code": "EPSG:32719", "proj:transform": [10, 0, LEFT, 0, -10, TOP]})
    hint = find_grid_hint(open_source(str(write_catalog(tmp_path / "cat", [absurd, honest]))), ALWAYS.area)
    assert hint.origin == (LEFT, TOP)


def test_an_item_of_an_old_version_does_not_make_its_collection_be_read(tmp_path: Path, host: Host) -> None:
    """pystac reads the collection of such an item by itself, from wherever its link says."""
    old = make_item("old") | {"stac_version": "0.8.1", "links": [{"rel": "collection", "href": f"{host.url}/collection.json"}]}
    search(tmp_path / "cat", [make_item("good"), old])
    assert host.paths == []


@pytest.mark.parametrize("rel", ["root", "parent", "self", "collection", "license"])
def test_no_other_link_of_a_catalogue_is_followed_out_of_it(tmp_path: Path, rel: str) -> None:
    outside = write_catalog(tmp_path / "outside", [make_item("secret")])
    link = {"rel": rel, "href": "../outside/catalog.json"}
    root = write_catalog(tmp_path / "cat", [make_item("a") | {"links": [link]}], [link])
    with watching_files(outside.parent) as opened:
        try:
            found = find_scenes(open_source(str(root)), ALWAYS)
            assert [scene.id for scene in found.scenes] == ["a"]
        except SourceError:
            assert rel == "root"
    assert opened == []


def test_a_host_that_the_user_allows_may_be_named(tmp_path: Path) -> None:
    item = make_item("a", assets={band: f"http://tiles.corp:81/{band}.tif" for band in FOREST})
    root = write_catalog(tmp_path / "cat", [item])
    allowed = {"own": Provider("own", str(root), hosts=("tiles.corp:81",))}
    assert [scene.id for scene in find_scenes(open_source("own", allowed), ALWAYS).scenes] == ["a"]
    with pytest.raises(SourceError, match="https"):
        find_scenes(open_source(str(root)), ALWAYS)


# --- a whole scan ----------------------------------------------------------------------------------------------------

UGLY = "\x1b[2J\x1b]0;owned\x07[red]x[/] \u202e"
LONG = "y" * 10_000


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def add_items(series: SimulatedSeries, items: list[dict[str, Any]]) -> None:
    """Let a collection list more items, from files of any name."""
    path = series.catalog.parent / "collection.json"
    collection = json.loads(path.read_text())
    for number, item in enumerate(items):
        (path.parent / f"more-{number}.json").write_text(json.dumps(item))
        collection["links"].append({"rel": "item", "href": f"./more-{number}.json"})
    path.write_text(json.dumps(collection))


def find_item(series: SimulatedSeries) -> tuple[Path, dict[str, Any]]:
    """Return the newest item of a series and the folder it stands in."""
    path = max(series.catalog.parent.glob("*/S2*.json"), key=lambda path: path.name.split("_")[2])
    return path.parent, json.loads(path.read_text())


@pytest.fixture
def hostile(series: SimulatedSeries, tmp_path: Path, host: Host) -> Workspace:
    """A workspace whose source lists, among the scenes of the series, some of a stranger who means harm."""
    copied = copy_series(series, tmp_path / "cat")
    folder, item = find_item(copied)
    assets = {name: asset | {"href": f"./{folder.name}/{Path(asset['href']).name}"} for name, asset in item["assets"].items()}
    (tmp_path / "secret.tif").write_text("secret")

    def vary(name: str, **changed: Any) -> dict[str, Any]:
        return item | {"id": name, "links": [], "assets": assets | changed}

    add_items(
        copied,
        [
            vary("leads-out", red={"href": "../secret.tif"}, scl={"href": f"{host.url}/scl.tif"}),
            vary("leads-in", red={"href": "http://169.254.169.254/latest"}, scl={"href": f"{host.url}/scl.tif"}),
            vary("is-a-trap", red={"href": f"/vsicurl/{host.url}/x.tif"}),
            vary("../../escaped"),
            vary(UGLY),
            vary(LONG),
            vary("is-nothing") | {"properties": []},
        ],
    )
    return make_workspace(tmp_path / "watch", copied)


def test_a_hostile_catalogue_changes_nothing_but_the_list_of_refusals(
    hostile: Workspace, host: Host, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clean, _ = make_scanned(tmp_path_factory)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(hostile.root)}
    answer = CliRunner().invoke(main, ["-w", str(hostile.root), "scan", "--until", UNTIL.isoformat()], catch_exceptions=False)
    assert answer.exit_code == 3
    assert host.paths == []  # not a byte of a refused item, whichever of its bands was honest
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(hostile.root)} == before
    shown = answer.stdout + answer.stderr
    assert shown.replace("\n", "").isprintable()
    (record,) = hostile.runs.glob("*.json")
    (area,) = json.loads(record.read_text())["areas"]
    failed = {failure["id"]: failure["reason"] for failure in area["scenes"]["failed"]}
    assert {"leads-out", "leads-in", "is-a-trap", "../../escaped", "is-nothing"} < failed.keys()
    assert len(failed) == 7
    assert max(map(len, failed)) <= 200
    assert max(map(len, failed.values())) < 600
    for name in failed:
        assert name in shown
    ours, theirs = read_result(hostile), read_result(clean)
    assert ours["aois"][0].pop("scenes_refused") == "7"
    assert theirs["aois"][0].pop("scenes_refused") == "0"
    for result in (ours, theirs):
        del result["aois"][0]["skipped_reason"]
    assert ours == theirs


def test_names_that_a_spreadsheet_would_run_are_text(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    workspace, _ = make_scanned(tmp_path_factory)
    alerts = read_alerts(workspace.alerts)
    names = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "\t=1", "＝1", 'a",=1\r\n=2']
    alerts = alerts.iloc[[0] * len(names)].reset_index(drop=True)
    alerts["scene_before"] = alerts["scene_after"] = alerts["review_note"] = names
    rows = list(csv.DictReader(io.StringIO(render_csv(alerts), newline="")))
    assert len(rows) == len(names)
    assert set(rows[0]) == set(CSV_COLUMNS)
    for row, name in zip(rows[:-1], names[:-1], strict=True):
        assert row["scene_after"] == row["scene_before"] == row["review_note"] == f"'{name}"
    (export,) = export_alerts(alerts, tmp_path, ("xlsx",))
    assert gpd.read_file(export.path, layer="alerts")["scene_after"].tolist()[:4] == [f"'{name}" for name in names[:4]]


@pytest.mark.parametrize("name", ["$x$", r"$\frac{", "$" * 5, r"a\$b$", "_^{}" * 30, "日本", "[red]"])
def test_a_picture_shows_any_id(tmp_path: Path, name: str) -> None:
    scene = write_scene(tmp_path / "scene", paint_bands(40, 40))
    take = Datatake(scene.key, scene.time, (dataclasses.replace(scene, id=name),))
    draw_quicklook(tmp_path / "a.png", GRID, take, take, [], f"area {name}".encode("ascii", "replace").decode())
    assert (tmp_path / "a.png").stat().st_size > 1000


# --- searching -------------------------------------------------------------------------------------------------------


def test_a_search_tells_the_box_of_the_area_and_not_its_outline(host: Host) -> None:
    """What leaves the machine is a rectangle: the corners of a case's area stay at home."""
    corners = [(-70.3712, -12.7645), (-70.3301, -12.7911), (-70.3512, -12.7034)]
    bodies: list[str] = []
    root = {
        "type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
        "links": [{"rel": "search", "href": f"{host.url}/search", "type": "application/geo+json",
        "method": method} for method in ("GET", "POST")],
    }  # fmt: skip

    def answer(question: Answer, _: int) -> None:
        bodies.append(question.path + question.body.decode())
        page = root if question.path == "/" else {"type": "FeatureCollection", "features": [], "links": []}
        question.send(200, json.dumps(page).encode(), {"Content-Type": "application/json"})

    host.answer = answer
    find_scenes(open_source(f"{host.url}/"), Query(Polygon(corners), dt.date(2020, 1, 1), dt.date(2020, 2, 1)))
    (search,) = [body for body in bodies if body.startswith("/search")]
    assert "intersects" not in search
    assert "coordinates" not in search
    numbers = set(re.findall(r"-?\d+\.\d+", search.replace("%2C", ",")))
    assert numbers == {"-70.3712", "-12.7911", "-70.3301", "-12.7034"}
    assert "-12.7645" not in search
    assert "-70.3512" not in search
