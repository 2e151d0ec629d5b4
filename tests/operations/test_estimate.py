"""What a scan costs: said beforehand, counted while it runs, and kept within a budget."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rasterio
import rasterio.shutil
from click.testing import CliRunner

from benchmarks.line_time import LineUse, count_first_looks
from minewatch.alerts.columns import AOIS
from minewatch.alerts.rows import read_layer, reading
from minewatch.archive.budget import find_quarter
from minewatch.archive.item import list_observations
from minewatch.areas.aoi import read_aoi, write_aoi
from minewatch.areas.area_files import remove_aoi
from minewatch.areas.grid import COARSE_PIXEL, PIXEL, make_grid
from minewatch.cli import main
from minewatch.core.errors import MinewatchError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.doctor.checks import CheckOutcome
from minewatch.operations.doctor.examination import examine_area
from minewatch.operations.estimate import estimate_scan
from minewatch.operations.plan import ScanRequest, plan_scan, set_apart
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.operations.status import find_status
from minewatch.products.bulletin.period import Period
from minewatch.products.bulletin.watched_area import read_watched_area
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.report_facts import ReportRequest
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.servers import DaskCluster, RangeServer, ServeFolder
from tests.helpers.small import (
    MONITOR_FROM,
    NAME,
    UNTIL,
    copy_series,
    copy_workspace,
    list_scenes,
    make_scanned,
    make_series,
    make_workspace,
    name_scenes,
    read_result,
    scan_small,
    snapshot,
)

BUDGET = 12_000_000
"""For four years, of which the small area has fifteen months: about half of its looks."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def count_sent(server: RangeServer, since: int = 0) -> int:
    return sum(request.sent for request in server.requests[since:])


def set_budget(workspace: Workspace, budget: int) -> None:
    aoi = read_aoi(workspace, NAME)
    remove_aoi(workspace, NAME)
    write_aoi(workspace, replace(aoi, budget=budget))


def list_archived(workspace: Workspace) -> set[str]:
    grid = make_grid(read_aoi(workspace, NAME))
    return set(list_observations(workspace.archive(NAME), grid))


def read_record(report: ScanReport) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(report.record.read_text())
    return record


@pytest.mark.server
def test_an_estimate_is_what_the_scan_then_receives(series: SimulatedSeries, tmp_path: Path, range_server: ServeFolder) -> None:
    server = range_server(series.catalog.parent)
    workspace = make_workspace(tmp_path / "watch", series, source=f"{server.url}/catalog.json")
    before = snapshot(workspace.root)
    estimate = estimate_scan(workspace, ScanRequest(until=UNTIL), speed=250_000)
    assert snapshot(workspace.root) == before, "nothing is stored"
    assert estimate.spent == count_sent(server), "and what it took is said"
    assert estimate.seconds == pytest.approx(estimate.size / 250_000)
    count = len(server.requests)
    report = scan_small(workspace)
    sent = count_sent(server, count)
    assert estimate.size == pytest.approx(sent, rel=0.15)
    assert (estimate.areas[0].scenes, estimate.areas[0].looks) == (series.item_count, report.areas[0].fetched)
    archived = sum(path.stat().st_size for path in Path(str(workspace.archive(NAME))).glob("*.tif"))
    assert estimate.areas[0].disk == pytest.approx(archived, rel=0.3)
    assert read_record(report)["bytes"] == sent, "the record counts what the server sent"
    assert 0 < read_record(report)["areas"][0]["bytes"] < sent
    (area,) = find_status(workspace, dt.datetime(2023, 4, 1, tzinfo=dt.UTC)).areas
    assert area.received == read_record(report)["areas"][0]["bytes"]
    count = len(server.requests)
    again = scan_small(workspace)
    assert read_record(again)["bytes"] == count_sent(server, count), "of a scan with nothing new, the catalogue"


