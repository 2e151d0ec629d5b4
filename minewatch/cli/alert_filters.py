"""Options that choose alerts, and the choice: for lists and exports."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from minewatch.alerts.cells import is_empty, read_day
from minewatch.alerts.context.terms import AREAS, CONCESSION, LEGAL, UNKNOWN, UNLICENSED
from minewatch.alerts.lifetime import is_ever_confirmed
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL, STATES
from minewatch.alerts.rows import Row, find_alert, read_areas
from minewatch.areas.area_files import list_aois
from minewatch.cli.complete import complete_area
from minewatch.cli.output import say
from minewatch.cli.values import Choice, Day, Number
from minewatch.core.errors import AoiError
from minewatch.core.text import count_of, suggest
from minewatch.core.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])

NOT_REVIEWED = "none"
"""Value of ``--review`` for alerts that nobody has reviewed."""

OPEN_FIRST = (CONFIRMED, PROVISIONAL, CLOSED, DISMISSED)
"""States in the order of lists: open alerts, then closed ones."""

BY_STATUS, BY_ID, BY_DATE, BY_AREA, BY_SCORE = "status", "id", "date", "area", "mine-score"
ORDERS: Mapping[str, Callable[[Row], Any]] = {
    BY_STATUS: lambda row: OPEN_FIRST.index(row["status"]) if row["status"] in OPEN_FIRST else len(OPEN_FIRST),
    BY_ID: lambda _: 0,
    BY_DATE: lambda row: -(read_day(row["first_seen"]) or dt.date.min).toordinal(),
    BY_AREA: lambda row: -row["area_ha"],
    BY_SCORE: lambda row: math.inf if is_empty(row["mine_score"]) else -row["mine_score"],
}
"""Values of ``--sort``, each with what comes first; alerts that are equal in it stay in the order of area and id."""


def filters(command: F) -> F:
    """Add the options that filter alerts to a command."""
    for option in (
        click.option("--min-area", type=Number(min=0), metavar="HA", help="At least this large, hectares."),
        click.option("--until", type=Day(), help="First seen on this date or earlier."),
        click.option("--since", type=Day(), help="First seen on this date or later."),
        click.option(
            "--review",
            multiple=True,
            metavar="WORD",
            help="Only with this review: confirmed, dismissed, needs-visit or none; may be given several times.",
        ),
        click.option("--status", type=Choice(STATES), multiple=True, help="Only this status; may be given several times."),
        click.option("--confirmed", is_flag=True, help="Only those ever confirmed, also where the ground is green again."),
        click.option(
            "--legal-status", type=Choice(LEGAL), multiple=True, help="Only this legal status; may be given several times."
        ),
        click.option(
            "--outside",
            type=Choice(list(AREAS)),
            multiple=True,
            help="Only what lies outside; of concessions: outside valid ones.  May be given several times.",
        ),
        click.option("--aoi", metavar="NAME", help="Only this area.", shell_complete=complete_area),
        click.option(
            "--min-mine-score",
            type=Number(0, 1),
            metavar="X",
            help="Only ground that looks at least this much like a mine, 0 to 1; mines may look otherwise.",
        ),
    ):
        command = option(command)
    return command


def select_alerts(
    workspace: Workspace,
    rows: Sequence[Row],
    *,
    aoi: str | None = None,
    status: tuple[str, ...] = (),
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    min_area: float | None = None,
    review: tuple[str, ...] = (),
    legal_status: tuple[str, ...] = (),
    outside: tuple[str, ...] = (),
    confirmed: bool = False,
    min_mine_score: float | None = None,
) -> list[Row]:
    """Return the alerts of a workspace's table that pass every given filter; say how many are left out as unknown.

    Raises AoiError for an area that neither the workspace nor its table has, UsageError for other words that mean nothing.
    """
    if since and until and until < since:
        raise click.UsageError(f"--until {until:%Y-%m-%d} is before --since {since:%Y-%m-%d}")
    if aoi is not None:
        check_area(workspace, aoi)
    tests = _list_tests(aoi, status, since, until, min_area, review, legal_status, confirmed)
    chosen = [row for row in rows if all(passes(row) for passes in tests.values())]
    for kind in outside:
        chosen = _select_outside(chosen, kind)
    chosen = chosen if min_mine_score is None else _select_alike(chosen, min_mine_score)
    if rows and not chosen:
        say(_explain_none(rows, tests, is_narrowed=bool(outside) or min_mine_score is not None))
    return chosen


Tests = Mapping[str, Callable[[Row], bool]]
"""Options that choose alerts, each with what an alert has to pass."""


def _list_tests(
    aoi: str | None,
    status: tuple[str, ...],
    since: dt.datetime | None,
    until: dt.datetime | None,
    min_area: float | None,
    review: tuple[str, ...],
    legal_status: tuple[str, ...],
    confirmed: bool,
) -> Tests:
    """Return the tests of the options that were given, by their names; raises UsageError for a review that there is not."""
    reviews, first, last = _read_reviews(review), since and since.date(), until and until.date()
    tests: Mapping[str, tuple[Any, Callable[[Row], bool]]] = {
        "--aoi": (aoi, lambda row: row["aoi"] == aoi),
        "--status": (status, lambda row: row["status"] in status),
        "--confirmed": (confirmed, is_ever_confirmed),
        "--since": (first, lambda row: (read_day(row["first_seen"]) or dt.date.min) >= (first or dt.date.min)),
        "--until": (last, lambda row: (read_day(row["first_seen"]) or dt.date.max) <= (last or dt.date.max)),
        "--min-area": (min_area, lambda row: bool(row["area_ha"] >= min_area)),
        "--review": (reviews, lambda row: row["review"] in reviews),
        "--legal-status": (legal_status, lambda row: row["legal_status"] in legal_status),
    }
    return {option: test for option, (value, test) in tests.items() if value}


def _explain_none(rows: Sequence[Row], tests: Tests, *, is_narrowed: bool) -> str:
    """Return why no alert of a table is left: how many there would be without each option that alone leaves some out."""
    without = {
        option: sum(all(passes(row) for name, passes in tests.items() if name != option) for row in rows) for option in tests
    }
    told = [f"{count} without {option}" for option, count in without.items() if count]
    if is_narrowed or not told:
        return f"no alert passes all of these filters; without them there would be {len(rows)}"
    return f"no alert passes these filters: {', '.join(told)}"


def select_named(workspace: Workspace, rows: Sequence[Row], alert_ids: Sequence[str]) -> list[Row]:
    """Return the alerts with these ids, of which some may be former ones; all where none is given.

    Raises AlertsError, with the nearest, for an id that no alert has or had.
    """
    names = {alert_id: find_alert(workspace.alerts, alert_id) for alert_id in alert_ids}
    for alert_id, name in names.items():
        if name != alert_id:
            say(f"{alert_id} is now {name}")
    return [row for row in rows if not names or row["alert_id"] in names.values()]


def count_confirmed_since(rows: Sequence[Row], since: dt.datetime | None, aoi: str | None) -> int:
    """Return how many alerts ``--since`` leaves out that were confirmed on that day or later; 0 without it."""
    if since is None:
        return 0
    own = [row for row in rows if aoi in (None, row["aoi"])]
    days = [(read_day(row["first_seen"]), read_day(row["confirmed_on"])) for row in own]
    return sum(bool(first and confirmed and first < since.date() <= confirmed) for first, confirmed in days)


def check_area(workspace: Workspace, aoi: str) -> None:
    """Say that an area has not been scanned yet; raises AoiError, with the nearest, for one that there is not."""
    scanned, registered = read_areas(workspace.alerts), list_aois(workspace)
    if aoi not in scanned and aoi not in registered:
        raise AoiError(f"there is no area {aoi!r}{suggest(aoi, dict.fromkeys([*registered, *scanned]), 'areas')}")
    if aoi not in scanned:
        say(f"{aoi} has not been scanned yet")


def _read_reviews(words: Sequence[str]) -> list[str]:
    """Return the values of the column ``review`` that were asked for; raises UsageError for any that there is not."""
    if not words:
        return []
    from minewatch.alerts.decisions import REVIEWS

    known = {review or NOT_REVIEWED: review for review in REVIEWS}
    for word in words:
        if word not in known:
            raise click.UsageError(f"--review {word}: there is no such review{suggest(word, known, 'reviews')}")
    return [known[word] for word in words]


def _select_alike(rows: Sequence[Row], least: float) -> list[Row]:
    scored = [row for row in rows if not is_empty(row["mine_score"])]
    if count := len(rows) - len(scored):
        say(f"{count} {'alert is' if count == 1 else 'alerts are'} left out: not scored, what the ground looks like is unknown")
    return [row for row in scored if row["mine_score"] >= least]


def _select_outside(rows: Sequence[Row], kind: str) -> list[Row]:
    if kind == CONCESSION:
        known = [row for row in rows if row["legal_status"] in LEGAL and row["legal_status"] != UNKNOWN]
        outside = [row for row in rows if row["legal_status"] in UNLICENSED]
    else:
        known = [row for row in rows if not is_empty(row[AREAS[kind][1]])]
        outside = [row for row in known if row[AREAS[kind][1]] == 0]
    if count := len(rows) - len(known):
        say(f"{count} {'alert is' if count == 1 else 'alerts are'} left out: whether outside any {kind} is unknown")
    return outside


def describe_totals(rows: Sequence[Row], shown: int) -> str:
    """Return how many alerts and hectares there are, in all and of each status; ``shown`` is how many of them a list has.

    Hectares are sums of what lists show, to two digits, so that they add up.
    """
    groups = {status: [row for row in rows if row["status"] == status] for status in OPEN_FIRST}
    parts = [f"{len(group)} {status} ({_sum_hectares(group):.2f} ha)" for status, group in groups.items() if group]
    text = f"{count_of(len(rows), 'alert')}, {_sum_hectares(rows):.2f} ha" + (f": {', '.join(parts)}" if parts else "")
    return text if shown == len(rows) else f"the first {shown} of {text}"


def _sum_hectares(rows: Sequence[Row]) -> float:
    hundredths: int = sum(round(100 * row["area_ha"]) for row in rows if not is_empty(row["area_ha"]))
    return hundredths / 100
