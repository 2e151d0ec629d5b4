"""Writes the figures to docs/drills.md."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minewatch
from drills.report import Figures
from minewatch.core.files import publish_bytes, publish_json

INTRODUCTION = """# Drills: killed, starved and misled on purpose

Written by `make drill`. Each round takes a fresh copy of a small workspace, disturbs one command, and runs the same command
again, undisturbed. Then everything that the workspace says is compared with a run that was never disturbed: the rasters and
the quick look by their bytes, the alerts with all cells and outlines, the table's history, the decisions, the names in the
archive, the evidence with its images, the report, and the events that a real web server and a real mail server got.
Verification must find evidence and custody log as they were written, and no unfinished file may be left.

A process is killed (`kill -9`) at a random moment of its stage, or before, within, halfway through or after a chosen call:
a rename, a flush, a write, a commit, a statement of SQL, a line to a server. In some rounds the next run is killed too.
A kill *hits* when it came between the beginning and the end of the stage; rounds in which it came too late count as rounds only.
"""

STAGES = """
| stage | from | to |
|---|---|---|
| scan | the command begins: search, reading, archive, checkpoints, change map | the alerts table is about to be written |
| update | the alerts table: decisions made in it, one transaction | CSV, evidence, picture and run record are there |
| report | facts, maps, charts | the page is there, and what it told is noted |
| notify | what is new is put into the outbox, for four recipients | all of it is delivered |
| night | one pass of the watch: scan, round, messages | the heartbeat is written |
"""

COLUMNS = """*Lost*: facts that were missing, or were others. *Invented*: facts that should not be there. *Faults*: what does
not verify or cannot be read, a next run that fails, a message that is more than one clean line. *Repeats*: events that a
recipient got once more; they carry the same id, so that it can drop them. Exit codes below 0 are signals; 130 is Ctrl-C,
1 an error told in one line, 3 done but something needs attention."""

HEADER = (
    "drill", "rounds", "hits", "lost", "invented", "faults", "leftovers", "repeats", "exit codes", "next run's exit codes",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The last figures of a drill."""

    date: str
    """Day of the drill."""

    version: str
    """Of minewatch."""

    machine: str
    """Cores, system and Python."""

    command: str
    """The command that was run."""

    figures: Figures
    """The result."""


def make_result(command: str, figures: Figures) -> Result:
    """Return figures with day, machine and command."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return Result(f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", minewatch.__version__, machine, command, figures)


def store_results(path: Path, results: Mapping[str, Result]) -> dict[str, Result]:
    """Store new results over those of earlier runs, and return all."""
    known: dict[str, Result] = {}
    if path.exists():
        known = {name: _parse(value) for name, value in json.loads(path.read_text("utf-8")).items()}
    known |= results
    publish_json(path, {name: _render(result) for name, result in known.items()})
    return known


def _render(result: Result) -> dict[str, Any]:
    facts = {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(result.figures).items()}
    return {**vars(result), "figures": facts}


def _parse(value: dict[str, Any]) -> Result:
    facts = value.pop("figures")
    codes = {name: Counter({int(code): count for code, count in facts.pop(name).items()}) for name in ("endings", "following")}
    return Result(**value, figures=Figures(**facts, **codes))


def render_page(results: Mapping[str, Result], order: list[str]) -> str:
    """Return the page as Markdown."""
    chosen = [results[name] for name in order if name in results]
    kills = sum(one.figures.hits for one in chosen if one.figures.name.startswith("kill"))
    lost = sum(one.figures.lost for one in chosen)
    invented = sum(one.figures.invented for one in chosen)
    rounds = sum(one.figures.rounds for one in chosen)
    summary = f"**{rounds} rounds, {kills} kills within a stage, losses: {lost}, invented: {invented}.**"
    lines = [INTRODUCTION, summary, STAGES, COLUMNS, "", _row(HEADER), _row(["---"] * len(HEADER))]
    lines += [_row(_list_cells(one.figures)) for one in chosen]
    remarks = [f"- {one.figures.name}: {one.figures.remark}" for one in chosen if one.figures.remark]
    troubles = [f"- {one.figures.name}: {line}" for one in chosen for line in one.figures.troubles]
    lines += ["", *remarks] if remarks else []
    lines += ["", "What went wrong:", "", *troubles] if troubles else []
    made = sorted({f"`{one.command}`, {one.date}, minewatch {one.version}, {one.machine}" for one in chosen})
    lines += ["", "Made with:", "", *(f"- {line}" for line in made)]
    return "\n".join(lines) + "\n"


def _row(cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _list_cells(figures: Figures) -> list[object]:
    parts = ("rounds", "hits", "lost", "invented", "faults", "leftovers", "repeats")
    return [figures.name, *(getattr(figures, name) for name in parts), _show(figures.endings), _show(figures.following)]


def _show(codes: Counter[int]) -> str:
    return ", ".join(f"{code} × {count}" for code, count in sorted(codes.items()))


def write_page(path: Path, results: Mapping[str, Result], order: list[str]) -> None:
    """Write the page."""
    publish_bytes(path, render_page(results, order).encode())
    path.chmod(0o644)
