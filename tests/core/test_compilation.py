"""Compiled code: subroutines become a part of kernels, and after a warming a scan compiles nothing."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.compiler import Flags
from numpy.typing import NDArray

from minewatch.core import compilation
from minewatch.core.compilation import njit, subroutine
from minewatch.detection.series import Series
from tests.helpers.dossiers import run
from tests.helpers.places import ROOT
from tests.helpers.tiles import cut_looks, make_random_tile

KERNEL = """
from minewatch.core.compilation import njit

@njit(cache=True)
def double(number):
    return 2 * number

print(double(4))
"""


@pytest.mark.parametrize(("kind", "damage"), [("nbi", b"noise" * 100), ("nbi", b""), ("nbc", b"\x80\x05\x95")])
def test_kept_code_that_is_damaged_is_compiled_and_kept_anew(tmp_path: Path, kind: str, damage: bytes) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(ROOT)}

    def call() -> str:
        command = [sys.executable, str(tmp_path / "kernel.py")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert call() == "8\n"
    (path,) = (tmp_path / "kept").rglob(f"*.{kind}")
    size = path.stat().st_size
    path.write_bytes(damage)
    assert call() == "8\n"
    assert path.stat().st_size == size


def test_kernels_see_one_kind_of_array() -> None:
    tile = cut_looks(make_random_tile(3), slice(2, 9))
    for inside in (tile.inside, np.zeros_like(tile.inside)):
        series = Series.of(replace(tile, inside=inside))
        assert series.clear.flags.c_contiguous
        assert series.codes.flags.c_contiguous


def halve(values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(values.size):
        out[i] = half_of(values[i])


def half_of(value: float) -> float:
    return value / 2


@pytest.mark.parametrize("version", [numba.version_info.short, (0, 0)])
def test_subroutines_are_compiled_with_their_kernel_and_plain_in_python(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "TESTED", version)
    part = subroutine(half_of)
    monkeypatch.setitem(globals(), "half_of", part)
    out = np.empty(3)
    njit(nogil=True)(halve)(np.array([1.0, 2.0, 5.0]), out)
    assert out.tolist() == [0.5, 1.0, 2.5]
    assert part([4.0][0]) == 2.0
    assert len(part.overloads) == 1  # type: ignore[attr-defined]
    assert gc.isenabled(), "garbage is collected again"


def test_settings_of_functions_are_listed_as_numba_lists_them() -> None:
    flags = Flags()
    flags.nrt, flags.error_model = True, "numpy"
    assert flags.values() == {name: getattr(flags, name) for name in flags.options}
    assert flags == flags.copy() != Flags()


def test_nothing_is_compiled_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = compilation.CompileCache(None, is_kept=False, note="there is no folder for compiled code: set NUMBA_CACHE_DIR")
    monkeypatch.setattr("minewatch.operations.doctor.warm.CACHE", nowhere)
    result = run("doctor", "--warm")
    assert result.exit_code == 1
    assert result.stderr.strip().endswith(nowhere.note)
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [("doctor", "la-pampa", "--warm"), ("doctor", "--warm", "--offline"), ("doctor",)])
def test_the_doctor_takes_an_area_or_warm(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "--warm" in result.stderr
