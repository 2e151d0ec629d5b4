"""Writes KML for Google Earth: styles by status, a balloon with every cell, and the day on which each alert appears.

Elements stand in the order of OGC KML 2.3 (12-007r2), which strict readers ask for.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas as gpd
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import ALERT_COLUMNS, LAYER
from minewatch.alerts.style import COLOURS
from minewatch.alerts.table import plain_cell
from minewatch.products.export.columns import clean_text

NAMESPACE = "http://www.opengis.net/kml/2.2"

_FILL_OPACITY, _LINE_WIDTH = 70, 2
_DIGITS = 7
"""Of degrees: a centimetre."""


def write_kml(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write a KML document."""
    root = ET.Element("kml", xmlns=NAMESPACE)
    document = ET.SubElement(root, "Document")
    ET.SubElement(document, "name").text = LAYER
    ET.SubElement(document, "open").text = "1"
    for status, colour in COLOURS.items():
        _add_style(document, status, colour)
    for row in alerts.to_dict("records"):
        _add_placemark(document, row)
    ET.indent(root, " ")
    ET.ElementTree(root).write(path, "utf-8", xml_declaration=True)


def _add_style(document: ET.Element, status: str, colour: str) -> None:
    style = ET.SubElement(document, "Style", id=status)
    line, fill = ET.SubElement(style, "LineStyle"), ET.SubElement(style, "PolyStyle")
    ET.SubElement(line, "color").text = _swap(colour, 255)
    ET.SubElement(line, "width").text = str(_LINE_WIDTH)
    ET.SubElement(fill, "color").text = _swap(colour, _FILL_OPACITY)
    balloon = ET.SubElement(style, "BalloonStyle")
    ET.SubElement(balloon, "text").text = "<h3>$[name]</h3>$[description]"


def _swap(colour: str, opacity: int) -> str:
    """Return ``#rrggbb`` as KML writes colours: aabbggrr."""
    return f"{opacity:02x}{colour[5:7]}{colour[3:5]}{colour[1:3]}".lower()


def _add_placemark(document: ET.Element, row: Mapping[str, Any]) -> None:
    cells = {column.name: clean_text(str(plain_cell(row[column.name]))) for column in ALERT_COLUMNS}
    mark = ET.SubElement(document, "Placemark")
    ET.SubElement(mark, "name").text = cells["alert_id"]
    ET.SubElement(mark, "Snippet", maxLines="1").text = f"{cells['status']}, {float(row['area_ha']):.2f} ha"
    ET.SubElement(mark, "description").text = _render_balloon(cells)
    if cells["first_seen"]:
        ET.SubElement(ET.SubElement(mark, "TimeStamp"), "when").text = cells["first_seen"]
    ET.SubElement(mark, "styleUrl").text = f"#{cells['status']}"
    data = ET.SubElement(mark, "ExtendedData")
    for column in ALERT_COLUMNS:
        entry = ET.SubElement(data, "Data", name=column.name)
        ET.SubElement(entry, "displayName").text = column.alias
        ET.SubElement(entry, "value").text = cells[column.name]
    _add_geometry(mark, row["geometry"])


def _render_balloon(cells: Mapping[str, str]) -> str:
    """Write a table as HTML; what people wrote is text in it, no markup and no entity of KML ($[…])."""
    rows = "".join(
        f"<tr><td><b>{html.escape(column.alias)}</b></td><td>{_escape(cells[column.name])}</td></tr>"
        for column in ALERT_COLUMNS
        if cells[column.name]
    )
    return f"<table>{rows}</table>"


def _escape(text: str) -> str:
    return html.escape(text).replace("$[", "$&#91;").replace("\n", "<br>")


def _add_geometry(mark: ET.Element, geometry: BaseGeometry) -> None:
    whole = ET.SubElement(mark, "MultiGeometry")
    for polygon in shapely.get_parts(shapely.orient_polygons(geometry)):
        element = ET.SubElement(whole, "Polygon")
        ET.SubElement(element, "tessellate").text = "1"
        for name, ring in _list_rings(polygon):
            boundary = ET.SubElement(ET.SubElement(element, name), "LinearRing")
            ET.SubElement(boundary, "coordinates").text = " ".join(
                f"{x:.{_DIGITS}f},{y:.{_DIGITS}f}" for x, y in shapely.get_coordinates(ring)
            )


def _list_rings(polygon: Polygon) -> Iterator[tuple[str, BaseGeometry]]:
    yield "outerBoundaryIs", polygon.exterior
    for ring in polygon.interiors:
        yield "innerBoundaryIs", ring
