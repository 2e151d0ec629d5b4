"""Other systems' rasters as second witnesses, each in its published coding (docs/witnesses.md)."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from shapely.geometry import box

from minewatch.alerts.cells import is_empty
from minewatch.alerts.corroboration import options
from minewatch.alerts.corroboration.codings import CODINGS
from minewatch.alerts.corroboration.corroboration import corroborate_alerts, remove_source
from minewatch.alerts.corroboration.rasters import RasterReading, read_rasters
from minewatch.alerts.corroboration.sighting import HIGH, HIGHEST, LEVELS, LOW, UNSTATED, Region, to_day
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.errors import ExternalAlertError
from minewatch.core.workspace import Workspace
from tests.helpers.alert_rasters import LONLAT, UTM, patch, write_raster
from tests.helpers.small import copy_workspace, make_scanned, scan_small

REGION = Region("spot", (-70.05, -13.05, -69.95, -12.95))
DAY = dt.date(2024, 6, 11)
SINCE_2020 = (DAY - dt.date(2020, 12, 31)).days
SINCE_2014 = (DAY - dt.date(2014, 12, 31)).days
SINCE_2018 = (DAY - dt.date(2018, 12, 31)).days
YYDOY, DOY = int(f"{DAY:%y%j}"), int(f"{DAY:%j}")
OPERA = "OPERA_L3_DIST-ALERT-{}_T19LCG_20240620T150000Z_20240622T010101Z_{}_30_{}"
HLS, HLS_V0, S1 = OPERA.format("HLS", "S2A", "v1"), OPERA.format("HLS", "S2A", "v0.1"), OPERA.format("S1", "S1A", "v0.1")


def read(*paths: Path, coding: str | None = None, least: int = UNSTATED) -> RasterReading:
    return read_rasters(paths, [REGION], coding, least)


def write_pair(folder: Path, status: str, date: str, codes: Any, dates: Any, **form: Any) -> tuple[Path, Path]:
    return write_raster(folder / status, [codes], **form), write_raster(folder / date, [dates], **form)


def opera(name: str, layer: str, code: int) -> Callable[[Path], tuple[Path, ...]]:
    """Return what writes status and date of a granule, in UTM and in strips, as OPERA's numbers are: uint8 and int16."""
    form = {"epsg": 32719, "origin": UTM, "tiled": False}
    codes, dates = patch(code, background=255), patch(SINCE_2020, "int16", background=-1)
    return lambda folder: write_pair(
        folder, f"{name}_{layer}-DIST-STATUS.tif", f"{name}_{layer}-DIST-DATE.tif", codes, dates, **form
    )  # fmt: skip


def one(name: str, value: int, dtype: str = "uint16") -> Callable[[Path], tuple[Path, ...]]:
    """Return what writes a tile with day and confidence in one number."""
    return lambda folder: (write_raster(folder / name, [patch(value, dtype)], nodata=0),)


def glad_s2(folder: Path) -> tuple[Path, ...]:
    name = "080W_20S_070W_10S.tif"
    return write_pair(folder, f"alert/{name}", f"alertDate/{name}", patch(4), patch(SINCE_2018, "uint16"))


