"""What a budget of bytes costs in accuracy: series with known mines, scanned with shares of the bytes that all of them take.

    .venv/bin/python -m benchmarks.budget

The injected series are copied with overviews, as files of a whole tile have them, and the simulated ones have them.  Headers
are left out of the count: in files of one square kilometre they weigh as much as the pixels, in those of a tile nothing.
The constants of ``minewatch/archive/budget.py`` were chosen by the injected series 101, 103 and 105.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import rasterio
import rasterio.shutil

from benchmarks.accuracy import NAME, ROOT, Case, list_injected, open_case, simulate_case
from minewatch.alerts.read import read_alerts
from minewatch.alerts.validate import Scores, summarise, validate_alerts
from minewatch.archive import survey
from minewatch.areas.grid import PIXEL
from minewatch.operations.estimate import estimate_scan
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.simulation.settings import temperate_simulation, tropical_simulation
from minewatch.simulation.stac import OVERVIEWS

INJECTED = {"injected, tuned on": ("101", "103", "105"), "injected, held back": ("102", "104", "106")}
"""Series of each set."""

SIMULATED = {"simulated tropical": tropical_simulation, "simulated temperate": temperate_simulation}
"""Settings of the simulated series of each set."""

SHARES = (1.0, 0.5, 0.26, 1 / 7)
"""Bytes, of those that all looks take."""

COLUMNS = {
    "pixel F1": "pixel_f1",
    "site recall": "site_recall",
    "alarm precision": "alarm_precision",
    "looks to confirm": "looks_median",
    "days": "days_median",
    "area error": "area_error_median",
}
"""Of the table, with the figures of ``minewatch validate``."""


def copy_with_overviews(folder: Path, copy: Path) -> Path:
    """Copy a series, its bands of 10 m as COGs with overviews that are means; return the copy."""
    if not copy.exists():
        part = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(folder, part, dirs_exist_ok=True, copy_function=shutil.copyfile)
        for place in (part, *part.glob("*/")):
            place.chmod(0o755)
        for path in part.glob("*/B0[2348].tif"):
            path.unlink()
            options = {"compress": "deflate", "predictor": 2, "overview_count": OVERVIEWS, "overview_resampling": "average"}
            rasterio.shutil.copy(folder / path.relative_to(part), path, driver="COG", **options)
        part.rename(copy)
    return copy


def list_sets(injected: Path, cache: Path) -> dict[str, list[Case]]:
    """Return the series of each set."""
    copies = cache / "with-overviews"
    copies.mkdir(parents=True, exist_ok=True)
    names = [name for names in INJECTED.values() for name in names if (injected / name).is_dir()]
    for name in names:
        copy_with_overviews(injected / name, copies / name)
    known = {case.catalog.parent.name: case for case in list_injected(copies, cache / "budget")}
    sets = {title: [known[name] for name in names if name in known] for title, names in INJECTED.items()}
    return sets | {title: [simulate_case(title, make(seed), cache) for seed in (1, 2)] for title, make in SIMULATED.items()}


def score_share(case: Case, share: float) -> tuple[Scores, int, int]:
    """Scan a series with a share of its bytes into a new workspace; return scores, looks used, and those in larger pixels."""
    folder = case.folder / f"share-{share:.3f}"
    shutil.rmtree(folder, ignore_errors=True)
    workspace = open_case(replace(case, folder=folder))
    request = ScanRequest((NAME,), source=str(case.catalog), until=case.until, replace=True)
    (whole,) = estimate_scan(workspace, request).areas
    years = (case.until - case.monitor_from).days / 365.25
    paid = (3 + 1) / (3 + max(1.0, years))  # a budget is for the baseline's three years and the first that is watched
    area = scan(workspace, replace(request, budget=round(whole.size * share * paid) if share < 1 else None)).areas[0]
    scores = validate_alerts(read_alerts(workspace.alerts), case.catalog.parent / "truth.gpkg", case.monitor_from, case.until)
    return scores, len(area.observations), sum(look.read_pixel > PIXEL for look in area.observations)


def make_rows(title: str, cases: Sequence[Case]) -> Iterable[tuple[str, ...]]:
    """Yield the row of each share."""
    for share in SHARES:
        done = [score_share(case, share) for case in cases]
        found = summarise([scores for scores, *_ in done])
        looks, coarse = (sum(one[place] for one in done) / len(done) for place in (1, 2))
        cells = (found.summary[key].value for key in COLUMNS.values())
        yield title, f"{share:.0%}", f"{looks:.0f}", f"{coarse:.0f}", *("–" if cell is None else f"{cell:.3g}" for cell in cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--injected", type=Path, default=ROOT.parent / "shared" / "data" / "injected")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache")
    chosen = parser.parse_args()
    survey.HEAD = 0
    head = ("series", "bytes", "looks used", "of these in 20 m", *COLUMNS)
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for title, cases in list_sets(chosen.injected, chosen.cache).items():
        for row in make_rows(title, cases) if cases else ():
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
