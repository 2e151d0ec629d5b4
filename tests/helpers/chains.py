"""What a forger who knows the format does with a log: chain its lines anew, and write the head that fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START = "0" * 64


def render(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True).encode()


def hash_entry(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(render(entry)).hexdigest()


def read_chain(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def rechain(entries: Sequence[Mapping[str, Any]], previous: str = START) -> list[dict[str, Any]]:
    """Give entries numbers and hashes, so that nothing in the log contradicts them."""
    chained: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, 1):
        when = entry.get("when", "2026-01-01T00:00:00.000+00:00")
        chained.append({**entry, "number": number, "previous": previous, "when": when})
        previous = hash_entry(chained[-1])
    return chained


def write_chain(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write a log and the head that fits it, without a signature, as version 0.1.0 wrote them."""
    path.write_bytes(b"".join(render(entry) + b"\n" for entry in entries))
    write_head(path, entries[-1] if entries else None)


def write_head(path: Path, entry: Mapping[str, Any] | None) -> None:
    """Let the head of a log name an entry as the last."""
    stated = {"number": entry["number"], "sha256": hash_entry(entry)} if entry else {"number": 0, "sha256": START}
    path.with_suffix(".head").write_text(json.dumps(stated))