SYSTEMS: dict[str, tuple[Callable[[Path], tuple[Path, ...]], str, str, int]] = {
    "first, below 50 %": (opera(HLS, "VEG", 1), "opera-hls", "DIST-ALERT HLS", LOW),
    "provisional, 50 % and more": (opera(HLS, "VEG", 5), "opera-hls", "DIST-ALERT HLS", LOW),
    "confirmed, below 50 %": (opera(HLS, "VEG", 3), "opera-hls", "DIST-ALERT HLS", HIGH),
    "confirmed and finished": (opera(HLS, "VEG", 8), "opera-hls", "DIST-ALERT HLS", HIGH),
    "all land cover": (opera(HLS, "GEN", 6), "opera-hls", "DIST-ALERT HLS", HIGH),
    "confirmed in version 0": (opera(HLS_V0, "VEG", 2), "opera-hls-v0", "DIST-ALERT HLS", HIGH),
    "provisional in version 0": (opera(HLS_V0, "VEG", 3), "opera-hls-v0", "DIST-ALERT HLS", LOW),
    "radar, low": (opera(S1, "GEN", 3), "opera-s1", "DIST-ALERT S1", LOW),
    "radar, high": (opera(S1, "GEN", 5), "opera-s1", "DIST-ALERT S1", HIGH),
    "RADD of GFW": (one("wur_radd_alerts/10S_080W.tif", 20_000 + SINCE_2014), "gfw", "RADD", LOW),
    "GLAD-L of GFW": (one("umd_glad_landsat_alerts_v2024.tif", 30_000 + SINCE_2014, "int32"), "gfw", "GLAD-L", HIGH),
    "GLAD-S2 of GFW": (one("umd_glad_sentinel2_alerts.tif", 30_000 + SINCE_2014), "gfw", "GLAD-S2", HIGH),
    "integrated": (one("gfw_integrated_alerts.tif", 40_000 + SINCE_2014), "gfw", "GFW integrated", HIGHEST),
    "RADD of WUR, two bands": (
        lambda folder: (
            write_raster(folder / "export.tif", [patch(3, "uint16"), patch(YYDOY, "uint16")], names=("Alert", "Date")),
        ),
        "radd-wur",
        "RADD",
        HIGH,
    ),
    "RADD of WUR, two bands and a name of one": (
        lambda folder: (
            write_raster(folder / "radd_date.tif", [patch(3, "uint16"), patch(YYDOY, "uint16")], names=("Alert", "Date")),
        ),
        "radd-wur",
        "RADD",
        HIGH,
    ),
    "RADD of WUR, two files": (
        lambda folder: write_pair(folder, "radd_sa_alert.tif", "radd_sa_date.tif", patch(2), patch(YYDOY, "uint16")),
        "radd-wur",
        "RADD",
        LOW,
    ),
    "GLAD-L of UMD": (
        lambda folder: write_pair(folder, "alert24_080W_20S.tif", "alertDate24_080W_20S.tif", patch(3), patch(DOY, "uint16")),
        "glad-l",
        "GLAD-L",
        HIGH,
    ),
    "GLAD-S2 of UMD": (glad_s2, "glad-s2", "GLAD-S2", HIGH),
}  # fmt: skip


@pytest.mark.parametrize("case", SYSTEMS)
def test_each_coding_is_read_as_it_is_published(tmp_path: Path, case: str) -> None:
    make, coding, system, level = SYSTEMS[case]
    reading = read(*make(tmp_path))
    assert (reading.coding, reading.system, reading.rows) == (coding, system, 100)
    (shape,), sightings = reading.sightings["spot"].shapes, reading.sightings["spot"]
    assert (sightings.days.tolist(), sightings.levels.tolist()) == ([to_day(DAY)], [level])
    size, west, north = LONLAT
    if not case.startswith(("first", "prov", "conf", "all", "radar")):
        square = box(west + 100 * size, north - 110 * size, west + 110 * size, north - 100 * size)
        assert shape.symmetric_difference(square).area < 1e-12


def test_a_folder_is_read_whole_and_layers_that_say_nothing_are_left(tmp_path: Path) -> None:
    opera(HLS, "VEG", 6)(tmp_path)
    opera(HLS, "GEN", 6)(tmp_path)
    write_raster(tmp_path / f"{HLS}_VEG-DIST-CONF.tif", [patch(900, "int16")], 32719, UTM)
    far = opera(HLS.replace("T19LCG", "T30NAA"), "VEG", 6)(tmp_path)
    for path, pixels in zip(far, (patch(6), patch(SINCE_2020, "int16")), strict=True):
        write_raster(path, [pixels], 32630, UTM)
    reading = read(tmp_path)
    assert (reading.rows, reading.tiles) == (100, 2)
    assert reading.notes == [
        "1 layer beside status and date: not needed",
        "2 layers of all land cover (GEN): those of vegetation (VEG) are taken",
        "1 of 2 rasters reaches the areas",
    ]


