"""A workspace that is watched night by night, while catalogue, mail, web and machine have their bad days."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from benchmarks.expected_messages import Expected
from benchmarks.measure import ROOT
from benchmarks.memory import read_peak
from benchmarks.receivers import KINDS, REFUSE, Hook, Mailbox, Outage, find_trouble, plan_outages
from benchmarks.world import Scope, Tile, World, make_tiles, write_areas
from minewatch.alerts.read import read_alerts
from minewatch.alerts.reviews import Review, review_alert
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.delivery import retry
from minewatch.operations.notify.outbox import DEAD, list_messages
from minewatch.operations.prune import PruneOptions, prune
from minewatch.operations.watch import Cycle, watch_once
from minewatch.settings.document import init_workspace

SECRET = "one-secret-of-a-simulated-year"  # noqa: S105 - of a server on this machine that lives for one run
UNSEEN_DAYS = 12
QUIET = 10
"""Last nights, on which nothing fails, so that what waits is delivered."""

HOUR = dt.time(3, 5)
"""Of the nightly pass, UTC."""

SETTINGS = """
[watch]
jitter_minutes = 0

[schedules.nightly]
areas = {nightly}
cron = "30 2 * * *"
priority = 1

[schedules.weekly]
areas = {weekly}
cron = "0 3 * * 1"
priority = 2

[notify.office]
webhook_variable = "YEAR_HOOK"
secret_variable = "YEAR_SECRET"
areas = ["*"]
grown_ha = 0
unseen_days = {unseen}

[notify.rangers]
to_variable = "YEAR_RANGERS"
areas = ["t0-n*"]
events = ["confirmed", "grown", "closed", "scan-failed"]
smallest_ha = 0.3
grown_ha = 0.5
unseen_days = {unseen}

