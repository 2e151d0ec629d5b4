"""Checks whether each scene's reflectance offset is right: as recorded, and by its pixels.

From processing baseline 04.00 on, digital numbers are 1000 too high, a reflectance of 0.1.  A scene from which that was
not subtracted, or was subtracted twice, is off by 0.1 in every band alike; vegetation never changes like that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import Observation
from minewatch.core.text import count_of
from minewatch.core.units import SCALE
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData, find_worst, name_observation
from minewatch.operations.doctor.reference_pixels import ReferencePixels, find_median, find_peers
from minewatch.raster.indices import LAYERS
from minewatch.sources.reflectance_offset import OFFSET_BASELINE

STEP = 0.1
"""Reflectance by which a wrong offset shifts every band."""

DRIFT = {"blue": 0.03, "red": 0.03, "nir": 0.05, "swir16": 0.05}
"""Largest difference of a band's median from what a wrong offset would give, reflectance; infrared varies more anyway.

Haze raises blue and red but not short-wave infrared, and snow lowers the latter; only even cirrus looks like an offset.
"""

UNEVEN = 0.02
"""Largest half interquartile range of the residuals in blue and red; haze is patchier than an offset."""

BLACK = 0.005
"""Reflectance of blue and red up to which both were clipped at 0, as where an offset is subtracted wrongly."""

PEERS = 15
"""Observations of the same season that a scene is compared with."""

LEAST_PEERS = 3
"""Clear ones among them that a pixel needs."""

GREEN = 0.5
"""Expected NDVI from which a pixel is vegetation."""

LEAST_PIXELS = 50
"""Clear pixels of vegetation that a scene needs to be checked."""

CLEAR = 0.2
"""Clear share from which an observation serves for comparison."""

LEAST_TRUSTED = 6
"""With this many such observations older than baseline 04.00, only they serve for comparison: they have no offset."""

Bands = Mapping[str, NDArray[np.float32]]
"""Band to (pixel,) reflectance."""


def check_recorded_offsets(data: ExaminedData) -> DataCheck:
    """Report which offsets were applied and why, as the archive's items record it."""
    sources = [source for observation in data.observations for source in observation.sources]
    offsets = Counter(int(source["offset"]) for source in sources)
    reasons = Counter(f"{_name_offset(int(source['offset']))}: {source['offset_reason']}" for source in sources)
    findings = [finding for observation in data.archived for finding in _find_conflicts(observation)]
    kinds = ", ".join(f"{_name_offset(offset)} in {count_of(n, 'scene')}" for offset, n in sorted(offsets.items()))
    trouble = f"{count_of(len(findings), 'contradiction')} recorded" if findings else "no contradiction recorded"
    facts = {"offsets": {str(k): n for k, n in sorted(offsets.items())}, "reasons": dict(sorted(reasons.items()))}
    facts |= {"outcomes": dict(sorted(Counter(map(_read_outcome, sources)).items()))}
    kind = "one kind" if len(offsets) == 1 else f"{len(offsets)} kinds"
    return DataCheck("offset", find_worst(findings), kind, f"applied: {kinds}; {trouble}", findings, facts)


def _name_offset(offset: int) -> str:
    return "none" if offset == 0 else f"{offset:+d}"


def _find_conflicts(observation: Observation) -> Iterator[CheckFinding]:
    """Find scenes whose pixels contradicted their metadata when they were read, and overpasses with two offsets."""
    date = observation.time.date()
    for source in observation.refused:
        text = "left out: its pixels contradict the offset that its metadata state"
        yield CheckFinding(str(source["id"]), date, CheckOutcome.LOOK, text, {"offset": source["offset"], "used": False})
    for source in observation.sources:
        if _read_outcome(source) == "contradict":
            text = f"used with offset {_name_offset(int(source['offset']))}, though its pixels contradict the metadata"
            yield CheckFinding(str(source["id"]), date, CheckOutcome.FAULT, text, {"offset": source["offset"], "used": True})
    kinds = {(source["baseline"], source["offset"]) for source in observation.sources}
    for baseline, several in Counter(baseline for baseline, _ in kinds).items():
        if several > 1:
            text = f"scenes of baseline {baseline} of one overpass got different offsets"
            yield CheckFinding(name_observation(observation), date, CheckOutcome.LOOK, text)


def _read_outcome(source: Mapping[str, Any]) -> str:
    """Return the result of the offset check when the scene was read; older archives do not record it."""
    check = source.get("offset_check")
    return str(check.get("outcome", "not checked")) if isinstance(check, Mapping) else "not checked"


def check_offset_pixels(data: ExaminedData, pixels: ReferencePixels) -> DataCheck:
    """Compare each scene's vegetation with the same season's median, to find scenes with a wrong offset."""
    findings = [
        finding for number in range(len(data.observations)) if (finding := _compare_scene(data, pixels, number)) is not None
    ]
    name, total = "offset in pixels", len(data.observations)
    if not findings:
        return DataCheck(name, CheckOutcome.UNKNOWN, "-", "too little clear vegetation to compare the scenes with each other")
    wrong = [finding for finding in findings if finding.outcome is CheckOutcome.FAULT]
    text = f"{len(wrong)} of {count_of(len(findings), 'scene')} off as a wrong offset makes them"
    text += f"; {total - len(findings)} too cloudy or too bare to judge" if total > len(findings) else ""
    facts = {"judged": len(findings), "wrong": len(wrong)}
    return DataCheck(name, find_worst(findings), f"{len(wrong)}/{len(findings)}", text, findings, facts)


