"""Writes the folders of evidence: each once, under a temporary name that is changed when it is whole.

An alert that has grown gets an addendum, a folder within its own; nothing on file is changed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from minewatch.alerts.context.layer import ContextLayer
from minewatch.alerts.record import DISMISSED, Alert, AlertStage
from minewatch.alerts.rows import find_current_ids
from minewatch.archive.item import Observation, describe_grid
from minewatch.archive.stac_item import credit_observations
from minewatch.archive.stack import batch_windows
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import MinewatchError
from minewatch.core.files import list_names, make_private_folder, sync
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import Workspace
from minewatch.detection.scene_quality import SceneQuality
from minewatch.products.evidence.addenda import choose_stages, read_latest, takes_addenda
from minewatch.products.evidence.custody_log import record_custody, record_custody_of_all
from minewatch.products.evidence.folder_content import (
    find_chip,
    list_margins,
    recompute_confirmation,
    render_alert,
    render_content,
    write_content,
)
from minewatch.products.evidence.image_writer import EvidenceImageRequest, describe_failure, find_datatake, writing_images
from minewatch.products.evidence.look_choice import EvidenceLooks, choose_look, choose_looks, find_window
from minewatch.products.evidence.manifest import AFTER, ALERT, GROWTH, write_manifest
from minewatch.products.evidence.observation_chips import ArchivedLooks
from minewatch.products.evidence.signing import Signer, read_signer
from minewatch.products.evidence.timestamp_queue import queue_timestamps
from minewatch.raster.gdal import gdal_environment
from minewatch.settings.document import read_settings
from minewatch.sources.scene import Scene
from minewatch.sources.stac import Source

MOST_SYNCED = 100
"""Files that are put on the disk one by one; more of them, a hundred for each alert, all together."""


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

    scene_quality: SceneQuality
    """Of each look, over the whole area."""

    layers: Sequence[ContextLayer]
    """The context layers."""

    run_id: str
    """Id of the scan."""


@dataclass(frozen=True)
class EvidenceResult:
    """The evidence of one area that a scan wrote or could not write."""

    written: tuple[str, ...] = ()
    """Alerts whose folder was written."""

    extended: tuple[str, ...] = ()
    """Alerts that had grown and whose folder got an addendum."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Alert to why its folder could not be written; the next scan tries again."""


@dataclass(frozen=True, eq=False)
class _Draft:
    """A folder that is being written."""

    alert: Alert
    """Whose it is."""

    stage: AlertStage
    """As of which look."""

    looks: EvidenceLooks
    """What its images show."""

    temp: Path
    """Where it is written."""

    target: Path
    """Where it will lie."""

    @property
    def is_addendum(self) -> bool:
        """True if it lies in the folder that the alert has."""
        return self.target.name.startswith(GROWTH)


@dataclass(frozen=True)
class _Content:
    """The files of a folder, besides the manifest."""

    facts: dict[str, Any]
    """What the manifest says of them as a whole."""

    files: Mapping[str, dict[str, Any]]
    """What it says of each."""

    def add(self, files: Mapping[str, dict[str, Any]]) -> _Content:
        """Return it with more files."""
        return replace(self, files={**self.files, **files})


class EvidenceFolders:
    """The folders that a workspace has, looked up once for all areas of a scan."""

    def __init__(self, workspace: Workspace) -> None:
        """Take the workspace; nothing is read yet."""
        self.workspace = workspace

    @cached_property
    def known(self) -> Mapping[str, Path]:
        """Alert id to its folder, which may have the name of an earlier id; what a scan that was cut off left is deleted.

        Raises MinewatchError or OSError.
        """
        root = self.workspace.evidence
        _clean(root)
        names = sorted(list_names(root))
        folders = {name: root / name for name in names}
        renamed = find_current_ids(self.workspace.alerts, names) if names else {}
        for name, alert_id in renamed.items():
            folders.setdefault(alert_id, root / name)
        return folders


