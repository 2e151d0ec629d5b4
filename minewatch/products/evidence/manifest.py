"""The manifest of a folder of evidence: what it is, what it was made from, and the hash of each file."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import pyproj

from minewatch import __version__
from minewatch.core.errors import EvidenceError
from minewatch.core.text import render_json
from minewatch.products.evidence.evidence_files import LARGEST_TEXT, MOST_FILES, Bundle, describe_data
from minewatch.products.evidence.image_file import GDAL_VERSION
from minewatch.products.evidence.signing import Signer

FORMAT = 1
"""Of folders, manifests and packs."""

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
"""What no manifest lists: itself, and its signature."""

OWN = frozenset({MANIFEST, SIGNATURE})

IMAGES = ("before", "after")
"""Each is NAME.tif, reflectance, and NAME-scl.tif, classes."""


def write_manifest(folder: Path, facts: Mapping[str, Any], signer: Signer | None) -> str:
    """List all files of a folder with their hashes, and sign the list where there is a key; gives the manifest's SHA-256."""
    files = {path.name: describe_data(path.read_bytes()) for path in sorted(folder.iterdir())}
    document = {"format": FORMAT, **facts, "signed_with": signer.describe() if signer else None, "files": files}
    data = (render_json(document) + "\n").encode()
    (folder / MANIFEST).write_bytes(data)
    if signer:
        (folder / SIGNATURE).write_bytes(encode_signature(signer, data))
    return str(describe_data(data)["sha256"])


def encode_signature(signer: Signer, data: bytes) -> bytes:
    """Return a signature as a line of hexadecimal digits."""
    return signer.sign(data).hex().encode() + b"\n"


def read_manifest(bundle: Bundle, name: str = MANIFEST) -> tuple[dict[str, Any], bytes]:
    """Read a manifest and give its bytes too; raises EvidenceError where it is missing or none."""
    if name not in bundle.names:
        raise EvidenceError(f"{name}: is missing")
    data = bundle.read(name, LARGEST_TEXT)
    try:
        document = json.loads(data)
        if document["format"] != FORMAT or not isinstance(document["files"], dict) or not isinstance(document["alert_id"], str):
            raise ValueError("not of this kind")
        if len(document["files"]) > MOST_FILES:
            raise ValueError("more files than evidence has")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvidenceError(f"{name}: was changed, or is of another version of minewatch: it cannot be read") from error
    return document, data


def list_software() -> dict[str, str]:
    """Name the software that has a say in the pixels and the result, with versions."""
    found = {"minewatch": __version__, "python": platform.python_version(), "system": platform.platform(), "gdal": GDAL_VERSION}
    found["proj"] = pyproj.proj_version_str
    return found | _list_packages()


def _list_packages() -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        needed = requires("minewatch") or []
    except PackageNotFoundError:
        return found
    for name in sorted(re.split(r"[^\w.-]", text)[0] for text in needed if "extra ==" not in text):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
