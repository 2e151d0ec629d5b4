"""The image of a day: the right overpass, at full resolution, with the right numbers."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import box

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.areas.grid import Window, make_grid, reproject
from minewatch.core.errors import ImageError
from minewatch.core.units import NODATA
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import AcquisitionIndex, RatedLook, open_index
from minewatch.products.images.chips.best_look import find_best_look
from minewatch.products.images.chips.image_frame import frame_outline, locate_frame
from minewatch.products.images.chips.pixels import Chip, find_chip, read_chip
from minewatch.products.images.chips.rendering import find_stretch, render_chip
from minewatch.products.images.options import COMPOSITES, FALSE_COLOUR
from minewatch.products.images.stretch import UNKNOWN
from minewatch.settings.document import init_workspace
from minewatch.sources.scene import Datatake
from tests.helpers.rasters import COARSE, EPSG, FOREST, LEFT, TOP, make_item, paint_bands, write_bands, write_catalog
from tests.helpers.small import NAME, UNTIL, make_scanned, make_series, make_workspace

SIDE = 60
"""Pixels of the tiny scenes."""

CLOUD = 9


def to_lonlat(left: float, bottom: float, right: float, top: float) -> Any:
    return reproject(box(left, bottom, right, top), Transformer.from_crs(EPSG, 4326, always_xy=True))


OUTLINE = to_lonlat(LEFT + 40, TOP - 560, LEFT + 560, TOP - 40)


def write_days(folder: Path, days: dict[str, dict[str, Any]], drop: tuple[str, ...] = ()) -> Path:
    """Write a catalogue with a scene a day; what a day says replaces the forest's numbers."""
    items = []
    for day, values in days.items():
        name = f"S2A_19LCF_{day.replace('-', '')}_0_L2A"
        bands = {b: a for b, a in paint_bands(SIDE, SIDE, **values).items() if b not in drop}
        hrefs = write_bands(folder / name, bands)
        assets = {band: f"./{Path(href).name}" for band, href in hrefs.items()}
        items.append(make_item(name, time=f"{day}T14:50:21Z", assets=assets, size=600))
    return write_catalog(folder, items)


