"""The page that tells the figures: docs/speed.md and its pictures."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from matplotlib.figure import Figure

import minewatch
from benchmarks.goals import GOALS, Goal
from benchmarks.page_texts import MADE, TEXTS
from benchmarks.results import Row
from minewatch.core.files import publish_json, publishing

PACKAGES = ("numpy", "numba", "rasterio", "dask", "odc-stac", "xarray", "nrt", "pyxccd")

COLOURS = {True: "#2e8b57", False: "#b5651d", None: "#1f5fa8"}
"""Of bars: goal met, goal missed, no goal."""


@dataclass(frozen=True)
class Part:
    """One benchmark's last results."""

    date: str
    machine: str
    versions: str
    seconds: float
    """That the benchmark took in all."""
    rows: tuple[Row, ...]


def store_rows(path: Path, results: Mapping[str, tuple[Sequence[Row], float]]) -> dict[str, Part]:
    """Lay new results, rows and the seconds they took, over the stored ones; gives all, in the page's order."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for name, (rows, seconds) in results.items():
        known[name] = dataclasses.asdict(Part(today, describe_machine(), describe_versions(), seconds, tuple(rows)))
    publish_json(path, known)
    return {name: _parse(known[name]) for name in TEXTS if name in known}


def _parse(document: dict[str, object]) -> Part:
    rows = document.pop("rows")
    assert isinstance(rows, (list, tuple))
    return Part(rows=tuple(Row(**row) for row in rows), **document)  # type: ignore[arg-type]


def describe_machine() -> str:
    """Name the processor, its cores and the memory."""
    text = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = " ".join(model[1].split()) if model else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def describe_versions() -> str:
    """Name the versions of what was measured."""
    package = Path(minewatch.__file__).parent
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))).hexdigest()[:8]
    found = [f"minewatch {minewatch.__version__} (code {code})", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


PAGE = """# Speed, as measured

Written by `make bench`. Times depend on the machine; what counts are ratios of two times of one run. The scenes are synthetic
(`benchmarks/tiles.py`): smooth forest with fields, water and bare ground, clouds, and noise as strong as in real scenes, so
that files unpack as slowly as real ones. Time is counted once the program has started and is compiled, except where starting
and compiling are what is measured. *CPU s* are seconds of processor, user and system together, over all threads and processes
of the program; memory is counted from the start, over all its processes, as the operating system tells it.

## Goals

{summary} Where several figures have the same goal, the worst is shown.

{goals}

{parts}
## How it was measured

{places}
- {took}
- Two threads or two processes throughout. Decoding and cold scans run in turn, and of each the least time and the least CPU
  count: of two up to 4096 × 4096 pixels, of one beyond.
- Scenes of up to 5 GB lie in the system's memory when the clock starts, larger series on the disk, for each program alike.
- A whole Sentinel-2 tile is 10980 × 10980 pixels of 10 m.
"""


def write_page(folder: Path, parts: Mapping[str, Part]) -> None:
    """Write speed.md and a picture of each benchmark."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    sections = []
    for name, part in parts.items():
        title, text = TEXTS[name]
        picture = f"images/speed-{name}.png"
        blocks = [f"## {title}", text, *make_tables(part.rows)]
        if name in MADE:
            blocks.append(MADE[name](part.rows))
        if any(row.goal for row in part.rows):
            draw_part(folder / picture, part)
            blocks.append(f"![{title}: ratios and goals]({picture})")
        sections.append("\n\n".join(filter(None, blocks)) + "\n")
    places = [f"- {', '.join(names)}: {place}" for place, names in group_parts(parts).items()]
    tables = {"summary": summarise(parts), "goals": list_goals(parts), "took": describe_duration(parts)}
    text = PAGE.format(**tables, parts="\n".join(sections), places="\n".join(places))
    with publishing(folder / "speed.md") as temporary:
        temporary.write_text(text, "utf-8")
    (folder / "speed.md").chmod(0o644)


def group_parts(parts: Mapping[str, Part]) -> dict[str, list[str]]:
    """Return each date, code and machine with the titles of what was measured there."""
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        groups.setdefault(f"{part.date}, {part.versions}\n  on {part.machine}.", []).append(TEXTS[name][0])
    return groups


