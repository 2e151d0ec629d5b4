"""Loads and compiles once what every process of a drill needs; the processes are then forked from this one."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODULES = (
    "minewatch.cli", "minewatch.operations.watch", "minewatch.operations.notify.apprise_channel",
    "minewatch.products.report.html_page", "matplotlib.figure", "rasterio.shutil", "pyogrio", "geopandas",
    "cryptography.hazmat.primitives.serialization", "dask.threaded",
)  # fmt: skip

VARIABLE = "DRILL_WARM"
"""Environment variable with a workspace, an area and an as-of date for the warm-up."""


class Inline:
    """An engine without threads, since a process that is forked must have none."""

    scheduler = None

    def run(
        self,
        task: Callable[..., Any],
        jobs: Sequence[tuple[Any, ...]],
        *,
        is_io_bound: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[int, Any]]:
        """Call a task for each job."""
        return ((number, task(*job)) for number, job in enumerate(jobs))


def warm_up(root: Path, aoi: str, until: str) -> None:
    """Scan and report once, so that everything is compiled."""
    import datetime as dt  # noqa: PLC0415

    from minewatch.alerts.explain import alert_pixels  # noqa: PLC0415
    from minewatch.core.workspace import Workspace  # noqa: PLC0415
    from minewatch.detection import change_map_writer  # noqa: PLC0415
    from minewatch.operations import scan  # noqa: PLC0415
    from minewatch.operations.plan import ScanRequest  # noqa: PLC0415
    from minewatch.products.report.report_facts import ReportRequest  # noqa: PLC0415
    from minewatch.products.report.write import write_report  # noqa: PLC0415

    @contextmanager
    def start_inline(_scheduler: str | None = None) -> Iterator[Any]:
        yield Inline()

    users: tuple[Any, ...] = (scan, alert_pixels)
    start = scan.start_engine  # type: ignore[attr-defined]
    for user in users:
        user.start_engine = start_inline
    publish = change_map_writer.publish_cog
    change_map_writer.publish_cog = lambda part, path, **_: shutil.copy(part, path)  # type: ignore[assignment]  # GDAL would start threads
    try:
        scan.scan(Workspace(root), ScanRequest(until=dt.date.fromisoformat(until)))
        write_report(Workspace(root), ReportRequest(aoi=aoi))
    finally:
        for user in users:
            user.start_engine = start
        change_map_writer.publish_cog = publish
    shutil.rmtree(root)


for _name in MODULES:
    importlib.import_module(_name)
if _warm := os.environ.pop(VARIABLE, ""):
    warm_up(Path(_warm.split("\n")[0]), *_warm.split("\n")[1:])
