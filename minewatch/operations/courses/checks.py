"""Checks of the exercises on alerts: areas, scans, what could not be seen, what the ground is, maps and the review in QGIS."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely

from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.decisions import CONFIRM, DISMISS, QGIS, read_decisions
from minewatch.alerts.lifetime import is_ever_confirmed
from minewatch.alerts.rows import Row, list_pending_edits, read_areas, read_rows
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.core.errors import MinewatchError
from minewatch.core.workspace import Workspace
from minewatch.operations.courses.record import CourseWork, Finding
from minewatch.operations.courses.valley import BORDER, FIRST_DAY, LANDSLIDE, LAST_DAY, SITES, VALLEY, Site

NORTH, SOUTH = "north", "south"

ALIKE = 0.95
"""Share of the wanted ground that an area must have in common with it."""

RAINS, RAINY = "rains", (dt.date(2023, 11, 15), dt.date(2024, 2, 14))
"""Folder of the what-if scan, and the days on which hardly anything was seen."""

UNSEEN = 0.5
"""Share of an area without a clear look from which "no alert" says nothing."""

NEAR = 2e-4
"""Degrees between an alert's point and the ground that really changed: two pixels."""

FIGURES = "why"
"""Folder of the figures of ``explain``."""

CONTEXT_KINDS = ("concession", "protected-area", "administrative-unit", "river")


def find_site(row: Row) -> Site | None:
    """Return what really happened on the ground of an alert; None where nothing did."""
    place = shapely.Point(row["lon"], row["lat"])
    return next((site for site in SITES if shapely.box(*site.bounds).distance(place) < NEAR), None)


def read_alerts(workspace: Workspace) -> list[Row]:
    """Return the alerts that were confirmed, without those that became part of another; none before the first scan."""
    if not workspace.alerts.is_file():
        return []
    rows = read_rows(workspace.alerts)
    return [row for row in rows if not row["merged_into"] and (row["review"] or is_ever_confirmed(row))]


def check_areas(work: CourseWork) -> Iterator[Finding]:
    """Both sides of the valley are areas, watched from the same day."""
    west, south, east, north = VALLEY
    for name, bounds in ((NORTH, (west, BORDER, east, north)), (SOUTH, (west, south, east, BORDER))):
        if name not in list_aois(work.workspace):
            yield Finding("missing", False, {"area": name})
            continue
        area, wanted = read_aoi(work.workspace, name), shapely.box(*bounds)
        common = area.geometry.intersection(wanted).area / area.geometry.union(wanted).area
        yield Finding(
            "outline" if common >= ALIKE else "elsewhere", common >= ALIKE, {"area": name, "share": f"{100 * common:.0f} %"}
        )
        same = area.monitor_from == FIRST_DAY
        facts = {"area": name, "day": area.monitor_from, "wanted": FIRST_DAY.isoformat()}
        yield Finding("since" if same else "since_other", same, facts)


def check_scan(work: CourseWork) -> Iterator[Finding]:
    """The table holds both areas, as of the newest image or later."""
    table = work.workspace.alerts
    areas = read_areas(table) if table.is_file() else {}
    for name in (NORTH, SOUTH):
        if name not in areas:
            yield Finding("missing", False, {"area": name})
            continue
        as_of = areas[name][1]
        count = sum(row["aoi"] == name for row in read_alerts(work.workspace))
        facts = {"area": name, "day": as_of, "count": count, "wanted": LAST_DAY.isoformat()}
        yield Finding("scanned" if as_of >= LAST_DAY else "early", as_of >= LAST_DAY, facts)


def check_unseen(work: CourseWork) -> Iterator[Finding]:
    """A what-if scan as of a day in the rains lies apart, on which half of the north had not been seen for a month."""
    folder = work.root / RAINS
    table = folder / "alerts.gpkg"
    areas = read_areas(table) if table.is_file() else {}
    if NORTH not in areas:
        yield Finding("missing", False, {"folder": RAINS})
        return
    as_of = areas[NORTH][1]
    unseen = _read_unseen(folder, as_of)
    facts = {"day": as_of, "unseen": f"{100 * (unseen or 0):.0f} %"}
    if not RAINY[0] <= as_of <= RAINY[1] or unseen is None or unseen < UNSEEN:
        yield Finding("sunny", False, facts)
        return
    yield Finding("blind", True, facts)
    known = sum(is_ever_confirmed(row) for row in read_rows(table) if row["aoi"] == NORTH)
    there = [row for row in read_alerts(work.workspace) if row["aoi"] == NORTH and row["first_seen"] <= as_of]
    yield Finding("hidden", len(there) > known, {**facts, "known": known, "there": len(there)})
    page = next(folder.glob(f"reports/{NORTH}-*-to-{as_of}*.html"), None)
    yield Finding("report" if page else "no_report", page is not None, {"folder": RAINS})


