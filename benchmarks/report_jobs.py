"""Jobs that write a report, or only read the pixels that it shows."""

from __future__ import annotations

import pkgutil
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import rasterio
from pyproj import Transformer
from rasterio.windows import Window, from_bounds

from benchmarks.accuracy import NAME
from minewatch.alerts.read import read_alerts
from minewatch.core.workspace import Workspace
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.report_facts import ReportRequest
from minewatch.products.report.write import write_report

STAGES = {
    "reading images": "minewatch.products.report.report_images.ReportImageReader.read_all",
    "explaining alerts": "minewatch.products.report.gather_facts.explain_alerts",
    "drawing maps and pairs": "minewatch.products.report.html_page.draw_pairs",
    "drawing series": "minewatch.products.report.html_page.draw_series",
    "printing the PDF": "minewatch.products.report.pdf.print_page",
}
"""Name to the function whose time is taken; what is left is the rest."""

PAGE = rb"/Type\s*/Page\b"
"""How a page begins in a PDF."""

BANDS = ("scl", "red", "green", "blue", "nir", "swir16")
"""What the images of an alert are made of."""


def prepare_report(
    workspace: str, folder: str, formats: Sequence[str], only: Sequence[str] = (), area: str = NAME
) -> Callable[[], dict[str, Any]]:
    """Write the report of an area; the clock of each stage runs beside it.  ``only`` leaves the largest alerts, by their ids."""
    place = Workspace(Path(workspace))

    def work() -> dict[str, Any]:
        spent: Counter[str] = Counter()
        with ExitStack() as stack:
            for stage, name in STAGES.items():
                stack.enter_context(_timing(stage, name, spent))
            if only:
                stack.enter_context(_leaving(set(only)))
            done = write_report(place, ReportRequest(area, formats=tuple(formats)), Path(folder))
        if done.fault:
            raise RuntimeError(done.fault)
        files = {path.suffix[1:]: path.stat().st_size for path in done.paths}
        pages = [count_pages(path.read_bytes()) for path in done.paths if path.suffix == ".pdf"]
        return {"spent": spent, "files": files, "pages": pages, "alerts": done.alerts}

    return work


def count_pages(data: bytes) -> int:
    """Count the pages of a PDF, whose objects are deflated."""
    count = len(re.findall(PAGE, data))
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        with suppress(zlib.error):
            count += len(re.findall(PAGE, zlib.decompressobj().decompress(stream)))
    return count


@contextmanager
def _timing(stage: str, name: str, spent: Counter[str]) -> Iterator[None]:
    """Take the time of a function, or of the steps of what it yields."""
    real = pkgutil.resolve_name(name)

    def timed(*words: Any, **names: Any) -> Any:
        start = time.perf_counter()
        result = real(*words, **names)
        spent[stage] += time.perf_counter() - start
        return _timed_steps(result, stage, spent) if isinstance(result, Iterator) else result

    with patch(name, timed):
        yield


def _timed_steps(steps: Iterator[Any], stage: str, spent: Counter[str]) -> Iterator[Any]:
    while True:
        start = time.perf_counter()
        try:
            step = next(steps)
        except StopIteration:
            return
        finally:
            spent[stage] += time.perf_counter() - start
        yield step


@contextmanager
def _leaving(ids: set[str]) -> Iterator[None]:
    """Let the report know of some alerts alone."""
    name = "minewatch.products.report.gather_facts.read_alerts"
    with patch(name, lambda path: (table := read_alerts(path))[table["alert_id"].isin(ids)]):
        yield


def prepare_pixels(workspace: str, only: Sequence[str] = ()) -> Callable[[], dict[str, Any]]:
    """Read with rasterio what the images of a report show, file by file."""
    with _leaving(set(only)):
        reads = _list_reads(Workspace(Path(workspace)))

    def work() -> dict[str, Any]:
        pixels = 0
        for path, bounds in reads:
            with rasterio.open(path) as file:
                window: Window = from_bounds(*bounds, file.transform).round_offsets().round_lengths()
                pixels += file.read(1, window=window, boundless=True, fill_value=0).size
        return {"pixels": pixels, "reads": len(reads)}

    return work


def _list_reads(workspace: Workspace) -> list[tuple[str, tuple[float, ...]]]:
    facts = gather_facts(workspace, ReportRequest(NAME))
    reads = []
    for alert in facts.alerts:
        for overpass in alert.images.overpasses.values() if alert.images else ():
            chip = next(iter(overpass.chips.values()))
            for scene in chip.look.datatake.scenes:
                for band in BANDS:
                    with rasterio.open(scene.hrefs[band]) as file:
                        project = Transformer.from_crs(chip.frame.crs, file.crs, always_xy=True)
                    reads.append((scene.hrefs[band], project.transform_bounds(*chip.frame.bounds)))
    return reads
