"""Writes the folders of evidence: each once, beside its place and by rename, and never again."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

from minewatch.alerts.context.place import Cells
from minewatch.alerts.record import DISMISSED, Alert
from minewatch.alerts.reviews import find_alert
from minewatch.archive.item import Observation, describe_grid
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import AlertsError, MinewatchError
from minewatch.core.files import list_names, make_private_folder, read_files, sync
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.text import render_json
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import record_custody
from minewatch.products.evidence.image_writer import EvidenceImageRequest, explain, find_take, write_images
from minewatch.products.evidence.look_choice import EvidenceLooks, LookChoice, choose_looks
from minewatch.products.evidence.manifest import IMAGES, list_software, write_manifest
from minewatch.products.evidence.signing import Signer, read_signer
from minewatch.settings.document import read_settings
from minewatch.settings.pipeline import render_pipeline
from minewatch.sources.scene import Scene
from minewatch.sources.stac import Source


@dataclass(frozen=True)
class EvidenceInput:
    """What a scan knows of one area when its alerts are settled."""

    area: AreaPlan
    """What was asked."""

    source: Source
    """Where scenes came from."""

    scenes: Sequence[Scene]
    """What the source listed."""

    observations: Sequence[Observation]
    """What the result rests on."""

    alerts: Sequence[Alert]
    """With the status that people's decisions leave them."""

    context: Mapping[str, Cells]
    """Alert id to where it lies in law and landscape."""

    run_id: str
    """The scan."""


@dataclass(frozen=True)
class EvidenceResult:
    """What became of the evidence of one area in a scan."""

    written: tuple[str, ...] = ()
    """Alerts whose folder was written."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Alert to why its folder could not be written; the next scan tries again."""


def keep_evidence(workspace: Workspace, finding: EvidenceInput) -> EvidenceResult:
    """Write the folder of each alert that is confirmed and has none yet; what fails is named and never stops a scan.

    Only for the scan that holds the workspace.
    """
    confirmed = [alert for alert in finding.alerts if alert.confirmed_on and alert.status != DISMISSED]
    missing = confirmed
    try:
        _remove_leftovers(workspace.evidence)
        missing = _list_missing(workspace, finding.alerts, confirmed)
        signer = find_signer(workspace) if missing else None
        folders = {alert.alert_id: _make_draft(workspace.evidence) for alert in missing}
    except (MinewatchError, OSError) as error:
        return EvidenceResult((), {alert.alert_id: explain(error) for alert in missing})
    try:
        return _keep(workspace, finding, missing, folders, signer)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def _keep(
    workspace: Workspace, finding: EvidenceInput, missing: Sequence[Alert], folders: Mapping[str, Path], signer: Signer | None
) -> EvidenceResult:
    failed: dict[str, str] = {}
    looks = _choose_looks(finding, missing, failed)
    shots = [shot for alert_id in looks for shot in _list_shots(finding, alert_id, looks[alert_id], folders[alert_id])]
    failed |= write_images(finding.area.grid, shots)
    written = []
    for alert in missing:
        if alert.alert_id not in failed:
            try:
                _finish(workspace, finding, alert, looks[alert.alert_id], folders[alert.alert_id], signer)
                written.append(alert.alert_id)
            except (MinewatchError, OSError) as error:
                failed[alert.alert_id] = explain(error)
    return EvidenceResult(tuple(written), failed)


def find_signer(workspace: Workspace, key: Path | None = None) -> Signer | None:
    """Read the key that was named, else the one of the settings; None where there is none."""
    stated = read_settings(workspace).signing_key
    path = key or (workspace.root / Path(stated).expanduser() if stated else None)
    return read_signer(path) if path else None


def _list_missing(workspace: Workspace, alerts: Sequence[Alert], confirmed: Sequence[Alert]) -> list[Alert]:
    """Choose the confirmed alerts that have no folder, under this or an earlier id."""
    known = list_names(workspace.evidence)
    for name in known - {alert.alert_id for alert in alerts}:
        with contextlib.suppress(AlertsError):  # of another area, or withdrawn
            known = known | {find_alert(workspace.alerts, name)}
    return [alert for alert in confirmed if alert.alert_id not in known]


def _make_draft(folder: Path) -> Path:
    make_private_folder(folder)
    draft = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}"
    draft.mkdir(mode=0o700)
    return draft


def _remove_leftovers(folder: Path) -> None:
    """Delete what a scan that was cut off left."""
    for name in list_names(folder):
        if name.startswith(TEMPORARY_PREFIX):
            shutil.rmtree(folder / name, ignore_errors=True)


# --- images ----------------------------------------------------------------------------------------------------------


