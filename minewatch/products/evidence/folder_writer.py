"""Writes the folders of evidence: each once, under a temporary name that is changed when it is whole."""

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
from minewatch.products.evidence.image_writer import EvidenceImageRequest, describe_failure, find_datatake, write_evidence_images
from minewatch.products.evidence.look_choice import EvidenceLooks, LookChoice, choose_looks
from minewatch.products.evidence.manifest import IMAGES, list_software, write_manifest
from minewatch.products.evidence.signing import Signer, read_signer
from minewatch.products.evidence.timestamp_queue import queue_timestamp
from minewatch.settings.document import read_settings
from minewatch.settings.pipeline import render_pipeline
from minewatch.sources.scene import Scene
from minewatch.sources.stac import Source


@dataclass(frozen=True)
class EvidenceInput:
    """What a scan knows of one area when its alerts are final."""

    area: AreaPlan
    """The plan of the area."""

    source: Source
    """Where the scenes came from."""

    scenes: Sequence[Scene]
    """The scenes that the source listed."""

    observations: Sequence[Observation]
    """The observations that the result rests on."""

    alerts: Sequence[Alert]
    """With the status that they have after people's decisions."""

    context: Mapping[str, Cells]
    """Alert id to its columns of context."""

    run_id: str
    """Id of the scan."""


@dataclass(frozen=True)
class EvidenceResult:
    """The evidence of one area that a scan wrote or could not write."""

    written: tuple[str, ...] = ()
    """Alerts whose folder was written."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Alert to why its folder could not be written; the next scan tries again."""


def write_evidence(workspace: Workspace, scan: EvidenceInput) -> EvidenceResult:
    """Write the folder of each confirmed alert that has none yet; failures are reported and never stop a scan.

    Only a scan that holds the lock of the workspace may call it.
    """
    confirmed = [alert for alert in scan.alerts if alert.confirmed_on and alert.status != DISMISSED]
    missing = confirmed
    try:
        for name in list_names(workspace.evidence):
            if name.startswith(TEMPORARY_PREFIX):  # of a scan that was cut off
                shutil.rmtree(workspace.evidence / name, ignore_errors=True)
        missing = _list_missing(workspace, scan.alerts, confirmed)
        signer = find_signer(workspace) if missing else None
        folders = {alert.alert_id: _make_temp_folder(workspace.evidence) for alert in missing}
    except (MinewatchError, OSError) as error:
        return EvidenceResult((), {alert.alert_id: describe_failure(error) for alert in missing})
    try:
        return _write_folders(workspace, scan, missing, folders, signer)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def _write_folders(
    workspace: Workspace, scan: EvidenceInput, missing: Sequence[Alert], folders: Mapping[str, Path], signer: Signer | None
) -> EvidenceResult:
    failed: dict[str, str] = {}
    looks = _choose_looks(scan, missing, failed)
    requests = [request for name in looks for request in _list_requests(scan, name, looks[name], folders[name])]
    failed |= write_evidence_images(scan.area.grid, requests)
    written = []
    for alert in missing:
        if alert.alert_id not in failed:
            try:
                _complete_folder(workspace, scan, alert, looks[alert.alert_id], folders[alert.alert_id], signer)
                written.append(alert.alert_id)
            except (MinewatchError, OSError) as error:
                failed[alert.alert_id] = describe_failure(error)
    return EvidenceResult(tuple(written), failed)


def find_signer(workspace: Workspace, key: Path | None = None) -> Signer | None:
    """Read the signing key in file ``key``, else that of the settings; None where neither is given."""
    stated = read_settings(workspace).signing_key
    path = key or (workspace.root / Path(stated).expanduser() if stated else None)
    return read_signer(path) if path else None


def _list_missing(workspace: Workspace, alerts: Sequence[Alert], confirmed: Sequence[Alert]) -> list[Alert]:
    """Return the confirmed alerts that have no folder under this or an earlier id."""
    known = list_names(workspace.evidence)
    for name in known - {alert.alert_id for alert in alerts}:
        with contextlib.suppress(AlertsError):  # of another area, or withdrawn
            known = known | {find_alert(workspace.alerts, name)}
    return [alert for alert in confirmed if alert.alert_id not in known]


def _make_temp_folder(parent: Path) -> Path:
    make_private_folder(parent)
    folder = parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    return folder


# --- images ----------------------------------------------------------------------------------------------------------


def _choose_looks(scan: EvidenceInput, alerts: Sequence[Alert], failed: dict[str, str]) -> dict[str, EvidenceLooks]:
    listed = {scene.id for scene in scan.scenes}
    chosen: dict[str, EvidenceLooks] = {}
    for alert in alerts:
        try:
            chosen[alert.alert_id] = choose_looks(scan.area, scan.observations, alert, listed)
        except (MinewatchError, OSError) as error:
            failed[alert.alert_id] = describe_failure(error)
    return chosen


