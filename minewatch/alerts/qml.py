"""Pieces of QGIS's XML: symbols, text and labels, as QGIS 3.22 and later read them."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

VERSION = "3.22.0"
"""Of QGIS, whose format is written; later ones convert what has changed since."""

FONT = "Open Sans"
"""QGIS takes the nearest there is where it is missing."""

HALO = "255,255,255,230"
"""Around labels, so that they can be read on an image."""


def rgba(colour: str, alpha: int = 255) -> str:
    """Give ``#rrggbb`` as QGIS writes colours."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"{red},{green},{blue},{alpha}"


def add_fill(symbols: ET.Element, name: str, fill: str, line: str, width: str, pattern: str = "solid") -> None:
    """Add the symbol of an area: both colours as red,green,blue,opacity; the line's width in millimetres."""
    values = {"color": fill, "style": "solid", "outline_color": line, "outline_style": pattern, "outline_width": width}
    _add_symbol(symbols, name, "fill", "SimpleFill", values | {"outline_width_unit": "MM", "joinstyle": "miter"})


def add_line(symbols: ET.Element, name: str, line: str, width: str, pattern: str = "solid") -> None:
    """Add the symbol of a line."""
    values = {"line_color": line, "line_width": width, "line_style": pattern, "line_width_unit": "MM"}
    _add_symbol(symbols, name, "line", "SimpleLine", values | {"capstyle": "round", "joinstyle": "round"})


def add_marker(symbols: ET.Element, name: str, fill: str, size: str, shape: str = "circle") -> None:
    """Add the symbol of a point; its size in millimetres."""
    values = {"color": fill, "name": shape, "size": size, "size_unit": "MM", "outline_color": HALO, "outline_width": "0.3"}
    _add_symbol(symbols, name, "marker", "SimpleMarker", values)


def _add_symbol(symbols: ET.Element, name: str, kind: str, layer: str, values: Mapping[str, str]) -> None:
    symbol = ET.SubElement(symbols, "symbol", name=name, type=kind, alpha="1", clip_to_extent="1", force_rhr="0")
    element = ET.SubElement(symbol, "layer", {"class": layer, "enabled": "1", "locked": "0", "pass": "0"})
    for key, value in values.items():
        ET.SubElement(element, "prop", k=key, v=value)


def add_text(parent: ET.Element, size: float, colour: str, *, bold: bool = False, halo: bool = False) -> ET.Element:
    """Add how text is written: its size in points, its colour as red,green,blue,opacity."""
    style = ET.SubElement(
        parent,
        "text-style",
        fontFamily=FONT,
        fontSize=f"{size:g}",
        fontSizeUnit="Point",
        fontWeight="75" if bold else "50",
        namedStyle="Bold" if bold else "Regular",
        textColor=colour,
        textOpacity="1",
        multilineHeight="1",
    )
    ET.SubElement(
        style,
        "text-buffer",
        bufferDraw=str(int(halo)),
        bufferSize="0.8",
        bufferSizeUnits="MM",
        bufferColor=HALO,
        bufferOpacity="1",
    )
    return style


OUTSIDE, INSIDE, ALONG, BESIDE = "8", "4", "2", "6"
"""Where labels go, by QGIS's numbers: outside of areas, inside, along lines, beside points."""


def add_labels(root: ET.Element, expression: str, size: float, colour: str, where: str) -> None:
    """Label the features of a layer with an expression, where there is room; an empty text is no label."""
    root.set("labelsEnabled", "1")
    settings = ET.SubElement(ET.SubElement(root, "labeling", type="simple"), "settings", calloutType="simple")
    add_text(settings, size, colour, halo=True).attrib |= {"fieldName": expression, "isExpression": "1"}
    ET.SubElement(settings, "text-format", multilineAlign="1", wrapChar="", formatNumbers="0")
    ET.SubElement(settings, "placement", placement=where, dist="1", distUnits="MM", priority="5", placementFlags="10")
    ET.SubElement(settings, "rendering", drawLabels="1", obstacle="1", obstacleType="0", zIndex="0", scaleVisibility="0")


def render_style(root: ET.Element) -> str:
    """Write a style (QML) as text."""
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")


def parse_style(document: str) -> ET.Element:
    """Read a style; raises ParseError where it is none.  It may be a stranger's: what declares entities is none."""
    if "<!ENTITY" in document:
        raise ET.ParseError("entities are not taken")
    return ET.fromstring(document)  # noqa: S314 - the attacks that this rule means rest on entities
