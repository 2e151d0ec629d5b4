"""The doctor names what is wrong with the data behind an area, and nothing that is right."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from pystac import Item
from scipy import ndimage
from shapely.geometry import box

from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.cli import main
from minewatch.core.errors import AoiError, ArchiveError, MinewatchError, SourceError
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.operations.doctor.catalogue_items import CatalogueItem, read_catalogue_item
from minewatch.operations.doctor.checks import CheckOutcome, DataCheck, Examination, ExaminedData
from minewatch.operations.doctor.duplicates import check_duplicates
from minewatch.operations.doctor.examination import examine_area
from minewatch.operations.doctor.late_items import check_late, check_unfetched
from minewatch.operations.doctor.offsets import check_recorded_offsets, infer_offset_error
from minewatch.operations.doctor.orbits import CYCLE, SATELLITES, Overpass, check_missing, find_tracks, solar_day
from minewatch.operations.doctor.reference_pixels import ReferencePixels, find_median, find_peers
from minewatch.operations.doctor.registration import estimate_shift, join_shifts
from minewatch.operations.doctor.valid_pixels import check_valid_pixels
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.small import NAME, UNTIL, copy_series, make_scanned, make_series, make_workspace, scan_small

SOUND = ["offset", "offset in pixels", "duplicates", "valid pixels", "broken numbers", "not in the archive"]
"""Checks that a simulated series passes."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    """A small catalogue that no test may change."""
    return make_series(tmp_path_factory)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace that no test may change."""
    return make_scanned(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def examination(workspace: Workspace) -> Examination:
    return examine_area(workspace, NAME)


@pytest.fixture(scope="module")
def data(examination: Examination) -> ExaminedData:
    return examination.data


def find_check(examination: Examination, name: str) -> DataCheck:
    return next(check for check in examination.checks if check.name == name)


def run(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "doctor", *words], catch_exceptions=False)


def make_item(name: str, time: str, **facts: Any) -> CatalogueItem:
    """Make an item of tile 19LCF as a catalogue lists it."""
    when = dt.datetime.fromisoformat(time).replace(tzinfo=dt.UTC)
    usual: dict[str, Any] = {
        "key": f"s2a_{when:%Y%m%dT%H%M%S}",
        "tile": "19LCF",
        "baseline": (5, 9),
        "orbit": None,
        "cloud_cover": 10.0,
        "published": None,
        "processed": None,
        "footprint": box(-71, -14, -69, -12),
    }
    return CatalogueItem(id=name, time=when, **(usual | facts))


# --- the whole command -----------------------------------------------------------------------------------------------


def test_a_sound_archive_is_sound(examination: Examination) -> None:
    found = {check.name: check.outcome for check in examination.checks}
    assert [found[name] for name in SOUND] == [CheckOutcome.OK] * len(SOUND)
    assert found["late items"] is CheckOutcome.UNKNOWN
    assert examination.faults == 0


def test_the_table_and_json_tell_the_same(workspace: Workspace, examination: Examination) -> None:
    table, data = run(workspace, NAME), run(workspace, NAME, "--json")
    assert (table.exit_code, data.exit_code) == (0, 0)
    facts = json.loads(data.stdout)
    assert [check["check"] for check in facts["checks"]] == [check.name for check in examination.checks]
    assert (facts["aoi"], facts["faults"], facts["until"]) == (NAME, 0, UNTIL.isoformat())
    for check in facts["checks"]:
        assert check["result"] in ("ok", "look", "fault", "cannot tell")
        assert f"{check['check']} " in table.stdout
    shifts = next(check for check in facts["checks"] if check["check"] == "misregistration")["scenes"]
    assert len(shifts) == facts["observations"]
    assert all(("shift_m" in scene) == (scene["result"] != "cannot tell") for scene in shifts)
    assert "Error" not in table.stderr


def test_offline_leaves_the_source_out(workspace: Workspace) -> None:
    result = run(workspace, NAME, "--offline", "--json")
    facts = json.loads(result.stdout)
    checks = {check["check"]: check for check in facts["checks"]}
    assert result.exit_code == 0
    assert (facts["source"], facts["listed"]) == (None, None)
    assert checks["late items"]["result"] == checks["not in the archive"]["result"] == "cannot tell"
    assert "are not in the archive" in checks["missing acquisitions"]["text"]


