"""A year of nights in fast motion: every night is scanned, much goes wrong, and at the end all must be as if nothing had.

Run it with ``make year``.  Nobody sleeps: the watch is told what time it is.  Catalogue, mail, web and machine have outages,
some nights the process is killed.  At the end the table must equal that of one scan over everything, the alerts the truth of
the simulation, and what each recipient heard must be what the table says, each fact once at least and none invented.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.measure import ROOT
from benchmarks.page import describe_machine, describe_versions
from benchmarks.receivers import serve
from benchmarks.watched_year import SECRET, Night, Year
from benchmarks.world import Scope
from benchmarks.year_check import Verdict, check_year
from minewatch.core.files import publishing

PARTS = {
    "archive": "archive: the looks",
    "runs": "run records",
    "outbox": "outbox",
    "alerts.gpkg": "alerts table",
    "evidence": "evidence",
    "changes": "change maps",
    "checkpoints": "checkpoints",
    "rounds.jsonl": "rounds",
}
"""Of the output, with what the page calls them; the rest is one more."""

COLOURS = ("#1f5fa8", "#b5651d", "#2e8b57", "#8b2e5f", "#c9a227", "#6b6b6b", "#5fa8a0", "#222222", "#bbbbbb")


def run_year(scope: Scope, cache: Path, folder: Path) -> tuple[Year, Verdict]:
    """Live through a year and judge it."""
    with serve(SECRET) as (mailbox, hook):
        os.environ |= {
            "YEAR_HOOK": hook.address,
            "YEAR_SECRET": SECRET,
            "YEAR_RANGERS": mailbox.address("rangers@example.org"),
            "YEAR_MINISTRY": mailbox.address("ministry@example.org"),
        }
        year = Year(folder, scope, cache)
        year.live(mailbox, hook)
        heard = (
            year.expected.messages,
            hook.events,
            hook.unsigned,
            hook.changed,
            hook.tries,
            mailbox.mails,
            year.counts,
            year.faults,
        )
        (folder / "heard.pickle").write_bytes(pickle.dumps(heard))
        verdict = check_year(year, mailbox, hook, folder)
    verdict.facts |= {"tries at the webhook": hook.tries, "late scenes": year.world.late, "scenes redone": year.world.redone}
    return year, verdict


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = """# A year in fast motion, as measured

Written by `make year` (`python -m benchmarks.year --nights {nights} --areas {areas} --seed {seed}`), which took {minutes:.0f}
minutes. {areas} areas of {side} km² side by side in a simulated landscape, with three years of history, are watched for {nights}
nights: each night a pass of `minewatch watch --once` with the time given, no real waiting; a fifth of the areas is scanned on
Mondays only. One recipient gets signed JSON about everything, one mail at once about some areas, one a weekly digest without
places. During the day the service wakes up whenever a message is to be tried again. On the first of each month the archive is
pruned.

## What went wrong

| | |
|---|---|
{troubles}

## What came of it

| | |
|---|---|
{results}

"As one scan" means: a new workspace with the same areas and decisions, scanned once on the last day, has the same alerts with
the same ids, dates, areas and outlines, and the history of each alert leads from its first line to its status. "Told" compares
what the recipients' servers took with what the table said after each pass, worked out by other code than the watch's own
(`benchmarks/expected.py`).

{faults}

## Time, memory and disk

![Seconds, memory and disk of each night](images/year.png)

| | nights {early} | nights {late} |
|---|---|---|
{flat}

Time counts a night's pass with its scans, its messages among them; nights whose catalogue was gone, or on which the process was
killed, are left out. Memory is the most the process held in a pass. The window of an area begins years before its
`monitor_from` and never ends, so a night lists and knows more looks at the end of the year than at its beginning.

Disk, megabytes:

| | after the first night | at the end | for each night |
|---|---|---|---|
{disk}

