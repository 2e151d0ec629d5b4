"""Where an area lies and what is implausible about it: tiles, overpasses, land and sea, the order of numbers, dates, names."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import re
from pathlib import Path

import pytest

from minewatch.areas.aoi import Aoi, bbox_geometry, check_size, write_aoi
from minewatch.areas.area_files import refuse_taken
from minewatch.areas.doubts import list_doubts
from minewatch.areas.grid import lonlat_from
from minewatch.areas.location import count_overpasses, locate_area
from minewatch.areas.sentinel_tiles import list_tiles
from minewatch.core.errors import AoiError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from minewatch.settings.pipeline import Pipeline

TODAY = dt.date(2025, 6, 1)
PAMPA = (-70.1337, -13.0271, -69.8663, -12.8729)


def make_area(*numbers: float, **changes: object) -> Aoi:
    return dataclasses.replace(Aoi("a", bbox_geometry(numbers or PAMPA), dt.date(2024, 1, 1)), **changes)  # type: ignore[arg-type]


def around(lon: float, lat: float, size: float = 0.02) -> Aoi:
    width = size / math.cos(math.radians(lat))
    return make_area(lon - width, lat - size, lon + width, lat + size)


def doubt(area: Aoi) -> str:
    return "\n".join(list_doubts(area, locate_area(area), Pipeline(), TODAY))


def test_an_area_says_where_it_lies() -> None:
    line = "12.95° S, 70.00° W; 29 × 17 km; tiles 19LCF, 19LDF; about 73 overpasses a year"
    assert locate_area(make_area()).describe() == line
    assert doubt(make_area()) == ""


@pytest.mark.parametrize(
    ("lon", "lat", "tiles"),
    [
        (15.5, 47.5, ["33TWN"]),
        (16.2, 48.2, ["33UWP"]),  # its square begins in band T
        (35.5, 33.9, ["36SYC"]),
        (-46.6, -23.8, ["23KLP"]),
        (-3.7, 40.4, ["30TVK"]),
        (11.9, 48.2, ["32UQU", "33UTP"]),  # of two zones
        (179.98, -17.0, ["01KAB", "60KZG"]),  # across 180°
        (20.3, 0.0, ["34MDE", "34NDF"]),
    ],
)
def test_tiles_are_those_of_the_catalogues(lon: float, lat: float, tiles: list[str]) -> None:
    assert list_tiles(around(lon, lat).geometry) == tiles


@pytest.mark.shared
def test_tiles_of_real_items_are_named_as_their_catalogues_do(shared: Path) -> None:
    checked = set()
    for path in (shared / "data" / "stac-items").glob("*.json"):
        item = json.loads(path.read_text())
        properties, assets = item["properties"], item["assets"]
        name = re.search(r"[0-9]{1,2}[A-Z]{3}", properties.get("s2:mgrs_tile") or properties["grid:code"])
        left, top = next(asset["proj:transform"] for asset in assets.values() if "proj:transform" in asset)[2:6:3]
        lon, lat = lonlat_from(int(properties["proj:epsg"])).transform(left + 54_900, top - 54_900)
        assert name is not None
        assert name[0].zfill(5) in list_tiles(around(lon, lat, 0.001).geometry)
        checked.add(name[0])
    assert len(checked) == 3


def test_overpasses_grow_towards_the_poles() -> None:
    assert [count_overpasses(lat) for lat in (0, -13, 45, 62)] == [(73, 73), (73, 73), (73, 146), (146, 219)]


def test_what_is_implausible_is_said() -> None:
    assert "lies at sea, some 710 km from land" in doubt(around(-29.95, -12.93))
    assert "11 × 11 m is a few pixels" in doubt(make_area(-70, -12.95, -69.9999, -12.9499))
    assert "is in the future" in doubt(make_area(monitor_from=dt.date(2031, 1, 1)))
    assert "few or no images for its baseline" in doubt(make_area(monitor_from=dt.date(2016, 12, 31)))
    assert doubt(make_area(monitor_from=dt.date(2017, 1, 1))) == ""
    assert doubt(around(155.48, -6.32)) == "", "an island with a mine"


def test_swapped_numbers_are_told_with_those_that_are_meant() -> None:
    west, south, east, north = PAMPA
    meant = "--bbox -70.1337,-13.0271,-69.8663,-12.8729"
    assert f"swapped it is 12.95° S, 70.00° W, on land: write {meant}" in doubt(make_area(south, west, north, east))
    wide = make_area(west, east, south, north, large=True)
    assert "28,568,654 km² is as large as a country" in doubt(wide)
    assert meant in doubt(wide)
    with pytest.raises(AoiError, match=f"west and east first.*{meant}"):
        check_size(dataclasses.replace(wide, large=False))
    for numbers in ((-1.2, 113.8, -1.0, 114.1), (113.8, -1.0, 114.1, -1.2), (114.1, -1.2, 113.8, -1.0)):
        with pytest.raises(AoiError, match=r"write --bbox 113\.8,-1\.2,114\.1,-1$"):
            bbox_geometry(numbers)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = init_workspace(tmp_path / "watch")
    write_aoi(made, make_area(name="Rio-Azul"))
    return made


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rio-AZUL", "same file as area 'Rio-Azul'"),
        ("Ｒio-Azul", "same file as area 'Rio-Azul'"),  # of full width
        ("Ri\u0301o", "Unicode NFD"),
        ("aux", "Windows keeps it"),
        ("Com1.north", "Windows keeps it"),
        ("pit.", "dot at its end"),
        ("\U00020000" * 60, "200 bytes"),
    ],
)
def test_names_that_do_not_do_on_every_disk_are_refused(workspace: Workspace, name: str, reason: str) -> None:
    with pytest.raises(AoiError, match=reason):
        refuse_taken(workspace, name)


def test_names_that_only_look_like_reserved_ones_are_taken(workspace: Workspace) -> None:
    for name in ("console", "com10", "Río", "nul-2"):
        refuse_taken(workspace, name)
