"""Reads and writes the images of evidence: overpasses in parallel, each opened once for all alerts that need it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.http import is_remote
from minewatch.core.parallel import TASKS_PER_CORE
from minewatch.core.task import count_cores
from minewatch.products.evidence.folder_content import write_content
from minewatch.products.evidence.image_file import name_bands, read_evidence_image, render_evidence_image
from minewatch.raster.read import open_datatake
from minewatch.settings.credits import tag_credit
from minewatch.sources.scene import Datatake, Scene, credit_scenes

MOST_READERS = 8
"""Overpasses that are open at a time, however many cores there are; each holds up to 128 MB of blocks."""


@dataclass(frozen=True)
class EvidenceImageRequest:
    """One of the images of an alert."""

    alert_id: str
    """Id of the alert."""

    name: str
    """Stem of its file."""

    datatake: Datatake
    """The overpass that it is read from."""

    window: Window
    """Its pixels, on the area's grid."""

    folder: Path
    """Folder that it is written to."""


def find_datatake(
    key: str, time: dt.datetime, sources: Sequence[Mapping[str, Any]], scenes: Sequence[Scene], source: str
) -> Datatake:
    """Return the scenes that an observation was made from, each with the offset that was chosen then.

    Raises EvidenceError where the source does not list one of them any more.
    """
    listed = {scene.id: scene for scene in scenes}
    missing_scenes = sorted(str(record["id"]) for record in sources if record["id"] not in listed)
    if missing_scenes:
        raise EvidenceError(f"source {source} does not list {', '.join(missing_scenes)}")
    found = []
    for record in sources:
        scene = listed[str(record["id"])]
        if record["source"] == scene.source:
            scene = replace(scene, offset=int(record["offset"]), offset_reason=str(record["offset_reason"]))
        found.append(scene)
    return Datatake(key, time, tuple(sorted(found, key=lambda scene: scene.id)))


@dataclass(frozen=True)
class WrittenImages:
    """The images that were written, and those that could not be."""

    files: Mapping[Path, Mapping[str, dict[str, Any]]]
    """Folder to what a manifest says of its images, by name."""

    failed: Mapping[Path, str]
    """Folder whose images could not be made, to the reason."""


@contextlib.contextmanager
def writing_images(grid: Grid, requests: Sequence[EvidenceImageRequest]) -> Iterator[Callable[[], WrittenImages]]:
    """Read and write images on threads, while the caller does other things.

    The call that is yielded waits for them.
    """
    jobs: dict[str, list[EvidenceImageRequest]] = defaultdict(list)
    for request in sorted(requests, key=lambda request: request.window.square):
        jobs[request.datatake.key].append(request)
    pool = ThreadPoolExecutor(count_readers([job[0].datatake for job in jobs.values()]), thread_name_prefix="evidence")
    try:
        answers = pool.map(partial(_write_overpass, grid), jobs.values())
        yield lambda: _join(answers)
    finally:
        pool.shutdown(cancel_futures=True)


def count_readers(datatakes: Sequence[Datatake]) -> int:
    """Return how many overpasses to read at a time, at least one."""
    waits = any(is_remote(href) for datatake in datatakes for scene in datatake.scenes for href in scene.hrefs.values())
    return max(1, min(len(datatakes), MOST_READERS, count_cores() * (TASKS_PER_CORE if waits else 1)))


def _join(parts: Iterable[WrittenImages]) -> WrittenImages:
    files: dict[Path, dict[str, dict[str, Any]]] = defaultdict(dict)
    failed: dict[Path, str] = {}
    for part in parts:
        failed |= part.failed
        for folder, described in part.files.items():
            files[folder] |= described
    return WrittenImages(files, failed)


def _write_overpass(grid: Grid, requests: Sequence[EvidenceImageRequest]) -> WrittenImages:
    files: dict[Path, dict[str, dict[str, Any]]] = {}
    failed = {}
    bands = name_bands(requests[0].datatake.scenes)
    try:
        with open_datatake(requests[0].datatake, grid) as reader:
            reader.prefetch(["scl", *bands], [request.window for request in requests])
            for request in requests:
                try:
                    image = read_evidence_image(reader, bands, request.window)
                    rendered = render_evidence_image(image, grid, request.window, _tag(request))
                    names = f"{request.name}.tif", f"{request.name}-scl.tif"
                    described = write_content(request.folder, zip(names, rendered, strict=True))
                    files[request.folder] = files.get(request.folder, {}) | described
                except (MinewatchError, OSError) as error:
                    failed[request.folder] = describe_failure(error)
    except (MinewatchError, OSError) as error:
        failed |= {request.folder: describe_failure(error) for request in requests}
    return WrittenImages(files, failed)


def _tag(request: EvidenceImageRequest) -> dict[str, str]:
    scenes = ", ".join(scene.id for scene in request.datatake.scenes)
    facts = {"alert_id": request.alert_id, "image": request.name, "acquired": request.datatake.time.isoformat(), "scenes": scenes}
    return facts | tag_credit(credit_scenes(request.datatake.scenes))


def describe_failure(error: BaseException) -> str:
    """Return a line that says what failed."""
    return describe(error) if isinstance(error, MinewatchError) else f"{type(error).__name__}: {getattr(error, 'strerror', '')}"
