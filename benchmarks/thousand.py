"""A thousand areas of 300 km²: scans of a few of them, scaled by terms, and what else grows with the areas."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import GOALS
from benchmarks.measure import Measurement
from benchmarks.outlines import Frame
from benchmarks.results import CPU, Row, Run
from benchmarks.scaling import Cost, Terms, fit_terms
from benchmarks.series import Series, find_frame
from benchmarks.update import make_decisions, make_results, update
from benchmarks.warm import NIGHT, measure_scheduler
from minewatch.alerts.decisions import append_decisions
from minewatch.areas.aoi import Aoi
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from tests.helpers.servers import start_dask

PIXELS = 3_000_000
"""Of an area of 300 km²."""

WORKERS = 16
LOOKS = 150
"""Looks of a first fill of two years: two satellites pass every five days."""

VISITED = 0.2
"""Share of areas with a new look on a night: one in five, as two satellites pass every five days."""

DAY, HOUR = 86_400, 3600
FILL_DAYS, DISK = 7, 1e12
"""Longest first fill, and bytes of a disk, after which the page says that a limit is reached."""

SCHEDULING = "the tasks of a first fill: CPU of the scheduler"
"""Name of its row."""

SCALED, COMPUTED, BESIDE, LIMITS = (
    "{} areas on the machine that was measured",
    "{} areas with 16 workers: computed, not measured",
    "What else grows",
    "Areas at which a limit is reached",
)
"""Headings of tables."""


@dataclass(frozen=True)
class Scans:
    """What was measured."""

    areas: Sequence[Aoi]
    series: Series
    workspace: Workspace
    """Of the scans of all areas."""
    few: Measurement
    """First fill of a quarter of the areas."""
    fill: Measurement
    quiet_few: Measurement
    quiet: Measurement
    """The night after."""
    new: Measurement
    """A night on which each area has a new look."""

    @property
    def looks(self) -> int:
        """Looks of an area after the first fill."""
        return len(self.series.items) - 1


def measure_thousand(run: Run) -> list[Row]:
    """Scan some areas, all and a quarter of them, on three kinds of nights, and scale that up."""
    scans = scan_areas(run)
    fill = fit_terms(f"first fill, {scans.looks} looks", scans.fill, scans.few)
    quiet = fit_terms("night with nothing new", scans.quiet, scans.quiet_few)
    new = fit_terms("night with a new look", scans.new, fixed=quiet.once)
    kinds = {terms.kind: terms for terms in (fill, quiet, new)}
    costs = list_costs(run, scans, *kinds.values())
    beside = measure_beside(run, scans, new)
    terms = [row for kind in kinds.values() for row in kind.list_rows("Terms")]
    return [*list_measured(scans, fill), *terms, *costs, *beside, *find_limits(run, scans, (fill, quiet, new), beside)]


def scan_areas(run: Run) -> Scans:
    """Fill archives of a quarter of the areas and of all, then scan on a night with nothing new and one with a new look."""
    size, columns, rows = run.many
    series = run.series(size, run.scenes)
    areas = [series.area(f"area-{n:02d}", frame) for n, frame in enumerate(place_apart(size, columns, rows))]
    before, last = series.settings.days[-2:]
    places = [series.workspace(run.work / f"many-{len(part)}", part) for part in (areas[: max(1, len(areas) // 4)], areas)]
    fills, quiets = ([_scan(run, series, place, day) for place in places] for day in (before, before + NIGHT))
    new = _scan(run, series, places[1], last)
    return Scans(areas, series, places[1], *fills, *quiets, new)


def place_apart(size: int, columns: int, rows: int) -> Iterable[Frame]:
    """Lay rectangles of 300 km², or as large as there is room for, side by side."""
    width = size // columns // 2 * 2
    height = min(size // rows, round(PIXELS / width)) // 2 * 2
    for row in range(rows):
        for column in range(columns):
            yield row * height, column * width, (row + 1) * height, (column + 1) * width


def _scan(run: Run, series: Series, workspace: Workspace, until: object) -> Measurement:
    return run.job("scan", **run.scan_settings(series, workspace) | {"until": until})


def list_measured(scans: Scans, fill: Terms) -> list[Row]:
    """Return what was measured, and how well the terms of all areas foretell the scan of a quarter of them."""
    km2 = sum(area.area_km2 for area in scans.areas) / len(scans.areas)
    rows = []
    for name, done in (
        (f"first fill, {scans.looks} looks", scans.few),
        (f"first fill, {scans.looks} looks", scans.fill),
        ("night with nothing new", scans.quiet_few),
        ("night with nothing new", scans.quiet),
        ("night with a new look in each", scans.new),
    ):
        title = f"{count_of(done.facts['areas'], 'area')} of {km2:.3g} km²: {name}"
        rows.append(Row(title, done.seconds, "s", cpu=done.cpu))
        if done is scans.fill:
            rows.append(Row(f"{title}, memory", done.memory / 1e9, "GB"))
            rows.append(Row(f"{title}, alerts", done.facts["alerts"], "alerts"))
    foretold = fill.fixed.cpu + fill.project(scans.few.facts["areas"]).cpu
    rows.append(Row("first fill of the fewer areas, foretold by the terms", foretold, CPU, foretold / scans.few.cpu, "measured"))
    return rows


def list_costs(run: Run, scans: Scans, fill: Terms, quiet: Terms, new: Terms) -> list[Row]:
    """Return first fills and nights of a thousand areas, on the machine that was measured and with many workers."""
    more, total, rows = LOOKS / scans.looks, run.thousand, []
    for heading, workers in ((SCALED, 0), (COMPUTED, WORKERS)):
        group = heading.format(f"{total:,}")
        costs = {
            f"first fill, {scans.looks} looks": fill.fixed.plus(fill.project(total, workers=workers)),
            f"first fill, {LOOKS} looks": fill.fixed.plus(fill.project(total, more, workers)),
            "night with nothing new": quiet.fixed.plus(quiet.project(total, workers=workers)),
            f"night with a new look in {VISITED:.0%} of the areas": cost_night(total, quiet, new, workers),
            "night with a new look in each": new.fixed.plus(new.project(total, workers=workers)),
        }
        rows += [Row(name, cost.wall / HOUR, "h", cpu=cost.cpu, group=group) for name, cost in costs.items()]
    return rows


def cost_night(areas: float, quiet: Terms, new: Terms, workers: int = 0) -> Cost:
    """Return the cost of a usual night."""
    others = quiet.project(areas * (1 - VISITED), workers=workers)
    return quiet.fixed.plus(others).plus(new.project(areas * VISITED, workers=workers))


# --- archive, table, scheduler ---------------------------------------------------------------------------------------


def measure_beside(run: Run, scans: Scans, new: Terms) -> list[Row]:
    """Return what the archive, the table and a cluster's scheduler have to bear."""
    total, more = run.thousand, LOOKS / scans.looks
    factor = total / len(scans.areas)
    size, files, folders = count_files(scans.workspace.archives)
    name = f"archive, {LOOKS} looks"
    rows = [
        Row("archive: a look of an area", size / (scans.looks + 1) / len(scans.areas) / 1e6, "MB"),
        Row(f"{name}", size / (scans.looks + 1) * LOOKS * factor / 1e9, "GB"),
        Row(f"{name}: files", files / (scans.looks + 1) * LOOKS * factor, "files"),
        Row(f"{name}: inodes", (files / (scans.looks + 1) * LOOKS + folders) * factor, "inodes"),
        Row("scenes to read for it", _measure_scenes(scans) * LOOKS * total / 1e9, "GB"),
    ]
    size, files, folders = count_files(scans.workspace.evidence)
    rows += [Row("evidence", size * factor / 1e9, "GB"), Row("evidence: inodes", (files + folders) * factor, "inodes")]
    rows += [Row("tasks of a first fill", scans.fill.facts["tasks"] * factor * more, "tasks at most")]
    rows += [*_measure_scheduling(rows[-1].figure), *_measure_table(run, round(new.counts["alerts"] * total))]
    return [Row(row.name, row.figure, row.unit, row.ratio, row.against, row.goal, row.cpu, BESIDE) for row in rows]


