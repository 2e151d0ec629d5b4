"""Adds a source of external alerts: reads its file, stores what lies near the areas, and matches it with the table."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import AOIS, LAYER
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.corroboration.agreement import Agreement, Matches, describe_agreements, match_external_alerts
from minewatch.alerts.corroboration.options import DAYS, DISTANCE_M
from minewatch.alerts.corroboration.points import ENDINGS, read_points
from minewatch.alerts.corroboration.record import (
    ExternalSource,
    append_external_sources,
    read_external_sources,
    store_sightings,
)
from minewatch.alerts.corroboration.shapes import read_shapes
from minewatch.alerts.corroboration.sighting import NO_DAY, Reading, Region, Sightings, make_region
from minewatch.alerts.database import parse_date, require_table, select, update
from minewatch.alerts.geopackage import decode_geometry, updating
from minewatch.alerts.history import HistoryEvent, record_event
from minewatch.alerts.schema import upgrade_schema
from minewatch.core.errors import ExternalAlertError
from minewatch.core.workspace import Workspace

LONGEST_NAME = 60
"""Letters of a name."""


@dataclass(frozen=True)
class Corroboration:
    """The result of adding a source."""

    reading: Reading
    """What the file holds."""

    added: Sequence[ExternalSource]
    """The sources added, one for each area; empty where all were known already."""

    agreements: Mapping[str, Agreement]
    """Alert id to its agreement with this source."""

    alerts: int
    """Rows in the table."""

    notes: Sequence[str]
    """Lines for the user."""


def corroborate_alerts(
    workspace: Workspace,
    path: Path,
    name: str,
    distance_m: float = DISTANCE_M,
    days: int = DAYS,
    layer: str | None = None,
    date_column: str | None = None,
) -> Corroboration:
    """Add the alerts of another system; adding the same again changes nothing.

    Raises ExternalAlertError where the file or the name cannot be used, AlertsError where there is no table or it is locked.
    """
    check_source_name(name)
    with workspace.lock("review of witnesses"):
        dates, outlines = _read_areas(workspace.alerts)
        regions = [make_region(aoi, outline, distance_m) for aoi, outline in outlines.items()]
        reading = _drop_undated(_read(path, regions, layer, date_column))
        digest = _digest(path) if reading.sightings else ""
        stored = read_external_sources(workspace.external_sources)
        known = {source.claim for aoi, as_of in dates.items() for source in stored.of(aoi, as_of)}
        added = []
        for aoi, sightings in reading.sightings.items():
            kept = store_sightings(workspace.external_alerts, sightings)
            now = dt.datetime.now(dt.UTC).replace(microsecond=0)
            source = ExternalSource(
                name, aoi, path.name, digest, kept, len(sightings), distance_m, days, dates[aoi], now
            )  # fmt: skip
            if source.claim not in known:
                added.append(source)
        append_external_sources(workspace.external_sources, added)
        matches, notes = refresh_matches(workspace)
    agreements = {alert_id: agreement for alert_id, found in matches.items() for agreement in found if agreement.name == name}
    return Corroboration(reading, added, agreements, len(matches), [*reading.notes, *notes])


def remove_source(workspace: Workspace, name: str) -> int:
    """Remove everything that was added under a name; return the number of files.

    Raises ExternalAlertError where there is nothing.  The lines stay in the file, and tables of earlier dates still show them.
    """
    with workspace.lock("review of witnesses"):
        dates, _ = _read_areas(workspace.alerts)
        stored = read_external_sources(workspace.external_sources)
        known = [source for aoi, as_of in dates.items() for source in stored.of(aoi, as_of) if source.name == name]
        if not known:
            names = sorted({source.name for source in stored.all})
            raise ExternalAlertError(f"there is no witness {name!r}; added so far: {', '.join(names) or 'none'}")
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        removed = [replace(s, sightings="", count=0, effective=dates[s.aoi], added=now) for s in known]
        append_external_sources(workspace.external_sources, removed)
        refresh_matches(workspace)
    return len({source.digest for source in known})


def check_source_name(name: str) -> None:
    """Raise ExternalAlertError where a name cannot be written into the table."""
    if not name or name != name.strip() or len(name) > LONGEST_NAME or ";" in name or not name.isprintable():
        raise ExternalAlertError(
            f"{name!r} cannot be the name of a witness: use 1 to {LONGEST_NAME} letters, no ';', no space at the ends"
        )


# --- the file --------------------------------------------------------------------------------------------------------


def _read(path: Path, regions: Sequence[Region], layer: str | None, date_column: str | None) -> Reading:
    if not path.is_file():
        raise ExternalAlertError(f"there is no file {path}")
    if path.suffix.lower() in ENDINGS:
        if layer is not None:
            raise ExternalAlertError(f"{path} is a table of points and has no layers; leave --layer out")
        return read_points(path, regions, date_column)
    return read_shapes(path, regions, layer, date_column)


def _drop_undated(reading: Reading) -> Reading:
    """Leave out sightings without a date in a file with dates: there an empty date means that nothing was seen."""
    if reading.date_column is None:
        return reading
    dropped = 0
    for aoi, sightings in list(reading.sightings.items()):
        dated = sightings.days != NO_DAY
        dropped += int((~dated).sum())
        if dated.any():
            reading.sightings[aoi] = Sightings(sightings.shapes[dated], sightings.days[dated])
        else:
            del reading.sightings[aoi]
    if dropped:
        reading.notes.append(f"{dropped} near the areas have no date in {reading.date_column!r} and are left out")
    return reading


def _digest(path: Path) -> str:
    """Digest a file, a shapefile with what belongs to it."""
    digest = hashlib.sha256()
    endings = (".dbf", ".shx", ".prj", ".cpg") if path.suffix.lower() == ".shp" else ()
    for part in [path, *(beside for ending in endings if (beside := path.with_suffix(ending)).is_file())]:
        with part.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


# --- the table -------------------------------------------------------------------------------------------------------


def _read_areas(table: Path) -> tuple[dict[str, dt.date], dict[str, BaseGeometry]]:
    """Return as-of dates and outlines of the areas as the table has them."""
    require_table(table)
    with updating(table) as connection:
        rows = [row for row in select(connection, AOIS) if row["geom"]]
    return {row["aoi"]: parse_date(row["as_of"]) for row in rows}, {row["aoi"]: decode_geometry(row["geom"]) for row in rows}


def refresh_matches(workspace: Workspace) -> tuple[Matches, list[str]]:
    """Write the matches into the column ``witnesses`` of every row; nothing else changes.

    Raises AlertsError where the table is locked or damaged; nothing is changed then.
    """
    known = read_external_sources(workspace.external_sources)
    notes: list[str] = []
    matches: dict[str, list[Agreement]] = {}
    with updating(workspace.alerts) as connection:
        upgrade_schema(connection)
        rows = [row for row in select(connection, LAYER) if row["geom"]]
        for area in select(connection, AOIS):
            own = {row["alert_id"]: row for row in rows if row["aoi"] == area["aoi"]}
            sites = {alert_id: AlertSite.of(row) for alert_id, row in own.items()}
            found, more = match_external_alerts(known, workspace.external_alerts, area["aoi"], parse_date(area["as_of"]), sites)
            notes += more
            matches |= found
            for alert_id, row in own.items():
                _show(connection, row, describe_agreements(found[alert_id]))
    return matches, list(dict.fromkeys(notes))


def _show(connection: Any, row: Mapping[str, Any], cell: str) -> None:
    if (row["witnesses"] or "") == cell:
        return
    update(connection, LAYER, row["fid"], {"witnesses": cell})
    detail = cell or "nobody any more"
    record_event(connection, HistoryEvent(row["alert_id"], "witnessed", detail, run_id=row["run_id"], as_of=row["as_of"]))
