"""Blocks of plain GeoTIFFs: prefetched over HTTP, decompressed once, and cached while they are needed."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.files import join_ranges
from minewatch.core.http import get_fetch_pool, is_remote
from minewatch.raster.tiff_directory import BlockError
from minewatch.raster.tiff_header import Box, Layout, decode_block

LARGEST_RANGE = 4 * 2**20
"""Bytes of one request for several blocks (three or four of a Sentinel-2 band); several connections bring more than one."""

CACHE_BYTES = 64 * 2**20
"""Of decompressed blocks per datatake: a row of blocks of five bands takes 30 to 40 MB in a swath, plus two blocks of each
band where a window lies across two rows."""

PREFETCH_BYTES = 64 * 2**20
"""Prefetched per datatake; about two rows of blocks of a swath."""

POOL_BYTES = 32 * 2**20
"""Of free buffers that the process keeps for the next datatake: reused memory costs no page faults, which are a tenth of
the work of decompressing."""

SMALLEST_POOLED = 2**18
"""Bytes below which a buffer is not worth keeping."""

Block = tuple[int, int]
"""Row and column of a block in its file."""

Key = tuple[str, Block]
"""A block of a file, the file by its address."""


class BufferPool:
    """Reusable buffers for blocks; thread-safe."""

    def __init__(self, limit: int = POOL_BYTES) -> None:
        self._limit = limit
        self._lock = Lock()
        self._free: deque[NDArray[np.uint8]] = deque()
        self.held = 0

    def get(self, size: int) -> NDArray[np.uint8]:
        """Return a buffer of ``size`` bytes."""
        with self._lock:
            for index, buffer in enumerate(self._free):
                if buffer.nbytes == size:
                    del self._free[index]
                    self.held -= size
                    return buffer
        return np.empty(size, np.uint8)

    def release(self, buffer: NDArray[np.uint8]) -> None:
        """Take a buffer back; the oldest ones are freed beyond the limit."""
        if buffer.nbytes < SMALLEST_POOLED:
            return
        with self._lock:
            self._free.append(buffer)
            self.held += buffer.nbytes
            while self.held > self._limit:
                self.held -= self._free.popleft().nbytes


BUFFERS = BufferPool()
"""The pool of this process."""


@dataclass
class BlockCache:
    """Decompressed blocks, least recently used dropped first; belongs to one thread."""

    limit: int = CACHE_BYTES
    """Bytes."""

    decoded: int = 0
    """Blocks decompressed so far."""

    _blocks: OrderedDict[Key, NDArray[np.uint8]] = field(default_factory=OrderedDict)
    """Pixels of blocks as bytes, least recently used first."""

    _passed: dict[str, Callable[[Block], bool]] = field(default_factory=dict)
    """By file: True for a block that lies behind the windows being read."""

    held: int = 0
    """Bytes kept now."""

    def __contains__(self, key: Key) -> bool:
        return key in self._blocks

    def set_passed(self, href: str, has_passed: Callable[[Block], bool]) -> None:
        """Set which blocks of a file are dropped first."""
        self._passed[href] = has_passed

    def get(self, key: Key) -> NDArray[np.uint8] | None:
        """Return a block's bytes, or None."""
        if key in self._blocks:
            self._blocks.move_to_end(key)
        return self._blocks.get(key)

    def make_room(self, size: int) -> NDArray[np.uint8]:
        """Return a buffer for a block, dropping older blocks beyond the limit."""
        while self._blocks and self.held + size > self.limit:
            self._drop(self._choose())
        return BUFFERS.get(size)

    def put(self, key: Key, buffer: NDArray[np.uint8]) -> None:
        """Add a decompressed block."""
        self._blocks[key] = buffer
        self.held += buffer.nbytes
        self.decoded += 1

    def drop_file(self, href: str) -> None:
        """Drop a file's blocks."""
        for key in [key for key in self._blocks if key[0] == href]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        buffer = self._blocks.pop(key)
        self.held -= buffer.nbytes
        BUFFERS.release(buffer)

    def _choose(self) -> Key:
        # Where windows lie across two rows of blocks, the least recently used block is the one needed next.
        behind = (key for key in self._blocks if key[0] in self._passed and self._passed[key[0]](key[1]))
        return next(behind, next(iter(self._blocks)))