def write_evidence(workspace: Workspace, scan: EvidenceInput, folders: EvidenceFolders | None = None) -> EvidenceResult:
    """Write what is not on file of the confirmed alerts; failures are reported and never stop a scan.

    An alert without a folder gets one; one that has grown since gets an addendum.  Only a scan that holds the lock of the
    workspace may call it; for several areas it gives their ``folders``.
    """
    confirmed = [alert for alert in scan.alerts if alert.confirmed_on and alert.stages and alert.status != DISMISSED]
    try:
        known = (folders or EvidenceFolders(workspace)).known
        signer = find_signer(workspace) if confirmed else None
    except (MinewatchError, OSError) as error:
        return EvidenceResult(failed={alert.alert_id: describe_failure(error) for alert in confirmed})
    failed: dict[str, str] = {}
    drafts: list[_Draft] = []
    try:
        for alert in confirmed:
            try:
                drafts += _plan(workspace, scan, alert, known.get(alert.alert_id))
            except (MinewatchError, OSError) as error:
                failed[alert.alert_id] = describe_failure(error)
        return _write_drafts(workspace, scan, drafts, failed, signer)
    finally:
        for draft in drafts:
            shutil.rmtree(draft.temp, ignore_errors=True)


def _clean(folder: Path) -> None:
    """Delete what a scan that was cut off has left."""
    for name in list_names(folder):
        if name.startswith(TEMPORARY_PREFIX):
            shutil.rmtree(folder / name, ignore_errors=True)


def _plan(workspace: Workspace, scan: EvidenceInput, alert: Alert, folder: Path | None) -> Iterator[_Draft]:
    """Yield the folders to write for an alert: its first one, and one for each stage that is not on file."""
    listed = {scene.id for scene in scan.scenes}
    target = folder or workspace.evidence / alert.alert_id
    first, area = alert.stages[0], scan.area
    if folder is None:
        looks = choose_looks(area, scan.observations, alert, first, listed)
        yield _Draft(alert, first, looks, _make_temp_folder(workspace.evidence), target)
    if folder is not None and not takes_addenda(folder):
        return
    later = choose_stages(alert, read_latest(folder)) if folder else alert.stages[1:]
    for stage in later:
        look = choose_look(area, scan.observations, stage, stage.date, listed)
        shown = ({}, {AFTER: look}) if isinstance(look, str) else ({AFTER: look}, {})
        looks = EvidenceLooks(*shown, find_window(area.grid, stage.geometry))
        yield _Draft(alert, stage, looks, _make_temp_folder(workspace.evidence), target / f"{GROWTH}{stage.date}")


def _write_drafts(
    workspace: Workspace, scan: EvidenceInput, drafts: Sequence[_Draft], failed: dict[str, str], signer: Signer | None
) -> EvidenceResult:
    requests = [request for draft in drafts for request in _list_requests(scan, draft)]
    first, later = ([draft for draft in drafts if draft.is_addendum == growth] for growth in (False, True))
    # Within an environment, each outline and mask that GDAL draws makes none of its own.
    with gdal_environment(), writing_images(scan.area.grid, requests) as wait_for_images:
        contents = _write_contents(scan, first, failed)
        images = wait_for_images()
    failed |= {draft.alert.alert_id: images.failed[draft.temp] for draft in drafts if draft.temp in images.failed}
    contents = {temp: content.add(images.files[temp]) for temp, content in contents.items() if temp in images.files}
    written = _publish(workspace, scan, first, contents, failed, signer)
    extended: dict[str, None] = {}
    for draft in later:  # each is chained to the one before it
        if draft.alert.alert_id not in failed:
            with _noting_failure(draft, failed):
                contents[draft.temp] = _write_addendum(scan, draft).add(images.files.get(draft.temp, {}))
            extended |= dict.fromkeys(_publish(workspace, scan, [draft], contents, failed, signer))
    return EvidenceResult(tuple(written), tuple(extended), failed)