def test_a_source_that_does_not_answer_is_left_out_with_a_note(workspace: Workspace, tmp_path: Path) -> None:
    settings = tmp_path / "copy"
    settings.mkdir()
    for path in workspace.root.iterdir():
        (settings / path.name).symlink_to(path)
    (settings / "minewatch.toml").unlink()
    (settings / "minewatch.toml").write_text('source = "gone/catalog.json"\n')
    examined = examine_area(Workspace(settings), NAME)
    assert examined.data.listed is None
    assert "gone/catalog.json" in examined.notes[0]
    assert "were left out" in examined.notes[0]
    with pytest.raises(SourceError, match="nowhere"):
        examine_area(workspace, NAME, source="nowhere")


def test_what_cannot_be_examined_is_one_line(series: SimulatedSeries, tmp_path: Path) -> None:
    fresh = make_workspace(tmp_path / "fresh", series)
    with pytest.raises(ArchiveError, match=r"never scanned.*minewatch scan spot"):
        examine_area(fresh, NAME)
    with pytest.raises(AoiError, match="no area 'nope'"):
        examine_area(fresh, "nope")
    with pytest.raises(MinewatchError, match="before its monitor_from"):
        examine_area(fresh, NAME, until=dt.date(2020, 1, 1))
    assert run(fresh, NAME).exit_code == 1
    assert run(fresh, NAME, "--source", "x", "--offline").exit_code == 2


@pytest.fixture(scope="module")
def clear_day(examination: Examination) -> dt.date:
    """A day of summer on which the small area is clear and lies where it should."""
    clear = {observation.time.date(): observation.clear_share for observation in examination.data.observations}
    shifts = {finding.date: finding.facts.get("shift_m", 99) for finding in find_check(examination, "misregistration").findings}
    return max((day for day in clear if shifts[day] < 2), key=lambda day: clear[day])


def examine_changed(
    series: SimulatedSeries, day: dt.date, folder: Path, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[Workspace, Examination]:
    """Scan and examine a copy of the small series in which the pixels of one day are changed."""
    copied = copy_series(series, folder / "series")
    (scene,) = copied.catalog.parent.glob(f"*_{day:%Y%m%d}_*_L2A")
    for path in scene.glob("B*.tif"):
        with rasterio.open(path) as raster:
            numbers, profile = raster.read(), raster.profile
        path.unlink()
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(np.where(numbers > 0, change(numbers.astype(np.int32)), 0).astype(numbers.dtype))
    workspace = make_workspace(folder / "workspace", copied)
    scan_small(workspace)
    return workspace, examine_area(workspace, NAME)


def test_a_scene_with_a_wrong_offset_is_named(series: SimulatedSeries, clear_day: dt.date, tmp_path: Path) -> None:
    workspace, examined = examine_changed(series, clear_day, tmp_path, lambda numbers: numbers + 1000)
    check = find_check(examined, "offset in pixels")
    assert [(finding.date, finding.outcome) for finding in check.concerns] == [(clear_day, CheckOutcome.FAULT)]
    assert "1000 had not been taken off" in check.concerns[0].text
    result = run(workspace, NAME)
    assert result.exit_code == 3
    assert f"{clear_day:%Y%m%d}" in result.stdout
    assert "fault: offset in pixels" in result.stderr


def test_an_offset_taken_off_in_vain_is_named(series: SimulatedSeries, clear_day: dt.date, tmp_path: Path) -> None:
    _, examined = examine_changed(series, clear_day, tmp_path, lambda numbers: np.maximum(numbers - 1000, 1))
    (finding,) = find_check(examined, "broken numbers").concerns
    assert (finding.date, finding.outcome) == (clear_day, CheckOutcome.LOOK)
    assert finding.facts["broken"] > 0.8, "no red is left over vegetation: nothing that could be compared"
    assert find_check(examined, "broken numbers").outcome is CheckOutcome.LOOK


def test_a_shifted_scene_is_named(series: SimulatedSeries, clear_day: dt.date, tmp_path: Path) -> None:
    """Two pixels of 10 m to the east, a tenth of that allowed."""

    def shift(numbers: NDArray[Any]) -> NDArray[Any]:
        side = 1 if numbers.shape[-1] < 96 else 2  # pixels of 20 m and of 10 m
        return np.roll(numbers, side, axis=-1)

    _, examined = examine_changed(series, clear_day, tmp_path, shift)
    finding = next(f for f in find_check(examined, "misregistration").findings if f.date == clear_day)
    assert finding.outcome is CheckOutcome.FAULT
    assert abs(finding.facts["east_m"] - 20) < 2.5
    assert abs(finding.facts["north_m"]) < 2.5


# --- offsets ---------------------------------------------------------------------------------------------------------


def paint(pixels: int = 400, **more: float) -> dict[str, NDArray[np.float32]]:
    """Return bands of forest with a little noise, each brighter by what is given."""
    random = np.random.default_rng(0)
    forest = {"blue": 0.03, "red": 0.03, "nir": 0.3, "swir16": 0.15}
    return {
        band: np.maximum(value + more.get(band, 0) + random.normal(0, 0.003, pixels), 0).astype(np.float32)
        for band, value in forest.items()
    }


@pytest.mark.parametrize(
    ("brighter", "step"),
    [
        ({}, 0.0),
        ({"blue": 0.1, "red": 0.1, "nir": 0.1, "swir16": 0.1}, 0.1),
        ({"blue": -0.1, "red": -0.1, "nir": -0.1, "swir16": -0.1}, -0.1),
        ({"blue": 0.12, "red": 0.09, "nir": 0.04, "swir16": 0.01}, 0.0),  # haze
        ({"blue": 0.11, "red": 0.11, "nir": 0.08, "swir16": -0.03}, 0.0),  # snow
        ({"nir": -0.1, "swir16": -0.05}, 0.0),  # leaves fall; blue and red do not go to 0
    ],
)
def test_only_an_offset_shifts_all_bands_alike(brighter: dict[str, float], step: float) -> None:
    assert infer_offset_error(paint(**brighter), paint())[0] == step


def test_what_was_recorded_at_reading_is_told(data: ExaminedData) -> None:
    first, second, *others = data.observations
    source = {**first.sources[0], "offset_check": {"outcome": "contradict"}}
    used, left_out = replace(first, sources=(source,)), replace(second, refused=(source,))
    check = check_recorded_offsets(replace(data, observations=[used, second], archived=[used, left_out, *others]))
    assert [finding.outcome for finding in check.findings] == [CheckOutcome.FAULT, CheckOutcome.LOOK]
    assert "left out" in check.findings[1].text
    bare = replace(first, sources=({k: v for k, v in first.sources[0].items() if k != "offset_check"},))
    assert check_recorded_offsets(replace(data, observations=[bare], archived=[bare])).outcome is CheckOutcome.OK


# --- shifts ----------------------------------------------------------------------------------------------------------


def make_texture(seed: int = 0, side: int = 128) -> NDArray[np.float64]:
    """Make ground with the contrast of fields and forests, as codes."""
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 1.5)
    return 120 + 15 * rough / rough.std()