@dataclass(eq=False)
class BlockRange:
    """Neighbouring blocks of a file, fetched in one request."""

    layout: Layout
    """The file."""

    blocks: list[Block]
    """The blocks in it."""

    start: int
    """First byte."""

    stop: int
    """Byte after the last."""

    future: Future[bytes] | None = None
    """Its bytes, once requested."""

    left: int = 1
    """Blocks not yet used."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start

    def cut(self, data: bytes, block: Block) -> memoryview:
        """Return the bytes of one block; raises BlockError where they are cut short."""
        start, count = int(self.layout.offsets[block]) - self.start, int(self.layout.counts[block])
        part = memoryview(data)[start : start + count]
        if len(part) != count:
            raise BlockError("the file is cut short")
        return part


def plan_ranges(layout: Layout, blocks: Iterable[Block]) -> list[BlockRange]:
    """Return ranges of blocks that are near each other in the file; missing blocks are left out."""
    places = ((int(layout.offsets[block]), int(layout.counts[block]), block) for block in blocks if layout.counts[block])
    spans = ((start, start + count, block) for start, count, block in places)
    return [BlockRange(layout, held, start, stop, left=len(held)) for start, stop, held in join_ranges(spans, LARGEST_RANGE)]


class Prefetcher:
    """Prefetches blocks of one datatake's files within bounded memory; thread-safe."""

    def __init__(self, limit: int = PREFETCH_BYTES) -> None:
        self.limit = limit
        self._lock = RLock()
        self._ranges: dict[Key, BlockRange] = {}
        self._queue: deque[BlockRange] = deque()
        self.held = 0
        self._closed = False

    @property
    def is_full(self) -> bool:
        """True if ranges wait for memory."""
        return bool(self._queue)

    def request(self, layout: Layout, blocks: Iterable[Block]) -> None:
        """Request blocks, fetched as soon as memory allows; none is requested twice."""
        with self._lock:
            if self._closed:
                return
            new = [block for block in blocks if (layout.href, block) not in self._ranges]
            for item in plan_ranges(layout, new):
                self._ranges.update(((layout.href, block), item) for block in item.blocks)
                self._queue.append(item)
            self._schedule()

    def get(self, layout: Layout, block: Block) -> memoryview:
        """Return the bytes of a block when they have arrived, and release them.  Raises OSError."""
        self.request(layout, [block])
        with self._lock:
            item = self._ranges[layout.href, block]
            future = item.future or self._start(item)
        part = item.cut(future.result(), block)
        self._drop([(layout.href, block)])
        return part

    def release(self, href: str, before: int | None = None) -> None:
        """Release a file's bytes, or those in rows of blocks above ``before``."""
        with self._lock:
            self._drop([key for key in self._ranges if key[0] == href and (before is None or key[1][0] < before)])

    def close(self) -> None:
        """Release everything; waiting ranges are not fetched any more."""
        with self._lock:
            self._closed = True
            self._drop(list(self._ranges))

    def _drop(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                item = self._ranges.pop(key)
                item.left -= 1
                if item.left == 0 and item.future is None:
                    self._queue.remove(item)
                elif item.left == 0 and item.future is not None:
                    item.future.cancel()
                    self.held -= item.size
            self._schedule()

    def _schedule(self) -> None:
        while self._queue and self.held + self._queue[0].size <= self.limit:
            self._start(self._queue[0])

    def _start(self, item: BlockRange) -> Future[bytes]:
        self._queue.remove(item)
        self.held += item.size
        item.future = get_fetch_pool().submit(item.layout.access.fetch, item.layout.href, item.start, item.stop)
        return item.future


class BlockFile:
    """A GeoTIFF that is read block by block; belongs to one thread."""

    def __init__(self, layout: Layout, cache: BlockCache, prefetcher: Prefetcher) -> None:
        self.layout = layout
        self._cache = cache
        self._prefetcher = prefetcher
        self._box: Box = (0, 0, 0, 0)
        self._file = None if is_remote(layout.href) else os.open(layout.href, os.O_RDONLY | os.O_CLOEXEC)
        cache.set_passed(layout.href, self._has_passed)

    def close(self) -> None:
        """Close the file and drop its blocks."""
        self._cache.drop_file(self.layout.href)
        self._prefetcher.release(self.layout.href)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self, box: Box) -> NDArray[np.uint16]:
        """Read a box: (y, x) uint16, 0 outside the file.  Raises OSError."""
        inner = self._box = self.layout.clip(box)
        make = np.empty if inner == box else np.zeros
        out: NDArray[np.uint16] = make((box[2] - box[0], box[3] - box[1]), np.uint16)
        self._prefetch(inner)
        for block in self.layout.find_blocks(inner):
            top, left, bottom, right = self.layout.clip(self.layout.outline(block))
            rows, columns = slice(max(inner[0], top), min(inner[2], bottom)), slice(max(inner[1], left), min(inner[3], right))
            target = out[rows.start - box[0] : rows.stop - box[0], columns.start - box[1] : columns.stop - box[1]]
            target[:] = self._open(block)[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        return out

    def _prefetch(self, box: Box) -> None:
        """Request all blocks of a box at once, so that they are fetched concurrently."""
        if self._file is None:
            if self._prefetcher.is_full:  # blocks that were requested and skipped use the memory
                self._prefetcher.release(self.layout.href, before=box[0] // self.layout.block[0])
            prefetch_blocks(self.layout, [box], self._cache, self._prefetcher)

    def _open(self, block: Block) -> NDArray[Any]:
        """Return the pixels of a block; valid until another is opened."""
        if not self.layout.counts[block]:
            return np.broadcast_to(np.asarray(self.layout.empty, self.layout.dtype), self.layout.block)
        key = self.layout.href, block
        buffer = self._cache.get(key)
        if buffer is None:
            data = self._load(block)
            buffer = self._cache.make_room(self.layout.block_bytes)
            decode_block(self.layout, block, data, buffer)
            self._cache.put(key, buffer)
        return buffer.view(self.layout.dtype).reshape(self.layout.block)

    def _load(self, block: Block) -> bytes | memoryview:
        if self._file is None:
            return self._prefetcher.get(self.layout, block)
        count = int(self.layout.counts[block])
        data = os.pread(self._file, count, int(self.layout.offsets[block]))
        if len(data) != count:
            raise BlockError("the file is cut short")
        return data

    def _has_passed(self, block: Block) -> bool:
        """True if a block lies behind the current box, where windows are read row by row from left to right."""
        top, left, bottom, _ = self._box
        below, right = self.layout.outline(block)[2:]
        return below <= top or (below <= bottom and right <= left)


def prefetch_blocks(layout: Layout, boxes: Iterable[Box], cache: BlockCache, prefetcher: Prefetcher) -> None:
    """Request the blocks of boxes of a remote file that are not cached."""
    blocks = [block for box in boxes for block in layout.find_blocks(layout.clip(box))]
    prefetcher.request(layout, [block for block in dict.fromkeys(blocks) if (layout.href, block) not in cache])
