"""Fetches scenes for many areas: one search for areas that lie together, and each scene opened once for all of them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import shapely

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.item import list_observations
from minewatch.archive.publication import TempRaster, publish, remove_temp_rasters
from minewatch.archive.update_policy import find_refused, is_news
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.areas.area_plan import AreaPlan, Query
from minewatch.core.errors import SceneError, SourceError, WorkspaceError
from minewatch.core.files import AnyPath
from minewatch.core.http import is_remote
from minewatch.core.parallel import Engine
from minewatch.core.progress import Reporter
from minewatch.raster.credentials import check_scenes
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.search import SearchResult, SkippedScene, Track, find_scenes
from minewatch.sources.stac import Source

MOST_FAILURES = 3
"""Searches in a row that fail before the others are not tried: a source that is down would keep a large scan for hours."""

TOGETHER = 1.5
"""Degrees that areas of one search span at most: an MGRS tile is one, and its neighbours have the same overpasses."""


class FetchJob(NamedTuple):
    """An overpass that the archive of an area lacks."""

    area: int
    """Its number."""

    take: Datatake
    """With the scenes that meet the area."""

    version: int
    """That the observation will have."""


# --- searching -------------------------------------------------------------------------------------------------------


def search_areas(source: Source, areas: Sequence[AreaPlan], reporter: Reporter) -> list[SearchResult | SourceError]:
    """Find the scenes of each area; areas that lie together share a search.

    A search that fails leaves its error with the areas that it was for.  Raises SourceError where all of them failed.
    """
    answers: dict[int, SearchResult | SourceError] = {}
    failures: list[SourceError] = []
    for group in group_areas(areas) if source.is_api else [list(range(len(areas)))]:
        members = [areas[number] for number in group]
        try:
            if len(failures) >= MOST_FAILURES:
                raise failures[-1]
            found = _search_together(source, members, reporter)
            answers |= {number: _choose(found, areas[number].query) for number in group}
            failures.clear()
        except SourceError as error:
            failures.append(error)
            answers |= dict.fromkeys(group, error)
    if not any(isinstance(answer, SearchResult) for answer in answers.values()):
        raise failures[0]
    return [answers[number] for number in range(len(areas))]


def _search_together(source: Source, areas: Sequence[AreaPlan], reporter: Reporter) -> SearchResult:
    title = areas[0].aoi.name if len(areas) == 1 else f"{len(areas)} areas"
    return find_scenes(source, _join_queries([area.query for area in areas]), _make_track(reporter, title))


def _make_track(reporter: Reporter, title: str) -> Track:
    return lambda items: reporter.track(items, f"{title}: searching")


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


def _join_queries(queries: Sequence[Query]) -> Query:
    if len(queries) == 1:
        return queries[0]
    area = shapely.union_all([query.area for query in queries])
    cloud = max(query.max_cloud_cover for query in queries)
    return Query(area, min(query.start for query in queries), max(query.end for query in queries), cloud)


def _choose(found: SearchResult, query: Query) -> SearchResult:
    """Choose from a joint answer what one area asked for."""
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
    """Read what the archives lack and publish each observation as it comes.

    A scan that is cut off keeps what was published; the next one goes on from there.  Raises SourceError where something
    is missing for reading any of it.
    """
    failures: dict[int, list[SkippedScene]] = defaultdict(list)
    jobs = list(_list_jobs(scans, failures))
    tasks = [[_make_target(wanted, scans[wanted.area]) for wanted in job] for job in jobs]
    is_io_bound = any(
        is_remote(href) for job in jobs for wanted in job for scene in wanted.take.scenes for href in scene.hrefs.values()
    )
    if engine.scheduler is None:  # else the workers' environment counts, and they tell of each scene
        check_scenes(scene for job in jobs for wanted in job for scene in wanted.take.scenes)
    fetched = [0] * len(scans)
    title = f"{scans[0].plan.aoi.name}: reading scenes" if len(scans) == 1 else "reading scenes"
    drafts = reporter.track(
        engine.run(write_temp_rasters, [(task,) for task in tasks], is_io_bound=is_io_bound), title, len(jobs)
    )
    with _tidying([scan.archive for scan in scans]):
        for number, results in drafts:
            if isinstance(results, Exception):
                raise results
            for wanted, result in zip(jobs[number], results, strict=True):
                area, folder = scans[wanted.area].plan, scans[wanted.area].archive
                if isinstance(result, TempRaster):
                    publish(result, area.grid, area.aoi.geometry, folder, wanted.version)
                    fetched[wanted.area] += 1
                    failures[wanted.area] += [_explain_refusal(scene.id, result.checks[scene.id]) for scene in result.refused]
                else:
                    failures[wanted.area] += _blame(wanted.take, result)
    return [
        replace(scan, fetched=fetched[number], failures=[*scan.failures, *failures[number]]) for number, scan in enumerate(scans)
    ]


@contextlib.contextmanager
def _tidying(folders: Sequence[AnyPath]) -> Iterator[None]:
    """Delete what was begun where somebody stops the scan; what was published stays."""
    try:
        yield
    except KeyboardInterrupt:
        for folder in folders:
            with contextlib.suppress(WorkspaceError, OSError):
                remove_temp_rasters(folder)
        raise


def _blame(take: Datatake, error: SceneError) -> list[SkippedScene]:
    """Name the scene that an error is about; all of the overpass where it names none, since none was archived."""
    names = [error.scene_id] if error.scene_id else [scene.id for scene in take.scenes]
    return [SkippedScene(name, str(error)) for name in names]


def _make_target(wanted: FetchJob, scan: AreaScan) -> Target:
    return Target(wanted.take, scan.plan.grid, scan.archive, scan.plan.pipeline.scenes.offset_conflict)


def _explain_refusal(name: str, check: OffsetCheck | None) -> SkippedScene:
    found = check.describe() if check else "its pixels contradict its metadata"
    return SkippedScene(name, f"{found}; left out, as the pipeline says (scenes.offset_conflict)")


def _list_jobs(scans: Sequence[AreaScan], failures: dict[int, list[SkippedScene]]) -> Iterator[list[FetchJob]]:
    """Gather what is missing: one job for each overpass, its areas in an order that meets the scenes' blocks row by row.

    Scenes that were refused before and have not changed are named again in ``failures``, without being read.
    """
    jobs: dict[str, list[FetchJob]] = defaultdict(list)
    for number, scan in enumerate(scans):
        remove_temp_rasters(scan.archive)
        archived = list_observations(scan.archive, scan.plan.grid)
        for take in group_scenes(scan.found.scenes):
            known = archived.get(take.key)
            if is_news(take, known, scan.plan.pipeline.scenes.offset_conflict):
                jobs[take.key].append(FetchJob(number, take, known.version + 1 if known else 1))
            elif known:
                checks = {str(record["id"]): OffsetCheck.from_record(record) for record in known.refused}
                failures[number] += [_explain_refusal(scene.id, checks[scene.id]) for scene in find_refused(take, known)]
    for job in sorted(jobs.values(), key=lambda job: (job[0].take.time, job[0].take.key)):
        yield sorted(job, key=lambda wanted: _find_place(scans[wanted.area].plan))


def _find_place(area: AreaPlan) -> tuple[int, int, float]:
    left, _, _, top = area.grid.bounds
    return area.grid.epsg, -round(top / 10_000), left
