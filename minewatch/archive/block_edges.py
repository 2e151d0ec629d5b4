"""Keeps the edges of blocks: a tile needs a few rows and columns of each of its eight neighbours, and each is a tile itself."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.raster_header import Table
from minewatch.areas.grid import ARCHIVE_BLOCK

EDGE = 16
"""Rows and columns kept on each side of a block; clouds reach 13 pixels into the next tile by default."""

KEPT = 2048
"""Blocks whose edges are kept: 32 kB each."""

Place = tuple[int, int, int]
"""Band, block row and block column in a raster."""

Edges = tuple[NDArray[np.uint8], ...]
"""Upper, lower, left and right edge of a block."""


class BlockEdges:
    """Edges of the blocks that were read last; thread-safe."""

    def __init__(self, limit: int = KEPT) -> None:
        self._limit = limit
        self._lock = Lock()
        self._edges: OrderedDict[tuple[Table, Place], Edges] = OrderedDict()

    def put(self, table: Table, place: Place, block: NDArray[np.uint8]) -> None:
        """Keep the edges of a block (y, x)."""
        edges = block[:EDGE].copy(), block[-EDGE:].copy(), block[:, :EDGE].copy(), block[:, -EDGE:].copy()
        with self._lock:
            self._edges[table, place] = edges
            if len(self._edges) > self._limit:
                self._edges.popitem(last=False)

    def get(self, table: Table, place: Place, rows: slice, columns: slice) -> NDArray[np.uint8] | None:
        """Return a part of a block; None where it is not known, or not at an edge."""
        with self._lock:
            if (table, place) not in self._edges:
                return None
            self._edges.move_to_end((table, place))
            upper, lower, left, right = self._edges[table, place]
        last = ARCHIVE_BLOCK - EDGE
        if rows.stop <= EDGE:
            return upper[rows, columns]
        if rows.start >= last:
            return lower[rows.start - last : rows.stop - last, columns]
        if columns.stop <= EDGE:
            return left[rows, columns]
        if columns.start >= last:
            return right[rows, columns.start - last : columns.stop - last]
        return None
