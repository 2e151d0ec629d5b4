"""Plain GeoTIFFs read without GDAL: the same pixels as rasterio gives, and nothing from files that lie."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st

from minewatch.raster import tiff_header as geotiff
from minewatch.raster.blocks import BlockCache, BlockFile, Prefetcher
from minewatch.raster.tiff_directory import BlockError
from minewatch.raster.tiff_header import Box, Layout, read_layout
from tests.helpers.rasters import EPSG, LEFT, TOP, write_raster

TILED = {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate", "predictor": 2}


def make_noise(height: int, width: int, dtype: str = "uint16") -> np.ndarray:
    random = np.random.default_rng(7)
    # Half of it is smooth, so that it can be compressed.
    noise = random.integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)
    return np.where(np.arange(width) < width // 2, noise, 77).astype(dtype)


def read_box(layout: Layout, box: Box) -> np.ndarray:
    file = BlockFile(layout, BlockCache(), Prefetcher())
    try:
        return file.read(box)
    finally:
        file.close()


def lay_out(path: Path) -> Layout:
    layout = read_layout(str(path))
    assert layout is not None
    return layout


def read_whole(path: Path) -> np.ndarray:
    layout = lay_out(path)
    return read_box(layout, (0, 0, *layout.shape))


sides = st.integers(1, 90)
places = st.integers(-40, 120)
blocks = st.fixed_dictionaries(
    {"tiled": st.just(True), "blockxsize": st.sampled_from([16, 48]), "blockysize": st.sampled_from([16, 32])}
)
strips = st.fixed_dictionaries({"tiled": st.just(False), "blockysize": st.integers(1, 100)})
codings = st.sampled_from([{}, *({"compress": name, "predictor": p} for name in ("deflate", "zstd") for p in (1, 2))])
containers = st.fixed_dictionaries({"BIGTIFF": st.sampled_from(["YES", "NO"]), "dtype": st.sampled_from(["uint8", "uint16"])})


@settings(max_examples=150, deadline=None, database=None)
@given(sides, sides, st.one_of(blocks, strips), codings, containers, st.tuples(places, places, places, places))
def test_pixels_are_those_of_rasterio(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, blocking: Any, coding: Any, container: Any, corners: Box
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tif"
    pixels = make_noise(height, width, container["dtype"])
    write_raster(path, pixels, **blocking, **coding, **container)
    layout = lay_out(path)
    with rasterio.open(path) as raster:
        assert (layout.shape, layout.transform) == (raster.shape, raster.transform)
        assert rasterio.CRS.from_wkt(layout.crs) == raster.crs
    top, bottom = sorted(corners[:2])
    left, right = sorted(corners[2:])
    expected = np.zeros((bottom - top, right - left), np.uint16)
    inner = layout.clip((top, left, bottom, right))
    if inner[0] < inner[2] and inner[1] < inner[3]:
        part = pixels[inner[0] : inner[2], inner[1] : inner[3]]
        expected[inner[0] - top : inner[2] - top, inner[1] - left : inner[3] - left] = part
    assert np.array_equal(read_box(layout, (top, left, bottom, right)), expected)


def test_a_cog_with_overviews_is_read_at_full_resolution(tmp_path: Path) -> None:
    pixels = make_noise(600, 700)
    path = write_raster(tmp_path / "a.tif", pixels, driver="COG", compress="deflate", predictor="YES", blocksize=128)
    layout = lay_out(path)
    assert (layout.block, layout.predictor) == ((128, 128), 2)
    assert np.array_equal(read_box(layout, (0, 0, 600, 700)), pixels)


@pytest.mark.parametrize("nodata", [None, 0, 7, 65_535])
def test_blocks_that_are_not_there_are_what_gdal_says(tmp_path: Path, nodata: int | None) -> None:
    pixels = np.zeros((64, 64), np.uint16)
    pixels[:10, :10] = 500
    path = tmp_path / "a.tif"
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": 64,
        "width": 64,
        "dtype": "uint16",
        "crs": f"EPSG:{EPSG}",
        "nodata": nodata,
    }
    with rasterio.open(
        path, "w", **profile, **TILED, SPARSE_OK=True, transform=rasterio.Affine(10, 0, LEFT, 0, -10, TOP)
    ) as raster:
        raster.write(pixels[:32, :16], 1, window=rasterio.windows.Window(0, 0, 16, 32))
    with rasterio.open(path) as raster:
        expected = raster.read(1)
    assert not lay_out(path).counts.all()
    assert np.array_equal(read_whole(path), expected)
    assert expected[-1, -1] == (nodata or 0)


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw"},
        {"compress": "deflate", "ENDIANNESS": "BIG"},
        {"compress": "deflate", "NBITS": 12},
        {"compress": "jpeg", "dtype": "uint8"},
        {"dtype": "uint32"},
        {"dtype": "int16"},
        {"dtype": "float32"},
        {"epsg": None},
        {"driver": "PNG"},
    ],
    ids=str,
)
def test_other_files_are_left_to_gdal(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = (make_noise(40, 40) % 100).astype(options.get("dtype", "uint16"))
    path = write_raster(tmp_path / "a.tif", pixels, **{"tiled": True, "blockxsize": 16, "blockysize": 16} | options)
    if options.get("driver") == "PNG":
        with pytest.raises(rasterio.errors.RasterioIOError):
            read_layout(str(path))
    else:
        assert read_layout(str(path)) is None


@pytest.mark.parametrize("bands", [2, 3])
def test_several_bands_are_left_to_gdal(tmp_path: Path, bands: int) -> None:
    assert read_layout(str(write_raster(tmp_path / "a.tif", np.ones((bands, 20, 20), np.uint8)))) is None


@pytest.mark.parametrize("href", ["/vsicurl/http://x/a.tif", "ftp://x/a.tif", "http://user:word@127.0.0.1:9/a.tif"])
def test_other_addresses_are_left_to_gdal(href: str) -> None:
    assert read_layout(href) is None


def test_who_set_up_gdals_way_to_the_web_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_BEARER", "token")
    assert read_layout("http://127.0.0.1:9/a.tif") is None


def test_large_blocks_are_left_to_gdal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_raster(tmp_path / "a.tif", make_noise(64, 64), **TILED)
    monkeypatch.setattr(geotiff, "LARGEST_BLOCK", 16 * 32 * 2 - 1)
    assert read_layout(str(path)) is None


def test_a_table_behind_the_head_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = make_noise(320, 320)
    path = write_raster(tmp_path / "a.tif", pixels, **TILED)
    monkeypatch.setattr(geotiff, "HEAD", 400)
    assert np.array_equal(read_whole(path), pixels)


def test_a_header_longer_than_the_head_is_read_to_its_end(tmp_path: Path) -> None:
    """With pages of metadata before what places it, and before the overview."""
    pixels = make_noise(320, 320)
    plain = tmp_path / "plain.tif"
    with rasterio.open(write_raster(plain, pixels, **TILED), "r+") as file:
        file.update_tags(HISTORY="n" * 50_000)
    rasterio.shutil.copy(plain, tmp_path / "a.tif", driver="COG", compress="deflate", blocksize=128, overview_count=2)
    layout = read_layout(str(tmp_path / "a.tif"), coarsest=20.0)
    assert layout is not None
    assert layout.overview is not None
    assert layout.overview.shape == (160, 160)
    assert 50_000 < layout.header < 60_000
    assert np.array_equal(read_whole(tmp_path / "a.tif"), pixels)


# --- files that lie --------------------------------------------------------------------------------------------------


def find_entry(data: bytes, tag: int) -> tuple[int, int, int]:
    """Return where the directory entry of a tag is in a little TIFF, its type and its count."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        found, kind, length = struct.unpack_from("<HHI", data, entry)
        if found == tag:
            return entry, kind, length
    raise AssertionError(f"no tag {tag}")