def as_codes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 1, 255).astype(np.uint8)


SHIFTS = [(0.0, 0.0), (1.0, 0.0), (0.0, -2.0), (0.5, 0.25), (-0.35, 1.3), (3.0, -4.0)]


@pytest.mark.parametrize("shift", SHIFTS)
def test_known_shifts_are_found(shift: tuple[float, float]) -> None:
    """Whole and broken pixels, with noise and other light, to a tenth of a pixel; a mine costs as much again."""
    ground = make_texture()
    moved = ndimage.shift(ground, shift, order=3, mode="mirror")
    scene = 1.15 * moved - 10 + np.random.default_rng(1).normal(0, 3, ground.shape)
    found = estimate_shift(as_codes(scene), as_codes(ground))
    assert found is not None
    assert (found.rows, found.columns) == pytest.approx(shift, abs=0.1)
    scene[40:60, 70:90] = 60
    found = estimate_shift(as_codes(scene), as_codes(ground))
    assert found is not None
    assert (found.rows, found.columns) == pytest.approx(shift, abs=0.2)


def test_clouds_are_left_out_and_too_many_end_it() -> None:
    ground, moved = make_texture(), ndimage.shift(make_texture(), (1.0, -0.5), order=3, mode="mirror")
    scene = as_codes(moved)
    scene[:, :60] = 0
    found = estimate_shift(scene, as_codes(ground))
    assert found is not None
    assert (found.rows, found.columns) == pytest.approx((1.0, -0.5), abs=0.25)
    scene[:, :110] = 0
    assert estimate_shift(scene, as_codes(ground)) is None


def test_ground_without_contrast_or_likeness_tells_nothing() -> None:
    flat = np.full((128, 128), 120, np.uint8)
    assert estimate_shift(flat, as_codes(make_texture())) is None
    assert estimate_shift(as_codes(make_texture(1)), as_codes(make_texture(2))) is None


