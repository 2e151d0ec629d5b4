"""Remote files for GDAL, which reads them as Python file objects through our own requests.

So GDAL never sees an address, a signature or a key (its options set in the main thread hold for the whole process in
rasterio 1.4), and failed requests are detected, while JPEG 2000's decoder would go on without the bytes.
"""

from __future__ import annotations

import atexit
import contextvars
import io
import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import PurePosixPath
from threading import Lock
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import rasterio
from affine import Affine
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.io import MemoryFile

from minewatch.core.http import UNKNOWN, RangeError, get_fetch_pool
from minewatch.raster.credentials import Access
from minewatch.raster.tiff_header import HEAD

P = ParamSpec("P")
T = TypeVar("T")

MORE = 16 * 2**10
"""Bytes fetched beyond a read, since the next read is usually the header of the next tile."""

PIECE = 4 * 2**20
"""Bytes of one request; longer reads are split into concurrent requests."""

LARGEST = 256 * 2**20
"""Bytes of one read of GDAL: a JPEG 2000 file of a whole band without tiles has at most 150 MB."""

KEPT = 512
"""Small parts that are cached: headers, which GDAL reads repeatedly; a band's own file has 121 tiles."""


@dataclass
class Stream:
    """A remote file and a cache of its small parts; shared by all its readers."""

    href: str
    """Address, unsigned."""

    access: Access
    """How it is accessed."""

    requests: int = 0
    """Made so far."""

    fault: OSError | None = None
    """The first error; GDAL only sees that bytes are missing."""

    total: int = UNKNOWN
    """Bytes of the file; UNKNOWN before it is opened, and where the server does not say."""

    _parts: dict[int, bytes] = field(default_factory=dict)
    """First byte to part, without overlaps."""

    _starts: list[int] = field(default_factory=list)
    """First bytes of the parts, in order."""

    _lock: Lock = field(default_factory=Lock)

    @cached_property
    def path(self) -> str:
        """Path for GDAL, with nothing of the address but its extension."""
        with _OPENER_LOCK:
            return _register_opener()[0] + self._name

    @cached_property
    def _name(self) -> str:
        return f"band{next(_FILE_NUMBERS)}{PurePosixPath(urlsplit(self.href).path).suffix}"

    @cached_property
    def _context(self) -> contextvars.Context:
        """Context in which the opener is registered with rasterio; used by one thread at a time."""
        with _OPENER_LOCK:
            return _register_opener()[1].copy()

    def open(self) -> bytes:
        """Fetch and return the head; to be called by a thread of the fetch pool.  Raises OSError."""
        self.requests += 1
        head, self.total = self.access.fetch_part(self.href, 0, HEAD)
        self._keep(0, head)
        return head

    def run(self, action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Call a function of rasterio that uses the file.

        Raises the stream's OSError if one occurred: GDAL only sees that bytes are missing, and its decoders may go on
        without them.
        """
        if self.total == UNKNOWN:
            raise RangeError("the server does not say how long the file is (Content-Range: …/*), as a file of this kind needs")
        before, _OPENER.streams[self._name] = self.fault, self
        try:
            return self._context.run(action, *arguments, **options)
        finally:
            del _OPENER.streams[self._name]
            if self.fault is not before and self.fault is not None:
                raise self.fault

    def read(self, start: int, size: int) -> bytes:
        """Read bytes; fewer where the file ends.  Raises OSError."""
        stop = min(start + size, self.total)
        if stop - start > LARGEST:
            raise RangeError("a part that is larger than any of a band")
        found: list[bytes] = []
        with self._lock:
            while start < stop:
                data = self._find(start) or self._load(start, stop)
                found.append(data[: stop - start])
                start += len(found[-1])
        return found[0] if len(found) == 1 else b"".join(found)

    def read_ranges(self, starts: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Read several parts, fetched concurrently.  Raises OSError."""
        if sum(sizes) > LARGEST:
            raise RangeError("parts that are larger than any of a band")
        return [_join(jobs) for jobs in [self._ask(start, start + size) for start, size in zip(starts, sizes, strict=True)]]

    def _find(self, start: int) -> bytes:
        place = bisect_right(self._starts, start) - 1
        if place < 0:
            return b""
        first = self._starts[place]
        return self._parts[first][start - first :]

    def _load(self, start: int, stop: int) -> bytes:
        """Fetch from ``start`` to a little beyond ``stop``, or to the next cached part; cache the end if small."""
        place = bisect_right(self._starts, start)
        known = self._starts[place] if place < len(self._starts) else self.total
        end = min(stop + MORE, known)
        data = _join(self._ask(start, end))
        tail = 0 if len(data) <= 2 * MORE else len(data) - MORE
        self._keep(start + tail, data[tail:])
        return data

    def _keep(self, start: int, data: bytes) -> None:
        while len(self._starts) >= KEPT:
            del self._parts[self._starts.pop()]
        self._parts[start] = data
        self._starts.insert(bisect_right(self._starts, start), start)

    def _ask(self, start: int, stop: int) -> list[Future[bytes]]:
        pieces = [(first, min(first + PIECE, stop)) for first in range(start, stop, PIECE)]
        self.requests += len(pieces)
        return [get_fetch_pool().submit(self._fetch, *piece) for piece in pieces]

    def _fetch(self, start: int, stop: int) -> bytes:
        data, total = self.access.fetch_part(self.href, start, stop)
        if total != self.total or len(data) != stop - start:
            raise RangeError("the file changed while it was read")
        return data


def _join(jobs: Sequence[Future[bytes]]) -> bytes:
    parts = [job.result() for job in jobs]
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Reader(io.RawIOBase):
    """A file object for GDAL: errors are recorded in the stream, and bytes are missing."""

    def __init__(self, stream: Stream | _KeepAlive) -> None:
        super().__init__()
        self._stream = stream
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Read from the current position."""
        try:
            data = self._stream.read(self._position, self._stream.total if size < 0 else size)
        except OSError as error:
            self._stream.fault = self._stream.fault or error
            return b""
        self._position += len(data)
        return data

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Read several parts at once; GDAL has joined adjacent ones."""
        try:
            return self._stream.read_ranges(offsets, sizes)
        except OSError as error:
            self._stream.fault = self._stream.fault or error
            return [bytes(size) for size in sizes]  # GDAL would read beyond the end of shorter ones

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._stream.total}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