def _list_requests(scan: EvidenceInput, alert_id: str, looks: EvidenceLooks, folder: Path) -> Iterator[EvidenceImageRequest]:
    for name, look in zip(IMAGES, (looks.before.chosen, looks.after.chosen), strict=True):
        datatake = find_datatake(look.key, look.time, look.sources, scan.scenes, scan.source.name)
        yield EvidenceImageRequest(alert_id, name, datatake, looks.window, folder)


# --- the other files -------------------------------------------------------------------------------------------------


def _complete_folder(
    workspace: Workspace, scan: EvidenceInput, alert: Alert, looks: EvidenceLooks, folder: Path, signer: Signer | None
) -> None:
    """Write the other files and the manifest, record who made it in the custody log, and give the folder its name."""
    for observation, data in zip(looks.all, read_files([o.item for o in looks.all]), strict=True):
        (folder / f"observation-{observation.item.name}").write_bytes(data)
    _write_json(folder / "alert.geojson", _describe_alert(alert, scan))
    (folder / "pipeline.toml").write_text(render_pipeline(scan.area.pipeline), "utf-8")
    _write_json(folder / "software.json", list_software())
    sha256 = write_manifest(folder, _describe_evidence(scan, alert, looks), signer)
    for path in folder.iterdir():
        path.chmod(0o600)
        sync(path)
    sync(folder)
    # The line comes first: a folder must never be without one; after a crash in between the next scan makes the folder.
    record_custody(workspace.custody, "made", alert.alert_id, sha256, f"scan {scan.run_id}")
    queue_timestamp(workspace, alert.alert_id, sha256)
    folder.rename(workspace.evidence / alert.alert_id)
    sync(workspace.evidence)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(render_json(value, default=str) + "\n", "utf-8")


def _describe_alert(alert: Alert, scan: EvidenceInput) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(alert).items() if name != "geometry"}
    plan = {"pipeline": scan.area.pipeline_name, "as_of": scan.area.until.isoformat(), "run_id": scan.run_id}
    properties = {**facts, **scan.context.get(alert.alert_id, {}), **plan}
    feature = {"type": "Feature", "geometry": mapping(alert.geometry), "properties": properties}
    return {"type": "FeatureCollection", "features": [feature]}


def _describe_evidence(scan: EvidenceInput, alert: Alert, looks: EvidenceLooks) -> dict[str, Any]:
    area, grid = scan.area, scan.area.grid
    window = looks.window
    return {
        "alert_id": alert.alert_id,
        "aoi": area.aoi.name,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "run_id": scan.run_id,
        "what_if": area.what_if,
        "monitor_from": area.monitor_from.isoformat(),
        "as_of": area.until.isoformat(),
        "pipeline": {"name": area.pipeline_name, "digest": area.pipeline.digest},
        "source": {"name": scan.source.name, "root": hide_secrets(scan.source.root)},
        "grid": {
            "name": describe_grid(grid),
            "epsg": grid.epsg,
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            "window": [window.row, window.column, window.height, window.width],
        },
        "images": {
            name: _describe_image(choice, scan.scenes) for name, choice in zip(IMAGES, (looks.before, looks.after), strict=True)
        },
        "looks": [_describe_look(observation) for observation in looks.all],
        "observations": [observation.item.stem for observation in scan.observations],
    }


def _describe_look(observation: Observation) -> dict[str, Any]:
    return {"acquired": observation.time.isoformat(), "item": observation.item.stem, "scenes": list(observation.source_ids)}


def _describe_image(choice: LookChoice, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return what an image was read from: source items with baseline, offset, and the checksums that the provider states.

    Where the source no longer lists the preferred, clearer look, that look is named too.
    """
    observation = choice.chosen
    stated = {scene.id: dict(scene.checksums) for scene in scenes}
    names = ("id", "source", "tile", "baseline", "offset", "offset_reason")
    sources = [
        {name: record[name] for name in names} | {"checksums": stated.get(str(record["id"]), {})}
        for record in observation.sources
    ]
    description: dict[str, Any] = {
        "acquired": observation.time.isoformat(),
        "key": observation.key,
        "item": observation.item.stem,
        "sources": sources,
    }
    if choice.missing_scenes:
        description["preferred"] = _describe_look(choice.preferred) | {
            "not_taken": f"the source does not list {', '.join(choice.missing_scenes)} any more; the next clearest look was taken"
        }
    return description
