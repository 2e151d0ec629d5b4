"""Imagery of the user's own: the sharpest clear picture is taken, read as it is, and credited."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.shutil import copy as copy_raster
from shapely.geometry import box, mapping

from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import Grid, make_grid, reproject
from minewatch.cli import main
from minewatch.core.errors import ImageError
from minewatch.core.workspace import Workspace
from minewatch.products.images.imagery import best_image
from minewatch.products.images.sharpest_image import SharpRequest, make_sharpest
from tests.helpers.rasters import write_catalog
from tests.helpers.servers import ServeFolder, ServeItems
from tests.helpers.small import NAME, make_series, make_workspace

CREDIT = "(c) 2022 Example Imaging"
UNTIL = dt.date(2023, 1, 31)


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "watch", make_series(tmp_path_factory))


@pytest.fixture
def grid(workspace: Workspace) -> Grid:
    return make_grid(read_aoi(workspace, NAME))


def set_up(workspace: Workspace, place: str, more: str = "", name: str = "sharp") -> None:
    text = workspace.settings.read_text("utf-8")
    workspace.settings.write_text(f'{text}\n[imagery.{name}]\n{place}\ncredit = "{CREDIT}"\n{more}\n', "utf-8")


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "image", NAME, "--date", str(UNTIL), *map(str, words)])


def paint(rows: int, columns: int, most: int = 250) -> NDArray[Any]:
    """Return a picture of which no two neighbours are alike."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([(x * 7 + y * 3) % most + 1, (x + y * 5) % most + 1, (x * 2 + y) % most + 1])


def write_picture(
    path: Path, grid: Grid, pixel: float, *, dtype: str = "uint8", share: float = 1.0, epsg: int | None = None, **options: Any
) -> NDArray[Any]:
    """Write a picture over the left ``share`` of a grid, reaching a little beyond it, as a COG; gives its pixels."""
    left, bottom, right, top = grid.bounds
    left, top = left - 20 * pixel, top + 20 * pixel
    rows, columns = round((top - bottom) / pixel) + 20, round((left + share * (right - left) - left) / pixel) + 20
    pixels = paint(rows, columns, 250 if dtype == "uint8" else 2500).astype(dtype)
    transform, crs = Affine(pixel, 0, left, 0, -pixel, top), grid.epsg
    if epsg:
        west, south, east, north = Transformer.from_crs(grid.epsg, epsg, always_xy=True).transform_bounds(
            left, top - rows * pixel, left + columns * pixel, top
        )
        transform, crs = Affine((east - west) / columns, 0, west, 0, (south - north) / rows, north), epsg
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": 3,
        "height": rows,
        "width": columns,
        "dtype": dtype,
        "crs": crs,
        "transform": transform,
    }
    with rasterio.MemoryFile() as memory:
        with memory.open(**{**profile, "photometric": "RGB", **options}) as raster:
            raster.write(pixels)
        with memory.open() as raster:
            copy_raster(raster, path, driver="COG", compress="deflate", blocksize=256)
    return pixels


def make_item(name: str, grid: Grid, day: str, share: float = 1.0, href: str = "", **properties: Any) -> dict[str, Any]:
    left, bottom, right, top = grid.bounds
    outline = box(left - 5, bottom - 5, left + share * (right - left) + 5, top + 5)
    lonlat = reproject(outline, Transformer.from_crs(grid.crs, 4326, always_xy=True))
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": mapping(lonlat),
        "bbox": list(lonlat.bounds),
        "properties": {"datetime": f"{day}T15:00:00Z", **{key.replace("__", ":"): value for key, value in properties.items()}},
        "links": [],
        "assets": {"visual": {"href": href or "./visual.tif", "roles": ["visual"]}},
    }


def make_archive(folder: Path, grid: Grid) -> list[dict[str, Any]]:
    """Write pictures of several sizes; ``fine`` is the best of them."""
    pictures = {
        "coarse": (2.0, "2023-01-20", 1.0, 0),
        "fine": (0.8, "2022-05-01", 1.0, 3),
        "fine-older": (0.8, "2022-03-01", 1.0, 0),
        "finest-cloudy": (0.5, "2022-06-01", 1.0, 90),
        "finest-partial": (0.5, "2022-07-01", 0.4, 0),
        "finest-later": (0.5, "2023-02-01", 1.0, 0),
    }
    items = []
    for name, (pixel, day, share, cloud) in pictures.items():
        if name in ("coarse", "fine"):
            write_picture(folder / name / "visual.tif", grid, pixel, share=share)
        items.append(make_item(name, grid, day, share, gsd=pixel, eo__cloud_cover=cloud))
    near = "http://169.254.169.254/latest/visual.tif"
    return [*items, make_item("hostile", grid, "2022-08-01", href=near, gsd=0.3, eo__cloud_cover=0)]


