"""The quick look: what a person sees of an area before and after."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import shapely
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from minewatch.alerts.style import COLOURS
from minewatch.areas.grid import Grid
from minewatch.core.errors import SceneError
from minewatch.core.workspace import Workspace
from minewatch.operations.scan import choose_quicklook_datatakes
from minewatch.operations.scan_report import AreaReport, ScanReport
from minewatch.products.images.chips.image_frame import coarsen
from minewatch.products.images.quicklook import (
    DPI,
    FOOT,
    GAP,
    MOST_SIDE,
    SIDE,
    draw_quicklook,
    read_image,
    render_true_colour,
    shows,
)
from minewatch.products.images.stretch import DARKEST, find_white
from minewatch.sources.scene import Datatake
from tests.helpers.small import NAME, make_flat_grid, make_scanned

Picture = NDArray[np.float32]


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    return make_scanned(tmp_path_factory)


@pytest.fixture(scope="session")
def area(scanned: tuple[Workspace, ScanReport]) -> AreaReport:
    return scanned[1].areas[0]


@pytest.fixture(scope="session")
def datatakes(area: AreaReport) -> tuple[Datatake, Datatake]:
    chosen = choose_quicklook_datatakes(area)
    assert chosen is not None
    return chosen


def look(path: Path) -> Picture:
    picture: Picture = matplotlib.image.imread(path)[..., :3]
    return picture


def count_colour(picture: Picture, colour: str) -> int:
    """Count the pixels of a line's colour; its rims are blended with what lies below."""
    return int((np.abs(picture - to_rgb(colour)).max(axis=-1) < 0.02).sum())


def test_a_scan_draws_a_picture(scanned: tuple[Workspace, ScanReport]) -> None:
    path = scanned[0].images / f"{NAME}.png"
    picture = look(path)
    height, width, _ = picture.shape
    assert path.read_bytes().startswith(b"\x89PNG")
    assert width > 1.5 * height > 600
    assert picture.std() > 0.1


