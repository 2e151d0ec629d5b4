"""Kill -9: at random moments of each stage, and before, within and after chosen calls, to hit short moments too."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drills.child import Ending, Job, run_job
from drills.kill_points import PHASES, KillPoint
from drills.report import Figures
from drills.truth import Difference, Truth, compare, inspect, read_truth
from drills.world import AREA, NOW, UNTIL, World
from minewatch.core.workspace import Workspace

TWICE = 0.2
"""Share of rounds in which the next run is killed too."""

LONGEST_DELAY = 0.003
"""Longest time from the beginning of a call to a kill within it, seconds."""

MOST_TRIES = 3
"""Rounds per kill at most; some kills come too late."""


@dataclass(frozen=True)
class Stage:
    """A part of the work, and the command that does it."""

    name: str
    """For people."""

    prepared: Sequence[str]
    """Names of prepared workspaces, used in turn."""

    command: tuple[str, ...]
    """As in :class:`Job`."""

    begin: str
    """As in :class:`Job`."""

    end: str = ""
    """As in :class:`Job`."""

    sends: bool = False
    """True if it sends messages; calls of sockets count only then."""

    def make_job(self, world: World, workspace: Workspace, point: KillPoint | None = None) -> Job:
        """Make a job on a workspace."""
        return Job(workspace.root, self.command, self.begin, self.end, world.recipients.environment, point)


SCAN = ("scan", "--until", UNTIL.isoformat())

STAGES = {
    stage.name: stage
    for stage in (
        Stage("scan", ("cold", "early"), SCAN, "minewatch.operations.scan:scan", "minewatch.operations.scan:update_table"),
        Stage("update", ("update",), SCAN, "minewatch.operations.scan:update_table"),
        Stage("report", ("whole",), ("report", AREA), "minewatch.products.report.write:write_report"),
        Stage(
            "notify", ("news",), ("notify", NOW.isoformat()), "minewatch.operations.notify.enqueue:enqueue_messages", sends=True
        ),
        Stage("night", ("night",), ("night", NOW.isoformat()), "minewatch.operations.watch:watch_once", sends=True),
    )
}


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a stage."""

    truth: Truth
    """The facts in the workspace afterwards, and what recipients got."""

    seconds: float
    """Of the stage."""

    counts: Mapping[str, int]
    """Calls in it, by kind."""


def kill_stage(world: World, stage: Stage, kills: int, seed: int) -> Figures:
    """Kill a stage ``kills`` times, each on a fresh copy, and compare what the next run leaves."""
    references = {name: run_undisturbed(world, stage, name) for name in stage.prepared}
    figures = Figures(f"kill -9, {stage.name}")
    while figures.hits < kills and figures.rounds < MOST_TRIES * kills:
        number = figures.rounds
        name = stage.prepared[number % len(stage.prepared)]
        kill_once(world, stage, name, references[name], figures, random.Random(f"{seed} {stage.name} {number}"))
    return figures


def run_undisturbed(world: World, stage: Stage, name: str) -> Reference:
    """Run a stage undisturbed and read the result."""
    with world.open_copy(name) as workspace:
        ending = run_job(stage.make_job(world, workspace))
        if ending.code:
            raise RuntimeError(f"{stage.name}: undisturbed, it ends with {ending.code}: {ending.text[-2000:]}")
        kept = {kind: count for kind, count in ending.counts.items() if stage.sends or kind not in ("send", "receive")}
        return Reference(read_all(world, workspace), ending.seconds, kept)


def read_all(world: World, workspace: Workspace) -> dict[str, str]:
    """Read a workspace and what its recipients got."""
    return read_truth(workspace, AREA) | world.recipients.read_received(workspace).truth


def kill_once(world: World, stage: Stage, name: str, reference: Reference, figures: Figures, chance: random.Random) -> None:
    """Kill a stage once or twice, complete the next run, and add the round to the figures."""
    with world.open_copy(name) as workspace:
        hits, moments = 0, []
        for _ in range(2 if chance.random() < TWICE else 1):
            moment, ending = _kill(world, stage, workspace, reference, chance)
            hits += ending.in_stage and ending.code == -9
            figures.endings[ending.code] += 1
            moments.append(moment)
        following = run_job(stage.make_job(world, workspace))
        figures.add(check_result(world, workspace, reference, following), hits, following, f"{name}: {', '.join(moments)}")
        figures.repeats += world.recipients.read_received(workspace).repeats


def _kill(world: World, stage: Stage, workspace: Workspace, reference: Reference, chance: random.Random) -> tuple[str, Ending]:
    """Kill a process at a random moment, or before, within or after a random call; each kind is equally likely."""
    if chance.random() < 0.5:
        after = chance.uniform(0, reference.seconds)
        return f"after {after:.3f} s", run_job(stage.make_job(world, workspace), after)
    kind = chance.choice(sorted(reference.counts))
    point = KillPoint(kind, chance.randint(1, reference.counts[kind]), chance.choice(PHASES), chance.uniform(0, LONGEST_DELAY))
    return point.describe(), run_job(stage.make_job(world, workspace, point))


def check_result(
    world: World, workspace: Workspace, reference: Reference, following: Ending, *, ignored: Sequence[str] = ()
) -> Difference:
    """Compare the state after the following run with the reference; ``aside`` are beginnings of facts that may differ."""
    if following.code:
        said = following.text.strip().splitlines()[-1:] or [""]
        failed = Difference(faults=(f"the next run ends with {following.code}: {said[0]}",))
    else:
        failed = Difference()
    if "Traceback" in following.text:
        failed += Difference(faults=("the next run shows a traceback",))
    difference = compare(read_all(world, workspace), reference.truth)
    lost, invented = (
        tuple(fact for fact in facts if not fact.startswith(tuple(ignored))) for facts in (difference.lost, difference.invented)
    )
    return failed + replace(difference, lost=lost, invented=invented) + inspect(workspace)
