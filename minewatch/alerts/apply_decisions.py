"""Applies decisions to alerts: within the reviewed outline, from their date, until the alert outgrows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import shapely

from minewatch.alerts.decisions import DISMISS, Decision
from minewatch.alerts.record import CLOSED, DISMISSED, Alert
from minewatch.areas.aoi import measure_area_ha
from minewatch.settings.pipeline import AlertSettings

COVERED = 0.5
"""Share of an alert that the outline of a decision on another alert must cover to be about it too."""


@dataclass(frozen=True)
class ReviewedStatus:
    """The status of an alert after decisions."""

    status: str
    """As detected, or DISMISSED while a dismissal acts."""

    decision: Decision | None = None
    """The latest one about it, whether or not it changes the status."""

    @property
    def review(self) -> tuple[str, str, str]:
        """The columns review, review_note and reviewed_by."""
        return self.decision.columns if self.decision else ("", "", "")


class DecisionIndex:
    """The decisions of an area, by the alerts that they were made on and by their ground."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        """``decisions``: the latest first."""
        self._decisions = decisions
        self._by_alert: dict[str, int] = {}
        for number, decision in enumerate(decisions):
            self._by_alert.setdefault(decision.alert_id, number)
        self._tree = shapely.STRtree([decision.outline for decision in decisions])

    def find_latest(self, alert: Alert) -> Decision | None:
        """Return the latest decision about an alert; None where there is none."""
        own = self._by_alert.get(alert.alert_id, len(self._decisions))
        near = sorted(number for number in self._tree.query(alert.geometry).tolist() if number < own)
        found = next((self._decisions[number] for number in near if is_about(self._decisions[number], alert)), None)
        return found or (self._decisions[own] if own < len(self._decisions) else None)


def apply_decisions(alert: Alert, decisions: DecisionIndex, until: dt.date, settings: AlertSettings) -> ReviewedStatus:
    """Apply the latest decision about an alert; ``decisions`` are those of its area."""
    decision = decisions.find_latest(alert)
    if decision is None:
        return ReviewedStatus(alert.status)
    dismissed = alert.status != CLOSED and is_dismissed(alert, decision, until, settings)
    return ReviewedStatus(DISMISSED if dismissed else alert.status, decision)


def is_about(decision: Decision, alert: Alert) -> bool:
    """True if a decision is about an alert: by its id, or because it covers at least half of it."""
    if decision.alert_id == alert.alert_id:
        return True
    if not shapely.intersects(decision.outline, alert.geometry):
        return False
    return bool(decision.outline.intersection(alert.geometry).area >= COVERED * alert.geometry.area)


def is_dismissed(alert: Alert, decision: Decision, until: dt.date, settings: AlertSettings) -> bool:
    """True if a dismissal acts: for a time, and while the alert has not grown beyond what was reviewed."""
    if decision.review != DISMISS or until > decision.effective + dt.timedelta(days=settings.dismissal_days):
        return False
    parts = shapely.get_parts(alert.geometry.difference(decision.outline))
    return sum(measure_area_ha(part) for part in parts if part.area > 0) < settings.dismissal_growth_ha
