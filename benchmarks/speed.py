"""How fast minewatch is, each figure as a ratio to a baseline of the same run, in time and in CPU seconds.

python -m benchmarks.speed                        everything, with cold scans of 2048 and 4096 pixels a side: about an hour on two
                                                  cores the first time, which writes 14 GB of scenes, half of that later
python -m benchmarks.speed --all                  also cold scans of 8192 and 10980: half an hour more, and 21 GB in all
python -m benchmarks.speed --quick                a coarse look, smaller and once: a quarter of an hour; prints, writes no page
python -m benchmarks.speed --only warm,lines      parts; the page keeps the others' last figures
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.areas import measure_areas
from benchmarks.cold import SHARED, measure_cold
from benchmarks.kernel import measure_kernel
from benchmarks.measure import ROOT
from benchmarks.page import store_rows, write_page
from benchmarks.report import measure_report
from benchmarks.results import Row, Run, describe_row
from benchmarks.slow_links import measure_lines
from benchmarks.startup import measure_startup
from benchmarks.thousand import measure_thousand
from benchmarks.update import measure_update
from benchmarks.warm import measure_cluster, measure_warm

PARTS: dict[str, Callable[[Run], list[Row]]] = {
    "cold": measure_cold,
    "warm": measure_warm,
    "report": measure_report,
    "startup": measure_startup,
    "lines": measure_lines,
    "areas": measure_areas,
    "thousand": measure_thousand,
    "cluster": measure_cluster,
    "kernel": measure_kernel,
    "update": measure_update,
}
"""The benchmarks by name, in the page's order."""

SIZES = (2048, 4096, 8192, 10980)

QUICK: dict[str, Any] = {"sizes": (2048,), "areas": 50, "many": (4096, 2, 2), "rounds": 1, "commands": 3, "most_rows": 5000}
"""A coarse look."""

SMALL: dict[str, Any] = {
    "size": 128,
    "sizes": (128,),
    "scenes": 8,
    "long": 28,
    "areas": 3,
    "many": (128, 2, 1),
    "thousand": 10,
    "rounds": 1,
    "decided": (3, 30, 15),
    "commands": 1,
    "apart": False,
    "peers": False,
}
"""So small that a test can run it."""


def measure_parts(run: Run, names: Sequence[str]) -> dict[str, tuple[list[Row], float]]:
    """Run benchmarks by name and print their rows; gives these and the seconds that it took."""
    results = {}
    for name in names:
        start = time.perf_counter()
        rows = PARTS[name](run)
        results[name] = rows, time.perf_counter() - start
        clear_work(run.work)
        print(f"--- {name}, {results[name][1]:.0f} s")
        for row in rows:
            print(f"{row.group}: {describe_row(row)}" if row.group else describe_row(row), flush=True)
    return results


def clear_work(folder: Path) -> None:
    """Delete the workspaces of a part, which take gigabytes, but for the one that parts share."""
    for path in folder.iterdir():
        if path.name != SHARED:
            shutil.rmtree(path, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="benchmarks, separated by commas")
    parser.add_argument("--size", type=int, default=4096, help="largest side of the cold scans, pixels")
    parser.add_argument("--all", action="store_true", help="cold scans of every size up to a whole tile")
    parser.add_argument("--areas", type=int, default=Run.areas, help="small areas in one scan")
    parser.add_argument("--quick", action="store_true", help="a coarse look: smaller scans, one round of each")
    parser.add_argument("--small", action="store_true", help="for a test of this program")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps series and results")
    parser.add_argument("--docs", type=Path, help="where speed.md goes [default: docs; with --quick and --small nowhere]")
    chosen = parser.parse_args(arguments)
    names = chosen.only.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    cache = chosen.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    sizes = tuple(size for size in SIZES if chosen.all or size <= max(chosen.size, SIZES[0]))
    with tempfile.TemporaryDirectory(prefix="speed-work-", dir=cache) as work:
        full = {"sizes": sizes, "areas": chosen.areas, "many": (max(Run.many[0], *sizes), *Run.many[1:])}
        settings = SMALL if chosen.small else QUICK if chosen.quick else full
        run = Run(cache, Path(work), **settings)
        results = measure_parts(run, names)
    docs = chosen.docs or (None if chosen.small or chosen.quick else ROOT / "docs")
    if docs:
        write_page(docs, store_rows(cache / "speed-figures.json", results))
        print(f"written: {docs / 'speed.md'}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the measured process and deletes the workspaces
    main()
