"""Whether a raster is whole: what is judged without GDAL is judged as GDAL does."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from minewatch.raster import cog
from minewatch.raster.damage import _is_whole, find_damage
from tests.helpers.small import plain_environment

PLACE = Affine(10, 0, 300_000, 0, -10, 8_600_000)


def write(
    path: Path, dtype: str = "int16", side: int = 700, bands: int = 1, crs: str | None = "EPSG:32719", **options: str
) -> Path:
    """Write a COG of noise, as scans write theirs."""
    values = np.random.default_rng(1).integers(0, 200, (bands, side, side)).astype(dtype)
    source = path.with_name("source.tif")
    profile = {"driver": "GTiff", "dtype": dtype, "count": bands, "height": side, "width": side, "crs": crs, "transform": PLACE}
    with rasterio.open(source, "w", **profile) as raster:
        raster.write(values)
    rasterio.shutil.copy(source, path, driver="COG", **{"compress": "deflate", "predictor": "yes", "blocksize": "512"} | options)
    return path


def passes(path: Path) -> bool:
    with path.open("rb") as file:
        return _is_whole(file)


@pytest.mark.parametrize(
    ("dtype", "side", "bands", "options"),
    [
        ("uint8", 700, 1, {"predictor": "no"}),
        ("int16", 700, 1, {}),
        ("uint16", 60, 1, {}),
        ("float32", 513, 1, {}),
        ("uint8", 700, 4, {}),
        ("int16", 700, 1, {"bigtiff": "yes"}),
    ],
)
def test_a_whole_raster_needs_no_gdal(tmp_path: Path, dtype: str, side: int, bands: int, options: dict[str, str]) -> None:
    path = write(tmp_path / "a.tif", dtype, side, bands, **options)
    assert passes(path)
    assert find_damage(path) == ""


@pytest.mark.parametrize("options", [{"compress": "zstd"}, {"compress": "none"}])
def test_other_kinds_are_left_to_gdal(tmp_path: Path, options: dict[str, str]) -> None:
    path = write(tmp_path / "a.tif", **options, **({"predictor": "no"} if options["compress"] == "none" else {}))
    assert not passes(path)
    assert find_damage(path) == ""


def test_a_raster_that_is_nowhere_is_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", crs=None)
    assert find_damage(path) == cog.find_damage(path) != ""


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_every_cut_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", side=300)
    data = path.read_bytes()
    for length in (0, 1, 3, 7, 100, 200, 400, 1000, len(data) // 2, len(data) - 2000, len(data) - 40):
        path.write_bytes(data[:length])
        assert find_damage(path) == f"{path} is cut off or damaged", length


def test_gdal_judges_a_last_tile_with_other_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    data[-5000:-4000] = bytes(1000)
    path.write_bytes(data)
    with pytest.raises(zlib.error):
        passes(path)
    assert find_damage(path) == cog.find_damage(path)


def test_rasterio_is_not_loaded_for_a_whole_raster(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    code = "from minewatch.raster.damage import *; import sys; assert not find_damage(Path(sys.argv[1])); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, path], env=plain_environment(), capture_output=True, text=True, check=True)
    assert not {"rasterio", "numpy"} & set(done.stdout.split())
