"""Takes in packs that others made (``minewatch receive``): checked, kept as they came, unpacked beside, noted in the log.

A pack is hostile until it was checked: what is checked is a copy of one's own, and what is unpacked has the names, sizes and
hashes that were checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from minewatch.core.errors import EvidenceError, ReceiptError, WorkspaceError
from minewatch.core.files import make_private_folder, sync
from minewatch.core.temp_files import clean_stale, make_temp_name
from minewatch.core.text import count_of, show
from minewatch.core.workspace import EVIDENCE, Workspace, check_name
from minewatch.products.evidence.bundle_check import BUNDLE_MANIFEST
from minewatch.products.evidence.custody_log import Handover, read_custody, record_custody
from minewatch.products.evidence.encryption import SUFFIX, decrypt, is_encrypted
from minewatch.products.evidence.evidence_files import CHUNK, EvidenceFiles, open_zip, select_subfolder
from minewatch.products.evidence.export_bundle import ENDING
from minewatch.products.evidence.handover_log import describe_file
from minewatch.products.evidence.manifest import MANIFEST
from minewatch.products.evidence.verdicts import TrustAnchors, VerificationResult
from minewatch.products.evidence.verification import verify_path
from minewatch.products.evidence.zip_file import LARGEST_TOTAL

DIGITS = 8
"""Of the ZIP's SHA-256, in the name of the folder: two packs may be of alerts with the same id."""


@dataclass(frozen=True)
class ReceivedPack:
    """A pack that was taken in."""

    folder: Path
    """Its folder in the workspace."""

    alert_id: str
    """As whoever made it calls the alert."""

    manifest: str
    """SHA-256 of the manifest of its evidence."""

    sha256: str
    """Of the file as it came."""

    is_known: bool
    """True if the same file had been taken in before."""

    notes: tuple[str, ...]
    """Lines that a person should read."""


def receive_pack(
    workspace: Workspace, path: Path, handover: Handover, public_key: str | None = None, identity: Path | None = None
) -> ReceivedPack:
    """Take in a pack; raises ReceiptError where it was changed, EvidenceError where it is none. Then nothing is kept."""
    with _copying(workspace, path) as (copy, sha256, size):
        check = _check(copy, path, public_key, identity)
        alert_id, name = check.alert_id, f"{check.alert_id}-{sha256[:DIGITS]}"
        said = replace(handover, files=((path.name, sha256, size),))
        notes = (f"{alert_id}: {check.sentence}", *check.notes, *check.log_faults, *check.unknown)
        target = workspace.received / name
        if target.exists():
            _check_kept(target, sha256)
            earlier = _list_receipts(workspace, name)
            record_custody(workspace.custody, "received", name, check.manifest, "again: the same file is here already", said)
            again = f"this file was taken in before{f', on {earlier[0]}' if earlier else ''}; it is noted again, and kept once"
            return ReceivedPack(target, alert_id, check.manifest, sha256, True, (again, *notes))
        folder = copy.parent.parent / name
        _unpack(copy, identity, folder / alert_id, alert_id)
        copy.rename(folder / f"{alert_id}{ENDING}{SUFFIX if is_encrypted(copy) else ''}")
        for part in [folder, *folder.rglob("*")]:
            sync(part)
        # The line comes first: nothing may be here that the log does not know.
        record_custody(workspace.custody, "received", name, check.manifest, _describe(check), said)
        folder.rename(target)
        sync(workspace.received)
    return ReceivedPack(target, alert_id, check.manifest, sha256, False, notes)


def list_received(workspace: Workspace) -> list[Path]:
    """Return the folders of the packs that were taken in."""
    folder = workspace.received
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _check(copy: Path, path: Path, public_key: str | None, identity: Path | None) -> VerificationResult:
    """Check a pack; raises ReceiptError where something is wrong with it."""
    try:
        (check,) = verify_path(copy, TrustAnchors(public_key, identity=identity))
        if not check.faults and check.manifest:
            check_name("an alert", check.alert_id)
    except (EvidenceError, WorkspaceError) as error:
        # For people: nobody has heard of the copy.
        raise EvidenceError(str(error).replace(str(copy), str(path))) from error
    if check.faults or not check.manifest:
        faults = check.faults or (f"{MANIFEST}: is missing",)
        raise ReceiptError(f"{path.name} is refused and nothing of it is kept: it is not as it was written", faults)
    return check


