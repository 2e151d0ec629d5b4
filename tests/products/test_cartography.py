"""Pictures are right: lengths, directions and places are measured on the rendered page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from pyproj import Geod, Proj, Transformer
from shapely.geometry import Polygon, box

from minewatch.areas.grid import Grid
from minewatch.products.images.cartography import NORTH, draw_compass, draw_label, draw_outline, draw_scale_bar
from minewatch.products.images.graticule import draw_graticule
from minewatch.products.images.map_page import LegendEntry, Page, draw_page
from minewatch.products.images.scale import choose_length, describe_length, find_north
from tests.helpers.rasters import lay_grid

Picture = NDArray[np.float32]

GRIDS = {
    "Madre de Dios": lay_grid(90, 120),
    "a large area": lay_grid(1100, 1300),
    "a thin area": lay_grid(20, 260),
    "a tall area": lay_grid(260, 30),
    "the edge of a zone in the far north": lay_grid(100, 100, left=680_000, top=8_700_000, epsg=32633),
    "its western edge": lay_grid(100, 100, left=320_000, top=8_700_000, epsg=32633),
    "the south": lay_grid(100, 100, left=760_000, top=6_100_000, epsg=32719),
    "a map that stretches": lay_grid(100, 100, left=1_500_000, top=8_400_000, epsg=3857),
    "a cone": lay_grid(100, 100, left=6_000_000, top=3_500_000, epsg=3034),
}
"""By what is special about them."""

everywhere = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def draw(path: Path, grid: Grid, put: Callable[[Axes], object], colours: NDArray[np.uint8] | None = None) -> tuple[Picture, Page]:
    """Render a page, and cut the map out of it."""
    ground = np.full((*grid.shape, 3), (20, 60, 30), np.uint8) if colours is None else colours
    page = draw_page(path, grid, ground, put, "title")
    picture: Picture = matplotlib.image.imread(path)[..., :3]
    assert picture.shape[:2] == (page.height, page.width)
    rows, columns = (side * page.zoom for side in grid.shape)
    return picture[page.top : page.top + rows, page.left : page.left + columns], page


def find_colour(picture: Picture, colour: str, tolerance: float = 0.02) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - to_rgb(colour)).max(axis=-1) < tolerance)


def locate(grid: Grid, page: Page, column: float, row: float) -> tuple[float, float]:
    """Return the place on the grid of a place on the map, in pixels of the picture."""
    return grid.transform @ (column / page.zoom, row / page.zoom)


def share_white(blue: float) -> float:
    return max(0.0, float((blue - 0.12) / 0.88))


@everywhere
def test_the_scale_bar_is_as_long_as_it_claims(grid: Grid, tmp_path: Path) -> None:
    said = []

    def put(axes: Axes) -> None:
        draw_scale_bar(axes, grid)
        said.extend(text.get_text() for text in axes.texts)

    picture, page = draw(tmp_path / "bar.png", grid, put)
    white = find_colour(picture, "white")
    row = int(white.sum(axis=1).argmax())
    columns = np.flatnonzero(white[row])
    assert np.ptp(columns) + 1 == len(columns), "one bar without gaps"
    # The pixels at its ends are white in part; ground and rim have nearly the same blue.
    blue = picture[row, :, 2]
    first, last = columns[0], columns[-1] + 1
    ends_at = first - share_white(blue[first - 1]), last + share_white(blue[last])
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    ends = [to_lonlat.transform(*locate(grid, page, column, row)) for column in ends_at]
    metres = Geod(ellps="WGS84").inv(*ends[0], *ends[1])[2]
    number, unit = re.fullmatch(r"([\d.]+) (k?m)", said[0]).groups()  # type: ignore[union-attr]
    claimed = float(number) * (1000 if unit == "km" else 1)
    assert metres == pytest.approx(claimed, rel=0.02)


@everywhere
def test_the_rose_points_to_true_north(grid: Grid, tmp_path: Path) -> None:
    picture, _ = draw(tmp_path / "rose.png", grid, lambda axes: draw_compass(axes, grid))
    rows, columns = np.nonzero(find_colour(picture, NORTH, 0.1))
    assert len(rows) > 50
    x, y = columns - columns.mean(), rows.mean() - rows
    values, axes = np.linalg.eigh(np.cov(np.stack([x, y])))
    assert values[1] > 3 * values[0], "a long point"
    east, north = axes[:, 1] * np.sign(axes[1, 1])
    measured = math.degrees(math.atan2(east, north))
    left, bottom, right, top = grid.bounds
    lon, lat = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform((left + right) / 2, (bottom + top) / 2)
    convergence = Proj(grid.crs).get_factors(lon, lat).meridian_convergence
    assert measured == pytest.approx(-convergence, abs=1)


def test_true_north_lies_left_of_the_grids_in_the_east_of_a_northern_zone() -> None:
    assert find_north(GRIDS["the edge of a zone in the far north"].crs, 680_000, 8_700_000) < -7
    assert find_north(GRIDS["its western edge"].crs, 320_000, 8_700_000) > 7
    assert find_north(GRIDS["the south"].crs, 760_000, 6_100_000) > 1
    assert find_north(GRIDS["Madre de Dios"].crs, 500_000, 8_590_000) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(60, 80), (400, 300), (1300, 1100)])
def test_outline_and_image_line_up(shape: tuple[int, int], tmp_path: Path) -> None:
    grid = lay_grid(*shape)
    ground = np.full((*shape, 3), 20, np.uint8)
    rows, columns = slice(shape[0] // 4, shape[0] // 2), slice(shape[1] // 5, shape[1] // 2)
    ground[rows, columns] = 220
    (left, top), (right, bottom) = (grid.transform @ (c, r) for c, r in [(columns.start, rows.start), (columns.stop, rows.stop)])
    picture, page = draw(
        tmp_path / "outline.png", grid, lambda axes: draw_outline(axes, box(left, bottom, right, top), "#ff0000", 1.4), ground
    )
    found_rows, found_columns = np.nonzero(find_colour(picture, "#ff0000", 0.4))
    for found, part in ((found_rows, rows), (found_columns, columns)):
        middle = page.dpi * 1.4 / 72 / 2
        assert abs((found.min() + middle) / page.zoom - part.start) < 1
        assert abs((found.max() + 1 - middle) / page.zoom - part.stop) < 1


@pytest.mark.parametrize("shape", [(31, 47), (1300, 1100)])
def test_each_pixel_of_the_image_is_a_square_of_the_page(shape: tuple[int, int], tmp_path: Path) -> None:
    """No row is lost, doubled or blended: the picture can be measured."""
    grid = lay_grid(*shape)
    ground = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    picture, page = draw(tmp_path / "squares.png", grid, lambda _: None, ground)
    shown = np.rint(255 * picture).astype(np.uint8)
    assert (shown == ground.repeat(page.zoom, 0).repeat(page.zoom, 1)).all()


@pytest.mark.parametrize("grid", [GRIDS["Madre de Dios"], GRIDS["a thin area"]], ids=["an area", "a thin area"])
def test_a_label_at_the_upper_edge_is_whole(grid: Grid, tmp_path: Path) -> None:
    """It hangs down there; elsewhere it stands on the outline."""
    left, bottom, _, top = grid.bounds
    signs = []
    for upper in ((bottom + top) / 2, top):
        outline = (left, bottom, left + 200, upper)
        picture, _ = draw(tmp_path / "label.png", grid, lambda axes, of=outline: draw_label(axes, grid, of, "2.8 ha\nseen"))
        white = find_colour(picture, "white", 0.3)
        signs.append(white[np.ix_(white.any(axis=1), white.any(axis=0))])
    low, edge = signs
    assert edge.shape == pytest.approx(low.shape, abs=2)  # what is blended with the ground differs by a pixel


def test_a_hole_is_outlined_too(tmp_path: Path) -> None:
    grid = lay_grid(60, 60)
    left, bottom, right, top = grid.bounds
    ring = Polygon(
        box(left + 50, bottom + 50, right - 50, top - 50).exterior,
        [box(left + 200, bottom + 200, right - 200, top - 200).exterior],
    )
    picture, _ = draw(tmp_path / "hole.png", grid, lambda axes: draw_outline(axes, ring, "#ff0000", 1))
    middle = find_colour(picture, "#ff0000", 0.4)[picture.shape[0] // 2]
    assert np.count_nonzero(np.diff(middle.astype(int)) == 1) == 4


@everywhere
def test_lines_of_latitude_and_longitude_are_where_they_say(grid: Grid, tmp_path: Path) -> None:
    """The labels stand where their line meets the edge."""
    labels = []

    def put(axes: Axes) -> None:
        draw_graticule(axes, grid)
        labels.extend((text.get_text(), text.xy) for text in axes.texts)  # type: ignore[attr-defined]

    draw(tmp_path / "lines.png", grid, put)
    assert labels
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    for text, place in labels:
        degrees = float(text[:-2]) * (-1 if text[-1] in "SW" else 1)
        found = to_lonlat.transform(*place)[0 if text[-1] in "EW" else 1]
        assert found == pytest.approx(degrees, abs=2e-5)


def test_a_picture_is_drawn_across_the_180th_meridian(tmp_path: Path) -> None:
    grid = lay_grid(300, 300, left=820_000, top=8_000_000, epsg=32760)
    labels: list[str] = []

    def put(axes: Axes) -> None:
        draw_graticule(axes, grid)
        labels.extend(text.get_text() for text in axes.texts)

    draw(tmp_path / "meridian.png", grid, put)
    assert {label[-1] for label in labels} >= {"S"}
    assert any(label.endswith(("E", "W")) for label in labels)


@pytest.mark.parametrize(("most", "length"), [(999, 500), (1000, 1000), (1001, 1000), (2400, 2000), (0.3, 0.2), (1e6, 1e6)])
def test_lengths_are_round(most: float, length: float) -> None:
    assert choose_length(most) == pytest.approx(length)


def test_lengths_are_told_in_metres_and_kilometres() -> None:
    assert [describe_length(metres) for metres in (200, 1000, 2000, 50_000)] == ["200 m", "1 km", "2 km", "50 km"]


def test_title_and_credit_may_hold_any_sign(tmp_path: Path) -> None:
    grid = lay_grid(20, 20)
    ground = np.zeros((20, 20, 3), np.uint8)
    entries = [LegendEntry("area", "#4da3ff"), LegendEntry("confirmed", "#c8102e", is_dashed=True)]
    path = tmp_path / "signs.png"
    draw_page(path, grid, ground, lambda _: None, "$x^{ & <b>", ["a$b", "\\frac"], "$$ <script>", entries)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_mode & 0o777 == 0o600
