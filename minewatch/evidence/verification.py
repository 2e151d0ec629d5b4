"""Checks evidence: each file against the manifest, the manifest against signature and log, the pixels against the source."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minewatch.custody import Log, check_custody, parse_custody, read_custody
from minewatch.errors import EvidenceError
from minewatch.evidence.bundle import Bundle, below, compare_files, open_folder, open_zip
from minewatch.evidence.manifest import MANIFEST, OWN, SIGNATURE, read_manifest
from minewatch.evidence.refetch import compare_with_source
from minewatch.evidence.signature import is_signed
from minewatch.files import TEMPORARY_PREFIX, list_names
from minewatch.provider import PROVIDERS, Provider
from minewatch.text import show
from minewatch.workspace import CUSTODY, EVIDENCE, MARKER

PACK, PACK_SIGNATURE, SUMS = "pack.json", "pack.sig", "SHA256SUMS"
"""What a pack holds beside evidence and log: its manifest, the signature of that, and the hashes for sha256sum."""


@dataclass(frozen=True)
class Trust:
    """What evidence is held against, beside its own manifest."""

    public_key: str | None = None
    """Base64 of the key that should have signed; None = whichever the manifest names."""

    fetch: bool = False
    """Read the pixels from the source again."""

    providers: Mapping[str, Provider] = field(default_factory=lambda: PROVIDERS)
    """Where sources are."""


@dataclass(frozen=True)
class Check:
    """What came of checking one thing."""

    path: Path
    """A folder of evidence, a pack, or a log."""

    alert_id: str = ""
    """Of the evidence; '' for a log."""

    manifest: str = ""
    """SHA-256 of its manifest; '' where there is none."""

    faults: tuple[str, ...] = ()
    """What is wrong; none where all is as it was written."""

    unknown: tuple[str, ...] = ()
    """What was asked for and could not be checked."""

    notes: tuple[str, ...] = ()
    """What a person should know."""

    log: Path | None = None
    """Where the opening belongs; None where no log lies beside it."""


def verify_path(path: Path, trust: Trust) -> list[Check]:
    """Check a folder of evidence, a pack, a log, or all of a workspace or an output folder.

    Raises EvidenceError where the path is none of these.
    """
    path = path.absolute()
    if path.is_file():
        return [_verify_file(path, trust)]
    if not path.is_dir():
        raise EvidenceError(f"{path} does not exist; give a folder of evidence, a pack, or a workspace")
    if (path / MARKER).is_file():
        return _verify_output(path / "output", trust)
    if (path / PACK).exists():
        return [_check_pack(path, open_folder(path), trust)]
    if (path / MANIFEST).exists():
        return [_verify_folder(path, trust)]
    output = path.parent if path.name == EVIDENCE else path
    if (output / EVIDENCE).is_dir() or (output / CUSTODY).is_file():
        return _verify_output(output, trust)
    if path.parent.name == EVIDENCE:  # a folder whose manifest is gone
        return [_verify_folder(path, trust)]
    raise EvidenceError(f"{path} holds no evidence; give a folder of evidence, a pack, or a workspace that was scanned")


def _verify_file(path: Path, trust: Trust) -> Check:
    if path.name == CUSTODY:
        return _verify_log(path)
    if not zipfile.is_zipfile(path):
        raise EvidenceError(f"{path} is no pack: it is no ZIP, or it was cut off")
    return _verify_pack(path, trust)


def _verify_output(output: Path, trust: Trust) -> list[Check]:
    folder, log = output / EVIDENCE, output / CUSTODY
    names = sorted(name for name in list_names(folder) if not name.startswith(TEMPORARY_PREFIX))
    checks = [_verify_folder(folder / name, trust) for name in names]
    made = {line.entry.alert_id for line in read_custody(log).lines if line.entry.action == "made"}
    gone = tuple(f"evidence of {show(name)}: the folder is missing" for name in sorted(made - set(names)))
    chain = _verify_log(log)
    return [*checks, Check(log, faults=(*chain.faults, *gone), notes=chain.notes)]


def _verify_log(log: Path) -> Check:
    count = len(read_custody(log).lines)
    return Check(log, faults=tuple(check_custody(log)), notes=(f"{count} lines",))


# --- a folder --------------------------------------------------------------------------------------------------------


def _verify_folder(folder: Path, trust: Trust) -> Check:
    log = folder.parent.parent / CUSTODY if folder.parent.name == EVIDENCE else None
    if not folder.is_dir() or folder.is_symlink():
        return Check(folder, show(folder.name), faults=(f"{show(folder.name)}: was added; evidence is a folder, and no link",))
    found = verify_bundle(open_folder(folder), trust)
    faults = list(found.faults)
    if found.alert_id and log and found.alert_id != folder.name:
        faults.append(f"the folder is called {show(folder.name)}, and the manifest is of {show(found.alert_id)}: it was renamed")
    if log and found.manifest:
        faults += _compare_with_log(found, read_custody(log))
    return Check(folder, found.alert_id or folder.name, found.manifest, tuple(faults), found.unknown, found.notes, log)


def _compare_with_log(found: Check, log: Log) -> list[str]:
    """Tell a manifest that was made anew, with all its hashes, from the one that the log knows."""
    made = [line.entry.manifest for line in log.of(found.alert_id) if line.entry.action == "made"]
    if not made:
        return [f"{MANIFEST}: no line of the custody log says that it was made"]
    return [] if made[-1] == found.manifest else [f"{MANIFEST}: was changed: it is not the one that the custody log names"]


def verify_bundle(bundle: Bundle, trust: Trust) -> Check:
    """Check the files of one piece of evidence."""
    try:
        manifest, data = read_manifest(bundle)
    except EvidenceError as error:
        return Check(Path(), faults=(str(error), *bundle.strange))
    faults = compare_files(bundle, manifest["files"], OWN)
    notes, unknown = _check_signature(bundle, MANIFEST, SIGNATURE, manifest, data, trust, faults)
    if trust.fetch:
        try:
            differing = compare_with_source(bundle, manifest, trust.providers)
            faults += differing
            notes += [] if differing else ["the source gives the same pixels today"]
        except EvidenceError as error:
            unknown.append(f"the pixels were not compared: {error}")
    digest = hashlib.sha256(data).hexdigest()
    return Check(Path(), manifest["alert_id"], digest, tuple(faults), tuple(unknown), tuple(notes))


def _check_signature(
    bundle: Bundle, name: str, signature: str, manifest: Mapping[str, Any], data: bytes, trust: Trust, faults: list[str]
) -> tuple[list[str], list[str]]:
    """Check who signed a manifest; adds to the faults, and gives notes and what could not be checked."""
    key = manifest.get("signed_with")
    if not isinstance(key, dict):
        if trust.public_key:
            faults.append(f"{name}: is not signed")
        elif signature in bundle.names:
            faults.append(f"{signature}: was added")
        return ([] if trust.public_key else [f"{name} is not signed"]), []
    if signature not in bundle.names:
        faults.append(f"{signature}: is missing")
        return [], []
    stated = str(key.get("public_key", ""))
    try:
        fits = is_signed(data, bundle.read(signature), trust.public_key or stated)
    except EvidenceError as error:
        return [], [f"the signature was not checked: {error}"]
    if not fits:
        other = trust.public_key not in (None, stated)
        faults.append(f"{signature}: is not of the key that was given" if other else f"{signature}: does not fit {name}")
        return [], []
    doubt = "" if trust.public_key else "; whose key that is only --public-key can tell"
    return [f"{name} is signed with key {show(key.get('fingerprint', ''))}{doubt}"], []


# --- a pack ----------------------------------------------------------------------------------------------------------


def _verify_pack(path: Path, trust: Trust) -> Check:
    try:
        with zipfile.ZipFile(path) as archive:
            return _check_pack(path, open_zip(archive), trust)
    except (OSError, zipfile.BadZipFile) as error:
        raise EvidenceError(f"{path} cannot be read ({type(error).__name__}); ask for it again") from error


def _check_pack(path: Path, whole: Bundle, trust: Trust) -> Check:
    tops = (name.removesuffix(PACK) for name in sorted(whole.names) if name.count("/") == 1 and name.endswith(f"/{PACK}"))
    top = "" if PACK in whole.names else next(tops, "")  # unpacked, or as it came
    bundle = below(whole, top)
    try:
        manifest, data = read_manifest(bundle, PACK)
    except EvidenceError as error:
        return Check(path, faults=(str(error),))
    outside = (f"{show(name)}: was added" for name in sorted(whole.names) if not name.startswith(top))
    faults = [*whole.strange, *outside, *compare_files(bundle, manifest["files"], frozenset({PACK, PACK_SIGNATURE, SUMS}))]
    notes, unknown = _check_signature(bundle, PACK, PACK_SIGNATURE, manifest, data, trust, faults)
    found = verify_bundle(below(bundle, f"{EVIDENCE}/"), Trust(None, trust.fetch, trust.providers))
    if CUSTODY in bundle.names:
        faults += _check_extract(bundle.read(CUSTODY), manifest, found)
    every = dict.fromkeys([*faults, *(f"{EVIDENCE}/{fault}" for fault in found.faults)])
    return Check(path, manifest["alert_id"], found.manifest, tuple(every), (*unknown, *found.unknown), (*notes, *found.notes))


def _check_extract(data: bytes, manifest: Mapping[str, Any], found: Check) -> list[str]:
    """Check the lines of the log that a pack carries: their hashes, the links between neighbours, what they are about."""
    log = parse_custody(data)
    stated = manifest.get("custody")
    faults = []
    if stated != [{"number": line.entry.number, "sha256": line.sha256} for line in log.lines]:
        faults.append(f"{CUSTODY}: its lines are not those that {PACK} lists")
    if any(line.entry.alert_id != manifest["alert_id"] for line in log.lines):
        faults.append(f"{CUSTODY}: a line is about something else")
    for before, after in zip(log.lines, log.lines[1:], strict=False):
        if after.entry.number == before.entry.number + 1 and after.entry.previous != before.sha256:
            faults.append(f"{CUSTODY}: lines {before.entry.number} and {after.entry.number} are not chained")
    return faults + _compare_with_log(found, log)
