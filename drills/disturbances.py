"""All disturbances but kill -9: a full disk, no permission, a wrong clock, damaged files, two scans at once, Ctrl-C."""

from __future__ import annotations

import ctypes
import datetime as dt
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from drills.child import FORK, Ending, Job, finish_with, run_command, run_job, start_job
from drills.kills import SCAN, STAGES, Reference, Stage, check_result, read_all, run_undisturbed
from drills.report import Figures
from drills.truth import Difference, compare, inspect
from drills.world import AREA, NOW, World
from minewatch.core.signals import NOTICE
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.event import SCAN_FAILED, UNSEEN
from minewatch.operations.notify.event_store import read_events
from minewatch.operations.run_log import read_runs

DAY = dt.timedelta(days=1)

RECORDS = ("round ",)
"""Prefixes of facts that depend on the order of runs."""


# --- no room, no permission ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disk:
    """A small disk that only one process and its children can see."""

    kilobytes: int
    """Its size while the job is disturbed."""

    read_only: bool = False
    """True if it is read-only then."""


def explain_missing_disks() -> str:
    """Explain why this system does not let a process mount a disk of its own; '' where it does."""
    process = FORK.Process(target=_try_namespace)
    process.start()
    process.join()
    return "" if process.exitcode == 0 else "this system lets no process have disks of its own"


def _try_namespace() -> None:
    _enter_namespace()


