"""Reads the facts in a workspace as keys and values, and compares two of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio

from minewatch.alerts.decisions import read_decisions
from minewatch.alerts.history import TIMES
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.notify.outbox import DEAD, DELIVERED, WAITING, list_messages, read_deliveries
from minewatch.operations.run_log import read_runs
from minewatch.products.evidence.verification import TrustAnchors, verify_path

Truth = Mapping[str, str]
"""Fact to its value or hash."""

LEFTOVERS = (TEMPORARY_PREFIX, "-journal", "-wal", "-shm", ".damaged", ".tmp")
"""Prefix and suffixes of the names of unfinished files."""

MADE = re.compile(r"· prepared on [^<]*|(decided|made in QGIS) [^<]*? by ")
"""When a report and the decisions in it were made."""

CLOCK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
"""When reviews were made, in alerts.csv."""

RECORDS = ("run_id", *TIMES)
"""Columns that tell of runs and clocks."""


@dataclass(frozen=True)
class Difference:
    """How a result differs from the expected one."""

    lost: tuple[str, ...] = ()
    """Facts that are missing, or are others."""

    invented: tuple[str, ...] = ()
    """Facts that should not be there."""

    faults: tuple[str, ...] = ()
    """Failed verification of evidence and custody log, and files that cannot be read."""

    leftovers: tuple[str, ...] = ()
    """Unfinished files."""

    @property
    def is_none(self) -> bool:
        """True if nothing differs."""
        return not (self.lost or self.invented or self.faults or self.leftovers)

    def __add__(self, other: Difference) -> Difference:
        parts = ("lost", "invented", "faults", "leftovers")
        return Difference(*(getattr(self, name) + getattr(other, name) for name in parts))


@dataclass
class ReceivedEvents:
    """What recipients got in one round."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rule and event id to the number of messages."""

    @property
    def truth(self) -> dict[str, str]:
        """The events as facts, each once."""
        return {f"told {rule} {event}": "" for rule, event in self.counts}

    @property
    def repeats(self) -> int:
        """Events received more than once."""
        return sum(self.counts.values()) - len(self.counts)


def read_truth(workspace: Workspace, aoi: str) -> dict[str, str]:
    """Read all facts in a workspace: rasters, table, history, decisions, evidence, archive, reports, messages."""
    found: dict[str, str] = {}
    changes = Path(str(workspace.changes(aoi)))
    found |= {f"raster {name}": _hash_file(changes / f"{name}.tif") for name in RASTERS if (changes / f"{name}.tif").exists()}
    found |= _read_table(workspace)
    found |= _count(
        "decision", (str((*d.columns, d.alert_id, d.effective, d.via)) for d in read_decisions(workspace.decisions).all)
    )
    found |= _read_evidence(workspace)
    archive = Path(str(workspace.archive(aoi)))
    found |= {f"archive {path.name}": "" for path in archive.glob("*") if path.name != "collection.json"}
    for path in sorted(workspace.reports.glob("*.html")):
        found[f"report {path.name}"] = hashlib.sha256(MADE.sub("", path.read_text("utf-8")).encode()).hexdigest()
    for line in read_deliveries(workspace.outbox):
        found |= {f"noted as told {line.rule} {event}": "" for event in line.event_ids}
    for place in (WAITING, DEAD):
        found |= {
            f"{place} {message.rule} {event}": ""
            for message in list_messages(workspace.outbox, place)[0]
            for event in message.event_ids
        }
    found |= {f"round {one.schedule} {one.due}": str(dict(one.areas)) for one in read_runs(workspace)}
    return found


def _count(kind: str, values: Any) -> dict[str, str]:
    """Return values as facts, with their number."""
    return {f"{kind} {value}": str(number) for value, number in Counter(values).items()}


def _read_table(workspace: Workspace) -> dict[str, str]:
    if not workspace.alerts.exists():
        return {}
    alerts = gpd.read_file(workspace.alerts, layer="alerts").drop(columns=[*RECORDS])
    rows = json.loads(alerts.to_json(default=str, drop_id=True))["features"]
    found = {f"alert {row['properties']['alert_id']}": json.dumps(row, sort_keys=True) for row in rows}
    areas = _read_layer(workspace, "aois")
    found |= {f"area {row['aoi']}": str(row) for row in areas}
    found |= _count("history", (str(row) for row in _read_layer(workspace, "alert_history")))
    if workspace.alerts_csv.exists():
        text = CLOCK.sub("", workspace.alerts_csv.read_text("utf-8"))
        found["table alerts.csv"] = hashlib.sha256(text.encode()).hexdigest()
    found |= {f"picture {path.name}": _hash_file(path) for path in workspace.images.glob("*.png")}
    return found


def _read_layer(workspace: Workspace, layer: str) -> list[dict[str, Any]]:
    frame = pyogrio.read_dataframe(workspace.alerts, layer=layer, read_geometry=False)
    frame = frame.drop(columns=[name for name in RECORDS if name in frame])
    rows: list[dict[str, Any]] = frame.astype(str).to_dict("records")
    return rows


def _read_evidence(workspace: Workspace) -> dict[str, str]:
    """Hash the evidence of each alert without what depends on the time of writing."""
    found = {}
    for folder in sorted(workspace.evidence.glob("[!.]*")):
        digest = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode())
            if path.suffix in (".tif", ".toml"):
                digest.update(path.read_bytes())
        found[f"evidence {folder.name}"] = digest.hexdigest()
    return found


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compare(found: Truth, expected: Truth) -> Difference:
    """Return the facts that differ."""
    lost = tuple(name for name, value in expected.items() if found.get(name) != value)
    return Difference(lost, tuple(name for name in found if name not in expected))


def inspect(workspace: Workspace) -> Difference:
    """Check a workspace by itself: evidence verifies, files can be read, nothing is left over."""
    faults = []
    if workspace.evidence.is_dir() or workspace.custody.exists():
        faults += [
            f"{check.alert_id or check.path.name}: {fault}"
            for check in verify_path(workspace.root, TrustAnchors())
            for fault in check.faults
        ]
    for path in [*workspace.runs.glob("*.json"), workspace.heartbeat]:
        if path.exists() and not _is_json(path.read_bytes()):
            faults.append(f"{path.name} is no JSON")
    for path in (workspace.run_log, workspace.outbox / DELIVERED, workspace.outbox / "events.jsonl", workspace.decisions):
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            faults.append(f"{path.name} ends within a line")
    names = [str(path.relative_to(workspace.root)) for path in workspace.output.rglob("*") if _is_leftover(path.name)]
    return Difference(faults=tuple(faults), leftovers=tuple(sorted(names)))


def _is_leftover(name: str) -> bool:
    return name.startswith(LEFTOVERS[0]) or name.endswith(LEFTOVERS[1:])


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
