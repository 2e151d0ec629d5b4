"""Checks of an area's data: each answers one question and names the scenes concerned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.operations.doctor.catalogue_items import CatalogueItem


class CheckOutcome(StrEnum):
    """The result of a check, from good to bad."""

    OK = "ok"
    """Nothing is wrong."""

    UNKNOWN = "cannot tell"
    """There are too few data to decide."""

    LOOK = "look"
    """Somebody should look: it may be harmless."""

    FAULT = "fault"
    """The data are wrong, or look wrong."""


@dataclass(frozen=True)
class CheckFinding:
    """What a check found about one scene or one period."""

    subject: str
    """Ids of the scenes, or a name for what is missing."""

    date: dt.date
    """Acquisition date, or the first date of a period."""

    outcome: CheckOutcome
    """The result for it."""

    text: str
    """What was found, in words."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same as numbers, for JSON."""


@dataclass(frozen=True)
class DataCheck:
    """One question about the data of an area, and its answer."""

    name: str
    """Short and fixed, such as ``misregistration``."""

    outcome: CheckOutcome
    """The answer."""

    figure: str
    """The number that matters most, with its unit."""

    text: str
    """The answer as a sentence."""

    findings: Sequence[CheckFinding] = ()
    """By acquisition date; good ones too where each scene was checked."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers for JSON."""

    @property
    def concerns(self) -> list[CheckFinding]:
        """Findings that somebody should see."""
        return [finding for finding in self.findings if finding.outcome in (CheckOutcome.LOOK, CheckOutcome.FAULT)]


@dataclass(frozen=True)
class ExaminedData:
    """The data that the checks examine."""

    area: AreaPlan
    """Area and settings; its dates are the period that is examined."""

    observations: Sequence[Observation]
    """Those that a scan would use, in order of acquisition."""

    archived: Sequence[Observation]
    """All of the period, also those that no scan uses, in order of acquisition."""

    listed: Sequence[CatalogueItem] | None
    """Items that the source lists over the area in the period, by time; None where it was not contacted or did not answer."""

    source: str
    """Name of the source; empty where none was contacted."""

    left_unread: frozenset[str] = frozenset()
    """Ids of items that the budget of the area does not pay for."""


@dataclass(frozen=True)
class Examination:
    """All checks of one area."""

    data: ExaminedData
    """What was examined."""

    checks: Sequence[DataCheck]
    """In a fixed order."""

    notes: Sequence[str] = ()
    """Lines a person should read first."""

    @property
    def faults(self) -> int:
        """How many checks found a fault."""
        return sum(check.outcome is CheckOutcome.FAULT for check in self.checks)


def find_worst(findings: Sequence[CheckFinding], default: CheckOutcome = CheckOutcome.OK) -> CheckOutcome:
    """Return the worst outcome among findings; ``default`` where all are good."""
    for outcome in (CheckOutcome.FAULT, CheckOutcome.LOOK):
        if any(finding.outcome is outcome for finding in findings):
            return outcome
    return default


def name_observation(observation: Observation) -> str:
    """Name an observation by the scenes it was made from."""
    return ", ".join(observation.source_ids) or observation.key