def test_windows_that_contradict_each_other_tell_nothing() -> None:
    shifts = [estimate_shift(as_codes(np.roll(make_texture(), by, axis=0)), as_codes(make_texture())) for by in (0, 0, 3, 3)]
    known = [shift for shift in shifts if shift is not None]
    assert len(known) == 4
    assert join_shifts(known) is None
    joint = join_shifts(known[:2])
    assert joint is not None
    assert joint.length < 0.1
    assert join_shifts([]) is None


@pytest.mark.shared
def test_known_shifts_of_real_pixels_are_found(shared: Path) -> None:
    """Clear scenes of 2018 against the first of them: moved by a known shift, the answer moves by as much."""
    errors = []
    paths = sorted((shared / "data" / "romania-s2").glob("*2018*/B08.tif"))
    scenes = []
    for path in paths:
        with rasterio.open(path) as nir, rasterio.open(path.parent / "SCL.tif") as scl:
            clear = np.isin(scl.read(1), (4, 5)).mean() > 0.95
            if clear:
                scenes.append(nir.read(1) / 30)
    baseline = as_codes(np.median(scenes, axis=0))
    for number, scene in enumerate(scenes):
        shift = np.random.default_rng(number).uniform(-1.5, 1.5, 2)
        before = estimate_shift(as_codes(scene), baseline)
        after = estimate_shift(as_codes(ndimage.shift(scene, shift, order=3, mode="nearest")), baseline)
        if before and after:
            errors.append(np.hypot(after.rows - before.rows - shift[0], after.columns - before.columns - shift[1]))
    assert len(errors) >= 10
    assert np.median(errors) < 0.1
    assert np.quantile(errors, 0.9) < 0.25


def test_peers_are_of_the_same_season() -> None:
    days = np.array([to_day(dt.date(*day)) for day in [(2019, 1, 5), (2020, 7, 1), (2020, 12, 28), (2021, 1, 20), (2019, 6, 1)]])
    peers = find_peers(days.astype(np.int32), 0, np.ones(5, bool), 2)
    assert peers.tolist() == [2, 3]
    assert find_peers(days.astype(np.int32), 0, np.array([True, True, False, True, True]), 1).tolist() == [3]


def test_the_median_knows_masked_codes() -> None:
    codes = np.array([[0, 0, 5], [3, 0, 7], [1, 9, 6], [2, 8, 0]], np.uint8)
    assert find_median(codes, 3).tolist() == [2, 0, 6]


# --- the rhythm of the orbits ----------------------------------------------------------------------------------------


def list_overpasses(platform: str, first: dt.date, count: int, orbit: int | None = None, step: int = CYCLE) -> list[Overpass]:
    return [Overpass(platform, to_day(first) + step * number, orbit) for number in range(count)]


def test_each_satellite_has_its_own_track() -> None:
    overpasses = [*list_overpasses("s2a", dt.date(2020, 1, 3), 9, 110), *list_overpasses("s2b", dt.date(2020, 1, 8), 9, 110)]
    overpasses += list_overpasses("s2b", dt.date(2020, 1, 1), 2)
    first, second = find_tracks(overpasses)
    assert (first.platform, second.platform) == ("s2a", "s2b")
    assert first.orbits == second.orbits == (110,)
    assert first.expect(to_day(dt.date(2020, 1, 1)), to_day(dt.date(2020, 1, 31))) == [
        to_day(dt.date(2020, 1, day)) for day in (3, 13, 23)
    ]


def test_satellites_are_expected_only_in_service() -> None:
    (track,) = find_tracks(list_overpasses("s2a", dt.date(2024, 12, 1), 20))
    expected = track.expect(to_day(dt.date(2024, 12, 1)), to_day(dt.date(2025, 6, 1)))
    until = SATELLITES["s2a"].steady_until
    assert until is not None
    assert max(expected) <= to_day(until) < max(track.found)
    (track,) = find_tracks(list_overpasses("s2c", dt.date(2025, 1, 5), 20))
    assert min(track.expect(0, to_day(dt.date(2025, 6, 1)))) >= to_day(dt.date(2025, 1, 21))


