"""Writes GPX 1.1 for GPS receivers and walking apps: a waypoint at each alert, and its outline as a track.

Elements are in the order of the schema (topografix.com/GPX/1/1), which receivers require.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas as gpd
import shapely

from minewatch.alerts.cells import read_day
from minewatch.alerts.lifetime import describe_bracket, describe_fate
from minewatch.alerts.record import CONFIRMED, PROVISIONAL
from minewatch.products.export.columns import clean_text
from minewatch.products.export.options import ExportOptions

NAMESPACE = "http://www.topografix.com/GPX/1/1"

SYMBOLS = {CONFIRMED: "Flag, Red", PROVISIONAL: "Flag, Blue"}
"""Status to a symbol that Garmin's receivers know; others have OTHER."""

OTHER = "Flag, Green"

_DIGITS = 7
"""Decimals of degrees: a centimetre."""


def write_gpx(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write waypoints and outlines; the credits are the description of the file."""
    root = ET.Element("gpx", {"version": "1.1", "creator": "minewatch", "xmlns": NAMESPACE})
    about = ET.SubElement(root, "metadata")
    ET.SubElement(about, "name").text = "Alerts found by minewatch"
    if credit := clean_text(options.credits.text):
        ET.SubElement(about, "desc").text = credit
    rows = alerts.to_dict("records")
    for row in rows:
        _add_waypoint(root, row)
    for row in rows:
        _add_outline(root, row)
    ET.indent(root, " ")
    ET.ElementTree(root).write(path, "utf-8", xml_declaration=True)


def _add_waypoint(root: ET.Element, row: Mapping[str, Any]) -> None:
    point = ET.SubElement(root, "wpt", lat=f"{row['lat']:.{_DIGITS}f}", lon=f"{row['lon']:.{_DIGITS}f}")
    ET.SubElement(point, "name").text = clean_text(str(row["alert_id"]))
    ET.SubElement(point, "desc").text = clean_text(describe_alert(row))
    ET.SubElement(point, "sym").text = SYMBOLS.get(row["status"], OTHER)
    ET.SubElement(point, "type").text = clean_text(str(row["status"]))


def describe_alert(row: Mapping[str, Any]) -> str:
    """Return an alert in a line: status, area, when it changed, and what became of it."""
    first = read_day(row["first_seen"])
    changed = f"changed {describe_bracket(read_day(row['last_normal']), first)}" if first else ""
    return "; ".join(filter(None, (f"{row['status']}, {float(row['area_ha']):.2f} ha", changed, describe_fate(dict(row)))))


def _add_outline(root: ET.Element, row: Mapping[str, Any]) -> None:
    track = ET.SubElement(root, "trk")
    ET.SubElement(track, "name").text = clean_text(f"{row['alert_id']} outline")
    for polygon in shapely.get_parts(row["geometry"]):
        for ring in (polygon.exterior, *polygon.interiors):
            segment = ET.SubElement(track, "trkseg")
            for lon, lat in shapely.get_coordinates(ring):
                ET.SubElement(segment, "trkpt", lat=f"{lat:.{_DIGITS}f}", lon=f"{lon:.{_DIGITS}f}")
