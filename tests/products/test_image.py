"""``minewatch image``: what a person gets who asks for the image of a place on a date."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.image
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from matplotlib.colors import to_rgb
from pyproj import Transformer
from shapely.geometry import Polygon, box

from minewatch.alerts.style import COLOURS
from minewatch.areas.aoi import Aoi, read_aoi, write_aoi
from minewatch.areas.grid import make_grid, reproject
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.stages import find_stages
from minewatch.products.images import overlay
from minewatch.products.images.dated_image import ImageRequest, make_image
from minewatch.products.images.map_page import make_page
from minewatch.products.images.overlay import AREA_COLOUR
from minewatch.settings.document import init_workspace
from tests.helpers.rasters import EPSG, LEFT, TOP, make_item, paint_bands, write_bands, write_catalog
from tests.helpers.small import NAME, UNTIL, copy_workspace, make_scanned, make_series, make_workspace


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path_factory.mktemp("pictures") / "watch")


@pytest.fixture(scope="session")
def alert(scanned: Workspace) -> Any:
    """The largest alert."""
    table = gpd.read_file(scanned.alerts, layer="alerts")
    return table.loc[table["area_ha"].idxmax()]


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "image", *map(str, words)])


def list_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def count_colour(path: Path, colour: str) -> int:
    picture = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(picture - to_rgb(colour)).max(axis=-1) < 0.02).sum())


def test_an_area_gives_a_picture_and_a_map(scanned: Workspace, tmp_path: Path) -> None:
    result = run(scanned, NAME, "--date", UNTIL, "-o", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert dt.date.fromisoformat(facts["date"]) <= UNTIL
    assert facts["clear_share"] > 0.95
    assert list_files(tmp_path) == {f"{NAME}-{facts['date']}-true-colour.{kind}" for kind in ("png", "tif")}
    grid = make_grid(read_aoi(scanned, NAME))
    with rasterio.open(facts["files"]["tif"]) as raster:
        assert (raster.crs.to_epsg(), raster.shape, raster.transform) == (grid.epsg, grid.shape, grid.transform)
        assert raster.count == 4
        tags = raster.tags()
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert tags["scenes"].split() == facts["scenes"]
    assert tags["credit"].endswith(f"Contains modified Copernicus Sentinel data {facts['date'][:4]}")
    assert tags["TIFFTAG_COPYRIGHT"] == tags["credit"]
    assert not any(str(scanned.root.parent) in value for value in tags.values()), "no path of this machine"
    assert all(Path(path).stat().st_mode & 0o777 == 0o600 for path in facts["files"].values())


def test_an_alert_gives_its_surroundings_with_its_outline(scanned: Workspace, alert: Any, tmp_path: Path) -> None:
    result = run(scanned, alert["alert_id"], "--date", UNTIL, "-o", tmp_path, "--json", "--bands", "false-colour")
    facts = json.loads(result.stdout)
    assert facts["bands"] == ["swir16", "nir", "red"]
    left, bottom, right, top = facts["bounds"]
    x, y = Transformer.from_crs(4326, facts["crs"], always_xy=True).transform(alert["lon"], alert["lat"])
    assert left < x < right
    assert bottom < y < top
    assert count_colour(Path(facts["files"]["png"]), COLOURS["confirmed"]) > 100


def test_an_alert_that_is_not_there_yet_is_dashed(scanned: Workspace, alert: Any, tmp_path: Path) -> None:
    """On an image of the time before, the outline shows where to look and is told apart."""
    counts = {}
    for until in (UNTIL, alert["first_seen"].date() - dt.timedelta(days=1)):
        drawn = make_image(scanned, ImageRequest(alert["alert_id"], until, overlays=("alerts",), folder=tmp_path))
        counts[drawn.image.date < alert["first_seen"].date()] = count_colour(drawn.files["png"], COLOURS["confirmed"])
    assert 100 < counts[True] < 0.8 * counts[False]


def test_outline_and_hectares_are_of_the_day_that_the_label_says(
    scanned: Workspace, alert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image of an earlier day has the outline of then, as the evidence has it, and not the one that the alert grew to."""
    labels: list[str] = []
    monkeypatch.setattr(overlay, "draw_label", lambda *words: labels.append(words[-1]))
    confirmed, stages = alert["confirmed_on"].date(), find_stages(scanned, alert["alert_id"])
    assert len(stages) > 1, "it grew"
    assert stages[0].area_ha < alert["area_ha"]
    assert stages[0].day == confirmed
    told = {}
    for until in (
        UNTIL,
        *(stage.day + dt.timedelta(days=9) for stage in stages),
        alert["first_seen"].date() - dt.timedelta(days=1),
    ):
        labels.clear()
        drawn = make_image(scanned, ImageRequest(alert["alert_id"], until, overlays=("alerts",), folder=tmp_path))
        told[drawn.image.date] = labels[0]
    for day, label in told.items():
        known = [stage for stage in stages if stage.day <= day < UNTIL]
        area, of = (known[-1].area_ha, known[-1].day) if known else (alert["area_ha"], UNTIL)
        assert label == f"{area:.1f} ha on {of}\nfirst seen {alert['first_seen']:%Y-%m-%d}"
    assert len({label.partition(" ha")[0] for label in told.values()}) > 1