def test_the_day_is_that_of_the_sun() -> None:
    """Near 180 degrees a pass of one orbit comes before and after midnight UTC."""
    times = [dt.datetime(2023, 5, 12, 23, 59, tzinfo=dt.UTC), dt.datetime(2023, 5, 23, 0, 1, tzinfo=dt.UTC)]
    days = [solar_day(time, -178) for time in times]
    assert days[1] - days[0] == 10


def list_series(data: ExaminedData, days: range, **facts: Any) -> ExaminedData:
    start = dt.datetime(2022, 1, 3, 15, tzinfo=dt.UTC)
    items = [make_item(f"S2A_{day}", (start + dt.timedelta(days=day)).isoformat(), **facts) for day in days]
    return replace(data, listed=items, source="a source")


def test_gaps_are_named_with_their_dates(data: ExaminedData) -> None:
    area = replace(data.area, monitor_from=dt.date(2025, 1, 1), until=dt.date(2022, 12, 31))  # history begins in 2022
    full = list_series(replace(data, area=area), range(0, 360, 10))
    whole = check_missing(full)
    assert (whole.outcome, whole.facts["missing"], whole.findings) == (CheckOutcome.OK, 0, [])
    holes = replace(full, listed=[item for item in full.listed or () if not 5 <= item.time.timetuple().tm_yday // 10 <= 8])
    check = check_missing(holes)
    assert (check.outcome, check.facts["missing"]) == (CheckOutcome.LOOK, 4)
    texts = [finding.text for finding in check.findings]
    assert "4 passes missing from 2022-02-22 to 2022-03-24" in texts
    assert any("no acquisition at all from 2022-02-13 to 2022-04-02, 49 days" in text for text in texts)


def test_one_satellite_twice_in_a_cycle_is_doubted(data: ExaminedData) -> None:
    assert "platform names are doubtful" in check_missing(list_series(data, range(0, 360, 5))).text
    assert "doubtful" not in check_missing(list_series(data, range(0, 360, 10))).text


def test_a_source_of_clear_scenes_is_told(data: ExaminedData) -> None:
    assert "cloudiest scene has 10 % cloud" in check_missing(list_series(data, range(0, 360, 10))).text
    assert "cloudiest" not in check_missing(list_series(data, range(0, 360, 10), cloud_cover=99.0)).text


def test_a_scene_older_than_its_satellite_is_named(data: ExaminedData) -> None:
    wrong = make_item("S2B_wrong", "2016-05-01T15:00:00", key="s2b_20160501T150000")
    check = check_missing(replace(data, listed=[wrong]))
    assert check.outcome is CheckOutcome.LOOK
    assert "dated before S2B was launched" in check.findings[0].text


# --- duplicates, late and lacking items, empty pixels ----------------------------------------------------------------


def test_copies_versions_and_parts_are_told_apart(data: ExaminedData) -> None:
    time = "2022-06-01T15:00:00"
    halves = [
        make_item("half_a", "2022-07-01T15:00:00", footprint=box(-71, -14, -70, -12)),
        make_item("half_b", "2022-07-01T15:00:00", footprint=box(-70.1, -14, -69, -12)),
    ]
    listed = [
        make_item("a_0", time),
        make_item("a_1", time),
        make_item("b_old", "2022-08-01T15:00:00", baseline=(4, 0)),
        make_item("b_new", "2022-08-01T15:00:00"),
        *halves,
        make_item("other_tile", time, tile="19LDF"),
    ]
    check = check_duplicates(replace(data, listed=listed))
    found = {finding.subject: (finding.outcome, finding.text) for finding in check.findings}
    assert found["a_0, a_1"][0] is CheckOutcome.LOOK
    assert "the newest counts" in found["b_new, b_old"][1]
    assert "2 parts" in found["half_a, half_b"][1]
    assert len(found) == 3


def test_one_overpass_under_two_names_is_named(data: ExaminedData) -> None:
    first = data.observations[0]
    twin = replace(first, key=first.key[:-2], time=first.time + dt.timedelta(minutes=1))
    (finding,) = check_duplicates(replace(data, observations=[first, twin])).concerns
    assert "one overpass under two names" in finding.text


def test_delays_leave_out_what_is_older_than_the_catalogue(data: ExaminedData) -> None:
    published = [("2020-01-01", "2021-03-01"), ("2021-04-01", "2021-04-02"), ("2021-05-01", "2021-06-10")]
    listed = [
        make_item(f"i{n}", f"{day}T00:00:00", published=dt.datetime.fromisoformat(came).replace(tzinfo=dt.UTC))
        for n, (day, came) in enumerate(published)
    ]
    check = check_late(replace(data, listed=listed))
    assert check.facts["largest_days"] == 40
    assert check.facts["older_than_catalogue"] == 1
    assert [finding.subject for finding in check.concerns] == ["i2"]
    assert "do not say" in check_late(replace(data, listed=[make_item("x", "2020-01-01T00:00:00")])).text


def test_what_the_archive_lacks_is_named(data: ExaminedData) -> None:
    assert data.listed is not None
    old = data.listed[0]
    listed = [
        old,
        make_item("never_fetched", "2022-06-01T15:00:00"),
        replace(old, id="newer", baseline=(9, 99)),
        replace(old, id="older", baseline=(0, 1)),
        replace(old, id="another_tile", tile="01ABC"),
    ]
    check = check_unfetched(replace(data, listed=listed))
    assert [finding.subject for finding in check.concerns] == ["never_fetched", "newer", "another_tile"]


def test_an_empty_observation_below_a_whole_footprint_is_a_fault(data: ExaminedData) -> None:
    count = len(data.observations)
    nothing = np.zeros((count, 1), bool)
    valid = np.ones(count)
    valid[3], valid[4] = 0, 0.5
    pixels = ReferencePixels(np.zeros(count, np.int32), np.zeros((4, count, 1), np.uint8), nothing, valid)
    whole = [replace(item, footprint=box(-80, -20, -60, -5)) for item in data.listed or ()]
    check = check_valid_pixels(replace(data, listed=whole), pixels)
    assert [finding.outcome for finding in check.findings[3:5]] == [CheckOutcome.FAULT, CheckOutcome.LOOK]
    assert (check.outcome, check.facts["short"]) == (CheckOutcome.FAULT, 2)
    aside = [replace(item, footprint=box(10, 10, 11, 11)) for item in data.listed or ()]
    assert check_valid_pixels(replace(data, listed=aside), pixels).outcome is CheckOutcome.OK
    assert check_valid_pixels(replace(data, listed=None), pixels).outcome is CheckOutcome.LOOK


# --- real items ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_real_items_tell_orbit_and_dates(shared: Path) -> None:
    orbits = {"earth-search_S2A_33TWN_20190707_1_L2A": 79, "planetary-computer_T06VVN": 43, "antimeridian_T01VCG_a": 87}
    for name, orbit in orbits.items():
        listed = read_catalogue_item(Item.from_file(shared / "data" / "stac-items" / f"{name}.json"))
        assert listed is not None
        assert listed.orbit == orbit
        assert listed.processed is not None
        assert listed.processed > listed.time
    earth_search = read_catalogue_item(Item.from_file(shared / "data/stac-items/earth-search_S2A_33TWN_20190707_1_L2A.json"))
    assert earth_search is not None
    assert earth_search.published is not None
    assert earth_search.published.year == 2022


@pytest.mark.shared
def test_a_real_series_has_no_false_offset(shared: Path, tmp_path: Path) -> None:
    """Real haze and snow of five years; two satellites under one name; shifts as older products have them."""
    catalog = shared / "data" / "romania-s2"
    runner, place = CliRunner(), ["--bbox", "22.146,45.201,22.158,45.209", "--monitor-from", "2019-01-01"]
    for words in (
        ["init", str(tmp_path)],
        ["-w", str(tmp_path), "aoi", "add", "forest", *place, "--grid-from", str(catalog)],
        ["-w", str(tmp_path), "scan", "--source", str(catalog), "--until", "2021-01-10"],
    ):
        assert runner.invoke(main, words, catch_exceptions=False).exit_code == 0
    examined = examine_area(Workspace(tmp_path), "forest", source=str(catalog))
    checks = {check.name: check for check in examined.checks}
    assert examined.faults == 0
    assert checks["offset in pixels"].facts["judged"] > 90
    assert "doubtful" in checks["missing acquisitions"].text
    assert 0.5 < checks["missing acquisitions"].facts["share"] < 0.6
    assert 2 < checks["misregistration"].facts["median_m"] < 6


def test_an_area_of_another_name_is_not_mixed_up(series: SimulatedSeries, tmp_path: Path) -> None:
    fresh = make_workspace(tmp_path / "other", series)
    write_aoi(fresh, Aoi("second", bbox_geometry(series.bbox), dt.date(2022, 10, 1)))
    with pytest.raises(ArchiveError, match="'second' was never scanned"):
        examine_area(fresh, "second")
