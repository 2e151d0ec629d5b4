"""Surveys a datatake before it is read: how much of the area is clear, and how many bytes reading it would take.

Read are the scene classes of the area and the headers of the bands, whose tables say how many bytes each block has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from minewatch.archive.item import describe_grid
from minewatch.archive.writer import BAND_NAMES, Target, count_classes, cut_strips, view_strip
from minewatch.areas.grid import COARSE_PIXEL, PIXEL, Grid, Window
from minewatch.core.errors import SceneError
from minewatch.core.http import UNKNOWN
from minewatch.raster.blocks import Block, BlockFile, plan_ranges
from minewatch.raster.gdal import GdalFile
from minewatch.raster.read import DatatakeReader, OpenBand, SceneReader, open_datatake
from minewatch.raster.tiff_header import HEAD, Box, Layout
from minewatch.settings.scl import CLEAR_CLASSES, NO_DATA
from minewatch.sources.scene import Datatake

UNKNOWN_BYTES = 1.6
"""Bytes a pixel of files that GDAL reads, ESA's JPEG 2000 above all, which say nothing of the bytes of each tile."""


@dataclass(frozen=True)
class Survey:
    """What is known of a datatake over an area before it is read."""

    id: str
    """Changes with the datatake, its scenes and the grid; see :func:`identify`."""

    clear_share: float
    """Share of the area's pixels whose SCL is one of CLEAR_CLASSES."""

    valid_share: float
    """Share of the area's pixels that have data."""

    looked: int
    """Bytes of what the survey read: the SCL and, where anything is clear, the headers."""

    size: int | None
    """Bytes that reading it takes, SCL and headers included; None where too little of the area is clear to ask."""

    pixels: int
    """Of the blocks whose indices are read."""

    parts: int = 0
    """Blocks of the bands' files that reading it takes."""

    coarse_size: int | None = None
    """Bytes that reading it in pixels of 20 m takes; None where nobody knows, or no file has such overviews."""


def identify(datatake: Datatake, grid: Grid) -> str:
    """Return what a survey depends on: the scenes, by id and baseline, the grid, and the pixels that it looks into."""
    scenes = " ".join(f"{scene.id}@{scene.baseline[0]}.{scene.baseline[1]}" for scene in datatake.scenes)
    return f"{datatake.key} {scenes} {describe_grid(grid)}, {PIXEL} m or {COARSE_PIXEL} m"


Counted = set[tuple[str, Block]]
"""Blocks of files that another area has to fetch, of the same datatake, by the address of the file."""


class SurveyResults(NamedTuple):
    """What surveying one datatake gave."""

    surveys: list[Survey | SceneError]
    """Of each area; the SceneError where a file cannot be read."""

    received: int
    """Bytes fetched over the line for them."""


def survey_group(targets: Sequence[Target], least_clear: float = 0.0) -> SurveyResults:
    """Survey one datatake over the areas that a scan would read together: a block that two need is counted for the first.

    Where less than ``least_clear`` of an area is clear, the bands are not opened.
    """
    scenes = {scene.id: scene for target in targets for scene in target.datatake.scenes}
    first, counted = targets[0].datatake, Counted()
    results: list[Survey | SceneError] = []
    with open_datatake(Datatake(first.key, first.time, tuple(scenes[name] for name in sorted(scenes)))) as files:
        for target in targets:
            reader = files.on(target.grid, target.datatake.scenes)
            try:
                results.append(_survey(reader, target.datatake, target.grid, least_clear, counted))
            except SceneError as error:
                results.append(error.detach())
    return SurveyResults(results, files.received.total)


