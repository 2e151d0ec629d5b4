"""The least cloudy image of a period: every pixel as it was on one clear day, and what was never clear stays open."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from pyproj import Transformer
from shapely.geometry import box

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.areas.grid import reproject
from minewatch.cli import main
from minewatch.core.errors import ImageError
from minewatch.core.text import format_percent
from minewatch.core.units import NODATA
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import open_index
from minewatch.products.images.chips.composite import compose_chip
from minewatch.settings.document import init_workspace
from tests.helpers.rasters import EPSG, LEFT, TOP, make_item, paint_bands, write_bands, write_catalog

SIDE, CLOUD = 120, 9
DAYS = {"2020-06-01": 1000, "2020-06-11": 2000, "2020-06-21": 3000}
PERIOD = dt.date(2020, 6, 1), dt.date(2020, 6, 30)


def make_workspace(folder: Path, clouds: dict[str, tuple[slice, slice]]) -> Workspace:
    """Make a catalogue with a scene a day, each of one brightness, with a cloud where it is said (in pixels of 20 m)."""
    items = []
    for day, number in DAYS.items():
        name = f"S2A_19LCF_{day.replace('-', '')}_0_L2A"
        scl = np.full((SIDE // 2, SIDE // 2), 4)
        scl[clouds[day]] = CLOUD
        write_bands(folder / "scenes" / name, paint_bands(SIDE, SIDE, red=number, green=number, blue=number, scl=scl))
        items.append(make_item(name, time=f"{day}T14:50:21Z", size=10 * SIDE))
    workspace = init_workspace(folder / "watch", source=str(write_catalog(folder / "scenes", items)))
    outline = box(LEFT + 100, TOP - 1100, LEFT + 1100, TOP - 100)
    area = reproject(outline, Transformer.from_crs(EPSG, 4326, always_xy=True))
    write_aoi(workspace, Aoi("spot", area, dt.date(2020, 1, 1)))
    return workspace


EVERYWHERE = (slice(None), slice(None))


def test_each_pixel_is_from_the_clearest_day_that_has_it_clear(tmp_path: Path) -> None:
    left, right = (slice(None), slice(0, 15)), (slice(None), slice(25, None))
    workspace = make_workspace(tmp_path, dict(zip(DAYS, (left, right, EVERYWHERE), strict=True)))
    index = open_index(workspace, "spot")
    chip = compose_chip(index, index.grid, PERIOD)
    assert [f"{part.date}" for part in chip.parts] == ["2020-06-01", "2020-06-11"]
    assert chip.date == dt.date(2020, 6, 11)
    assert chip.known.all()
    assert set(np.unique(chip.values)) == {1000, 2000}, "no pixel is a blend of days"
    assert chip.values[50, 5, 0] == 2000
    assert chip.values[50, 90, 0] == 1000
    shares = [float((chip.values[..., 0] == number).mean()) for number in (1000, 2000)]
    assert [part.share for part in chip.parts] == pytest.approx(shares)


def test_what_is_never_clear_stays_open_and_is_told(tmp_path: Path) -> None:
    middle = (slice(20, 40), slice(20, 40))
    workspace = make_workspace(tmp_path, dict.fromkeys(DAYS, middle))
    words = ["-w", str(workspace.root), "image", "spot", "--date", "2020-06-30", "--since", "2020-06-01", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert [part["date"] for part in facts["parts"]] == ["2020-06-21"], "of days that are equally clear the newest"
    assert Path(facts["files"]["png"]).name == "spot-2020-06-21-to-2020-06-21-true-colour.png"
    with rasterio.open(facts["files"]["tif"]) as raster:
        opacity, tags = raster.read(4), raster.tags()
    hidden = float((opacity == 0).mean())
    assert hidden > 0.1
    assert opacity[50, 50] == 0
    assert opacity[2, 2] == 255
    assert float(tags["never_clear"]) == pytest.approx(hidden, abs=1e-4)
    assert tags["dates"] == f"2020-06-21 {1 - hidden:.4f}"
    assert any(f"never clear: {format_percent(hidden, 1)}" in note for note in facts["notes"])


def test_the_edge_of_a_frame_shows_nothing(tmp_path: Path) -> None:
    """Clouds beyond the frame count as far as they do within it: strips and frames leave no seam."""
    workspace = make_workspace(tmp_path, dict.fromkeys(DAYS, (slice(20, 40), slice(20, 40))))
    index = open_index(workspace, "spot")
    whole = compose_chip(index, index.grid, PERIOD)
    geobox = index.grid.geobox[0:60, 0:40]
    part = compose_chip(index, type(index.grid)(geobox, index.grid.area), PERIOD)
    assert (part.values == whole.values[:60, :40]).all()
    assert (whole.values == NODATA).any()


def test_a_period_without_clear_ground_is_no_image(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, dict.fromkeys(DAYS, EVERYWHERE))
    index = open_index(workspace, "spot")
    with pytest.raises(ImageError, match=r"no clear ground in any image of area 'spot' from 2020-06-01 to 2020-06-30"):
        compose_chip(index, index.grid, PERIOD)
    words = ["-w", str(workspace.root), "image", "spot", "--date", "2020-06-01", "--since", "2020-06-30"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "ends before it begins" in result.stderr
