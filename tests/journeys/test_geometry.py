"""Geometry in the wild: areas across tiles, UTM zones, the equator and the 180° meridian, on the whole road to the alerts."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling, reproject
from shapely.geometry import box

from minewatch.archive.fetch import group_areas
from minewatch.archive.item import Observation, list_observations
from minewatch.archive.stack import read_stack
from minewatch.areas.antimeridian import cut_halves, join_halves
from minewatch.areas.aoi import Aoi, bbox_geometry, measure_area_ha, write_aoi
from minewatch.areas.area_plan import Query
from minewatch.areas.grid import Grid, make_grid
from minewatch.core.workspace import Workspace
from minewatch.detection.coverage import find_emptiness
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.raster.read import open_datatake
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import SimulatedSeries, simulate_series
from minewatch.sources.scene import Datatake, Scene
from minewatch.sources.stac import open_source
from tests.helpers.rasters import COARSE, TIME, lay_grid, paint_bands, write_scene
from tests.helpers.rasters import NAME as SCENE
from tests.helpers.servers import ServeItems
from tests.helpers.small import (
    MONITOR_FROM,
    NAME,
    SMALL,
    UNTIL,
    copy_series,
    list_scenes,
    make_scanned,
    make_series,
    make_workspace,
    name_scenes,
)

TASKS_PER_CORE = 24
"""Columns of 10 m that two halves of a scene share."""


def read_raster(path: Path) -> tuple[NDArray[Any], dict[str, Any]]:
    with rasterio.open(path) as raster:
        return raster.read(1), raster.profile


def write_like(path: Path, array: NDArray[Any], profile: dict[str, Any], **place: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    plain = {key: profile[key] for key in ("dtype", "nodata", "crs", "transform")} | place
    with rasterio.open(path, "w", driver="GTiff", count=1, height=array.shape[0], width=array.shape[1], **plain) as raster:
        raster.write(array, 1)


def warp_raster(array: NDArray[Any], profile: dict[str, Any], epsg: int, *, nearest: bool) -> tuple[NDArray[Any], dict[str, Any]]:
    """Lay a raster on the 20 m lattice of another zone, as the satellite's ground segment would."""
    size, height, width = profile["transform"].a, *array.shape
    left, top = profile["transform"].c, profile["transform"].f
    to_other = Transformer.from_crs(profile["crs"], epsg, always_xy=True)
    bounds = to_other.transform_bounds(left, top - size * height, left + size * width, top)
    west, south, east, north = np.array(bounds) // 20 * 20 + [0, 0, 20, 20]
    out = np.zeros((round((north - south) / size), round((east - west) / size)), array.dtype)
    transform = rasterio.Affine(size, 0, west, 0, -size, north)
    method = Resampling.nearest if nearest else Resampling.cubic
    source = {"src_transform": profile["transform"], "src_crs": profile["crs"], "src_nodata": 0}
    target = {"dst_transform": transform, "dst_crs": f"EPSG:{epsg}", "dst_nodata": 0}
    reproject(array, out, **source, **target, resampling=method, tolerance=0)
    return out, {"crs": f"EPSG:{epsg}", "transform": transform}


def split_scene(folder: Path, name: str, epsg: int, column: int) -> str:
    """Leave a scene's east, and add its west as a tile of the zone ``epsg``; they share TASKS_PER_CORE columns around ``column``.

    ``column`` is even: where tiles end, all bands do.
    """
    other = name.replace("_19", "_18")
    item = json.loads((folder / name / f"{name}.json").read_text())
    for asset in item["assets"].values():
        path = folder / name / asset["href"]
        array, profile = read_raster(path)
        at = round(10 * column / profile["transform"].a)
        near = round(TASKS_PER_CORE * 5 / profile["transform"].a)
        west = array.copy()
        west[:, at + near :] = 0
        moved, place = warp_raster(west, profile, epsg, nearest=path.stem == "SCL")
        write_like(folder / other / path.name, moved, profile, **place)
        array[:, : at - near] = 0
        write_like(path, array, profile)
        del asset["proj:transform"], asset["proj:shape"]
    (folder / name / f"{name}.json").write_text(json.dumps(item))
    item["properties"] |= {"grid:code": "MGRS-18LZZ", "proj:code": f"EPSG:{epsg}", "proj:epsg": epsg}
    (folder / other / f"{other}.json").write_text(json.dumps(item | {"id": other}))
    return other


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    return make_scanned(tmp_path_factory)


