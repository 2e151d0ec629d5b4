"""Many small areas in one scan, against decoding what each needs, one area after another."""

from __future__ import annotations

import numpy as np

from benchmarks.outlines import Frame
from benchmarks.results import CPU, Row, Run
from benchmarks.series import Series, find_frame

SIDES = (100, 200)
"""Shortest and longest side of an area, pixels."""


def measure_areas(run: Run) -> list[Row]:
    """Scan many areas at once."""
    series = run.series(run.size, run.scenes)
    places = place_areas(series, run.areas)
    areas = [series.area(f"area-{number:03d}", place) for number, place in enumerate(places)]
    workspace = series.workspace(run.work / "areas", areas)
    limit = run.job("decode", series=series.folder, areas=[find_frame(area) for area in areas])
    done = run.job("scan", **run.scan_settings(series, workspace))
    name = f"scan of {len(areas)} areas"
    total = sum(limit.facts["seconds"])
    return [
        Row(f"decode limits of {len(areas)} areas of 1 to 2 km, summed", total, "s", cpu=limit.cpu),
        Row(name, done.seconds, "s", done.seconds / total, "sum of the decode limits", "areas", done.cpu),
        Row(f"{name}: CPU", done.cpu, CPU, done.cpu / limit.cpu, "sum of the decode limits"),
        Row(f"{name}: alerts", done.facts["alerts"], "alerts"),
        Row(f"{name}: memory", done.memory / 1e9, "GB"),
    ]


def place_areas(series: Series, count: int) -> list[Frame]:
    """Lay rectangles anywhere, also over each other: top, left, bottom, right, even numbers of pixels."""
    random = np.random.default_rng(3)
    size = series.settings.size
    longest = min(SIDES[1], size // 2)
    places = []
    for _ in range(count):
        height, width = (2 * int(random.integers(min(SIDES[0], longest) // 2, longest // 2 + 1)) for _ in range(2))
        top, left = 2 * int(random.integers((size - height) // 2)), 2 * int(random.integers((size - width) // 2))
        places.append((top, left, top + height, left + width))
    return places