def _survey(reader: DatatakeReader, datatake: Datatake, grid: Grid, least_clear: float, counted: Counted) -> Survey:
    counts: Counter[int] = Counter()
    needed: list[list[Window]] = [[] for _ in reader.readers]
    around: list[Window] = []
    pixels = 0
    for strip, following in pairwise([*cut_strips(grid), None]):
        assert strip is not None, "only the last one is followed by none"
        view = view_strip(reader, grid, strip, following)
        around.append(view.around)
        inside = count_classes(view.classes[strip.within(view.around)], grid.inside(strip))
        counts.update({code: int(count) for code, count in enumerate(inside) if count})
        pixels += sum(block.height * block.width for block, is_visible in view.blocks.items() if is_visible)
        for windows, more in zip(needed, view.list_needed(len(reader.readers)), strict=True):
            windows.extend(more)
    total, clear = max(1, counts.total()), sum(counts[code] for code in CLEAR_CLASSES)
    name, shares = identify(datatake, grid), (clear / total, 1 - counts[NO_DATA] / total)
    scl = [_measure_band(scene, "scl", around, counted) for scene in reader.readers]
    looked = sum(part.header + part.blocks for part in scl)
    if clear < least_clear * total:
        return Survey(name, *shares, looked, None, pixels)
    bands = [(scene, windows) for scene, windows in zip(reader.readers, needed, strict=True) if windows]
    for scene, _ in bands:  # all headers are fetched at once
        scene.prefetch(BAND_NAMES, [])
    parts = [_measure_band(scene, band, windows, counted) for scene, windows in bands for band in BAND_NAMES]
    looked += sum(part.header for part in parts)
    size, coarse = (looked + sum(getattr(part, kind) for part in parts) for kind in ("blocks", "coarse"))
    return Survey(
        name, *shares, looked, size, pixels, sum(part.number for part in parts), coarse_size=coarse if coarse < size else None
    )


class BandSize(NamedTuple):
    """What has to be fetched of a band."""

    header: int
    """Bytes of its header."""

    blocks: int
    """Bytes of its blocks."""

    coarse: int
    """Bytes of the blocks of its overview of 20 m; those of its blocks where there is none."""

    number: int
    """Of its blocks."""


def _measure_band(scene: SceneReader, band: str, windows: list[Window], counted: Counted) -> BandSize:
    """Return the bytes of a band's header, and of its blocks in some windows, without what was counted before."""
    return scene.files.read(band, lambda file: _measure_file(scene, band, file, windows, counted))


def _measure_file(scene: SceneReader, band: str, file: OpenBand, windows: list[Window], counted: Counted) -> BandSize:
    if not isinstance(file.source, BlockFile):
        tiles = {tile for box in scene.locate(band, windows, file) for tile in _list_tiles(box, file)}
        size = round(UNKNOWN_BYTES * sum((bottom - top) * (right - left) for top, left, bottom, right in tiles))
        stream = file.source.stream if isinstance(file.source, GdalFile) else None
        whole = UNKNOWN if stream is None else stream.total
        header = HEAD if whole == UNKNOWN else min(HEAD, whole)
        size = size if whole == UNKNOWN else min(size, whole - header)  # of a short file, the head has much, or all
        return BandSize(header, size, size, len(tiles))
    layout = file.source.layout
    blocks = {block for block in _find_blocks(scene, band, windows, layout) if (layout.href, block) not in counted}
    header = 0 if any(href == layout.href for href, _ in counted) else layout.header
    counted.update((layout.href, block) for block in blocks)
    size = _add_bytes(layout, blocks)
    small = layout.overview
    coarse = size if small is None else min(size, _add_bytes(small, _find_blocks(scene, band, windows, small)))
    return BandSize(header, size, coarse, len(blocks))


def _find_blocks(scene: SceneReader, band: str, windows: list[Window], layout: Layout) -> set[Block]:
    return {block for box in scene.locate(band, windows, layout) for block in layout.find_blocks(layout.clip(box))}


def _add_bytes(layout: Layout, blocks: Iterable[Block]) -> int:
    return sum(part.size for part in plan_ranges(layout, sorted(blocks)))


def _list_tiles(box: Box, file: OpenBand) -> Iterator[Box]:
    """Yield the tiles of a file that GDAL reads which a box meets, cut at the edges of the file."""
    top, left, bottom, right = max(box[0], 0), max(box[1], 0), min(box[2], file.shape[0]), min(box[3], file.shape[1])
    assert isinstance(file.source, GdalFile), "other files say where their blocks lie"
    height, width = file.source.dataset.block_shapes[0]
    for row in range(top // height * height, bottom, height):
        for column in range(left // width * width, right, width):
            yield row, column, min(row + height, file.shape[0]), min(column + width, file.shape[1])
