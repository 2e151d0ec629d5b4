"""Scores how much the ground of alerts looks like a mine, after the replay and before the table is written.

Cells depend on the looks and on the weights alone, not on what people decided or on the order of scans: a score is remembered
beside the checkpoints with all that it rests on, so that a night with nothing new reads no pixel.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from minewatch.alerts.columns import Value
from minewatch.alerts.record import Alert, AlertStage
from minewatch.archive.item import Observation, describe_grid
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.core.errors import EvidenceError, WorkspaceError
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.likeness.basis import Basis, ChipBasis, parse_chip
from minewatch.likeness.grades import NO_GREEN, PASSING, STRANGE, UNCONFIRMED, UNLISTED, UNREADABLE
from minewatch.likeness.measure import add_score, measure_ground
from minewatch.likeness.model import AT_A_TIME, Model, read_model
from minewatch.operations.alert_chips import BANDS, ChipRequest, find_datatake_of, read_chips
from minewatch.products.report.likeness_words import describe_likeness
from minewatch.products.report.texts import read_texts
from minewatch.sources.scene import Scene

NAME = "likeness.record"
"""Of the file, in the folder of the checkpoints."""

MEASURES_VERSION = 1
"""Of what is read and measured of a chip; another number makes all scores anew."""

Cells = Mapping[str, Value]
"""The columns on likeness to their values."""


@dataclass(frozen=True)
class ScoringInput:
    """What a scan knows of one area when its alerts are scored."""

    area: AreaPlan
    """The plan of the area."""

    source: str
    """Name of the source."""

    scenes: Sequence[Scene]
    """The scenes that the source listed."""

    observations: Sequence[Observation]
    """The observations that the result rests on."""

    alerts: Sequence[Alert]
    """From the replay."""


@dataclass(frozen=True)
class AlertScores:
    """What is said of the alerts of one area."""

    cells: Mapping[str, Cells]
    """Alert id to its columns."""

    counts: Mapping[str, int]
    """How many were scored, and for each reason how many were not."""

    notes: tuple[str, ...]
    """Lines for the user: what could not be read."""


def score_alerts(scan: ScoringInput, folder: Path | None) -> AlertScores:
    """Score the alerts that were ever confirmed, as of the look of their latest stage; no failure stops a scan.

    ``folder`` holds the record of earlier scores; a what-if has none.
    """
    confirmed = {alert.alert_id: alert.stages[-1] for alert in scan.alerts if alert.stages}
    chips, version, notes = _score_stages(scan, confirmed, folder) if confirmed else ({}, "", ())
    bases = {alert.alert_id: _find_basis(scan.area.grid, alert, chips) for alert in scan.alerts}
    texts = read_texts("en")
    cells: dict[str, Cells] = {}
    counts: dict[str, int] = {}
    for alert_id, basis in bases.items():
        chip = basis.chip
        cells[alert_id] = {
            "mine_score": chip.score,
            "mine_reasons": describe_likeness(basis, texts),
            "mine_basis": basis.render(),
            "mine_model": version if chip.not_scored in ("", STRANGE) else None,
        }
        counts[chip.not_scored or "scored"] = counts.get(chip.not_scored or "scored", 0) + 1
    return AlertScores(cells, dict(sorted(counts.items())), notes)


def _find_basis(grid: Grid, alert: Alert, chips: Mapping[str, ChipBasis]) -> Basis:
    """Return what the columns of an alert rest on."""
    if not alert.stages:
        return Basis(ChipBasis(not_scored=UNCONFIRMED))
    first, last = alert.stages[0], alert.stages[-1]
    basis = Basis(chips[alert.alert_id], look=last.date.isoformat(), elongation=_measure_elongation(grid, last))
    if last is first:
        return basis
    days = (last.date - first.date).days
    return replace(basis, grown_from_ha=round(first.area_ha, 2), grown_to_ha=round(last.area_ha, 2), grown_days=days)


def _measure_elongation(grid: Grid, stage: AlertStage) -> float | None:
    """Return length by width of the narrowest rectangle around an outline, to a tenth."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(reproject(stage.geometry, lonlat_to(grid.crs))))
    sides = sorted(np.hypot(*np.diff(corners[:3], axis=0).T).tolist())
    return round(sides[1] / sides[0], 1) if len(sides) == 2 and sides[0] > 0 else None


