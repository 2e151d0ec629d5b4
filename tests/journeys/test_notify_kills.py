"""A process that is killed at any moment of telling loses no event, and invents none."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from minewatch.alerts.read import read_alerts
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.delivery import deliver
from minewatch.operations.notify.enqueue import enqueue_messages
from minewatch.operations.notify.event import CONFIRMED, name_event
from minewatch.operations.notify.event_store import read_events
from minewatch.operations.notify.outbox import DEAD, list_messages
from minewatch.settings.document import init_workspace
from tests.helpers.outbox import HOOK, SECRET, set_rules, waiting_all
from tests.helpers.receivers import serve_hook
from tests.helpers.tables import make_alert, put

ROUNDS = int(os.environ.get("MINEWATCH_KILLS", "5"))
"""``make drill`` asks for more."""

ALERTS = 11
START = dt.datetime(2025, 1, 1, 3, tzinfo=dt.UTC)
FORK = multiprocessing.get_context("fork")


def live(workspace: Workspace, seed: int) -> None:
    """Find alerts one by one, collect and deliver, until killed; then tell on without new ones."""
    known = len(read_alerts(workspace.alerts)) if workspace.alerts.exists() else 0
    for number in range(1_000_000):
        known = min(known + 1, ALERTS)
        put(workspace.alerts, *(make_alert(n) for n in range(known)), run=f"run-{seed}-{number}")
        enqueue_messages(workspace, START + dt.timedelta(hours=seed))
        deliver(workspace, START + dt.timedelta(hours=seed, minutes=number))


def kill_in_the_middle(workspace: Workspace, seed: int) -> None:
    child = FORK.Process(target=live, args=(workspace, seed))
    child.start()
    time.sleep(random.Random(seed).uniform(0.05, 0.5))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()


def test_no_kill_loses_an_event_or_invents_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    workspace = init_workspace(tmp_path / "watch")
    set_rules(workspace, HOOK)
    with serve_hook() as hook:
        monkeypatch.setenv("HOOK_URL", hook.url)
        # Slow now and then, so that kills meet the moment between reading and answering; and it hangs up now and then.
        hook.answer = lambda request, number: request.stall(0.05) if number % 3 == 1 else request.send(200)
        for seed in range(ROUNDS):
            kill_in_the_middle(workspace, seed)
        put(workspace.alerts, *(make_alert(n) for n in range(ALERTS)), run="the-end")
        enqueue_messages(workspace, START + dt.timedelta(days=9))
        for round_ in range(50):
            deliver(workspace, START + dt.timedelta(days=9, hours=8 * round_))
            if not waiting_all(workspace):
                break
        truth = {name_event(alert.alert_id, CONFIRMED, alert.confirmed_on) for alert in map(make_alert, range(ALERTS))}
        assert set(hook.event_ids) == truth
    assert {event.event_id for event in read_events(workspace.outbox).events} == truth
    assert list_messages(workspace.outbox) == list_messages(workspace.outbox, DEAD) == ([], [])
    assert enqueue_messages(workspace, START + dt.timedelta(days=40)) == 0
    assert list(workspace.outbox.rglob(".tmp-*")) == []
