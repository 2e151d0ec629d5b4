"""The valley of docs/first-month.md: its scenes, shown as the days go by, and the maps that its analyst has."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
from shapely.geometry import Polygon, box

from minewatch.simulation.series import SimulatedSeries, simulate_series
from minewatch.simulation.settings import Simulation
from tests.helpers.small import list_scenes, name_scenes

VALLEY = Simulation(
    seed=1,
    longitude=-70.0,
    latitude=-12.9,
    width=150,
    height=150,
    first=dt.date(2023, 3, 1),
    last=dt.date(2025, 7, 25),
    changes_from=dt.date(2025, 3, 1),
    revisit_days=10,
    cloudiness=0.3,
    mines=3,
    clearings=0,
    burns=0,
)
"""A mine that begins in March, a small one in April, one in May, and a landslide in June."""

LOWER_VALLEY, OLD_FORD, RESERVE = (
    box(-70.0066, -12.9064, -70.0011, -12.8966),
    box(-70.0009, -12.8985, -69.9934, -12.8936),
    box(-70.0009, -12.9064, -69.9934, -12.8989),
)

REPROCESSED = "reprocessed"
"""Folder of a second catalogue, which has the scenes of this year with a newer baseline."""


@dataclass(frozen=True)
class Valley:
    """Its catalogue on the disk."""

    series: SimulatedSeries
    names: list[str]
    """Of all scenes, by date."""

    @property
    def folder(self) -> Path:
        """What a web server serves."""
        return self.series.catalog.parent

    def show(self, now: dt.datetime) -> None:
        """Let the catalogues list what was taken before a day."""
        today = f"{now:%Y%m%d}"
        names = [name for name in self.names if name.split("_")[2] < today]
        list_scenes(self.series, names)
        newer = self.folder / REPROCESSED
        known = [name for name in (rename(one) for one in names) if (newer / name).is_dir()]
        list_scenes(replace(self.series, catalog=newer / "catalog.json"), known)


def rename(name: str) -> str:
    return name.replace("_0_L2A", "_1_L2A")


def make_valley(folder: Path) -> Valley:
    """Simulate the scenes, and process those of this year again."""
    series = simulate_series(folder, VALLEY)
    names = name_scenes(series)
    newer = folder / REPROCESSED
    newer.mkdir()
    for name in ("catalog.json", "collection.json"):
        shutil.copy(folder / name, newer / name)
    for name in [one for one in names if one.split("_")[2] >= "2025"]:
        home = shutil.copytree(folder / name, newer / rename(name))
        item = json.loads((home / f"{name}.json").read_text("utf-8"))
        (home / f"{name}.json").unlink()
        item = item | {"id": home.name, "properties": item["properties"] | {"s2:processing_baseline": "03.00"}}
        (home / f"{home.name}.json").write_text(json.dumps(item), "utf-8")
    return Valley(series, names)


def write_maps(folder: Path) -> None:
    """Write the outlines in the forms in which people have them."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pyogrio")  # of the layer's name
        frame = gpd.GeoDataFrame({"Name": ["Lower valley"]}, geometry=[LOWER_VALLEY], crs=4326)
        frame.to_file(folder / "lower-valley.kml", driver="KML")
    reserve = gpd.GeoDataFrame({"NAME": ["Reserve"]}, geometry=[RESERVE], crs=4326)
    reserve.to_crs(32719).to_file(folder / "reserve.shp")
    (folder / "old-ford.gpx").write_text(_track_around(OLD_FORD), "utf-8")


def _track_around(area: Polygon) -> str:
    """Return a track as receivers write it, which ends some metres from where it began."""
    *corners, (east, south) = area.exterior.coords
    points = "".join(f'<trkpt lat="{lat}" lon="{lon}"/>' for lon, lat in [*corners, (east - 2e-5, south + 4e-5)])
    track = f"<trk><name>round the old ford</name><trkseg>{points}</trkseg></trk>"
    return f'<gpx version="1.1" creator="GPS" xmlns="http://www.topografix.com/GPX/1/1">{track}</gpx>'
