"""Finds items and observations that show the same acquisition more than once."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from minewatch.archive.item import Observation
from minewatch.core.text import count_of
from minewatch.operations.doctor.catalogue_items import CatalogueItem
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData, name_observation

ONE_PASS = dt.timedelta(minutes=20)
"""Two keys of one satellite closer than this are one overpass under two names; an orbit takes 100 minutes."""


def check_duplicates(data: ExaminedData) -> DataCheck:
    """Find acquisitions that the source lists, or the archive holds, more than once."""
    listed = list(_find_copies(data.listed or ()))
    days = list(_find_double_days(data.observations))
    versions = [o for o in data.observations if o.version > 1]
    findings = sorted([*listed, *days, *map(_describe_version, versions)], key=lambda finding: finding.date)
    concerns = sum(finding.outcome is CheckOutcome.LOOK for finding in findings)
    copies = f"{count_of(len(listed), 'acquisition')} listed more than once for one tile"
    text = "the source was not contacted" if data.listed is None else copies
    text += f", {count_of(len(days), 'day')} with two observations, {count_of(len(versions), 'observation')} made anew"
    facts = {"copies": len(listed), "double_days": len(days), "remade": len(versions)}
    return DataCheck(
        "duplicates", CheckOutcome.LOOK if concerns else CheckOutcome.OK, str(len(listed) + len(days)), text, findings, facts
    )


def _find_copies(listed: Sequence[CatalogueItem]) -> Iterator[CheckFinding]:
    """Find items of one datatake and tile."""
    groups: dict[tuple[str, str], dict[str, CatalogueItem]] = defaultdict(dict)
    for item in listed:
        groups[item.key, item.tile][item.id] = item
    for (_, tile), members in sorted(groups.items()):
        if len(members) < 2:
            continue
        items = sorted(members.values(), key=lambda item: item.id)
        yield CheckFinding(
            ", ".join(item.id for item in items), items[0].time.date(), *_describe_copies(items, tile), {"ids": sorted(members)}
        )


def _describe_copies(items: Sequence[CatalogueItem], tile: str) -> tuple[CheckOutcome, str]:
    baselines = sorted({item.baseline for item in items})
    if not tile:
        return CheckOutcome.OK, f"{len(items)} items of one overpass that do not say their tile: joined"
    if len(baselines) > 1:
        names = ", ".join("{:02d}.{:02d}".format(*baseline) for baseline in baselines)
        return CheckOutcome.OK, f"tile {tile} processed {len(baselines)} times (baselines {names}): the newest counts"
    both = items[0].footprint.intersection(items[-1].footprint).area
    smaller = min(item.footprint.area for item in items)
    if both > 0.9 * smaller:
        return CheckOutcome.LOOK, f"tile {tile} listed {len(items)} times with one baseline: the smaller id comes first"
    return CheckOutcome.OK, f"tile {tile} comes in {len(items)} parts: joined"


def _find_double_days(observations: Sequence[Observation]) -> Iterator[CheckFinding]:
    """Find two observations of one day; within minutes by one satellite they are one overpass under two names."""
    for one, other in pairwise(sorted(observations, key=lambda o: (o.time, o.key))):
        if one.time.date() != other.time.date():
            continue
        same = one.key.split("_")[0] == other.key.split("_")[0] and other.time - one.time < ONE_PASS
        outcome, text = CheckOutcome.OK, "two overpasses on one day: joined as one look"
        if same:
            text = f"one overpass under two names (keys {one.key} and {other.key}): joined as one day"
            outcome = CheckOutcome.LOOK
        subject = f"{name_observation(one)}, {name_observation(other)}"
        yield CheckFinding(subject, one.time.date(), outcome, text, {"keys": [one.key, other.key]})


def _describe_version(observation: Observation) -> CheckFinding:
    text = f"version {observation.version}: made again when another tile or a newer processing was published"
    facts = {"key": observation.key, "version": observation.version}
    return CheckFinding(name_observation(observation), observation.time.date(), CheckOutcome.OK, text, facts)
