"""Fetches scenes for many areas: one search for areas that lie together, and each scene is opened once for all of them."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple

import shapely

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.item import list_observations
from minewatch.archive.publication import TempRaster, publish, remove_temp_rasters
from minewatch.archive.update_policy import explain_switch, find_refused, needs_fetch
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.areas.area_plan import AreaPlan, Query
from minewatch.areas.grid import Grid
from minewatch.core.errors import SourceError, WorkspaceError
from minewatch.core.files import AnyPath
from minewatch.core.http import is_remote
from minewatch.core.parallel import Engine
from minewatch.core.progress import Reporter
from minewatch.raster.credentials import check_scenes
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import group_scenes
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
    failures: dict[int, list[SkippedScene]] = defaultdict(list)
    jobs = [_list_jobs(number, scan, failures[number]) for number, scan in enumerate(scans)]
    groups = list(_group_jobs(own for own in jobs if not isinstance(own, str)))
    scenes = [scene for group in groups for job in group for scene in job.target.datatake.scenes]
    is_io_bound = any(is_remote(href) for scene in scenes for href in scene.hrefs.values())
    if engine.scheduler is None:  # else the environment of the workers counts, and they report each scene
        check_scenes(scenes)
    fetched = [0] * len(scans)
    title = f"{scans[0].plan.aoi.name}: reading scenes" if len(scans) == 1 else "reading scenes"
    tasks = [([job.target for job in group],) for group in groups]
    written = reporter.track(engine.run(write_temp_rasters, tasks, is_io_bound=is_io_bound), title, len(groups))
    with _removing_temp_rasters([scan.archive for scan in scans]):
        for number, results in written:
            if isinstance(results, Exception):
                raise results
            for job, result in zip(groups[number], results, strict=True):
                if isinstance(result, TempRaster):
                    publish(result, job.target.grid, scans[job.area].plan.aoi.geometry, job.target.folder, job.version)
                    fetched[job.area] += 1
                    failures[job.area] += [
                        _explain_refusal(scene.id, result.stats.checks[scene.id]) for scene in result.stats.refused
                    ]
                else:  # all scenes of the datatake where the error names none, since none was archived
                    names = [result.scene_id] if result.scene_id else [scene.id for scene in job.target.datatake.scenes]
                    failures[job.area] += [SkippedScene(name, str(result)) for name in names]
    return [  # in the same order in every scan, whichever overpass is read first
        replace(
            scan,
            fetched=fetched[number],
            failures=[*scan.failures, *sorted(failures[number], key=lambda one: one.id)],
            switch=own if isinstance(own, str) else "",
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


def _list_jobs(number: int, scan: AreaScan, failures: list[SkippedScene]) -> list[FetchJob] | str:
    """Return the jobs of an area, or what speaks against its source.

    Scenes that were refused before and have not changed are added to ``failures`` without being read.
    """
    remove_temp_rasters(scan.archive)
    jobs: list[FetchJob] = []
    archived, conflict = list_observations(scan.archive, scan.plan.grid), scan.plan.pipeline.scenes.offset_conflict
    for datatake in group_scenes(scan.found.scenes):
        known = archived.get(datatake.key)
        if needs_fetch(datatake, known, conflict):
            target = Target(datatake, scan.plan.grid, scan.archive, conflict)
            jobs.append(FetchJob(number, target, known.version + 1 if known else 1))
        elif known:
            checks = {str(record["id"]): OffsetCheck.from_record(record) for record in known.refused}
            failures += [_explain_refusal(scene.id, checks[scene.id]) for scene in find_refused(datatake, known)]
    fault = "" if scan.may_switch else explain_switch(scan.source, archived, [job.target.datatake for job in jobs])
    return fault or jobs


def _group_jobs(jobs: Iterable[list[FetchJob]]) -> Iterator[list[FetchJob]]:
    """Yield the jobs of each datatake of a source, its areas in an order that meets the scenes' blocks row by row."""
    groups: dict[tuple[dt.datetime, str, str], list[FetchJob]] = defaultdict(list)
    for job in chain.from_iterable(jobs):
        datatake = job.target.datatake
        groups[datatake.time, datatake.key, datatake.scenes[0].source].append(job)
    for _, group in sorted(groups.items(), key=lambda item: item[0]):
        yield sorted(group, key=lambda job: _find_place(job.target.grid))


def _find_place(grid: Grid) -> tuple[int, int, float]:
    left, _, _, top = grid.bounds
    return grid.epsg, -round(top / 10_000), left
