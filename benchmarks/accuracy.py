"""How good the alerts are: real series with known mines where they are at hand, simulated ones always.

Run it with ``make bench-accuracy``.  Series and archives are kept in ``benchmarks/.cache``, so that a second run only scans.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import geopandas as gpd
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import minewatch
from benchmarks.points_section import MISSING, measure_section
from minewatch.alerts.read import read_alerts
from minewatch.alerts.validate import Scores, summarise, validate_alerts
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.core.estimate import LEVEL, Estimate
from minewatch.core.files import publishing
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import simulate_series
from minewatch.simulation.settings import Simulation, temperate_simulation, tropical_simulation
from minewatch.simulation.stac import place_scene_grid
from minewatch.sources.search import find_grid_hint
from minewatch.sources.stac import open_source

ROOT = Path(__file__).resolve().parents[1]
NAME = "known"
"""Of the area in every workspace."""

COLUMNS = {
    "pixel F1": ("pixel_f1",),
    "site recall": ("site_recall",),
    "alarm precision": ("alarm_precision",),
    "looks to confirm, median · p90": ("looks_median", "looks_p90"),
    "days, median · p90": ("days_median", "days_p90"),
    "area error": ("area_error_median",),
}
"""Of the table, with the figures of ``minewatch validate`` in them."""

SHARES = ("pixel F1", "site recall", "alarm precision")
COLOURS = ("#1f5fa8", "#2e8b57", "#b5651d", "#7a4fa3")
LARGE_HA = 0.5
"""Tropical sites of this size are the ones that must be found."""


@dataclass(frozen=True)
class Case:
    """A series with known mines."""

    setting: str
    """Row of the table."""

    catalog: Path
    """catalog.json."""

    bbox: tuple[float, ...]
    """What is watched: west, south, east, north."""

    monitor_from: dt.date
    """First date that may raise an alert."""

    until: dt.date
    """As-of date."""

    folder: Path
    """For the workspace."""

    own_lattice: bool
    """Take the pixels' lattice from the source."""


# --- the series ------------------------------------------------------------------------------------------------------


def list_injected(folder: Path, cache: Path) -> list[Case]:
    """List the real series into which mines were cut; none where they are not at hand."""
    return [
        Case("injected", path, _read_bbox(path), dt.date(2019, 1, 1), dt.date(2021, 1, 10), cache / f"injected-{place}", True)
        for path in sorted(folder.glob("*/catalog.json"))
        for place in [path.parent.name]
    ]


def _read_bbox(catalog: Path) -> tuple[float, ...]:
    collection = next(catalog.parent.rglob("collection.json"))
    return tuple(json.loads(collection.read_text())["extent"]["spatial"]["bbox"][0])


def simulate_case(setting: str, settings: Simulation, cache: Path) -> Case:
    """Simulate a series, or find the one that the same code made before."""
    folder = cache / f"{setting.rsplit(maxsplit=1)[-1]}-{settings.seed}-{_digest(settings)}"
    series = folder / "series"
    if not series.exists():
        part = folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        simulate_series(part, settings)
        part.rename(series)
    bbox = place_scene_grid(settings).find_inner_bbox()
    return Case(setting, series / "catalog.json", bbox, settings.changes_start, settings.last, folder, False)


def _digest(settings: Simulation) -> str:
    """Return a name that changes with the settings and with the simulator."""
    code = sorted((Path(minewatch.__file__).parent / "simulation").glob("*.py"))
    return hashlib.sha256(repr(settings).encode() + b"".join(path.read_bytes() for path in code)).hexdigest()[:10]


def shrink(settings: Simulation) -> Simulation:
    """Make a simulation small enough for a test."""
    first = dt.date(settings.last.year - 1, 1, 1)
    small = replace(settings, width=96, height=96, first=first, revisit_days=10, cloudiness=0.3)
    return replace(small, mines=1, burns=0, landslides=0, clearings=0, logged=0, cleared=0)


