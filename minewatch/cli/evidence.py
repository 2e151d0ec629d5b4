"""``minewatch verify`` and ``pack``: evidence that is checked and handed over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, say
from minewatch.custody import record_custody
from minewatch.errors import EvidenceError, WorkspaceError
from minewatch.evidence.pack import pack_evidence
from minewatch.evidence.signature import read_public_key
from minewatch.evidence.verification import Check, Trust, verify_path
from minewatch.provider import PROVIDERS, Provider
from minewatch.settings import list_providers
from minewatch.workspace import find_workspace


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--public-key", type=click.Path(path_type=Path), metavar="FILE", help="The Ed25519 key that must have signed.")
@click.option("--fetch", is_flag=True, help="Read the pixels from the source again and compare them.")
@common_options
def verify(session: Session, path: Path, public_key: Path | None, fetch: bool) -> None:
    """Check evidence: a folder of it, a pack, or all evidence and the custody log of a workspace.

    Each file that was changed, is missing or was added is named, and each line of the log that was changed or removed.
    Exit code 3: something is not as it was written, or could not be checked as asked.

    \b
    Example:
      minewatch verify output/evidence/la-pampa-20240611-3fa9c1 --fetch
      minewatch verify la-pampa-20240611-3fa9c1.zip --public-key ranger.pub
      minewatch verify .
    """
    trust = Trust(read_public_key(public_key) if public_key else None, fetch, _list_providers(session, path))
    checks = verify_path(path, trust)
    for check in checks:
        _note_opening(check)
    if session.as_json:
        print_json([_describe(check) for check in checks])
    else:
        for check in checks:
            _tell(check)
    if any(check.faults or check.unknown for check in checks):
        sys.exit(3)


def _list_providers(session: Session, path: Path) -> dict[str, Provider]:
    """Give the sources that the evidence's workspace knows, else those of the one that is named or worked in."""
    for folder in (*path.absolute().parents, None):
        try:
            return dict(list_providers(find_workspace(folder or session.folder)))
        except WorkspaceError:
            continue
    return dict(PROVIDERS)


def _note_opening(check: Check) -> None:
    if check.log is None:
        return
    result = f"verified: {len(check.faults)} faults" if check.faults else "verified: as it was written"
    try:
        record_custody(check.log, "opened", check.alert_id, check.manifest, result)
    except EvidenceError as error:
        say(f"the opening is not in the custody log: {error}")


def _describe(check: Check) -> dict[str, Any]:
    names: Sequence[str] = ("alert_id", "manifest", "faults", "unknown", "notes")
    return {"path": str(check.path)} | {name: getattr(check, name) for name in names}


def _tell(check: Check) -> None:
    name = check.alert_id or check.path.name
    verdict = "NOT as it was written" if check.faults else "not wholly checked" if check.unknown else "as it was written"
    echo(f"{name}: {verdict}")
    for note in check.notes:
        echo(f"  {note}")
    for fault in (*check.faults, *check.unknown):
        complain(f"{name}: {fault}")


@click.command("pack")
@click.argument("alert_id", metavar="ID")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/exports]")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Sign with this Ed25519 key, not the settings' one.")
@common_options
def pack(session: Session, alert_id: str, output: Path | None, key: Path | None) -> None:
    """Write the evidence of an alert as one ZIP, with its lines of the custody log; it is checked before.

    \b
    Example:
      minewatch pack la-pampa-20240611-3fa9c1 -o hand-over --key ~/keys/evidence.pem
    """
    path = pack_evidence(session.workspace, alert_id, output, key)
    if session.as_json:
        print_json({"pack": str(path)})
    else:
        echo(str(path))