def _describe(check: VerificationResult) -> str:
    """Return what the check found, for the log."""
    return "; ".join(map(show, (f"verified: {check.sentence}", *check.log_faults, *check.unknown)))


def _list_receipts(workspace: Workspace, name: str) -> list[str]:
    """Return the days on which a file was taken in."""
    lines = read_custody(workspace.custody).lines_of(name)
    return [line.entry.when[:10] for line in lines if line.entry.action == "received"]


def _check_kept(folder: Path, sha256: str) -> None:
    """Raise EvidenceError where the file that was taken in before is no longer as it came."""
    kept = [path for path in folder.iterdir() if path.name.endswith((ENDING, f"{ENDING}{SUFFIX}")) and path.is_file()]
    if [describe_file(path)[1] for path in kept] != [sha256]:
        raise EvidenceError(f"what was taken in before as {folder} is not as it came; move that folder away, and try again")


# --- files -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _copying(workspace: Workspace, path: Path) -> Iterator[tuple[Path, str, int]]:
    """Yield a copy of a file, two folders below that of packs, its SHA-256 and size; what is left of it goes."""
    make_private_folder(workspace.received)
    clean_stale(workspace.received)
    folder = workspace.received / f"{make_temp_name()}{secrets.token_hex(6)}"
    copy = folder / "came" / path.name
    make_private_folder(copy.parent)
    try:
        yield copy, *_copy(path, copy)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # others are in it
            workspace.received.rmdir()


def _copy(path: Path, copy: Path) -> tuple[str, int]:
    """Copy a plain file of at most LARGEST_TOTAL bytes; return its SHA-256 and size."""
    digest, size = hashlib.sha256(), 0
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise EvidenceError(f"{path} is no file; give the ZIP of a pack")
        with path.open("rb") as source, copy.open("xb") as target:
            copy.chmod(0o600)
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > LARGEST_TOTAL:
                    raise EvidenceError(f"{path} is larger than any pack ({LARGEST_TOTAL >> 30} GB)")
                target.write(chunk)
    except FileNotFoundError as error:
        raise EvidenceError(f"{path} does not exist; give the ZIP of a pack") from error
    except OSError as error:
        raise EvidenceError(f"{path} cannot be taken in: {error.strerror}") from error
    return digest.hexdigest(), size


def _unpack(copy: Path, identity: Path | None, folder: Path, alert_id: str) -> None:
    """Unpack the members of a pack that was checked; raises EvidenceError where one cannot be written."""
    with contextlib.ExitStack() as stack:
        if is_encrypted(copy):
            assert identity is not None, "it was checked with it"
            files = open_zip(decrypt(copy, identity))
        else:
            files = open_zip(stack.enter_context(copy.open("rb")))
        if BUNDLE_MANIFEST not in files.names:
            files = select_subfolder(files, f"{alert_id}/")
        _write_members(files, folder)


def _write_members(files: EvidenceFiles, folder: Path) -> None:
    total = 0
    for name in sorted(files.names):
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):  # the check has refused such names already
            raise EvidenceError(f"{show(name)}: its name points outside the ZIP")
        try:
            make_private_folder(path.parent)
            with path.open("xb") as target:
                path.chmod(0o600)
                for chunk in files.read_chunks(name):
                    total += target.write(chunk)
                    if total > LARGEST_TOTAL:
                        raise EvidenceError(f"the pack holds more than {LARGEST_TOTAL >> 30} GB")
        except OSError as error:
            raise EvidenceError(f"{show(name)} cannot be written: {error.strerror}") from error
    if not (folder / EVIDENCE / MANIFEST).is_file():
        raise EvidenceError(f"the pack holds no {EVIDENCE}/{MANIFEST}: that is no pack of {count_of(1, 'alert')}")
