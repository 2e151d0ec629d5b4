"""What the tests of evidence share: a scanned workspace to spoil, the command line, keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.small import copy_workspace, make_scanned


def start_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures, and start outside any workspace."""
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)
    monkeypatch.delenv("MINEWATCH_WORKSPACE", raising=False)
    (folder / "nowhere").mkdir()
    monkeypatch.chdir(folder / "nowhere")


def make_watch(factory: pytest.TempPathFactory, folder: Path) -> Workspace:
    """Copy a scanned workspace that a test may change."""
    return copy_workspace(make_scanned(factory)[0], folder / "watch")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False, prog_name="minewatch")


def is_unharmed(answer: Result) -> bool:
    """True if ``verify`` found no fault in something that no key and no log vouches for."""
    return answer.exit_code == 3 and answer.stderr == "" and "this says nothing about who wrote it" in answer.stdout


def list_evidence(workspace: Workspace) -> list[Path]:
    return sorted(workspace.evidence.iterdir())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def find_band(series: SimulatedSeries, scene: str, band: str) -> Path:
    """Return the file of a band of a scene."""
    folder = series.catalog.parent / scene
    return folder / str(read_json(folder / f"{scene}.json")["assets"][band]["href"])


def make_keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """Make a private and a public key file."""
    folder.mkdir(exist_ok=True)
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    encoding, plain = serialization.Encoding, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public
