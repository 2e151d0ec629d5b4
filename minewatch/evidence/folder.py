"""Writes the folders of evidence: each once, beside its place and by rename, and never again."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

from minewatch.alerts.record import DISMISSED, Alert
from minewatch.alerts.reviews import find_alert
from minewatch.archive import Observation, describe_grid
from minewatch.context import Cells
from minewatch.custody import record_custody
from minewatch.errors import AlertsError, EvidenceError, MinewatchError, describe
from minewatch.evidence.chip import name_bands, read_chip, write_chip
from minewatch.evidence.looks import Looks, choose_looks
from minewatch.evidence.manifest import IMAGES, list_software, write_manifest
from minewatch.evidence.signature import Signer, read_signer
from minewatch.files import TEMPORARY_PREFIX, list_names, make_private_folder, read_files, sync
from minewatch.grid import Grid
from minewatch.pipeline import render_pipeline
from minewatch.plan import AreaPlan
from minewatch.read import open_datatake
from minewatch.scene import Datatake, Scene
from minewatch.settings import read_settings
from minewatch.source import Source
from minewatch.text import render_json
from minewatch.trust import hide_secrets
from minewatch.workspace import Workspace


@dataclass(frozen=True)
class Finding:
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
class Kept:
    """What became of the evidence of one area in a scan."""

    written: tuple[str, ...] = ()
    """Alerts whose folder was written."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Alert to why its folder could not be written; the next scan tries again."""


@dataclass(frozen=True)
class _Image:
    """One of the two images of an alert."""

    alert: Alert
    """Which."""

    name: str
    """One of IMAGES."""

    take: Datatake
    """What it is read from."""

    looks: Looks
    """Of the alert."""

    folder: Path
    """Where it goes."""


def keep_evidence(workspace: Workspace, finding: Finding) -> Kept:
    """Write the folder of each alert that is confirmed and has none yet; what fails is named and never stops a scan.

    Only for the scan that holds the workspace.
    """
    missing = _list_missing(workspace, finding.alerts)
    if not missing:
        return Kept()
    try:
        signer = find_signer(workspace)
        make_private_folder(workspace.evidence)
        _remove_leftovers(workspace.evidence)
    except (MinewatchError, OSError) as error:
        return Kept((), {alert.alert_id: _explain(error) for alert in missing})
    failed: dict[str, str] = {}
    folders = {alert.alert_id: _make_draft(workspace.evidence) for alert in missing}
    try:
        looks = _read_images(finding, missing, folders, failed)
        written = []
        for alert in missing:
            if alert.alert_id not in failed:
                try:
                    _finish(workspace, finding, alert, looks[alert.alert_id], folders[alert.alert_id], signer)
                    written.append(alert.alert_id)
                except (MinewatchError, OSError) as error:
                    failed[alert.alert_id] = _explain(error)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
    return Kept(tuple(written), failed)


def find_signer(workspace: Workspace, key: Path | None = None) -> Signer | None:
    """Read the key that was named, else the one of the settings; None where there is none."""
    stated = read_settings(workspace).signing_key
    path = key or (workspace.root / Path(stated).expanduser() if stated else None)
    return read_signer(path) if path else None


def _list_missing(workspace: Workspace, alerts: Sequence[Alert]) -> list[Alert]:
    """Choose the alerts that were confirmed and have no folder, under this or an earlier id."""
    known = list_names(workspace.evidence)
    for name in known - {alert.alert_id for alert in alerts}:
        with contextlib.suppress(AlertsError):  # of another area, withdrawn, or a draft
            known = known | {find_alert(workspace.alerts, name)}
    return [alert for alert in alerts if alert.confirmed_on and alert.status != DISMISSED and alert.alert_id not in known]


def _explain(error: BaseException) -> str:
    return describe(error) if isinstance(error, MinewatchError) else f"{type(error).__name__}: {getattr(error, 'strerror', '')}"


def _make_draft(folder: Path) -> Path:
    draft = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}"
    draft.mkdir(mode=0o700)
    return draft


def _remove_leftovers(folder: Path) -> None:
    """Delete what a scan that was cut off left."""
    for name in list_names(folder):
        if name.startswith(TEMPORARY_PREFIX):
            shutil.rmtree(folder / name, ignore_errors=True)


# --- images ----------------------------------------------------------------------------------------------------------


