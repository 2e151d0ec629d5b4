"""``minewatch pack`` and ``receive``: evidence that is handed over, and taken in from others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minewatch.cli.complete import complete_alert
from minewatch.cli.output import Session, common_options, complain, handover_options, print_result, read_words
from minewatch.cli.values import Choice
from minewatch.core.errors import ReceiptError
from minewatch.products.report.options import LANGUAGES

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover

MOST_FAULTS = 20
"""Faults of a pack that are printed."""


@click.command("pack")
@click.argument("alert_id", metavar="ID", shell_complete=complete_alert)
@click.option(
    "--to",
    "recipients",
    multiple=True,
    metavar="RECIPIENT",
    help="Encrypt for this public key (age1…, ssh-ed25519 …, ssh-rsa …) or a file of such keys; may be given several times.",
)
@handover_options
@click.option("--lang", "language", type=Choice(LANGUAGES), default="en", show_default=True, help="Of READ-ME-FIRST.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/exports]")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Sign with this Ed25519 key, not the settings' one.")
@common_options
def pack(
    session: Session,
    alert_id: str,
    recipients: tuple[str, ...],
    handover: Handover,
    language: str,
    output: Path | None,
    key: Path | None,
) -> None:
    """Write the evidence of an alert as one ZIP, with a page to read first; the evidence is checked before.

    READ-ME-FIRST says what changed, where and when, how sure that is and what was not verified, who handled the evidence and
    what people decided.  It is a PDF where minewatch[pdf] is installed, else HTML.  The ZIP also holds the decisions and the
    lines of the custody log on this alert.  The log notes for whom (--for) and why (--purpose) it was made, and its hash.

    With --to it is encrypted (age format, NAME.zip.age) and nothing is written that others could read.  Each recipient
    can open it, with age -d -i KEY or minewatch verify --identity KEY.

    \b
    Example:
      minewatch pack la-pampa-20240611-3fa9c1 -o hand-over --for "District court" --purpose "file 12/2024"
      minewatch pack la-pampa-20240611-3fa9c1 --key ~/keys/evidence.pem --lang es
      minewatch pack la-pampa-20240611-3fa9c1 --to prosecutor.pub --to "ssh-ed25519 AAAAC3Nz…"
    """
    from minewatch.products.evidence.export_bundle import PackRequest, write_export_bundle

    request = PackRequest(output, key, recipients, handover, language)
    made = write_export_bundle(session.workspace, alert_id, request)
    facts = {"pack": str(made.path), "sha256": made.sha256, "notes": made.notes}
    print_result(session, facts, [made.path], made.notes)


@click.command("receive")
@click.argument("file", type=click.Path(path_type=Path), metavar="ZIP")
@click.option("--from", "sender", default="", metavar="WHO", help="Who gave it, for the custody log.")
@click.option("--purpose", default="", metavar="WHY", help="What for, for the custody log.")
@click.option("--public-key", type=click.Path(path_type=Path), metavar="FILE", help="The Ed25519 key that must have signed.")
@click.option("--identity", type=click.Path(path_type=Path), metavar="FILE", help="Your private key, for an encrypted pack.")
@common_options
def receive(session: Session, file: Path, sender: str, purpose: str, public_key: Path | None, identity: Path | None) -> None:
    """Take in a pack that somebody else made: check it, keep it, and note it in the custody log.

    The ZIP is kept as it came in output/received/NAME, with its content unpacked beside it.  NAME is the alert's id and the
    beginning of the ZIP's SHA-256.  Nothing of it mixes with your own evidence, and no scan reads it.  An encrypted pack
    (NAME.zip.age) is opened with your private key; its content then lies unencrypted on this disk.

    A pack that was changed is refused (exit code 3), and nothing of it is kept; look at it with minewatch verify.  Without
    --public-key the check shows that the files fit together, not who made them.

    \b
    Example:
      minewatch receive la-pampa-20240611-3fa9c1.zip --from "Ranger post 4" --purpose "case 12/2024"
      minewatch receive la-pampa-20240611-3fa9c1.zip.age --identity ~/.ssh/id_ed25519 --public-key ranger.pub
    """
    from minewatch.products.evidence.custody_log import Handover
    from minewatch.products.evidence.received_packs import receive_pack
    from minewatch.products.evidence.signing import read_public_key

    said = Handover(sender=read_words("--from", sender), purpose=read_words("--purpose", purpose))
    key = read_public_key(public_key) if public_key else None
    try:
        taken = receive_pack(session.workspace, file, said, key, identity)
    except ReceiptError as refusal:
        for fault in refusal.faults[:MOST_FAULTS]:
            complain(f"{file.name}: {fault}")
        if len(refusal.faults) > MOST_FAULTS:
            complain(f"{file.name}: {len(refusal.faults) - MOST_FAULTS} more; minewatch verify --json gives all")
        complain(str(refusal))
        sys.exit(3)
    facts = {
        "received": str(taken.folder),
        "alert_id": taken.alert_id,
        "manifest": taken.manifest,
        "sha256": taken.sha256,
        "known": taken.is_known,
        "notes": taken.notes,
    }
    print_result(session, facts, [taken.folder], taken.notes)
