"""How long a report of over twenty alerts takes, from an archive and a local catalogue.

python -m benchmarks.report             as HTML, and as HTML with PDF
python -m benchmarks.report --small     a tiny area, for a test of this program

Each report is made in a process of its own.  The baseline is reading the same pixels with rasterio, and nothing else.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import rasterio
from pyproj import Transformer
from rasterio.windows import Window, from_bounds

from benchmarks.accuracy import NAME, Case, shrink, simulate_case
from benchmarks.measure import ROOT, run_job
from benchmarks.results import Row
from minewatch.alerts.table import read_alerts
from minewatch.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.plan import Request as ScanRequest
from minewatch.report import HTML, PDF, Request, gather_facts, write_report
from minewatch.scan import scan
from minewatch.settings import init_workspace
from minewatch.simulate import Simulation, demo_simulation
from minewatch.workspace import Workspace

MANY = replace(
    demo_simulation(),
    seed=11,
    first=dt.date(2023, 1, 1),
    changes_from=dt.date(2024, 2, 1),
    cloudiness=0.3,
    mines=26,
    clearings=0,
    burns=0,
    landslides=0,
)
"""6 x 6 km, two years, 26 mines: 64 scenes, which take a quarter of a minute to make."""

GOAL_SECONDS, GOAL_SIZE = 30.0, 5.0
"""Seconds of a report of twenty alerts on two cores; megabytes of its HTML."""

ALERTS = 20
"""With a section of their own: those of the goal."""

STAGES = {
    "reading images": "minewatch.report.facts._take_photos",
    "explaining alerts": "minewatch.report.facts.explain_alerts",
    "drawing maps and pairs": "minewatch.report.page.draw_pairs",
    "drawing series": "minewatch.report.page.draw_series",
    "printing the PDF": "minewatch.report.print_page",
}
"""Name to the function whose time is taken; what is left is the rest."""

PAGE = rb"/Type\s*/Page\b"
"""How a page begins in a PDF."""

BANDS = ("scl", "red", "green", "blue", "nir", "swir16")
"""What the images of an alert are made of."""


def make_workspace(settings: Simulation, cache: Path) -> Workspace:
    """Simulate and scan an area, or find the one that was made before."""
    case = simulate_case("reports many", settings, cache)
    workspace = Workspace(case.folder / "workspace")
    if not workspace.alerts.exists():
        _scan(case, workspace.root)
    return workspace


def _scan(case: Case, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    workspace = init_workspace(root, source=str(case.catalog.resolve()))
    write_aoi(workspace, Aoi(NAME, bbox_geometry(case.bbox), case.monitor_from))
    scan(workspace, ScanRequest((NAME,), until=case.until))


# --- jobs ------------------------------------------------------------------------------------------------------------


def prepare_report(workspace: str, folder: str, formats: Sequence[str], only: Sequence[str] = ()) -> Callable[[], dict[str, Any]]:
    """Write a report; the clock of each stage runs beside it.  ``only`` leaves the largest alerts, by their ids."""
    place = Workspace(Path(workspace))

    def work() -> dict[str, Any]:
        spent: Counter[str] = Counter()
        start = time.process_time()
        with ExitStack() as stack:
            for stage, name in STAGES.items():
                stack.enter_context(_timing(stage, name, spent))
            if only:
                stack.enter_context(_leaving(set(only)))
            done = write_report(place, Request(NAME, formats=tuple(formats)), Path(folder))
        if done.fault:
            raise RuntimeError(done.fault)
        files = {path.suffix[1:]: path.stat().st_size for path in done.paths}
        pages = [count_pages(path.read_bytes()) for path in done.paths if path.suffix == ".pdf"]
        return {"spent": spent, "files": files, "pages": pages, "cpu": time.process_time() - start, "alerts": done.alerts}

    return work


def count_pages(data: bytes) -> int:
    """Count the pages of a PDF, whose objects are deflated."""
    count = len(re.findall(PAGE, data))
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        with suppress(zlib.error):
            count += len(re.findall(PAGE, zlib.decompressobj().decompress(stream)))
    return count


@contextmanager
def _timing(stage: str, name: str, spent: Counter[str]) -> Iterator[None]:
    """Take the time of a function, or of the steps of what it yields."""
    module, _, attribute = name.rpartition(".")
    real = getattr(__import__(module, fromlist=[attribute]), attribute)

    def timed(*words: Any, **names: Any) -> Any:
        start = time.perf_counter()
        result = real(*words, **names)
        spent[stage] += time.perf_counter() - start
        return _timed_steps(result, stage, spent) if isinstance(result, Iterator) else result

    with patch(name, timed):
        yield


def _timed_steps(steps: Iterator[Any], stage: str, spent: Counter[str]) -> Iterator[Any]:
    while True:
        start = time.perf_counter()
        try:
            step = next(steps)
        except StopIteration:
            return
        finally:
            spent[stage] += time.perf_counter() - start
        yield step


@contextmanager
def _leaving(ids: set[str]) -> Iterator[None]:
    """Let the report know of some alerts alone."""
    name = "minewatch.report.facts.read_alerts"
    with patch(name, lambda path: (table := read_alerts(path))[table["alert_id"].isin(ids)]):
        yield


def prepare_pixels(workspace: str, only: Sequence[str] = ()) -> Callable[[], dict[str, Any]]:
    """Read with rasterio what the images of a report show, file by file."""
    with _leaving(set(only)):
        reads = _list_reads(Workspace(Path(workspace)))

    def work() -> dict[str, Any]:
        pixels = 0
        for path, bounds in reads:
            with rasterio.open(path) as file:
                window: Window = from_bounds(*bounds, file.transform).round_offsets().round_lengths()
                pixels += file.read(1, window=window, boundless=True, fill_value=0).size
        return {"pixels": pixels, "reads": len(reads)}

    return work


def _list_reads(workspace: Workspace) -> list[tuple[str, tuple[float, ...]]]:
    facts = gather_facts(workspace, Request(NAME))
    reads = []
    for alert in facts.alerts:
        for photo in alert.scenery.photos.values() if alert.scenery else ():
            chip = next(iter(photo.chips.values()))
            for scene in chip.look.take.scenes:
                for band in BANDS:
                    with rasterio.open(scene.hrefs[band]) as file:
                        project = Transformer.from_crs(chip.frame.crs, file.crs, always_xy=True)
                    reads.append((scene.hrefs[band], project.transform_bounds(*chip.frame.bounds)))
    return reads


# --- what is shown ---------------------------------------------------------------------------------------------------


def measure_reports(settings: Simulation, cache: Path, alerts: int = ALERTS) -> list[Row]:
    """Make the reports and give the figures."""
    workspace = make_workspace(settings, cache)
    only = _choose_alerts(workspace, alerts)
    place = {"workspace": str(workspace.root), "only": only}
    pixels = run_job("pixels", place)
    rows = [Row(f"reading the pixels alone ({pixels.facts['reads']} windows)", pixels.seconds, "s")]
    for formats in ((HTML,), (HTML, PDF)):
        folder = workspace.output / "reports-measured"
        done = run_job("report", place | {"folder": str(folder), "formats": formats})
        name = f"{len(only)} alerts as {' and '.join(formats).upper()}"
        rows += [
            Row(name, done.seconds, "s", goal=GOAL_SECONDS),
            Row(f"{name}: to the pixels alone", done.seconds, "s", done.seconds / pixels.seconds, "reading the pixels"),
            Row(f"{name}: processor", done.facts["cpu"], "s"),
            Row(f"{name}: memory", done.memory / 1e6, "MB"),
        ]
        spent = done.facts["spent"] | {"the rest": done.seconds - sum(done.facts["spent"].values())}
        rows += [Row(f"{name}: {stage}", seconds, "s") for stage, seconds in spent.items()]
        rows += [Row(f"{name}: pages", pages, "pages") for pages in done.facts["pages"]]
    for kind, size in done.facts["files"].items():
        rows.append(Row(f"size of the {kind.upper()}", size / 1e6, "MB", goal=GOAL_SIZE if kind == HTML else None))
    return rows


def _choose_alerts(workspace: Workspace, count: int) -> list[str]:
    """Choose the largest alerts that stand."""
    table = read_alerts(workspace.alerts)
    standing = table[table["status"].isin(("provisional", "confirmed"))]
    return [str(name) for name in standing.sort_values("area_ha", ascending=False)["alert_id"].head(count)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="for a test of this program")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps the scanned area")
    chosen = parser.parse_args(arguments)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    rows = measure_reports(shrink(MANY) if chosen.small else MANY, chosen.cache.resolve())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for row in rows:
        ratio = "" if row.ratio is None else f"   {row.ratio:.1f} ({row.against})"
        goal = "" if row.goal is None else f"   goal <= {row.goal:g}: {'met' if row.met else 'missed'}"
        print(f"{row.name}: {row.figure:.3g} {row.unit}{ratio}{goal}")


if __name__ == "__main__":
    main()
