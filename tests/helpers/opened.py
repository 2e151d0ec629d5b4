"""Which files Python opens."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPENED: list[str] = []


@functools.cache
def note_opened_files() -> None:
    """Let Python note every file it opens from now on, whoever asks."""
    sys.addaudithook(lambda event, arguments: OPENED.append(str(arguments[0])) if event == "open" else None)


@contextmanager
def watching_files(folder: Path) -> Iterator[list[str]]:
    """Return the list of the files below ``folder`` that were opened, complete when the block has ended."""
    note_opened_files()
    start, seen = len(OPENED), []
    yield seen
    seen += [name for name in OPENED[start:] if name.startswith(str(folder))]
