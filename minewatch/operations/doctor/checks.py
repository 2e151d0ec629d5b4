"""What an examination finds: one check a question, with its answer, and the scenes concerned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.operations.doctor.catalogue_items import Listed


class CheckOutcome(StrEnum):
    """How a check came out, from good to bad."""

    OK = "ok"
    """Nothing is wrong."""

    UNKNOWN = "cannot tell"
    """There is too little to judge by."""

    LOOK = "look"
    """Somebody should look: it may be harmless."""

    FAULT = "fault"
    """The data are wrong, or look as wrong data do."""


@dataclass(frozen=True)
class CheckFinding:
    """One scene, or one stretch of time, and what a check says of it."""

    subject: str
    """Ids of the scenes, or a name for what is missing."""

    date: dt.date
    """Acquisition date, or the first date of a stretch."""

    verdict: CheckOutcome
    """How this one came out."""

    text: str
    """What was found, in words."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same as numbers, for JSON."""


@dataclass(frozen=True)
class DataCheck:
    """One question about the data of an area, and its answer."""

    name: str
    """Short and fixed, such as ``misregistration``."""

    verdict: CheckOutcome
    """The answer."""

    figure: str
    """The number that matters most, with its unit."""

    text: str
    """The answer as a sentence."""

    findings: Sequence[CheckFinding] = ()
    """Single scenes, in order of acquisition; good ones too where each was judged."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers for JSON."""

    @property
    def concerns(self) -> list[CheckFinding]:
        """The findings that somebody should see."""
        return [finding for finding in self.findings if finding.verdict in (CheckOutcome.LOOK, CheckOutcome.FAULT)]


@dataclass(frozen=True)
class ExaminedData:
    """What the checks look at."""

    area: AreaPlan
    """The area and its settings; its dates are the window that is examined."""

    observations: Sequence[Observation]
    """Those that a scan would use, in order of acquisition."""

    archived: Sequence[Observation]
    """All of the window, those too that no scan uses, in order of acquisition."""

    listed: Sequence[Listed] | None
    """What the source lists over the area in the window, by time; None where it was not asked or did not answer."""

    source: str
    """The source's name; empty where none was asked."""


@dataclass(frozen=True)
class Examination:
    """All checks of one area."""

    evidence: ExaminedData
    """What they looked at."""

    checks: Sequence[DataCheck]
    """In a fixed order."""

    notes: Sequence[str] = ()
    """Lines a person should read first."""

    @property
    def faults(self) -> int:
        """How many checks found a fault."""
        return sum(check.verdict is CheckOutcome.FAULT for check in self.checks)


def worst(findings: Sequence[CheckFinding], default: CheckOutcome = CheckOutcome.OK) -> CheckOutcome:
    """Return the worst verdict among findings; ``default`` where none of them needs a look."""
    for verdict in (CheckOutcome.FAULT, CheckOutcome.LOOK):
        if any(finding.verdict is verdict for finding in findings):
            return verdict
    return default


def name_observation(observation: Observation) -> str:
    """Name an observation by the scenes it was made from."""
    return ", ".join(observation.source_ids) or observation.key
