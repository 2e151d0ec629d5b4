"""Compiles functions with numba, and finds a folder in which compiled code is kept between runs.

Functions that Python calls are kernels, made with :func:`njit`; those that kernels alone call are made with :func:`subroutine`.

Compiling all of them takes about ten seconds of one core.  The folder is that of the environment variable NUMBA_CACHE_DIR,
else beside the code, else ``minewatch`` in the user's cache folder (XDG_CACHE_HOME, or ``.cache`` at home).  In containers and
under cron none of them may be writable; then it is a private folder among the temporary files, and where that is not possible
nothing is kept.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.registry import CPUDispatcher

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
    what_to_do = f"set {VARIABLE} to a folder that can be written and stays, and scans start sooner"
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
    options |= {"no_cfunc_wrapper": True}  # nothing calls them from C

    def decorate(function: F) -> F:
        made: Any = numba.njit(**options)(function)
        if cache and CACHE.is_kept and isinstance(made, CPUDispatcher):
            kept: Any = made
            kept._cache = _TolerantCache(kept.py_func)  # type: ignore[no-untyped-call]  # noqa: SLF001 - as enable_caching does
        return made  # type: ignore[no-any-return]

    return decorate


class _TolerantCache(FunctionCache):
    """Kept code that costs time at worst: what is damaged is compiled anew, and what cannot be kept is used all the same.

    Numba writes its files without waiting for the disk: a power cut may leave them cut off.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001 - whatever noise is unpickled as
            with contextlib.suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


class _CollectorPause(event.Listener):
    """Keeps Python from looking for garbage while a function is compiled, with all that it calls: a sixth of the time.

    Numba holds a lock meanwhile, so there is one thread to count for.
    """

    depth = 0
    was_enabled = False

    def on_start(self, _event: Any) -> None:
        if not self.depth:
            self.was_enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, _event: Any) -> None:
        self.depth -= 1
        if not self.depth and self.was_enabled:
            gc.enable()


event.register("numba:compile", _CollectorPause())  # type: ignore[no-untyped-call]

TESTED = (0, 68)
"""Version of numba whose own classes are changed here; others compile in twice the time."""

DEFAULTS = {name: option.default for name, option in Flags.options.items()}
"""The settings of a function that is compiled."""


def _list_settings(flags: Flags) -> dict[str, Any]:
    """Return all settings, as numba's own does, which calls a function for each of them, a hundred thousand times over."""
    return DEFAULTS | flags._values  # noqa: SLF001 - as its own does


if numba.version_info.short == TESTED:
    setattr(Flags, "values", _list_settings)  # noqa: B010 - a method is no place to assign to, says mypy


def subroutine(function: F) -> F:
    """Compile a function that kernels alone call: as a part of them, which takes half the time; called from Python it is plain.

    It may make no arrays, and division by zero gives infinity or NaN.
    """
    if vars(numba.config)["DISABLE_JIT"]:
        return function
    pipeline = {"pipeline_class": _LinkingCompiler} if numba.version_info.short == TESTED else {}
    options = {"nopython": True, "boundscheck": None, "_nrt": False, "error_model": "numpy"}
    made: Any = _Subroutine(function, locals={}, targetoptions=options, **pipeline)
    return made  # type: ignore[no-any-return]


class _Subroutine(CPUDispatcher):
    """A function that compiled code calls compiled, and Python as it is written."""

    def __call__(self, *arguments: Any) -> Any:
        return self.py_func(*arguments)


class _LinkedLibrary(JITCodeLibrary):
    """The code of a subroutine, as it was written: kernels take it in, and are optimised and made machine code as a whole.

    Numba's own library would do both for each function, and again in every function that calls it, directly or not.
    """

    @property
    def codegen(self) -> _LinkedLibrary:
        """What :meth:`set_env` is called on."""
        return self

    def set_env(self, name: str, env: object) -> None:
        """Do nothing: there is no machine code yet, and subroutines do not handle Python's objects, which need this."""

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002 - numba's signature
        """Return 0: there is no machine code to call."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout  # noqa: SLF001 - as numba's own library does

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True


class _LinkingCompiler(Compiler):
    """Compiles a subroutine, without what would be needed to call it from Python or C."""

    def __init__(
        self,
        typingctx: Any,
        targetctx: Any,
        library: Any,
        args: Any,
        return_type: Any,
        flags: Any,
        locals: Any,  # noqa: A002
    ) -> None:
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        library = library or _LinkedLibrary(targetctx.codegen(), "subroutine")  # type: ignore[no-untyped-call]
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)  # type: ignore[no-untyped-call]
