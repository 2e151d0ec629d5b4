"""Reading scenes onto the grid: what rasterio would give, whatever the window; and files that cannot be read."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.windows import Window as RasterWindow

from minewatch.areas.grid import Grid, Window
from minewatch.core import http
from minewatch.core.errors import SceneError
from minewatch.core.units import NODATA
from minewatch.raster.gdal import gdal_environment
from minewatch.raster.read import DatatakeReader, SceneFiles, open_datatake
from minewatch.sources.scene import Datatake, Scene
from tests.helpers.rasters import EPSG, LEFT, TOP, lay_grid, paint_bands, write_raster, write_scene

HEIGHT, WIDTH = 40, 60
GRID = lay_grid(HEIGHT, WIDTH)
WHOLE = GRID.window
NEIGHBOUR_ZONE = 32718


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)


@st.composite
def windows(draw: st.DrawFn, height: int = HEIGHT, width: int = WIDTH) -> Window:
    """Draw windows of the grid, odd corners included."""
    row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(row, column, draw(st.integers(1, height - row)), draw(st.integers(1, width - column)))


def make_noise(height: int, width: int) -> dict[str, np.ndarray]:
    """Paint a scene in which no two neighbouring pixels are alike."""
    random = np.random.default_rng(5)
    fine = {band: random.integers(1, 10_000, (height, width)) for band in ("blue", "green", "red", "nir")}
    coarse = random.integers(1, 10_000, (height // 2, width // 2))
    return paint_bands(height, width, **fine, swir16=coarse, scl=random.integers(1, 12, coarse.shape))


def read_boundless(path: str, grid: Grid, window: Window) -> np.ndarray:
    """Read a window as rasterio does: boundless, 0 outside; 20 m pixels replicated over the whole grid first."""
    with rasterio.open(path) as raster:
        size = round(raster.transform.a / 10)
        row = round((raster.transform.f - grid.transform.f) / 10 / size)
        column = round((grid.transform.c - raster.transform.c) / 10 / size)
        part = RasterWindow(column, row, grid.shape[1] // size, grid.shape[0] // size)
        whole = raster.read(1, window=part, boundless=True, fill_value=0)
    return np.kron(whole, np.ones((size, size), whole.dtype))[window.slices]


def read_band(scene: Scene, band: str, window: Window = WHOLE, grid: Grid = GRID) -> np.ndarray:
    with gdal_environment(), SceneFiles(scene) as files:
        return files.on(grid).read(band, window)


PLACES = {"beside": (LEFT + 200, TOP - 120), "larger": (LEFT - 140, TOP + 100), "far away": (LEFT + 9_000, TOP)}


@pytest.mark.parametrize("band", ["red", "swir16", "scl"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore:Use `@` matmul")  # rasterio's own boundless reads say it
def test_windows_are_what_rasterio_reads(tmp_path: Path, place: str, band: str) -> None:
    left, top = PLACES[place]
    size = 90 if place == "larger" else 30
    scene = write_scene(tmp_path, make_noise(size, size), left=left, top=top)
    expected = read_boundless(scene.hrefs[band], GRID, WHOLE)
    assert expected.any() == (place != "far away")

    @settings(max_examples=25, deadline=None, database=None)
    @given(windows())
    def check(window: Window) -> None:
        part = read_band(scene, band, window)
        assert part.dtype == np.uint16
        assert np.array_equal(part, expected[window.slices])

    check()


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw"},
        {"compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"driver": "COG", "compress": "zstd"},
        {"compress": "deflate", "ENDIANNESS": "BIG"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_kind_of_file_gives_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    bands = make_noise(50, 70)
    plain, other = write_scene(tmp_path / "a", bands), write_scene(tmp_path / "b", bands, **options)
    for band in bands:
        for window in (WHOLE, Window(3, 5, 20, 31), Window(39, 59, 1, 1)):
            assert np.array_equal(read_band(other, band, window), read_band(plain, band, window))


def test_a_coarse_pixel_fills_four_fine_ones(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, paint_bands(4, 4, swir16=np.array([[1, 2], [3, 4]])))
    assert read_band(scene, "swir16", Window(1, 1, 2, 3)).tolist() == [[1, 2, 2], [3, 4, 4]]


def make_ramp(height: int, width: int, size: int, left: float, top: float) -> np.ndarray:
    """Paint digital numbers that rise by 1 every 2 m eastwards and every 5 m southwards."""
    x = left + (np.arange(width) + 0.5) * size
    y = top - (np.arange(height) + 0.5) * size
    return np.rint(5000 + (x[None] - LEFT) / 2 + (TOP - y[:, None]) / 5).astype(np.uint16)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Write a scene of the zone next door: a ramp with one hole, SCL in stripes; its files do not say that 0 is no data."""
    left, top = find_foreign_corner()
    bands = paint_bands(240, 240, red=make_ramp(240, 240, 10, LEFT, TOP), swir16=make_ramp(120, 120, 20, LEFT, TOP))
    bands["red"][100:106, 100:106] = 0
    bands["scl"][:] = 4 + np.arange(120)[None] // 4 % 3
    return write_scene(tmp_path_factory.mktemp("foreign"), bands, left=left, top=top, epsg=NEIGHBOUR_ZONE, nodata=None)


