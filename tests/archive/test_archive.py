"""The archive: what is kept of an overpass, which version counts, and what an interruption leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pystac
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from shapely.geometry import box

from minewatch.archive.item import (
    ARCHIVE_FORMAT,
    UNREAD_CLASSES,
    UNREAD_MARGIN_M,
    Observation,
    describe_grid,
    list_observations,
    sign_item,
)
from minewatch.archive.publication import TempRaster, publish, remove_temp_rasters
from minewatch.archive.raster import RasterWriter, _inflate, read_bands
from minewatch.archive.raster_header import BANDS, DIFFERENCES, SAMPLE_PIXELS, find_step
from minewatch.archive.stac_item import write_collection
from minewatch.archive.stack import batch_windows, read_sample, read_stack, read_stacks, sample_rows
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.core.errors import ArchiveError, SceneError, WorkspaceError
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.units import NODATA, SCALE, to_day
from minewatch.raster.indices import LAYERS, encode_layers
from minewatch.raster.read import SceneReader
from minewatch.sources.scene import Datatake, Scene
from tests.helpers.rasters import FOREST, LEFT, TIME, TOP, lay_grid, paint_bands, write_scene

HEIGHT, WIDTH = 40, 60
GRID = lay_grid(HEIGHT, WIDTH)
AREA = box(-70.4, -12.8, -70.3, -12.7)
KEY = "s2a_20200704T145021"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "output" / "archive" / "spot"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return write_scene(tmp_path, paint_bands(HEIGHT, WIDTH))


SCL_BAND = 1
"""Band of the raster that holds SCL."""


def write_temp_raster(datatake: Datatake, grid: Grid, folder: Path) -> TempRaster:
    (temp,) = write_temp_rasters([Target(datatake, grid, folder)])
    if isinstance(temp, SceneError):
        raise temp
    return temp


def take_of(*scenes: Scene, time: dt.datetime = TIME) -> Datatake:
    return Datatake(scenes[0].key, time, scenes)


def archive(folder: Path, *scenes: Scene, version: int = 1, grid: Grid = GRID, time: dt.datetime = TIME) -> Observation:
    return publish(write_temp_raster(take_of(*scenes, time=time), grid, folder), grid, AREA, folder, version)


def read_layers(observation: Observation) -> dict[str, np.ndarray]:
    """Read an observation as a GIS would: each band by its name, scaled; codes of 0 become NaN."""
    with rasterio.open(observation.raster) as raster:
        scaled = {}
        for band, name in enumerate(raster.descriptions, 1):
            codes = raster.read(band)
            value = codes * raster.scales[band - 1] + raster.offsets[band - 1]
            scaled[name] = codes if band == SCL_BAND else np.where(codes == 0, np.nan, value)
    return scaled


def edit_item(observation: Observation, **properties: Any) -> None:
    document = json.loads(observation.item.read_text())
    document["properties"] |= {key.replace("_", ":", 1): value for key, value in properties.items()}
    observation.item.write_text(json.dumps(document))


def find_drafts(folder: Path) -> list[Path]:
    return list(folder.glob(f"{TEMPORARY_PREFIX}*"))


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_an_observation_holds_classes_and_indices(scene: Scene, folder: Path) -> None:
    kept = read_layers(archive(folder, scene))
    assert list(kept) == ["scl", *(layer.name for layer in LAYERS)]
    assert (kept["scl"] == 4).all()
    red, nir, blue, swir16 = (FOREST[band] for band in ("red", "nir", "blue", "swir16"))
    assert np.allclose(kept["ndvi"], (nir - red) / (nir + red), atol=0.004)
    bare, green = swir16 + red, nir + blue
    assert np.allclose(kept["bsi"], (bare - green) / (bare + green), atol=0.004)
    assert np.allclose(kept["blue"], blue / SCALE, atol=0.001)


def test_it_lies_on_the_grid_in_bytes(scene: Scene, folder: Path) -> None:
    with rasterio.open(archive(folder, scene).raster) as raster:
        assert raster.shape == GRID.shape
        assert raster.transform == GRID.transform
        assert raster.crs.to_epsg() == GRID.epsg
        assert set(raster.dtypes) == {"uint8"}
        assert set(raster.nodatavals) == {0}


def test_what_a_gis_reads_is_what_detection_reads(tmp_path: Path, folder: Path) -> None:
    random = np.random.default_rng(3)
    noise = {band: random.integers(1, 9000, (HEIGHT, WIDTH)) for band in ("blue", "red", "nir")}
    observation = archive(folder, write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, **noise)))
    stack, kept = read_stack([observation], GRID.window), read_layers(observation)
    for layer in LAYERS:
        assert np.allclose(stack.layer(layer.name)[0] / SCALE, kept[layer.name], atol=1e-4)


def test_the_item_is_stac_and_says_what_it_was_made_from(tmp_path: Path, folder: Path) -> None:
    bands = paint_bands(HEIGHT, WIDTH, **{band: FOREST[band] + 1000 for band in FOREST if band != "scl"})
    scene = write_scene(tmp_path, bands, offset=-1000, baseline=(5, 9))
    observation = archive(folder, scene)
    item = pystac.Item.from_file(str(observation.item))
    asset = item.assets["observation"]
    content = observation.raster.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert Path(asset.get_absolute_href() or "") == observation.raster
    assert asset.extra_fields["file:checksum"] == f"1220{digest}"  # a multihash: sha2-256, 32 bytes
    assert asset.extra_fields["file:size"] == len(content)
    assert digest[:12] in observation.raster.name
    assert item.datetime == TIME
    assert item.properties["minewatch:digest"] == ARCHIVE_FORMAT
    (source,) = item.properties["minewatch:sources"]
    assert source["id"] == scene.id
    assert (source["baseline"], source["offset"], source["offset_reason"]) == ("05.09", -1000, scene.offset_reason)
    assert (source["offset_check"], source["offset_share"], source["offset_pixels"]) == ("agree", 0.0, HEIGHT * WIDTH // 2)
    assert item.properties["minewatch:refused"] == []


def test_an_item_is_read_as_it_was_published(scene: Scene, folder: Path) -> None:
    observation = archive(folder, scene)
    assert list_observations(folder, GRID) == {KEY: observation}
    assert observation.source_ids == (scene.id,)
    assert observation.day == to_day(dt.date(2020, 7, 4))
    assert (observation.version, observation.key) == (1, KEY)


def test_clear_pixels_are_counted_inside_the_area_alone(tmp_path: Path, folder: Path) -> None:
    scl = np.full((HEIGHT // 2, WIDTH // 2), 4)
    scl[:, 15:] = 9  # columns from 30 on
    scl[:, 20:] = 0  # columns from 40 on
    scene = write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, scl=scl))
    half = Grid(GRID.geobox, box(LEFT, TOP - 400, LEFT + 450, TOP))  # columns 0 to 44
    temp = write_temp_raster(take_of(scene), half, folder)
    assert temp.stats.classes == {0: 5 * 40, 4: 30 * 40, 9: 10 * 40}
    assert publish(temp, half, AREA, folder, 1).clear_share == pytest.approx(30 / 45)


def test_the_same_scenes_give_the_same_bytes(tmp_path: Path) -> None:
    west, east = paint_bands(HEIGHT, WIDTH, red=900), paint_bands(HEIGHT, WIDTH, red=100)
    west["scl"][:, 20:] = 0
    scenes = write_scene(tmp_path, west, name="a"), write_scene(tmp_path, east, name="b")
    temps = [write_temp_raster(take_of(*scenes), GRID, tmp_path / name) for name in ("one", "two")]
    assert temps[0].sha256 == temps[1].sha256 == hashlib.sha256(temps[0].path.read_bytes()).hexdigest()


def test_everything_is_private(scene: Scene, folder: Path) -> None:
    previous = os.umask(0)
    try:
        observation = archive(folder, scene)
        write_collection(folder, "spot", AREA, [observation])
    finally:
        os.umask(previous)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent, folder.parent.parent)} == {0o700}


def test_the_collection_lists_every_observation_in_order(tmp_path: Path, folder: Path) -> None:
    days = [TIME + dt.timedelta(days=days) for days in (10, 0, 5)]
    made = [
        archive(folder, write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=400 + n), name=f"s{n}", key=f"k{n}"), time=day)
        for n, day in enumerate(days)
    ]
    write_collection(folder, "spot", AREA, made)
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    assert [item.datetime for item in collection.get_items()] == sorted(days)
    assert collection.extent.temporal.intervals == [[min(days), max(days)]]
    assert len(list_observations(folder, GRID)) == 3


def test_an_archive_without_observations_has_no_collection(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_collection(folder, "spot", AREA, [])
    assert list(folder.iterdir()) == []


# --- which version counts --------------------------------------------------------------------------------------------


def test_the_second_version_supersedes_the_first(tmp_path: Path, folder: Path, scene: Scene) -> None:
    first = archive(folder, scene)
    other = write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=900), name="b")
    second = archive(folder, scene, other, version=2)
    assert list_observations(folder, GRID) == {KEY: second}
    assert first.raster.exists()
    assert first.item.exists()


def test_the_tenth_version_comes_after_the_ninth(folder: Path, scene: Scene) -> None:
    for version in (10, 9, 1, 2):
        archive(folder, scene, version=version)
    assert list_observations(folder, GRID)[KEY].version == 10


def test_a_version_of_other_settings_or_another_grid_is_passed_over(tmp_path: Path, folder: Path, scene: Scene) -> None:
    first = archive(folder, scene)
    other = write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=900), name="b")
    edit_item(archive(folder, other, version=2), minewatch_digest="0123456789abcdef")
    assert list_observations(folder, GRID) == {KEY: first}
    edit_item(first, minewatch_digest="0123456789abcdef")
    assert list_observations(folder, GRID) == {}


def test_a_grid_that_has_moved_makes_everything_anew(folder: Path, scene: Scene) -> None:
    archive(folder, scene)
    for other in (lay_grid(HEIGHT + 2, WIDTH), lay_grid(HEIGHT, WIDTH, left=LEFT + 20), lay_grid(HEIGHT, WIDTH, epsg=32718)):
        assert describe_grid(other) != describe_grid(GRID)
        assert list_observations(folder, other) == {}


SHAPES = {
    "c988a2f3e09018aa": {
        "block": 512,
        "unread margin, m": 200,
        "unread classes": (0, 9, 10),
        "bands": ("scl", "ndvi", "bsi", "blue", "nir"),
        "layers": [
            ("ndvi", ("red", "nir"), -1, 1),
            ("bsi", ("blue", "red", "nir", "swir16"), -1, 1),
            ("blue", ("blue",), 0, 0.508),
            ("nir", ("nir",), 0, 0.762),
        ],
        "codes": [[219, 142, 80, 128], [87, 162, 135, 128], [16, 51, 255, 1], [101, 68, 255, 1]],
    },
}
SHAPES["4"] = SHAPES["c988a2f3e09018aa"] | {"predictor": 2}
"""What each ARCHIVE_FORMAT stands for; entries are added, never changed.  The codes are those of four pixels in each layer."""


def test_what_is_archived_changes_with_its_format() -> None:
    pixels = {
        "blue": [300, 1000, 9000, 0],
        "red": [500, 1600, 20_000, 0],
        "nir": [3000, 2000, 9000, 0],
        "swir16": [1200, 3600, 0, 0],
    }
    shape = {
        "block": ARCHIVE_BLOCK,
        "unread margin, m": UNREAD_MARGIN_M,
        "unread classes": UNREAD_CLASSES,
        "bands": BANDS,
        "layers": [(layer.name, layer.bands, layer.low, layer.high) for layer in LAYERS],
        "codes": encode_layers({name: np.array([row], np.int16) for name, row in pixels.items()})[:, 0].tolist(),
        "predictor": DIFFERENCES,
    }
    assert SHAPES.get(ARCHIVE_FORMAT) == shape, (
        "bump ARCHIVE_FORMAT in archive/item.py: observations would be written otherwise than those of that format, and both "
        "be read as the same. Then add the new shape to SHAPES; or undo the change, if it was a mistake"
    )


def test_polishing_a_description_fetches_nothing_again(folder: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    first = archive(folder, scene)
    polished = tuple(dataclasses.replace(layer, description=f"{layer.description}.") for layer in LAYERS)
    for module in ("raster.indices", "archive.stac_item", "archive.raster_header"):
        monkeypatch.setattr(f"minewatch.{module}.LAYERS", polished)
    assert list_observations(folder, GRID) == {KEY: first}


def write_codes(path: Path, pages: Sequence[NDArray[np.uint8]]) -> None:
    """Write a raster as earlier versions did: directories, then blocks that hold the codes themselves."""
    settings = {"tile": (ARCHIVE_BLOCK,) * 2, "compression": "zstd", "planarconfig": "separate", "metadata": None}
    settings |= {"photometric": "minisblack", "extrasamples": ["unspecified"] * (len(BANDS) - 1), "dtype": np.uint8}
    blocks = [
        [np.pad(band[w.slices], [(0, ARCHIVE_BLOCK - side) for side in w.shape]) for band in page for w in list_windows(page)]
        for page in pages
    ]
    with tifffile.TiffWriter(path) as file:
        for page, parts in zip(pages, blocks, strict=True):
            file.write((b"" for _ in parts), shape=page.shape, contiguous=False, **settings)
    with path.open("ab") as file:
        places = [[(file.tell(), file.write(imagecodecs.zstd_encode(part))) for part in parts] for parts in blocks]
    with tifffile.TiffFile(path, mode="r+") as file:
        for page, found in zip(file.pages, places, strict=True):
            page.tags["TileOffsets"].overwrite([start for start, _ in found])
            page.tags["TileByteCounts"].overwrite([count for _, count in found])


def list_windows(page: NDArray[np.uint8]) -> list[Window]:
    return list(Window(0, 0, *page.shape[1:]).cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK))


@pytest.mark.parametrize("shape", [(512, 512), (700, 1030), (20, 30)])
def test_rasters_of_differences_and_of_codes_read_the_same(tmp_path: Path, shape: tuple[int, int]) -> None:
    grid, rng = lay_grid(*shape), np.random.default_rng(1)
    codes = rng.integers(0, 256, (len(BANDS), *shape), dtype=np.uint8)
    codes[1, :, -1] = 255
    codes[2] = 0
    with contextlib.closing(RasterWriter(tmp_path / "new.tif", grid)) as raster:
        for block in Window(0, 0, *shape).cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK):
            for band in range(len(BANDS)):
                raster.write(block, band, codes[band][block.slices])
    sample = codes[:, :: raster.step, :: raster.step]
    write_codes(tmp_path / "old.tif", [codes, sample] if raster.step > 1 else [codes])
    with rasterio.open(tmp_path / "new.tif") as dataset:
        assert dataset.profile["compress"] == "zstd"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        assert (dataset.read() == codes).all()
    window = Window(3, 5, shape[0] - 4, shape[1] - 9)
    for name in ("new.tif", "old.tif"):
        found = np.empty((len(BANDS), *window.shape), np.uint8)
        read_bands(tmp_path / name, range(len(BANDS)), window, found)
        assert (found == codes[:, *window.slices]).all()
        whole = np.empty(sample.shape, np.uint8)
        read_bands(tmp_path / name, range(len(BANDS)), Window(0, 0, *sample.shape[1:]), whole, sample=True)
        assert (whole == sample).all()


def test_an_observation_of_the_earlier_format_is_not_fetched_again(folder: Path, scene: Scene) -> None:
    first = archive(folder, scene)
    path = folder / f"{first.raster.stem}_v1.json"
    document = json.loads(path.read_bytes())
    document["properties"]["minewatch:digest"] = "c988a2f3e09018aa"
    path.write_bytes(sign_item(document))
    assert list_observations(folder, GRID)[KEY].raster == first.raster


def test_a_version_whose_raster_is_gone_leaves_the_one_before(tmp_path: Path, folder: Path, scene: Scene) -> None:
    first = archive(folder, scene)
    second = archive(folder, write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=900), name="b"), version=2)
    second.raster.unlink()
    assert list_observations(folder, GRID) == {KEY: first}


def test_an_item_of_an_older_format_is_made_anew_and_is_no_damage(folder: Path, scene: Scene) -> None:
    observation = archive(folder, scene)
    document = json.loads(observation.item.read_text())
    document["properties"] = {name: value for name, value in document["properties"].items() if name != "minewatch:refused"}
    document["properties"]["minewatch:digest"] = "0123456789abcdef"
    observation.item.write_text(json.dumps(document))
    assert list_observations(folder, GRID) == {}


@pytest.mark.parametrize("text", ["", '{"type": "Feature", "prop', "[]", "{}", '{"properties": {}}'])
def test_a_damaged_item_is_named_with_the_remedy(folder: Path, scene: Scene, text: str) -> None:
    observation = archive(folder, scene)
    observation.item.write_text(text)
    with pytest.raises(ArchiveError, match=r"damaged.*delete it") as caught:
        list_observations(folder, GRID)
    assert str(observation.item) in str(caught.value)


def test_an_archive_that_is_not_there_is_empty(folder: Path) -> None:
    assert list_observations(folder, GRID) == {}


# --- what an interruption leaves -------------------------------------------------------------------------------------


def test_the_item_comes_last(folder: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    temp = write_temp_raster(take_of(scene), GRID, folder)

    def pull_the_plug(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("minewatch.archive.publication.publish_bytes", pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            publish(temp, GRID, AREA, folder, 1)
    assert len(list(folder.glob("*.tif"))) == 1  # the raster is there already ...
    assert list_observations(folder, GRID) == {}  # ... and counts for nothing without its item
    again = archive(folder, scene)
    assert list_observations(folder, GRID) == {KEY: again}
    assert len(list(folder.glob("*.tif"))) == 1


def test_a_draft_is_no_observation_and_is_cleared_away(folder: Path, scene: Scene) -> None:
    kept = archive(folder, scene)
    temp = write_temp_raster(take_of(scene), GRID, folder)
    (folder / f"{TEMPORARY_PREFIX}x.json").write_text('{"type": "Fea')
    assert temp.path in find_drafts(folder)
    assert list_observations(folder, GRID) == {KEY: kept}
    remove_temp_rasters(folder)
    assert find_drafts(folder) == []
    assert list_observations(folder, GRID) == {KEY: kept}
    assert kept.raster.exists()


def test_a_published_draft_leaves_nothing_behind(folder: Path, scene: Scene) -> None:
    observation = archive(folder, scene)
    assert sorted(folder.iterdir()) == sorted([observation.raster, observation.item])


@pytest.mark.parametrize("band", ["scl", "red", "swir16"])
@pytest.mark.parametrize("fault", ["truncated", "missing", "a web page"])
def test_a_scene_that_cannot_be_read_leaves_no_file(folder: Path, tmp_path: Path, band: str, fault: str) -> None:
    noise = np.random.default_rng(1).integers(1, 9000, (HEIGHT, WIDTH))
    scene = write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=noise))
    path = Path(scene.hrefs[band])
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3] if fault == "truncated" else b"<html>")
    with pytest.raises(SceneError, match=rf"{scene.id}, {band}") as caught:
        write_temp_raster(take_of(scene), GRID, folder)
    assert caught.value.scene_id == scene.id
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path: Path, scene: Scene) -> None:
    (tmp_path / "output").write_text("a file in its place")
    with pytest.raises(WorkspaceError, match="cannot make the folder"):
        write_temp_raster(take_of(scene), GRID, tmp_path / "output" / "archive")


# --- what is left unread ---------------------------------------------------------------------------------------------

TALL, BROAD = 540, 1060
"""Two rows and three columns of cells of 512 pixels; the last ones are narrow."""


@dataclasses.dataclass
class Reads:
    """Counts what is asked of the scenes."""

    windows: list[tuple[str, Window]] = dataclasses.field(default_factory=list)

    def touches(self, row: int, column: int) -> bool:
        """True if a pixel was asked for in any band but SCL."""
        return any(
            w.row <= row < w.row + w.height and w.column <= column < w.column + w.width
            for band, w in self.windows
            if band != "scl"
        )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    counter, real = Reads(), SceneReader.read

    def count(self: SceneReader, band: str, window: Window) -> np.ndarray:
        counter.windows.append((band, window))
        return real(self, band, window)

    monkeypatch.setattr(SceneReader, "read", count)
    return counter


def draft_under_cloud(
    tmp_path: Path, folder: Path, columns: int, codes: Sequence[int] = (0, 9, 10)
) -> tuple[TempRaster, np.ndarray]:
    """Draft a scene whose first columns are covered; give the temp and its codes."""
    scl = np.full((TALL // 2, BROAD // 2), 4)
    scl[:, : columns // 2] = np.resize(codes, columns // 2)
    scene = write_scene(tmp_path, paint_bands(TALL, BROAD, scl=scl))
    temp = write_temp_raster(take_of(scene), lay_grid(TALL, BROAD), folder)
    with rasterio.open(temp.path) as raster:
        return temp, raster.read()


def test_a_cell_under_cloud_with_its_margin_is_left_unread(tmp_path: Path, folder: Path, reads: Reads) -> None:
    temp, codes = draft_under_cloud(tmp_path, folder, 512 + 20)
    assert temp.stats.unread_blocks == 2  # the first column of blocks
    assert not codes[SCL_BAND:, :, :512].any()
    assert (codes[SCL_BAND:, :, 532:] > 0).all()
    assert set(np.unique(codes[0, :, :512])) == {0, 9, 10}  # SCL is kept
    assert not reads.touches(0, 0)
    assert not reads.touches(539, 511)
    assert reads.touches(0, 512)
    covered = codes[0, :, 512:532]
    assert (codes[SCL_BAND, :, 512:532][covered > 0] > 0).all()  # cloud in a cell that was read has indices


def test_a_margin_that_is_not_wholly_covered_has_the_cell_read(tmp_path: Path, folder: Path, reads: Reads) -> None:
    temp, codes = draft_under_cloud(tmp_path, folder, 512 + 18)
    assert temp.stats.unread_blocks == 0
    assert reads.touches(0, 0)
    assert (codes[SCL_BAND:, codes[0] > 0] > 0).all()


@pytest.mark.parametrize("code", [3, 8, 11])
def test_under_other_classes_everything_is_read(tmp_path: Path, folder: Path, code: int) -> None:
    temp, codes = draft_under_cloud(tmp_path, folder, BROAD, (code,))
    assert temp.stats.unread_blocks == 0
    assert (codes > 0).all()


def test_a_scene_wholly_under_cloud_costs_its_classes_alone(tmp_path: Path, folder: Path, reads: Reads) -> None:
    temp, codes = draft_under_cloud(tmp_path, folder, BROAD, (9,))
    assert temp.stats.unread_blocks == 6
    assert {band for band, _ in reads.windows} == {"scl"}
    assert (codes[0] == 9).all()
    assert not codes[SCL_BAND:].any()


def test_a_pixel_without_class_has_no_index(tmp_path: Path, folder: Path) -> None:
    scl = np.full((HEIGHT // 2, WIDTH // 2), 4)
    scl[3, 3] = 0
    observation = archive(folder, write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, scl=scl)))
    stack = read_stack([observation], Window(6, 6, 2, 2))
    assert not stack.scl.any()
    assert all((stack.layer(layer.name) == NODATA).all() for layer in LAYERS)


# --- reading it ------------------------------------------------------------------------------------------------------


def test_a_stack_is_in_order_of_acquisition_and_cut_to_its_window(tmp_path: Path, folder: Path) -> None:
    made = []
    for number, days in enumerate((7, 0, 7)):
        bands = paint_bands(HEIGHT, WIDTH, scl=4 + number)
        bands["nir"][5:7, 8:11] = 400
        scene = write_scene(tmp_path, bands, name=f"s{number}", key=f"k{number}")
        made.append(archive(folder, scene, time=TIME + dt.timedelta(days=days)))
    stack = read_stack(made, Window(5, 8, 4, 6))
    first = to_day(TIME.date())
    assert stack.days.tolist() == [first, first + 7, first + 7]
    assert stack.days.dtype == np.int32
    assert stack.scl[:, 0, 0].tolist() == [5, 4, 6]
    assert stack.scl.shape == (3, 4, 6)
    ndvi = stack.layer("ndvi")[0]
    assert np.abs(ndvi[:2, :3]).max() <= 40  # nir equals red
    assert ndvi[2:, :].min() > 7000
    cut = stack.crop((slice(0, 2), slice(0, 3)))
    assert np.array_equal(cut.layer("ndvi")[0], ndvi[:2, :3])
    assert cut.scl.shape == (3, 2, 3)


def test_windows_that_are_read_together_inflate_a_block_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence and reports read the surroundings of many alerts, which share blocks."""
    side = ARCHIVE_BLOCK + 8
    grid = lay_grid(24, side)
    scene = write_scene(tmp_path, paint_bands(24, side))
    made = [archive(folder, scene, grid=grid, time=TIME - dt.timedelta(days=days), version=1 + days) for days in (0, 5)]
    windows = [Window(2, 3, 9, 12), Window(0, 500, 24, 20), Window(5, 8, 4, 6)]
    inflated: list[int] = []
    real = _inflate
    monkeypatch.setattr("minewatch.archive.raster._inflate", lambda *words: inflated.append(1) or real(*words))
    together = read_stacks(made, grid, windows)
    assert len(inflated) == 2 * len(made) * len(BANDS), "two blocks"
    alone = [read_stack(made, window) for window in windows]
    for window, stack in zip(windows, alone, strict=True):
        for name in ("days", "scl", "codes"):
            np.testing.assert_array_equal(getattr(together[window], name), getattr(stack, name))


