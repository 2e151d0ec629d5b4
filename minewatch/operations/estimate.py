"""What a scan would cost, before it: scenes, bytes, time and disk.  Nothing is stored and nothing changes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.choice import ChosenLooks, choose_within_budget
from minewatch.archive.fetch import FetchJob, group_jobs, list_jobs
from minewatch.archive.integrity import IntegrityReport
from minewatch.archive.item import list_observations
from minewatch.archive.survey import Survey, survey_group
from minewatch.areas.grid import COARSE_PIXEL, Grid
from minewatch.core.http import is_remote
from minewatch.core.parallel import Engine, start_engine
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of
from minewatch.core.traffic import RECEIVED, format_bytes, format_duration, format_speed
from minewatch.core.workspace import Workspace
from minewatch.operations.area_search import search_sources
from minewatch.operations.plan import ScanRequest, plan_scan
from minewatch.products.images.quicklook import MOST_SIDE
from minewatch.sources.search import SearchResult

SAMPLE = 48
"""Overpasses that are surveyed; of more, every n-th in the order of their cloud cover, so that the sample is as cloudy as all."""

PICTURE_SHARE = 0.75
"""Bytes of an image in true colour of the whole area, of those of a look: three bands of 10 m and the scene classes."""

FIRST_ALERTS = 2
"""Alerts that a new area is taken to have; their images are read once more."""

ALERT_BLOCKS = 33
"""Blocks that the images of an alert take: evidence, and the chips of its likeness."""

DISK_BYTES = 2.6
"""Bytes on disk of a pixel of an archived look: scene classes and four layers."""

LEAST_SECONDS = 0.2
"""A line is not judged by less."""


@dataclass(frozen=True)
class AreaEstimate:
    """What reading an area would cost."""

    aoi: str
    """Its name."""

    scenes: int
    """Scenes that would be read."""

    looks: int
    """Overpasses that they make."""

    archived: int
    """Overpasses listed that need not be read again."""

    left_unread: int
    """Overpasses that its budget does not pay for."""

    size: int
    """Bytes."""

    disk: int
    """Bytes that its archive grows by."""

    budget: int | None = None
    """Its budget in bytes; None = no limit."""


@dataclass(frozen=True)
class ScanEstimate:
    """What a scan would cost."""

    areas: tuple[AreaEstimate, ...]
    """In the requested order."""

    catalogue: int
    """Bytes of the search."""

    speed: float
    """Of the line, bytes per second; 0 = nothing would come over a line."""

    speed_source: str
    """Where the speed is from."""

    basis: str
    """How the bytes were estimated."""

    spent: int
    """Bytes that the estimate itself received."""

    notes: tuple[str, ...] = ()
    """Lines a person should read."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.catalogue + sum(area.size for area in self.areas)

    @property
    def seconds(self) -> float:
        """At the line's speed."""
        return self.size / self.speed if self.speed else 0.0

    def describe(self) -> str:
        """Return the sum in one line."""
        looks, scenes = (sum(getattr(area, name) for area in self.areas) for name in ("looks", "scenes"))
        disk = sum(area.disk for area in self.areas)
        line = f", {format_duration(self.seconds)} at {format_speed(self.speed)} ({self.speed_source})" if self.speed else ""
        return (
            f"{count_of(looks, 'look')} of {count_of(scenes, 'scene')} to read: about {format_bytes(self.size)}{line}; "
            f"{format_bytes(disk)} on disk"
        )

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for ``--json``."""
        areas = [
            {
                "aoi": area.aoi,
                "scenes": area.scenes,
                "looks": area.looks,
                "archived": area.archived,
                "not_read_budget": area.left_unread,
                "bytes": area.size,
                "seconds": round(area.size / self.speed, 1) if self.speed else 0.0,
                "disk_bytes": area.disk,
                "budget": area.budget,
            }
            for area in self.areas
        ]
        return {
            "scenes": sum(area.scenes for area in self.areas),
            "looks": sum(area.looks for area in self.areas),
            "bytes": self.size,
            "seconds": round(self.seconds, 1),
            "disk_bytes": sum(area.disk for area in self.areas),
            "catalogue_bytes": self.catalogue,
            "bytes_per_second": round(self.speed, 1),
            "line": self.speed_source,
            "basis": self.basis,
            "estimate_bytes": self.spent,
            "areas": areas,
            "notes": list(self.notes),
        }


def estimate_scan(
    workspace: Workspace, request: ScanRequest, speed: float | None = None, reporter: Reporter | None = None
) -> ScanEstimate:
    """Estimate what a scan would read; ``speed`` is the line's, bytes per second, and is measured where it is not given.

    Raises MinewatchError where the request or the source cannot be used.
    """
    reporter, arrived = reporter or Reporter(), RECEIVED.count_from_now()
    plan = plan_scan(workspace, replace(request, replace=True))  # no what-if can do harm where nothing is written
    answers = search_sources(plan, plan.areas, reporter)
    catalogue, notes = arrived(), []
    began = time.monotonic()
    with start_engine() as engine:
        choices: list[ChosenLooks] = []
        for area, answer in zip(plan.areas, answers, strict=True):
            found, source = SearchResult(()), ""
            if isinstance(answer, SearchResult):
                found, source = answer, plan.find_source(area).name
            else:
                notes.append(f"{area.aoi.name}: not searched, and not counted: {answer}")
            archive = workspace.archive(area.aoi.name)
            observations = list(list_observations(archive, area.grid).values())
            scan = AreaScan(
                area,
                archive,
                IntegrityReport(),
                found,
                source,
                may_switch=True,
                may_sharpen=workspace.output_root is None,
                observations=observations,
            )
            memory = workspace.surveys(area.aoi.name)
            choices.append(choose_within_budget(scan, engine, reporter, memory, keep=False))
        groups = group_jobs([list_jobs(number, choice.scan) for number, choice in enumerate(choices)])
        known = [_recall(group, choices) for group in groups]
        surveys, faults = _survey_sample(groups, known, engine, reporter)
    measured = arrived() - catalogue
    seconds = time.monotonic() - began
    is_sent = any(is_remote(href) for group in groups for job in group for href in _list_hrefs(job))
    if faults:
        notes.append(f"{count_of(faults, 'look')} of the sample cannot be read; the others stand for them")
    if not is_sent and groups:
        notes.append("the scenes lie on this machine: the bytes are read from disk, and nothing comes over a line")
    areas = tuple(_estimate_area(choice.scan, number, groups, surveys) for number, choice in enumerate(choices))
    basis = (
        f"headers and scene classes of all {count_of(len(groups), 'overpass')}"
        if len(surveys) == len(groups)
        else f"headers and scene classes of {len(surveys)} of {len(groups)} overpasses, as cloudy as all"
    )
    line, source = (speed, "given") if speed else _judge_line(measured, seconds)
    return ScanEstimate(areas, catalogue, line, source, basis, arrived(), tuple(notes))


def _list_hrefs(job: FetchJob) -> list[str]:
    return [href for scene in job.target.datatake.scenes for href in scene.hrefs.values()]


def _judge_line(received: int, seconds: float) -> tuple[float, str]:
    if received and seconds > LEAST_SECONDS:
        return received / seconds, "measured on the way"
    return 0.0, "unknown"


def _recall(group: Sequence[FetchJob], choices: Sequence[ChosenLooks]) -> list[Survey] | None:
    """Return what the choice within a budget found out of each job of a group; None where one has no budget."""
    surveys = [choices[job.area].surveys.get(job.target.datatake.key) for job in group]
    return [one for one in surveys if one] if all(surveys) else None


def _survey_sample(
    groups: Sequence[Sequence[FetchJob]], known: Sequence[Sequence[Survey] | None], engine: Engine, reporter: Reporter
) -> tuple[dict[int, list[Survey | None]], int]:
    """Survey some groups: number of the group to the survey of each of its jobs; also returns how many cannot be read."""
    surveys: dict[int, list[Survey | None]] = {number: list(found) for number, found in enumerate(known) if found}
    unknown = [number for number in range(len(groups)) if number not in surveys]
    by_cloud = sorted(unknown, key=lambda number: (_find_cloud(groups[number]), number))
    count, before = min(SAMPLE, len(by_cloud)), len(surveys)
    sample = [by_cloud[math.floor((place + 0.5) * len(by_cloud) / count)] for place in range(count)]
    if not sample:
        return surveys, 0
    tasks = [([job.target for job in groups[number]],) for number in sample]
    is_io_bound = any(is_remote(href) for number in sample for job in groups[number] for href in _list_hrefs(job))
    title, arrived = "reading headers", RECEIVED.count_from_now()
    for place, found in reporter.track(engine.run(survey_group, tasks, is_io_bound=is_io_bound), title, len(tasks), arrived):
        if not isinstance(found, Exception) and any(isinstance(one, Survey) for one in found.surveys):
            surveys[sample[place]] = [one if isinstance(one, Survey) else None for one in found.surveys]
    return surveys, count - (len(surveys) - before)


def _find_cloud(group: Sequence[FetchJob]) -> float:
    covers = [scene.cloud_cover for job in group for scene in job.target.datatake.scenes]
    return sum(covers) / len(covers)


def _estimate_area(
    scan: AreaScan, number: int, groups: Sequence[Sequence[FetchJob]], surveys: dict[int, list[Survey | None]]
) -> AreaEstimate:
    own = {g: place for g, group in enumerate(groups) for place, job in enumerate(group) if job.area == number}
    pixels = [(groups[g][place].target.pixel, one) for g, place in own.items() if g in surveys and (one := surveys[g][place])]
    found = [one for _, one in pixels]
    scale = len(own) / len(found) if found else 0.0
    size = scale * sum((one.coarse_size if pixel == COARSE_PIXEL else one.size) or 0 for pixel, one in pixels)
    disk = scale * sum(one.pixels for one in found) * DISK_BYTES
    if own and found:
        size += _estimate_pictures(scan.plan.grid, max(found, key=lambda one: one.size or 0), is_new=not scan.observations)
    jobs = [groups[g][place] for g, place in own.items()]
    listed = len({scene.key for scene in scan.found.scenes})
    return AreaEstimate(
        scan.plan.aoi.name,
        scenes=sum(len(job.target.datatake.scenes) for job in jobs),
        looks=len(jobs),
        archived=max(0, listed - len(jobs) - len(scan.not_fetched)),
        left_unread=len(scan.left_unread),
        size=round(size) + scan.received,
        disk=round(disk),
        budget=scan.plan.budget,
    )


def _estimate_pictures(grid: Grid, look: Survey, *, is_new: bool) -> float:
    """Return the bytes of the two images of the quick look, from overviews where the area is large, and of a few alerts.

    ``look`` is a clear one.  These images are sharp, whatever pixels the looks are read in.
    """
    coarser, size = max(1.0, max(grid.shape) / MOST_SIDE), look.size or 0
    quicklook = 2 * PICTURE_SHARE * size / 4.0 ** math.ceil(math.log2(coarser))
    return quicklook + (FIRST_ALERTS * ALERT_BLOCKS * size / max(1, look.parts) if is_new else 0)
