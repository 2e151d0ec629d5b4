"""The strict reader of ZIPs gives what Python's gives, for every ZIP that Python writes."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minewatch.core.errors import PackError
from minewatch.products.evidence.zip_file import CHUNK, list_members, read_member


class Stream(io.RawIOBase):
    """A file that cannot seek, into which sizes come behind the data."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def pack(files: dict[str, bytes], method: int, *, as_stream: bool = False) -> bytes:
    memory, stream = io.BytesIO(), Stream()
    with zipfile.ZipFile(stream if as_stream else memory, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.data if as_stream else memory.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    file = io.BytesIO(data)
    return {member.name: b"".join(read_member(file, member)) for member in list_members(file)}


CONTENT = st.one_of(
    st.binary(max_size=100),
    st.tuples(st.binary(min_size=1, max_size=3), st.integers(0, 3 * CHUNK)).map(lambda pair: pair[0] * pair[1]),
    st.integers(-300, 300).map(lambda more: b"[]," * ((2 * CHUNK + more) // 3)),
)


@given(st.dictionaries(st.sampled_from(["a", "b/c.tif", "ñandú/é"]), CONTENT), st.sampled_from([0, 8]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_python_packs_is_read(files: dict[str, bytes], method: int, as_stream: bool) -> None:
    assert read(pack(files, method, as_stream=as_stream)) == files


def test_sizes_behind_the_data_must_be_those_of_the_directory() -> None:
    data = pack({"a": b"hello"}, 8, as_stream=True)
    at = data.index(b"PK\7\x08")
    with pytest.raises(PackError, match="two headers that differ"):
        read(data[: at + 4] + b"\1" + data[at + 5 :])


def test_members_that_share_bytes_are_refused() -> None:
    data = pack({"a": b"hello", "b": b"hello"}, 0)
    start = data.rindex(b"PK\1\2")
    with pytest.raises(PackError, match="outside its files"):
        read(data[: start + 42] + bytes(4) + data[start + 46 :])
