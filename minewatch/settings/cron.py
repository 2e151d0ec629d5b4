"""Cron expressions, in UTC."""

from __future__ import annotations

import datetime as dt

from cronsim import CronSim, CronSimError

from minewatch.core.text import count_of

EXAMPLE = "30 2 * * *"
"""Every night at half past two, UTC."""

EVERY_MINUTES = 15
"""How often the system starts the watch; the schedules decide what is then due."""


def check_cron(expression: str) -> str:
    """Return the expression if it is valid; raises ValueError saying what is wrong."""
    fields = expression.split()
    if len(fields) != 5:
        count = count_of(len(fields), "field")
        raise ValueError(f"{expression!r} has {count}; give five (minute, hour, day, month, weekday), such as {EXAMPLE!r} (UTC)")
    try:
        find_next(expression, dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    except CronSimError as error:
        fault = str(error).lower()
        raise ValueError(f"{expression!r} is no cron expression: {fault}; such as {EXAMPLE!r} (UTC)") from None
    except StopIteration:
        raise ValueError(f"{expression!r} names a day that never comes; such as {EXAMPLE!r} (UTC)") from None
    return expression


def find_last(expression: str, now: dt.datetime) -> dt.datetime:
    """Return the latest time of an expression that is not after ``now`` (UTC)."""
    return next(CronSim(expression, now.replace(microsecond=0) + dt.timedelta(seconds=1), reverse=True))


def find_next(expression: str, now: dt.datetime) -> dt.datetime:
    """Return the first time of an expression after ``now`` (UTC)."""
    return next(CronSim(expression, now))