def _compare_scene(data: ExaminedData, pixels: ReferencePixels, number: int) -> CheckFinding | None:
    """Check one scene; None where it shows too little vegetation or nothing comparable exists."""
    expected = _expect(data, pixels, number)
    seen = {layer.name: pixels.layer(layer.name, number) for layer in LAYERS}
    usable = (expected["ndvi"] >= GREEN) & ~np.isnan(seen["ndvi"])
    if usable.sum() < LEAST_PIXELS:
        return None
    seen, expected = ({name: values[usable] for name, values in group.items()} for group in (seen, expected))
    ndvi = float(np.median(seen["ndvi"] - expected["ndvi"]))
    step, drift = infer_offset_error(find_bands(seen), find_bands(expected))
    observation = data.observations[number]
    facts = {"ndvi": round(ndvi, 3)} | {band: round(value, 3) for band, value in drift.items()}
    return CheckFinding(
        name_observation(observation), observation.time.date(), *_describe_offset(observation, ndvi, drift, step), facts
    )


def _describe_offset(observation: Observation, ndvi: float, drift: Mapping[str, float], step: float) -> tuple[CheckOutcome, str]:
    bands = ", ".join(f"{band} {value:+.2f}" for band, value in drift.items())
    change = f"against its season NDVI {ndvi:+.2f}, {bands}"
    if step == 0:
        return CheckOutcome.OK, change
    applied = ", ".join(sorted({_name_offset(int(source["offset"])) for source in observation.sources}))
    why = "as if 1000 had not been taken off" if step > 0 else "as if 1000 had been taken off that was not there"
    return CheckOutcome.FAULT, f"{why} (applied: {applied}); {change}"


def infer_offset_error(seen: Bands, expected: Bands) -> tuple[float, dict[str, float]]:
    """Return the offset error that explains all bands, 0, STEP or -STEP, and the median difference of each band."""
    drift = {band: float(np.median(seen[band] - expected[band])) for band in DRIFT}
    left = {step: _fit(seen, expected, step) for step in (0.0, STEP, -STEP)}
    best = min(left, key=lambda step: left[step])
    black = max(float(np.median(seen[band])) for band in ("blue", "red")) <= BLACK
    return (best if left[best] <= 1 and (best >= 0 or black) else 0.0), drift


def _fit(seen: Bands, expected: Bands, step: float) -> float:
    """Return how badly ``step`` explains the bands; up to 1 it is accepted.  Reflectance is clipped at 0."""
    worst_fit = 0.0
    for band, limit in DRIFT.items():
        rest = seen[band] - np.maximum(expected[band] + np.float32(step), 0)
        low, middle, high = np.percentile(rest, (25, 50, 75))
        worst_fit = max(worst_fit, abs(float(middle)) / limit)
        if band in ("blue", "red"):
            worst_fit = max(worst_fit, float(high - low) / 2 / UNEVEN)
    return worst_fit


def find_bands(layers: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Compute the bands from the archived layers: red from NDVI, short-wave infrared from the bare soil index."""
    blue, nir = layers["blue"], layers["nir"]
    red = (nir * (1 - layers["ndvi"]) / np.maximum(1 + layers["ndvi"], 0.01)).astype(np.float32)
    ratio = (1 + layers["bsi"]) / np.maximum(1 - layers["bsi"], 0.01)
    swir16 = np.maximum((nir + blue) * ratio - red, 0).astype(np.float32)
    return {"blue": blue, "red": red, "nir": nir, "swir16": swir16}


def _expect(data: ExaminedData, pixels: ReferencePixels, number: int) -> dict[str, NDArray[np.float32]]:
    """Return the same season's median of each layer, (pixel,), nan where too few looks are clear."""
    usable = pixels.clear_share >= CLEAR
    limit = "{:02d}.{:02d}".format(*OFFSET_BASELINE)  # older scenes never had an offset
    old = [all("00.00" < str(source["baseline"]) < limit for source in one.sources) for one in data.observations]
    trusted = usable & np.array(old)
    peers = find_peers(pixels.days, number, trusted if trusted.sum() >= LEAST_TRUSTED else usable, PEERS)
    expected = {}
    for index, layer in enumerate(LAYERS):
        codes = np.where(pixels.clear[peers], pixels.codes[index, peers], np.uint8(0))
        median = find_median(codes, LEAST_PEERS) if len(peers) else np.zeros(codes.shape[1], np.uint8)
        values = layer.decode(median).astype(np.float32) / SCALE
        expected[layer.name] = np.where(median > 0, values, np.float32(np.nan))
    return expected