[notify.ministry]
to_variable = "YEAR_MINISTRY"
areas = ["*"]
events = ["confirmed"]
coordinates = false
when = "weekly"
language = "es"
unseen_days = {unseen}
"""


@dataclass
class Night:
    """What one night took, and what lay on the disk after it."""

    date: str
    seconds: float = 0.0
    """Of the pass with its scans; nan on nights without."""
    cpu: float = 0.0
    """Seconds of the processor in that time, of all threads: what other programs do meanwhile does not count."""
    wakes: int = 0
    """Passes of the day that only sent again."""
    wake_seconds: float = 0.0
    memory: int = 0
    """Most bytes of the process during the pass."""
    disk: dict[str, int] = field(default_factory=dict)
    """Bytes of each part of output."""
    items: int = 0
    """Items in the catalogue."""
    trouble: str = ""


@dataclass(frozen=True)
class Troubles:
    """What goes wrong, and when."""

    catalogue: list[Outage]
    hook: list[Outage]
    mail: list[Outage]
    machine: list[Outage]
    kills: dict[dt.date, float]
    """Night to the seconds after which the process is killed."""


def plan_troubles(scope: Scope) -> Troubles:
    """Draw what goes wrong; the hook is away once for four days, longer than messages are tried."""
    random = np.random.default_rng([scope.seed, 99])
    first = dt.datetime.combine(scope.start + dt.timedelta(days=1), dt.time(), dt.UTC)
    last = dt.datetime.combine(scope.last - dt.timedelta(days=min(QUIET, scope.nights // 3)), dt.time(), dt.UTC)
    dense = min(1.0, scope.nights / 120)  # a short run has as many of each kind
    hook = plan_outages(random, first, last, KINDS, 6 * dense, 40)
    long = Outage(first + (last - first) * 0.55, first + (last - first) * 0.55 + dt.timedelta(days=4), REFUSE)
    if scope.nights > 90:
        hook = [one for one in hook if one.end < long.start or one.start > long.end] + [long]
    nights = [scope.start + dt.timedelta(days=n) for n in range(2, (last.date() - scope.start).days)]
    killed = random.choice(len(nights), max(2, scope.nights // 24), replace=False)
    return Troubles(
        plan_outages(random, first, last, ("gone", "cut"), 18 * dense, 60),
        hook,
        plan_outages(random, first, last, KINDS, 8 * dense, 40),
        plan_outages(random, first, last, ("down",), 30 * dense, 80),
        {nights[int(n)]: float(random.uniform(0.0, 2.5)) for n in sorted(killed)},
    )


class Year:
    """A workspace that is watched."""

    def __init__(self, folder: Path, scope: Scope, cache: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.scope, self.tiles = folder, scope, make_tiles(scope, cache)
        self.world = World(folder / "catalogue", scope, self.tiles)
        self.workspace = init_workspace(folder / "workspace", source=str(self.world.catalog))
        self.names = write_areas(self.workspace, scope, self.tiles)
        self.troubles, self.expected = plan_troubles(scope), Expected(UNSEEN_DAYS)
        self.nights: list[Night] = []
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._random = np.random.default_rng([scope.seed, 5])
        self._truth = [(tile, _read_mines(tile)) for tile in self.tiles]
        self._write_settings()

    def _write_settings(self) -> None:
        fifth = max(1, len(self.names) // 5)
        groups = {"nightly": self.names[:-fifth], "weekly": self.names[-fifth:]}
        text = SETTINGS.format(**{name: json.dumps(group) for name, group in groups.items()}, unseen=UNSEEN_DAYS)
        path = self.workspace.settings
        path.write_text(path.read_text("utf-8") + text, "utf-8")

    def live(self, mailbox: Mailbox, hook: Hook) -> None:
        """Live through all nights."""
        for number in range(self.scope.nights):
            day = self.scope.start + dt.timedelta(days=number)
            self._set_hour = lambda now: self._bring_about(now, mailbox, hook)
            night = self._live_night(day)
            night.disk = measure_disk(self.workspace)
            self.nights.append(night)
            with (self.folder / "nights.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(night)) + "\n")
            if number % 10 == 0 or number == self.scope.nights - 1:
                line = f"{night.seconds:5.2f} s, {night.memory / 1e6:4.0f} MB, {sum(night.disk.values()) / 1e6:6.1f} MB on disk"
                print(f"{day}: {line}, {len(self.expected.messages)} facts, {night.wakes} wakes {night.trouble}", flush=True)

    def _bring_about(self, now: dt.datetime, mailbox: Mailbox, hook: Hook) -> None:
        mailbox.set_trouble(find_trouble(self.troubles.mail, now))
        hook.set_trouble(find_trouble(self.troubles.hook, now))

    def _live_night(self, day: dt.date) -> Night:
        now = dt.datetime.combine(day, HOUR, dt.UTC)
        night = Night(day.isoformat(), float("nan"))
        if find_trouble(self.troubles.machine, now):
            night.trouble = "down"
            self.counts["nights without a run"] += 1
            return night
        trouble = find_trouble(self.troubles.catalogue, now)
        self.counts["nights without a catalogue"] += bool(trouble)
        self.world.show(now, trouble)
        night.items, night.trouble = self.world.count(now), trouble
        if day in self.troubles.kills:
            night.trouble += " killed"
            self._kill(now, self.troubles.kills[day])
            if self._random.random() < 0.5:
                return night
            now += dt.timedelta(minutes=25)
        reset_peak()
        begun, used = time.perf_counter(), time.process_time()
        cycle = self._run_cycle(now)
        night.seconds, night.cpu = time.perf_counter() - begun, time.process_time() - used
        night.memory = read_peak()
        self._check_cycle(cycle, trouble)
        self._wake(cycle, night, day)
        if self._random.random() < 0.3:
            self._review()
        if day.day == 1:
            self.counts["leftover bytes pruned"] += sum(a.leftover_bytes for a in prune(self.workspace, PruneOptions(1.0)).areas)
        return night

    def _run_cycle(self, now: dt.datetime) -> Cycle:
        self._set_hour(now)
        self.counts["passes"] += 1
        cycle = watch_once(self.workspace, now)
        self.expected.look(self.workspace, now)
        return cycle

    def _check_cycle(self, cycle: Cycle, trouble: str) -> None:
        """Areas must fail where the catalogue does, and nowhere else."""
        scanned = {aoi for one in cycle.runs for aoi in one.areas}
        self.counts["area scans"] += len(scanned)
        if set(cycle.failed) != (scanned if trouble else set()) or cycle.busy or cycle.faults:
            self.faults.append(
                f"{cycle.now}: trouble {trouble!r}, failed {sorted(cycle.failed)}, {cycle.busy} {list(cycle.faults)}"
            )

    def _wake(self, cycle: Cycle, night: Night, day: dt.date) -> None:
        """Wake up as the service does, whenever a message is to be tried again, until the next night."""
        begun, until = time.perf_counter(), dt.datetime.combine(day + dt.timedelta(days=1), dt.time(2, 0), dt.UTC)
        while cycle.next_try and cycle.next_try < until and not find_trouble(self.troubles.machine, cycle.next_try):
            night.wakes += 1
            cycle = self._run_cycle(max(cycle.now, cycle.next_try) + dt.timedelta(seconds=1))
        night.wake_seconds = time.perf_counter() - begun
        self.counts["wakes"] += night.wakes
        dead = list_messages(self.workspace.outbox, DEAD)[0]
        if dead and not find_trouble(self.troubles.hook, cycle.now):
            self.counts["dead letters, sent again by hand"] += retry(self.workspace, [one.message_id for one in dead])

    def _kill(self, now: dt.datetime, after: float) -> None:
        """Run the pass in a process of its own, and kill it in the middle of its work."""
        self._set_hour(now)
        command = [sys.executable, "-m", "benchmarks.night", str(self.workspace.root), now.isoformat()]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout
            process.stdout.readline()
            found = _size(self.workspace.outbox / "events.jsonl")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                self.counts["kills"] += 1
        if _size(self.workspace.outbox / "events.jsonl") > found:
            self.expected.look(self.workspace, now)

    def _review(self) -> None:
        """Let a person who was there say what an alert is."""
        alerts = read_alerts(self.workspace.alerts)
        fresh = alerts[(alerts["status"] == "confirmed") & (alerts["review"] == "")]
        if not len(fresh):
            return
        row = fresh.iloc[int(self._random.integers(len(fresh)))]
        review = (
            Review("confirmed", "R. Quispe")
            if self._is_mine(row.geometry)
            else Review("dismissed", "R. Quispe", reason="no mine")
        )
        review_alert(self.workspace.alerts, self.workspace.decisions, row["alert_id"], review)
        self.counts[f"reviews: {review.review}"] += 1

    def _is_mine(self, geometry: Any) -> bool:
        return any(mines.intersects(geometry).any() for _, mines in self._truth)


def _read_mines(tile: Tile) -> Any:
    sites = gpd.read_file(tile.truth, layer="sites")
    ignored = gpd.read_file(tile.truth, layer="ignore")
    mines = [sites[sites["kind"] == "mining"].geometry, ignored[ignored["kind"].str.startswith("mine")].geometry]
    return pd.concat(mines).to_crs(4326)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def reset_peak() -> None:
    """Let the kernel's mark of the most memory begin anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure_disk(workspace: Workspace) -> dict[str, int]:
    """Return the bytes of each part of the output."""
    parts: dict[str, int] = {}
    for entry in os.scandir(workspace.output):
        parts[entry.name] = sum(size for size in _list_sizes(entry.path)) if entry.is_dir() else entry.stat().st_size
    return parts


def _list_sizes(folder: str) -> Iterator[int]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _list_sizes(entry.path)
        else:
            yield entry.stat(follow_symlinks=False).st_size