def check_fine(result: Result, folder: Path, grid: Grid) -> None:
    """Compare what a user got with the picture ``fine``."""
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["scenes"], facts["date"], facts["native_pixel_metres"]) == (["fine"], "2022-05-01", 0.8)
    assert facts["credit"] == CREDIT
    assert any("hostile" in note and "private network" in note for note in facts["notes"])
    with rasterio.open(facts["files"]["tif"]) as made, rasterio.open(folder / "fine" / "visual.tif") as original:
        assert made.transform.a == 0.8
        row, column = (round(number) for number in (~original.transform * (made.transform.c, made.transform.f))[::-1])
        height, width = made.shape
        assert (made.read([1, 2, 3]) == original.read()[:, row : row + height, column : column + width]).all(), (
            "pixels as they are"
        )
        assert made.read(4).min() == 255
        left, bottom, right, top = made.bounds
        assert left <= grid.bounds[0] < left + 0.8
        assert right >= grid.bounds[2] - 1e-6
        assert bottom <= grid.bounds[1] + 1e-6
        assert top >= grid.bounds[3]
        assert made.tags()["credit"] == CREDIT
    assert Path(facts["files"]["png"]).stat().st_size > 10_000


def test_the_sharpest_clear_picture_that_covers_the_frame_is_taken(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    items = make_archive(tmp_path / "archive", grid)
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", items)}"')
    check_fine(run(workspace, "--imagery", "best", "--json", "-o", tmp_path / "out"), tmp_path / "archive", grid)


@pytest.mark.server
def test_pictures_are_read_over_the_line(
    workspace: Workspace, grid: Grid, tmp_path: Path, range_server: ServeFolder, stac_api: ServeItems
) -> None:
    """The same through a STAC API whose files lie on another server, which the user allows."""
    items = make_archive(tmp_path / "archive", grid)
    server = range_server(tmp_path / "archive")
    for item in items:
        asset = item["assets"]["visual"]
        asset["href"] = asset["href"].replace("./", f"{server.url}/{item['id']}/")
    collection = pystac.Collection(
        "ortho", "Pictures", pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    )
    address = stac_api(items, collection)
    set_up(workspace, f'url = "{address}"', f'collection = "ortho"\nhosts = ["127.0.0.1:{server.port}"]')
    check_fine(run(workspace, "--imagery", "sharp", "--json", "-o", tmp_path / "out"), tmp_path / "archive", grid)


def test_a_cloudy_picture_is_better_than_none_and_says_so(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    write_picture(tmp_path / "archive" / "dull" / "visual.tif", grid, 2.0)
    items = [
        make_item("dull", grid, "2022-05-01", eo__cloud_cover=70),
        make_item("duller", grid, "2022-06-01", eo__cloud_cover=90),
    ]
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", items)}"')
    drawn = make_sharpest(workspace, SharpRequest(NAME, UNTIL))
    assert drawn.image.candidate.id == "dull"
    assert any("this one has 70 %" in note for note in drawn.notes)


def test_sixteen_bits_are_stretched_and_other_lattices_are_laid_right(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    """A ramp in longitude comes out as a ramp on the map."""
    pixels = write_picture(tmp_path / "archive" / "ramp" / "visual.tif", grid, 2.0, dtype="uint16", epsg=4326, nodata=0)
    ramp = np.broadcast_to(np.linspace(200, 3000, pixels.shape[2]), pixels.shape).astype(np.uint16)
    path = tmp_path / "archive" / "ramp" / "visual.tif"
    with rasterio.open(path) as old:
        profile = {"driver": "GTiff", "count": 3, "dtype": "uint16", "height": old.height, "width": old.width, "crs": old.crs}
        transform = old.transform
    path.unlink()
    with rasterio.open(path, "w", transform=transform, nodata=0, tiled=True, **profile) as raster:
        raster.write(ramp)
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", [make_item("ramp", grid, "2022-05-01")])}"')
    image = make_sharpest(workspace, SharpRequest(NAME, UNTIL)).image
    assert image.dtype == "uint16"
    assert image.native == pytest.approx(2.0, rel=0.02)
    to_lonlat = Transformer.from_crs(image.grid.crs, 4326, always_xy=True)
    rows, columns = image.grid.shape
    for row, column in ((5, 5), (rows - 5, columns // 2), (rows // 2, columns - 5)):
        lon, _ = to_lonlat.transform(*(image.grid.transform * (column + 0.5, row + 0.5)))
        place = (lon - transform.c) / transform.a - 0.5
        assert image.values[row, column, 0] == pytest.approx(200 + place * 2800 / (pixels.shape[2] - 1), abs=3)


def test_three_files_make_one_picture(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    left, bottom, right, top = grid.bounds
    shape = round(top - bottom) // 4, round(right - left) // 4
    item = make_item("apart", grid, "2022-05-01", gsd=4)
    item["assets"] = {band: {"href": f"./{band}.tif"} for band in ("r", "g", "b")}
    catalog = write_catalog(tmp_path / "archive", [item])
    for number, band in enumerate("rgb", 1):
        with rasterio.open(
            catalog.parent / "apart" / f"{band}.tif", "w", driver="GTiff", height=shape[0], width=shape[1], count=1,
            dtype="uint8", crs=grid.epsg, transform=Affine(4, 0, left, 0, -4, top),
        ) as raster:  # fmt: skip
            raster.write(np.full((1, *shape), 40 * number, np.uint8))
    set_up(workspace, f'path = "{catalog}"', 'assets = ["r", "g", "b"]')
    image = make_sharpest(workspace, SharpRequest(NAME, UNTIL)).image
    assert image.values.reshape(-1, 3).min(axis=0).tolist() == image.values.reshape(-1, 3).max(axis=0).tolist() == [40, 80, 120]


def test_black_that_is_data_is_no_hole(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    folder = tmp_path / "archive" / "holes"
    write_picture(folder / "visual.tif", grid, 4.0)
    with rasterio.open(folder / "visual.tif") as old:
        profile = {**old.profile, "driver": "GTiff", "count": 4, "photometric": "RGB", "alpha": "YES"}
        shape = old.shape
    (folder / "visual.tif").unlink()
    opacity = np.full(shape, 255, np.uint8)
    opacity[:, : shape[1] // 2] = 0
    with rasterio.open(folder / "visual.tif", "w", **profile) as raster:
        raster.write(np.concatenate([np.zeros((3, *shape), np.uint8), opacity[None]]))
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", [make_item("holes", grid, "2022-05-01")])}"')
    drawn = make_sharpest(workspace, SharpRequest(NAME, UNTIL))
    assert drawn.image.known.mean() == pytest.approx(0.5, abs=0.1)
    assert any("has no data" in note for note in drawn.notes)


def test_a_frame_of_too_many_pixels_is_read_coarser(
    workspace: Workspace, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "archive" / "fine" / "visual.tif", grid, 0.5)
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", [make_item("fine", grid, "2022-05-01")])}"')
    monkeypatch.setattr(best_image, "MOST_PIXELS", 300 * 300)
    drawn = make_sharpest(workspace, SharpRequest(NAME, UNTIL))
    assert 280 * 280 < drawn.image.known.size < 302 * 302
    assert drawn.image.native == 0.5
    assert any("though the file has 0.5 m" in note for note in drawn.notes)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (b"no picture at all", "it cannot be read"),
        (None, "it cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_next_best_taken(
    workspace: Workspace, grid: Grid, tmp_path: Path, broken: bytes | None, text: str
) -> None:
    write_picture(tmp_path / "archive" / "good" / "visual.tif", grid, 4.0)
    items = [make_item("good", grid, "2022-05-01", gsd=4), make_item("bad", grid, "2022-06-01", gsd=1)]
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", items)}"')
    if broken is not None:
        (tmp_path / "archive" / "bad" / "visual.tif").write_bytes(broken)
    drawn = make_sharpest(workspace, SharpRequest(NAME, UNTIL))
    assert drawn.image.candidate.id == "good"
    assert any(note.startswith(f"left out: item bad: {text}") for note in drawn.notes)


def test_one_band_is_no_picture(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    left, _, _, top = grid.bounds
    catalog = write_catalog(tmp_path / "archive", [make_item("grey", grid, "2022-05-01")])
    with rasterio.open(
        catalog.parent / "grey" / "visual.tif", "w", driver="GTiff", height=500, width=500, count=1, dtype="uint8", crs=grid.epsg,
        transform=Affine(2, 0, left, 0, -2, top),
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 500, 500), np.uint8))
    set_up(workspace, f'path = "{catalog}"')
    with pytest.raises(ImageError, match="it has 1 bands"):
        make_sharpest(workspace, SharpRequest(NAME, UNTIL))


def test_an_asset_that_is_not_there_is_told_with_those_that_are(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", [make_item("some", grid, "2022-05-01")])}"', 'asset = "rgb"')
    with pytest.raises(ImageError, match=r"has no asset 'rgb'; it has visual"):
        make_sharpest(workspace, SharpRequest(NAME, UNTIL))


def test_without_a_picture_one_line_says_what_to_do(workspace: Workspace, grid: Grid, tmp_path: Path) -> None:
    result = run(workspace, "--imagery", "best")
    assert result.exit_code == 1
    assert "no imagery is set up: add a table [imagery.NAME]" in result.stderr
    set_up(workspace, f'path = "{write_catalog(tmp_path / "archive", [make_item("late", grid, "2024-05-01")])}"')
    assert "there is no imagery 'other'" in run(workspace, "--imagery", "other").stderr
    assert "imagery sharp has no picture of this frame" in run(workspace, "--imagery", "sharp").stderr
    assert run(workspace, "--imagery", "sharp", "--bands", "nir").exit_code == 2
