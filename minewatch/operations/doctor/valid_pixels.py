"""Finds observations without pixels where their footprints promise data."""

from __future__ import annotations

from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import Observation
from minewatch.core.text import count_of, format_percent
from minewatch.detection.coverage import LEAST_EMPTY, measure_promise
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData, find_worst, name_observation
from minewatch.operations.doctor.reference_pixels import ReferencePixels


def check_valid_pixels(data: ExaminedData, pixels: ReferencePixels) -> DataCheck:
    """Compare the share of the area that has pixels with the share that the footprints cover."""
    outlines: dict[str, BaseGeometry] = {item.id: item.footprint for item in data.listed or ()}
    promised = {
        observation.key: measure_promise([outlines[name] for name in observation.source_ids], data.area.grid)
        for observation in data.observations
        if all(name in outlines for name in observation.source_ids)
    }
    findings = [
        _make_finding(observation, float(valid), promised.get(observation.key))
        for observation, valid in zip(data.observations, pixels.valid, strict=True)
    ]
    short = [finding for finding in findings if finding.outcome is not CheckOutcome.OK]
    n_compared = sum(observation.key in promised for observation in data.observations)
    total = len(data.observations)
    if n_compared:
        text = f"{len(short)} of {count_of(total, 'observation')} with fewer pixels than the footprint promises"
        text += f"; {total - n_compared} whose footprint is not listed any more" if n_compared < total else ""
    else:
        text = f"{len(short)} of {count_of(total, 'observation')} without a single pixel; no footprints from the source"
    facts = {"judged": n_compared, "short": len(short), "least": round(float(pixels.valid.min()), 4)}
    return DataCheck("valid pixels", find_worst(findings), str(len(short)), text, findings, facts)


def _make_finding(observation: Observation, valid: float, promised: float | None) -> CheckFinding:
    facts = {"valid": round(valid, 4)} | ({"footprint": round(promised, 4)} if promised is not None else {})
    outcome, text = CheckOutcome.OK, f"{format_percent(valid)} of the area has pixels"
    text += "" if promised is None else f", the footprint promises at least {format_percent(promised)}"
    if valid == 0 and (promised is None or promised > LEAST_EMPTY):
        outcome = CheckOutcome.FAULT if promised is not None else CheckOutcome.LOOK
    elif promised is not None and promised - valid > LEAST_EMPTY:
        outcome = CheckOutcome.LOOK
    return CheckFinding(name_observation(observation), observation.time.date(), outcome, text, facts)
