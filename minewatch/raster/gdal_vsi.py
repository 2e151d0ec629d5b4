"""Remote files for GDAL: it reads them like files of Python's, and every byte comes through our own requests.

So GDAL never sees an address, a signature or a key, whose options would hold for the whole process where they are set in
its main thread (rasterio 1.4), and a request that fails is known, where JPEG 2000's decoder would go on without the bytes.
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

from minewatch.core.http import RangeError, get_fetch_pool
from minewatch.raster.credentials import Access

P = ParamSpec("P")
T = TypeVar("T")

HEAD = 32 * 2**10
"""Bytes fetched to open a file."""

MORE = 16 * 2**10
"""Bytes fetched beyond what is asked for: what is read next, the header of the next tile or its table, comes with them."""

PIECE = 4 * 2**20
"""Bytes of one request; longer parts come in several, side by side."""

LARGEST = 256 * 2**20
"""Bytes that GDAL may ask for at one time: a JPEG 2000 file of a whole band without tiles has 150 MB at most."""

KEPT = 512
"""Small parts that are kept: headers, which GDAL reads again and again; an own file of a band has 121 tiles."""


@dataclass
class Stream:
    """A remote file, and the small parts of it that were fetched; all its readers share it."""

    href: str
    """Address, unsigned."""

    access: Access
    """How it is reached."""

    requests: int = 0
    """Made so far."""

    fault: OSError | None = None
    """The first that was met; GDAL hears only that bytes are missing."""

    total: int = -1
    """Bytes of the file; -1 = not known yet."""

    _parts: dict[int, bytes] = field(default_factory=dict)
    """First byte to part; none overlaps another."""

    _starts: list[int] = field(default_factory=list)
    """Of the parts, in order."""

    _lock: Lock = field(default_factory=Lock)

    @cached_property
    def path(self) -> str:
        """For GDAL, which sees nothing of the address but its ending."""
        with _OPENER_LOCK:
            return _register_opener()[0] + self._name

    @cached_property
    def _name(self) -> str:
        return f"band{next(_FILE_NUMBERS)}{PurePosixPath(urlsplit(self.href).path).suffix}"

    @cached_property
    def _context(self) -> contextvars.Context:
        """In which rasterio knows the shelf; used by one thread at a time."""
        with _OPENER_LOCK:
            return _register_opener()[1].copy()

    def open(self) -> bytes:
        """Fetch the head and give it; to be called by one of the threads that fetch.  Raises OSError."""
        self.requests += 1
        head, self.total = self.access.fetch_part(self.href, 0, HEAD)
        self._keep(0, head)
        return head

    def run(self, action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do something of rasterio's with the file.

        Raises the OSError of the stream where one was met meanwhile: GDAL hears only that bytes are missing, and its
        decoders may go on without them.
        """
        before, _OPENER.streams[self._name] = self.fault, self
        try:
            return self._context.run(action, *arguments, **options)
        finally:
            del _OPENER.streams[self._name]
            if self.fault is not before and self.fault is not None:
                raise self.fault

    def read(self, start: int, size: int) -> bytes:
        """Read bytes; less where the file ends.  Raises OSError."""
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
        """Read several parts, fetched side by side.  Raises OSError."""
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
        """Fetch from ``start`` to a little behind ``stop``, or to what is there already; keep what is small."""
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
    """A place in a stream, as GDAL wants it: what fails is noted with the stream, and bytes are missing."""

    def __init__(self, stream: Stream | _KeepAlive) -> None:
        super().__init__()
        self._stream = stream
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        """Read from the place on."""
        try:
            data = self._stream.read(self._place, self._stream.total if size < 0 else size)
        except OSError as error:
            self._stream.fault = self._stream.fault or error
            return b""
        self._place += len(data)
        return data

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Read several parts at once, wherever the place is; GDAL has joined those that touch."""
        try:
            return self._stream.read_ranges(offsets, sizes)
        except OSError as error:
            self._stream.fault = self._stream.fault or error
            return [bytes(size) for size in sizes]  # shorter ones would be read beyond their end

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._stream.total}[whence]
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place


class _VsiOpener(MultiByteRangeResourceContainer):  # type: ignore[misc]  # rasterio has no types
    """The streams of this process by name, for rasterio; there is nothing else, whatever GDAL looks for beside them."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream | _KeepAlive] = {}

    def open(self, path: str, *_: object, **__: object) -> Reader:
        """Return a reader of its own to each who asks."""
        return Reader(self._find(path))

    def size(self, path: str) -> int:
        """Return the bytes of a file."""
        return self._find(path).total

    def isfile(self, path: str) -> bool:
        """True if there is a file of this name."""
        return path in self.streams

    def isdir(self, _path: str) -> bool:
        """Tell that there are no folders."""
        return False

    def ls(self, _path: str) -> list[str]:
        """List nothing."""
        return []

    def mtime(self, _path: str) -> int:
        """Return no time."""
        return 0

    def rm(self, path: str) -> None:
        """Refuse."""
        raise PermissionError(path)

    def _find(self, path: str) -> Stream | _KeepAlive:
        if path not in self.streams:
            raise FileNotFoundError(path)
        return self.streams[path]


class _KeepAlive:
    """A tiny file that stays open, so that GDAL knows the shelf as long as the process lives.

    rasterio would tell GDAL of an opener anew for each file, and forget it after: GDAL looks its list of them up without
    a lock, so that other threads that open files could meet it half changed (cpl_vsil.cpp).
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
    """Tell GDAL of the shelf; give the path of what lies on it, and the context in which rasterio knows it."""
    _OPENER.streams["anchor.tif"] = _KeepAlive()
    context = contextvars.copy_context()
    dataset = context.run(rasterio.open, "anchor.tif", opener=_OPENER)
    atexit.register(context.run, dataset.close)  # GDAL's own end would call Python's readers too late
    return dataset.name.removesuffix("anchor.tif"), context