def patch_table(path: Path, tag: int, value: int, index: int = 0) -> None:
    """Change one number of a table of blocks."""
    data = bytearray(path.read_bytes())
    entry, kind, length = find_entry(data, tag)
    code = {3: "<H", 4: "<I"}[kind]
    size = struct.calcsize(code)
    place = entry + 8 if size * length <= 4 else struct.unpack_from("<I", data, entry + 8)[0]
    struct.pack_into(code, data, place + index * size, value)
    path.write_bytes(data)


@pytest.fixture
def tiled(tmp_path: Path) -> Path:
    # Random numbers, so that the counts of bytes need more than two bytes each.
    pixels = np.random.default_rng(1).integers(0, 65_535, (600, 600), np.uint16)
    return write_raster(tmp_path / "a.tif", pixels, tiled=True, blockxsize=256, blockysize=256, compress="deflate", predictor=1)


def test_absurd_counts_are_refused_before_anything_is_read(tiled: Path) -> None:
    patch_table(tiled, 325, 2**31)
    with pytest.raises(BlockError, match="cannot be"):
        read_layout(str(tiled))


def test_an_offset_behind_the_end_is_refused(tiled: Path) -> None:
    patch_table(tiled, 324, 2**32 - 5)
    with pytest.raises(BlockError, match="cut short"):
        read_whole(tiled)


