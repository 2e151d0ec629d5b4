"""Whether a watched workspace ends as if nothing had gone wrong."""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.expected_messages import choose, read_fact
from benchmarks.receivers import Hook, Mailbox
from benchmarks.watched_year import Year
from minewatch.alerts.history import read_history
from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import read_areas
from minewatch.alerts.validate import Scores, summarise, validate_alerts
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.outbox import read_deliveries
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.status import find_status
from minewatch.settings.document import init_workspace


@dataclass
class Verdict:
    """Whether all is as if nothing had gone wrong."""

    faults: list[str]
    """What is not as it must be: a line each."""
    scores: Scores
    """Alerts against the truth."""
    facts: dict[str, int]
    """Figures by name."""


def check_year(year: Year, mailbox: Mailbox, hook: Hook, folder: Path) -> Verdict:
    """Compare table, alerts and messages with what must be."""
    faults = list(year.faults)
    faults += compare_tables(year, folder)
    faults += check_history(year.workspace)
    faults += compare_messages(year, mailbox, hook)
    end = dt.datetime.combine(year.scope.last, dt.time(12), dt.UTC)
    status = find_status(year.workspace, end)
    if not status.is_well or status.waiting:
        faults.append(
            f"status: {status.waiting} waiting, {status.dead} dead, {list(status.faults)}, "
            f"{[(a.aoi, a.late, a.failures) for a in status.areas if not a.is_well]}"
        )
    alerts = read_alerts(year.workspace.alerts)
    parts = [alerts[alerts["aoi"].str.startswith(f"{tile.name}-")] for tile in year.tiles]
    scores = summarise(
        [
            validate_alerts(part, tile.truth, year.scope.start, year.scope.last)
            for part, tile in zip(parts, year.tiles, strict=True)
        ]
    )
    facts = {
        "alerts": len(alerts),
        "facts": len(year.expected.messages),
        "events to the webhook": len(hook.events),
        "events, each once": len({event["event_id"] for event in hook.events}),
        "mails": len(mailbox.mails),
        "mails, each once": len({mail.header for mail in mailbox.mails}),
        "messages delivered": len(read_deliveries(year.workspace.outbox)),
        "dead letters at the end": status.dead,
        **year.counts,
    }
    return Verdict(faults, scores, facts)


def compare_tables(year: Year, folder: Path) -> list[str]:
    """Compare the table with that of one scan over everything, in a workspace of its own."""
    many = year.workspace
    once = init_workspace(folder / "once", source=str(year.world.catalog))
    for name in ("aois", "pipelines"):
        shutil.copytree(many.root / name, once.root / name, dirs_exist_ok=True)
    if many.decisions.exists():
        once.decisions.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(many.decisions, once.decisions)
    dates: dict[dt.date, list[str]] = {}
    for aoi, (_, as_of) in read_areas(many.alerts).items():
        dates.setdefault(as_of, []).append(aoi)
    for as_of, names in dates.items():
        scan(once, ScanRequest(tuple(names), until=as_of))
    rows = [_list_rows(workspace) for workspace in (many, once)]
    faults = [
        f"only {where}: {sorted(ids)}"
        for where, ids in (("by night", rows[0].keys() - rows[1].keys()), ("at once", rows[1].keys() - rows[0].keys()))
        if ids
    ]
    return faults + [
        f"{name} differs: {[(k, rows[0][name][k], v) for k, v in rows[1][name].items() if rows[0][name][k] != v]}"
        for name in rows[0].keys() & rows[1].keys()
        if rows[0][name] != rows[1][name]
    ]


def _list_rows(workspace: Workspace) -> dict[str, dict[str, str]]:
    alerts = read_alerts(workspace.alerts).drop(columns="run_id")
    return {row["alert_id"]: {str(k): str(v) for k, v in row.items()} for row in alerts.to_dict("records")}


def check_history(workspace: Workspace) -> list[str]:
    """Tell where the history does not lead to the table."""
    state: dict[str, str] = {}
    for row in read_history(workspace.alerts):
        if row.event == "renamed":
            state[row.alert_id] = state.pop(row.former_id)
        elif row.event == "withdrawn":
            state.pop(row.alert_id, None)
        elif row.event == "merged":
            state[row.alert_id] = "closed"
        elif row.to_status and row.event != "legal status":
            state[row.alert_id] = row.to_status  # a decision on the command line acts at once
    table = {row["alert_id"]: row["status"] for row in read_alerts(workspace.alerts).to_dict("records")}
    odd = {name: (state.get(name), table.get(name)) for name in state.keys() | table.keys() if state.get(name) != table.get(name)}
    return [f"the history leads elsewhere: {odd}"] if odd else []


def compare_messages(year: Year, mailbox: Mailbox, hook: Hook) -> list[str]:
    """Compare what recipients heard with what they had to hear."""
    messages, faults = year.expected.messages, []
    names = {event["event_id"]: read_fact(event) for event in hook.events}
    if len(set(names.values())) != len(names):
        faults.append(f"facts with two ids: {[f for f, n in Counter(names.values()).items() if n > 1]}")
    faults += _compare("office", set(names.values()), {one.fact for one in messages})
    if hook.unsigned or hook.changed:
        faults.append(f"{hook.unsigned} requests not signed, repeats that differ: {hook.changed}")
    deliveries = {line.message_id: line for line in read_deliveries(year.workspace.outbox)}
    for rule in ("rangers", "ministry"):
        mails = [mail for mail in mailbox.mails if mail.to == f"{rule}@example.org"]
        lost = [mail.message_id for mail in mails if mail.message_id not in deliveries]
        heard = {
            names[event] for mail in mails if mail.message_id in deliveries for event in deliveries[mail.message_id].event_ids
        }
        faults += [f"{rule}: mails nobody knows of: {lost}"] if lost else []
        faults += _compare(rule, heard, _choose(year, rule))
        faults += [
            f"{rule}: {mail.message_id} does not name {name}"
            for mail in mails
            for name, event, _ in (names[e] for e in deliveries[mail.message_id].event_ids)
            if event != "scan-failed" and name not in mail.text
        ]
    return faults


def _choose(year: Year, rule: str) -> set[tuple[str, str, str]]:
    messages = year.expected.messages
    if rule == "rangers":
        return choose(messages, areas=["t0-n"], events=["confirmed", "grown", "closed", "scan-failed"], smallest=0.3, grown=0.5)
    last = year.scope.last
    monday = dt.datetime.combine(last - dt.timedelta(days=last.weekday()), dt.time(), dt.UTC)
    return choose([one for one in messages if one.when < monday], areas=["t"], events=["confirmed"], smallest=0, grown=0.5)


def _compare(rule: str, heard: set[Any], expected: set[Any]) -> list[str]:
    lines = [("never told", expected - heard), ("told though it is not so", heard - expected)]
    return [f"{rule}: {len(facts)} {what}: {sorted(facts)[:5]}" for what, facts in lines if facts]
