"""``minewatch notify``: whether messages arrive, which ones wait, and another try for those that did not."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.core.errors import WorkspaceError
from minewatch.core.progress import reporting
from minewatch.core.text import find_nearest, join_some, show
from minewatch.core.workspace import Workspace

if TYPE_CHECKING:
    from minewatch.operations.notify.outbox import Message
    from minewatch.operations.notify.rule import Rule

NO_RULES = "no messages are sent: the settings have no [notify.NAME] table; minewatch notify --help shows one"


@click.group("notify")
def notify() -> None:
    """Messages about what is new: test the recipients, see what waits, try again.

    Recipients are set in minewatch.toml, one table each; addresses and secrets come from environment
    variables.  The watch sends the messages; what cannot be sent waits in output/outbox and is tried again for two days.

    \b
    In minewatch.toml:
      [notify.rangers]
      to_variable = "RANGERS_MAIL"
      areas = ["*"]
      events = ["confirmed", "grown", "scan-failed"]

    \b
    Example:
      minewatch notify test
      minewatch notify list --dead
      minewatch notify retry --all
    """


@notify.command("test")
@click.argument("rule", required=False)
@common_options
def test(session: Session, rule: str | None) -> None:
    """Send a message that is marked as a test to one recipient, or to all.

    The alert in it is made up.  The message does not go through the outbox: what fails is printed here, and not tried again.

    \b
    Example:
      minewatch notify test
      minewatch notify test rangers
    """
    from minewatch.areas.area_files import explain_unmatched, list_aois
    from minewatch.operations.notify.delivery import send_test_message
    from minewatch.operations.notify.rule import list_unmatched

    workspace = session.workspace
    areas = list_aois(workspace)
    rules = _choose_rules(workspace, rule)
    now = dt.datetime.now(dt.UTC)
    answers = [(one, send_test_message(workspace, one, now)) for one in rules]
    if session.as_json:
        print_json([{"rule": one.name, "sent": answer.sent, "reason": answer.reason} for one, answer in answers])
    else:
        ways = [one.table.webhook_variable or one.table.to_variable for one in rules]  # the variable, never what is in it
        results = ["sent" if answer.sent else f"failed: {answer.reason}" for _, answer in answers]
        rows = list(zip([one.name for one in rules], ways, results, strict=True))
        print_table(("rule", "by", "what came of it"), rows, wrap=True)
    for one in rules:
        if unmatched := list_unmatched(one, areas):
            say(f"{one.name}: {explain_unmatched(unmatched, areas)}")
        if one.table.min_mine_score is not None:
            say(f"{one.name}: min_mine_score holds back alerts below {one.table.min_mine_score:g}, and mines may be among them")
    if not all(answer.sent for _, answer in answers):
        sys.exit(1)


def _choose_rules(workspace: Workspace, name: str | None) -> list[Rule]:
    from minewatch.operations.notify.rule import find_rules

    rules = find_rules(workspace)
    if not rules:
        raise WorkspaceError(NO_RULES)
    chosen = [rule for rule in rules if name in (None, rule.name)]
    if not chosen:
        names = [rule.name for rule in rules]
        near = find_nearest(name or "", names)
        hint = f"did you mean {near!r}?" if near else f"known: {join_some(names)}"
        raise WorkspaceError(f"there is no rule {name!r}; {hint}")
    return chosen


@notify.command("list")
@click.option("--dead", is_flag=True, help="Only messages that were given up after the last try.")
@common_options
def list_command(session: Session, dead: bool) -> None:
    """List the messages that wait for their delivery, and those that were given up.

    \b
    Example:
      minewatch notify list
      minewatch notify list --dead --json
    """
    from minewatch.operations.notify.outbox import DEAD, WAITING, list_messages
    from minewatch.operations.notify.rule import find_rules

    workspace = session.workspace
    places = (DEAD,) if dead else (WAITING, DEAD)
    found = [(place, message) for place in places for message in list_messages(workspace.outbox, place)[0]]
    if session.as_json:
        print_json([_describe(place, message) for place, message in found])
        return
    if not found:
        say("no message was given up" if dead else "no message waits, and none was given up")
        if not find_rules(workspace):
            say(NO_RULES)
        return
    rows = [_list_cells(place, message) for place, message in found]
    print_table(
        ("message", "state", "events", "tries", "next try (UTC)", "why"),
        rows,
        spare=("tries", "events", "next try (UTC)"),
        wrap=True,
    )


def _list_cells(place: str, message: Message) -> tuple[str | int, ...]:
    from minewatch.operations.notify.outbox import DEAD

    next_try = "" if place == DEAD else message.next_try[:16] or "at once"
    return message.message_id, place, len(message.events), message.attempts, next_try, show(message.reason)


def _describe(place: str, message: Message) -> dict[str, Any]:
    from minewatch.operations.notify.outbox import describe_message

    facts = {name: value for name, value in describe_message(message).items() if name not in ("events", "kinds", "unended")}
    areas = sorted({event.aoi for event in message.events})
    return {"state": place, **facts, "event_ids": message.event_ids, "run_ids": message.run_ids, "areas": areas}


@notify.command("retry")
@click.argument("message_id", required=False, metavar="[ID]")
@click.option("--all", "everything", is_flag=True, help="All that wait, and all that were given up.")
@common_options
def retry_command(session: Session, message_id: str | None, everything: bool) -> None:
    """Try a message again now, or all; one that was given up gets all its attempts again.

    \b
    Example:
      minewatch notify retry rangers-0000012-1f0c9a77b2d4
      minewatch notify retry --all
    """
    from minewatch.operations.notify.delivery import deliver, retry

    if (message_id is None) != everything:
        raise click.UsageError("give either the ID of a message (minewatch notify list shows them) or --all")
    workspace = session.workspace
    retry(workspace, None if message_id is None else [message_id])
    with reporting() as reporter:
        done = deliver(workspace, dt.datetime.now(dt.UTC), reporter)
    if session.as_json:
        print_json(asdict(done))
    else:
        echo(f"{done.sent} sent, {done.failed} failed, {done.waiting} waiting, {done.dead} given up")
    if done.failed:
        sys.exit(1)