def _enter_namespace() -> None:
    """Enter a namespace in which this process is root and may mount disks."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(0x10000000 | 0x00020000):  # CLONE_NEWUSER | CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path(f"/proc/self/{name}").write_text(text, "ascii")


def _mount(place: Path, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {options}")


def run_on_disk(job: Job, disk: Disk, following: Job | None = None) -> tuple[Ending, Ending]:
    """Run a job on a small disk, then the same or another job with enough room; the workspace is copied back."""
    here, there = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_work_on_disk, args=(job, disk, following or job, there))
    process.start()
    there.close()
    answers = here.recv() if here.poll(150) else None
    process.join(10)
    if answers is None:
        process.kill()
        raise RuntimeError("a process on a small disk hangs")
    return finish_with(*answers[0]), finish_with(*answers[1])


def _work_on_disk(job: Job, disk: Disk, following: Job, line: object) -> None:
    _enter_namespace()
    home = job.root.with_name("kept")
    shutil.rmtree(home, ignore_errors=True)
    job.root.rename(home)
    job.root.mkdir()
    used = sum(-(-path.lstat().st_size // 4096) * 4 for path in home.rglob("*") if path.is_file())
    _mount(job.root, 0, f"size={used + disk.kilobytes}k")
    shutil.copytree(home, job.root, dirs_exist_ok=True)
    remount, read_only = 32, 1
    if disk.read_only:
        _mount(job.root, remount | read_only, "")
    first = _run_below(job)
    _mount(job.root, remount, "size=200m")
    second = _run_below(following)
    shutil.rmtree(home)
    shutil.copytree(job.root, home)
    line.send((first, second))  # type: ignore[attr-defined]


def _run_below(job: Job) -> tuple[int, str]:
    """Run a job in a child process; returns its exit code and output."""
    log = job.root.with_name("below.log")
    log.unlink(missing_ok=True)
    number = os.fork()
    if number == 0:
        _run_and_exit(job, log)
    _, status = os.waitpid(number, 0)
    return os.waitstatus_to_exitcode(status), log.read_text("utf-8", "replace")


def _run_and_exit(job: Job, log: Path) -> NoReturn:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.environ.update(job.environment)
    code = 1
    try:
        run_command(job)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001  the traceback is found in the output
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def drill_disks(world: World, rounds: int, seed: int, *, read_only: bool) -> Figures:
    """Run stages on a disk that is full or read-only."""
    figures = Figures("read-only folder" if read_only else "disk full")
    if reason := explain_missing_disks():
        figures.remark = f"not made: {reason}"
        return figures
    stages = [STAGES[name] for name in ("scan", "update", "notify", "report")]
    references: dict[str, Reference] = {}
    for number in range(rounds):
        if number % (len(stages) + 1) == len(stages):
            _limit_night(world, figures, random.Random(f"{seed} disk {number}"), read_only=read_only)
            continue
        stage, chance = stages[number % (len(stages) + 1)], random.Random(f"{seed} disk {number}")
        name = stage.prepared[0]
        if stage.name not in references:
            references[stage.name] = run_undisturbed(world, stage, name)
        room = LARGEST_DISKS[stage.name]
        disk = Disk(400 if read_only else chance.randint(0, room), read_only)
        with world.open_copy(name) as workspace:
            first, second = run_on_disk(stage.make_job(world, workspace), disk)
            _restore_workspace(workspace)
            figures.endings[first.code] += 1
            difference = check_result(world, workspace, references[stage.name], second) + check_output(first)
            figures.add(difference, first.code != 0, second, f"{stage.name}, {disk.kilobytes} kB, exit {first.code}")
    return figures


LARGEST_DISKS = {"scan": 900, "update": 200, "notify": 80, "report": 500, "night": 400}
"""Kilobytes of free space that a stage needs, about."""


def _restore_workspace(workspace: Workspace) -> None:
    """Put the files from the small disk in the place of the workspace."""
    workspace.root.rmdir()
    workspace.root.with_name("kept").rename(workspace.root)


def _limit_night(world: World, figures: Figures, chance: random.Random, *, read_only: bool) -> None:
    """Run a night on a small disk; the next night does what is missing, and reported failures are true."""
    disk = Disk(400 if read_only else chance.randint(0, LARGEST_DISKS["night"]), read_only)
    with world.open_copy("night") as workspace:
        nights = [_make_night(world, workspace, STAGES["night"], when, 0.0) for when in (NOW, NOW + DAY)]
        first, second = run_on_disk(nights[0], disk, nights[1])
        _restore_workspace(workspace)
        figures.endings[first.code] += 1
        has_scanned = any(one.run_id and not one.failed for one in read_runs(workspace) if one.started < NOW + DAY)
        found, told = read_all(world, workspace), find_failure_events(workspace)
        faults = inspect(workspace) + check_output(first)
    expected = _run_nights(world, "night", [(NOW, 0.0), (NOW + DAY, 0.0)][0 if has_scanned else 1 :]).truth
    difference = compare(found, expected)
    lost = tuple(fact for fact in difference.lost if not fact.startswith(RECORDS))
    invented = tuple(fact for fact in difference.invented if not fact.startswith(RECORDS) and not fact.endswith(told))
    moment = f"night, {disk.kilobytes} kB, exit {first.code}"
    figures.add(Difference(lost, invented) + faults, first.code != 0, second, moment)


def find_failure_events(workspace: Workspace) -> tuple[str, ...]:
    """Return the ids of the events about failed scans and unseen areas."""
    return tuple(event.event_id for event in read_events(workspace.outbox).events if event.event in (SCAN_FAILED, UNSEEN))


def drill_limits(world: World, rounds: int, seed: int) -> Figures:
    """Limit the size of files, as a quota does."""
    figures = Figures("files may not grow (ulimit -f)")
    stages = [STAGES[name] for name in ("scan", "update", "notify", "report")]
    references: dict[str, Reference] = {}
    for number in range(rounds):
        stage, chance = stages[number % len(stages)], random.Random(f"{seed} limit {number}")
        name = stage.prepared[0]
        if stage.name not in references:
            references[stage.name] = run_undisturbed(world, stage, name)
        largest = 2 ** chance.randint(6, 17)
        with world.open_copy(name) as workspace:
            job = stage.make_job(world, workspace)
            first = run_job(replace(job, largest=largest))
            second = run_job(job)
            figures.endings[first.code] += 1
            difference = check_result(world, workspace, references[stage.name], second) + check_output(first)
            figures.add(difference, first.code != 0, second, f"{stage.name}, {largest} bytes, exit {first.code}")
    return figures


def check_output(ending: Ending) -> Difference:
    """Check the output of a run that failed: one line of error and no traceback."""
    faults = []
    if "Traceback" in ending.text:
        faults.append(f"a traceback: {ending.text.strip().splitlines()[-1]}")
    if ending.text.count("Error: ") > 1:
        faults.append("more than one line of error")
    return Difference(faults=tuple(faults))


# --- a clock that is wrong -------------------------------------------------------------------------------------------


def drill_clock(world: World, rounds: int, seed: int) -> Figures:
    """Set the clock back for one night; the night after must end like an undisturbed one."""
    figures = Figures("clock set back")
    night, name = STAGES["night"], "night"
    plain = _run_nights(world, name, [(NOW, 0.0), (NOW + DAY, 0.0)])
    for number in range(rounds):
        chance = random.Random(f"{seed} clock {number}")
        back = dt.timedelta(seconds=chance.choice([3600, 86_400, 40 * 86_400, 400 * 86_400]) * chance.uniform(0.5, 1))
        nights = [(NOW, 0.0), (NOW - back, -back.total_seconds()), (NOW + DAY, 0.0)]
        with world.open_copy(name) as workspace:
            endings = [run_job(_make_night(world, workspace, night, *when)) for when in nights]
            figures.endings[endings[1].code] += 1
            difference = check_result(world, workspace, plain, endings[-1], ignored=RECORDS) + check_output(endings[1])
            figures.add(difference, 1, endings[-1], f"back by {back}")
    return figures


def _run_nights(world: World, name: str, nights: list[tuple[dt.datetime, float]]) -> Reference:
    with world.open_copy(name) as workspace:
        for when in nights:
            run_job(_make_night(world, workspace, STAGES["night"], *when))
        return Reference(read_all(world, workspace), 0.0, {})


def _make_night(world: World, workspace: Workspace, stage: Stage, now: dt.datetime, shift: float) -> Job:
    return replace(stage.make_job(world, workspace), command=("night", now.isoformat()), shift=shift)


# --- damaged files ---------------------------------------------------------------------------------------------------


def _delete(path: Path, _chance: random.Random) -> None:
    path.unlink()


def _truncate(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def _flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


HARMS: dict[str, Callable[[Path, random.Random], None]] = {"deleted": _delete, "truncated": _truncate, "bit-flipped": _flip}


def drill_damage(world: World, rounds: int, seed: int, harm: str) -> Figures:
    """Damage a raster or an item of the archive; the next scan must fetch it again."""
    figures = Figures(f"archive file {harm}")
    stage = Stage("scan", ("whole",), SCAN, "minewatch.operations.scan:scan")
    reference = run_undisturbed(world, stage, "whole")
    for number in range(rounds):
        chance = random.Random(f"{seed} {harm} {number}")
        with world.open_copy("whole") as workspace:
            kind = (".tif", ".json")[number % 2]
            files = sorted(p for p in Path(str(workspace.archive(AREA))).glob(f"*{kind}") if p.name != "collection.json")
            path = chance.choice(files)
            HARMS[harm](path, chance)
            ending = run_job(stage.make_job(world, workspace))
            figures.endings[ending.code] += 1
            figures.add(check_result(world, workspace, reference, ending), "fetched again" in ending.text, ending, path.name)
    return figures


# --- two at once, and a person who stops it --------------------------------------------------------------------------


def drill_pair(world: World, rounds: int, seed: int) -> Figures:
    """Start two scans of one workspace; one works, the other is refused or follows."""
    figures = Figures("two scans at once")
    stage = STAGES["update"]
    reference = run_undisturbed(world, stage, "update")
    for number in range(rounds):
        chance = random.Random(f"{seed} pair {number}")
        with world.open_copy("update") as workspace:
            job = stage.make_job(world, workspace)
            first = start_job(job)
            wait = chance.uniform(0, 0.6)
            second = start_job(job, "second", wait)
            endings = [first.finish(), second.finish()]
            for ending in endings:
                figures.endings[ending.code] += 1
            busy = [ending for ending in endings if ending.code]
            difference = Difference()
            if not all("another scan is running in" in one.text and one.code == 1 for one in busy) or len(busy) == 2:
                difference += Difference(faults=(f"two scans end with {[one.code for one in endings]}",))
            following = run_job(job)
            figures.add(
                difference + check_result(world, workspace, reference, following), len(busy), following, f"after {wait:.2f} s"
            )
    return figures


def drill_interrupts(world: World, rounds: int, seed: int) -> Figures:
    """Stop commands with Ctrl-C at random moments: they print one line, and the same command goes on from there."""
    figures = Figures("Ctrl-C")
    stages = [STAGES[name] for name in ("scan", "update", "report")]
    references: dict[str, Reference] = {}
    for number in range(rounds):
        stage, chance = stages[number % len(stages)], random.Random(f"{seed} interrupt {number}")
        name = stage.prepared[0]
        if stage.name not in references:
            references[stage.name] = run_undisturbed(world, stage, name)
        after = chance.uniform(0, references[stage.name].seconds)
        with world.open_copy(name) as workspace:
            ending = run_job(stage.make_job(world, workspace), after, signal.SIGINT)
            figures.endings[ending.code] += 1
            following = run_job(stage.make_job(world, workspace))
            difference = (
                check_result(world, workspace, references[stage.name], following) + check_output(ending) + _check_stop(ending)
            )
            figures.add(difference, ending.code == 130, following, f"{stage.name} after {after:.3f} s")
    return figures


def _check_stop(ending: Ending) -> Difference:
    lines = ending.text.strip().splitlines() or [""]
    if ending.code == 130 and lines[-1].strip() != NOTICE:
        return Difference(faults=(f"the last line of a stopped command is {lines[-1]!r}",))
    return Difference() if ending.code in (0, 130) else Difference(faults=(f"a stopped command ends with {ending.code}",))
