"""Reads rasters from an object store: the blocks of many rasters at once, adjacent ones in one request."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from minewatch.archive.raster import MALFORMED, Codes, choose_table, fill_bands, list_blocks, make_damage_error
from minewatch.archive.raster_header import Tables, parse_tables
from minewatch.areas.grid import Window
from minewatch.core.files import join_ranges, read_ranges

HEAD = 2**16
"""Bytes read at the beginning of a raster; they hold the tables of up to some 2000 blocks, for larger ones more are read."""

TOGETHER = 64
"""Rasters that are read at once: enough to keep the connections busy, few enough to hold their blocks in memory."""

KNOWN = 2**15
"""Rasters whose tables are cached."""

_tables: dict[UPath, Tables] = {}
"""Files of the archive never change, so that their tables are read once."""


def read_stored(paths: Sequence[UPath], bands: range, window: Window, outs: Sequence[Codes], *, sample: bool) -> None:
    """Read bands of a window of rasters, or of their samples, each into its (band, y, x).

    Raises ArchiveError where a file is damaged, WorkspaceError where the store does not answer.
    """
    for first in range(0, len(paths), TOGETHER):
        some = slice(first, first + TOGETHER)
        _read_some(paths[some], bands, window, outs[some], sample=sample)


def _read_some(paths: Sequence[UPath], bands: range, window: Window, outs: Sequence[Codes], *, sample: bool) -> None:
    tables = [choose_table(found, sample=sample) for found in _find_tables(paths)]
    plans = [_plan(table.offsets, table.counts, bands, window) for table in tables]
    data = iter(read_ranges([(path, *span) for path, plan in zip(paths, plans, strict=True) for span in plan]))
    for path, table, plan, out in zip(paths, tables, plans, outs, strict=True):
        parts = {start: next(data) for start, _ in plan}
        try:
            fill_bands(partial(_cut_part, parts, list(parts)), table, bands, window, out)
        except MALFORMED as error:
            raise make_damage_error(path) from error


def _cut_part(parts: dict[int, bytes], starts: list[int], count: int, offset: int) -> bytes:
    """Return bytes of one of the parts of a file that were read, which lie in ascending order of their starts."""
    start = starts[bisect_right(starts, offset) - 1]
    return parts[start][offset - start : offset - start + count]


def _plan(offsets: NDArray[np.int64], counts: NDArray[np.int64], bands: range, window: Window) -> list[tuple[int, int]]:
    """Return the spans of bytes that hold the blocks of a window; near ones are joined."""
    places = [(band, *block) for band in bands for block in list_blocks(window)]
    blocks = ((int(offsets[place]), int(counts[place]), place) for place in places if counts[place])
    return [(start, stop) for start, stop, _ in join_ranges((start, start + count, place) for start, count, place in blocks)]


def _find_tables(paths: Sequence[UPath]) -> list[Tables]:
    """Return the tables of rasters; those not cached are read together."""
    new = [path for path in paths if path not in _tables]
    if len(_tables) + len(new) > KNOWN:
        _tables.clear()
        new = list(paths)
    found = {path: _parse(path, head) for path, head in zip(new, read_ranges([(path, 0, HEAD) for path in new]), strict=True)}
    _tables.update(found)
    return [found[path] if path in found else _tables[path] for path in paths]


def _parse(path: UPath, head: bytes) -> Tables:
    """Read the tables from the beginning of a file, and more of the file where that is not enough."""
    asked = HEAD
    while True:
        try:
            return parse_tables(head, lambda _start, _stop: b"")  # what lies beyond is asked for with more of the file
        except (*MALFORMED, OSError) as error:
            if len(head) < asked:  # the whole file was read
                raise make_damage_error(path) from error
        asked *= 16
        (head,) = read_ranges([(path, 0, asked)])
