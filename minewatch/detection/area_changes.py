"""Finds the changes of areas: from their records where nothing is new, else from all observations; and publishes their maps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from minewatch.archive.stac_item import credit_observations
from minewatch.core.files import AnyPath
from minewatch.core.parallel import Engine
from minewatch.core.progress import Reporter
from minewatch.detection.change_map_date import recall_changes
from minewatch.detection.change_map_writer import ChangeMap
from minewatch.detection.change_record import AreaChanges, ChangeRecord, KnownChanges, hash_inputs
from minewatch.detection.parallel_tiles import assess_areas, map_changes
from minewatch.detection.tiles import Task


class MapJob(NamedTuple):
    """An area whose changes are wanted, and where its map is published."""

    task: Task
    """The area and its observations."""

    maps: AnyPath
    """Folder of its change map."""

    is_recorded: bool = True
    """False where this folder is not the one that the area's checkpoints belong to."""

    def find_record(self) -> ChangeRecord | None:
        """Return where its changes are recorded, if anywhere."""
        area, observations, folder = self.task.area, self.task.observations, self.task.checkpoints
        if folder is None or not self.is_recorded:
            return None
        return ChangeRecord(folder, self.maps, hash_inputs(area, observations, credit_observations(observations)))


def find_changes(
    jobs: Sequence[MapJob], engine: Engine, reporter: Reporter, check: Callable[[], None] = lambda: None
) -> list[AreaChanges]:
    """Find the changes of each area and publish its map; ``check`` is called before anything is published, and may raise."""
    records = [job.find_record() for job in jobs]
    known: dict[int, AreaChanges] = {}
    for number, (job, record) in enumerate(zip(jobs, records, strict=True)):
        check()
        if record and (changes := recall_changes(record, job.task)):
            known[number] = changes
    others = [number for number in range(len(jobs)) if number not in known]
    for number, changes in zip(others, _map_areas([jobs[n] for n in others], engine, reporter, check), strict=True):
        known[number] = changes
        if record := records[number]:
            record.write(KnownChanges(changes, jobs[number].task.area.until))
    return [known[number] for number in range(len(jobs))]


def _map_areas(jobs: Sequence[MapJob], engine: Engine, reporter: Reporter, check: Callable[[], None]) -> list[AreaChanges]:
    """Make the change map of each area; each is published with its last tile."""
    if not jobs:
        return []
    tasks = [job.task for job in jobs]
    scenes = assess_areas(tasks, engine, reporter)
    change_maps = [
        ChangeMap(job.maps, job.task.area, quality, credit_observations(job.task.observations))
        for job, quality in zip(jobs, scenes, strict=True)
    ]
    with contextlib.ExitStack() as stack:
        for change_map in change_maps:
            stack.enter_context(change_map)
        for number, changes in map_changes(tasks, scenes, engine, reporter):
            check()  # the last tile publishes its map
            change_maps[number].add(changes)
    return [change_map.changes for change_map in change_maps]
