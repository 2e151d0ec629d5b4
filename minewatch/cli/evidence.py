"""``minewatch verify``: evidence that is checked."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from pathlib import Path

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, say
from minewatch.core.errors import EvidenceError, SourceError, WorkspaceError
from minewatch.core.text import count_of
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import MARKER, find_workspace
from minewatch.products.evidence.custody_log import record_custody
from minewatch.products.evidence.refetch import Sources
from minewatch.products.evidence.signing import read_public_key
from minewatch.products.evidence.verification import TrustAnchors, VerificationResult, verify_path
from minewatch.settings.document import default_source, list_providers
from minewatch.sources.stac import locate_provider

MOST_FAULTS = 50
"""Faults of one alert's evidence that are printed; forged evidence could have thousands."""


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--public-key", type=click.Path(path_type=Path), metavar="FILE", help="The Ed25519 key that must have signed.")
@click.option("--identity", type=click.Path(path_type=Path), metavar="FILE", help="Your private key, for an encrypted pack.")
@click.option("--fetch", is_flag=True, help="Read the pixels from the source again and compare them.")
@click.option("--source", metavar="NAME|URL|PATH", help="Where --fetch reads them, if not from a source that is known here.")
@common_options
def verify(session: Session, path: Path, public_key: Path | None, identity: Path | None, fetch: bool, source: str | None) -> None:
    """Check evidence: a folder of it, a pack, or all evidence and the custody log of a workspace.

    Lists each file that was changed, is missing or was added, and each line of the log that was changed or removed.
    An encrypted pack (NAME.zip.age) is opened in memory, never on the disk.  With --fetch only known sources are
    contacted: those of minewatch and of your workspace (-w), or the one of --source.
    Exit code 3: something was changed, or could not be checked as requested.

    \b
    Example:
      minewatch verify output/evidence/la-pampa-20240611-3fa9c1 --fetch
      minewatch verify la-pampa-20240611-3fa9c1.zip --public-key ranger.pub
      minewatch verify la-pampa-20240611-3fa9c1.zip.age --identity ~/.ssh/id_ed25519
      minewatch verify .
    """
    if source is not None and not fetch:
        raise click.UsageError("--source says where --fetch reads; give both")
    trust = _find_trust(session, path, read_public_key(public_key) if public_key else None, source if fetch else None)
    checks = verify_path(path, replace(trust, fetch=fetch, identity=identity))
    for check in checks:
        _note_opening(check)
    if session.as_json:
        names = ("alert_id", "manifest", "faults", "unknown", "notes")
        print_json([{"path": str(check.path)} | {name: getattr(check, name) for name in names} for check in checks])
    else:
        for check in checks:
            _print_check(check)
    if any(check.faults or check.unknown for check in checks):
        sys.exit(3)


def _find_trust(session: Session, path: Path, public_key: str | None, source: str | None) -> TrustAnchors:
    """Gather what the user trusts: the workspace that is named, current, or checked as a whole.

    The settings of any other folder are not read, since they may have come with the evidence.
    """
    try:
        workspace = find_workspace(path if session.folder is None and (path / MARKER).is_file() else session.folder)
    except WorkspaceError:
        if session.folder is not None:
            raise
        return TrustAnchors(public_key, sources=Sources(given=source or ""))
    providers, root = list_providers(workspace), default_source(workspace)
    roots = {}
    with contextlib.suppress(SourceError):  # a missing catalogue is reported when it is queried
        roots[hide_secrets(locate_provider(root, providers).root)] = root
    return TrustAnchors(public_key, sources=Sources(providers, roots, source or ""), log=workspace.custody.absolute())


def _note_opening(check: VerificationResult) -> None:
    if check.log is None:
        return
    result = f"verified: {count_of(len(check.faults), 'fault')}" if check.faults else "verified: as it was written"
    try:
        record_custody(check.log, "opened", check.alert_id, check.manifest, result)
    except EvidenceError as error:
        say(f"the opening is not in the custody log: {error}")


def _print_check(check: VerificationResult) -> None:
    name = check.alert_id or check.path.name
    verdict = "NOT as it was written" if check.faults else "not wholly checked" if check.unknown else "as it was written"
    echo(f"{name}: {verdict}")
    for note in check.notes:
        echo(f"  {note}")
    faults = (*check.faults, *check.unknown)
    for fault in faults[:MOST_FAULTS]:
        complain(f"{name}: {fault}")
    if len(faults) > MOST_FAULTS:
        complain(f"{name}: {len(faults) - MOST_FAULTS} more; --json gives all")