def _write_contents(scan: EvidenceInput, drafts: Sequence[_Draft], failed: dict[str, str]) -> dict[Path, _Content]:
    """Write what the confirmations rest on, besides the images, into the folders."""
    archived = ArchivedLooks(scan.observations, scan.area.grid)
    contents: dict[Path, _Content] = {}
    margin, _ = list_margins(scan.area)
    chips = {draft.temp: find_chip(scan.area, draft.stage, margin)[1] for draft in drafts}
    by_folder = {draft.temp: draft for draft in drafts}
    for batch in batch_windows(chips, len(scan.observations)):
        with contextlib.suppress(MinewatchError, OSError):  # each chip is read alone then, and its folder says what fails
            archived.prefetch(batch.values())
        for folder in batch:
            with _noting_failure(by_folder[folder], failed):
                contents[folder] = _write_first(scan, archived, by_folder[folder])
    return contents


def _publish(
    workspace: Workspace,
    scan: EvidenceInput,
    drafts: Sequence[_Draft],
    contents: Mapping[Path, _Content],
    failed: dict[str, str],
    signer: Signer | None,
) -> list[str]:
    """Complete folders, first ones or one addendum, and give them their names; return the alerts whose folder was written."""
    manifests: dict[Path, str] = {}
    for draft in drafts:
        with _noting_failure(draft, failed):
            if draft.alert.alert_id not in failed:
                content = contents[draft.temp]
                facts = _describe_draft(scan, draft) | content.facts
                manifests[draft.temp] = write_manifest(draft.temp, facts, content.files, signer)
    _put_on_disk(list(manifests))
    complete = [draft for draft in drafts if draft.temp in manifests]
    try:
        _record(workspace, scan, {draft: manifests[draft.temp] for draft in complete}, signer)
    except (MinewatchError, OSError) as error:
        failed |= {draft.alert.alert_id: describe_failure(error) for draft in complete}
        return []
    done = []
    for draft in complete:
        with _noting_failure(draft, failed):
            draft.temp.rename(draft.target)
            done.append(draft)
    for folder in {draft.target.parent for draft in done}:
        sync(folder)
    return [draft.alert.alert_id for draft in done]


def _record(workspace: Workspace, scan: EvidenceInput, manifests: Mapping[_Draft, str], signer: Signer | None) -> None:
    """Record in the custody log who made folders that are on the disk, and let their manifests wait for a time stamp.

    The lines come before the folders get their names: a folder must never be without one; after a crash in between the next
    scan makes the folders.
    """
    made = {draft.target.name: sha256 for draft, sha256 in manifests.items() if not draft.is_addendum}
    record_custody_of_all(workspace.custody, "made", made, f"scan {scan.run_id}", signer=signer)
    added = {draft.target: sha256 for draft, sha256 in manifests.items() if draft.is_addendum}
    for target, sha256 in added.items():
        record_custody(
            workspace.custody, "extended", target.parent.name, sha256, f"{target.name}; scan {scan.run_id}", signer=signer
        )
    queue_timestamps(workspace, made | {f"{target.parent.name}/{target.name}": sha256 for target, sha256 in added.items()})


def _put_on_disk(folders: Sequence[Path]) -> None:
    """Wait until the files of folders are on the disk."""
    every = (path for folder in folders for path in (*folder.rglob("*"), folder))
    paths = list(itertools.islice(every, MOST_SYNCED + 1))
    if len(paths) > MOST_SYNCED:
        os.sync()
        return
    for path in paths:
        sync(path)


@contextlib.contextmanager
def _noting_failure(draft: _Draft, failed: dict[str, str]) -> Iterator[None]:
    """Note what fails; nothing more is done for an alert that has failed."""
    try:
        yield
    except (MinewatchError, OSError) as error:
        failed.setdefault(draft.alert.alert_id, describe_failure(error))