def describe_duration(parts: Mapping[str, Part]) -> str:
    """Say how long the benchmarks took."""
    each = ", ".join(f"{TEXTS[name][0]} {part.seconds / 60:.1f}" for name, part in parts.items())
    total = sum(part.seconds for part in parts.values()) / 60
    return f"All this took {total:.0f} minutes ({each}), with the writing of series that were not there yet."


def summarise(parts: Mapping[str, Part]) -> str:
    """Say how many goals are met, and that some were not measured."""
    worst = find_worst(parts)
    met = sum(bool(row.met) for row in worst.values())
    left = sum(goal.on_page for goal in GOALS.values()) - len(worst)
    return f"{met} of {len(worst)} goals are met." + (f" {left} more were not measured." if left else "")


def find_worst(parts: Mapping[str, Part]) -> dict[str, Row]:
    """Return for each goal that was measured the row that is farthest from it."""
    found: dict[str, Row] = {}
    for row in (row for part in parts.values() for row in part.rows if row.goal in GOALS):
        if row.goal not in found or _share(row) > _share(found[row.goal]):
            found[row.goal] = row
    return found


def list_goals(parts: Mapping[str, Part]) -> str:
    """Return the table of all goals, with what was measured."""
    worst = find_worst(parts)
    lines = ["| goal | limit | measured | where | |", "|---|---|---|---|---|"]
    for name, goal in GOALS.items():
        if not goal.on_page:
            continue
        row = worst.get(name)
        measured = ("not measured", "", "") if row is None else (write_number(row.judged), row.name, _verdict(row))
        lines.append(f"| {' | '.join((goal.text, write_goal(goal), *measured))} |")
    return "\n".join(lines)


def make_tables(rows: Iterable[Row]) -> list[str]:
    """Return rows as tables, each group below its heading."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    blocks: list[str] = []
    for group, members in groups.items():
        blocks += [f"### {group}"] if group else []
        blocks.append(make_table(members))
    return blocks


def make_table(rows: Iterable[Row]) -> str:
    """Return rows as a table."""
    head = ["| what | figure | CPU s | ratio | goal | |", "|---|---|---|---|---|---|"]
    cells = [(row.name, _figure(row), _cpu(row), _ratio(row), write_goal(row.aim), _verdict(row)) for row in rows]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in cells])


def _cpu(row: Row) -> str:
    return "" if row.cpu is None else write_number(row.cpu)


def _figure(row: Row) -> str:
    return f"{write_number(row.figure)} {row.unit}".strip()


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{write_number(row.ratio)} ({row.against})"


def write_goal(goal: Goal | None) -> str:
    """Return a goal's limit, or nothing."""
    return "" if goal is None else f"{'≥' if goal.at_least else '≤'} {goal.limit:g}"


def _share(row: Row) -> float:
    """Return how far a row is from its goal: up to 1 it is met."""
    goal = GOALS[row.goal]
    return goal.limit / max(row.judged, 1e-9) if goal.at_least else row.judged / goal.limit


def _verdict(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "**missed**"


def write_number(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw_part(path: Path, part: Part) -> None:
    """Draw the figures that are compared, each with its goal: how far it is from it, 1 = reached."""
    rows = [row for row in part.rows if row.goal]
    figure = Figure(figsize=(9, 0.7 + 0.42 * len(rows)), dpi=100, layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        share = _share(row)
        axes.barh(place, share, color=COLOURS[row.met], height=0.6)
        label = f"{write_number(row.judged)} (goal {write_goal(row.aim)})"
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.annotate(label, (share, place), (4, 0), textcoords="offset points", va="center", fontsize=8, bbox=paper)
    axes.axvline(1, color="black", linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], fontsize=8)
    axes.set_xlabel("share of the goal used: up to 1 it is met", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(0, max([1.3, *(1.35 * bar.get_width() for bar in axes.patches)]))
    axes.spines[["top", "right"]].set_visible(False)
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    path.chmod(0o644)