@pytest.fixture(scope="module")
def split(plain: tuple[Workspace, ScanReport], tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    """The small area with a zone border through its largest mine."""
    grid = make_grid(plain[1].areas[0].plan.aoi)
    largest = max(plain[1].areas[0].alerts, key=lambda alert: alert.area_ha)
    x, _ = Transformer.from_crs(4326, grid.crs, always_xy=True).transform(largest.lon, largest.lat)
    series = make_series(tmp_path_factory)
    folder = tmp_path_factory.mktemp("split") / "series"
    shutil.copytree(series.catalog.parent, folder)
    halves = replace(series, catalog=folder / "catalog.json")
    names = name_scenes(halves)
    _, profile = read_raster(folder / names[0] / "SCL.tif")
    column = 2 * round((x - profile["transform"].c) / 20)
    others = [split_scene(folder, name, 32718, column) for name in names]
    list_scenes(halves, names + others)
    workspace = make_workspace(folder.parent / "workspace", halves)
    return workspace, scan(workspace, ScanRequest(until=UNTIL))


def read_ndvi(workspace: Workspace, report: ScanReport) -> NDArray[np.float64]:
    """Return the archived NDVI, (time, y, x), with the outermost pixels left out: a warped cut-out ends half a pixel sooner."""
    area = report.areas[0]
    observations = list(list_observations(workspace.archive(NAME), area.plan.grid).values())
    values = read_stack(observations, area.plan.grid.window).layer("ndvi")[:, 3:-3, 3:-3].astype(float)
    return np.where(values == -32768, np.nan, values / 10_000)


# --- two UTM zones ---------------------------------------------------------------------------------------------------


def test_two_zones_become_one_look_without_a_seam(
    plain: tuple[Workspace, ScanReport], split: tuple[Workspace, ScanReport]
) -> None:
    one, two = plain[1].areas[0], split[1].areas[0]
    assert two.plan.grid == one.plan.grid
    assert [o.key for o in two.observations] == [o.key for o in one.observations], "no double look"
    assert all(len(o.sources) == 2 for o in two.observations)
    before, after = read_ndvi(*plain), read_ndvi(*split)
    assert np.isnan(after).mean() == pytest.approx(np.isnan(before).mean(), abs=0.003), "no gap at the border"
    error = np.nanmedian(np.abs(after - before), axis=(0, 1))
    warped = error > 0
    assert warped.any()
    assert not warped.all()
    assert error.max() <= 0.009, "two warps blur the noise of single pixels by a code of the archive (0.0078), at the border too"


def test_an_alert_across_a_zone_border_is_one(plain: tuple[Workspace, ScanReport], split: tuple[Workspace, ScanReport]) -> None:
    (whole, *_), (joined, *_) = (sorted(run.areas[0].alerts, key=lambda a: -a.area_ha) for _, run in (plain, split))
    assert len(split[1].areas[0].alerts) == len(plain[1].areas[0].alerts)
    assert len(shapely.get_parts(joined.geometry)) == 1
    assert (joined.first_seen, joined.confirmed_on) == (whole.first_seen, whole.confirmed_on)
    shared = joined.geometry.intersection(whole.geometry)
    assert measure_area_ha(shared) > 0.97 * whole.area_ha
    assert joined.area_ha == pytest.approx(whole.area_ha, rel=0.15)  # a rim of pixels is mixed twice on its way


def paint_ground(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return digital numbers that change smoothly with longitude and latitude, over a few hundred metres."""
    return np.rint(3000 + 1200 * np.sin(x * 2500) + 900 * np.cos(y * 2000)).astype(np.uint16)


def lay_tile(epsg: int) -> Grid:
    """Lay the pixels of a tile around 0 degrees of longitude in a zone."""
    west, south, east, north = Transformer.from_crs(4326, epsg, always_xy=True).transform_bounds(-0.008, 6.294, 0.008, 6.306)
    height, width = 2 * round((north - south) / 20), 2 * round((east - west) / 20)
    return lay_grid(height, width, round(west / 20) * 20, round(north / 20) * 20, epsg)


def write_tile(folder: Path, name: str, epsg: int, west: float, east: float) -> Scene:
    """Write a scene of the ground between two longitudes."""
    grid = lay_tile(epsg)
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    left, _, _, top = grid.bounds
    bands = paint_bands(*grid.shape)
    for band, array in bands.items():
        size = 20 if band in COARSE else 10
        x, y = np.meshgrid(*(size * (np.arange(n) + 0.5) for n in array.shape[::-1]))
        lon, lat = to_lonlat.transform(left + x, top - y)
        array[:] = paint_ground(lon, lat) if band != "scl" else np.where(np.sin(lon * 2500) > 0, 4, 5)
        array[(lon < west) | (lon > east)] = 0
    return write_scene(folder, bands, name=name, left=int(left), top=int(top), epsg=epsg)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Scene]:
    """The tiles of one datatake on either side of 0 degrees of longitude; they share 220 m."""
    folder = tmp_path_factory.mktemp("border")
    return write_tile(folder, "S2A_30NZN", 32630, -0.008, 0.001), write_tile(folder, "S2A_31NAH", 32631, -0.001, 0.008)


def warp_by_gdal(scene: Scene, band: str, grid: Grid) -> NDArray[Any]:
    with rasterio.open(scene.hrefs[band]) as source:
        scale = source.transform.a / grid.transform.a
        height, width = grid.shape
        place = {"crs": grid.crs, "transform": grid.transform, "height": height, "width": width}
        options = {"tolerance": 1e-9, "XSCALE": scale, "YSCALE": scale, "src_nodata": 0, "nodata": 0}
        method = Resampling.nearest if band == "scl" else Resampling.bilinear
        with WarpedVRT(source, resampling=method, **place, **options) as vrt:
            return np.asarray(vrt.read(1))


@pytest.mark.parametrize("longitude", [-0.0001, 0.0001], ids=["30N", "31N"])
def test_pixels_across_a_zone_border_are_those_of_gdal(tiles: tuple[Scene, Scene], longitude: float) -> None:
    area = box(longitude - 0.004, 6.298, longitude + 0.004, 6.302)
    grid = make_grid(Aoi("border", area, MONITOR_FROM))
    assert grid.epsg == (32630 if longitude < 0 else 32631)
    with open_datatake(Datatake("s2a_x", TIME, tiles), grid) as reader:
        classes, origin = reader.read_scl(grid.window)
        bands = {band: reader.read_reflectance(band, grid.window, origin) for band in ("red", "swir16")}
    inside = grid.inside(grid.window)
    assert classes[inside].all(), "no gap"
    assert {*np.unique(origin[inside])} == {0, 1}
    first, second = (warp_by_gdal(tile, "scl", grid) for tile in tiles)
    expected = np.where(first > 0, first, second)
    assert (classes != expected)[inside].mean() < 0.001, "SCL is nearest; a tie may fall on either side"
    for band, found in bands.items():
        own = tiles[grid.epsg - 32630]
        by_tile = [warp_by_gdal(tile, band, grid).astype(int) for tile in tiles]
        if band == "swir16":  # a tile of the grid's own zone is not resampled: a 20 m pixel fills four
            number = tiles.index(own)
            near = np.abs(found.astype(int) - by_tile[number])[inside & (origin == number)]
            assert np.median(near) > 0
            by_tile[number] = found.astype(int)
        wanted = np.where(origin == 0, by_tile[0], by_tile[1])
        clear = inside & (wanted > 0)
        assert clear[inside].mean() > 0.99
        assert np.abs(found - wanted)[clear].max() <= 1, band


# --- the equator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latitude", [-0.0001, 0.0001], ids=["south", "north"])
def test_scenes_north_and_south_of_the_equator_need_no_resampling(tmp_path: Path, latitude: float) -> None:
    random = np.random.default_rng(0)
    noise = {band: random.integers(1, 9000, (80 // size, 60 // size)) for band, size in (("red", 1), ("swir16", 2))}
    noise["scl"] = random.integers(4, 7, (40, 30))
    halves = []
    for epsg, name, rows in ((32619, "S2A_19NCA", slice(0, 48)), (32719, "S2A_19MCV", slice(32, 80))):
        bands = {
            band: array[rows.start // size : rows.stop // size]
            for band, array in paint_bands(80, 60, **noise).items()
            for size in [2 if band in COARSE else 1]
        }
        top = 400 - 10 * rows.start + (10_000_000 if epsg == 32719 else 0)
        halves.append(write_scene(tmp_path, bands, name=name, left=500_000, top=top, epsg=epsg))
    area = box(-69.0 + 1e-5, latitude - 0.003, -69.0 + 0.005, latitude + 0.003)
    grid = make_grid(Aoi("equator", area, MONITOR_FROM))
    assert grid.epsg == (32719 if latitude < 0 else 32619)
    with open_datatake(Datatake("s2a_x", TIME, tuple(halves)), grid) as reader:
        classes, origin = reader.read_scl(grid.window)
        found = {band: reader.read_reflectance(band, grid.window, origin) for band in ("red", "swir16")}
    row = round((400 - grid.bounds[3] + (10_000_000 if latitude < 0 else 0)) / 10)
    column = round((grid.bounds[0] - 500_000) / 10)
    part = slice(row, row + grid.shape[0]), slice(column, column + grid.shape[1])
    assert np.array_equal(classes, noise["scl"].repeat(2, 0).repeat(2, 1)[part])
    assert np.array_equal(found["red"], noise["red"][part])
    assert np.array_equal(found["swir16"], noise["swir16"].repeat(2, 0).repeat(2, 1)[part])


# --- across 180 degrees ----------------------------------------------------------------------------------------------

FIJI = replace(SMALL, longitude=-179.997, latitude=-16.8)
"""The small area moved so that the meridian runs through its larger mine; the scenes' outlines run round the world."""


@pytest.fixture(scope="module")
def fiji(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return simulate_series(tmp_path_factory.mktemp("fiji") / "series", FIJI)


@pytest.fixture(scope="module")
def across(fiji: SimulatedSeries, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    workspace = init_workspace(tmp_path_factory.mktemp("across"), source=str(fiji.catalog))
    write_aoi(workspace, Aoi(NAME, bbox_geometry(fiji.bbox), MONITOR_FROM))
    return workspace, scan(workspace, ScanRequest(until=UNTIL))


def test_the_scenes_of_the_test_run_round_the_world(fiji: SimulatedSeries) -> None:
    items = [json.loads(path.read_text()) for path in fiji.catalog.parent.glob("*/S2*.json")]
    assert min(item["bbox"][2] - item["bbox"][0] for item in items) > 359


def test_an_area_across_180_is_seen_whole(across: tuple[Workspace, ScanReport]) -> None:
    (area,) = across[1].areas
    assert len(area.found.scenes) > 35
    assert area.plan.grid.epsg == 32701
    assert area.plan.grid.shape[1] < 110
    assert area.coverage.status.get("never covered", 0) == 0
    assert area.notes == []
    assert area.failures == []


def test_alerts_across_180_are_cut_there(across: tuple[Workspace, ScanReport], fiji: SimulatedSeries) -> None:
    workspace, report = across
    alerts = gpd.read_file(workspace.alerts, layer="alerts")
    assert len(alerts) == len(report.areas[0].alerts)
    crossing = alerts.loc[alerts.area_ha.idxmax()]
    assert alerts.geometry.is_valid.all()
    assert alerts.total_bounds[[0, 2]].tolist() == [-180, 180]
    parts = shapely.get_parts(crossing.geometry)
    assert {(part.bounds[2] == 180, part.bounds[0] == -180) for part in parts} == {(True, False), (False, True)}
    joined = join_halves(crossing.geometry)
    assert joined.geom_type == "Polygon"
    assert joined.bounds[2] - joined.bounds[0] < 0.003
    assert crossing.geometry.contains(shapely.Point(crossing.lon, crossing.lat))
    to_grid = Transformer.from_crs(4326, 32701, always_xy=True)
    outline = shapely.transform(joined, lambda p: np.column_stack(to_grid.transform(p[:, 0], p[:, 1])))
    scale = 0.9996 * (1 + ((shapely.centroid(outline).x - 500_000) / 6_378_137) ** 2 / 2)  # of the zone there
    assert crossing.area_ha == pytest.approx(outline.area / 1e4 / scale**2, rel=1e-4)
    sites = gpd.read_file(fiji.truth, layer="sites")
    truth = sites.geometry[sites.area_ha.idxmax()]
    assert outline.intersection(truth).area > 0.95 * truth.area
    table = workspace.alerts_csv.read_text().splitlines()
    assert len(table) == len(alerts) + 1


def test_the_archive_of_an_area_across_180_says_so_in_its_boxes(
    across: tuple[Workspace, ScanReport], fiji: SimulatedSeries
) -> None:
    folder = across[0].archive(NAME)
    documents = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    boxes = [d["extent"]["spatial"]["bbox"][0] if d["type"] == "Collection" else d["bbox"] for d in documents]
    assert len(boxes) > 30
    assert all(bounds == pytest.approx(fiji.bbox) for bounds in boxes)


def test_areas_on_180_are_searched_together(across: tuple[Workspace, ScanReport]) -> None:
    (plan,) = (area.plan for area in across[1].areas)
    places = [(179.0, 179.5), (179.6, 180.2), (180.1, 180.4), (160.0, 160.5)]
    outlines = [cut_halves(join_halves(box(west, -17, east, -16.8))) for west, east in places]
    areas = [replace(plan, aoi=replace(plan.aoi, geometry=outline)) for outline in outlines]
    groups = group_areas(areas)
    assert sorted(number for group in groups for number in group) == [0, 1, 2, 3]
    assert [0, 1] in [sorted(group) for group in groups]


# --- silent emptiness ------------------------------------------------------------------------------------------------


def empty_scene(folder: Path, name: str, columns: slice) -> None:
    """Blank columns (of 20 m) of all bands of a scene."""
    for path in (folder / name).glob("*.tif"):
        array, profile = read_raster(path)
        size = 20 / profile["transform"].a
        array[:, slice(*(None if edge is None else round(edge * size) for edge in (columns.start, columns.stop)))] = 0
        write_like(path, array, profile)


@pytest.fixture
def emptied(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulatedSeries, list[str]]:
    """The small series with four scenes that are wholly blank and one that is half blank, and their names."""
    series = copy_series(make_series(tmp_path_factory), tmp_path / "series")
    names = name_scenes(series)
    whole = [name for name in names if read_raster(series.catalog.parent / name / "SCL.tif")[0].all()][-5:]
    for name, columns in zip(whole, (*[slice(None)] * 4, slice(0, 24)), strict=True):
        empty_scene(series.catalog.parent, name, columns)
    return series, whole


def test_a_scene_that_is_empty_where_its_footprint_is_not_is_told(
    emptied: tuple[SimulatedSeries, list[str]], tmp_path: Path
) -> None:
    series, names = emptied
    workspace = make_workspace(tmp_path / "workspace", series)
    report = scan(workspace, ScanRequest(until=UNTIL))
    notes = [note for note in report.areas[0].notes if "footprint" in note]
    assert len(notes) == 4
    for name, note in zip(names[:3], notes[:3], strict=True):
        assert f"footprint of {name} covers" in note
        assert note.endswith("0 % has data")
    assert notes[3].startswith("2 more observations with less data than the footprints say")
    record = json.loads(report.record.read_text())["areas"][0]
    told = record["scenes"]["emptier_than_footprint"]
    assert [gap["ids"] for gap in told] == [[name] for name in names]
    assert [gap["valid"] for gap in told] == pytest.approx([0, 0, 0, 0, 0.5], abs=0.05)
    assert set(notes) <= set(record["notes"])


def test_ordinary_scenes_at_the_edge_of_the_swath_are_silent(plain: tuple[Workspace, ScanReport]) -> None:
    (area,) = plain[1].areas
    assert min(observation.valid_share for observation in area.observations) < 0.9
    assert area.emptiness == []
    assert not any("footprint" in note for note in area.notes)


def make_observation(valid: float, name: str = SCENE) -> Observation:
    return Observation("k", TIME, 1, "", "", ({"id": name},), 0.0, Path("x.tif"), Path("x.json"), valid)


@pytest.mark.parametrize(
    ("west", "valid", "told"),
    [
        (-70.1, 0.0, True),
        (-70.1, 0.85, True),
        (-70.1, 0.95, False),
        (-69.95, 0.0, True),
        (-69.95, 0.5, False),
        (-69.91, 0.0, False),
        (-69.9, 0, False),
    ],
    ids=["all", "a part", "a rim", "half covered, none", "half covered, half", "its edge", "not covered"],
)
def test_what_counts_as_emptier_than_its_footprint(west: float, valid: float, told: bool, tmp_path: Path) -> None:
    grid = make_grid(Aoi("x", box(-70, -13, -69.9, -12.9), MONITOR_FROM))
    tile = replace(write_scene(tmp_path, paint_bands(4, 4)), footprint=box(west, -13.5, -69, -12.5))
    found = find_emptiness([make_observation(valid)], [tile], grid)
    assert bool(found) == told
    for empty in found:
        assert (empty.scenes, empty.valid) == ((SCENE,), valid)


def test_two_tiles_that_meet_in_the_area_leave_no_edge_between_them(tmp_path: Path) -> None:
    grid = make_grid(Aoi("x", box(179.95, -13, 180, -12.9).union(box(180, -13, 180.05, -12.9)), MONITOR_FROM))
    sides = [box(179, -13.5, 180, -12.5), box(-180, -13.5, -179, -12.5)]
    scene = write_scene(tmp_path, paint_bands(4, 4))
    scenes = [replace(scene, id=f"{number}", footprint=side) for number, side in enumerate(sides)]
    observation = replace(make_observation(0.0), sources=({"id": "0"}, {"id": "1"}))
    (empty,) = find_emptiness([observation], scenes, grid)
    assert empty.covered == pytest.approx(1, abs=1e-3)


# --- real servers and strangers' outlines ----------------------------------------------------------------------------


def test_an_item_with_a_broken_outline_is_named_and_the_others_go_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    series = copy_series(make_series(tmp_path_factory), tmp_path / "series")
    broken = name_scenes(series)[-1]
    path = series.catalog.parent / broken / f"{broken}.json"
    item = json.loads(path.read_text())
    item["geometry"]["coordinates"] = [[["here", "there"]]]
    path.write_text(json.dumps(item))
    report = scan(make_workspace(tmp_path / "workspace", series), ScanRequest(until=UNTIL))
    (area,) = report.areas
    assert [refusal.id for refusal in area.failures] == [broken]
    assert "geometry that cannot be used" in area.failures[0].reason
    assert len(area.observations) == series.item_count - 1
    assert report.failures == 1


@pytest.mark.shared
@pytest.mark.server
def test_a_real_server_lists_the_item_that_runs_round_the_world(shared: Path, stac_api: ServeItems) -> None:
    folder = shared / "data" / "stac-items"
    items = [json.loads((folder / f"antimeridian_T01VCG_{half}.json").read_text()) for half in "ab"]
    collection = {
        "type": "Collection", "stac_version": "1.0.0", "id": "sentinel-2-l2a", "description": "near 180", "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
        "links": [],
    }  # fmt: skip
    source = open_source(stac_api([item | {"collection": "sentinel-2-l2a"} for item in items], collection))

    def search(west: float, south: float, east: float, north: float) -> list[str]:
        query = Query(bbox_geometry((west, south, east, north)), dt.date(2023, 5, 1), dt.date(2023, 6, 1))
        return sorted(item.id.split("_")[6] for item in source.items(query))

    first, second = (item["id"].split("_")[6] for item in items)
    assert search(-179.2, 59.9, -179.1, 60.0) == [second]
    assert search(179.7, 59.42, 179.75, 59.5) == [second], "beyond 180, where the outline as it stands does not reach"
    assert search(179.9, 59.8, -179.0, 60.3) == [first, second], "each once, from two boxes"
    assert search(10, 59.5, 11, 60.2) == [], "the server lists it in Norway"
