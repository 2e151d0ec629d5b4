"""How QGIS shows the alerts: the style travels inside the GeoPackage, in ``layer_styles``."""

from __future__ import annotations

import hashlib
import sqlite3
from xml.etree import ElementTree as ET

from minewatch.alerts.columns import AOIS, LAYER, LAYERS, Column
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL

COLOURS = {CONFIRMED: "#c8102e", PROVISIONAL: "#f08c00", CLOSED: "#5f6b73", DISMISSED: "#b9c0c5"}
"""By status; told apart by lightness too, for people who do not see red and green apart."""

AOI_COLOUR = "#1f5fa8"

OLDER_STYLES = frozenset({"7d82126bcae1c26d", "a17e7092df24134d"})
"""Digests of the styles of version 0.1.0, which were not signed."""


def install_styles(connection: sqlite3.Connection) -> None:
    """Add the default styles to a new GeoPackage."""
    connection.execute(
        """CREATE TABLE layer_styles (
            id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
            f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
            useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
            update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"""
    )
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')"
    )
    for layer, document in render_styles().items():
        connection.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,"
            " styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, 'geom', ?, ?, '', 1, ?, '')",
            (layer, layer, document, _describe(document)),
        )


def refresh_styles(connection: sqlite3.Connection) -> None:
    """Bring styles to today's; those that a person changed or took out stay as they are."""
    for layer, document in render_styles().items():
        rows = connection.execute(
            "SELECT id, styleQML, description FROM layer_styles WHERE f_table_name = ? AND styleName = ?", (layer, layer)
        ).fetchall()
        for number, text, description in rows:
            is_ours = description == _describe(text) or _digest(text) in OLDER_STYLES
            if is_ours and text != document:
                values = (document, _describe(document), number)
                connection.execute("UPDATE layer_styles SET styleQML = ?, description = ? WHERE id = ?", values)


def render_styles() -> dict[str, str]:
    """Write the QML of every layer that has a style."""
    return {LAYER: render_alert_style(), AOIS: render_aoi_style()}


def _describe(document: str) -> str:
    """Sign a style, so that it is known again while nobody has changed it."""
    return f"minewatch {_digest(document)}"


def _digest(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()[:16]


def render_alert_style() -> str:
    """Write the QML of the layer ``alerts``: one fill for each status."""
    root = _document(LAYERS[LAYER])
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="status", symbollevels="0", forceraster="0")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for number, (status, colour) in enumerate(COLOURS.items()):
        name = str(number)
        ET.SubElement(categories, "category", symbol=name, value=status, label=status.capitalize(), render="true")
        _add_fill(symbols, name, fill=_rgba(colour, 70), line=_rgba(colour, 255), width="0.5")
    return _render(root)


def render_aoi_style() -> str:
    """Write the QML of the layer ``aois``: an outline."""
    root = _document(LAYERS[AOIS])
    renderer = ET.SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0", forceraster="0")
    _add_fill(ET.SubElement(renderer, "symbols"), "0", fill=_rgba(AOI_COLOUR, 0), line=_rgba(AOI_COLOUR, 255), width="0.6")
    return _render(root)


def _document(columns: tuple[Column, ...]) -> ET.Element:
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology|Fields")
    aliases = ET.SubElement(root, "aliases")
    for index, column in enumerate(columns, 1):
        ET.SubElement(aliases, "alias", index=str(index), field=column.name, name=column.alias)
    return root


def _add_fill(symbols: ET.Element, name: str, fill: str, line: str, width: str) -> None:
    symbol = ET.SubElement(symbols, "symbol", name=name, type="fill", alpha="1", clip_to_extent="1", force_rhr="0")
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
    values = {"color": fill, "style": "solid", "outline_color": line, "outline_style": "solid", "outline_width": width}
    for key, value in (values | {"outline_width_unit": "MM", "joinstyle": "miter"}).items():
        ET.SubElement(layer, "prop", k=key, v=value)


def _rgba(colour: str, alpha: int) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"{red},{green},{blue},{alpha}"


def _render(root: ET.Element) -> str:
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")
