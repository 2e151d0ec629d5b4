"""What became of alerts between two days: alerts as known on the one, compared with those as known on the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.record import CLOSED, Alert
from minewatch.products.bulletin.period import Period


@dataclass(frozen=True)
class AlertChange:
    """An alert in a time, as known at its end."""

    alert: Alert
    """As known at the end of the time."""

    gained: BaseGeometry
    """Its ground that was part of no open alert before the time; empty where there is none.  Degrees."""

    is_new: bool
    """True if it was raised in the time, and is not the part of an alert that was there before."""

    is_confirmed_now: bool
    """True if the look that confirmed it is of the time."""

    is_green_now: bool
    """True if it was confirmed, and its ground counts as green again since a look of the time."""

    @property
    def is_open(self) -> bool:
        """True if it is open at the end of the time."""
        return self.alert.status != CLOSED

    @property
    def is_faded(self) -> bool:
        """True if it closed without ever being confirmed."""
        return self.alert.status == CLOSED and self.alert.confirmed_on is None


def compare_alerts(before: Sequence[Alert], after: Sequence[Alert], period: Period) -> list[AlertChange]:
    """Return the alerts that were open at any time of a period: ``before`` are those known before it, ``after`` at its end.

    Alerts that were merged into others are left out: their ground is counted there.
    """
    known = {alert.alert_id: alert for alert in before}
    by_id = {alert.alert_id: alert for alert in after}
    ground = np.array([alert.geometry for alert in before if alert.status != CLOSED], object)
    tree = shapely.STRtree(ground)
    changes = []
    for alert in after:
        ended = alert.closed_on is not None and alert.closed_on < period.first
        if alert.merged_into or (alert.status == CLOSED and ended):
            continue
        near = ground[tree.query(alert.geometry, predicate="intersects")]
        changes.append(
            AlertChange(
                alert=alert,
                gained=shapely.difference(alert.geometry, shapely.union_all(near)) if len(near) else alert.geometry,
                is_new=_find_root(alert, by_id).alert_id not in known and alert.alert_id not in known,
                is_confirmed_now=_is_within(alert.confirmed_on, period),
                is_green_now=alert.confirmed_on is not None and alert.status == CLOSED and _is_within(alert.closed_on, period),
            )
        )
    return changes


def _find_root(alert: Alert, by_id: Mapping[str, Alert]) -> Alert:
    """Return the alert that an alert was first a part of; itself where it never was."""
    passed = {alert.alert_id}
    while alert.split_from in by_id and alert.split_from not in passed:
        alert = by_id[alert.split_from]
        passed.add(alert.alert_id)
    return alert


def _is_within(day: dt.date | None, period: Period) -> bool:
    return day is not None and period.first <= day <= period.last
