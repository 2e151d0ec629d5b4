"""Where files fall on a grid: the lattice that fits, and resampling that agrees with GDAL and shows no windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from minewatch.areas.grid import Grid, Window
from minewatch.raster.blocks import BlockCache, BlockFile, Prefetcher
from minewatch.raster.resampling import CONTROL_SPACING, interpolate
from minewatch.raster.tiff_directory import BlockError
from minewatch.raster.tiff_header import Box, read_layout
from minewatch.raster.warp import AlignedGrid, ResampledGrid, make_aligned_grid, make_warp, project_control_points
from tests.helpers.rasters import EPSG, LEFT, TOP, lay_grid, write_raster

NEIGHBOUR_ZONE = 32718
HEIGHT, WIDTH = 150, 220
GRID = lay_grid(HEIGHT, WIDTH)


def find_corner(epsg: int, size: int) -> tuple[float, float]:
    """Return the corner of a file whose middle is that of the grid, and which is 4 km wide and high."""
    x, y = Transformer.from_crs(EPSG, epsg, always_xy=True).transform(LEFT + 5 * WIDTH, TOP - 5 * HEIGHT)
    return round(x / size) * size - 2000, round(y / size) * size + 2000


def make_pixels(size: int, *, holes: bool = True, top: int = 10_000) -> np.ndarray:
    """Paint noise with holes: single pixels, and a block."""
    random = np.random.default_rng(size)
    pixels = random.integers(1, top, (4000 // size, 4000 // size), np.uint16)
    if holes:
        pixels[random.random(pixels.shape) < 0.05] = 0
        pixels[80:90, 90:110] = 0
    return pixels


def write_foreign(path: Path, pixels: np.ndarray, size: int, epsg: int = NEIGHBOUR_ZONE) -> Path:
    left, top = find_corner(epsg, size)
    return write_raster(path, pixels, left=left, top=top, size=size, epsg=epsg, compress="deflate")


def resample(path: Path, grid: Grid, *, is_nearest: bool = False, window: Window | None = None) -> np.ndarray:
    layout = read_layout(str(path))
    assert layout is not None
    file = BlockFile(layout, BlockCache(), Prefetcher())
    try:
        warp = make_warp(grid, layout.crs, layout.transform, layout.shape, is_nearest=is_nearest)
        return warp.read(file, window or grid.window)
    finally:
        file.close()


def warp_by_gdal(path: Path, grid: Grid, *, is_nearest: bool = False) -> np.ndarray:
    with rasterio.open(path) as source:
        scale = source.transform.a / grid.transform.a
        options = {"tolerance": 1e-9, "XSCALE": scale, "YSCALE": scale, "src_nodata": 0, "nodata": 0}
        resampling = Resampling.nearest if is_nearest else Resampling.bilinear
        shape = {"height": grid.shape[0], "width": grid.shape[1]}
        with WarpedVRT(source, crs=grid.crs, transform=grid.transform, resampling=resampling, **shape, **options) as vrt:
            return np.asarray(vrt.read(1))


@pytest.mark.parametrize("coarser", [1, 2, 3.5])
@pytest.mark.parametrize("size", [10, 20])
@pytest.mark.parametrize("epsg", [NEIGHBOUR_ZONE, 32720, 5880])
def test_interpolated_pixels_are_those_of_gdal(tmp_path: Path, size: int, epsg: int, coarser: float) -> None:
    grid = GRID if coarser == 1 else Grid(GRID.geobox.zoom_out(coarser), GRID.area)
    path = write_foreign(tmp_path / "a.tif", make_pixels(size), size, epsg)
    expected, found = warp_by_gdal(path, grid), resample(path, grid)
    assert expected.any()
    differs = (expected == 0) != (found == 0)  # where a place is on the border of two pixels to a ten thousandth
    assert differs.mean() < 1e-3
    # A difference of 3 in noise of 10 000 is a shift by a three thousandth of a pixel.
    assert np.abs(found.astype(int) - expected)[~differs].max() <= (1 if coarser == 1 else 3)


@pytest.mark.parametrize("epsg", [NEIGHBOUR_ZONE, 32720, 5880])
def test_classes_are_those_of_gdal(tmp_path: Path, epsg: int) -> None:
    path = write_foreign(tmp_path / "a.tif", make_pixels(20, top=12).astype(np.uint8), 20, epsg)
    expected, found = warp_by_gdal(path, GRID, is_nearest=True), resample(path, GRID, is_nearest=True)
    assert (found != expected).mean() < 1e-3


def test_a_file_in_degrees_is_read_as_gdal_reads_it(tmp_path: Path) -> None:
    """A degree is not a metre: the kernel spans the file's own pixels, not the hundred thousand that its units suggest."""
    side = 9e-5  # degrees, 10 m along a meridian
    lon, lat = Transformer.from_crs(EPSG, 4326, always_xy=True).transform(LEFT + 5 * WIDTH, TOP - 5 * HEIGHT)
    left, top = round(lon / side) * side - 200 * side, round(lat / side) * side + 200 * side
    path = write_raster(tmp_path / "a.tif", make_pixels(10), left=left, top=top, size=side, epsg=4326, compress="deflate")
    with rasterio.open(path) as source, WarpedVRT(
        source, crs=GRID.crs, transform=GRID.transform, height=HEIGHT, width=WIDTH, resampling=Resampling.bilinear,
        tolerance=1e-9, XSCALE=1, YSCALE=1, src_nodata=0, nodata=0,
    ) as vrt:  # fmt: skip
        expected = vrt.read(1)
    found = resample(path, GRID)
    same = (expected == 0) == (found == 0)
    assert expected.any()
    assert same.mean() > 0.999
    assert np.abs(found.astype(int) - expected)[same].max() <= 3


