"""Files of arrays: what is damaged anywhere is told, never read as something else."""

from __future__ import annotations

import numpy as np
import pytest

from minewatch.detection.array_file import MALFORMED, ArrayFile, pack_arrays

PIXELS = np.arange(40).reshape(5, 8)
FILE = pack_arrays({"watched": 9129, "status": {"1": 841}}, {"pixels": PIXELS, "none": np.empty(0, np.int16)})


def read_all(data: bytes) -> list[bytes]:
    file = ArrayFile(data)
    return [file.read(name).tobytes() for name in ("pixels", "none")]


def test_head_and_arrays_come_back() -> None:
    file = ArrayFile(FILE)
    assert (file.head["watched"], file.head["status"]) == (9129, {"1": 841})
    assert (file.read("pixels") == PIXELS).all()
    assert file.read("none").dtype == np.int16


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_that_is_wrong_gives_another_content(bit: int) -> None:
    whole = read_all(FILE)
    for place in range(len(FILE)):
        spoilt = bytearray(FILE)
        spoilt[place] ^= 1 << bit
        try:
            read = read_all(bytes(spoilt))
        except MALFORMED:
            continue
        assert read == whole
        assert ArrayFile(bytes(spoilt)).head == ArrayFile(FILE).head


@pytest.mark.parametrize("length", range(0, len(FILE), 7))
def test_a_file_that_was_cut_off_is_malformed(length: int) -> None:
    with pytest.raises(MALFORMED):
        read_all(FILE[:length])
