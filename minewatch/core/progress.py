"""Progress bars and notes on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from minewatch.core.logging import is_log_open, log_event
from minewatch.core.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Reporter:
    """Shows progress bars and notes; the default shows nothing."""

    bars: Progress | None = None
    """Where bars are drawn, or None."""

    note: Callable[[str], None] = field(default=lambda _text: None)
    """Shows one line."""

    def track(
        self, items: Iterable[T], title: str, total: int | None = None, received: Callable[[], int] | None = None
    ) -> Iterator[T]:
        """Yield the items, advancing a bar; ``received`` returns the bytes that arrived for them, which are shown too."""
        count = total if total is not None else len(items) if isinstance(items, Sized) else None
        if self.bars is None or count == 0:
            yield from items
            return
        task = self.bars.add_task(title, total=count, received=received)
        for item in items:
            yield item
            self.bars.advance(task)
        arrived = received() if received else 0  # what comes later belongs to another bar
        self.bars.update(task, total=self.bars.tasks[task].completed, received=received and (lambda: arrived))

    def steps(self, title: str) -> Callable[[int, int], None]:
        """Return a function that moves a bar: it takes the steps done and the steps in all."""
        bars = self.bars
        if bars is None:
            return lambda _done, _total: None
        task = bars.add_task(title, total=None)
        return lambda done, total: bars.update(task, completed=done, total=total)


@contextlib.contextmanager
def reporting(*, with_bars: bool = True) -> Iterator[Reporter]:
    """Show notes and, on request, bars on stderr for the duration of a block; a structured log gets the notes only."""
    if is_log_open():
        yield Reporter(None, lambda text: log_event("note", text=text))
        return
    # Loaded only here, since many modules name a Reporter, and most of their callers draw nothing.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from minewatch.core.transfer_column import TransferColumn  # noqa: PLC0415

    console = Console(stderr=True, soft_wrap=not with_bars)

    def note(text: str) -> None:
        console.print(printable(text), markup=False, highlight=False)

    if not with_bars:
        yield Reporter(None, note)
        return
    title = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), title, BarColumn(8), MofNCompleteColumn(), TransferColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        yield Reporter(bars, note)
