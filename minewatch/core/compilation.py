"""Compiles functions with numba, and finds a folder in which compiled code is kept between runs.

Compiling takes half a minute.  The folder is that of the environment variable NUMBA_CACHE_DIR, else beside the code, else
``minewatch`` in the user's cache folder (XDG_CACHE_HOME, or ``.cache`` at home).  In containers and under cron none of them may
be writable; then it is a private folder among the temporary files, and where that is not possible nothing is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numba

from minewatch.core.cache_folders import find_temporary_cache, find_user_cache, make_usable

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE = "NUMBA_CACHE_DIR"
"""Environment variable of numba that names the folder."""

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class CompileCache:
    """Where compiled code is kept."""

    folder: Path | None
    """None where it is kept beside the code, or nowhere."""

    is_kept: bool = True
    """False where every run compiles anew."""

    note: str = ""
    """A line for the user on what to set; '' where all is well."""


def find_cache(package: Path = PACKAGE) -> CompileCache:
    """Return where compiled code is kept, making the folder; never fails."""
    stated = os.environ.get(VARIABLE, "")
    if stated and make_usable(Path(stated)):
        return CompileCache(Path(stated))
    if not stated and _is_writable(package):
        return CompileCache(None)
    if not stated and (home := find_user_cache()):
        return CompileCache(home)
    fault = f"{VARIABLE} names {stated}, which cannot be used" if stated else "there is no folder for compiled code"
    what_to_do = f"set {VARIABLE} to a folder that can be written and stays, and scans start half a minute sooner"
    if temporary := find_temporary_cache():
        return CompileCache(temporary, note=f"{fault}; it is kept in {temporary} for now: {what_to_do}")
    return CompileCache(None, is_kept=False, note=f"{fault}, and each run compiles anew: {what_to_do}")


def _is_writable(package: Path) -> bool:
    """True if numba can write beside the code; one room stands for all."""
    folder = package / "detection"
    cache = folder / "__pycache__"
    return os.access(cache if cache.exists() else folder, os.W_OK)


def _set_up() -> CompileCache:
    """Return where compiled code is kept, and tell numba, in this process and in those that it starts."""
    cache = find_cache()
    if cache.folder:
        os.environ[VARIABLE] = vars(numba.config)["CACHE_DIR"] = str(cache.folder)
    return cache


CACHE = _set_up()


def njit(*, cache: bool = False, **options: Any) -> Callable[[F], F]:
    """Compile a function as numba's decorator of this name does; ``cache`` keeps the code where that is possible."""
    decorate: Callable[[F], F] = numba.njit(cache=cache and CACHE.is_kept, **options)
    return decorate
