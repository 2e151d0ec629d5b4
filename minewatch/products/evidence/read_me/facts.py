"""Gathers the facts of the page: from the evidence itself, the log, the decisions, and what the table says today."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shapely import GEOSException
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.cells import read_day
from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import find_alert
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.coordinates import Position, make_position
from minewatch.core.errors import AlertsError, EvidenceError
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import CustodyEntry
from minewatch.products.evidence.manifest import ALERT, GROWTH, MANIFEST, STAMP
from minewatch.products.evidence.read_me.decision_rows import DecisionRow, read_decision_row
from minewatch.products.evidence.read_me.looks import EvidenceLook, read_looks

MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, GEOSException)
"""What evidence of another version may raise."""


@dataclass(frozen=True)
class PackContent:
    """What a pack holds when its page is made."""

    name: str
    """Of the folder of evidence."""

    folder: Mapping[str, bytes]
    """Files of the evidence by name."""

    entries: tuple[CustodyEntry, ...]
    """Of the custody log on this evidence, the one of this pack last."""

    decisions: tuple[bytes, ...]
    """Lines of decisions.jsonl on this alert."""

    signed_with: Mapping[str, str] | None
    """The key that signs the pack; None where there is none."""


@dataclass(frozen=True)
class TableRow:
    """What the alerts table says of the alert when the pack is made, which may be long after its evidence."""

    alert_id: str
    """As it is called now."""

    as_of: dt.date
    """For which date."""

    row: Mapping[str, Any]
    """Column to value."""


@dataclass(frozen=True)
class ReadMeFacts:
    """All facts of the page."""

    content: PackContent
    """The pack."""

    manifest: Mapping[str, Any]
    """Of the evidence."""

    manifest_sha256: str
    """Of its bytes."""

    alert: Mapping[str, Any]
    """Properties of the alert as on file: column to value."""

    outline: BaseGeometry
    """As on file, lon/lat, in one piece across 180 degrees."""

    position: Position
    """Of a point inside."""

    last_normal: dt.date | None
    """The last normal look; None where none is known."""

    first_seen: dt.date
    """The first look with the change."""

    confirmed_on: dt.date
    """The last look that the method needed."""

    looks: Mapping[str, EvidenceLook]
    """Name of an image to what it shows; those that the folder has and that can be read."""

    growth: tuple[tuple[dt.date, float], ...]
    """Day and hectares of each addendum, which says what the alert had grown to; the earliest first."""

    decisions: tuple[DecisionRow, ...]
    """Of people, in the order of the file."""

    table: TableRow | None
    """None where the table is missing or no longer has the alert."""

    made: dt.datetime
    """When the page was made, UTC."""

    @property
    def is_signed(self) -> bool:
        """True if a key signed the manifest of the evidence."""
        return isinstance(self.manifest.get("signed_with"), dict)

    @property
    def has_token(self) -> bool:
        """True if an authority's time stamp lies beside the manifest."""
        return STAMP in self.content.folder

    @property
    def describes_confirmation(self) -> bool:
        """True if outline and hectares on file are those of the confirming look, not of the scan that wrote them."""
        return int(self.manifest["format"]) >= 2


def gather_facts(workspace: Workspace, content: PackContent) -> ReadMeFacts:
    """Gather the facts; raises EvidenceError where the evidence is not of a form that this version can show."""
    try:
        manifest = json.loads(content.folder[MANIFEST])
        (feature,) = json.loads(content.folder[ALERT])["features"]
        alert, outline = feature["properties"], join_halves(shape(feature["geometry"]))
        days = {name: read_day(alert.get(name)) for name in ("last_normal", "first_seen", "confirmed_on")}
        if days["first_seen"] is None or days["confirmed_on"] is None:
            raise EvidenceError(f"{ALERT} lacks a date")
        return ReadMeFacts(
            content=content,
            manifest=manifest,
            manifest_sha256=hashlib.sha256(content.folder[MANIFEST]).hexdigest(),
            alert=alert,
            outline=outline,
            position=make_position(float(alert["lat"]), float(alert["lon"])),
            last_normal=days["last_normal"],
            first_seen=days["first_seen"],
            confirmed_on=days["confirmed_on"],
            looks=read_looks(content.folder, manifest, outline),
            growth=_read_growth(content.folder),
            decisions=_read_decisions(content.decisions),
            table=_find_row(workspace, content.name),
            made=dt.datetime.now(dt.UTC),
        )
    except MALFORMED as error:
        raise EvidenceError(f"the evidence is not of a form that can be shown ({type(error).__name__})") from error


def _read_growth(folder: Mapping[str, bytes]) -> tuple[tuple[dt.date, float], ...]:
    """Return day and hectares of the folder's addenda."""
    found = []
    for name in sorted(folder):
        part, _, file = name.partition("/")
        if file == ALERT and part.startswith(GROWTH):
            (feature,) = json.loads(folder[name])["features"]
            found.append((dt.date.fromisoformat(part.removeprefix(GROWTH)), float(feature["properties"]["area_ha"])))
    return tuple(found)


def _read_decisions(lines: Sequence[bytes]) -> tuple[DecisionRow, ...]:
    return tuple(read_decision_row(json.loads(line)) for line in lines)


def _find_row(workspace: Workspace, alert_id: str) -> TableRow | None:
    with contextlib.suppress(AlertsError):
        current = find_alert(workspace.alerts, alert_id)
        table = read_alerts(workspace.alerts)
        (row,) = table[table["alert_id"] == current].to_dict("records")
        as_of = read_day(row["as_of"])
        return TableRow(current, as_of, row) if as_of else None
    return None