Measured on {date} with {versions} on {machine}.
"""


WELL = "Nothing is otherwise than it must be."


def write_page(docs: Path, scope: Scope, year: Year, verdict: Verdict, seconds: float) -> None:
    """Write the page and its picture."""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    draw_nights(docs / "images" / "year.png", year.nights)
    third = max(1, len(year.nights) // 6)
    spans = (1, third), (len(year.nights) - third, len(year.nights))
    text = PAGE.format(
        nights=scope.nights,
        areas=scope.areas,
        seed=scope.seed,
        side=f"{(scope.side / 100) ** 2:.1f}",
        minutes=seconds / 60,
        troubles=_tabulate(list_troubles(year, verdict)),
        results=_tabulate(list_results(verdict)),
        faults="\n".join(f"- NOT AS IT MUST BE: {fault[:300]}" for fault in verdict.faults)
        or "Nothing is otherwise than it must be.",
        early=f"{spans[0][0] + 1}–{spans[0][1]}",
        late=f"{spans[1][0] + 1}–{spans[1][1]}",
        flat=_tabulate(compare_spans(year.nights, *spans)),
        disk=_tabulate(list_disk(year.nights)),
        date=dt.datetime.now(dt.UTC).date(),
        versions=describe_versions(),
        machine=describe_machine(),
    )
    with publishing(docs / "endurance.md") as temporary:
        temporary.write_text(text, "utf-8")


def _tabulate(rows: Sequence[Sequence[object]]) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def list_troubles(year: Year, verdict: Verdict) -> list[tuple[str, object]]:
    """Return what went wrong, in numbers."""
    facts, troubles = verdict.facts, year.troubles
    return [
        ("nights without a run, the machine was off", facts.get("nights without a run", 0)),
        ("nights with the catalogue gone or cut off in the middle", facts.get("nights without a catalogue", 0)),
        ("passes killed (`kill -9`) in the middle of their work", facts.get("kills", 0)),
        ("outages of the web server: no connection, 500, 429, stalled, dropped after reading", len(troubles.hook)),
        ("outages of the mail server: no connection, 451, 421, stalled, dropped after reading", len(troubles.mail)),
        ("scenes published 1 to 12 days late", facts["late scenes"]),
        ("scenes published again with a newer processing", facts["scenes redone"]),
        ("decisions of a reviewer in between", sum(n for name, n in facts.items() if name.startswith("reviews"))),
    ]


def list_results(verdict: Verdict) -> list[tuple[str, object]]:
    """Return what came of it."""
    facts, scores = verdict.facts, verdict.scores
    hit = sum(site.hit for site in scores.sites)
    large = [site for site in scores.sites if site.area_ha >= 0.5]
    return [
        ("scans of an area", facts["area scans"]),
        ("alerts in the table, as one scan", facts["alerts"]),
        ("mines found", f"{hit} of {len(scores.sites)}; from 0.5 ha on {sum(site.hit for site in large)} of {len(large)}"),
        ("false alerts; on ground that is bare for good, which is not judged", f"{scores.false_alarms}; {scores.left_out}"),
        ("facts that had to be told", facts["facts"]),
        ("facts never told, by recipient", 0 if not verdict.faults else "see below"),
        ("facts told that were none", 0 if not verdict.faults else "see below"),
        ("events that the web server took; each counted once", f"{facts['events to the webhook']}; {facts['events, each once']}"),
        ("mails that the mail server took; each counted once", f"{facts['mails']}; {facts['mails, each once']}"),
        ("tries at the web server", facts["tries at the webhook"]),
        (
            "messages that an outage of four days made dead letters, sent again by hand",
            facts.get("dead letters, sent again by hand", 0),
        ),
        ("dead letters at the end", facts["dead letters at the end"]),
    ]


def compare_spans(nights: Sequence[Night], early: tuple[int, int], late: tuple[int, int]) -> list[tuple[str, str, str]]:
    """Compare the first weeks with the last ones."""
    measures: dict[str, tuple[Callable[[Night], float], str]] = {
        "seconds of a night's pass, median": (lambda night: night.seconds, "{:.2f}"),
        "seconds of the processor, median": (lambda night: night.cpu, "{:.2f}"),
        "most memory, MB, median": (lambda night: night.memory / 1e6, "{:.0f}"),
        "items in the catalogue": (lambda night: float(night.items), "{:.0f}"),
    }
    rows = []
    for name, (measure, form) in measures.items():
        values = [statistics.median(measure(n) for n in nights[slice(*span)] if _counts(n)) for span in (early, late)]
        rows.append((name, *(form.format(value) for value in values)))
    return rows


def _counts(night: Night) -> bool:
    return not night.trouble and night.seconds == night.seconds


def list_disk(nights: Sequence[Night]) -> list[tuple[str, str, str, str]]:
    """Return what each part of the output takes."""
    days, rows = len(nights) - 1, []
    for name, (first, last) in _split_disk(nights[0], nights[-1]).items():
        rows.append((name, f"{first / 1e6:.2f}", f"{last / 1e6:.2f}", f"{(last - first) / 1e6 / max(1, days):.3f}"))
    return rows


def _split_disk(*nights: Night) -> dict[str, list[int]]:
    parts = {title: [night.disk.get(name, 0) for night in nights] for name, title in PARTS.items()}
    return parts | {"the rest": [sum(n for name, n in night.disk.items() if name not in PARTS) for night in nights]}


def draw_nights(path: Path, nights: Sequence[Night]) -> None:
    """Draw seconds, memory and disk of each night."""
    figure = Figure(figsize=(9, 7.2), dpi=100, layout="constrained")
    time_axes, memory_axes, disk_axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 3))
    days = np.array([np.datetime64(night.date) for night in nights])
    good = np.array([_counts(night) for night in nights])
    seconds, memory = np.array([night.seconds for night in nights]), np.array([night.memory / 1e6 for night in nights])
    for axes, values in ((time_axes, seconds), (memory_axes, memory)):
        axes.plot(days[good], values[good], ".", color=COLOURS[0], markersize=3.5, label="a night")
        bad = ~good & (values > 0)
        axes.plot(days[bad], values[bad], "x", color=COLOURS[1], markersize=4, label="a night with the catalogue away, or a kill")
        axes.grid(axis="y", alpha=0.3)
    top = np.nanquantile(seconds[1:], 0.995)
    time_axes.set_ylim(0, 1.4 * top)
    time_axes.set_title(f"seconds of a pass (the first, which reads three years of history: {seconds[0]:.0f})", fontsize=9)
    time_axes.legend(fontsize=8, loc="upper left", frameon=False, ncols=2)
    memory_axes.set_ylim(0, 1.3 * max(memory.max(), 1))
    memory_axes.set_title("most memory of a pass, MB", fontsize=9)
    split = _split_disk(*nights)
    disk_axes.stackplot(days, *(np.array(values) / 1e6 for values in split.values()), labels=list(split), colors=COLOURS)
    disk_axes.legend(fontsize=8, loc="upper left", frameon=False, ncols=3)
    disk_axes.set_ylim(0, 1.35 * max(sum(night.disk.values()) for night in nights) / 1e6)
    disk_axes.set_title("disk, MB", fontsize=9)
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    path.chmod(0o644)


# --- the command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Live and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--areas", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps scenes between runs")
    parser.add_argument("--docs", type=Path, help="where endurance.md goes [default: docs, for a whole year only]")
    chosen = parser.parse_args(arguments)
    cache, begun = chosen.cache.resolve(), time.perf_counter()
    scope = Scope(chosen.nights, chosen.areas, seed=chosen.seed)
    year, verdict = run_year(scope, cache, cache / "year")
    seconds = time.perf_counter() - begun
    for name, value in {**verdict.facts, **dict(list_results(verdict))}.items():
        print(f"{name}: {value}")
    docs = chosen.docs or (ROOT / "docs" if scope.nights >= 365 else None)
    if docs:
        write_page(docs, scope, year, verdict, seconds)
    for fault in verdict.faults:
        print("FAULT", fault[:1500])
    print(f"{seconds:.0f} s; {len(verdict.faults)} faults")
    if verdict.faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
