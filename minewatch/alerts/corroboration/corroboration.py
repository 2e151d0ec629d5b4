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
from minewatch.alerts.corroboration.agreement import Agreement, Matches, make_cells, match_external_alerts
from minewatch.alerts.corroboration.options import DAYS, DISTANCE_M
from minewatch.alerts.corroboration.points import ENDINGS, read_points
from minewatch.alerts.corroboration.raster_files import are_rasters
from minewatch.alerts.corroboration.rasters import RasterReading, read_rasters
from minewatch.alerts.corroboration.record import (
    ExternalSource,
    append_external_sources,
    read_external_sources,
    store_sightings,
)
from minewatch.alerts.corroboration.shapes import read_shapes
from minewatch.alerts.corroboration.sighting import NO_DAY, UNSTATED, Reading, Region, make_region
from minewatch.alerts.database import parse_date, require_table, select, to_sql, update
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

    name: str
    """Of the source."""

    reading: Reading
    """What the file holds."""

    added: Sequence[ExternalSource]
    """The sources added, one for each area; empty where all were known already."""

    agreements: Mapping[str, Agreement]
    """Alert id to its agreement with this source."""

    sites: Mapping[str, AlertSite]
    """Alert id to its place and time, of all alerts."""

    notes: Sequence[str]
    """Lines for the user."""


def corroborate_alerts(
    workspace: Workspace,
    paths: Path | Sequence[Path],
    name: str | None = None,
    distance_m: float = DISTANCE_M,
    days: int = DAYS,
    layer: str | None = None,
    date_column: str | None = None,
    coding: str | None = None,
    least: int = UNSTATED,
) -> Corroboration:
    """Add the alerts of another system, of at least a level; adding the same again changes nothing.

    Of rasters ``coding`` says how they are written where their names do not, and gives the name where none is given.
    Raises ExternalAlertError where files or name cannot be used, AlertsError where there is no table or it is locked.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    if name is not None:
        check_source_name(name)
    elif not are_rasters(files):
        raise ExternalAlertError(f"whose alerts {files[0]} holds is not known; give the system's name with --name")
    with workspace.lock("review of witnesses"):
        dates, outlines = _read_areas(workspace.alerts)
        regions = [make_region(aoi, outline, distance_m) for aoi, outline in outlines.items()]
        reading = _drop_faint(_drop_undated(_read(files, regions, layer, date_column, coding, least)), least)
        name, file, digest = _identify(reading, files, name)
        stored = read_external_sources(workspace.external_sources)
        known = {source.claim for aoi, as_of in dates.items() for source in stored.of(aoi, as_of)}
        added = []
        for aoi, sightings in reading.sightings.items():
            kept = store_sightings(workspace.external_alerts, sightings)
            now = dt.datetime.now(dt.UTC).replace(microsecond=0)
            source = ExternalSource(
                name, aoi, file, digest, kept, len(sightings), distance_m, days, dates[aoi], now
            )  # fmt: skip
            if source.claim not in known:
                added.append(source)
        append_external_sources(workspace.external_sources, added)
        matches, sites, notes = refresh_matches(workspace)
    agreements = {alert_id: agreement for alert_id, found in matches.items() for agreement in found if agreement.name == name}
    return Corroboration(name, reading, added, agreements, sites, [*reading.notes, *notes])


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


def _read(
    files: Sequence[Path],
    regions: Sequence[Region],
    layer: str | None,
    date_column: str | None,
    coding: str | None,
    least: int,
) -> Reading:
    path = files[0]
    if are_rasters(files):
        if layer is not None or date_column is not None:
            raise ExternalAlertError(f"{path} is a raster: it has no layers and no columns; leave --layer and --date-column out")
        return read_rasters(files, regions, coding, least)
    if len(files) > 1:
        raise ExternalAlertError("several files at once can only be rasters (GeoTIFF); give tables and maps one at a time")
    if not path.is_file():
        raise ExternalAlertError(f"there is no file {path}")
    if coding is not None:
        raise ExternalAlertError(f"{path} is no raster; leave --coding out")
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
            reading.sightings[aoi] = sightings.choose(dated)
        else:
            del reading.sightings[aoi]
    if dropped:
        reading.notes.append(f"{dropped} near the areas have no date in {reading.date_column!r} and are left out")
    return reading


def _identify(reading: Reading, files: Sequence[Path], name: str | None) -> tuple[str, str, str]:
    """Return the names of system and file, and the digest by which the same file is recognised."""
    if isinstance(reading, RasterReading):
        return name or reading.system, reading.file, reading.digest
    return name or "", files[0].name, _digest(files[0]) if reading.sightings else ""


def _drop_faint(reading: Reading, least: int) -> Reading:
    """Leave out sightings of a lower level.  Raises ExternalAlertError where the file states none."""
    if not least or not reading.sightings:
        return reading
    if not any(sightings.levels.any() for sightings in reading.sightings.values()):
        raise ExternalAlertError("the file does not say how sure its alerts are; leave --confidence out")
    kept = {aoi: sightings.choose(sightings.levels >= least) for aoi, sightings in reading.sightings.items()}
    reading.sightings = {aoi: sightings for aoi, sightings in kept.items() if len(sightings)}
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


def refresh_matches(workspace: Workspace) -> tuple[Matches, dict[str, AlertSite], list[str]]:
    """Write the matches into the columns on witnesses of every row; nothing else changes.

    Return matches, alerts and notes.  Raises AlertsError where the table is locked or damaged; nothing is changed then.
    """
    known = read_external_sources(workspace.external_sources)
    notes: list[str] = []
    matches: dict[str, list[Agreement]] = {}
    known_sites: dict[str, AlertSite] = {}
    with updating(workspace.alerts) as connection:
        upgrade_schema(connection)
        rows = [row for row in select(connection, LAYER) if row["geom"]]
        for area in select(connection, AOIS):
            own = {row["alert_id"]: row for row in rows if row["aoi"] == area["aoi"]}
            sites = {alert_id: AlertSite.of(row) for alert_id, row in own.items()}
            found, more = match_external_alerts(known, workspace.external_alerts, area["aoi"], parse_date(area["as_of"]), sites)
            notes += more
            matches |= found
            known_sites |= sites
            for alert_id, row in own.items():
                _show(connection, row, make_cells(found[alert_id], sites[alert_id]))
    return matches, known_sites, list(dict.fromkeys(notes))


def _show(connection: Any, row: Mapping[str, Any], cells: Mapping[str, Any]) -> None:
    changed = {name: cell for name, cell in cells.items() if _fill(row[name]) != _fill(to_sql(cell))}
    if not changed:
        return
    update(connection, LAYER, row["fid"], changed)
    if "witnesses" not in changed:
        return
    detail = cells["witnesses"] or "nobody any more"
    record_event(connection, HistoryEvent(row["alert_id"], "witnessed", detail, run_id=row["run_id"], as_of=row["as_of"]))


def _fill(cell: Any) -> Any:
    return "" if cell is None else cell
