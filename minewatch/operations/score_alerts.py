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
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray

from minewatch.alerts.columns import Value
from minewatch.alerts.record import Alert, AlertStage
from minewatch.archive.item import Observation, describe_grid
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.core.errors import EvidenceError, ModelError, WorkspaceError
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.workspace import SCORED
from minewatch.likeness.basis import Basis, ChipBasis, parse_chip
from minewatch.likeness.grades import NO_GREEN, OF_THE_LOOK, PASSING, STRANGE, UNCONFIRMED, UNLISTED, UNREADABLE
from minewatch.likeness.home_layer import apply_home_layer
from minewatch.likeness.home_versions import HomeVersion, read_in_use
from minewatch.likeness.measure import add_score, measure_ground
from minewatch.likeness.model import AT_A_TIME, Likeness, Model, read_model
from minewatch.likeness.record import ScoredAlert, read_scored, write_scored
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


def score_alerts(scan: ScoringInput, folder: Path | None, home_layers: Path | None = None) -> AlertScores:
    """Score the alerts that were ever confirmed, as of the latest of their stages that can be scored; nothing stops a scan.

    ``folder`` holds the records of earlier scores; a what-if has none.  ``home_layers`` holds what was learnt from reviews.
    """
    confirmed = [alert for alert in scan.alerts if alert.stages]
    try:
        found = _score_confirmed(scan, confirmed, folder, home_layers) if confirmed else _Scored({}, "", ())
    except ModelError as error:
        return AlertScores({alert.alert_id: {} for alert in scan.alerts}, {}, (f"no likeness was measured: {error}",))
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


def _score_confirmed(scan: ScoringInput, alerts: Sequence[Alert], folder: Path | None, home_layers: Path | None) -> _Scored:
    """Score the latest stage of each alert, and where its look does not allow it, the one before.

    One that cannot be read now ends this: it may be the one to score.
    """
    model, records = read_model(), _Records.read(folder)
    chips: dict[str, tuple[AlertStage, str]] = {}
    failed: dict[str, str] = {}
    for back in range(MOST_STAGES):
        open_ = [a for a in alerts if a.alert_id not in chips or records.chips[chips[a.alert_id][1]].not_scored in OF_THE_LOOK]
        stages = {alert.alert_id: alert.stages[-1 - back] for alert in open_ if len(alert.stages) > back}
        keys = {alert_id: _make_key(scan, stage, model.version) for alert_id, stage in stages.items()}
        new = {alert_id: stage for alert_id, stage in stages.items() if keys[alert_id] not in records.chips}
        _score_stages(scan, new, keys, model, records, failed)
        for alert_id, key in keys.items():
            records.used.add(key)
            if not back or records.chips[key].score is not None or records.chips[key].not_scored == UNREADABLE:
                chips[alert_id] = stages[alert_id], key
    records.write({alert_id: key for alert_id, (_, key) in chips.items()})
    layer, note = _find_home_layer(home_layers, model.version)
    found = {alert_id: (stage, records.render(key, layer)) for alert_id, (stage, key) in chips.items()}
    notes = [f"no likeness of {alert_id} was measured, the next scan tries again: {why}" for alert_id, why in failed.items()]
    return _Scored(found, layer.version if layer else model.version, (*filter(None, [note]), *sorted(notes)))


def _find_home_layer(folder: Path | None, base: str) -> tuple[HomeVersion | None, str]:
    """Return what was learnt from the workspace's reviews and is in use, and a line where it cannot be."""
    if folder is None:
        return None, ""
    try:
        return read_in_use(folder, base)
    except WorkspaceError as error:
        return None, f"alerts have the shipped score: {error}"


