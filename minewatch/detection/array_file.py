"""Files of named arrays, each compressed by itself, so that one of them can be read without the others."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

ARRAYS = "arrays"
"""Key of the head that lists the arrays: name to type, shape, first byte and length."""

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, zstandard.ZstdError)
"""Errors that a damaged file raises."""


def pack_arrays(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a file: a line of JSON with the ``head`` and its checksum, then the arrays; each has a checksum too."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    listed: dict[str, Any] = {}
    frames, start = [], 0
    for name, array in arrays.items():
        frames.append(compressor.compress(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data))
        listed[name] = [np.lib.format.dtype_to_descr(array.dtype), array.shape, start, len(frames[-1])]
        start += len(frames[-1])
    line = json.dumps({**head, ARRAYS: listed}).encode()
    return b"".join([_hash(line), b" ", line, b"\n", *frames])


class ArrayFile:
    """The content of a file of arrays; whatever is damaged raises one of MALFORMED."""

    def __init__(self, data: bytes) -> None:
        end = data.find(b"\n") + 1
        digest, _, line = data[:end].rstrip(b"\n").partition(b" ")
        if digest != _hash(line):
            raise ValueError("the head is damaged, or of another version")
        self.head: dict[str, Any] = json.loads(line)
        """What stands beside the arrays."""
        self._frames = memoryview(data)[end:]

    def read(self, name: str) -> NDArray[Any]:
        """Return one array, which may be written to."""
        described, shape, start, length = self.head[ARRAYS][name]
        dtype, frame = np.lib.format.descr_to_dtype(described), self._frames[start : start + length]
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or len(frame) != length or zstandard.frame_content_size(frame) != size:
            raise ValueError(f"array {name} is not what the head says")
        array: NDArray[Any] = np.empty(size, np.uint8)
        if zstandard.ZstdDecompressor().stream_reader(frame).readinto(array) != size:
            raise ValueError(f"array {name} ends too soon")
        return array.view(dtype).reshape(shape)


def _hash(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode()