def count_files(folder: Path) -> tuple[int, int, int]:
    """Count bytes, files and folders below a folder."""
    size = files = folders = 0
    for place, below, names in os.walk(folder):
        folders += len(below)
        files += len(names)
        size += sum((Path(place) / name).stat().st_size for name in names)
    return size, files, folders


def _measure_scenes(scans: Scans) -> float:
    """Return the bytes of one scene that an average area holds."""
    every = sum(path.stat().st_size for path in scans.series.folder.rglob("*.tif")) / len(scans.series.items)
    frames = [find_frame(area) for area in scans.areas]
    pixels = sum((bottom - top) * (right - left) for top, left, bottom, right in frames) / len(frames)
    return every * pixels / scans.series.settings.size**2


def _measure_scheduling(tasks: float) -> list[Row]:
    """See how quickly one scheduler hands out tasks."""
    with start_dask(2) as cluster:
        rate, each = measure_scheduler(cluster)
    return [
        Row("a cluster's scheduler, two workers: tasks that do nothing", rate, "tasks/s"),
        Row(SCHEDULING, each * tasks, CPU),
    ]


def _measure_table(run: Run, alerts: int) -> list[Row]:
    """Update a table of so many alerts, or as many as the run allows, where a tenth are decided."""
    areas = run.thousand
    rows = max(1, min(alerts, run.most_rows) // areas) * areas
    folder = run.work / "many-table"
    results = make_results(areas, rows)
    first = update(folder, results, "run-1")
    append_decisions(folder / "decisions.jsonl", make_decisions(results, rows // 10))
    again = update(folder, results, "run-2")
    return [
        Row("alerts.gpkg: rows, scaled", alerts, "rows"),
        Row(f"alerts.gpkg: first written, {rows:,} rows", first, "s"),
        Row(f"alerts.gpkg: update, {rows:,} rows", again, "s"),
        Row("alerts.gpkg: update, a thousand rows", again / rows * 1000, "s"),
        Row(f"alerts.gpkg: size, {rows:,} rows", (folder / "alerts.gpkg").stat().st_size / 1e6, "MB"),
    ]


# --- limits ----------------------------------------------------------------------------------------------------------


def find_limits(run: Run, scans: Scans, terms: tuple[Terms, Terms, Terms], beside: Sequence[Row]) -> list[Row]:
    """Return for each limit the areas at which it is reached, the first one first."""
    fill, quiet, new = terms
    more = LOOKS / scans.looks
    known = {row.name: row.figure for row in beside}
    update_goal = GOALS["update"].limit
    a_night, a_fill = cost_night(1, quiet, new), fill.project(1, more)
    alone = cost_night(1, quiet, new, workers=10**9)
    bytes_each = (known[f"archive, {LOOKS} looks"] + known["evidence"]) * 1e9 / run.thousand
    each = {
        "a usual night lasts a day on the machine that was measured": (DAY - quiet.fixed.wall, a_night.wall - quiet.fixed.wall),
        "the part of a usual night that no worker shares lasts a day": (DAY - quiet.fixed.wall, alone.wall - quiet.fixed.wall),
        f"a first fill of {LOOKS} looks lasts {FILL_DAYS} days on the machine that was measured": (FILL_DAYS * DAY, a_fill.wall),
        f"an update of alerts.gpkg lasts {update_goal:g} s": (
            update_goal,
            known["alerts.gpkg: update, a thousand rows"] * new.counts["alerts"] / 1000,
        ),
        "the tasks of first fills keep one scheduler busy for a day": (DAY, known[SCHEDULING] / run.thousand),
        "archive and evidence fill a terabyte": (DISK, bytes_each),
        "a first fill needs all the memory of the machine that was measured": _find_memory(scans),
    }
    found = [Row(name, room / one, "areas", group=LIMITS) for name, (room, one) in each.items() if one > 0]
    return sorted(found, key=lambda row: row.figure)


def _find_memory(scans: Scans) -> tuple[float, float]:
    """Return the memory that is left for areas, and what each of them needs."""
    fewer, areas = scans.few.facts["areas"], scans.fill.facts["areas"]
    each = (scans.fill.memory - scans.few.memory) / (areas - fewer)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine - (scans.few.memory - fewer * each), each


def describe_limits(rows: Iterable[Row]) -> str:
    """Say what would break first."""
    limits = [row for row in rows if row.group == LIMITS]
    if not limits:
        return ""
    first, *others = limits
    sooner = ", before a thousand are watched" if first.figure < 1000 else ""
    text = f"What would break first: {first.name}, at about {first.figure:,.0f} areas{sooner}."
    return f"{text} Next: {others[0].name}, at about {others[0].figure:,.0f}." if others else text