@pytest.mark.server
def test_an_estimate_within_a_budget_is_what_workers_then_receive(
    series: SimulatedSeries,
    tmp_path: Path,
    range_server: ServeFolder,
    dask_cluster: DaskCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of looks in larger pixels; images are sharp."""
    monkeypatch.setattr("minewatch.operations.estimate.FIRST_ALERTS", 0)
    server = range_server(series.catalog.parent)
    workspace = make_workspace(tmp_path / "watch", series, source=f"{server.url}/catalog.json")
    set_budget(workspace, BUDGET // 2)
    estimate = estimate_scan(workspace, ScanRequest(until=UNTIL), speed=250_000)
    count = len(server.requests)
    report = scan_small(workspace, scheduler=dask_cluster.address)
    (area,), sent = report.areas, count_sent(server, count)
    assert any(observation.read_pixel == COARSE_PIXEL for observation in area.observations)
    assert not area.alerts
    assert estimate.size == pytest.approx(sent, rel=0.05)
    assert read_record(report)["bytes"] == sent, "with what the workers looked at before they chose"


def lengthen_headers(band: Path) -> None:
    """Give a file 50 kB of metadata before its overviews."""
    with rasterio.open(band) as source:
        pixels, profile = source.read(), source.profile
    resampling = "nearest" if profile["dtype"] == "uint8" else "average"
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile | {"driver": "GTiff"}) as target:
            target.write(pixels)
            target.update_tags(HISTORY="n" * 50_000)
        options = {"compress": "deflate", "predictor": 2, "overview_count": 4, "overview_resampling": resampling}
        rasterio.shutil.copy(memory.name, band, driver="COG", **options)


def make_jpeg2000(band: Path) -> None:
    """Make a file JPEG 2000, without loss."""
    packing = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
    rasterio.shutil.copy(band, band.with_suffix(".jp2"), driver="JP2OpenJPEG", **packing)
    band.unlink()
    (item,) = band.parent.glob("S2*.json")
    item.write_text(item.read_text().replace(band.name, band.with_suffix(".jp2").name))


@pytest.mark.server
@pytest.mark.parametrize("change", [lengthen_headers, make_jpeg2000])
def test_files_of_another_make_cost_what_is_said_and_give_the_same(
    series: SimulatedSeries, tmp_path: Path, range_server: ServeFolder, change: Callable[[Path], None]
) -> None:
    changed = copy_series(series, tmp_path / "changed")
    for band in changed.catalog.parent.glob("*/*.tif"):
        change(band)
    server = range_server(changed.catalog.parent)
    workspace = make_workspace(tmp_path / "watch", changed, source=f"{server.url}/catalog.json")
    plain = make_workspace(tmp_path / "plain", series)
    for one in (workspace, plain):
        set_budget(one, 100 * BUDGET)
    estimate = estimate_scan(workspace, ScanRequest(until=UNTIL), speed=250_000)
    count = len(server.requests)
    report = scan_small(workspace)
    sent = count_sent(server, count)
    assert estimate.size == pytest.approx(sent, rel=0.15)
    assert read_record(report)["bytes"] == sent
    scan_small(plain)
    assert read_result(workspace) == read_result(plain)


def test_the_command_prints_one_sum_and_whole_numbers(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "watch", series)
    words = ["-w", str(workspace.root), "scan", "--until", str(UNTIL), "--estimate", "--line", "2Mbit/s"]
    answer = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    facts = json.loads(answer.stdout)
    assert facts["scenes"] == series.item_count == facts["areas"][0]["scenes"]
    assert facts["seconds"] == pytest.approx(facts["bytes"] / 250_000, abs=0.1)
    assert isinstance(facts["bytes"], int)
    shown = CliRunner().invoke(main, words, catch_exceptions=False)
    assert f"{series.item_count} scenes to read: about " in shown.stdout
    assert "at 2.0 Mbit/s (given)" in shown.stdout
    refused = CliRunner().invoke(main, [*words, "--budget", "much"])
    assert (refused.exit_code, "like 1GB" in refused.stderr) == (2, True)


def test_many_scans_within_a_budget_equal_one(series: SimulatedSeries, tmp_path: Path) -> None:
    nightly, once = (make_workspace(tmp_path / name, series) for name in ("nightly", "once"))
    for workspace in (nightly, once):
        set_budget(workspace, BUDGET)
    for until, damage in (
        (dt.date(2022, 10, 3), {"clear_share": None}),
        (dt.date(2022, 11, 28), {"id": 1, "size": "many"}),
        (UNTIL, {}),
    ):
        scan_small(nightly, until)
        surveys = json.loads(nightly.surveys(NAME).read_text())
        nightly.surveys(NAME).write_text(json.dumps([one | damage for one in surveys]))  # what was found out is found out again
    report = scan_small(once)
    assert list_archived(nightly) == list_archived(once)
    assert read_result(nightly) == read_result(once)
    facts = read_record(report)["areas"][0]
    unread = facts["scenes"]["not_read"]
    assert {one["reason"] for one in unread} == {"budget"}
    assert facts["scenes"]["observations_used"] + len(unread) == series.item_count
    assert 0 < len(unread) < series.item_count
    assert any(note.startswith("not read: budget (12MB): ") for note in facts["notes"])
    (area,) = find_status(once, dt.datetime(2023, 4, 1, tzinfo=dt.UTC)).areas
    assert (area.budget, area.left_unread) == (BUDGET, len(unread))
    check = next(check for check in examine_area(once, NAME).checks if check.name == "not in the archive")
    assert (check.outcome, check.facts["not_read_budget"]) == (CheckOutcome.OK, len(unread)), "no scan tries to fetch them"
    assert "not read: budget" in check.text
    offline = next(one for one in examine_area(once, NAME, offline=True).checks if one.name == "missing acquisitions")
    assert f"are not in the archive; {len(unread)} scenes not read: budget" in offline.text


def test_what_few_bytes_made_coarse_a_larger_budget_reads_sharp(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "watch", series)
    set_budget(workspace, BUDGET // 2)
    little = scan_small(workspace).areas[0]
    coarse = [observation for observation in little.observations if observation.read_pixel == COARSE_PIXEL]
    assert coarse, "a quarter's bytes pay for fewer than four sharp ones"
    said = (
        f"{len(coarse)} of the {len(little.observations)} looks used were read in 20 m pixels (budget): outlines are less sharp"
    )
    assert said in little.notes
    page = write_report(workspace)
    assert f"in such pixels to save data: {len(coarse)} of the {len(little.observations)} used" in page
    assert f"left unread to save data: {len(little.left_unread)}; all others are examined" in page
    assert f"A dash means that none was read. Left unread to save data: {len(little.left_unread)} of the period." in page
    assert not scan_small(workspace).areas[0].fetched
    set_budget(workspace, 1000 * BUDGET)
    rich = scan_small(workspace).areas[0]
    assert {observation.read_pixel for observation in rich.observations} == {PIXEL}
    sharp = [observation for observation in little.observations if observation.read_pixel == PIXEL]
    assert rich.fetched == len(rich.observations) - len(sharp)
    assert not any("20 m pixels" in note for note in rich.notes)
    assert "one pixel of 10 m" in write_report(workspace)
    fresh = make_workspace(tmp_path / "fresh", series)
    set_budget(fresh, 1000 * BUDGET)
    scan_small(fresh)
    assert read_result(workspace) == read_result(fresh), "the first reading leaves no trace"


def write_report(workspace: Workspace) -> str:
    answer = CliRunner().invoke(main, ["-w", str(workspace.root), "report", NAME], catch_exceptions=False)
    return Path(answer.stdout.strip()).read_text()


def test_a_late_item_changes_its_own_quarter_alone(series: SimulatedSeries, tmp_path: Path) -> None:
    catalogue = copy_series(series, tmp_path / "catalogue")
    names = name_scenes(catalogue)
    late = next(name for name in names if name.split("_")[2] >= "20220505")
    list_scenes(catalogue, [name for name in names if name != late])
    workspace = make_workspace(tmp_path / "watch", catalogue)
    set_budget(workspace, BUDGET)
    before = list_used(scan_small(workspace))
    list_scenes(catalogue, names)
    after = list_used(scan_small(workspace))
    changed = {find_quarter(day) for day in before ^ after}
    assert changed <= {find_quarter(dt.date.fromisoformat(late.split("_")[2][:8]))}
    fresh = make_workspace(tmp_path / "fresh", catalogue)
    set_budget(fresh, BUDGET)
    assert list_used(scan_small(fresh)) == after, "as if it had never been late"
    assert read_result(fresh) == read_result(workspace)


def list_used(report: ScanReport) -> set[dt.date]:
    return {observation.time.date() for observation in report.areas[0].observations}


def test_a_smaller_budget_drops_nothing_and_a_larger_one_reads_the_rest(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    whole = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "whole")
    kept = list_archived(whole)
    set_budget(whole, BUDGET)
    small = scan_small(whole)
    assert list_archived(whole) == kept, "what was read once stays"
    assert len(small.areas[0].observations) < len(kept)
    set_budget(whole, 1000 * BUDGET)
    large = scan_small(whole)
    assert small.areas[0].fetched == large.areas[0].fetched == 0, "and is not read again"
    assert len(large.areas[0].observations) > len(small.areas[0].observations)


def test_what_a_budget_left_unread_counts_nowhere_though_the_archive_has_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    whole = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "whole")
    set_budget(whole, BUDGET)
    (area,) = scan_small(whole).areas
    count = area.scene_count
    assert (count.used, count.left_unread, count.replaced) == (len(area.observations), len(area.left_unread), 0)
    assert count.left_unread
    facts = gather_facts(whole, ReportRequest(aoi=NAME))
    assert [look.date for look in facts.looks] == [one.time.date() for one in area.observations]
    assert not any("the archive has changed" in note for note in facts.notes)
    with reading(whole.alerts) as connection:
        (row,) = read_layer(connection, AOIS)
    counted = read_watched_area(whole, NAME, row, [Period(dt.date(2023, 2, 1), dt.date(2023, 2, 28))])
    assert not counted.missing
    Path(whole.runs / f"{row['run_id']}.json").write_text("{}")
    assert len(gather_facts(whole, ReportRequest(aoi=NAME)).looks) == len(list_archived(whole)), "where no record says what"


def test_a_budget_of_one_scan_is_a_what_if_only_over_another_table(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "watch", series)
    request = ScanRequest(until=UNTIL, budget=BUDGET)
    assert not plan_scan(workspace, request).areas[0].what_if, "there is no table to harm"
    report = scan(workspace, request)
    assert any("the budget holds for this scan" in note for note in report.areas[0].notes)
    assert not plan_scan(workspace, request).areas[0].what_if
    another = replace(request, budget=2 * BUDGET)
    with pytest.raises(MinewatchError, match="its table was made with"):
        plan_scan(workspace, another)
    assert plan_scan(workspace, replace(another, replace=True)).areas[0].what_if
    assert not plan_scan(workspace, ScanRequest(until=UNTIL)).areas[0].what_if


def test_a_what_if_of_more_bytes_leaves_the_looks_that_the_table_rests_on(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "watch", series)
    set_budget(workspace, BUDGET // 2)
    before = [(look.raster.name, look.read_pixel) for look in scan_small(workspace).areas[0].observations]
    assert any(pixel == COARSE_PIXEL for _, pixel in before)
    (apart,) = scan(set_apart(workspace, tmp_path / "apart"), ScanRequest(until=UNTIL, budget=1000 * BUDGET)).areas
    assert len(apart.observations) > len(before)
    assert any("one without --budget keeps to 6MB" in note for note in apart.notes)
    again = scan_small(workspace).areas[0]
    assert [(look.raster.name, look.read_pixel) for look in again.observations] == before


@pytest.mark.server
def test_the_first_alerts_of_a_new_area_are_there_while_older_looks_are_read(
    series: SimulatedSeries,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    range_server: ServeFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a line of 2 Mbit/s and 300 ms, within two hours: by bytes and requests until then, for 100 km² with 73 looks a year."""
    monkeypatch.setattr("minewatch.archive.fetch.LEAST_PUT_OFF", 10)
    monkeypatch.setattr("minewatch.archive.fetch.FIRST_HISTORY_DAYS", 150)
    monkeypatch.setattr("minewatch.archive.fetch.FIRST_LOOKS", 2)
    server = range_server(series.catalog.parent)
    workspace = make_workspace(tmp_path / "watch", series, source=f"{server.url}/catalog.json")
    seen: list[tuple[int, int, int, int]] = []

    def note(text: str) -> None:
        if "first alerts" in text:
            table = workspace.alerts_csv.read_text().splitlines()
            looks = int(text.split("first alerts, from ")[1].split(maxsplit=1)[0])
            seen.append((len(table) - 1, looks, count_sent(server), len(server.requests)))

    report = scan(workspace, ScanRequest(until=UNTIL), Reporter(None, note))
    ((alerts, looks, sent, requests),) = seen
    assert alerts > 0
    assert sent < 0.8 * count_sent(server), "older looks came afterwards"
    days = [day for day in list_used(report) if day >= MONITOR_FROM - dt.timedelta(days=150)]
    months = Counter((day.year, day.month) for day in days)
    assert looks == sum(min(2, count) for count in months.values()), "the clearest two of each month"
    area = read_aoi(workspace, NAME).area_km2
    use = LineUse(round(sent / area * 100), requests).times(count_first_looks(6) / looks)
    assert 0.5 < use.seconds() / 3600 < 2
    assert read_result(workspace) == read_result(make_scanned(tmp_path_factory)[0]), "as after a scan that reads in order"
    events = report.areas[0].table_changes.events
    assert events["new"] >= alerts
    assert events["unchanged"] == 0, "all are new in this scan"