def list_cases(seeds: int, size: str, injected: Path, cache: Path) -> Iterable[Case]:
    """Return every series, simulating those that are missing."""
    adapt: Callable[[Simulation], Simulation] = shrink if size == "small" else lambda settings: settings
    yield from list_injected(injected, cache)
    for setting, make in (("simulated tropical", tropical_simulation), ("simulated temperate", temperate_simulation)):
        for seed in range(1, seeds + 1):
            yield simulate_case(setting, adapt(make(seed)), cache)


# --- the scores ------------------------------------------------------------------------------------------------------


def score_case(case: Case, overrides: tuple[str, ...], pipeline: str | None = None) -> dict[str, Scores]:
    """Scan a series and score its alerts, by row of the table; what was read before is in the archive."""
    workspace = open_case(case)
    request = ScanRequest((NAME,), pipeline, overrides, source=str(case.catalog), until=case.until, replace=True)
    scan(workspace, request)
    truths = {case.setting: case.catalog.parent / "truth.gpkg", f"{case.setting}, clearings": case.folder / "clearings.gpkg"}
    made = write_clearings(*truths.values())
    alerts = read_alerts(workspace.alerts)
    scored = list(truths.items())[: 1 + made]
    return {row: validate_alerts(alerts, truth, case.monitor_from, case.until) for row, truth in scored}


def open_case(case: Case) -> Workspace:
    """Make the workspace of a series anew, with its area; what was read before is in the archive."""
    workspace = _open_workspace(case.folder / "workspace", str(case.catalog))
    geometry = bbox_geometry(case.bbox)
    lattice = find_grid_hint(open_source(str(case.catalog)), geometry) if case.own_lattice else None
    write_aoi(workspace, Aoi(NAME, geometry, case.monitor_from, grid=lattice))
    return workspace


def write_clearings(truth: Path, path: Path) -> bool:
    """Write a truth whose sites are the ground cleared for farming, and which ignores the mines; False where none was cleared."""
    sites, ignore = (gpd.read_file(truth, layer=layer) for layer in ("sites", "ignore"))
    cleared = sites[sites["kind"] == "clearing"].assign(kind="mining")
    if cleared.empty:
        return False
    others = pd.concat(
        [ignore[~ignore.intersects(cleared.union_all())], sites.loc[sites["kind"] == "mining", ["kind", "geometry"]]]
    )
    path.unlink(missing_ok=True)
    cleared.to_file(path, layer="sites")
    others.to_file(path, layer="ignore")
    return True


def _open_workspace(root: Path, source: str) -> Workspace:
    """Make a workspace anew around the archive of an earlier run."""
    old = Workspace(root)
    for folder in (old.aois, old.pipelines):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (old.settings, old.alerts):
        file.unlink(missing_ok=True)
    return init_workspace(root, source=source)


def score_all(cases: Iterable[Case], overrides: tuple[str, ...]) -> dict[str, Scores]:
    """Pool the scores of each setting."""
    parts: dict[str, list[Scores]] = {}
    for case in cases:
        for row, scores in score_case(case, overrides).items():
            parts.setdefault(row, []).append(scores)
            hit, kind = sum(site.hit for site in scores.sites), "sites" if row == case.setting else "clearings"
            print(f"{case.folder.name}: {hit} of {len(scores.sites)} {kind}, {scores.false_alarms} false alarms", flush=True)
    return {setting: summarise(scores) for setting, scores in parts.items()}


def judge_tropics(scores: Scores) -> list[tuple[str, Estimate, float]]:
    """Return what the tropical setting must reach: name, value, goal."""
    large = summarise([replace(scores, sites=[site for site in scores.sites if site.area_ha >= LARGE_HA])])
    return [
        ("alarm precision", scores.summary["alarm_precision"], 0.95),
        (f"site recall from {LARGE_HA} ha", large.summary["site_recall"], 0.9),
    ]


# --- what is shown ---------------------------------------------------------------------------------------------------