def open_days(folder: Path, days: dict[str, dict[str, Any]], drop: tuple[str, ...] = ()) -> AcquisitionIndex:
    """Open the index of an area that was never scanned."""
    catalog = write_days(folder / "scenes", days, drop)
    workspace = init_workspace(folder / "watch", source=str(catalog))
    write_aoi(workspace, Aoi("tiny", OUTLINE, dt.date(2020, 1, 1)))
    return open_index(workspace, "tiny")


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def cover(rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Paint a cloud on the scene classes, in pixels of 20 m."""
    scl = np.full((SIDE // 2, SIDE // 2), 4, np.uint8)
    scl[rows, columns] = CLOUD
    return scl


# --- choosing --------------------------------------------------------------------------------------------------------


def test_the_newest_clear_image_at_or_before_the_date_is_taken(tmp_path: Path) -> None:
    index = open_days(tmp_path, {"2020-06-01": {}, "2020-06-11": {}, "2020-06-21": {"scl": CLOUD}, "2020-07-01": {}})
    dates = ("2020-06-30", "2020-06-11", "2020-06-10")
    found = {until: find_best_look(index, index.grid, day(until)).datatake.time.date() for until in dates}
    assert found == {"2020-06-30": day("2020-06-11"), "2020-06-11": day("2020-06-11"), "2020-06-10": day("2020-06-01")}


def test_a_cloud_over_the_outline_alone_matters(tmp_path: Path) -> None:
    index = open_days(tmp_path, {"2020-06-01": {}, "2020-06-11": {"scl": cover(slice(14, 16), slice(14, 16))}})
    spot = to_lonlat(LEFT + 290, TOP - 310, LEFT + 310, TOP - 290)
    assert find_best_look(index, frame_outline(index.grid, spot), day("2020-07-01")).datatake.time.date() == day("2020-06-01")


def test_where_no_image_is_clear_the_clearest_is_taken(tmp_path: Path) -> None:
    shares = {"2020-06-01": 15, "2020-06-11": 8, "2020-06-21": 22}
    index = open_days(tmp_path, {d: {"scl": cover(slice(0, rows), slice(0, 30))} for d, rows in shares.items()})
    look = find_best_look(index, index.grid, day("2020-07-01"))
    assert look.datatake.time.date() == day("2020-06-11")
    assert 0.5 < look.clear_share < 0.8


@pytest.mark.parametrize(
    ("until", "text"),
    [
        ("2019-01-01", "neither its archive nor source .* has one"),
        ("2020-07-01", "2 were looked at, all hidden by cloud or without data"),
        ("2021-07-01", "neither its archive nor source .* has one"),
    ],
)
def test_a_missing_image_is_explained_in_one_line(tmp_path: Path, until: str, text: str) -> None:
    index = open_days(tmp_path, {"2020-06-01": {"scl": CLOUD}, "2020-06-11": {"scl": 0}})
    with pytest.raises(ImageError, match=text) as error:
        find_best_look(index, index.grid, day(until))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("band", ["blue", "scl"])
def test_an_image_that_cannot_be_read_is_named_and_the_next_is_taken(tmp_path: Path, band: str) -> None:
    index = open_days(tmp_path, {"2020-06-01": {}, "2020-06-11": {}})
    (tmp_path / "scenes" / "S2A_19LCF_20200611_0_L2A" / f"{band}.tif").unlink()
    chip = find_chip(index, index.grid, day("2020-07-01"))
    assert chip.date == day("2020-06-01")
    assert any("S2A_19LCF_20200611_0_L2A" in note for note in chip.notes)


@pytest.mark.parametrize("band", ["red", "scl"])
def test_where_no_image_can_be_read_it_is_said(tmp_path: Path, band: str) -> None:
    index = open_days(tmp_path, {"2020-06-01": {}})
    (tmp_path / "scenes" / "S2A_19LCF_20200601_0_L2A" / f"{band}.tif").unlink()
    with pytest.raises(ImageError, match=rf"that can be read: scene S2A_19LCF_20200601_0_L2A, {band}") as error:
        find_chip(index, index.grid, day("2020-07-01"))
    assert "\n" not in str(error.value)


def test_the_archive_knows_what_is_clear(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It holds the classes that the scenes do, so both give the same image."""
    scanned, _ = make_scanned(tmp_path_factory)
    index = open_index(scanned, NAME)
    unread = replace(index, observations={}, _found={})
    for until in (UNTIL, dt.date(2022, 12, 1)):
        known, read = (find_best_look(a, index.grid, until) for a in (index, unread))
        assert known.datatake.key == read.datatake.key
        assert known.clear_share == pytest.approx(read.clear_share, abs=1e-6)


def test_images_older_than_the_recent_ones_come_from_the_archive(tmp_path_factory: pytest.TempPathFactory) -> None:
    scanned, _ = make_scanned(tmp_path_factory)
    index = open_index(scanned, NAME)
    look = find_best_look(index, index.grid, UNTIL + dt.timedelta(days=1000))
    assert look.datatake.key in index.observations
    assert look.datatake.time.date() <= UNTIL


def test_scenes_are_read_as_the_archive_decided(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An offset that the pixels overruled holds for pictures too."""
    scanned, _ = make_scanned(tmp_path_factory)
    index = open_index(scanned, NAME)
    look = find_best_look(index, index.grid, UNTIL)
    known = index.observations[look.datatake.key]
    moved = replace(known, sources=tuple({**source, "offset": source["offset"] + 500} for source in known.sources))
    other = find_best_look(replace(index, observations={**index.observations, known.key: moved}, _found={}), index.grid, UNTIL)
    first, second = (read_chip(x, index.grid).values.astype(int) for x in (look, other))
    bright = first > 0
    assert (second - first)[bright].mean() == pytest.approx(500, abs=1)


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spot", [(0, 0), (55, 55), (30, 20), (59, 3)])
def test_a_frame_lies_on_the_lattice_around_its_outline_within_the_grid(spot: tuple[int, int]) -> None:
    grid = make_grid(Aoi("tiny", to_lonlat(LEFT, TOP - 600, LEFT + 600, TOP), dt.date(2020, 1, 1)))
    x, y = LEFT + 10 * spot[0], TOP - 10 * spot[1]
    frame = frame_outline(grid, to_lonlat(x + 1, y - 9, x + 9, y - 1), smallest=200)
    window = locate_frame(grid, frame)
    assert window.shape == frame.shape
    assert frame.bounds == pytest.approx(grid_bounds(grid.bounds, window))
    assert window.row % 2 == window.column % 2 == 0
    assert box(*frame.bounds).buffer(1).contains(frame.area)
    assert min(frame.shape) >= 20


def grid_bounds(bounds: tuple[float, ...], window: Window) -> tuple[float, ...]:
    left, top = bounds[0] + 10 * window.column, bounds[3] - 10 * window.row
    return left, top - 10 * window.height, left + 10 * window.width, top


def test_a_frame_gives_a_large_outline_room() -> None:
    grid = make_grid(Aoi("large", to_lonlat(LEFT, TOP - 20_000, LEFT + 20_000, TOP), dt.date(2020, 1, 1)))
    frame = frame_outline(grid, to_lonlat(LEFT + 8000, TOP - 10_000, LEFT + 11_000, TOP - 8000))
    assert 590 <= frame.shape[0] == frame.shape[1] <= 610


# --- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPOSITES)
def test_pixels_are_those_of_the_scene(tmp_path: Path, name: str) -> None:
    """Fine bands at 10 m; a pixel of 20 m fills four."""
    random = np.random.default_rng(1)
    numbers = {
        band: random.integers(1, 5000, (SIDE // size, SIDE // size))
        for band in FOREST
        if band != "scl"
        for size in [2 if band in COARSE else 1]
    }
    index = open_days(tmp_path, {"2020-06-01": numbers})
    chip = find_chip(index, index.grid, day("2020-06-01"), name)
    window = locate_frame(replace(index.grid, geobox=index.grid.geobox), chip.frame)
    assert window.shape == chip.frame.shape == index.grid.shape
    row, column = round((TOP - index.grid.bounds[3]) / 10), round((index.grid.bounds[0] - LEFT) / 10)
    for index, band in enumerate(chip.bands):
        fine = numbers[band].repeat(2, 0).repeat(2, 1) if band in COARSE else numbers[band]
        part = fine[row : row + window.height, column : column + window.width]
        assert (chip.values[..., index] == part).all()
    assert chip.known.all()


def test_without_green_true_colour_is_still_to_be_had(tmp_path: Path) -> None:
    index = open_days(tmp_path, {"2020-06-01": {}}, drop=("green",))
    chip = find_chip(index, index.grid, day("2020-06-01"))
    assert chip.values[0, 0].tolist() == [400, 350, 300]
    assert any("no green" in note for note in chip.notes)
    with pytest.raises(ImageError, match="needs green"):
        find_chip(index, index.grid, day("2020-06-01"), "green")


def test_an_image_that_is_too_large_is_refused_before_it_is_read() -> None:
    grid = make_grid(Aoi("vast", to_lonlat(LEFT, TOP - 60_000, LEFT + 60_000, TOP), dt.date(2020, 1, 1)))
    look = RatedLook(Datatake("s2a_20200601T000000", dt.datetime(2020, 6, 1, tzinfo=dt.UTC), ()), 1, 1)
    with pytest.raises(ImageError, match="larger than 50 x 50 km"):
        read_chip(look, grid)


def make_chip(values: NDArray[Any], name: str = "true-colour") -> Chip:
    grid = make_grid(Aoi("tiny", OUTLINE, dt.date(2020, 1, 1)))
    look = RatedLook(Datatake("s2a_20200601T000000", dt.datetime(2020, 6, 1, tzinfo=dt.UTC), ()), 1, 1)
    frame = replace(grid, geobox=grid.geobox[: values.shape[0], : values.shape[1]])
    return Chip(look, frame, name, COMPOSITES[name], values.astype(np.int16))


def test_images_that_are_compared_share_a_stretch() -> None:
    dark, bright = make_chip(np.full((4, 4, 3), 400)), make_chip(np.full((4, 4, 3), 2400))
    stretch = find_stretch([dark, bright])
    assert len(set(stretch.white)) == len(set(stretch.dark)) == 1, "colours stay true"
    first, second = (render_chip(chip, stretch) for chip in (dark, bright))
    assert first.max() < second.min()
    other = find_stretch([make_chip(np.stack([np.arange(16).reshape(4, 4) * k for k in (50, 200, 20)], -1), FALSE_COLOUR)])
    assert len(set(other.white)) == 3


def test_what_is_not_known_is_grey_and_a_single_band_has_no_colour() -> None:
    values = np.full((4, 4, 1), 1000)
    values[0, 0], values[1, 1] = NODATA, 3000
    chip = make_chip(values, "nir")
    shown = render_chip(chip, find_stretch([chip]))
    assert shown[0, 0].tolist() == [UNKNOWN] * 3
    assert (np.ptp(shown, axis=-1) == 0).all()
    assert shown[1, 1, 0] > shown[2, 2, 0]
    nothing = make_chip(np.full((4, 4, 3), NODATA))
    assert (render_chip(nothing, find_stretch([nothing])) == UNKNOWN).all()


def test_another_source_may_be_asked(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    workspace: Workspace = make_workspace(tmp_path / "watch", make_series(tmp_path_factory), source=str(tmp_path / "none"))
    index = open_index(workspace, NAME, str(make_series(tmp_path_factory).catalog))
    assert find_chip(index, index.grid, UNTIL).known.any()