class _VsiOpener(MultiByteRangeResourceContainer):  # type: ignore[misc]  # rasterio has no types
    """The streams of this process by name, for rasterio; no other file exists, such as side-car files."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream | _KeepAlive] = {}

    def open(self, path: str, *_: object, **__: object) -> Reader:
        """Return a new reader of a file."""
        return Reader(self._find(path))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return self._find(path).total

    def isfile(self, path: str) -> bool:
        """True if there is a file of this name."""
        return path in self.streams

    def isdir(self, _path: str) -> bool:
        """Return False: there are no folders."""
        return False

    def ls(self, _path: str) -> list[str]:
        """Return no names."""
        return []

    def mtime(self, _path: str) -> int:
        """Return 0: times are not known."""
        return 0

    def rm(self, path: str) -> None:
        """Raise PermissionError."""
        raise PermissionError(path)

    def _find(self, path: str) -> Stream | _KeepAlive:
        if path not in self.streams:
            raise FileNotFoundError(path)
        return self.streams[path]


class _KeepAlive:
    """A tiny file that stays open, which keeps the opener registered for the lifetime of the process.

    rasterio would register the opener for each file and unregister it afterwards, while GDAL reads its list of handlers
    without a lock: other threads that open files could see it half changed (cpl_vsil.cpp).
    """

    fault: OSError | None = None

    def __init__(self) -> None:
        with MemoryFile() as memory:
            memory.open(driver="GTiff", width=1, height=1, count=1, dtype="uint8", transform=Affine.translation(1, 1)).close()
            self.data = bytes(memory.read())
        self.total = len(self.data)

    def read(self, start: int, size: int) -> bytes:
        return self.data[start : start + size]

    def read_ranges(self, starts: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        return [self.read(start, size) for start, size in zip(starts, sizes, strict=True)]


_OPENER = _VsiOpener()
_OPENER_LOCK = Lock()
_FILE_NUMBERS = itertools.count()


@cache
def _register_opener() -> tuple[str, contextvars.Context]:
    """Register the opener with GDAL; return the path prefix of its files, and the context in which rasterio knows it."""
    _OPENER.streams["keep-alive.tif"] = _KeepAlive()
    context = contextvars.copy_context()
    dataset = context.run(rasterio.open, "keep-alive.tif", opener=_OPENER)
    atexit.register(context.run, dataset.close)  # at GDAL's own exit, Python's readers are gone
    return dataset.name.removesuffix("keep-alive.tif"), context