def make_rows(results: Mapping[str, Scores]) -> list[tuple[str, ...]]:
    """Make the table, its head first."""
    head = ("setting", "sites", *COLUMNS, "false", "fragments")
    rows = [
        (setting, str(len(scores.sites)), *(_cell(scores, keys) for keys in COLUMNS.values()), *_count_alarms(scores))
        for setting, scores in results.items()
    ]
    return [head, *rows]


def _count_alarms(scores: Scores) -> tuple[str, str]:
    return str(scores.false_alarms), str(scores.fragments)


def _cell(scores: Scores, keys: Sequence[str]) -> str:
    values = [scores.summary[key] for key in keys]
    return " · ".join(_write(estimate.value) for estimate in values) + (_interval(values[0]) if len(values) == 1 else "")


def _write(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value <= 1 and not value.is_integer() else f"{value:g}"


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f" ({estimate.low:.2f}–{estimate.high:.2f})"


def describe_goals(results: Mapping[str, Scores]) -> list[str]:
    """Say whether the tropical setting reaches its goals."""
    lines = []
    tropical = results.get("simulated tropical")
    for name, estimate, goal in judge_tropics(tropical) if tropical else []:
        met = estimate.value is not None and estimate.value >= goal
        lines.append(f"tropical {name}: {_write(estimate.value)}{_interval(estimate)}, goal {goal}: {'met' if met else 'missed'}")
    return lines


def print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """Print the table in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def write_page(folder: Path, results: Mapping[str, Scores], points: str, seeds: int, size: str) -> None:
    """Write the page and its figure; ``points`` is its section of real ground."""
    rows = make_rows(results)
    table = ["| " + " | ".join(row) + " |" for row in rows]
    table.insert(1, "|" + "---|" * len(rows[0]))
    by_size = [_describe_sizes(setting, scores) for setting, scores in results.items()]
    goals = [f"- {line}" for line in describe_goals(results)]
    text = PAGE.format(
        table="\n".join(table),
        points=points,
        sizes="\n".join(by_size),
        classes=" | ".join(next(iter(results.values())).by_size),
        goals="\n".join(goals),
        level=f"{LEVEL:.0%}",
        seeds=f"{seeds} each" + (", of the small kind" if size == "small" else ""),
        date=dt.datetime.now(dt.UTC).date(),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        versions=", ".join(
            [f"minewatch {minewatch.__version__}", f"Python {platform.python_version()}"]
            + [f"{name} {version(name)}" for name in ("numpy", "numba", "rasterio", "scikit-image")]
        ),
    )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    draw_results(folder / "images" / "accuracy.png", results)
    with publishing(folder / "accuracy.md") as temporary:
        temporary.write_text(text, "utf-8")


def _describe_sizes(setting: str, scores: Scores) -> str:
    cells = []
    for facts in scores.by_size.values():
        recall = facts["site_recall"]
        cells.append(f"{_write(recall.value)} (n = {facts['sites']})" if isinstance(recall, Estimate) else "")
    return f"| {setting} | " + " | ".join(cells) + " |"


PAGE = """# Accuracy, as measured

Written by `make bench-accuracy`; run it again after every change of the method. [The method](method.md) explains how alerts
come about.

{table}

- In brackets: {level} intervals, of few sites wide ones.
- Alarm precision counts alerts: one that was confirmed and closed again still counts. A fragment is a further alert of a site
  that has one.
- Looks are clear looks, 1 = confirmed at the first on which the mine could be seen.
- Injected: real series of a Romanian forest into which real mines were cut, scanned from 2019-01-01 to 2021-01-10. The method
  was developed on these series.
- Simulated: `minewatch.simulate`, seeds from 1 on ({seeds}), four years, of which the last is watched. Sky and clearings of the
  tropical series follow a year of real ones of Rondônia (albhasan/deforestation-sentinel2): as many clear looks, as long gaps
  between them, as much haze. Simulated ground is simpler than real ground all the same: take these rows for a check, not for a
  promise.
- Clearings: the same alerts, compared with ground cleared for farming in place of mines. Neither row counts an alert on what the
  other one looks for; false ones are the same in both. A site counts as found while its ground is still confirmed at the end:
  clearings that were confirmed and are green again by then count as missed here.

What the tropical setting must reach:

{goals}

Site recall by size:

| setting | {classes} |
|---|---|---|---|---|
{sizes}

![Shares with their intervals, looks to confirm, and pixel F1 by days since the change](images/accuracy.png)

{points}
## What these numbers do not show

- No series of a real mine with known dates is among them: mines are cut into real series, or simulated.
- No mountainside: slopes change light and shadow with the season, and all series here are of level or gently sloping ground.
- False alarms are counted on a few hundred km²·years, most of them simulated: no rate below about 10 per 1,000 km²·year can be
  claimed.
- [What each rule is good for](ablation.md) measures all of it again with one rule left out.

Measured on {date} with {versions} on {machine}.
"""


def draw_results(path: Path, results: Mapping[str, Scores]) -> None:
    """Draw shares with intervals, looks to confirm, and pixel F1 by days since the change."""
    figure = Figure(figsize=(12, 3.6), dpi=100, layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(3, 2, 4))
    for number, (setting, scores) in enumerate(results.items()):
        place, colour = (number - (len(results) - 1) / 2) * 0.2, COLOURS[number % len(COLOURS)]
        shares = {name: scores.summary[COLUMNS[name][0]] for name in SHARES}
        looks = {"median": scores.summary["looks_median"], "p90": scores.summary["looks_p90"]}
        days = {str(h): e if _has_older(scores, h) else Estimate(None) for h, e in scores.by_days.items()}
        for axes, estimates in ((left, shares), (middle, looks), (right, days)):
            _draw_points(axes, estimates, place, colour, setting if axes is right else "")
    left.set_title(f"shares, {LEVEL:.0%} intervals", fontsize=9)
    middle.set_title("clear looks to confirm", fontsize=9)
    right.set_title("pixel F1 by days since the change", fontsize=9)
    left.set_ylim(0.5, 1.01)
    right.set_ylim(0, 1.02)
    middle.set_ylim(bottom=0)
    right.legend(fontsize=8, loc="lower right", frameon=False)
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _has_older(scores: Scores, days: int) -> bool:
    """True if any site was watched that long."""
    return any(site.watched_days >= days for site in scores.sites)


def _draw_points(axes: Axes, estimates: Mapping[str, Estimate], shift: float, colour: str, label: str) -> None:
    for place, estimate in enumerate(estimates.values()):
        if estimate.value is None:
            continue
        if estimate.low is not None and estimate.high is not None:
            axes.plot([place + shift] * 2, [estimate.low, estimate.high], color=colour, linewidth=2)
        axes.plot([place + shift], [estimate.value], "o", color=colour, markersize=5)
    if label:
        axes.plot([], [], "o", color=colour, label=label)
    axes.set_xticks(range(len(estimates)), list(estimates), fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", alpha=0.3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="simulated series of each setting")
    parser.add_argument("--size", choices=("full", "small"), default="full", help="small: for a test of this script")
    parser.add_argument("--injected", type=Path, default=ROOT.parent / "shared" / "data" / "injected", help="real series")
    parser.add_argument("--draws", type=int, default=5, help="thinned series of real ground at each density, 0 = leave it out")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps series and archives")
    parser.add_argument("--docs", type=Path, help="where accuracy.md goes [default: docs, with --set nowhere]")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="SECTION.KEY=VALUE of the pipeline")
    chosen = parser.parse_args(arguments)
    cache = chosen.cache.resolve()
    results = score_all(list_cases(chosen.seeds, chosen.size, chosen.injected, cache), tuple(chosen.overrides))
    print()
    print_rows(make_rows(results))
    print(*describe_goals(results), sep="\n")
    docs = chosen.docs or (None if chosen.overrides else ROOT / "docs")
    if docs:
        points = measure_section(cache, chosen.draws) if chosen.draws else MISSING
        write_page(docs, results, points, chosen.seeds, chosen.size)
        print(f"written: {docs / 'accuracy.md'}")


if __name__ == "__main__":
    main()