def find_signer(workspace: Workspace, key: Path | None = None) -> Signer | None:
    """Read the signing key in file ``key``, else that of the settings; None where neither is given."""
    stated = read_settings(workspace).signing_key
    path = key or (workspace.root / Path(stated).expanduser() if stated else None)
    return read_signer(path) if path else None


def _make_temp_folder(parent: Path) -> Path:
    make_private_folder(parent)
    folder = parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    return folder


def _list_requests(scan: EvidenceInput, draft: _Draft) -> Iterator[EvidenceImageRequest]:
    for name, look in draft.looks.images.items():
        datatake = find_datatake(look.key, look.time, look.sources, scan.scenes, scan.source.name)
        yield EvidenceImageRequest(draft.alert.alert_id, name, datatake, draft.looks.window, draft.temp)


def _write_first(scan: EvidenceInput, archived: ArchivedLooks, draft: _Draft) -> _Content:
    """Write what the confirmation rests on."""
    confirmed = recompute_confirmation(scan.area, archived, scan.scene_quality, draft.alert, draft.stage)
    files = write_content(draft.temp, render_content(confirmed, archived, scan.layers, scan.run_id, draft.target))
    looks = [_describe_look(observation) for observation in confirmed.looks.observations]
    recomputed = {"agrees": not confirmed.differing, "differing": list(confirmed.differing)}
    return _Content({"looks": looks, "recomputed": recomputed}, files)


def _write_addendum(scan: EvidenceInput, draft: _Draft) -> _Content:
    """Write what an alert had grown to, and what chains the addendum to what is on file."""
    on_file = read_latest(draft.target.parent)
    area = replace(scan.area, until=draft.stage.date)
    credit = credit_observations([o for o in scan.observations if o.time.date() <= draft.stage.date])
    alert = render_alert(draft.alert.at(draft.stage), area, scan.layers, scan.run_id, credit)
    chain = {"extends": on_file.first_manifest, "previous": on_file.manifest, "grown_from_ha": on_file.area_ha}
    return _Content(chain, write_content(draft.temp, [(ALERT, alert)]))


def _describe_draft(scan: EvidenceInput, draft: _Draft) -> dict[str, Any]:
    area, grid, alert, window = scan.area, scan.area.grid, draft.alert, draft.looks.window
    dates = {"last_normal": alert.last_normal, "first_seen": alert.first_seen, "confirmed_on": alert.confirmed_on}
    return {
        "alert_id": alert.alert_id,
        "aoi": area.aoi.name,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "run_id": scan.run_id,
        "what_if": area.what_if,
        "monitor_from": area.monitor_from.isoformat(),
        "as_of": draft.stage.date.isoformat(),
        "scanned_until": area.until.isoformat(),
        "bracket": {name: date.isoformat() if date else None for name, date in dates.items()},
        "pipeline": {"name": area.pipeline_name, "digest": area.pipeline.digest},
        "source": {"name": scan.source.name, "root": hide_secrets(scan.source.root)},
        "grid": {
            "name": describe_grid(grid),
            "epsg": grid.epsg,
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            "window": [window.row, window.column, window.height, window.width],
        },
        "images": {name: _describe_image(look, scan.scenes) for name, look in draft.looks.images.items()},
        "not_shown": dict(draft.looks.not_shown),
    }


def _describe_look(observation: Observation) -> dict[str, Any]:
    return {"acquired": observation.time.isoformat(), "item": observation.item.stem, "scenes": list(observation.source_ids)}


def _describe_image(look: Observation, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return what an image was read from: source items with baseline, offset, and the checksums that the provider states."""
    stated = {scene.id: dict(scene.checksums) for scene in scenes}
    names = ("id", "source", "tile", "baseline", "offset", "offset_reason")
    sources = [
        {name: record[name] for name in names} | {"checksums": stated.get(str(record["id"]), {})} for record in look.sources
    ]
    return {"acquired": look.time.isoformat(), "key": look.key, "item": look.item.stem, "sources": sources}
