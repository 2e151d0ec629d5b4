"""Fetches scenes for many areas: one search for areas that lie together, and each scene is opened once for all of them."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple

import shapely

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.item import list_observations
from minewatch.archive.publication import TempRaster, publish, remove_temp_rasters
from minewatch.archive.survey import Survey, survey_group
from minewatch.archive.update_policy import SourceSwitch, find_refused, find_switch, needs_fetch
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.areas.area_plan import AreaPlan, Query
from minewatch.areas.grid import COARSE_PIXEL, PIXEL, Grid
from minewatch.core.errors import SourceError, WorkspaceError
from minewatch.core.files import AnyPath
from minewatch.core.http import is_remote
from minewatch.core.parallel import Engine
from minewatch.core.progress import Reporter
from minewatch.core.traffic import RECEIVED
from minewatch.raster.credentials import check_scenes
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.search import SearchResult, find_scenes
from minewatch.sources.skipped import SkippedScene
from minewatch.sources.stac import Source

MOST_FAILURES = 3
"""Failed searches in a row after which no more are tried: a source that is down would delay a large scan for hours."""

TOGETHER = 1.5
"""Degrees that the areas of one search span at most: an MGRS tile is one degree wide, its neighbours have the same overpasses."""


class FetchJob(NamedTuple):
    """A datatake that the archive of an area lacks."""

    area: int
    """Its number."""

    target: Target
    """The datatake, and where it goes."""

    version: int
    """Version that the observation will have."""


# --- searching -------------------------------------------------------------------------------------------------------


def search_areas(source: Source, areas: Sequence[AreaPlan], reporter: Reporter) -> list[SearchResult | SourceError]:
    """Find the scenes of each area; areas that lie together share a search.

    A failed search gives its error for each of its areas.  Raises SourceError where all searches failed.
    """
    answers: dict[int, SearchResult | SourceError] = {}
    failures: list[SourceError] = []
    for group in group_areas(areas) if source.is_api else [list(range(len(areas)))]:
        members = [areas[number] for number in group]
        try:
            if len(failures) >= MOST_FAILURES:
                raise failures[-1]
            title = f"{members[0].aoi.name if len(members) == 1 else f'{len(members)} areas'}: searching"
            found = find_scenes(source, _join_queries(members), partial(reporter.track, title=title))
            answers |= {number: _choose(found, areas[number].query) for number in group}
            failures.clear()
        except SourceError as error:
            failures.append(error)
            answers |= dict.fromkeys(group, error)
    if not any(isinstance(answer, SearchResult) for answer in answers.values()):
        raise failures[0]
    return [answers[number] for number in range(len(areas))]


def group_areas(areas: Sequence[AreaPlan]) -> list[list[int]]:
    """Sort areas, by their numbers, into groups that span at most TOGETHER degrees, each around its westernmost member."""
    groups: list[list[int]] = []
    boxes: list[tuple[float, float, float, float]] = []
    extents = [area.aoi.joined.bounds for area in areas]
    for number in sorted(range(len(areas)), key=lambda n: extents[n]):
        west, south, east, north = extents[number]
        for group, box in enumerate(boxes):
            joint = min(west, box[0]), min(south, box[1]), max(east, box[2]), max(north, box[3])
            if joint[2] - joint[0] <= TOGETHER and joint[3] - joint[1] <= TOGETHER:
                groups[group].append(number)
                boxes[group] = joint
                break
        else:
            groups.append([number])
            boxes.append((west, south, east, north))
    return groups


def _join_queries(areas: Sequence[AreaPlan]) -> Query:
    queries = [area.query for area in areas]
    if len(queries) == 1:
        return queries[0]
    area = shapely.union_all([query.area for query in queries])
    cloud = max(query.max_cloud_cover for query in queries)
    return Query(area, min(query.start for query in queries), max(query.end for query in queries), cloud)


def _choose(found: SearchResult, query: Query) -> SearchResult:
    """Choose from the result of a joint query what one area asked for."""
    meets = shapely.intersects([scene.footprint for scene in found.scenes], query.area)
    met = [
        scene
        for scene, is_met in zip(found.scenes, meets, strict=True)
        if is_met and query.start <= scene.time.date() <= query.end
    ]
    cloudy = tuple(sorted(scene.id for scene in met if scene.cloud_cover > query.max_cloud_cover))
    return replace(
        found,
        scenes=tuple(scene for scene in met if scene.cloud_cover <= query.max_cloud_cover),
        cloudy=tuple(sorted({*found.cloudy, *cloudy})),
    )


# --- fetching --------------------------------------------------------------------------------------------------------


def fetch_observations(scans: Sequence[AreaScan], engine: Engine, reporter: Reporter) -> list[AreaScan]:
    """Read what the archives lack and publish each observation as soon as it is read.

    What was published before a scan is interrupted stays.  Nothing is read for an area whose archive is from other sources where
    that reads looks again, unless it may.  Raises SourceError where access to the scenes is not configured.
    """
    for scan in scans:
        remove_temp_rasters(scan.archive)
    jobs = [list_jobs(number, scan) for number, scan in enumerate(scans)]
    failures = {number: list(own.refused) for number, own in enumerate(jobs)}
    groups = group_jobs(jobs)
    scenes = [scene for group in groups for job in group for scene in job.target.datatake.scenes]
    is_io_bound = any(is_remote(href) for scene in scenes for href in scene.hrefs.values())
    if engine.scheduler is None:  # else the environment of the workers counts, and they report each scene
        check_scenes(scenes)
    fetched, received = [0] * len(scans), [0] * len(scans)
    title = f"{scans[0].plan.aoi.name}: reading scenes" if len(scans) == 1 else "reading scenes"
    tasks = [([job.target for job in group],) for group in groups]
    arrived = RECEIVED.count_from_now()
    written = reporter.track(engine.run(write_temp_rasters, tasks, is_io_bound=is_io_bound), title, len(groups), arrived)
    with _removing_temp_rasters([scan.archive for scan in scans]):
        for number, results in written:
            if isinstance(results, Exception):
                raise results
            for job, result in zip(groups[number], results, strict=True):
                if isinstance(result, TempRaster):
                    publish(result, job.target.grid, scans[job.area].plan.aoi.geometry, job.target.folder, job.version)
                    fetched[job.area] += 1
                    received[job.area] += result.stats.received
                    failures[job.area] += [
                        _explain_refusal(scene.id, result.stats.checks[scene.id]) for scene in result.stats.refused
                    ]
                else:  # all scenes of the datatake where the error names none, since none was archived
                    names = [result.scene_id] if result.scene_id else [scene.id for scene in job.target.datatake.scenes]
                    failures[job.area] += [SkippedScene(name, str(result)) for name in names]
    return [  # in the same order in every scan, whichever overpass is read first
        replace(
            scan,
            fetched=scan.fetched + fetched[number],
            received=scan.received + received[number],
            failures=[*scan.failures, *sorted(failures[number], key=lambda one: one.id)],
            switch=_explain_switch(scan, own.switch, engine, reporter) if own.switch else "",
        )
        for number, (scan, own) in enumerate(zip(scans, jobs, strict=True))
    ]


@contextlib.contextmanager
def _removing_temp_rasters(folders: Sequence[AnyPath]) -> Iterator[None]:
    """Delete the temporary rasters where somebody interrupts the scan."""
    try:
        yield
    except KeyboardInterrupt:
        for folder in folders:
            with contextlib.suppress(WorkspaceError, OSError):
                remove_temp_rasters(folder)
        raise


def _explain_refusal(name: str, check: OffsetCheck | None) -> SkippedScene:
    found = check.describe() if check else "its pixels contradict its metadata"
    return SkippedScene(name, f"{found}; left out, as the pipeline says (scenes.offset_conflict)", is_refused=True)


SWITCH_SAMPLE = 12
"""Looks whose headers are read to say what reading all of them again takes: their clouds differ, and so do their bytes."""


def _explain_switch(scan: AreaScan, switch: SourceSwitch, engine: Engine, reporter: Reporter) -> str:
    """Say why nothing is read, and how many bytes reading again takes, by some looks that are as cloudy as all."""
    by_cloud = sorted(switch.again, key=lambda one: (min(scene.cloud_cover for scene in one.scenes), one.key))
    count = min(SWITCH_SAMPLE, len(by_cloud))
    sample = [by_cloud[(2 * place + 1) * len(by_cloud) // (2 * count)] for place in range(count)]
    tasks = [([Target(one, scan.plan.grid, scan.archive)],) for one in sample]
    is_io_bound = any(is_remote(href) for one in sample for scene in one.scenes for href in scene.hrefs.values())
    title, arrived = f"{scan.plan.aoi.name}: reading headers", RECEIVED.count_from_now()
    done = reporter.track(engine.run(survey_group, tasks, is_io_bound=is_io_bound), title, count, arrived)
    found = [
        one for _, results in done if not isinstance(results, Exception) for one in results.surveys if isinstance(one, Survey)
    ]
    sizes = [one.size or one.looked for one in found]
    return switch.describe(len(by_cloud) * sum(sizes) / len(sizes) if sizes else None)


FIRST_HISTORY_DAYS = 366
"""History before monitoring began of which looks are read first of a new area."""

FIRST_LOOKS = 3
"""Of each calendar month from then on, by the least cloudy tiles."""

LEAST_PUT_OFF = 60
"""Looks that are put off for that: with fewer, the whole result does not take much longer."""


@dataclass(frozen=True)
class FetchJobs:
    """What is to be read for one area."""

    jobs: tuple[FetchJob, ...]
    """One for each datatake."""

    refused: tuple[SkippedScene, ...]
    """Scenes that were refused before and have not changed: they are not read."""

    switch: SourceSwitch | None = None
    """What speaks against the area's source, from which nothing is read; None = nothing."""