def _score_stages(
    scan: ScoringInput,
    stages: Mapping[str, AlertStage],
    keys: Mapping[str, str],
    model: Model,
    records: _Records,
    failed: dict[str, str],
) -> None:
    """Add to the records what the looks of stages show; why one could not be read is added to ``failed``."""
    requests: list[ChipRequest] = []
    for alert_id, stage in sorted(stages.items()):
        try:
            datatake = find_datatake_of(scan.area, scan.observations, stage, scan.scenes, scan.source)
        except EvidenceError as error:
            records.chips[keys[alert_id]], failed[alert_id] = ChipBasis(not_scored=UNLISTED), str(error)
            continue
        if all(band in scene.hrefs for scene in datatake.scenes for band in BANDS):
            requests.append(ChipRequest(alert_id, stage, datatake))
        else:
            records.chips[keys[alert_id]] = ChipBasis(not_scored=NO_GREEN)
    chips: dict[str, ChipBasis] = {}
    clear = _measure_chips(scan.area.grid, requests, chips, failed)
    while batch := list(islice(clear, AT_A_TIME)):
        likeness = model.assess(np.stack([rgb for _, rgb in batch]))
        for number, (alert_id, _) in enumerate(batch):
            chips[alert_id] = add_score(chips[alert_id], likeness, number, model.grounds)
            records.add(keys[alert_id], model.version, likeness, number)
    records.chips |= {keys[alert_id]: chip for alert_id, chip in chips.items()}


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


@dataclass
class _Records:
    """What is remembered of chips by the digest of all that it rests on, beside the checkpoints."""

    folder: Path | None
    """Theirs; None = nothing is remembered."""

    chips: dict[str, ChipBasis]
    """What is known of each."""

    numbers: dict[str, ScoredAlert]
    """What the networks say of each that has a score."""

    listed: list[tuple[str, str]]
    """Alert id and digest of those on record."""

    used: set[str] = field(default_factory=set)
    """Digests that this scan needs; the others are forgotten."""

    @classmethod
    def read(cls, folder: Path | None) -> Self:
        """Read the records; what is missing or damaged is scored again."""
        if folder is None:
            return cls(None, {}, {}, [])
        scored = read_scored(folder / SCORED)
        numbers = {one.key: one for one in scored}
        chips = {key: chip for key, chip in _read_chips(folder).items() if chip.score is None or key in numbers}
        return cls(folder, chips, numbers, [(one.alert_id, one.key) for one in scored])

    def add(self, key: str, version: str, likeness: Likeness, number: int) -> None:
        """Remember what the networks say of a chip."""
        score, doubt, strangeness = (float(getattr(likeness, name)[number]) for name in ("score", "doubt", "strangeness"))
        features = likeness.features[number].astype(np.float16)
        self.numbers[key] = ScoredAlert("", key, version, score, doubt, strangeness, likeness.grounds[number], features)

    def render(self, key: str, layer: HomeVersion | None) -> ChipBasis:
        """Return what is known of a chip, with the score after a layer of the workspace's own."""
        chip = self.chips[key]
        if layer is None or chip.score is None:
            return chip
        own = self.numbers[key]
        return replace(chip, score=round(float(apply_home_layer(layer.layer, [own.score], own.features[None])[0]), 2))

    def write(self, keys: Mapping[str, str]) -> None:
        """Write what changed; ``keys`` are the chips of alerts by alert id."""
        if self.folder is None:
            return
        kept = {key: self.chips[key] for key in sorted(self.used) if self.chips[key].not_scored not in PASSING}
        scored = [(alert_id, key) for alert_id, key in sorted(keys.items()) if self.chips[key].score is not None]
        with contextlib.suppress(OSError, WorkspaceError):  # then the next scan scores them again
            if kept != _read_chips(self.folder):
                body = json.dumps({key: asdict(chip) for key, chip in kept.items()}).encode()
                publish_bytes(make_private_folder(self.folder) / NAME, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            if scored != self.listed:
                write_scored(self.folder / SCORED, [replace(self.numbers[key], alert_id=alert_id) for alert_id, key in scored])


def _read_chips(folder: Path) -> dict[str, ChipBasis]:
    """Return what is on record of chips by their digests; nothing where there is no record, or a damaged one."""
    try:
        head, _, body = (folder / NAME).read_bytes().partition(b"\n")
        if head.decode("ascii") != hashlib.sha256(body).hexdigest():
            return {}
        return {str(key): parse_chip(facts) for key, facts in json.loads(body).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