def find_foreign_corner() -> tuple[int, int]:
    """Return the corner of a foreign scene in whose middle the grid lies."""
    x, y = Transformer.from_crs(EPSG, NEIGHBOUR_ZONE, always_xy=True).transform(LEFT + 300, TOP - 200)
    return round(x / 20) * 20 - 1200, round(y / 20) * 20 + 1200


def find_foreign_pixels(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the centres of the grid's pixels lie in a foreign scene, in its pixels of ``size`` metres."""
    left, top = find_foreign_corner()
    x = LEFT + (np.arange(WIDTH) + 0.5) * 10
    y = TOP - (np.arange(HEIGHT) + 0.5) * 10
    x, y = Transformer.from_crs(EPSG, NEIGHBOUR_ZONE, always_xy=True).transform(*np.meshgrid(x, y))
    return (top - y) / size, (x - left) / size


@pytest.mark.parametrize(("band", "size"), [("red", 10), ("swir16", 20)])
def test_another_zone_is_warped_without_a_shift(foreign: Scene, band: str, size: int) -> None:
    row, column = find_foreign_pixels(size)
    expected = 5000 + column * size / 2 + row * size / 5
    found = read_band(foreign, band).astype(float)
    near_hole = (
        (np.abs(row * size - 1030) < 50) & (np.abs(column * size - 1030) < 50) if band == "red" else np.zeros(row.shape, bool)
    )
    assert np.abs(found - expected)[~near_hole].max() <= 1  # a fifth of a pixel would be 1 (x) to 2


def test_a_hole_is_no_data_and_does_not_darken_its_rim(foreign: Scene) -> None:
    red = read_band(foreign, "red")
    assert (red == 0).sum() in range(16, 50)  # 36 pixels of the source, turned a little
    assert red[red > 0].min() >= 5000


def test_classes_are_never_blended(foreign: Scene) -> None:
    classes = read_band(foreign, "scl")
    row, column = find_foreign_pixels(20)
    expected = 4 + column.astype(int) // 4 % 3
    safe = (np.abs(column - np.rint(column)) > 0.01) & (np.abs(row - np.rint(row)) > 0.01)
    assert set(np.unique(classes)) == {4, 5, 6}
    assert np.array_equal(classes[safe], expected[safe])


@pytest.mark.parametrize("band", ["red", "swir16", "scl"])
def test_a_warped_pixel_does_not_depend_on_the_window(tmp_path: Path, band: str) -> None:
    height, width = 140, 530  # more than one block of GDAL's, 128 x 512
    left, top = find_foreign_corner()
    scene = write_scene(tmp_path, make_noise(400, 800), left=left, top=top, epsg=NEIGHBOUR_ZONE)
    grid = lay_grid(height, width)
    whole = read_band(scene, band, grid.window, grid)
    assert (whole > 0).all()

    @settings(max_examples=15, deadline=None, database=None)
    @given(windows(height, width))
    def check(window: Window) -> None:
        assert np.array_equal(read_band(scene, band, window, grid), whole[window.slices])

    check()


def test_a_lattice_that_is_off_by_half_a_pixel_is_warped_not_shifted(tmp_path: Path) -> None:
    scene = write_scene(
        tmp_path, paint_bands(60, 80, red=make_ramp(60, 80, 10, LEFT - 95, TOP + 95)), left=LEFT - 95, top=TOP + 95
    )
    found = read_band(scene, "red").astype(float)
    assert np.abs(found - make_ramp(HEIGHT, WIDTH, 10, LEFT, TOP)).max() <= 1


# --- overpasses ------------------------------------------------------------------------------------------------------


def open_scenes(*scenes: Scene) -> Any:
    return open_datatake(Datatake("s2a_x", scenes[0].time, scenes), GRID)


@pytest.fixture
def halves(tmp_path: Path) -> Iterator[DatatakeReader]:
    """Two parts of one tile: the first lacks its east third, the second its west third; their offsets differ."""
    west, east = paint_bands(HEIGHT, WIDTH, red=2000, scl=4), paint_bands(HEIGHT, WIDTH, red=3000, scl=5)
    west["scl"][:, 20:], west["red"][:, 40:] = 0, 0
    east["scl"][:, :10], east["red"][:, :20] = 0, 0
    first = write_scene(tmp_path, west, name="a")
    with open_scenes(first, write_scene(tmp_path, east, name="b", offset=-1000)) as reader:
        yield reader


def test_the_smaller_id_fills_first_and_the_other_what_is_left(halves: DatatakeReader) -> None:
    classes, origin = halves.read_scl(WHOLE)
    assert (classes[:, :40] == 4).all()
    assert (classes[:, 40:] == 5).all()
    assert (origin[:, :40] == 0).all()
    assert (origin[:, 40:] == 1).all()


def test_each_pixel_is_shifted_by_its_own_scenes_offset(halves: DatatakeReader) -> None:
    _, origin = halves.read_scl(WHOLE)
    red = halves.read_reflectance("red", WHOLE, origin)
    assert red.dtype == np.int16
    assert (red[:, :40] == 2000).all()
    assert (red[:, 40:] == 3000 - 1000).all()


def test_no_data_stays_no_data_and_reflectance_is_never_negative(tmp_path: Path) -> None:
    red = np.full((HEIGHT, WIDTH), 1500)
    red[0, :4] = (0, 1, 999, 65_535)
    scl = np.full((HEIGHT // 2, WIDTH // 2), 4)
    scl[1, 0] = 0
    scl[2, 0] = 99  # no class of Sen2Cor
    scene = write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=red, scl=scl), offset=-1000)
    with open_scenes(scene) as reader:
        classes, origin = reader.read_scl(WHOLE)
        found = reader.read_reflectance("red", WHOLE, origin)
    assert found[0, :5].tolist() == [NODATA, 0, 0, 32_767, 500]
    assert (found[2:6, :2] == NODATA).all()
    assert (classes[2:6, :2] == 0).all()
    assert (origin[2:6, :2] == -1).all()


def test_outside_every_scene_there_is_no_data(tmp_path: Path) -> None:
    with open_scenes(write_scene(tmp_path, paint_bands(20, 20), left=LEFT + 9_000)) as reader:
        classes, origin = reader.read_scl(WHOLE)
        red = reader.read_reflectance("red", WHOLE, origin)
    assert not classes.any()
    assert (red == NODATA).all()


# --- files that cannot be read ---------------------------------------------------------------------------------------


def spoil(scene: Scene, band: str, href: str | Path) -> Scene:
    return dataclasses.replace(scene, hrefs={**scene.hrefs, band: str(href)})


def refuse(scene: Scene, band: str = "red") -> str:
    """Return the message with which a band is refused."""
    with pytest.raises(SceneError) as caught:
        read_band(scene, band)
    return str(caught.value)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return write_scene(tmp_path, make_noise(HEIGHT, WIDTH))


def test_a_missing_file_names_scene_and_band(scene: Scene) -> None:
    Path(scene.hrefs["red"]).unlink()
    message = refuse(scene)
    assert scene.id in message
    assert "red" in message


@pytest.mark.parametrize("share", [0.5, 0.9, 0.02, 0])
def test_a_truncated_file_is_refused(scene: Scene, share: float) -> None:
    path = Path(scene.hrefs["red"])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "cannot be read" in refuse(scene)


def test_a_web_page_in_place_of_a_file_is_refused(scene: Scene) -> None:
    Path(scene.hrefs["red"]).write_text("<html><body>404 not found</body></html>")
    assert "cannot be read" in refuse(scene)


@pytest.mark.parametrize("ending", ["tif", "vrt", "jp2", "TIF", "xml"])
def test_a_vrt_is_never_followed_whatever_it_is_called(scene: Scene, tmp_path: Path, ending: str) -> None:
    secret = write_raster(tmp_path / "elsewhere.tif", np.full((HEIGHT, WIDTH), 4242, np.uint16))
    trap = tmp_path / f"trap.{ending}"
    trap.write_text(
        f'<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}"><SRS>EPSG:{EPSG}</SRS>'
        f"<GeoTransform>{LEFT}, 10, 0, {TOP}, 0, -10</GeoTransform>"
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>{secret}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with rasterio.open(trap) as raster:  # the trap works where nobody names the driver
        assert (raster.read(1) == 4242).all()
    refuse(spoil(scene, "red", trap))


@pytest.mark.parametrize(
    ("array", "options", "why"),
    [
        (
            np.ones((HEIGHT, WIDTH), np.float32),
            {},
            "its numbers are of type float32, and those of a scene of uint8, uint16 or int16",
        ),
        (np.ones((HEIGHT, WIDTH), np.int32), {}, "its numbers are of type int32"),
        (np.ones((3, HEIGHT, WIDTH), np.uint8), {}, "it has 3 bands, and a file of a scene has one"),
        (np.ones((HEIGHT, WIDTH), np.uint16), {"epsg": None}, "it has no CRS"),
    ],
    ids=["fractions", "long", "three bands", "no CRS"],
)
def test_a_file_that_is_no_band_is_refused(
    scene: Scene, tmp_path: Path, array: np.ndarray, options: dict[str, Any], why: str
) -> None:
    odd = write_raster(tmp_path / "odd.tif", array, **options)
    assert f"{scene.id}, red: {why}" in refuse(spoil(scene, "red", odd))


@pytest.mark.parametrize(
    "coordinates",
    [
        'LOCAL_CS["a yard",UNIT["metre",1]]',
        'GEOCCS["x",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["metre",1]]',
    ],
)
def test_a_crs_that_cannot_be_projected_is_a_scene_error(scene: Scene, tmp_path: Path, coordinates: str) -> None:
    odd = write_raster(tmp_path / "odd.tif", np.ones((HEIGHT, WIDTH), np.uint16), crs=coordinates)
    with contextlib.suppress(SceneError):
        assert not read_band(spoil(scene, "red", odd), "red").any()


def test_a_fault_that_passes_is_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = rasterio.open, []

    def open_late(href: str, **options: Any) -> Any:
        calls.append(href)
        if len(calls) == 1:
            raise rasterio.errors.RasterioIOError("connection reset")
        return real(href, **options)

    monkeypatch.setattr("minewatch.raster.tiff_header._known", {})  # nothing is known of such files yet
    monkeypatch.setattr("minewatch.raster.gdal.rasterio.open", open_late)
    assert read_band(scene, "red").any()
    assert len(calls) == 2


def test_a_reader_that_met_a_fault_still_reads_the_other_bands(scene: Scene) -> None:
    Path(scene.hrefs["red"]).write_bytes(b"II*\0")
    with gdal_environment(), SceneFiles(scene) as files:
        reader = files.on(GRID)
        before = reader.read("nir", WHOLE)
        with pytest.raises(SceneError):
            reader.read("red", WHOLE)
        assert np.array_equal(reader.read("nir", WHOLE), before)


def test_an_error_keeps_the_secret_of_a_signed_address(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_BACKOFF", 0)
    address = "http://127.0.0.1:9/red.tif?sig=SECRET"
    assert "SECRET" not in refuse(spoil(scene, "red", address))
