"""The update of the alerts table where people have decided much, against writing the same rows by plain SQL."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from shapely.geometry import MultiPolygon, box

from benchmarks.results import Row, Run
from minewatch.alerts.columns import Value
from minewatch.alerts.decisions import CONFIRM, DISMISS, Decision, append_decisions
from minewatch.alerts.geopackage import encode_geometry, updating
from minewatch.alerts.record import Alert
from minewatch.alerts.table import AreaResult, update_table

FIRST, AS_OF = dt.date(2024, 3, 1), dt.date(2024, 12, 31)

STEP = 0.002
"""Degrees between two alerts; each is half as wide, 1.2 ha."""

PLAIN = "plain SQL"
"""Name of the baseline."""


def measure_update(run: Run) -> list[Row]:
    """Update a table three times: ids as before, every alert renamed, and everything in one area, renamed too."""
    areas, alerts, decisions = run.decided
    rows = []
    for count, kind in ((areas, f"{areas} areas"), (1, "one area")):
        folder = run.work / f"update-{count}"
        results = make_results(count, alerts)
        update(folder, results, "run-1")
        append_decisions(folder / "decisions.jsonl", make_decisions(results, decisions))
        plain = write_plainly(folder, results)
        what = f"{alerts} alerts, {kind}, {decisions} decisions"
        again = update(folder, results, "run-2")
        names = update(folder, make_results(count, alerts, shift=STEP / 8), "run-3")
        rows += [
            Row(f"{what}: {PLAIN}", plain, "s"),
            Row(f"{what}: update", again, "s", goal="update"),
            Row(f"{what}: update", again, "s", again / plain, PLAIN),
            Row(f"{what}: update, each alert renamed", names, "s", goal="update"),
            Row(f"{what}: update, each alert renamed", names, "s", names / plain, PLAIN),
        ]
    return rows


def update(folder: Path, results: Sequence[AreaResult], run_id: str) -> float:
    """Update the table of a folder; return the seconds that it takes."""
    run: dict[str, Value] = {"run_id": run_id, "started": f"{AS_OF}T00:00:00", "aois": ""}
    start = time.perf_counter()
    update_table(folder / "alerts.gpkg", results, run, folder / "decisions.jsonl")
    return time.perf_counter() - start


def write_plainly(folder: Path, results: Sequence[AreaResult]) -> float:
    """Return the seconds that it takes to write ids and outlines into the rows of a copy of the table, and nothing else."""
    copy = folder / "plain.gpkg"
    shutil.copyfile(folder / "alerts.gpkg", copy)
    start = time.perf_counter()
    with updating(copy) as connection:
        cells = [(a.status, encode_geometry(a.geometry), a.alert_id) for result in results for a in result.alerts]
        ids = {alert_id: fid for fid, alert_id in connection.execute("SELECT fid, alert_id FROM alerts")}
        values = [(status, outline, ids[alert_id]) for status, outline, alert_id in cells]
        connection.executemany("UPDATE alerts SET status = ?, geom = ? WHERE fid = ?", values)
    return time.perf_counter() - start


def make_results(areas: int, alerts: int, shift: float = 0.0) -> list[AreaResult]:
    """Return the results of areas side by side; with ``shift``, degrees, alerts lie so far to the east and have new ids."""
    facts: dict[str, Value] = {
        "monitor_from": dt.date(2024, 1, 1),
        "as_of": AS_OF,
        "pipeline": "default",
        "digest": "d",
        "area_km2": 400.0,
    }
    side = STEP * (int((alerts / areas) ** 0.5) + 1)
    results = []
    for number in range(areas):
        name, west, south = f"area-{number:03d}", -75 + side * (number % 40), -13 + side * (number // 40)
        per_row = round(side / STEP)
        places = [(west + STEP * (n % per_row) + shift, south + STEP * (n // per_row)) for n in range(alerts // areas)]
        found = [_make_alert(name, f"{n:06x}{'r' if shift else ''}", *place) for n, place in enumerate(places)]
        results.append(AreaResult(name, box(west, south, west + side, south + side), found, {}, facts))
    return results


def _make_alert(aoi: str, mark: str, west: float, south: float) -> Alert:
    return Alert(
        alert_id=f"{aoi}-{FIRST:%Y%m%d}-{mark}",
        aoi=aoi,
        status="confirmed",
        first_seen=FIRST,
        confirmed_on=FIRST + dt.timedelta(days=10),
        last_seen=AS_OF,
        area_ha=1.2,
        lat=south + STEP / 4,
        lon=west + STEP / 4,
        ndvi_change=-0.4,
        bsi_change=0.25,
        looks=7,
        last_normal=FIRST - dt.timedelta(days=5),
        geometry=MultiPolygon([box(west, south, west + STEP / 2, south + STEP / 2)]),
    )


def make_decisions(results: Sequence[AreaResult], count: int) -> list[Decision]:
    """Return decisions, spread over the areas; every other one is a dismissal."""
    when = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)
    made = []
    for result in results:
        for number, alert in enumerate(result.alerts[: max(1, count // len(results))]):
            review, reason = ((DISMISS, "road works"), (CONFIRM, ""))[number % 2]
            made.append(Decision(alert.alert_id, alert.aoi, review, reason, "", "Rosa", when, when.date(), alert.geometry))
    return made
