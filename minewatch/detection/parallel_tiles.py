"""Maps the changes of areas in parallel: first the quality of each scene, then the changes tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minewatch.archive.stack import sample_rows
from minewatch.core.parallel import Engine
from minewatch.core.progress import Reporter
from minewatch.detection.change_map import TileChanges
from minewatch.detection.scene_quality import SceneQuality, assess_scenes
from minewatch.detection.tiles import Task, detect_tile, list_tiles, measure_rows


def assess_areas(tasks: Sequence[Task], engine: Engine, reporter: Reporter) -> list[SceneQuality]:
    """Assess the scenes of each area, from a sample of its pixels."""
    areas = [task.area for task in tasks]
    jobs = [(number, rows) for number, area in enumerate(areas) for rows in sample_rows(area.grid)]
    totals: list[Any] = [0] * len(tasks)
    measured = engine.run(measure_rows, [(tasks[number].observations, areas[number], rows) for number, rows in jobs])
    for index, counts in reporter.track(measured, _title(tasks, "comparing scenes"), len(jobs)):
        totals[jobs[index][0]] = totals[jobs[index][0]] + _unwrap(counts)
    return [assess_scenes(total, area.pipeline.detector) for total, area in zip(totals, areas, strict=True)]


def map_changes(
    tasks: Sequence[Task], scenes: Sequence[SceneQuality], engine: Engine, reporter: Reporter
) -> Iterator[tuple[int, TileChanges]]:
    """Find the changes of each area tile by tile; yield the area's number and the changes of a tile, as they are ready."""
    jobs = [(number, tile) for number, task in enumerate(tasks) for tile in list_tiles(task.area)]
    detected = engine.run(detect_tile, [(tasks[number], tile, scenes[number]) for number, tile in jobs])
    for index, result in reporter.track(detected, _title(tasks, "finding changes"), len(jobs)):
        yield jobs[index][0], _unwrap(result)


def _title(tasks: Sequence[Task], what: str) -> str:
    return f"{tasks[0].area.aoi.name}: {what}" if len(tasks) == 1 else what


def _unwrap(result: Any) -> Any:
    if isinstance(result, Exception):
        raise result
    return result
