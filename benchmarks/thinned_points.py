"""Whether the share of clearings that a scan tells is the share it finds: real clearings, with a part of the scenes taken away.

python -m benchmarks.thinned_points                      five draws at each density
python -m benchmarks.thinned_points --looks 8 --draws 1  one of them

The series of ``../shared/data/points-rondonia`` are thinned by leaving out scenes of all dates at random, and each thinned
catalogue is scanned as a user would scan it.  Real clearings begin in some months more than in others, most of them last longer
than LASTING_DAYS, and there are few of them.  So the share that is told for the whole year is shown beside the shares told for
the days on which these clearings began, on all watched ground and on their own: the last is what the scan must find in time.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.real_points import (
    CRS,
    FOLDER,
    LASTING,
    LEAST_COVER,
    Truth,
    name_class,
    open_points,
    outline_block,
    read_points,
    scan_points,
)
from minewatch.alerts.explain.alert_pixels import assess_area
from minewatch.alerts.read import read_alerts
from minewatch.areas.vectorize import rasterize_outlines
from minewatch.core.progress import Reporter
from minewatch.core.units import to_day
from minewatch.detection.blindness import count_blind
from minewatch.detection.detect import detect_changes
from minewatch.detection.lasting import LASTING_DAYS
from minewatch.detection.tiles import load_tile
from minewatch.operations.scan_report import AreaReport

CLEAR_LOOKS = 15.5
"""Clear looks of a point in the watched year, with all scenes."""

DENSITIES = (15.5, 12.0, 8.0, 5.0, 4.0)
"""Clear looks a year that are left."""


@dataclass(frozen=True)
class Shares:
    """What a scan of a thinned catalogue told of lasting clearings, and what it found of the real ones."""

    told: float
    """Told of the whole year and all watched ground."""

    told_in_season: float
    """Told of all watched ground, for the days on which the real clearings began."""

    told_of_own: float
    """The same for their own ground alone."""

    found_in_time: float
    """Real clearings confirmed within LASTING_DAYS."""

    found: float
    """Real clearings confirmed while they lasted, or after."""


def thin_catalogue(source: Path, target: Path, looks: float, seed: int) -> Path:
    """Copy a catalogue without a random part of its items, so that about ``looks`` clear looks a year are left."""
    target.mkdir(parents=True)
    shutil.copy(source / "catalog.json", target)
    collection = json.loads((source / "collection.json").read_text("utf-8"))
    items = [link for link in collection["links"] if link["rel"] == "item"]
    kept = random.Random(seed).sample(items, round(len(items) * min(looks / CLEAR_LOOKS, 1)))  # noqa: S311  no secret
    collection["links"] = [link for link in collection["links"] if link["rel"] != "item" or link in kept]
    for link in kept:
        shutil.copytree((source / link["href"]).parent, (target / link["href"]).parent)
    (target / "collection.json").write_text(json.dumps(collection), "utf-8")
    return target / "catalog.json"


def measure_thinned(source: Path, folder: Path, looks: float, seed: int) -> Shares:
    """Thin a catalogue of points, scan it, and compare what the scan tells with what it finds."""
    workspace = open_points(thin_catalogue(source, folder / "catalogue", looks, seed), folder / "workspace")
    (area,), truth = scan_points(workspace).areas, read_points()
    alerts = read_alerts(workspace.alerts).to_crs(CRS)
    return Shares(area.coverage.chance.share or 0.0, *_tell_onsets(area, truth), *_count_found(alerts, truth))


def list_lasting(truth: Truth) -> list[tuple[int, shapely.Polygon]]:
    """List the lasting clearings: day of onset, and outline."""
    return [
        (truth["onset"][number], outline_block(truth, number))
        for number in range(len(truth["label"]))
        if name_class(truth, number) == LASTING
    ]


def _tell_onsets(area: AreaReport, truth: Truth) -> tuple[float, float]:
    """Return the share told for the onsets of the lasting clearings, on all watched ground and on their own.

    A clearing is a small patch: it counts as confirmed where three quarters of its pixels are, which make the least alert.
    """
    plan = area.plan
    scenes = assess_area(area.observations, plan, Reporter())
    tile = load_tile(area.observations, plan, plan.grid.window)
    everywhere = detect_changes(tile, scenes)
    all_ground, own = [], []
    for onset, outline in list_lasting(truth):
        day = onset - to_day(plan.monitor_from)
        watch = to_day(plan.until) - to_day(plan.monitor_from)
        blind = count_blind(everywhere.onsets, watch)
        if day < len(blind):
            all_ground.append(1 - blind[day] / everywhere.watched)
            inside = rasterize_outlines([outline], plan.grid.transform, plan.grid.shape)
            changes = detect_changes(replace(tile, inside=inside), scenes)
            own.append(changes.watched > 0 and count_blind(changes.onsets, watch)[day] <= changes.watched / 4)
    return float(np.mean(all_ground)), float(np.mean(own))


def _count_found(alerts: Any, truth: Truth) -> tuple[float, float]:
    """Return the share of lasting clearings that were confirmed in time, and at all."""
    confirmed = alerts[alerts["confirmed_on"].notna()]
    in_time, found = [], []
    for onset, outline in list_lasting(truth):
        over = confirmed[confirmed.intersects(outline)]
        found.append(over.intersection(outline).area.sum() >= LEAST_COVER * outline.area)
        soonest = min((to_day(day.date()) for day in over["confirmed_on"]), default=0)
        in_time.append(found[-1] and soonest <= onset + LASTING_DAYS)
    return float(np.mean(in_time)), float(np.mean(found))


def measure_draws(source: Path, looks: float, draws: int) -> list[Shares]:
    """Thin a catalogue to a density several times over; with all its scenes there is one draw."""
    found = []
    for seed in range(draws if looks < CLEAR_LOOKS else 1):
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure_thinned(source, Path(folder), looks, seed))
    return found


def average(draws: Sequence[Shares]) -> Shares:
    """Return the mean of some draws."""
    return Shares(*(float(mean) for mean in np.mean([astuple(shares) for shares in draws], axis=0)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each density, and print one line for each draw and for their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--looks", type=float, nargs="+", default=DENSITIES, help="clear looks a year that are left")
    parser.add_argument("--draws", type=int, default=5, help="draws at each density")
    options = parser.parse_args(arguments)
    if not FOLDER.is_dir():
        sys.exit(f"the real series are missing: {FOLDER}")
    print("looks  draw  " + "  ".join(field.name for field in fields(Shares)))
    for looks in options.looks:
        draws = measure_draws(FOLDER, looks, options.draws)
        for name, shares in [*enumerate(draws), ("mean", average(draws))]:
            cells = "  ".join(
                f"{share:{len(field.name)}.2f}" for field, share in zip(fields(Shares), astuple(shares), strict=True)
            )
            print(f"{looks:5}  {name:>4}  {cells}", flush=True)


if __name__ == "__main__":
    main()
