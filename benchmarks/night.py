"""One pass of the watch at a given time, in a process of its own, so that it can be killed: ``benchmarks.night FOLDER TIME``."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from minewatch.core.workspace import Workspace
from minewatch.operations.watch import watch_once


def main() -> None:
    """Tell that the work begins, and work."""
    workspace, now = Workspace(Path(sys.argv[1])), dt.datetime.fromisoformat(sys.argv[2])
    print("begun", flush=True)
    watch_once(workspace, now)


if __name__ == "__main__":
    main()
