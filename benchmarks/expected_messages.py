"""What recipients must hear, worked out from the table as it is after each pass, in another way than the watch does it.

A fact is a tuple: alert or area, event, and the date or figure that makes it what it is.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyogrio

from minewatch.alerts.columns import AOIS, HISTORY, LAYER
from minewatch.alerts.database import recover
from minewatch.core.workspace import Workspace

Fact = tuple[str, str, str]

DATES = {"provisional": "first_seen", "confirmed": "confirmed_on", "closed": "last_seen"}
RANK = {"": -1, "provisional": 0, "confirmed": 1, "closed": 2}

GROWTH = 0.1
"""Hectares an alert must have gained to be reported as grown, by the documentation."""


@dataclass
class Known:
    """What was reported of an alert."""

    state: str = ""
    area: float = 0.0
    aoi: str = ""
    last_seen: str = ""


@dataclass
class ExpectedMessage:
    """A fact with what rules ask about it."""

    fact: Fact
    aoi: str
    event: str
    when: dt.datetime
    """Of the pass that had to tell it."""
    area: float = 0.0
    status: str = ""
    root: str = ""
    """Id under which the alert was first known; a late scene may give it another."""


@dataclass
class Expected:
    """All messages that have to be sent, in the order in which they became due."""

    unseen_days: int
    messages: list[ExpectedMessage] = field(default_factory=list)
    _known: dict[str, Known] = field(default_factory=dict)
    _roots: dict[str, str] = field(default_factory=dict)
    _renamed: int = 0
    _decided: int = 0
    _facts: set[Fact] = field(default_factory=set)
    _rounds: int = 0
    _failing: set[str] = field(default_factory=set)

    def look(self, workspace: Workspace, now: dt.datetime) -> None:
        """Compare the table with what was reported before."""
        if workspace.alerts.exists():
            recover(workspace.alerts)
            self._rename(workspace)
            rows, passed = _read(workspace, LAYER), _read_passed(workspace)
            for row in rows:
                self._check(row, passed.get(row["alert_id"], set()), now)
            self._withdraw({row["alert_id"] for row in rows}, now)
            self._review(workspace, {row["alert_id"]: row for row in rows}, now)
            for row in _read(workspace, AOIS):
                self._check_unseen(row, now)
        self._fail(workspace, now)

    def _rename(self, workspace: Workspace) -> None:
        """Take over what was reported of an alert whose id a late scene changed: it is not reported again."""
        names = [(row["former_id"], row["alert_id"]) for row in _read(workspace, HISTORY) if row["event"] == "renamed"]
        for former, name in names[self._renamed :]:
            self._roots[name] = self._roots.get(former, former)
            if former in self._known:
                self._known[name] = self._known.pop(former)
        self._renamed = len(names)

    def _add(self, message: ExpectedMessage) -> None:
        message.root = self._roots.get(message.fact[0], message.fact[0])
        if message.fact not in self._facts:
            self._facts.add(message.fact)
            self.messages.append(message)

    def _check(self, row: Mapping[str, Any], passed: set[str], now: dt.datetime) -> None:
        alert_id, status, area = row["alert_id"], row["status"], float(row["area_ha"])
        known = self._known.setdefault(alert_id, Known(aoi=row["aoi"]))
        before = Known(known.state, known.area)
        events = []
        if before.state == "closed" and status in ("provisional", "confirmed"):
            events = [status]
        elif status in RANK and RANK[status] > RANK[before.state]:
            events = [s for s in DATES if RANK[before.state] < RANK[s] <= RANK[status] and (s == status or s in passed)]
        grown = bool(before.state) and status not in ("closed", "dismissed") and area - before.area >= GROWTH
        for event in events:
            self._add(ExpectedMessage((alert_id, event, row[DATES[event]]), row["aoi"], event, now, area, status))
            known.state = event
        if grown:
            self._add(ExpectedMessage((alert_id, "grown", f"{area:.2f}"), row["aoi"], "grown", now, area, status))
        if events or grown:
            known.area = max(known.area, area)
            known.last_seen = row["last_seen"]

    def _withdraw(self, there: set[str], now: dt.datetime) -> None:
        for alert_id, known in self._known.items():
            if alert_id not in there and known.state not in ("", "closed"):
                message = ExpectedMessage(
                    (alert_id, "closed", known.last_seen), known.aoi, "closed", now, known.area, "withdrawn"
                )
                self._add(message)
                known.state = "closed"

    def _review(self, workspace: Workspace, rows: Mapping[str, Mapping[str, Any]], now: dt.datetime) -> None:
        path = workspace.decisions
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
        for line in lines[self._decided :]:
            row = rows[line["alert_id"]]
            area = float(row["area_ha"])
            message = ExpectedMessage(
                (line["alert_id"], "reviewed", line["review"]), row["aoi"], "reviewed", now, area, row["status"]
            )
            self._add(message)
            known = self._known[line["alert_id"]]
            known.area = max(known.area, area)
        self._decided = len(lines)

    def _check_unseen(self, row: Mapping[str, Any], now: dt.datetime) -> None:
        since = row["last_clear"] or row["monitor_from"]
        if (now.date() - dt.date.fromisoformat(since)).days >= self.unseen_days:
            self._add(ExpectedMessage((row["aoi"], "unseen", since), row["aoi"], "unseen", now))

    def _fail(self, workspace: Workspace, now: dt.datetime) -> None:
        lines = workspace.run_log.read_text("utf-8").splitlines() if workspace.run_log.exists() else []
        for line in map(json.loads, lines[self._rounds :]):
            for aoi, reason in line["areas"].items():
                if reason and aoi not in self._failing:
                    self._add(ExpectedMessage((aoi, "scan-failed", line["started"]), aoi, "scan-failed", now))
                self._failing = self._failing | {aoi} if reason else self._failing - {aoi}
        self._rounds = len(lines)


def _read(workspace: Workspace, layer: str) -> list[dict[str, Any]]:
    frame = pyogrio.read_dataframe(workspace.alerts, layer=layer, read_geometry=False)
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _read_passed(workspace: Workspace) -> dict[str, set[str]]:
    """Return the states that each alert was in, also those between two passes."""
    passed: dict[str, set[str]] = {}
    for row in _read(workspace, HISTORY):
        passed.setdefault(row["alert_id"], set()).update((row["event"], row["from_status"], row["to_status"]))
    return passed


def _plain(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124  NaT and nan are not themselves
        return ""
    return value.date().isoformat() if hasattr(value, "date") else value


def read_fact(event: Mapping[str, Any]) -> Fact:
    """Read the fact of an event that a webhook got."""
    facts, kind = event["facts"], event["event"]
    if kind in DATES:
        return event["alert_id"], kind, str(facts[DATES[kind]])
    if kind == "grown":
        return event["alert_id"], kind, f"{facts['area_ha']:.2f}"
    if kind == "reviewed":
        return event["alert_id"], kind, str(facts["review"])
    if kind == "unseen":
        return event["area"], kind, str(facts["last_clear"])
    return event["area"], kind, str(facts["since"])


def choose(
    messages: Iterable[ExpectedMessage], *, areas: Sequence[str], events: Sequence[str], smallest: float, grown: float
) -> set[Fact]:
    """Choose what a rule tells of it: areas by the first letters of their names."""
    heard: dict[str, float] = {}
    chosen: set[Fact] = set()
    for one in messages:
        if not one.aoi.startswith(tuple(areas)):
            continue
        name = one.root
        if one.event in ("scan-failed", "unseen"):
            wanted = one.event in events
        elif one.area < smallest:
            wanted = False
        elif one.event == "grown" and name in heard:
            wanted = "grown" in events and one.area - heard[name] >= grown
        elif one.event == "grown":
            wanted = one.status in events or "grown" in events
        else:
            wanted = one.event in events
        if wanted:
            heard[name] = one.area
            chosen.add(one.fact)
    return chosen
