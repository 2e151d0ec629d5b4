"""Rules on who is told, and what waits to be told."""

from __future__ import annotations

from typing import Any

from minewatch.core.workspace import Workspace
from minewatch.operations.notify.outbox import Message, list_messages
from tests.helpers.tables import make_alert

SECRET = "s3cr3t-6b0e5f"  # noqa: S105 - of receivers that live for one test
HOOK = '[notify.hook]\nwebhook_variable = "HOOK_URL"\nsecret_variable = "HOOK_SECRET"\nareas = ["*"]\nunseen_days = 900\n'


def set_rules(workspace: Workspace, text: str) -> None:
    plain = workspace.settings.read_text("utf-8").split("\n[notify.")[0]
    workspace.settings.write_text(f"{plain}\n{text}", "utf-8")


def one_rule(workspace: Workspace, more: str = "", name: str = "rangers") -> None:
    set_rules(workspace, f'[notify.{name}]\nto_variable = "RANGERS_MAIL"\nareas = ["*"]\nunseen_days = 900\n{more}')


def waiting_all(workspace: Workspace) -> list[Any]:
    return list_messages(workspace.outbox)[0]


def waiting(workspace: Workspace, rule: str = "rangers") -> list[Message]:
    messages, damaged = list_messages(workspace.outbox)
    assert damaged == []
    return [message for message in messages if message.rule == rule]


def name(number: int) -> str:
    return make_alert(number).alert_id
