"""The world of the drills: one small area, prepared workspaces that rounds copy, and two servers that get messages."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drills.loaded import VARIABLE
from drills.truth import ReceivedEvents
from minewatch.alerts.geopackage import updating
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.delivery import deliver
from minewatch.operations.notify.enqueue import enqueue_messages
from minewatch.operations.notify.outbox import read_deliveries
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.simulation.series import SimulatedSeries, simulate_series
from tests.helpers.receivers import Hook, Mailbox, serve_hook, serve_mail
from tests.helpers.small import NAME, SMALL, UNTIL, make_workspace

SIMULATION = replace(SMALL, width=64, height=64, revisit_days=6)
"""Ten hectares with two mines and 71 scenes: enough for checkpoints."""

EARLY = dt.date(2022, 12, 22)
"""A day on which one mine is known and the other is not."""

NOW = dt.datetime.combine(UNTIL, dt.time(2, 40), dt.UTC)
"""The night that is disturbed."""

RULES = """
[schedules.nightly]
cron = "30 2 * * *"
[watch]
jitter_minutes = 0
[notify.hook]
webhook_variable = "DRILL_HOOK"
secret_variable = "DRILL_SECRET"
areas = ["*"]
[notify.blind]
webhook_variable = "DRILL_HOOK"
secret_variable = "DRILL_SECRET"
areas = ["*"]
events = ["provisional", "confirmed", "reviewed"]
coordinates = false
[notify.post]
to_variable = "DRILL_MAIL"
areas = ["*"]
[notify.weekly]
to_variable = "DRILL_MAIL"
areas = ["*"]
language = "es"
when = "weekly"
"""


@dataclass
class Recipients:
    """A web server and a mail server."""

    hook: Hook
    """Gets JSON."""

    mailbox: Mailbox
    """Gets mail."""

    @property
    def environment(self) -> dict[str, str]:
        """Their addresses."""
        addresses = {"DRILL_HOOK": self.hook.url, "DRILL_SECRET": "a-secret-of-the-drill", "DRILL_MAIL": self.mailbox.url}
        return addresses | dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")

    def empty(self) -> None:
        """Delete what was received."""
        self.hook.bodies.clear()
        self.hook.headers.clear()
        self.mailbox.mails.clear()

    def read_received(self, workspace: Workspace) -> ReceivedEvents:
        """Return what was received; the events of a mail are found by the id of its message."""
        received = ReceivedEvents()
        for value in self.hook.values:
            received.counts.update((value["rule"], event["event_id"]) for event in value["events"])
        known = {line.message_id: line for line in read_deliveries(workspace.outbox)}
        for mail in self.mailbox.mails:
            body = mail.get_body(("plain",))
            text = body.get_content() if body else ""
            (name,) = re.findall(r"\b(?:post|weekly)-\d{7}-[0-9a-f]{12}\b", text)
            line = known.get(name)
            received.counts.update((line.rule, event) for event in line.event_ids) if line else received.counts.update(
                [("mail", name)]
            )
        return received


@dataclass
class World:
    """Prepared workspaces by name, and the folder of the rounds."""

    folder: Path
    """Of all files."""

    series: SimulatedSeries
    """The scenes."""

    recipients: Recipients
    """Of messages."""

    prepared: dict[str, Path]
    """Name to the folder of a workspace that is only copied."""

    count: int = 0
    """Copies made so far."""

    @contextlib.contextmanager
    def open_copy(self, name: str) -> Iterator[Workspace]:
        """Yield a copy of a prepared workspace, always under the same path, since reports and jitter depend on it."""
        self.count += 1
        root = self.folder / "round" / f"watch-{os.getpid()}"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.prepared[name], root)
        self.recipients.empty()
        try:
            yield Workspace(root)
        finally:
            shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Prepare series, servers and workspaces."""
    with serve_hook() as hook, serve_mail() as mailbox:
        recipients = Recipients(hook, mailbox)
        before = {name: os.environ.get(name) for name in recipients.environment}
        os.environ.update(recipients.environment)
        try:
            series = simulate_series(folder / "series", SIMULATION)
            world = World(folder, series, recipients, {})
            _prepare(world)
            warm = _add(world, "warm", "cold")
            os.environ[VARIABLE] = "\n".join([str(warm.root), NAME, UNTIL.isoformat()])
            yield world
        finally:
            os.environ.pop(VARIABLE, None)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _prepare(world: World) -> None:
    cold = _add(world, "cold", None)
    cold.settings.write_text(f'source = "{world.series.catalog}"\n{RULES}', "utf-8")
    early = _add(world, "early", "cold")
    _scan(early, EARLY)
    told = _add(world, "night", "early")
    before = dt.datetime.combine(EARLY, dt.time(3), dt.UTC)
    for _ in range(2):
        enqueue_messages(told, before)
        deliver(told, before)
    update = _add(world, "update", "night")
    _scan(replace(update, output_root=world.folder / "trial"), UNTIL)  # so that the archive has all scenes
    edit_table(update)
    news = _add(world, "news", "update")
    _scan(news, UNTIL)
    _add(world, "whole", "news")


def _add(world: World, name: str, origin: str | None) -> Workspace:
    root = world.folder / "prepared" / name
    if origin is None:
        make_workspace(root, world.series)
    else:
        shutil.copytree(world.prepared[origin], root)
    world.prepared[name] = root
    return Workspace(root)


def _scan(workspace: Workspace, until: dt.date) -> None:
    scan(workspace, ScanRequest(until=until))


def edit_table(workspace: Workspace) -> None:
    """Decide about an alert by editing the table, as in QGIS."""
    with updating(workspace.alerts) as connection:
        sql = "UPDATE alerts SET review = 'needs-visit', review_note = 'ask the post', reviewed_by = 'Ana'"
        connection.execute(sql)


AREA = NAME
"""The area of the drills."""
