"""The manifest of a folder of evidence: what it is, what it was made from, and the hash of each file."""

from __future__ import annotations

import functools
import importlib
import json
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from minewatch import __version__
from minewatch.core.errors import EvidenceError
from minewatch.core.files import write_private
from minewatch.core.text import render_json
from minewatch.products.evidence.evidence_files import LARGEST_TEXT, EvidenceFiles, describe_data
from minewatch.products.evidence.signing import Signer
from minewatch.products.evidence.zip_file import MOST_FILES

FORMAT = 2
"""Version of the format of evidence folders, manifests and export bundles that is written."""

READABLE_FORMATS = (1, FORMAT)
"""Versions that can be checked."""

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"

STAMP, STAMP_CHAIN = "manifest.tsr", "manifest-tsa.pem"
"""The time stamp of a manifest, and the certificates of the authority that gave it."""

UNLISTED = frozenset({MANIFEST, SIGNATURE, STAMP, STAMP_CHAIN})
"""Files that the manifest cannot list: itself, its signature, and its time stamp, which comes later."""

ALERT, METHOD = "alert.geojson", "method.json"
"""The alert as of its confirming look, and what its confirmation rests on besides the looks."""

SERIES, PIPELINE = "series.csv", "pipeline.toml"
"""What was seen look by look, and the settings as a file that a scan can use."""

BEFORE, BEFORE_SEASON, AFTER = "before", "before-season", "after"
"""Names of the images: the last normal look, the clearest of the same season in an earlier year, and the confirming look."""

OBSERVATIONS = "observations"
"""Folder of the looks that a confirmation rests on."""

GROWTH = "growth-"
"""Beginning of the name of an addendum's folder; the day follows."""

ADDENDUM = re.compile(GROWTH + r"\d{4}-\d{2}-\d{2}")
"""Name of the folder of an addendum, which has a manifest of its own."""


def write_manifest(folder: Path, facts: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]], signer: Signer | None) -> str:
    """Write the manifest, signed where there is a key; return its SHA-256.  ``files`` is what it says of each other file."""
    ordered = {name: files[name] for name in sorted(files, key=lambda name: name.split("/"))}
    document = {"format": FORMAT, **facts, "signed_with": signer.describe() if signer else None, "files": ordered}
    data = (render_json(document) + "\n").encode()
    write_private(folder / MANIFEST, data)
    if signer:
        write_private(folder / SIGNATURE, encode_signature(signer, data))
    return str(describe_data(data)["sha256"])


def encode_signature(signer: Signer, data: bytes) -> bytes:
    """Return a signature as a line of hexadecimal digits."""
    return signer.sign(data).hex().encode() + b"\n"


def read_manifest(files: EvidenceFiles, name: str = MANIFEST) -> tuple[dict[str, Any], bytes]:
    """Return a manifest, parsed and as bytes; raises EvidenceError where it is missing or none."""
    if name not in files.names:
        raise EvidenceError(f"{name}: is missing")
    data = files.read(name, LARGEST_TEXT)
    try:
        document = json.loads(data)
        if (
            document["format"] not in READABLE_FORMATS
            or not isinstance(document["files"], dict)
            or not isinstance(document["alert_id"], str)
        ):
            raise ValueError("not of this kind")
        if len(document["files"]) > MOST_FILES:
            raise ValueError("more files than evidence has")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvidenceError(f"{name}: was changed, or is of another version of minewatch: it cannot be read") from error
    return document, data


def list_software() -> dict[str, str]:
    """Return name and version of the software that pixels and result depend on."""
    found = {"minewatch": __version__, "python": platform.python_version(), "system": platform.platform()}
    # Loaded only here: who checks evidence of unknown origin needs neither, and has more memory left for it.
    found["gdal"] = importlib.import_module("minewatch.products.evidence.image_file").GDAL_VERSION
    found["proj"] = importlib.import_module("pyproj").proj_version_str
    return found | _list_packages()


@functools.cache
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
