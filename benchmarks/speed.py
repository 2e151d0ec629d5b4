"""How fast minewatch is, each figure as a ratio to a baseline of the same run.

python -m benchmarks.speed                        everything, 2048 and 4096 pixels a side
python -m benchmarks.speed --only cold --all      also 8192 and 10980
python -m benchmarks.speed --only warm,lines      parts; the page keeps the others' last figures
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.areas import measure_areas
from benchmarks.cold import measure_cold
from benchmarks.kernel import measure_kernel
from benchmarks.measure import ROOT
from benchmarks.page import store_rows, write_page
from benchmarks.results import Row, Run
from benchmarks.slow_links import measure_lines
from benchmarks.update import measure_update
from benchmarks.warm import measure_cluster, measure_warm

PARTS: dict[str, Callable[[Run], list[Row]]] = {
    "cold": measure_cold,
    "warm": measure_warm,
    "lines": measure_lines,
    "areas": measure_areas,
    "cluster": measure_cluster,
    "kernel": measure_kernel,
    "update": measure_update,
}
"""The benchmarks by name, in the page's order."""

SIZES = (2048, 4096, 8192, 10980)

SMALL = {
    "size": 128,
    "sizes": (128,),
    "scenes": 8,
    "long": 28,
    "areas": 3,
    "rounds": 1,
    "decided": (3, 30, 15),
    "apart": False,
    "peers": False,
}
"""So small that a test can run it."""


def measure_parts(run: Run, names: Sequence[str]) -> dict[str, list[Row]]:
    """Run benchmarks by name and print their rows."""
    results = {}
    for name in names:
        start = time.perf_counter()
        results[name] = PARTS[name](run)
        print(f"--- {name}, {time.perf_counter() - start:.0f} s")
        for row in results[name]:
            print(describe_row(row), flush=True)
    return results


def describe_row(row: Row) -> str:
    """Return a row as a line of text."""
    ratio = "" if row.ratio is None else f"   {row.ratio:.2f} ({row.against})"
    goal = "" if row.goal is None else f"   goal {'≥' if row.at_least else '≤'} {row.goal:g}: {'met' if row.met else 'missed'}"
    return f"{row.name}: {row.figure:.3g} {row.unit}{ratio}{goal}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="benchmarks, separated by commas")
    parser.add_argument("--size", type=int, default=4096, help="largest side of the cold scans, pixels")
    parser.add_argument("--all", action="store_true", help="cold scans of every size up to a whole tile: 24 GB of scenes")
    parser.add_argument("--areas", type=int, default=Run.areas, help="small areas in one scan")
    parser.add_argument("--small", action="store_true", help="for a test of this program")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps series and results")
    parser.add_argument("--docs", type=Path, help="where speed.md goes [default: docs, with --small nowhere]")
    chosen = parser.parse_args(arguments)
    names = chosen.only.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    cache = chosen.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    sizes = tuple(size for size in SIZES if chosen.all or size <= max(chosen.size, SIZES[0]))
    with tempfile.TemporaryDirectory(prefix="speed-work-", dir=cache) as work:
        run = Run(cache, Path(work), **(SMALL if chosen.small else {"sizes": sizes, "areas": chosen.areas}))
        results = measure_parts(run, names)
    docs = chosen.docs or (None if chosen.small else ROOT / "docs")
    if docs:
        write_page(docs, store_rows(cache / "speed-results.json", results))
        print(f"written: {docs / 'speed.md'}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the measured process and deletes the workspaces
    main()