def test_overlays_are_those_that_were_asked_for(scanned: Workspace, tmp_path: Path) -> None:
    colours = {"alerts": COLOURS["confirmed"], "aoi": AREA_COLOUR}
    for words, shown in {"none": set(), "alerts": {"alerts"}, "scale,aoi": {"aoi"}}.items():
        folder = tmp_path / words
        assert run(scanned, NAME, "--date", UNTIL, "--overlay", words, "--format", "png", "-o", folder).exit_code == 0
        (path,) = folder.iterdir()
        assert {name for name, colour in colours.items() if count_colour(path, colour) > 50} == shown


def test_picture_and_map_show_the_same_pixels(scanned: Workspace, tmp_path: Path) -> None:
    drawn = make_image(scanned, ImageRequest(NAME, UNTIL, overlays=(), folder=tmp_path))
    with rasterio.open(drawn.files["tif"]) as raster:
        colours, known = np.moveaxis(raster.read([1, 2, 3]), 0, -1), raster.read(4) > 0
    page = make_page(drawn.image.frame)
    picture = np.rint(255 * matplotlib.image.imread(drawn.files["png"])[..., :3])
    rows, columns = drawn.image.frame.shape
    middle = page.zoom // 2
    shown = picture[page.top + middle :: page.zoom, page.left + middle :: page.zoom][:rows, :columns]
    assert (shown[known] == colours[known]).all()


def test_outline_and_ground_line_up_from_the_file_to_the_picture(tmp_path: Path) -> None:
    """The area is exactly the bright ground of the scene: wherever the outline runs, ground changes within a pixel."""
    corners = [(100, 100), (500, 100), (500, 300), (300, 300), (300, 500), (100, 500)]
    shape = Polygon([(LEFT + x, TOP - y) for x, y in corners])
    bright = np.full((60, 60), 300)
    bright[10:50, 10:30], bright[10:30, 10:50] = 3000, 3000
    name = "S2A_19LCF_20200601_0_L2A"
    write_bands(tmp_path / "scenes" / name, paint_bands(60, 60, red=bright, green=bright, blue=bright))
    catalog = write_catalog(tmp_path / "scenes", [make_item(name, time="2020-06-01T14:50:21Z", size=600)])
    workspace = init_workspace(tmp_path / "watch", source=str(catalog))
    write_aoi(workspace, Aoi("ell", reproject(shape, Transformer.from_crs(EPSG, 4326, always_xy=True)), dt.date(2020, 1, 1)))
    drawn = make_image(workspace, ImageRequest("ell", dt.date(2020, 7, 1), overlays=("aoi",)))
    assert drawn.files["png"].parent == workspace.images
    picture = matplotlib.image.imread(drawn.files["png"])[..., :3]
    page = make_page(drawn.image.frame)
    left, _, _, top = drawn.image.frame.bounds
    found = np.argwhere(np.abs(picture - to_rgb(AREA_COLOUR)).max(axis=-1) < 0.35)
    found = found[(found[:, 0] >= page.top) & (found[:, 0] < page.top + page.zoom * drawn.image.frame.shape[0])]
    assert len(found) > 1000
    places = np.column_stack([left + 10 * (found[:, 1] - page.left) / page.zoom, top - 10 * (found[:, 0] - page.top) / page.zoom])
    distances = np.array([shape.exterior.distance(point) for point in gpd.points_from_xy(places[:, 0], places[:, 1])])
    assert distances.max() < 10
    assert box(*shape.bounds).area > drawn.image.values[..., 0][drawn.image.values[..., 0] == 3000].size * 100 > 0.99 * shape.area