def test_patches_of_several_days_and_levels_stay_apart(tmp_path: Path) -> None:
    pixels = patch(20_000 + SINCE_2014, "uint16")
    pixels[100:105, 100:110] = 30_000 + SINCE_2014
    pixels[105:110, 100:103] = 20_001 + SINCE_2014
    path = write_raster(tmp_path / "wur_radd_alerts.tif", [pixels])
    sightings = read(path).sightings["spot"]
    found = sorted(zip((sightings.days - to_day(DAY)).tolist(), (LEVELS[n] for n in sightings.levels.tolist()), strict=True))
    assert found == [(0, "high"), (0, "low"), (1, "low")]
    assert read(path, least=HIGH).sightings["spot"].levels.tolist() == [HIGH]


def test_a_date_to_come_is_left_out_and_told(tmp_path: Path) -> None:
    reading = read(write_raster(tmp_path / "wur_radd_alerts.tif", [patch(39_999, "uint16")], nodata=0))
    assert (reading.rows, reading.sightings) == (0, {})
    assert any(note.startswith("100 pixels near the areas with an alert and a date to come") for note in reading.notes)


def test_the_names_of_codings_have_one_list() -> None:
    assert tuple(CODINGS) == options.CODINGS


# --- what cannot be used ---------------------------------------------------------------------------------------------


def bad(name: str, pixels: Any, **form: Any) -> Callable[[Path], tuple[Path, ...]]:
    return lambda folder: (write_raster(folder / name, [pixels], **form),)


def other_place(folder: Path) -> tuple[Path, ...]:
    status, _ = opera(HLS, "VEG", 6)(folder)
    return status, write_raster(folder / f"{HLS}_VEG-DIST-DATE.tif", [patch(9, "int16")], 32719, (30.0, 389_030.0, 8_565_000.0))


def text(folder: Path) -> tuple[Path, ...]:
    (folder / "wur_radd_alerts.tif").write_text("no raster")
    return (folder / "wur_radd_alerts.tif",)


GFW_RADD = 30_000 + SINCE_2014


def two_systems(folder: Path) -> tuple[Path, ...]:
    return *one("wur_radd_alerts.tif", GFW_RADD)(folder), *opera(S1, "GEN", 6)(folder)


@pytest.mark.parametrize(
    ("make", "coding", "message"),
    [
        (bad("a.tif", patch(GFW_RADD, "uint16")), None, "cannot be told from its name; .*--coding: opera-hls, .*glad-s2$"),
        (bad("radd_peru.tif", patch(24163, "uint16")), None, "two ways; say which with --coding: gfw, radd-wur$"),
        (bad("GEN-DIST-DATE.tif", patch(9, "int16")), None, "two ways; .*: opera-hls, opera-s1$"),
        (bad("umd_glad_dist_alerts.tif", patch(21431, "uint16")), None, "two starting days"),
        (bad("OPERA_L3_DIST-ANN-HLS_VEG-DIST-STATUS.tif", patch(9)), None, "annual summary"),
        (bad("wur_radd_alerts.tif", patch(7, "uint16")), None, "has the number 7, which the coding gfw does not have"),
        (bad("wur_radd_alerts.tif", patch(10_500, "uint16")), None, "has the number 10500"),
        (bad("wur_radd_alerts.tif", patch(GFW_RADD, "float32")), None, "of type float32, and should be whole"),
        (bad("wur_radd_alerts.tif", patch(GFW_RADD, "uint16"), epsg=None), None, "does not say where on earth it lies"),
        (bad(f"{HLS}_VEG-DIST-STATUS.tif", patch(6)), None, "does not say when: give the raster with the dates too"),
        (bad(f"{HLS}_VEG-DIST-CONF.tif", patch(6)), None, "neither whether nor when"),
        (bad("alertDate_080W.tif", patch(60, "uint16")), "glad-l", "days of a year that its name does not tell"),
        (bad("radd_date.tif", patch(24_400, "uint16")), "radd-wur", "has the number 24400"),
        (bad("alertDate24_080W.tif", patch(60)), None, "type uint8, too small for dates"),
        (other_place, None, "VEG-DIST-STATUS.tif and .*VEG-DIST-DATE.tif do not match"),
        (opera(HLS, "VEG", 9), None, "has the number 9, which the coding opera-hls does not have"),
        (text, None, "cannot be read: it is damaged, or no GeoTIFF"),
        (lambda folder: (folder,), None, "holds no GeoTIFF"),
        (lambda folder: (folder / "none.tif",), "gfw", "there is no file"),
        (two_systems, None, "of several systems"),
    ],
)  # fmt: skip
def test_a_raster_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, make: Callable[[Path], tuple[Path, ...]], coding: str | None, message: str
) -> None:
    with pytest.raises(ExternalAlertError, match=message) as raised:
        read(*make(tmp_path), coding=coding)
    assert "\n" not in str(raised.value)


