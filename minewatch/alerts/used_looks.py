"""The looks of an archive that the alerts table rests on: what a budget left unread may lie in the archive all the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minewatch.alerts.columns import AOIS
from minewatch.alerts.rows import read_layer, reading
from minewatch.archive.item import Observation, select_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import RunRecordError
from minewatch.core.run_record import read_run_record
from minewatch.core.workspace import Workspace


@dataclass(frozen=True)
class LookChoice:
    """What a budget chose in the last scan of an area, by the ids of scenes."""

    used: frozenset[str]
    """Those that the table rests on."""

    left_unread: frozenset[str]
    """Those that the budget does not pay for."""


def read_choice(workspace: Workspace, name: str) -> LookChoice | None:
    """Return what the budget chose in the scan that an area's alerts are of.

    None where it had no budget, or its record is gone or damaged.
    """
    if not workspace.alerts.exists():
        return None
    with reading(workspace.alerts) as connection:
        runs = [str(row.get("run_id") or "") for row in read_layer(connection, AOIS) if row["aoi"] == name]
    try:
        record = read_run_record(workspace, runs[0]) if runs else None
        facts = next(area for area in record["areas"] if area["aoi"] == name) if record else {}
        if facts.get("budget") is None:
            return None
        scenes = facts["scenes"]
        return LookChoice(frozenset(scenes["used"]), frozenset(one["id"] for one in scenes["not_read"]))
    except (RunRecordError, TypeError, LookupError, AttributeError, StopIteration):
        return None


def select_used(workspace: Workspace, archived: Iterable[Observation], area: AreaPlan) -> list[Observation]:
    """Choose the observations that the table rests on, as its scan did; where nobody knows what that left out, all."""
    chosen = read_choice(workspace, area.aoi.name)
    found = select_observations(archived, area)
    return found if chosen is None else [one for one in found if not chosen.used.isdisjoint(one.source_ids)]
