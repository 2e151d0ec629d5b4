"""``minewatch verify`` and ``pack``: evidence that is checked and handed over."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from pathlib import Path

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, print_result, say
from minewatch.core.errors import EvidenceError, SourceError, WorkspaceError
from minewatch.core.text import count_of
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import MARKER, Workspace, find_workspace
from minewatch.products.evidence.custody_log import record_custody
from minewatch.products.evidence.export_bundle import write_export_bundle
from minewatch.products.evidence.refetch import Sources
from minewatch.products.evidence.signing import read_public_key
from minewatch.products.evidence.timestamp_checks import find_trusted_authorities
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
@click.option("--tsa-ca", type=click.Path(path_type=Path), metavar="FILE", help="The root that time stamps must lead to.")
@common_options
def verify(
    session: Session,
    path: Path,
    public_key: Path | None,
    identity: Path | None,
    fetch: bool,
    source: str | None,
    tsa_ca: Path | None,
) -> None:
    """Check evidence: a folder of it, a pack, or all evidence and the custody log of a workspace.

      Lists each file that was changed, is missing or was added, and each line of the log that was changed or removed.
      An encrypted pack (NAME.zip.age) is opened in memory, never on the disk.  With --fetch only known sources are
      contacted: those of minewatch and of your workspace (-w), or the one of --source.

    A time stamp beside a manifest is checked too: it says before which moment the evidence existed.  With --tsa-ca (PEM) it
    must be there, and of an authority whose certificates lead to that root; else the root in the settings of your workspace
    is taken.
      Exit code 3: something was changed, or could not be checked as requested.

      \b
      Example:
        minewatch verify output/evidence/la-pampa-20240611-3fa9c1 --fetch
        minewatch verify la-pampa-20240611-3fa9c1.zip --public-key ranger.pub --tsa-ca tsa-root.pem
        minewatch verify la-pampa-20240611-3fa9c1.zip.age --identity ~/.ssh/id_ed25519
        minewatch verify .
    """
    if source is not None and not fetch:
        raise click.UsageError("--source says where --fetch reads; give both")
    trust = _find_trust(session, path, read_public_key(public_key) if public_key else None, source if fetch else None)
    trust = replace(trust, authorities=find_trusted_authorities(tsa_ca, _find_own_workspace(session, path)))
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
    workspace = _find_own_workspace(session, path)
    if workspace is None:
        return TrustAnchors(public_key, sources=Sources(given=source or ""))
    providers, root = list_providers(workspace), default_source(workspace)
    roots = {}
    with contextlib.suppress(SourceError):  # a missing catalogue is reported when it is queried
        roots[hide_secrets(locate_provider(root, providers).root)] = root
    return TrustAnchors(public_key, sources=Sources(providers, roots, source or ""), log=workspace.custody.absolute())


def _find_own_workspace(session: Session, path: Path) -> Workspace | None:
    """Return the workspace that is named, current, or checked as a whole; None where there is none."""
    try:
        return find_workspace(path if session.folder is None and (path / MARKER).is_file() else session.folder)
    except WorkspaceError:
        if session.folder is not None:
            raise
        return None


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


@click.command("pack")
@click.argument("alert_id", metavar="ID")
@click.option(
    "--to",
    "recipients",
    multiple=True,
    metavar="RECIPIENT",
    help="Encrypt for this public key (age1…, ssh-ed25519 …, ssh-rsa …) or a file of such keys; may be given several times.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/exports]")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Sign with this Ed25519 key, not the settings' one.")
@common_options
def pack(session: Session, alert_id: str, recipients: tuple[str, ...], output: Path | None, key: Path | None) -> None:
    """Write the evidence of an alert as one ZIP, with its lines of the custody log; it is checked before.

    With --to it is encrypted (age format, NAME.zip.age) and nothing is written that others could read.  Each recipient
    can open it, with age -d -i KEY or minewatch verify --identity KEY.

    \b
    Example:
      minewatch pack la-pampa-20240611-3fa9c1 -o hand-over --key ~/keys/evidence.pem
      minewatch pack la-pampa-20240611-3fa9c1 --to prosecutor.pub --to "ssh-ed25519 AAAAC3Nz…"
    """
    path = write_export_bundle(session.workspace, alert_id, output, key, recipients)
    print_result(session, {"pack": str(path)}, [path])