def test_the_ground_has_its_exact_colours_and_is_drawn_once(
    area: AreaReport, datatakes: tuple[Datatake, Datatake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    real = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda figure, renderer: drawn.append(figure) or real(figure, renderer))
    grid = area.plan.grid
    draw_quicklook(tmp_path / "spot.png", grid, *datatakes, [], "spot")
    assert len(drawn) == 1
    ground = [read_image(datatake, coarsen(grid, MOST_SIDE)).reflectance for datatake in datatakes]
    white = find_white(np.concatenate([values[np.isfinite(values)] for values in ground]))
    page = np.rint(255 * look(tmp_path / "spot.png")).astype(np.uint8)
    sides, bottom = round(DPI * SIDE), len(page) - round(DPI * FOOT)
    for number, values in enumerate(ground):
        left = round(DPI * (GAP + number * (SIDE + GAP)))
        shown = page[bottom - sides * len(values) // values.shape[1] : bottom, left : left + sides]
        known = {tuple(colour) for colour in render_true_colour(values, white).reshape(-1, 3)}
        middle = shown[len(shown) // 3 : len(shown) // 2, sides // 4 : sides // 2].reshape(-1, 3)
        assert {tuple(colour) for colour in middle} <= known


def test_alerts_are_outlined_in_their_colour_on_both_images(scanned: tuple[Workspace, ScanReport]) -> None:
    picture = look(scanned[0].images / f"{NAME}.png")
    middle = picture.shape[1] // 2
    assert count_colour(picture[:, :middle], COLOURS["confirmed"]) > 100
    assert count_colour(picture[:, middle:], COLOURS["confirmed"]) > 100


def test_without_alerts_nothing_is_outlined(area: AreaReport, datatakes: tuple[Datatake, Datatake], tmp_path: Path) -> None:
    draw_quicklook(tmp_path / "none.png", area.plan.grid, *datatakes, [], "nothing")
    assert count_colour(look(tmp_path / "none.png"), COLOURS["confirmed"]) == 0


def test_before_and_after_lie_on_their_sides_of_the_start(area: AreaReport, datatakes: tuple[Datatake, Datatake]) -> None:
    before, after = datatakes
    assert before.time.date() <= area.plan.monitor_from < after.time.date() <= area.plan.until
    clear = {observation.key: observation.clear_share for observation in area.observations}
    assert min(clear[before.key], clear[after.key]) > 0.8, "a clear day was to be had"


def test_mines_are_brighter_after_than_before(area: AreaReport, datatakes: tuple[Datatake, Datatake]) -> None:
    grid = area.plan.grid
    before, after = (read_image(datatake, grid).reflectance for datatake in datatakes)
    confirmed = [alert for alert in area.alerts if alert.status == "confirmed"]
    largest = max(confirmed, key=lambda alert: alert.area_ha)
    column, row = locate(grid, largest.lon, largest.lat)
    assert np.nanmean(after[row - 1 : row + 2, column - 1 : column + 2]) > np.nanmean(
        before[row - 1 : row + 2, column - 1 : column + 2]
    )


def locate(grid: Grid, longitude: float, latitude: float) -> tuple[int, int]:
    """Find column and row of a place."""
    x, y = Transformer.from_crs(4326, grid.crs, always_xy=True).transform(longitude, latitude)
    left, _, _, top = grid.bounds
    return int((x - left) // 10), int((top - y) // 10)


def test_reflectance_is_reflectance(area: AreaReport, datatakes: tuple[Datatake, Datatake]) -> None:
    image = read_image(datatakes[0], area.plan.grid)
    seen = image.reflectance[np.isfinite(image.reflectance)]
    assert image.reflectance.shape == (*area.plan.grid.shape, 3)
    assert 0 <= seen.min() < np.median(seen) < 0.3
    assert np.isfinite(image.reflectance).all(axis=-1).mean() > 0.95


def test_stretch_is_dark_to_bright_and_grey_where_nothing_is_known() -> None:
    values = np.array([[[0.0, DARKEST, 0.1], [0.25, 0.9, np.nan]]], np.float32)
    ((first, second),) = render_true_colour(values, white=0.25)
    assert first[:2].tolist() == [0, 0]
    assert 0 < first[2] < 255
    assert second.tolist() == [255, 255, 128]


@pytest.mark.parametrize(("side", "factor"), [(100, 1), (MOST_SIDE, 1), (MOST_SIDE + 1, 2), (5 * MOST_SIDE, 5)])
def test_large_areas_are_drawn_coarser(side: int, factor: int) -> None:
    grid = make_flat_grid(60, side)
    coarse = coarsen(grid, MOST_SIDE)
    assert max(coarse.shape) <= MOST_SIDE
    assert coarse.transform.a == 10 * factor
    assert coarse.bounds[0] == grid.bounds[0]
    assert coarse.bounds[3] == grid.bounds[3]


def test_a_coarser_picture_shows_the_same_ground(area: AreaReport, datatakes: tuple[Datatake, Datatake]) -> None:
    grid = area.plan.grid
    coarse = Grid(grid.geobox.zoom_out(4), grid.area)
    fine = read_image(datatakes[1], grid).reflectance
    seen = read_image(datatakes[1], coarse).reflectance
    assert seen.shape[:2] == coarse.shape
    height, width = (4 * (n // 4) for n in grid.shape)
    mean = fine[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))
    known = np.isfinite(mean) & np.isfinite(seen[: mean.shape[0], : mean.shape[1]])
    pairs = np.corrcoef(mean[known], seen[: mean.shape[0], : mean.shape[1]][known])
    assert pairs[0, 1] > 0.8


def test_a_place_that_no_scene_covers_is_drawn_grey(
    datatakes: tuple[Datatake, Datatake], area: AreaReport, tmp_path: Path
) -> None:
    """An area may reach beyond the scenes: that is no error and no warning."""
    grid = area.plan.grid
    away = GeoBox(grid.shape, grid.transform @ type(grid.transform).translation(5000, 0), grid.geobox.crs)
    left, bottom, right, top = (float(v) for v in away.boundingbox.bbox)
    draw_quicklook(tmp_path / "away.png", Grid(away, shapely.box(left, bottom, right, top)), *datatakes, [], "elsewhere")
    assert count_colour(look(tmp_path / "away.png"), "#808080") > 10_000


def test_a_scene_that_is_gone_is_a_scene_error_and_leaves_no_file(
    area: AreaReport, datatakes: tuple[Datatake, Datatake], tmp_path: Path
) -> None:
    lost = Datatake(
        datatakes[0].key,
        datatakes[0].time,
        tuple(
            type(scene)(**{**vars(scene), "hrefs": {band: str(tmp_path / "gone.tif") for band in scene.hrefs}})
            for scene in datatakes[0].scenes
        ),
    )
    with pytest.raises(SceneError):
        draw_quicklook(tmp_path / "lost.png", area.plan.grid, lost, datatakes[1], [], "lost")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_knows_which_alerts_it_shows(
    scanned: tuple[Workspace, ScanReport], area: AreaReport, datatakes: tuple[Datatake, Datatake], tmp_path: Path
) -> None:
    """A scan that was killed between table and picture leaves an old picture; the next one must not take it for its own."""
    workspace = scanned[0]
    shutil.copytree(workspace.images, tmp_path / "images")
    path = tmp_path / "images" / f"{NAME}.png"
    assert shows(path, *datatakes, area.alerts)
    assert not shows(path, *datatakes, area.alerts[1:])
    assert not shows(path, *datatakes, [replace(alert, status="dismissed") for alert in area.alerts])
    assert not shows(path, *reversed(datatakes), area.alerts)
    for data in (path.read_bytes()[:40], b"", b"no picture"):
        path.write_bytes(data)
        assert not shows(path, *datatakes, area.alerts)
    path.unlink()
    assert not shows(path, *datatakes, area.alerts)