def test_a_raster_that_is_cut_off_is_one_clear_line(tmp_path: Path) -> None:
    (path,) = one("wur_radd_alerts.tif", GFW_RADD)(tmp_path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ExternalAlertError, match="damaged, or no GeoTIFF"):
        read(path)


def test_noise_is_no_raster_of_alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.alerts.corroboration.rasters.MOST_PATCHES", 100)
    noise = np.random.default_rng(1).integers(20_001, 24_000, (60, 60)).astype(np.uint16)
    with pytest.raises(ExternalAlertError, match="more than 100 patches near spot; is it a raster of alerts"):
        read(write_raster(tmp_path / "wur_radd_alerts.tif", [noise]))


def count_bytes() -> int:
    """Return how many bytes this process has read."""
    found = re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())
    assert found
    return int(found.group(1))


def test_of_a_large_raster_only_what_is_near_is_read(tmp_path: Path) -> None:
    import rasterio  # noqa: PLC0415
    from rasterio.transform import from_origin  # noqa: PLC0415
    from rasterio.windows import Window  # noqa: PLC0415

    path, side = tmp_path / "wur_radd_alerts.tif", 8000
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=1, dtype="uint16", crs="EPSG:4326",
        transform=from_origin(-70.4, -12.6, 0.0001, 0.0001), tiled=True, blockxsize=400, blockysize=400,
    ) as raster:  # fmt: skip
        raster.write(patch(GFW_RADD, "uint16"), 1, window=Window(3800, 3800, 300, 300))
    assert path.stat().st_size > 100e6
    before = count_bytes()
    assert read(path).rows == 100
    assert count_bytes() - before < 8e6, "the region is a hundredth of the file"


# --- in the table ----------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace with two alerts."""
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "workspace")


def run(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words])


def largest(workspace: Workspace) -> Any:
    return read_alerts(workspace.alerts).sort_values("area_ha").iloc[-1]


def write_radd(workspace: Workspace, path: Path, day: dt.date, low: bool = False) -> Path:
    """Write RADD's tile of the area as Global Forest Watch has it: the largest alert, of a day, and a patch far from it."""
    row = largest(workspace)
    bounds = row.geometry.bounds
    west, north = bounds[0] - 0.005, bounds[3] + 0.005
    pixels = np.zeros((200, 200), np.uint16)
    left, top = (int((bounds[0] - west) / 0.0001), int((north - bounds[3]) / 0.0001))
    pixels[top : top + 15, left : left + 15] = (20_000 if low else 30_000) + (day - dt.date(2014, 12, 31)).days
    return write_raster(path, [pixels], origin=(0.0001, west, north))


