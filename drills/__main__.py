"""Disturbs minewatch in every way, and compares what the next run leaves with an undisturbed one.

python -m drills                                  everything; writes docs/drills.md
python -m drills --stage scan,notify --rounds 50  some; the page keeps the others' last figures
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drills import disturbances
from drills.kills import STAGES, kill_stage
from drills.page import Result, make_result, store_results, write_page
from drills.report import Figures
from drills.world import World, open_world
from tests.helpers.places import ROOT

Drill = Callable[[World, int, int], Figures]
"""Takes the prepared world, a number of rounds or kills, and a seed."""


def _kill(name: str) -> Drill:
    return lambda world, rounds, seed: kill_stage(world, STAGES[name], rounds, seed)


def _damage(harm: str) -> Drill:
    return functools.partial(disturbances.drill_damage, harm=harm)


DRILLS: dict[str, Drill] = {
    **{name: _kill(name) for name in STAGES},
    "full": functools.partial(disturbances.drill_disks, read_only=False),
    "limit": disturbances.drill_limits,
    "read-only": functools.partial(disturbances.drill_disks, read_only=True),
    "clock": disturbances.drill_clock,
    "deleted": _damage("deleted"),
    "truncated": _damage("truncated"),
    "flipped": _damage("bit-flipped"),
    "two": disturbances.drill_pair,
    "ctrl-c": disturbances.drill_interrupts,
}
"""Drills by name, in the page's order."""


def run_drills(world: World, names: Sequence[str], rounds: int, seed: int) -> dict[str, Figures]:
    """Run drills by name and print their figures."""
    found = {}
    for name in names:
        start = time.perf_counter()
        figures = found[name] = DRILLS[name](world, rounds, seed)
        print(f"{describe(figures)}  ({time.perf_counter() - start:.0f} s)", flush=True)
        for line in figures.troubles:
            print(f"    {line}", flush=True)
    return found


def describe(figures: Figures) -> str:
    """Return figures as a line of text."""
    if figures.remark:
        return f"{figures.name}: {figures.remark}"
    return (
        f"{figures.name}: {figures.rounds} rounds, {figures.hits} hits, lost {figures.lost}, invented {figures.invented}, "
        f"faults {figures.faults}, leftovers {figures.leftovers}, repeats {figures.repeats}, "
        f"exit codes {dict(figures.endings)}, then {dict(figures.following)}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run drills and write the page; returns 1 where anything was lost, invented or left over."""
    parser = argparse.ArgumentParser(
        prog="python -m drills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=50, help="kills of each stage, or rounds of each other drill")
    parser.add_argument("--stage", default=",".join(DRILLS), help="drills, separated by commas")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other moments")
    parser.add_argument("--cache", type=Path, default=ROOT / "drills" / ".cache", help="keeps the last figures")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where drills.md goes")
    chosen = parser.parse_args(arguments)
    names = chosen.stage.split(",")
    if unknown := set(names) - set(DRILLS):
        parser.error(f"no such drill: {', '.join(sorted(unknown))}; there are {', '.join(DRILLS)}")
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    command = f"python -m drills --rounds {chosen.rounds} --stage {chosen.stage} --seed {chosen.seed}"
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="drills-") as folder, open_world(Path(folder)) as world:
        for name in names:
            results |= {name: make_result(command, run_drills(world, [name], chosen.rounds, chosen.seed)[name])}
            known = store_results(chosen.cache / "results.json", {name: results[name]})
            write_page(chosen.docs / "drills.md", known, list(DRILLS))
    print(f"written: {chosen.docs / 'drills.md'}")
    return 0 if all(result.figures.is_clean for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
