"""Reads the images of evidence: overpasses side by side on the cores, each opened once for all alerts that need it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.http import is_remote
from minewatch.core.parallel import TASKS_PER_CORE, count_cores
from minewatch.products.evidence.image_file import name_bands, read_evidence_image, write_evidence_image
from minewatch.raster.read import open_datatake
from minewatch.sources.scene import Datatake, Scene

MOST_READERS = 8
"""Overpasses that are open at a time, however many cores there are; each holds up to 128 MB of blocks."""


@dataclass(frozen=True)
class EvidenceImageRequest:
    """One of the two images of an alert."""

    alert_id: str
    """Whose."""

    name: str
    """One of IMAGES."""

    take: Datatake
    """What it is read from."""

    window: Window
    """What it shows, on the area's grid."""

    folder: Path
    """Where it goes."""


def find_take(
    key: str, time: dt.datetime, sources: Sequence[Mapping[str, Any]], scenes: Sequence[Scene], source: str
) -> Datatake:
    """Find the scenes that an observation was made from, each with the offset that was decided then.

    Raises EvidenceError where the source does not list one of them any more.
    """
    listed = {scene.id: scene for scene in scenes}
    gone = sorted(str(record["id"]) for record in sources if record["id"] not in listed)
    if gone:
        raise EvidenceError(f"source {source} does not list {', '.join(gone)}")
    found = []
    for record in sources:
        scene = listed[str(record["id"])]
        is_same = record["source"] == scene.source
        found.append(
            replace(scene, offset=int(record["offset"]), offset_reason=str(record["offset_reason"])) if is_same else scene
        )
    return Datatake(key, time, tuple(sorted(found, key=lambda scene: scene.id)))


def write_images(grid: Grid, shots: Sequence[EvidenceImageRequest]) -> dict[str, str]:
    """Read and write images; gives, of the alerts that an image failed of, why."""
    jobs: dict[str, list[EvidenceImageRequest]] = defaultdict(list)
    for shot in shots:
        jobs[shot.take.key].append(shot)
    if not jobs:
        return {}
    waits = any(is_remote(href) for shot in shots for scene in shot.take.scenes for href in scene.hrefs.values())
    readers = min(len(jobs), MOST_READERS, count_cores() * (TASKS_PER_CORE if waits else 1))
    failed: dict[str, str] = {}
    pool = ThreadPoolExecutor(readers, thread_name_prefix="evidence")
    try:
        for answer in pool.map(partial(_write_overpass, grid), jobs.values()):
            failed |= answer
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def _write_overpass(grid: Grid, shots: Sequence[EvidenceImageRequest]) -> dict[str, str]:
    failed = {}
    bands = name_bands(shots[0].take.scenes)
    try:
        with open_datatake(shots[0].take, grid) as reader:
            reader.prefetch(["scl", *bands], [shot.window for shot in shots])
            for shot in shots:
                try:
                    image, classes = (shot.folder / f"{shot.name}{ending}.tif" for ending in ("", "-scl"))
                    write_evidence_image(
                        read_evidence_image(reader, bands, shot.window), image, classes, grid, shot.window, _tag(shot)
                    )
                except (MinewatchError, OSError) as error:
                    failed[shot.alert_id] = explain(error)
    except (MinewatchError, OSError) as error:
        failed |= {shot.alert_id: explain(error) for shot in shots}
    return failed


def _tag(shot: EvidenceImageRequest) -> dict[str, str]:
    scenes = ", ".join(scene.id for scene in shot.take.scenes)
    return {"alert_id": shot.alert_id, "image": shot.name, "acquired": shot.take.time.isoformat(), "scenes": scenes}


def explain(error: BaseException) -> str:
    """Say in one line what failed."""
    return describe(error) if isinstance(error, MinewatchError) else f"{type(error).__name__}: {getattr(error, 'strerror', '')}"
