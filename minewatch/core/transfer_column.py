"""A column of progress bars: the bytes that arrived, how many there will be, and how fast they come."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from minewatch.core.traffic import format_bytes, format_speed


class TransferColumn(ProgressColumn):
    """Shows ``34 MB/~120 MB 1.9 Mbit/s`` for tasks that fetch, by their field ``received``; else nothing."""

    max_refresh = 0.5

    def get_table_column(self) -> Column:
        """Return a column that is never wrapped: a line of 80 characters holds it."""
        return Column(no_wrap=True)

    def render(self, task: Task) -> Text:
        """Return the column of a task."""
        count = task.fields.get("received")
        size = count() if count else 0
        if not size:
            return Text("")
        shown = format_bytes(size)
        if task.total and task.completed < task.total:
            expected = format_bytes(size * task.total / task.completed) if task.completed else ""
            shown = f"{shown}/~{expected}" if expected else shown
        return Text(f"{shown} {format_speed(size / task.elapsed)}" if task.elapsed else shown)