def test_windows_are_batched_by_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = {
        name: Window(row, column, 10, 10) for name, row, column in (("a", 0, 0), ("b", 900, 0), ("c", 5, 20), ("d", 0, 700))
    }
    assert [list(batch) for batch in batch_windows(windows, 3)] == [["a", "c", "d", "b"]]
    monkeypatch.setattr("minewatch.archive.stack.LARGEST_STACKS", 2 * 3 * 100 * len(BANDS))
    assert [list(batch) for batch in batch_windows(windows, 3)] == [["a", "c"], ["d", "b"]]
    assert [len(batch) for batch in batch_windows(windows, 1000)] == [1, 1, 1, 1], "one at least"
    assert list(batch_windows({}, 3)) == []


def test_an_empty_stack_has_no_looks() -> None:
    stack = read_stack([], Window(0, 0, 4, 6))
    assert stack.days.shape == (0,)
    assert stack.layer("ndvi").shape == (0, 4, 6)


@pytest.mark.parametrize("fault", ["truncated", "missing", "no raster"])
def test_a_damaged_raster_is_named_with_the_remedy(folder: Path, tmp_path: Path, fault: str) -> None:
    noise = np.random.default_rng(1).integers(1, 9000, (HEIGHT, WIDTH))
    observation = archive(folder, write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, red=noise)))
    content = observation.raster.read_bytes()
    if fault == "missing":
        observation.raster.unlink()
    else:
        observation.raster.write_bytes(content[: len(content) // 2] if fault == "truncated" else b"nothing")
    with pytest.raises(ArchiveError, match="delete it") as caught:
        read_stack([observation], GRID.window)
    assert str(observation.raster) in str(caught.value)


# --- the raster ------------------------------------------------------------------------------------------------------


def write_raster(path: Path, codes: np.ndarray) -> None:
    """Write (band, y, x) codes cell by cell, in a random order."""
    writer = RasterWriter(path, lay_grid(*codes.shape[1:]))
    cells = [
        (row, column, band)
        for row in range(0, codes.shape[1], 512)
        for column in range(0, codes.shape[2], 512)
        for band in range(5)
    ]
    for row, column, band in np.random.default_rng(1).permutation(cells).tolist():
        part = codes[band, row : row + 512, column : column + 512]
        writer.write(Window(row, column, *part.shape), band, part)
    writer.close()


@pytest.mark.parametrize("shape", [(3, 7), (512, 512), (513, 1030), (1200, 700)])
def test_gdal_and_the_archive_read_the_same(tmp_path: Path, shape: tuple[int, int]) -> None:
    codes = np.random.default_rng(2).integers(0, 255, (5, *shape)).astype(np.uint8)
    codes[3, :512, :512] = 0  # a block that is left out
    write_raster(path := tmp_path / "raster.tif", codes)
    with rasterio.open(path) as raster:
        assert (raster.read() == codes).all()
        assert raster.overviews(1) == ([find_step(shape)] if find_step(shape) > 1 else [])
    window = Window(min(1, shape[0] - 1), min(2, shape[1] - 1), shape[0] - 1, shape[1] - 2)
    out = np.full((2, *window.shape), 77, np.uint8)
    read_bands(path, range(2, 4), window, out)
    assert (out == codes[2:4, *window.slices]).all()


def test_the_sample_is_every_nth_pixel_and_gdals_overview(tmp_path: Path) -> None:
    codes = np.random.default_rng(3).integers(1, 255, (5, 1100, 1030)).astype(np.uint8)
    write_raster(path := tmp_path / "raster.tif", codes)
    step = find_step((1100, 1030))
    assert step > 1
    sample = np.zeros((5, -(-1100 // step), -(-1030 // step)), np.uint8)
    read_bands(path, range(5), Window(0, 0, *sample.shape[1:]), sample, sample=True)
    assert (sample == codes[:, ::step, ::step]).all()
    with rasterio.open(path, overview_level=0) as overview:
        assert (overview.read() == sample).all()


@pytest.mark.parametrize("shape", [(10, 10), (512, 512), (2048, 2048), (4096, 4096), (10980, 10980), (40000, 50)])
def test_a_sample_is_small_and_not_smaller_than_it_must_be(shape: tuple[int, int]) -> None:
    step = find_step(shape)
    assert -(-shape[0] // step) * -(-shape[1] // step) <= SAMPLE_PIXELS
    assert step == 1 or -(-shape[0] // (step // 2)) * -(-shape[1] // (step // 2)) > SAMPLE_PIXELS


def test_a_small_area_is_its_own_sample(scene: Scene, folder: Path) -> None:
    observation = archive(folder, scene)
    (rows,) = sample_rows(GRID)
    stack, window = read_sample([observation], GRID, rows, 0)
    assert window == GRID.window
    assert (stack.codes == read_stack([observation], GRID.window).codes).all()


def test_one_overpass_is_written_for_many_areas(tmp_path: Path, scene: Scene) -> None:
    """Each area gets what it would get alone."""
    grids = [lay_grid(HEIGHT, WIDTH), lay_grid(HEIGHT // 2, WIDTH), lay_grid(HEIGHT, WIDTH // 2)]
    datatake = take_of(scene)
    together = write_temp_rasters([Target(datatake, grid, tmp_path / str(number)) for number, grid in enumerate(grids)])
    alone = [write_temp_raster(datatake, grid, tmp_path / "alone") for grid in grids]
    assert [temp.sha256 for temp in together if isinstance(temp, TempRaster)] == [temp.sha256 for temp in alone]


@pytest.mark.parametrize("kind", ["cut", "empty"])
def test_a_damaged_raster_is_named(scene: Scene, folder: Path, kind: str) -> None:
    observation = archive(folder, scene)
    data = observation.raster.read_bytes()
    damaged = {"cut": data[:-200], "empty": b""}[kind]
    observation.raster.write_bytes(damaged)
    with pytest.raises(ArchiveError, match="delete it, the next scan"):
        read_stack([observation], GRID.window)
