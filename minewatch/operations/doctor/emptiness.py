"""Observations that are empty where their footprint says there are data."""

from __future__ import annotations

from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import Observation
from minewatch.core.text import count_of, format_percent
from minewatch.detection.coverage import LEAST_EMPTY, measure_promise
from minewatch.operations.doctor.record import CheckFinding, CheckOutcome, DataCheck, ExaminedData, name_observation, worst
from minewatch.operations.doctor.reference_pixels import ReferencePixels


def check_emptiness(evidence: ExaminedData, witnesses: ReferencePixels) -> DataCheck:
    """Compare the share of the area that has pixels with the share that the footprints cover."""
    name = "valid pixels"
    promised = _measure_footprints(evidence)
    findings = [
        _tell(observation, float(valid), promised.get(observation.key))
        for observation, valid in zip(evidence.observations, witnesses.valid, strict=True)
    ]
    short = [finding for finding in findings if finding.verdict is not CheckOutcome.OK]
    judged = sum(observation.key in promised for observation in evidence.observations)
    total = len(evidence.observations)
    if judged:
        text = f"{len(short)} of {count_of(total, 'observation')} with fewer pixels than the footprint promises"
        text += f"; {total - judged} whose footprint is not listed any more" if judged < total else ""
    else:
        text = f"{len(short)} of {count_of(total, 'observation')} without a single pixel; no footprints from the source"
    facts = {"judged": judged, "short": len(short), "least": round(float(witnesses.valid.min()), 4)}
    return DataCheck(name, worst(findings), str(len(short)), text, findings, facts)


def _measure_footprints(evidence: ExaminedData) -> dict[str, float]:
    """Return the share of the area that the archived items of each observation cover, where the source still lists them all."""
    outlines: dict[str, BaseGeometry] = {item.id: item.footprint for item in evidence.listed or ()}
    return {
        observation.key: measure_promise([outlines[name] for name in observation.source_ids], evidence.area.grid)
        for observation in evidence.observations
        if all(name in outlines for name in observation.source_ids)
    }


def _tell(observation: Observation, valid: float, promised: float | None) -> CheckFinding:
    facts = {"valid": round(valid, 4)} | ({"footprint": round(promised, 4)} if promised is not None else {})
    verdict, text = CheckOutcome.OK, f"{format_percent(valid)} of the area has pixels"
    text += "" if promised is None else f", the footprint promises at least {format_percent(promised)}"
    if valid == 0 and (promised is None or promised > LEAST_EMPTY):
        verdict = CheckOutcome.FAULT if promised is not None else CheckOutcome.LOOK
    elif promised is not None and promised - valid > LEAST_EMPTY:
        verdict = CheckOutcome.LOOK
    return CheckFinding(name_observation(observation), observation.time.date(), verdict, text, facts)
