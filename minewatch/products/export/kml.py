"""Writes KML for Google Earth: styles by status, a balloon with all columns, and the day on which each alert appears.

Beside the outlines, which are too small to be seen from afar, stands a folder with a pin for each.

Elements are in the order of OGC KML 2.3 (12-007r2), which strict readers require.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas as gpd
import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.cells import plain_cell
from minewatch.alerts.columns import ALERT_COLUMNS, LAYER
from minewatch.alerts.lifetime import describe_fate
from minewatch.alerts.record import CLOSED
from minewatch.alerts.style import COLOURS
from minewatch.products.export.columns import clean_text
from minewatch.products.export.options import ExportOptions

NAMESPACE = "http://www.opengis.net/kml/2.2"

PINS = "pins"
"""Name of the folder of pins; that of the outlines is called as their layer."""

PIN = "http://maps.google.com/mapfiles/kml/pushpin/wht-pushpin.png"
"""A white pin, which programs colour; those without a network draw one of their own."""

_DIGITS = 7
"""Decimals of degrees: a centimetre."""


def write_kml(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write a KML document; the credits are its description, and below each balloon."""
    root = ET.Element("kml", xmlns=NAMESPACE)
    document = ET.SubElement(root, "Document")
    ET.SubElement(document, "name").text = LAYER
    ET.SubElement(document, "open").text = "1"
    credit = clean_text(options.credits.text)
    if credit:
        ET.SubElement(document, "description").text = _escape(credit)
    for status, colour in COLOURS.items():
        _add_style(document, status, colour, credit)
    rows = alerts.to_dict("records")
    for title, add in ((LAYER, _add_placemark), (PINS, _add_pin)):
        folder = ET.SubElement(document, "Folder")
        ET.SubElement(folder, "name").text = title
        for row in rows:
            add(folder, row)
    ET.indent(root, " ")
    ET.ElementTree(root).write(path, "utf-8", xml_declaration=True)


def _add_style(document: ET.Element, status: str, colour: str, credit: str) -> None:
    style = ET.SubElement(document, "Style", id=status)
    pin = ET.SubElement(style, "IconStyle")
    ET.SubElement(pin, "color").text = _to_kml_colour(colour, 255)
    ET.SubElement(ET.SubElement(pin, "Icon"), "href").text = PIN
    ET.SubElement(pin, "hotSpot", x="20", y="2", xunits="pixels", yunits="pixels")
    line, fill = ET.SubElement(style, "LineStyle"), ET.SubElement(style, "PolyStyle")
    ET.SubElement(line, "color").text = _to_kml_colour(colour, 255)
    ET.SubElement(line, "width").text = "2"
    ET.SubElement(fill, "color").text = _to_kml_colour(colour, 70)
    balloon = ET.SubElement(style, "BalloonStyle")
    below = f"<p><small>{_escape(credit)}</small></p>" if credit else ""
    ET.SubElement(balloon, "text").text = f"<h3>$[name]</h3>$[description]{below}"


def _to_kml_colour(colour: str, opacity: int) -> str:
    """Return ``#rrggbb`` as KML's aabbggrr."""
    return f"{opacity:02x}{colour[5:7]}{colour[3:5]}{colour[1:3]}".lower()


def _add_pin(folder: ET.Element, row: Mapping[str, Any]) -> None:
    placemark = _start_placemark(folder, row, _read_texts(row))
    point = ET.SubElement(placemark, "Point")
    ET.SubElement(point, "coordinates").text = f"{row['lon']:.{_DIGITS}f},{row['lat']:.{_DIGITS}f}"


def _read_texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {column.name: clean_text(str(plain_cell(row[column.name]))) for column in ALERT_COLUMNS}


def _start_placemark(folder: ET.Element, row: Mapping[str, Any], texts: Mapping[str, str]) -> ET.Element:
    """Add what outline and pin of an alert share."""
    placemark = ET.SubElement(folder, "Placemark")
    ET.SubElement(placemark, "name").text = texts["alert_id"]
    ET.SubElement(placemark, "Snippet", maxLines="1").text = _describe_status(row)
    ET.SubElement(placemark, "description").text = _render_balloon(texts)
    if texts["first_seen"]:
        ET.SubElement(ET.SubElement(placemark, "TimeStamp"), "when").text = texts["first_seen"]
    ET.SubElement(placemark, "styleUrl").text = f"#{texts['status']}"
    return placemark


def _add_placemark(folder: ET.Element, row: Mapping[str, Any]) -> None:
    texts = _read_texts(row)
    placemark = _start_placemark(folder, row, texts)
    data = ET.SubElement(placemark, "ExtendedData")
    for column in ALERT_COLUMNS:
        entry = ET.SubElement(data, "Data", name=column.name)
        ET.SubElement(entry, "displayName").text = column.alias
        ET.SubElement(entry, "value").text = texts[column.name]
    _add_geometry(placemark, row["geometry"])


def _describe_status(row: Mapping[str, Any]) -> str:
    """Return status, hectares, and what became of an alert that was confirmed and is open no more."""
    fate = f", {describe_fate(row)}" if row["status"] == CLOSED and describe_fate(row) else ""
    return clean_text(f"{row['status']}, {float(row['area_ha']):.2f} ha{fate}")


def _render_balloon(texts: Mapping[str, str]) -> str:
    """Return an HTML table of the columns; texts by people are escaped, as markup and as KML entities ($[…])."""
    cells = {name: _escape(text) for name, text in texts.items()}
    rows = "".join(
        f"<tr><td><b>{html.escape(column.alias)}</b></td><td>{cells[column.name]}</td></tr>"
        for column in ALERT_COLUMNS
        if cells[column.name]
    )
    return f"<table>{rows}</table>"


def _escape(text: str) -> str:
    """Return a text as HTML, in which KML finds no entity ($[…])."""
    return html.escape(text).replace("$[", "$&#91;").replace("\n", "<br>")


def _add_geometry(placemark: ET.Element, geometry: BaseGeometry) -> None:
    whole = ET.SubElement(placemark, "MultiGeometry")
    for polygon in shapely.get_parts(shapely.orient_polygons(geometry)):
        element = ET.SubElement(whole, "Polygon")
        ET.SubElement(element, "tessellate").text = "1"
        rings = [("outerBoundaryIs", polygon.exterior), *(("innerBoundaryIs", ring) for ring in polygon.interiors)]
        for name, ring in rings:
            boundary = ET.SubElement(ET.SubElement(element, name), "LinearRing")
            ET.SubElement(boundary, "coordinates").text = " ".join(
                f"{x:.{_DIGITS}f},{y:.{_DIGITS}f}" for x, y in shapely.get_coordinates(ring)
            )