def _choose_looks(finding: EvidenceInput, alerts: Sequence[Alert], failed: dict[str, str]) -> dict[str, EvidenceLooks]:
    listed = {scene.id for scene in finding.scenes}
    chosen: dict[str, EvidenceLooks] = {}
    for alert in alerts:
        try:
            chosen[alert.alert_id] = choose_looks(finding.area, finding.observations, alert, listed)
        except (MinewatchError, OSError) as error:
            failed[alert.alert_id] = explain(error)
    return chosen


def _list_shots(finding: EvidenceInput, alert_id: str, looks: EvidenceLooks, folder: Path) -> Iterator[EvidenceImageRequest]:
    for name, look in zip(IMAGES, (looks.before.taken, looks.after.taken), strict=True):
        take = find_take(look.key, look.time, look.sources, finding.scenes, finding.source.name)
        yield EvidenceImageRequest(alert_id, name, take, looks.window, folder)


# --- the other files -------------------------------------------------------------------------------------------------


def _finish(
    workspace: Workspace, finding: EvidenceInput, alert: Alert, looks: EvidenceLooks, draft: Path, signer: Signer | None
) -> None:
    """Write the other files and the manifest, note who made it, and give the folder its name."""
    for observation, data in zip(looks.all, read_files([o.item for o in looks.all]), strict=True):
        (draft / f"observation-{observation.item.name}").write_bytes(data)
    _write_json(draft / "alert.geojson", _describe_alert(alert, finding))
    (draft / "pipeline.toml").write_text(render_pipeline(finding.area.pipeline), "utf-8")
    _write_json(draft / "software.json", list_software())
    sha256 = write_manifest(draft, _describe_evidence(finding, alert, looks), signer)
    for path in draft.iterdir():
        path.chmod(0o600)
        sync(path)
    sync(draft)
    # The line comes first: a folder without one would be nobody's, and one that a crash left out is made by the next scan.
    record_custody(workspace.custody, "made", alert.alert_id, sha256, f"scan {finding.run_id}")
    draft.rename(workspace.evidence / alert.alert_id)
    sync(workspace.evidence)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(render_json(value, default=str) + "\n", "utf-8")


def _describe_alert(alert: Alert, finding: EvidenceInput) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(alert).items() if name != "geometry"}
    plan = {"pipeline": finding.area.pipeline_name, "as_of": finding.area.until.isoformat(), "run_id": finding.run_id}
    properties = {**facts, **finding.context.get(alert.alert_id, {}), **plan}
    feature = {"type": "Feature", "geometry": mapping(alert.geometry), "properties": properties}
    return {"type": "FeatureCollection", "features": [feature]}


def _describe_evidence(finding: EvidenceInput, alert: Alert, looks: EvidenceLooks) -> dict[str, Any]:
    area, grid = finding.area, finding.area.grid
    window = looks.window
    return {
        "alert_id": alert.alert_id,
        "aoi": area.aoi.name,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "run_id": finding.run_id,
        "what_if": area.what_if,
        "monitor_from": area.monitor_from.isoformat(),
        "as_of": area.until.isoformat(),
        "pipeline": {"name": area.pipeline_name, "digest": area.pipeline.digest},
        "source": {"name": finding.source.name, "root": hide_secrets(finding.source.root)},
        "grid": {
            "name": describe_grid(grid),
            "epsg": grid.epsg,
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            "window": [window.row, window.column, window.height, window.width],
        },
        "images": {
            name: _describe_image(choice, finding.scenes)
            for name, choice in zip(IMAGES, (looks.before, looks.after), strict=True)
        },
        "looks": [_describe_look(observation) for observation in looks.all],
        "observations": [observation.item.stem for observation in finding.observations],
    }


def _describe_look(observation: Observation) -> dict[str, Any]:
    return {"acquired": observation.time.isoformat(), "item": observation.item.stem, "scenes": list(observation.source_ids)}


def _describe_image(choice: LookChoice, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Say what an image was read from: source items with baseline, offset, and the checksums that the provider states.

    Where a clearer look would have been preferred, say which, and why it was not taken.
    """
    observation = choice.taken
    stated = {scene.id: dict(scene.checksums) for scene in scenes}
    kept = ("id", "source", "tile", "baseline", "offset", "offset_reason")
    sources = [
        {name: record[name] for name in kept} | {"checksums": stated.get(str(record["id"]), {})} for record in observation.sources
    ]
    told: dict[str, Any] = {
        "acquired": observation.time.isoformat(),
        "key": observation.key,
        "item": observation.item.stem,
        "sources": sources,
    }
    if choice.gone:
        told["preferred"] = _describe_look(choice.preferred) | {
            "not_taken": f"the source does not list {', '.join(choice.gone)} any more; the next clearest look was taken"
        }
    return told
