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
from benchmarks.results import Row
from minewatch.core.files import publish_json, publishing

COLD = """The first scan of an area, into an empty workspace. 30 Sentinel-2 scenes (24 of one year as the baseline, 6 of two
months that are watched) lie on the disk as files with Earth Search's layout. The *decode limit* is the time that GDAL alone
takes to unpack the blocks that are needed, on the same two threads, and to do nothing with them. Blocks wholly below cloud are
not needed. There is about one mine on four square kilometres; it is found when confirmed alerts cover 30 % of it. A false
alarm is a confirmed alert elsewhere. Where odc-stac is installed, the usual way is measured too: load the same scenes with
odc-stac and compare the medians of NDVI and BSI before and after with xarray. That gives one picture of change, and no alerts,
dates or history."""

WARM = """What is read once stays in the workspace's archive. These are scans of a long series when all but one scene is there:
the newest, or one from the middle of the watched ones that comes late. Their rasters and alerts must equal those of a scan
that finds everything at once."""

LINES = """The same scenes from a server that waits 30 ms before it answers each request, as a distant store does, against the
same server without the wait. Each band of a scene is one file, and its header has to be asked for too."""

AREAS = """One scan of many small areas that lie anywhere, also over each other, against the time that GDAL takes to unpack what
each of them needs, one area after another, on two threads."""

CLUSTER = """The same scan on a Dask cluster of two processes, and on the two threads of one process. Results must be equal."""

KERNEL = """Detection alone, on looks that are in memory: a look is one pixel on one date. The peers do other work: nrt's MoSum
follows one index and pyxccd's S-CCD four bands, and neither knows patches or alerts. Their pieces of the series are smaller,
since they take longer. nrt runs in one process, pyxccd in two."""

UPDATE = """The update of the alerts table at the end of a scan, where people have decided much: once with the ids of the scan
before, once with each alert renamed and moved; in many areas, and in one. Plain SQL writes status and outline of the same
rows, in one transaction too, and does nothing else."""

TEXTS = {
    "cold": ("Cold scans", COLD),
    "warm": ("Warm scans", WARM),
    "lines": ("Slow lines", LINES),
    "areas": ("Many areas", AREAS),
    "cluster": ("A cluster", CLUSTER),
    "kernel": ("The monitor", KERNEL),
    "update": ("The alerts table", UPDATE),
}
"""Title and meaning of each benchmark."""

PACKAGES = ("numpy", "numba", "rasterio", "dask", "odc-stac", "xarray", "nrt", "pyxccd")

COLOURS = {True: "#2e8b57", False: "#b5651d", None: "#1f5fa8"}
"""Of bars: goal met, goal missed, no goal."""


@dataclass(frozen=True)
class Part:
    """One benchmark's last results."""

    date: str
    machine: str
    versions: str
    rows: tuple[Row, ...]


def store_rows(path: Path, results: Mapping[str, Sequence[Row]]) -> dict[str, Part]:
    """Lay new results over the stored ones; gives all, in the page's order."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for name, rows in results.items():
        known[name] = dataclasses.asdict(Part(today, describe_machine(), describe_versions(), tuple(rows)))
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
that files unpack as slowly as real ones. Time is counted once the program has started and is compiled; memory is counted from
the start, over all its processes, as the operating system tells it.

{summary}

{parts}
## How it was measured

{places}
- Two threads or two processes throughout. Decoding and cold scans run in turn, and of each the quickest counts: of two up to
  4096 × 4096 pixels, of one beyond.
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
        draw_part(folder / picture, part)
        sections.append(f"## {title}\n\n{text}\n\n{make_table(part.rows)}\n\n![{title}: ratios and goals]({picture})\n")
    places = [f"- {', '.join(names)}: {place}" for place, names in group_parts(parts).items()]
    text = PAGE.format(summary=summarise(parts), parts="\n".join(sections), places="\n".join(places))
    with publishing(folder / "speed.md") as temporary:
        temporary.write_text(text, "utf-8")
    (folder / "speed.md").chmod(0o644)


def group_parts(parts: Mapping[str, Part]) -> dict[str, list[str]]:
    """Return each date, code and machine with the titles of what was measured there."""
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        groups.setdefault(f"{part.date}, {part.versions}\n  on {part.machine}.", []).append(TEXTS[name][0])
    return groups


def summarise(parts: Mapping[str, Part]) -> str:
    """Say which goals were missed, in so many words."""
    judged = [row for part in parts.values() for row in part.rows if row.met is not None]
    missed = [row for row in judged if not row.met]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} goals are met." + (" Missed:" if missed else "")]
    if missed:
        lines.append("")
    lines += [f"- {row.name}: {_ratio(row) or _figure(row)}, goal {write_goal(row)}" for row in missed]
    return "\n".join(lines)


def make_table(rows: Iterable[Row]) -> str:
    """Return rows as a table."""
    head = ["| what | figure | ratio | goal | |", "|---|---|---|---|---|"]
    cells = [(row.name, _figure(row), _ratio(row), write_goal(row), _verdict(row)) for row in rows]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in cells])


def _figure(row: Row) -> str:
    return f"{write_number(row.figure)} {row.unit}".strip()


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{write_number(row.ratio)} ({row.against})"


def write_goal(row: Row) -> str:
    """Return the goal of a row, or nothing."""
    return "" if row.goal is None else f"{'≥' if row.at_least else '≤'} {row.goal:g}"


def _verdict(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "**missed**"


def write_number(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw_part(path: Path, part: Part) -> None:
    """Draw the figures that are compared, each with its goal: how far it is from it, 1 = reached."""
    rows = [row for row in part.rows if row.goal is not None]
    figure = Figure(figsize=(9, 0.7 + 0.42 * len(rows)), dpi=100, layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        assert row.goal
        share = row.goal / max(row.judged, 1e-9) if row.at_least else row.judged / row.goal
        axes.barh(place, share, color=COLOURS[row.met], height=0.6)
        label = f"{write_number(row.judged)} (goal {write_goal(row)})"
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
