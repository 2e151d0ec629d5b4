"""The simulator: files that are what they say, pixels that agree with the truth, seeds that mean something."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry import box

from minewatch.core.errors import SimulationError
from minewatch.simulation.series import SimulatedSeries, simulate_series
from minewatch.simulation.settings import Simulation, demo_simulation, temperate_simulation, tropical_simulation
from minewatch.simulation.stac import name_square
from minewatch.simulation.weather import find_sun

TINY = Simulation(
    seed=11,
    width=120,
    height=96,
    first=dt.date(2022, 5, 1),
    last=dt.date(2023, 7, 31),
    changes_from=dt.date(2022, 10, 1),
    revisit_days=15,
    missing=0,
    cloudiness=0.3,
    mines=2,
    burns=0,
    landslides=0,
)
BRIEF = dataclasses.replace(TINY, width=48, height=64, last=dt.date(2022, 6, 15), changes_from=None, mines=0, clearings=0)
LEGAL_SCL = range(12)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    """Return one small tropical series with two mines."""
    return simulate_series(tmp_path_factory.mktemp("tiny"), TINY)


def read_items(series: SimulatedSeries) -> list[pystac.Item]:
    """Open the catalogue and give its items in order of acquisition."""
    items = pystac.Catalog.from_file(str(series.catalog)).get_items(recursive=True)
    return sorted(items, key=lambda item: item.properties["datetime"])


def read_asset(item: pystac.Item, key: str) -> NDArray[Any]:
    """Read all pixels of one asset."""
    with rasterio.open(item.assets[key].get_absolute_href()) as source:
        pixels: NDArray[Any] = source.read(1)
        return pixels


def read_reflectance(item: pystac.Item, key: str) -> NDArray[np.float64]:
    """Read reflectance as a reader of Earth Search has to."""
    late = item.properties["s2:processing_baseline"] >= "04.00"
    shift = 1000 if late and not item.properties["earthsearch:boa_offset_applied"] else 0
    return (read_asset(item, key).astype(np.float64) - shift) / 10000


def read_ndvi(item: pystac.Item) -> NDArray[np.float64]:
    """Compute NDVI at 10 m."""
    red, nir = (read_reflectance(item, key) for key in ("red", "nir"))
    return (nir - red) / np.maximum(nir + red, 1e-3)


def list_files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder by its relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_settings_give_same_bytes(tmp_path: Path, tiny: SimulatedSeries) -> None:
    again = simulate_series(tmp_path / "again", TINY)
    assert list_files(again.catalog.parent) == list_files(tiny.catalog.parent)


def test_other_seed_gives_other_pixels(tmp_path: Path) -> None:
    one, two = (simulate_series(tmp_path / str(seed), dataclasses.replace(BRIEF, seed=seed, missing=0)) for seed in (1, 2))
    pairs = zip(read_items(one), read_items(two), strict=True)
    assert all((read_asset(a, "nir") != read_asset(b, "nir")).mean() > 0.5 for a, b in pairs)


def test_longer_period_keeps_earlier_weather(tmp_path: Path) -> None:
    short = simulate_series(tmp_path / "short", BRIEF)
    long = simulate_series(tmp_path / "long", dataclasses.replace(BRIEF, last=dt.date(2022, 9, 1)))
    ours, theirs = list_files(short.catalog.parent), list_files(long.catalog.parent)
    assert long.item_count > short.item_count
    scenes = {name: content for name, content in ours.items() if name.startswith("S2")}
    assert scenes == {name: theirs[name] for name in scenes}


def test_catalogue_is_valid_and_counts_its_items(tiny: SimulatedSeries) -> None:
    items = read_items(tiny)
    assert len(items) == tiny.item_count == 31
    assert all(TINY.first <= item.datetime.date() <= TINY.last for item in items if item.datetime)
    assert len({item.properties["s2:datatake_id"] for item in items}) == len(items)
    catalog = json.loads(tiny.catalog.read_text())
    assert [link["href"] for link in catalog["links"]] == ["./catalog.json", "./collection.json"]


def test_items_say_what_readers_need(tiny: SimulatedSeries) -> None:
    for path in tiny.catalog.parent.glob("*/*.json"):  # as written: pystac would bring it up to its own version
        item = json.loads(path.read_text())
        said = item["properties"]
        assert said["proj:epsg"] == tiny.epsg == 32719
        assert said["proj:code"] == "EPSG:32719"
        assert said["grid:code"] == "MGRS-19LDF"
        assert said["platform"] in {"sentinel-2a", "sentinel-2b"}
        assert 0 <= said["eo:cloud_cover"] <= 100
        assert said["s2:processing_baseline"] == "02.14"
        assert said["earthsearch:boa_offset_applied"] is False
        assert all(item["assets"][k]["raster:bands"][0]["offset"] == 0 for k in ("blue", "swir16"))


@pytest.mark.parametrize("key", ["blue", "green", "red", "nir", "swir16", "scl"])
def test_assets_are_cogs_on_the_lattice(tiny: SimulatedSeries, key: str) -> None:
    side = 20 if key in ("swir16", "scl") else 10
    item = read_items(tiny)[3]
    with rasterio.open(item.assets[key].get_absolute_href()) as source:
        assert source.dtypes == ("uint8" if key == "scl" else "uint16",)
        assert source.nodata == 0
        assert source.crs.to_epsg() == tiny.epsg
        assert source.res == (side, side)
        assert source.transform.c % 20 == 0
        assert source.transform.f % 20 == 0
        assert source.shape == (960 // side, 1200 // side)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.block_shapes == [(128, 128)]
        assert list(source.shape) == item.assets[key].extra_fields["proj:shape"]
        assert list(source.transform)[:6] == item.assets[key].extra_fields["proj:transform"]


def test_large_images_have_overviews(tmp_path: Path) -> None:
    wide = dataclasses.replace(BRIEF, width=1200, last=dt.date(2022, 5, 2))
    series = simulate_series(tmp_path, wide)
    with rasterio.open(read_items(series)[0].assets["red"].get_absolute_href()) as source:
        assert source.block_shapes == [(1024, 1024)]
        assert source.overviews(1) == [2, 4, 8, 16]


def test_bbox_lies_inside_the_scenes(tiny: SimulatedSeries) -> None:
    item = read_items(tiny)[0]
    west, south, east, north = tiny.bbox
    with rasterio.open(item.assets["red"].get_absolute_href()) as source:
        inside = gpd.GeoSeries([box(*tiny.bbox)], crs=4326).to_crs(source.crs).total_bounds
        assert source.bounds.left <= inside[0] < inside[2] <= source.bounds.right
        assert source.bounds.bottom <= inside[1] < inside[3] <= source.bounds.top
    assert west < TINY.longitude < east
    assert south < TINY.latitude < north


def test_scl_is_legal_and_blank_where_bands_are(tiny: SimulatedSeries) -> None:
    found: set[int] = set()
    for item in read_items(tiny):
        scl, red = read_asset(item, "scl"), read_asset(item, "red")
        found |= set(np.unique(scl).tolist())
        assert ((np.repeat(np.repeat(scl, 2, 0), 2, 1) == 0) == (red == 0)).all()
    assert found <= set(LEGAL_SCL)
    assert {4, 5, 9} <= found


def test_truth_has_the_columns_of_the_scoring_tool(tiny: SimulatedSeries) -> None:
    sites = gpd.read_file(tiny.truth, layer="sites")
    names = [
        "site",
        "source",
        "kind",
        "onset",
        "first_clear",
        "second_clear",
        "looks",
        "growing",
        "area_ha",
        "geometry",
    ]
    assert list(sites.columns) == names
    assert list(gpd.read_file(tiny.truth, layer="ignore").columns) == ["kind", "geometry"]
    assert sites.crs.to_epsg() == tiny.epsg
    assert sorted(sites["kind"]) == ["mining", "mining", "temporary"]
    assert (sites.geometry.geom_type == "Polygon").all()
    assert (np.concatenate([g.exterior.coords for g in sites.geometry]) % 10 == 0).all()
    assert sites["area_ha"].to_numpy() == pytest.approx(sites.area.to_numpy() / 10000)


def test_looks_are_dates_of_scenes_after_the_onset(tiny: SimulatedSeries) -> None:
    days = {item.datetime.date().isoformat() for item in read_items(tiny) if item.datetime}
    sites = gpd.read_file(tiny.truth, layer="sites")
    for site in sites[sites["kind"] == "mining"].itertuples():
        looks = json.loads(site.looks)
        assert looks == sorted(looks)
        assert len(looks) >= 3
        assert set(looks) <= days
        assert site.onset <= looks[0] == site.first_clear
        assert looks[1] == site.second_clear


def test_pixels_agree_with_the_truth(tiny: SimulatedSeries) -> None:
    items = {item.datetime.date().isoformat(): item for item in read_items(tiny) if item.datetime}
    sites = gpd.read_file(tiny.truth, layer="sites")
    with rasterio.open(next(iter(items.values())).assets["red"].get_absolute_href()) as source:
        shape, transform = source.shape, source.transform
    for site in sites[sites["kind"] == "mining"].itertuples():
        mask = rasterize([site.geometry], shape, transform=transform, dtype="uint8").astype(bool)
        looks = json.loads(site.looks)
        after = read_ndvi(items[looks[-1]])
        before = [read_ndvi(item)[mask] for day, item in items.items() if day < site.onset]
        assert np.median(after[mask]) < 0.4
        assert max(np.median(values) for values in before) > 0.75
        assert np.median(after) > 0.6


def test_cleared_ground_is_half_green_at_first_and_forest_within_seven_months(tmp_path: Path) -> None:
    year = {"first": dt.date(2022, 8, 1), "last": dt.date(2023, 9, 30), "changes_from": dt.date(2022, 9, 1)}
    alone = {"seed": 12, "mines": 0, "clearings": 0, "cleared": 1}
    series = simulate_series(tmp_path, dataclasses.replace(TINY, cloudiness=0, width=96, **year, **alone))
    (site,) = gpd.read_file(series.truth, layer="sites").itertuples()
    ignored = gpd.read_file(series.truth, layer="ignore")
    assert (site.kind, site.source) == ("clearing", "cleared")
    assert ignored.geometry.iloc[0].equals(site.geometry)
    seen = {}
    for item in read_items(series):
        assert item.datetime
        with rasterio.open(item.assets["red"].get_absolute_href()) as source:
            mask = rasterize([site.geometry], source.shape, transform=source.transform, dtype="uint8").astype(bool)
        seen[(item.datetime.date() - dt.date.fromisoformat(site.onset)).days] = float(np.median(read_ndvi(item)[mask]))
    looks = [(dt.date.fromisoformat(day) - dt.date.fromisoformat(site.onset)).days for day in json.loads(site.looks)]
    assert len(looks) >= 3
    assert 0 <= looks[0] <= looks[-1] <= 150
    assert np.median([ndvi for age, ndvi in seen.items() if age < 0]) > 0.78
    assert 0.2 < min(seen[age] for age in looks if age <= 60) < 0.6
    assert all(0.2 < seen[age] < 0.75 for age in looks)
    assert min(ndvi for age, ndvi in seen.items() if age >= 210) > 0.7


@pytest.mark.parametrize("climate", ["tropical", "temperate"])
def test_undisturbed_summer_forest_is_dense(tmp_path: Path, climate: str) -> None:
    south = climate == "tropical"
    day = dt.date(2022, 6, 20)
    clear = Simulation(
        seed=3, width=120, height=120, longitude=-69.9 if south else 22.1, latitude=-12.7 if south else 45.2,
        first=day, last=day + dt.timedelta(2), cloudiness=0, missing=0, climate="tropical" if south else "temperate",
        mines=0, clearings=0, burns=0, landslides=0,
    )  # fmt: skip
    item = read_items(simulate_series(tmp_path, clear))[0]
    blue, red, nir = (read_reflectance(item, key)[::2, ::2] for key in ("blue", "red", "nir"))
    swir = read_reflectance(item, "swir16")
    bsi = ((swir + red) - (nir + blue)) / (swir + red + nir + blue)
    assert 0.78 < np.median(read_ndvi(item)) < 0.95
    assert np.median(bsi) < -0.2


def test_both_ways_of_the_offset_give_the_same_reflectance(tmp_path: Path) -> None:
    shifted = dataclasses.replace(BRIEF, offset_share=1.0, offset_applied=False)
    applied = dataclasses.replace(BRIEF, offset_share=1.0, offset_applied=True)
    ours, theirs = (read_items(simulate_series(tmp_path / str(k), s)) for k, s in enumerate((shifted, applied)))
    for one, other in zip(ours, theirs, strict=True):
        assert one.properties["s2:processing_baseline"] == other.properties["s2:processing_baseline"] >= "04.00"
        assert one.assets["red"].extra_fields["raster:bands"][0]["offset"] == -0.1
        assert one.properties["earthsearch:boa_offset_applied"] is False
        assert other.properties["earthsearch:boa_offset_applied"] is True
        for key in ("blue", "nir", "swir16"):
            seen = read_asset(other, key) > 1
            assert np.array_equal(read_reflectance(one, key)[seen], read_reflectance(other, key)[seen])


def test_progress_counts_every_scene(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    series = simulate_series(tmp_path, BRIEF, lambda done, total: calls.append((done, total)))
    assert calls == [(k + 1, series.item_count) for k in range(series.item_count)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"width": 101}, "even"),
        ({"height": 20}, "pixels"),
        ({"latitude": 85.0}, "UTM"),
        ({"last": dt.date(2020, 1, 1)}, "after first date"),
        ({"changes_from": dt.date(2030, 1, 1)}, "changes_from"),
        ({"revisit_days": 0}, "revisit_days"),
        ({"cloudiness": 1.2}, "cloudiness"),
        ({"climate": "polar"}, "temperate or tropical"),
        ({"mines": -1}, "mines"),
    ],
)
def test_bad_settings_are_one_clear_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SimulationError, match=words) as caught:
        dataclasses.replace(TINY, **change)
    assert "\n" not in str(caught.value)


def test_too_many_mines_have_no_room(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="no forest left"):
        simulate_series(tmp_path, dataclasses.replace(BRIEF, mines=60))


@pytest.mark.parametrize("settings", [demo_simulation(), tropical_simulation(1), temperate_simulation(1)])
def test_presets_are_valid(settings: Simulation) -> None:
    assert settings.mines >= 3
    assert settings.changes_start > settings.first + dt.timedelta(365)


def test_squares_match_real_tiles() -> None:
    assert name_square(33, 47.35, 550_000, 5_245_000) == "33TWN"
    assert name_square(31, 48.85, 452_000, 5_411_000) == "31UDQ"
    assert name_square(37, -1.28, 255_000, 9_858_000) == "37MBU"


def test_sun_stands_where_it_should() -> None:
    azimuth, elevation = find_sun(dt.date(2022, 6, 21), 12, 47.0)
    assert azimuth == pytest.approx(180, abs=0.5)
    assert elevation == pytest.approx(66.45, abs=0.5)
