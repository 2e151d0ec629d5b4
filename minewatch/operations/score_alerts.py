"""Scores how much the ground of alerts looks like a mine, after the replay and before the table is written.

Cells depend on the looks and on the weights alone, not on what people decided or on the order of scans: a score is remembered
beside the checkpoints with all that it rests on, so that a night with nothing new reads no pixel.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
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
from minewatch.likeness.grades import NO_GREEN, OF_THE_LOOK, PASSING, STRANGE, UNCONFIRMED, UNLISTED, UNREADABLE
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

MOST_STAGES = 3
"""Of an alert that are tried, the latest first."""

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
    """Score the alerts that were ever confirmed, as of the latest of their stages that can be scored; nothing stops a scan.

    ``folder`` holds the record of earlier scores; a what-if has none.
    """
    confirmed = [alert for alert in scan.alerts if alert.stages]
    found = _score_confirmed(scan, confirmed, folder) if confirmed else _Scored({}, "", ())
    texts = read_texts("en")
    cells: dict[str, Cells] = {}
    for alert in scan.alerts:
        basis = _find_basis(scan.area.grid, alert, found)
        cells[alert.alert_id] = {
            "mine_score": basis.chip.score,
            "mine_reasons": describe_likeness(basis, texts).replace("\N{NO-BREAK SPACE}", " "),
            "mine_basis": basis.render(),
            "mine_model": found.version if basis.chip.not_scored in ("", STRANGE) else None,
        }
    unconfirmed = Counter({UNCONFIRMED: len(scan.alerts) - len(confirmed)})
    counts = Counter(chip.not_scored or "scored" for _, chip in found.chips.values()) + unconfirmed
    return AlertScores(cells, dict(sorted(counts.items())), found.notes)


@dataclass(frozen=True)
class _Scored:
    """What was found of the confirmed alerts."""

    chips: Mapping[str, tuple[AlertStage, ChipBasis]]
    """Alert id to the stage that was scored, the latest where none can be, and what its look shows."""

    version: str
    """Of the weights."""

    notes: tuple[str, ...]
    """What could not be read."""


def _find_basis(grid: Grid, alert: Alert, found: _Scored) -> Basis:
    """Return what the columns of an alert rest on."""
    if not alert.stages:
        return Basis(ChipBasis(not_scored=UNCONFIRMED))
    stage, chip = found.chips[alert.alert_id]
    first, last = alert.stages[0], alert.stages[-1]
    basis = Basis(chip, look=stage.date.isoformat(), elongation=_measure_elongation(grid, last))
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


def _score_confirmed(scan: ScoringInput, alerts: Sequence[Alert], folder: Path | None) -> _Scored:
    """Score the latest stage of each alert, and where its look does not allow it, the one before."""
    model, known = read_model(), _read_record(folder)
    used: dict[str, ChipBasis] = {}
    chips: dict[str, tuple[AlertStage, ChipBasis]] = {}
    failed: dict[str, str] = {}
    for back in range(MOST_STAGES):
        open_ = [a for a in alerts if a.alert_id not in chips or chips[a.alert_id][1].not_scored in OF_THE_LOOK]
        stages = {alert.alert_id: alert.stages[-1 - back] for alert in open_ if len(alert.stages) > back}
        keys = {alert_id: _make_key(scan, stage, model.version) for alert_id, stage in stages.items()}
        new = {alert_id: stage for alert_id, stage in stages.items() if keys[alert_id] not in known}
        found = {alert_id: known[key] for alert_id, key in keys.items() if key in known} | _score_stages(scan, new, model, failed)
        used |= {keys[alert_id]: chip for alert_id, chip in found.items() if chip.not_scored not in PASSING}
        chips |= {alert_id: (stages[alert_id], chip) for alert_id, chip in found.items() if not back or chip.score is not None}
    if folder is not None and used != known:
        _write_record(folder, used)
    notes = [f"no likeness of {alert_id} was measured, the next scan tries again: {why}" for alert_id, why in failed.items()]
    return _Scored(chips, model.version, tuple(sorted(notes)))


def _score_stages(
    scan: ScoringInput, stages: Mapping[str, AlertStage], model: Model, failed: dict[str, str]
) -> dict[str, ChipBasis]:
    """Return alert id to what the look of its stage shows; why one could not be read is added to ``failed``."""
    chips: dict[str, ChipBasis] = {}
    requests: list[ChipRequest] = []
    for alert_id, stage in sorted(stages.items()):
        try:
            datatake = find_datatake_of(scan.area, scan.observations, stage, scan.scenes, scan.source)
        except EvidenceError as error:
            chips[alert_id], failed[alert_id] = ChipBasis(not_scored=UNLISTED), str(error)
            continue
        if all(band in scene.hrefs for scene in datatake.scenes for band in BANDS):
            requests.append(ChipRequest(alert_id, stage, datatake))
        else:
            chips[alert_id] = ChipBasis(not_scored=NO_GREEN)
    return chips | _score_chips(scan.area.grid, requests, model, failed)


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