def _read_images(
    finding: Finding, alerts: Sequence[Alert], folders: Mapping[str, Path], failed: dict[str, str]
) -> dict[str, Looks]:
    """Read before and after of all alerts, each overpass opened once; what fails goes to ``failed``."""
    chosen: dict[str, Looks] = {}
    jobs: dict[str, list[_Image]] = defaultdict(list)
    for alert in alerts:
        try:
            looks = chosen[alert.alert_id] = choose_looks(finding.area, finding.observations, alert)
            for name, observation in zip(IMAGES, (looks.before, looks.after), strict=True):
                take = find_take(observation.key, observation.time, observation.sources, finding.scenes, finding.source.name)
                jobs[take.key].append(_Image(alert, name, take, looks, folders[alert.alert_id]))
        except (MinewatchError, OSError) as error:
            failed[alert.alert_id] = _explain(error)
    for images in jobs.values():
        _read_overpass(finding.area.grid, [image for image in images if image.alert.alert_id not in failed], failed)
    return chosen


def find_take(
    key: str, time: dt.datetime, sources: Sequence[Mapping[str, Any]], scenes: Sequence[Scene], source: str
) -> Datatake:
    """Find the scenes that an observation was made from, each with the offset that was decided then.

    Raises EvidenceError where the source does not list one of them any more.
    """
    listed = {scene.id: scene for scene in scenes}
    gone = sorted(str(record["id"]) for record in sources if record["id"] not in listed)
    if gone:
        raise EvidenceError(f"source {source} does not list {', '.join(gone)}")
    found = []
    for record in sources:
        scene = listed[str(record["id"])]
        is_same = record["source"] == scene.source
        found.append(
            replace(scene, offset=int(record["offset"]), offset_reason=str(record["offset_reason"])) if is_same else scene
        )
    return Datatake(key, time, tuple(sorted(found, key=lambda scene: scene.id)))


def _read_overpass(grid: Grid, images: Sequence[_Image], failed: dict[str, str]) -> None:
    if not images:
        return
    bands = name_bands(images[0].take.scenes)
    with open_datatake(images[0].take, grid) as reader:
        reader.expect(["scl", *bands], [image.looks.window for image in images])
        for image in images:
            try:
                chip, place = read_chip(reader, bands, image.looks.window), image.folder / f"{image.name}.tif"
                classes = place.with_name(f"{image.name}-scl.tif")
                write_chip(chip, place, classes, grid, image.looks.window, _tag(image))
            except (MinewatchError, OSError) as error:
                failed[image.alert.alert_id] = _explain(error)


def _tag(image: _Image) -> dict[str, str]:
    scenes = ", ".join(scene.id for scene in image.take.scenes)
    return {"alert_id": image.alert.alert_id, "image": image.name, "acquired": image.take.time.isoformat(), "scenes": scenes}


# --- the other files -------------------------------------------------------------------------------------------------


def _finish(workspace: Workspace, finding: Finding, alert: Alert, looks: Looks, draft: Path, signer: Signer | None) -> None:
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


def _describe_alert(alert: Alert, finding: Finding) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(alert).items() if name != "geometry"}
    plan = {"pipeline": finding.area.pipeline_name, "as_of": finding.area.until.isoformat(), "run_id": finding.run_id}
    properties = {**facts, **finding.context.get(alert.alert_id, {}), **plan}
    feature = {"type": "Feature", "geometry": mapping(alert.geometry), "properties": properties}
    return {"type": "FeatureCollection", "features": [feature]}


def _describe_evidence(finding: Finding, alert: Alert, looks: Looks) -> dict[str, Any]:
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
            name: _describe_image(observation, finding.scenes)
            for name, observation in zip(IMAGES, (looks.before, looks.after), strict=True)
        },
        "looks": [_describe_look(observation) for observation in looks.all],
        "observations": [observation.item.stem for observation in finding.observations],
    }


def _describe_look(observation: Observation) -> dict[str, Any]:
    return {"acquired": observation.time.isoformat(), "item": observation.item.stem, "scenes": list(observation.source_ids)}


def _describe_image(observation: Observation, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Say what an image was read from: source items with baseline, offset, and the checksums that the provider states."""
    stated = {scene.id: dict(scene.checksums) for scene in scenes}
    kept = ("id", "source", "tile", "baseline", "offset", "offset_reason")
    sources = [
        {name: record[name] for name in kept} | {"checksums": stated.get(str(record["id"]), {})} for record in observation.sources
    ]
    return {"acquired": observation.time.isoformat(), "key": observation.key, "item": observation.item.stem, "sources": sources}
