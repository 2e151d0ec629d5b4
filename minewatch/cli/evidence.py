"""``minewatch pack``: evidence that is handed over."""

from __future__ import annotations

from pathlib import Path

import click

from minewatch.cli.output import Session, common_options, print_result
from minewatch.products.evidence.export_bundle import write_export_bundle


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