# --- scores of stages ----------------------------------------------------------------------------------------------------


def _score_stages(
    scan: ScoringInput, stages: Mapping[str, AlertStage], folder: Path | None
) -> tuple[dict[str, ChipBasis], str, tuple[str, ...]]:
    """Return alert id to what is known of its stage, the version of the weights, and what could not be read."""
    model = read_model()
    keys = {alert_id: _make_key(scan, stage, model.version) for alert_id, stage in stages.items()}
    known = _read_record(folder)
    chips = {alert_id: known[key] for alert_id, key in keys.items() if key in known}
    failed: dict[str, str] = {}
    requests: list[ChipRequest] = []
    for alert_id in sorted(stages.keys() - chips.keys()):
        try:
            stage = stages[alert_id]
            datatake = find_datatake_of(scan.area, scan.observations, stage, scan.scenes, scan.source)
        except EvidenceError as error:
            chips[alert_id], failed[alert_id] = ChipBasis(not_scored=UNLISTED), str(error)
            continue
        if all(band in scene.hrefs for scene in datatake.scenes for band in BANDS):
            requests.append(ChipRequest(alert_id, stage, datatake))
        else:
            chips[alert_id] = ChipBasis(not_scored=NO_GREEN)
    chips |= _score_chips(scan.area.grid, requests, model, failed)
    found = {keys[alert_id]: chip for alert_id, chip in chips.items() if chip.not_scored not in PASSING}
    if folder is not None and found != known:
        _write_record(folder, found)
    notes = [f"no likeness of {alert_id} was measured, the next scan tries again: {why}" for alert_id, why in failed.items()]
    return chips, model.version, tuple(sorted(notes))


def _score_chips(grid: Grid, requests: Sequence[ChipRequest], model: Model, failed: dict[str, str]) -> dict[str, ChipBasis]:
    """Read, measure and score chips; those that cannot be read are added to ``failed``."""
    chips: dict[str, ChipBasis] = {}
    clear = _measure_chips(grid, requests, chips, failed)
    while batch := list(islice(clear, AT_A_TIME)):
        likeness = model.assess(np.stack([rgb for _, rgb in batch]))
        for number, (alert_id, _) in enumerate(batch):
            chips[alert_id] = add_score(chips[alert_id], likeness, number, model.grounds)
    return chips


def _measure_chips(
    grid: Grid, requests: Sequence[ChipRequest], chips: dict[str, ChipBasis], failed: dict[str, str]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Note in ``chips`` what each chip shows; yield those that can be scored."""
    for request, chip in read_chips(grid, requests):
        alert_id = request.alert_id
        if isinstance(chip, str):
            chips[alert_id], failed[alert_id] = ChipBasis(not_scored=UNREADABLE), chip
            continue
        chips[alert_id] = measure_ground(chip.classes, chip.empty, chip.outline)
        if not chips[alert_id].not_scored:
            yield alert_id, chip.rgb


# --- the record ----------------------------------------------------------------------------------------------------------


def _make_key(scan: ScoringInput, stage: AlertStage, version: str) -> str:
    """Return a digest of all that the score of a stage rests on."""
    looks = [(o.key, o.version, [dict(source) for source in o.sources]) for o in scan.observations if o.time.date() == stage.date]
    mask = scan.area.pipeline.mask.model_dump(mode="json")  # it has a part in the choice between looks of a day
    facts = [MEASURES_VERSION, version, describe_grid(scan.area.grid), mask, looks, stage.lat, stage.lon]
    return hashlib.sha256(json.dumps(facts, default=str).encode() + shapely.to_wkb(stage.geometry)).hexdigest()


def _read_record(folder: Path | None) -> dict[str, ChipBasis]:
    """Return the scores on record by their keys; none where there is no record, or a damaged one."""
    if folder is None:
        return {}
    try:
        head, _, body = (folder / NAME).read_bytes().partition(b"\n")
        if head.decode("ascii") != hashlib.sha256(body).hexdigest():
            return {}
        return {str(key): parse_chip(facts) for key, facts in json.loads(body).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_record(folder: Path, chips: Mapping[str, ChipBasis]) -> None:
    body = json.dumps({key: asdict(chip) for key, chip in sorted(chips.items())}).encode()
    with contextlib.suppress(OSError, WorkspaceError):  # then the next scan scores them again
        publish_bytes(make_private_folder(folder) / NAME, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
