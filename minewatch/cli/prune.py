"""``minewatch prune``: the archive kept within a budget."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.cli.values import Day, Number

if TYPE_CHECKING:
    from minewatch.operations.prune import AreaPruning, Pruning


@click.command("prune")
@click.option("--keep-gb", type=Number(min=0), metavar="X", help="Gigabytes to keep.  [default: keep_gb in [prune]]")
@click.option("--forget-before", type=Day(), metavar="DATE", help="Remove all looks before this day.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@common_options
def prune_command(session: Session, keep_gb: float | None, forget_before: dt.datetime | None, dry_run: bool) -> None:
    """Remove from the archive what no result rests on, the oldest first, until it fits the budget.

    What results rest on is never removed: the looks since their monitor_from, and those of the years before it that their
    baselines are made from.  A scan that needs what was removed stops with "pruned"; it never gives another result.
    Exit code 3: done, and the archive is still larger than the budget.

    \b
    Example:
      minewatch prune --keep-gb 50 --dry-run
      minewatch prune --forget-before 2021-01-01
    """
    from minewatch.areas.area_files import explain_no_area
    from minewatch.operations.prune import PruneOptions, describe_pruning, list_unregistered, prune
    from minewatch.settings.document import read_settings

    workspace = session.workspace
    stated = read_settings(workspace).prune.keep_gb
    budget = keep_gb if keep_gb is not None else None if forget_before else stated
    pruning = prune(workspace, PruneOptions(budget, forget_before and forget_before.date()), dry=dry_run)
    unregistered = list_unregistered(workspace)
    if session.as_json:
        print_json(describe_pruning(pruning, unregistered))
    else:
        _print_pruning(pruning, explain_no_area(workspace))
    for name, size in unregistered.items():
        say(f"{name}: no such area is registered; its archive of {_gb(size)} is left alone")
    if pruning.excess:
        needed = sum(area.needed_bytes for area in pruning.areas)
        say(
            f"the archive stays {_gb(pruning.excess)} above the budget: {_gb(needed)} are looks that results rest on; "
            "keep more, or move monitor_from of areas to a later day"
        )
        sys.exit(3)


def _print_pruning(pruning: Pruning, none: str) -> None:
    columns = ("area", "GB", "left over", "pruned", "up to", "GB after", "needed", "since")
    print_table(columns, [_row(area) for area in pruning.areas], none=none)
    done = "would go" if pruning.dry else "gone"
    echo(f"{_gb(pruning.bytes_before - pruning.bytes_after)} {done}, {_gb(pruning.bytes_after)} left")


def _row(area: AreaPruning) -> tuple[str | int, ...]:
    from minewatch.operations.prune import GB

    last = area.pruned[-1].time.date().isoformat() if area.pruned else ""
    since = area.needed_from.isoformat() if area.needed_from else ""
    sizes = f"{area.bytes_before / GB:.3f}", f"{area.bytes_after / GB:.3f}"
    return area.aoi, sizes[0], len(area.leftovers), len(area.pruned), last, sizes[1], area.needed, since


def _gb(size: int) -> str:
    from minewatch.operations.prune import GB

    return f"{size / GB:.3f} GB" if size < GB else f"{size / GB:.1f} GB"