def test_the_border_of_a_file_is_that_of_gdal(tmp_path: Path) -> None:
    left, top = find_corner(NEIGHBOUR_ZONE, 10)
    pixels = make_pixels(10, holes=False)[:100, :120]
    path = write_raster(tmp_path / "a.tif", pixels, left=left + 1500, top=top - 1500, epsg=NEIGHBOUR_ZONE)
    expected, found = warp_by_gdal(path, GRID), resample(path, GRID)
    assert 0 < (expected > 0).mean() < 1
    assert ((expected > 0) != (found > 0)).mean() < 1e-3
    both = (expected > 0) & (found > 0)
    assert np.abs(found.astype(int) - expected)[both].max() <= 1


@pytest.mark.parametrize("is_nearest", [True, False])
def test_no_window_shows(tmp_path: Path, is_nearest: bool) -> None:
    path = write_foreign(tmp_path / "a.tif", make_pixels(10), 10)
    whole = resample(path, GRID, is_nearest=is_nearest)

    @settings(max_examples=40, deadline=None, database=None)
    @given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.data())
    def check(row: int, column: int, data: Any) -> None:
        height, width = data.draw(st.integers(1, HEIGHT - row)), data.draw(st.integers(1, WIDTH - column))
        window = Window(row, column, height, width)
        assert np.array_equal(resample(path, GRID, is_nearest=is_nearest, window=window), whole[window.slices])

    check()


def test_places_between_knots_are_right_to_a_thousandth_of_a_pixel() -> None:
    grid = lay_grid(600, 600, left=700_000, top=9_900_000)
    wkt = rasterio.CRS.from_epsg(32720).to_wkt()
    points = project_control_points(grid, wkt, grid.window)
    row, column = np.mgrid[:600, :600] + 0.5
    exact = Transformer.from_crs(EPSG, 32720, always_xy=True).transform(700_000 + column * 10, 9_900_000 - row * 10)
    line = np.empty(600)
    for axis in (0, 1):
        for y in range(0, 600, 7):
            interpolate(points[axis], y, 0, line)
            assert np.abs(line - exact[axis][y]).max() < 0.01  # metres
    assert points[0].shape == (-(-600 // CONTROL_SPACING) + 1,) * 2


def test_far_away_there_is_no_data(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(10), left=LEFT, top=1_000_000, epsg=32633)
    assert not resample(path, GRID).any()


def test_places_that_another_crs_does_not_know_are_no_data(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(10), left=0, top=0, epsg=3413)  # the Arctic
    assert not resample(path, GRID).any()
    other_side = rasterio.CRS.from_string("+proj=ortho +lat_0=60 +lon_0=100 +datum=WGS84").to_wkt()
    warp = make_warp(GRID, other_side, Affine(10, 0, 0, 0, -10, 0), (400, 400), is_nearest=False)
    assert not warp.read(Noise(), GRID.window).any()


class Noise:
    """A file of any size."""

    most = 0

    def read(self, box: Box) -> np.ndarray:
        self.most = max(self.most, (box[2] - box[0]) * (box[3] - box[1]))
        return np.ones((box[2] - box[0], box[3] - box[1]), np.uint16)


def test_absurdly_fine_pixels_are_refused_before_they_are_read() -> None:
    fine = Affine(1e-4, 0, LEFT, 0, -1e-4, TOP)
    warp = make_warp(GRID, GRID.crs.to_wkt(), fine, (2**30, 2**30), is_nearest=False)
    noise = Noise()
    with pytest.raises(BlockError, match="finer"):
        warp.read(noise, GRID.window)
    assert noise.most < 2**24


def test_a_large_coarse_grid_is_read_in_parts() -> None:
    grid = Grid(lay_grid(4000, 4000).geobox.zoom_out(8), GRID.area)
    warp = make_warp(grid, GRID.crs.to_wkt(), Affine(10, 0, LEFT, 0, -10, TOP), (4000, 4000), is_nearest=False)
    noise = Noise()
    assert warp.read(noise, grid.window).all()
    assert noise.most < 600**2


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (Affine(10, 0, LEFT, 0, -10, TOP), AlignedGrid(0, 0, 1)),
        (Affine(20, 0, LEFT, 0, -20, TOP), AlignedGrid(0, 0, 2)),
        (Affine(10, 0, LEFT - 30, 0, -10, TOP + 50), AlignedGrid(5, 3, 1)),
        (Affine(20, 0, LEFT + 40, 0, -20, TOP), AlignedGrid(0, -4, 2)),
        (Affine(20, 0, LEFT + 10, 0, -20, TOP), None),
        (Affine(10, 0, LEFT + 5, 0, -10, TOP), None),
        (Affine(60, 0, LEFT, 0, -60, TOP), None),
        (Affine(10, 0, LEFT, 0, 10, TOP), None),
        (Affine(10, 1, LEFT, 1, -10, TOP), None),
    ],
)
def test_only_the_grids_own_lattice_is_read_as_it_is(transform: Affine, expected: AlignedGrid | None) -> None:
    assert make_aligned_grid(GRID, transform) == expected
    wkt = GRID.crs.to_wkt()
    assert isinstance(make_warp(GRID, wkt, transform, (400, 400), is_nearest=False), AlignedGrid if expected else ResampledGrid)
    assert isinstance(
        make_warp(lay_grid(10, 10, epsg=NEIGHBOUR_ZONE), wkt, transform, (400, 400), is_nearest=False), ResampledGrid
    )
