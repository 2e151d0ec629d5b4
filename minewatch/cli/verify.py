"""``minewatch verify``: says what is known of evidence, and from whom."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, say
from minewatch.core.errors import EvidenceError, SourceError, WorkspaceError
from minewatch.core.plain_file import MARKER
from minewatch.core.text import count_of, show
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from minewatch.products.evidence.evidence_files import EvidenceFiles
    from minewatch.products.evidence.known_sources import Sources
    from minewatch.products.evidence.verification import TrustAnchors, VerificationResult

MOST_FAULTS = 50
"""Faults of one alert's evidence that are printed; forged evidence could have thousands."""


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--public-key", type=click.Path(path_type=Path), metavar="FILE", help="The Ed25519 key that must have signed.")
@click.option("--require-signature", is_flag=True, help="Evidence or a pack without a signature is a fault.")
@click.option("--identity", type=click.Path(path_type=Path), metavar="FILE", help="Your private key, for an encrypted pack.")
@click.option("--recompute", is_flag=True, help="Confirm the alert again from the looks in the folder, and compare.")
@click.option("--fetch", is_flag=True, help="Read the pixels from the source again and compare them.")
@click.option("--source", metavar="NAME|URL|PATH", help="Where --fetch reads them, if not from a source that is known here.")
@click.option("--tsa-ca", type=click.Path(path_type=Path), metavar="FILE", help="The root that time stamps must lead to.")
@common_options
def verify(
    session: Session,
    path: Path | None,
    public_key: Path | None,
    require_signature: bool,
    identity: Path | None,
    recompute: bool,
    fetch: bool,
    source: str | None,
    tsa_ca: Path | None,
) -> None:
    """Say what is known of evidence: of a folder of it, a pack, or all evidence and the logs of a workspace.

    Without PATH it is the workspace in which you are.

    \b
    The verdict is one of:
      signed       signed by the key of --public-key, and unchanged             exit code 0
      recorded     as the whole log of the workspace that holds it recorded it  exit code 0
      consistent   fits its own hashes; who wrote it is not known               exit code 3
      changed      not as it was written                                        exit code 3
      log-unknown  its log was changed or lost its end                          exit code 3

    Each file that was changed, is missing or was added is named, and each line of a log that was changed or removed.
    What could not be checked as requested is named too, and ends with exit code 3.  A pack is read without unpacking it; an
    encrypted one (NAME.zip.age) is opened in memory, never on the disk.  With --recompute the code that raised the alert raises
    it again, from the looks in the folder alone.  With --fetch only known sources are contacted: the built-in ones, those of your
    workspace (-w), or the one of --source.  A time stamp says before which moment the evidence existed; with --tsa-ca (PEM) it
    must be there and lead to that root, else the root in the settings of your workspace counts.

    \b
    Example:
      minewatch verify output/evidence/la-pampa-20240611-3fa9c1 --recompute --fetch
      minewatch verify la-pampa-20240611-3fa9c1.zip --public-key ranger.pub --tsa-ca tsa-root.pem
      minewatch verify la-pampa-20240611-3fa9c1.zip.age --identity ~/.ssh/id_ed25519 --public-key ranger.pub
      minewatch verify --require-signature
    """
    from minewatch.products.evidence.signing import read_public_key
    from minewatch.products.evidence.timestamp_checks import find_trusted_authorities
    from minewatch.products.evidence.verification import verify_path

    path = path or session.workspace.root
    if source is not None and not fetch:
        raise click.UsageError("--source says where --fetch reads; give both")
    trust = replace(
        _find_trust(session, path, source or "", fetch=fetch),
        authorities=find_trusted_authorities(tsa_ca, _find_own_workspace(session, path)),
        public_key=read_public_key(public_key) if public_key else None,
        fetch=fetch,
        identity=identity,
        is_signature_required=require_signature,
        recompute=_load_recompute() if recompute else None,
    )
    checks = verify_path(path, trust)
    for check in checks:
        _note_opening(check)
    if session.as_json:
        print_json([_describe(check) for check in checks])
    else:
        _print_checks(checks)
    if not all(check.is_trusted for check in checks):
        sys.exit(3)


def _load_recompute() -> Callable[[EvidenceFiles, Mapping[str, Any]], list[str]]:
    # Loaded only here: detection brings its compiler, which most checks do not need.
    recompute: Callable[[EvidenceFiles, Mapping[str, Any]], list[str]] = importlib.import_module(
        "minewatch.products.evidence.recompute"
    ).recompute
    return recompute


def _find_trust(session: Session, path: Path, source: str, *, fetch: bool) -> TrustAnchors:
    """Gather what the user trusts: the workspace that is named, current, or checked as a whole.

    The settings of any other folder are not read for it, since they may have come with the evidence.
    """
    from minewatch.products.evidence.known_sources import Sources
    from minewatch.products.evidence.verification import TrustAnchors

    workspace = _find_own_workspace(session, path)
    if workspace is None:
        return TrustAnchors(sources=Sources(given=source))
    return TrustAnchors(sources=_list_sources(workspace, source) if fetch else Sources(), log=workspace.custody.absolute())


def _find_own_workspace(session: Session, path: Path) -> Workspace | None:
    """Return the workspace that is named, current, or checked as a whole; None where there is none."""
    try:
        return find_workspace(path if session.folder is None and (path / MARKER).is_file() else session.folder)
    except WorkspaceError:
        if session.folder is not None:
            raise
        return None


def _list_sources(workspace: Workspace, source: str) -> Sources:
    """Return the sources that a workspace knows; ``source`` is the one that the user names."""
    from minewatch.products.evidence.known_sources import Sources
    from minewatch.settings.document import default_source, list_providers

    providers, root = list_providers(workspace), default_source(workspace)
    roots = {}
    with contextlib.suppress(SourceError):  # a missing catalogue is reported when it is queried
        # Loaded only here, as the libraries for catalogues take fifty megabytes.
        provider = importlib.import_module("minewatch.sources.stac").locate_provider(root, providers)
        roots[hide_secrets(provider.root)] = root
    return Sources(providers, roots, source)


def _note_opening(check: VerificationResult) -> None:
    from minewatch.products.evidence.custody_log import record_custody

    if check.log is None:
        return
    count = len(check.faults)
    result = f"verified: {count_of(count, 'fault')}" if count else f"verified: {check.sentence}"
    try:
        record_custody(check.log, "opened", show(check.alert_id), check.manifest, result)
    except EvidenceError as error:
        say(f"the opening is not in the custody log: {error}")


def _describe(check: VerificationResult) -> dict[str, Any]:
    names = ("alert_id", "manifest", "verdict", "sentence", "signer", "faults", "log_faults", "unknown", "notes")
    return {"path": str(check.path)} | {name: getattr(check, name) for name in names}


def _print_checks(checks: Sequence[VerificationResult]) -> None:
    """Print each verdict with its notes, and its faults on stderr; what is true of all of them is said once."""
    said: set[str] = set()
    for check in checks:
        name = check.alert_id or check.path.name
        echo(f"{name}: {check.sentence}" + ("; not wholly checked" if check.unknown else ""))
        for note in check.notes:
            echo(f"  {note}")
        faults = [*check.faults, *(line for line in (*check.log_faults, *check.unknown) if line not in said)]
        said.update(check.log_faults, check.unknown)
        for fault in faults[:MOST_FAULTS]:
            complain(f"{name}: {fault}")
        if len(faults) > MOST_FAULTS:
            complain(f"{name}: {len(faults) - MOST_FAULTS} more; --json gives all")