@pytest.mark.parametrize("tag", [324, 325])
def test_a_table_of_another_length_is_not_used(tiled: Path, tag: int) -> None:
    data = bytearray(tiled.read_bytes())
    entry, _, length = find_entry(data, tag)
    struct.pack_into("<I", data, entry + 4, length - 1)
    tiled.write_bytes(data)
    assert read_layout(str(tiled)) is None


@pytest.mark.parametrize("tag", [322, 323])
@pytest.mark.parametrize("side", [0, 16, 65_520])
def test_a_block_of_another_size_is_not_used(tiled: Path, tag: int, side: int) -> None:
    patch_table(tiled, tag, side)
    try:
        layout = read_layout(str(tiled))
    except rasterio.errors.RasterioIOError:
        return
    assert layout is None


@pytest.mark.parametrize("place", [0, 1, 2, 500, -1])
def test_a_damaged_block_is_refused(tiled: Path, place: int) -> None:
    layout = lay_out(tiled)
    data = bytearray(tiled.read_bytes())
    data[int(layout.offsets[1, 1]) + place % int(layout.counts[1, 1])] ^= 0xFF
    tiled.write_bytes(data)
    assert read_box(layout, (0, 0, 256, 600)).any()  # the row of blocks above is sound
    with pytest.raises(BlockError, match="damaged"):
        read_box(layout, (300, 300, 301, 301))


@pytest.mark.parametrize("pixels", [0, 10, 256 * 256 - 1, 256 * 256 + 1, 2**26])
def test_a_block_that_becomes_more_or_fewer_pixels_is_refused(tiled: Path, pixels: int) -> None:
    layout = lay_out(tiled)
    packed = zlib.compress(bytes(pixels * 2), 9)
    data = bytearray(tiled.read_bytes())
    assert len(packed) <= layout.counts[1, 1]
    place = int(layout.offsets[1, 1])
    data[place : place + len(packed)] = packed
    tiled.write_bytes(data)
    with pytest.raises(BlockError):
        read_box(layout, (300, 300, 301, 301))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@settings(max_examples=300, deadline=None, database=None)
@given(st.integers(0, 999), st.integers(0, 255), st.integers(0, 999), st.integers(0, 255))
def test_no_header_does_harm(tmp_path_factory: pytest.TempPathFactory, place: int, value: int, other: int, another: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.tif"
    if not path.exists():
        write_raster(path, make_noise(64, 64), **TILED)
    sound = path.read_bytes()
    data = bytearray(sound)
    data[place % len(data)], data[other % len(data)] = value, another
    path.write_bytes(data)
    try:
        layout = read_layout(str(path))
        if layout and np.prod(layout.shape) < 2**24:
            read_box(layout, (0, 0, *layout.shape))
    except (OSError, rasterio.errors.RasterioError):
        pass
    finally:
        path.write_bytes(sound)
