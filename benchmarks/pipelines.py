"""What is found with each built-in pipeline, how soon, and how much of it is false: written into the heads of their files.

    .venv/bin/python -m benchmarks.pipelines

The pipelines were tuned on half of the injected series; the other half and the blocks of real ground are there to judge them.
``--only SET`` measures one set and keeps it for the heads, so that the whole can be done in parts.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

import minewatch
from benchmarks.accuracy import ROOT, Case, list_injected, score_case
from benchmarks.real_points import (
    CRS,
    FOLDER,
    LASTING,
    LEAST_COVER,
    PointScores,
    name_class,
    open_points,
    outline_block,
    read_points,
    scan_points,
    score_points,
)
from minewatch.alerts.read import read_alerts
from minewatch.alerts.validate import Scores, summarise
from minewatch.core.files import publishing
from minewatch.core.workspace import Workspace
from minewatch.settings.built_in import BUILT_IN, find_built_in, read_head

SERIES = {"tuned": ("101", "103", "105"), "held": ("102", "104", "106")}
"""Injected series that the pipelines were tuned on, and those that they are judged by."""

COMMAND = "python -m benchmarks.pipelines"

TITLES = {
    "tuned": "injected, tuned on (101 103 105)",
    "held": "injected, held back (102 104 106)",
    "points": "points in Rondônia that stay bare",
}
"""Set to its name in the heads."""

HEADINGS = ("", "mines found", "alerts true", "looks, median · p90", "days, median · p90")

FALSE = {"Forest": "forest", "NatNonForest": "savanna and wetland", "NonForest": "fields", "Pasture": "pasture"}
"""Classes of real ground on which an alert is false, but for fields that were cleared."""


def list_cases(one: str, injected: Path, cache: Path) -> list[Case]:
    """Return the series of a set."""
    return [case for case in list_injected(injected, cache) if case.catalog.parent.name in SERIES[one]]


def measure_series(cases: Sequence[Case], pipeline: str) -> list[str]:
    """Return the cells of a row: what was found with a pipeline on some series, how much of it was true, and how soon."""
    scores = summarise([score_case(case, (), pipeline)[case.setting] for case in cases])
    return describe_scores(scores)


def describe_scores(scores: Scores) -> list[str]:
    """Return the cells of a row."""
    hit, alarms = sum(site.hit for site in scores.sites), scores.true_alarms + scores.false_alarms
    looks, days = (
        describe_range(scores.summary[f"{name}_median"].value, scores.summary[f"{name}_p90"].value) for name in ("looks", "days")
    )
    return [f"{hit} of {len(scores.sites)}", f"{scores.true_alarms} of {alarms}", looks, days]


def describe_range(median: float | None, late: float | None) -> str:
    """Return median and 90th percentile."""
    return "–" if median is None or late is None else f"{median:.0f} · {late:.0f}"


def measure_points(cache: Path, pipeline: str) -> list[str]:
    """Return the cells of the row of real ground, and last what was false there."""
    workspace = open_points(FOLDER / "catalog.json", cache / "points")
    scan_points(workspace, pipeline=pipeline)
    scores, days = score_points(workspace), list_delays(workspace)
    soon = describe_range(*(float(np.quantile(days, q)) for q in (0.5, 0.9))) if days else "–"
    return [f"{scores.hits[LASTING]} of {scores.totals[LASTING]}", "", "", soon, describe_false(scores)]


def describe_false(scores: PointScores) -> str:
    """Return how many blocks were confirmed where nothing was cleared."""
    return ", ".join(f"{name} {scores.hits[kind]} of {scores.totals[kind]}" for kind, name in FALSE.items())


def list_delays(workspace: Workspace) -> list[int]:
    """Return the days from the first bare look of each lasting clearing that was found to its first confirmed alert."""
    truth, alerts = read_points(), read_alerts(workspace.alerts)
    confirmed = alerts[alerts["confirmed_on"].notna()].to_crs(CRS)
    delays = []
    for number in range(len(truth["label"])):
        if name_class(truth, number) == LASTING:
            block = outline_block(truth, number)
            near = confirmed[confirmed.intersects(block)]
            if len(near) and shapely.union_all(list(near.geometry)).intersection(block).area >= LEAST_COVER * block.area:
                first = pd.to_datetime(near["confirmed_on"]).min().date()
                delays.append((first - dt.date(1970, 1, 1)).days - int(truth["onset"][number]))
    return delays


def write_head(name: str, figures: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Write the figures of a pipeline into the head of its file; the sentence and the settings stay."""
    rows = [HEADINGS, *((TITLES[one], *figures[one][name][:4]) for one in TITLES)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    table = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [
        read_head(name)[0],
        "",
        *table,
        f"False there: {figures['points'][name][4]}.",
        f"Measured on {dt.datetime.now(dt.UTC).date()} with minewatch {minewatch.__version__}: {COMMAND}",
    ]
    path = find_built_in(name)
    body = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    with publishing(path) as temporary:
        temporary.write_text("\n".join([*(f"# {line}".rstrip() for line in lines), *body]) + "\n", "utf-8")
    path.chmod(0o644)


def _read(kept: Path) -> dict[str, dict[str, list[str]]]:
    return dict(json.loads(kept.read_text("utf-8"))) if kept.exists() else {}


def main(arguments: list[str] | None = None) -> None:
    """Measure the sets that are not known yet, or the one named, and write the heads once all are known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(TITLES), help="measure this set, whether it is known or not")
    parser.add_argument("--injected", type=Path, default=ROOT.parent / "shared" / "data" / "injected", help="real series")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps series, archives and figures")
    chosen = parser.parse_args(arguments)
    cache = chosen.cache.resolve()
    kept = cache / "pipelines.json"
    figures = _read(kept)
    for one in [chosen.only] if chosen.only else [one for one in TITLES if one not in figures]:
        cases = list_cases(one, chosen.injected, cache) if one in SERIES else []
        measured = {name: measure_series(cases, name) if cases else measure_points(cache, name) for name in BUILT_IN}
        print(one, json.dumps(measured, ensure_ascii=False), flush=True)
        figures = _read(kept) | {one: measured}  # another set may have been measured meanwhile
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(figures), "utf-8")
    if set(TITLES) <= figures.keys():
        for name in BUILT_IN:
            write_head(name, figures)
        print(f"written: {find_built_in(BUILT_IN[0]).parent}")


if __name__ == "__main__":
    main()