def test_a_raster_says_for_each_alert_who_saw_it_how_sure_and_how_much_earlier(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    day = row.first_seen.date() - dt.timedelta(days=12)
    path = write_radd(workspace, tmp_path / "wur_radd_alerts.tif", day)
    answer = json.loads(run(workspace, "alerts", "corroborate", str(path), "--json").stdout)
    (agreement,) = answer["agreements"]
    lead = {"days_before_first_seen": 12, "days_before_confirmed": (row.confirmed_on.date() - day).days}
    expected = {"name": "RADD", "first": str(day), "confidence": "high", "inside": True, "distance_m": 0.0, **lead}
    assert (answer["name"], answer["coding"]) == ("RADD", "gfw")
    assert {name: agreement[name] for name in expected} == expected
    after = largest(workspace)
    assert after.witnesses == f"RADD {day} (inside, high)"
    assert (after.witness_first.date(), after.witness_lead) == (day, 12)
    assert json.loads(after.witness_basis) == [
        {name: fact for name, fact in agreement.items() if name not in ("alert_id", "date")}
    ]
    shown = json.loads(run(workspace, "alerts", "show", row.alert_id, "--json").stdout)
    assert shown["witness_basis"] == json.loads(after.witness_basis)
    words = "12 days before ours was first seen"
    assert words in run(workspace, "alerts", "show", row.alert_id).stdout
    assert words in run(workspace, "explain", row.alert_id).stdout


def test_the_same_raster_changes_nothing_and_a_table_made_anew_says_the_same(workspace: Workspace, tmp_path: Path) -> None:
    day = largest(workspace).first_seen.date()
    path = write_radd(workspace, tmp_path / "wur_radd_alerts.tif", day)
    assert corroborate_alerts(workspace, path).added
    before, columns = largest(workspace), ["witnesses", "witness_first", "witness_lead", "witness_basis"]
    kept = workspace.external_sources.read_bytes()
    assert corroborate_alerts(workspace, [path]).added == []
    assert workspace.external_sources.read_bytes() == kept
    workspace.alerts.unlink()
    scan_small(workspace)
    assert largest(workspace)[columns].tolist() == before[columns].tolist()
    assert remove_source(workspace, "RADD") == 1
    after = largest(workspace)
    assert (after.witnesses, after.witness_basis) == ("", "")
    assert is_empty(after.witness_first)
    assert is_empty(after.witness_lead)


def test_only_sure_alerts_count_where_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    path = write_radd(workspace, tmp_path / "wur_radd_alerts.tif", largest(workspace).first_seen.date(), low=True)
    answer = run(workspace, "alerts", "corroborate", str(path), "--confidence", "high")
    assert (answer.exit_code, "no dated alert near an area" in answer.stderr) == (0, True)
    assert run(workspace, "alerts", "corroborate", str(path)).exit_code == 0
    assert largest(workspace).witnesses.endswith("(inside, low)")
    table = tmp_path / "a.csv"
    row = largest(workspace)
    table.write_text(f"latitude,longitude,alert__date\n{row.lat},{row.lon},{row.first_seen:%Y-%m-%d}\n")
    refused = run(workspace, "alerts", "corroborate", str(table), "--name", "GLAD", "--confidence", "high")
    assert (refused.exit_code, "does not say how sure" in refused.stderr) == (1, True)


def test_the_confidence_of_a_table_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    row, table = largest(workspace), tmp_path / "a.csv"
    rows = [f"{row.lat},{row.lon},{row.first_seen:%Y-%m-%d},{word}" for word in ("nominal", "highest")]
    head = "latitude,longitude,gfw_integrated_alerts__date,gfw_integrated_alerts__confidence"
    table.write_text("\n".join([head, *rows]) + "\n")
    corroborate_alerts(workspace, table, "GFW")
    assert largest(workspace).witnesses == f"GFW {row.first_seen:%Y-%m-%d} (inside, highest)"