def put_off(scan: AreaScan) -> frozenset[str]:
    """Return the datatakes that are read after the first alerts of a new area; none where that would not bring them sooner."""
    since = scan.plan.monitor_from - dt.timedelta(days=FIRST_HISTORY_DAYS)
    datatakes = [job.target.datatake for job in list_jobs(0, scan).jobs]
    first = _choose_clearest([one for one in datatakes if one.time.date() >= since])
    rest = frozenset(one.key for one in datatakes if one.key not in first)
    is_slow = any(is_remote(href) for one in datatakes for scene in one.scenes for href in scene.hrefs.values())
    return rest if is_slow and LEAST_PUT_OFF <= len(rest) < len(datatakes) else frozenset()


def _choose_clearest(datatakes: Sequence[Datatake]) -> set[str]:
    """Return the keys of the first FIRST_LOOKS of each calendar month, the least cloudy ones first."""
    months: dict[tuple[int, int], list[tuple[float, str]]] = defaultdict(list)
    for one in datatakes:
        months[one.time.year, one.time.month].append((min(scene.cloud_cover for scene in one.scenes), one.key))
    return {key for looks in months.values() for _, key in sorted(looks)[:FIRST_LOOKS]}


def list_jobs(number: int, scan: AreaScan) -> FetchJobs:
    """Return what an area's archive lacks; ``number`` is the area's among those of the scan."""
    jobs: list[FetchJob] = []
    refused: list[SkippedScene] = []
    archived, conflict = list_observations(scan.archive, scan.plan.grid), scan.plan.pipeline.scenes.offset_conflict
    for datatake in group_scenes(scan.found.scenes):
        known = archived.get(datatake.key)
        if datatake.key in scan.not_fetched:
            continue
        is_kept = known is not None and known.read_pixel == COARSE_PIXEL and not scan.may_sharpen
        pixel = COARSE_PIXEL if is_kept or datatake.key in scan.coarse else PIXEL
        if needs_fetch(datatake, known, conflict, pixel):
            target = Target(datatake, scan.plan.grid, scan.archive, conflict, pixel)
            jobs.append(FetchJob(number, target, known.version + 1 if known else 1))
        elif known:
            checks = {str(record["id"]): OffsetCheck.from_record(record) for record in known.refused}
            refused += [_explain_refusal(scene.id, checks[scene.id]) for scene in find_refused(datatake, known)]
    switch = None if scan.may_switch else find_switch(scan.source, archived, [job.target.datatake for job in jobs])
    return FetchJobs(() if switch else tuple(jobs), tuple(refused), switch)


def group_jobs(jobs: Iterable[FetchJobs]) -> list[list[FetchJob]]:
    """Return the jobs of each datatake of a source that read pixels of one size.

    The areas of each are in an order that meets the scenes' blocks row by row.
    """
    groups: dict[tuple[dt.datetime, str, str, int], list[FetchJob]] = defaultdict(list)
    for job in chain.from_iterable(own.jobs for own in jobs):
        datatake = job.target.datatake
        groups[datatake.time, datatake.key, datatake.scenes[0].source, job.target.pixel].append(job)
    ordered = [group for _, group in sorted(groups.items(), key=lambda item: item[0])]
    return [sorted(group, key=lambda job: _find_place(job.target.grid)) for group in ordered]


def _find_place(grid: Grid) -> tuple[int, int, float]:
    left, _, _, top = grid.bounds
    return grid.epsg, -round(top / 10_000), left