def test_an_old_id_is_followed(scanned: Workspace, alert: Any, tmp_path: Path) -> None:
    watch = copy_workspace(scanned, tmp_path / "watch")
    with sqlite3.connect(watch.alerts) as connection:
        connection.execute(
            "INSERT INTO alert_history (run_id, alert_id, event, detail) VALUES ('run', ?, 'renamed', ?)",
            (alert["alert_id"], f"spot-20200101-0a0a0a -> {alert['alert_id']}"),
        )
    result = run(watch, "spot-20200101-0a0a0a", "--date", UNTIL, "-o", tmp_path / "images", "--format", "tif")
    assert result.exit_code == 0
    assert f"spot-20200101-0a0a0a is now {alert['alert_id']}" in result.stderr
    assert all(name.startswith(alert["alert_id"]) for name in list_files(tmp_path / "images"))


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nowhere", "--date", "2023-01-01"], 1, "there is no area and no alert 'nowhere'"),
        ([NAME, "--date", "2010-01-01"], 1, "there is no image of area 'spot' at or before 2010-01-01"),
        ([NAME], 2, "Missing option '--date'"),
        ([NAME, "--date", "yesterday"], 2, "is no date: write year, month and day"),
        ([NAME, "--date", "2023-01-01", "--bands", "purple"], 2, "'purple' is not one of"),
        (
            [NAME, "--date", "2023-01-01", "--overlay", "aoi,stars"],
            2,
            "'stars' is none of alerts, aoi, grid, compass, scale, none",
        ),
        ([NAME, "--date", "2023-01-01", "--format", "gif"], 2, "'gif' is none of png, tif"),
        ([NAME, "--date", "2023-01-01", "--source", "/none"], 1, "source /none does not exist"),
    ],
)
def test_what_cannot_be_drawn_is_explained_in_one_line(
    scanned: Workspace, tmp_path: Path, words: list[str], code: int, text: str
) -> None:
    result = run(scanned, *words, "-o", tmp_path / "images")
    assert result.exit_code == code
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert text in errors[0]
    assert not (tmp_path / "images").exists()


def test_an_area_that_was_never_scanned_has_images_too(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "watch", make_series(tmp_path_factory))
    result = run(workspace, NAME, "--date", UNTIL)
    assert result.exit_code == 0
    assert len(list_files(workspace.images)) == 2
    assert "no area 'other'" in run(workspace, "other", "--date", UNTIL).stderr


def test_an_image_that_is_not_clear_says_so(scanned: Workspace, tmp_path: Path) -> None:
    result = run(scanned, NAME, "--date", "2022-01-25", "-o", tmp_path)
    shown = json.loads(run(scanned, NAME, "--date", "2022-01-25", "-o", tmp_path, "--json").stdout)["clear_share"]
    assert (shown < 0.95) == ("no image is clear" in result.stderr)
