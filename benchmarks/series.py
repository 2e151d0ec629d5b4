"""A synthetic series: what it is made from, and how the benchmarks use it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks import scene_pixels
from benchmarks.outlines import PIXEL, Frame, draw_rectangle, draw_river, outline_pixels
from minewatch.areas.aoi import Aoi, GridHint, write_aoi
from minewatch.areas.grid import make_grid
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace

EPSG, LEFT, TOP, TILE = 32719, 399960, 8600020, "19LDF"
"""Where the tile lies: the corner of its first pixel, metres."""

PLACE = (EPSG, float(LEFT), float(TOP))
"""The same, for outlines."""

BANDS = {"blue": ("B02", 10), "red": ("B04", 10), "nir": ("B08", 10), "swir16": ("B11", 20), "scl": ("SCL", 20)}
"""Asset to file and pixel size; the order is that of the numbers in ``scene_pixels``."""

CLOUDY = (0, 0.2, 0, 0.5, 0.1, 0, 0.3, 0.05, 0, 0.5, 1, 0.1, 0, 0.3, 0, 0.5, 0.05, 0, 0.2, 0.1, 0, 0.5, 0.6, 0.1)
"""Share of clouds of the scenes of a baseline, over and over."""

CLOUDY_LATER = (0, 0.3, 1, 0.1, 0.5, 0)
"""The same of the scenes that are watched."""

FORMAT = 1
"""Changes when series are written in another way; those in the cache are then made anew."""


@dataclass(frozen=True)
class Settings:
    """Everything a series depends on."""

    size: int = 4096
    """Pixels of 10 m along each side, even."""
    before: int = 24
    """Scenes of the baseline."""
    after: int = 6
    """Scenes that are watched."""
    spacing: int = 15
    """Days between scenes of the baseline."""
    spacing_after: int = 10
    """Days between scenes that are watched."""
    monitor_from: dt.date = dt.date(2025, 1, 1)
    """First date that may raise an alert."""
    cloudy: bool = True
    """False: no clouds at all."""
    seed: int = 1

    @property
    def digest(self) -> str:
        """Name that changes with the settings and with the code that makes the pixels."""
        code = Path(scene_pixels.__file__).read_bytes()
        return hashlib.sha256(f"{FORMAT} {self}".encode() + code).hexdigest()[:10]

    @property
    def days(self) -> list[dt.date]:
        """Dates of the scenes."""
        one = dt.timedelta(days=1)
        history = [self.monitor_from - (3 + self.spacing * k) * one for k in reversed(range(self.before))]
        return history + [self.monitor_from + (3 + self.spacing_after * k) * one for k in range(self.after)]

    @property
    def clouds(self) -> list[float]:
        """Share of clouds of each scene."""
        if not self.cloudy:
            return [0.0] * (self.before + self.after)
        return [CLOUDY[k % len(CLOUDY)] for k in range(self.before)] + [CLOUDY_LATER[k % 6] for k in range(self.after)]


def choose_settings(size: int, scenes: int) -> Settings:
    """Return the series of the benchmarks: a year and two months up to 60 scenes, else three years and one."""
    if scenes > 60:
        after = round(scenes * 41 / 151)
        return Settings(size, scenes - after, after, spacing=10)
    after = max(2, scenes // 5)
    before = scenes - after
    return Settings(size, before, after, spacing=360 // before, cloudy=scenes >= 20)


@dataclass(frozen=True)
class Series:
    """A series on disk."""

    folder: Path
    settings: Settings

    @property
    def catalog(self) -> Path:
        """Its root document."""
        return self.folder / "catalog.json"

    @property
    def truth(self) -> Path:
        """Its mines."""
        return self.folder / "truth.gpkg"

    @property
    def until(self) -> dt.date:
        """The day of the last scene."""
        return self.settings.days[-1]

    @cached_property
    def items(self) -> list[str]:
        """Ids of its items, by date."""
        return [name_item(day) for day in self.settings.days]

    def file(self, item: str, band: str) -> Path:
        """Path of one asset."""
        return self.folder / item / f"{BANDS[band][0]}.tif"

    @property
    def whole(self) -> Frame:
        """All its pixels."""
        return 0, 0, self.settings.size, self.settings.size

    def area(self, name: str = "whole", frame: Frame | None = None) -> Aoi:
        """Make an area as a user draws it: the largest rectangle in lon/lat that lies in a frame, or in the whole series."""
        return Aoi(name, draw_rectangle(frame or self.whole, PLACE), self.settings.monitor_from)

    def river(self) -> Aoi:
        """Make an area that is a river."""
        return Aoi("river", draw_river(self.settings.size, PLACE), self.settings.monitor_from)

    def aligned(self, name: str = "whole", frame: Frame | None = None) -> Aoi:
        """Make an area of exactly these pixels (even numbers), for figures that count each of them."""
        outline = outline_pixels(frame or self.whole, PLACE)
        return Aoi(name, outline, self.settings.monitor_from, grid=GridHint(EPSG, (LEFT, TOP)))

    def workspace(self, folder: Path, areas: Sequence[Aoi]) -> Workspace:
        """Make a fresh workspace with areas and this series as its source."""
        workspace = init_workspace(folder, source=str(self.catalog))
        for area in areas:
            write_aoi(workspace, area)
        return workspace


def find_frame(area: Aoi) -> Frame:
    """Return the pixels of a series that the grid over an area has."""
    left, bottom, right, top = make_grid(area).bounds
    edges = TOP - top, left - LEFT, TOP - bottom, right - LEFT
    first, second, third, fourth = (round(edge / PIXEL) for edge in edges)
    return first, second, third, fourth


def name_item(day: dt.date) -> str:
    """Return an item's id."""
    return f"S2A_{TILE}_{day:%Y%m%d}_0_L2A"


def open_series(folder: Path) -> Series:
    """Return a series that was written."""
    values = json.loads((folder / "series.json").read_text("utf-8"))
    return Series(folder, Settings(**values | {"monitor_from": dt.date.fromisoformat(values["monitor_from"])}))
