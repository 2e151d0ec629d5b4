"""Names looks of which many pixels are no reflectance: bands that dropped out, bad edges, saturated or wrapped numbers."""

from __future__ import annotations

from minewatch.archive.item import USUALLY_BROKEN, Observation
from minewatch.core.text import count_of, format_percent
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData, find_worst, name_observation

NAME = "broken numbers"


def check_broken_numbers(data: ExaminedData) -> DataCheck:
    """Compare the share of each look's pixels whose numbers are no reflectance with what is usual."""
    counted = [(o, o.broken_share) for o in data.observations if o.broken_share is not None]
    rest = len(data.observations) - len(counted)
    if not counted:
        return DataCheck(NAME, CheckOutcome.UNKNOWN, "-", "the observations are of earlier versions, which did not count them")
    findings = [_make_finding(observation, share) for observation, share in counted]
    many = sum(finding.outcome is not CheckOutcome.OK for finding in findings)
    text = (
        f"{many} of {count_of(len(counted), 'observation')} with {format_percent(USUALLY_BROKEN)} or more that is no reflectance"
    )
    text += f"; {rest} of earlier versions, which did not count it" if rest else ""
    facts = {"judged": len(counted), "broken": many, "most": round(max(share for _, share in counted), 4)}
    return DataCheck(NAME, find_worst(findings), str(many), text, findings, facts)


def _make_finding(observation: Observation, share: float) -> CheckFinding:
    outcome = CheckOutcome.LOOK if share >= USUALLY_BROKEN else CheckOutcome.OK
    text = f"{format_percent(share)} of the pixels with an SCL class are no reflectance and count as not seen"
    return CheckFinding(name_observation(observation), observation.time.date(), outcome, text, {"broken": round(share, 4)})