def _read_unseen(folder: Path, as_of: dt.date) -> float | None:
    """Return the share of the north that the what-if scan's record calls unseen; None where there is no record."""
    for path in sorted(folder.glob("runs/*.json"), reverse=True):
        for area in json.loads(path.read_bytes())["areas"]:
            if area["aoi"] == NORTH and area["as_of"] == as_of.isoformat():
                return float(area["coverage"]["unseen"])
    return None


def check_kinds(work: CourseWork) -> Iterator[Finding]:
    """Each confirmed alert was looked at, and was judged as what its ground is; the landslide is for QGIS."""
    rows = read_alerts(work.workspace)
    if not rows:
        yield Finding("none", False)
    for row in rows:
        site, facts = find_site(row), {"alert": row["alert_id"]}
        figure = any(row["alert_id"] in path.name for path in (work.root / FIGURES).glob("*.png"))
        yield Finding("explained" if figure else "unexplained", figure, facts)
        pictures = len(list(work.workspace.images.glob(f"{row['alert_id']}-*.png")))
        yield Finding("pictured" if pictures >= 2 else "unpictured", pictures >= 2, facts | {"count": pictures})
        if site and site.kind != LANDSLIDE:
            yield _judge(row, site)


def _judge(row: Row, site: Site) -> Finding:
    """Compare a review with what the ground is."""
    facts = {"alert": row["alert_id"], "review": row["review"], "who": row["reviewed_by"], "why": row["review_note"]}
    if row["review"] not in (CONFIRM, DISMISS):
        return Finding("undecided", False, facts)
    right = (row["review"] == CONFIRM) == site.is_mine
    return Finding(f"right_{site.kind}" if right else f"wrong_{site.kind}", right, facts)


def check_layers(work: CourseWork) -> Iterator[Finding]:
    """The maps are declared, and every confirmed alert was compared with them."""
    found = {declaration.kind for declaration in read_declarations(work.workspace).values()}
    for kind in CONTEXT_KINDS:
        yield Finding("declared" if kind in found else "undeclared", kind in found, {"kind": kind})
    rows = read_alerts(work.workspace)
    known = [row for row in rows if row["legal_status"] not in ("", "unknown")]
    compared = bool(rows) and len(known) == len(rows)
    yield Finding("compared" if compared else "uncompared", compared, {"known": len(known), "count": len(rows)})


def check_qgis(work: CourseWork) -> Iterator[Finding]:
    """The landslide was dismissed in the table, by a person with a name, and a scan has taken that in."""
    workspace = work.workspace
    project = workspace.project.is_file()
    yield Finding("project" if project else "no_project", project)
    slides = {row["alert_id"] for row in read_alerts(workspace) if (site := find_site(row)) and site.kind == LANDSLIDE}
    edited = bool(workspace.alerts.is_file() and list_pending_edits(workspace.alerts))
    made = [decision for decision in read_decisions(workspace.decisions).all if decision.via == QGIS]
    yield Finding("taken_in" if made and not edited else ("waiting" if edited else "no_edit"), bool(made) and not edited)
    if edited:
        return
    last: Any = next((decision for decision in reversed(made) if decision.alert_id in slides), None)
    right = last is not None and last.review == DISMISS
    facts = {"alert": last.alert_id if last else "", "who": last.by if last else "", "why": last.text if last else ""}
    yield Finding("landslide" if right else "no_landslide", right, facts)
    if right:
        signed = bool(last.by and last.text)
        yield Finding("signed" if signed else "unsigned", signed, facts)


def check_real(work: CourseWork) -> Iterator[Finding]:
    """The area with real images was scanned."""
    if not work.real:
        yield Finding("absent", True)
        return
    try:
        areas = read_areas(work.workspace.alerts)
    except MinewatchError:
        areas = {}
    count = sum(row["aoi"] == "real" for row in read_alerts(work.workspace))
    yield Finding("scanned" if "real" in areas else "missing", "real" in areas, {"count": count, "source": work.real})
