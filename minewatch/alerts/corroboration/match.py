"""Asks all witnesses of an area about its alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from minewatch.alerts.corroboration.agreement import Agreement, AlertExtent, SightingIndex, choose_agreement
from minewatch.alerts.corroboration.record import ExternalSource, ExternalSources, read_sightings
from minewatch.core.errors import ExternalAlertError

Testimony = Mapping[str, list[Agreement]]
"""Alert id to who saw it too, every witness once."""


def match_external_alerts(
    known: ExternalSources, folder: Path, aoi: str, until: dt.date, subjects: Mapping[str, AlertExtent]
) -> tuple[Testimony, list[str]]:
    """Ask all that count on a date about the alerts of an area; gives notes on those that cannot be asked too."""
    heard: dict[str, dict[str, list[Agreement]]] = {alert_id: {} for alert_id in subjects}
    notes = [f"line {number} of witnesses.jsonl cannot be read and has no effect" for number in known.damaged]
    for witness in known.of(aoi, until) if subjects else ():
        try:
            answers = match_source(witness, folder, subjects)
        except ExternalAlertError as error:
            notes.append(f"witness {witness.name!r} cannot be asked: {error}")
            continue
        for alert_id, agreement in answers.items():
            heard[alert_id].setdefault(witness.name, []).append(agreement)
    testimony = {
        alert_id: [choose_agreement(own, subjects[alert_id].first_seen) for own in names.values()]
        for alert_id, names in heard.items()
    }
    return testimony, notes


def match_source(witness: ExternalSource, folder: Path, subjects: Mapping[str, AlertExtent]) -> dict[str, Agreement]:
    """Ask one witness about alerts; raises WitnessError where what it saw is gone."""
    sightings = read_sightings(folder / witness.sightings)
    if not len(sightings):
        return {}
    ground = SightingIndex(sightings, float(sightings.shapes[0].bounds[0]))
    answers = {
        alert_id: ground.ask(subject, witness.name, witness.distance_m, witness.days) for alert_id, subject in subjects.items()
    }
    return {alert_id: agreement for alert_id, agreement in answers.items() if agreement is not None}
