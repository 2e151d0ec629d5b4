"""Matches the alerts of an area with the external alerts of all sources."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from minewatch.alerts.corroboration.agreement import Agreement, AlertExtent, SightingIndex, choose_agreement
from minewatch.alerts.corroboration.record import ExternalSource, ExternalSources, read_sightings
from minewatch.core.errors import ExternalAlertError

Matches = Mapping[str, list[Agreement]]
"""Alert id to its agreements, one for each source."""


def match_external_alerts(
    known: ExternalSources, folder: Path, aoi: str, until: dt.date, extents: Mapping[str, AlertExtent]
) -> tuple[Matches, list[str]]:
    """Match the alerts of an area with all sources that count on a date; also return notes on sources that cannot be read."""
    found: dict[str, dict[str, list[Agreement]]] = {alert_id: {} for alert_id in extents}
    notes = [f"line {number} of witnesses.jsonl cannot be read and has no effect" for number in known.damaged]
    for source in known.of(aoi, until) if extents else ():
        try:
            agreements = match_source(source, folder, extents)
        except ExternalAlertError as error:
            notes.append(f"witness {source.name!r} cannot be asked: {error}")
            continue
        for alert_id, agreement in agreements.items():
            found[alert_id].setdefault(source.name, []).append(agreement)
    matches = {
        alert_id: [choose_agreement(own, extents[alert_id].first_seen) for own in names.values()]
        for alert_id, names in found.items()
    }
    return matches, notes


def match_source(source: ExternalSource, folder: Path, extents: Mapping[str, AlertExtent]) -> dict[str, Agreement]:
    """Match alerts with one source; raises ExternalAlertError where its sightings are missing."""
    sightings = read_sightings(folder / source.sightings)
    if not len(sightings):
        return {}
    index = SightingIndex(sightings, float(sightings.shapes[0].bounds[0]))
    agreements = {
        alert_id: index.match(extent, source.name, source.distance_m, source.days) for alert_id, extent in extents.items()
    }
    return {alert_id: agreement for alert_id, agreement in agreements.items() if agreement is not None}
