"""How QGIS shows the alerts: the style travels inside the GeoPackage, in ``layer_styles``."""

from __future__ import annotations

import contextlib
import hashlib
import html
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from minewatch.alerts.columns import AOIS, KEY, LAYER, LAYERS, REVIEW_COLUMNS, Column
from minewatch.alerts.decisions import REVIEWS
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.likeness.grades import LIKE_FROM, MEANING, PARTLY_FROM

COLOURS = {CONFIRMED: "#c8102e", PROVISIONAL: "#f08c00", CLOSED: "#5f6b73", DISMISSED: "#b9c0c5"}
"""By status; told apart by lightness too, for people who do not see red and green apart."""

STATUS_LABELS = {
    CONFIRMED: "Confirmed by the method", PROVISIONAL: "Provisional", CLOSED: "Closed", DISMISSED: "Dismissed",
}  # fmt: skip
"""In the legend."""

AOI_COLOUR = "#1f5fa8"

CHART_COLOURS = {"clear": "#1f5fa8", "counted": "#b3001b", "baseline": "#3f7d33", "first_seen": "#8a5a00"}
"""Of a chart of looks: clear looks, those that count as loss, the usual course, and the day of first sight.

They differ in lightness, and charts have other marks for each, for those who do not see colours.
"""

TIME = "first_seen"
"""The day on which an alert appears when time is played."""

IS_GREEN_AGAIN = f"""("status" = '{CLOSED}' AND "confirmed_on" IS NOT NULL AND coalesce("merged_into", '') = '')"""
"""True for a confirmed alert whose ground is green again, as an expression of QGIS."""

IS_LISTED = f""""status" IN ('{CONFIRMED}', '{PROVISIONAL}') OR {IS_GREEN_AGAIN}"""
"""True for an alert that a printed map lists, as an expression of QGIS."""


def write_number(layer: str) -> str:
    """Return the number of an alert in the table of a printed map, 0 = it is not listed; ``layer`` is an expression.

    The latest alert is the first, as in the table; map and table ask for it here.
    """
    order = 'to_string(99999999 - to_int(format_date("first_seen", \'yyyyMMdd\'))) || "alert_id"'
    return (
        f"(array_find(aggregate(layer:={layer}, aggregate:='array_agg', expression:=\"alert_id\", filter:={IS_LISTED},"
        f' order_by:={order}), "alert_id") + 1)'
    )


NUMBER = write_number("@layer_id")
"""The number of an alert, where the layer draws it."""

LABEL = f"""if(@layout_name IS NOT NULL, if({NUMBER} > 0, to_string({NUMBER}), ''),
 if("status" = '{CLOSED}' AND NOT {IS_GREEN_AGAIN}, '',
 format_number("area_ha", 1) || ' ha\\n' || format_date("{TIME}", 'yyyy-MM-dd')
 || if({IS_GREEN_AGAIN}, coalesce('\\ngreen again ' || format_date("closed_on", 'yyyy-MM-dd'), ''), '')))"""
"""Area and dates, and on a printed map the number in its table, as an expression of QGIS.

Alerts that closed without being confirmed have none, as in the quick look.
"""

TIP = f"""<b>[% "alert_id" %]</b><br>[% "status" %], [% format_number("area_ha", 2) %] ha
[% if(coalesce("mine_reasons", '') = '', '', '<p>' || "mine_reasons" || '</p><p><small>{html.escape(MEANING)}</small></p>') %]"""
"""What QGIS shows where the pointer rests, as HTML with its expressions: the likeness is never there without what it means."""

BY_LIKENESS = "likeness to mines"
"""Name of the alerts' second style, which people may choose; the default goes by status."""

LIKENESS_LABEL = """if("mine_score" IS NULL, '', format_number("mine_score", 2))"""
"""The score alone on the map of that style: its legend says what it is."""

LIKENESS_CLASSES = (
    (f'"mine_score" >= {LIKE_FROM}', "#7a0177", f"Looks like a mine ({LIKE_FROM} to 1)"),
    (f'"mine_score" >= {PARTLY_FROM} AND "mine_score" < {LIKE_FROM}', "#f768a1", f"Some likeness ({PARTLY_FROM} to {LIKE_FROM})"),
    (f'"mine_score" < {PARTLY_FROM}', "#2c7fb8", f"No likeness (0 to {PARTLY_FROM})"),
    ("ELSE", "#5f6b73", "Not scored: nobody knows"),
)
"""Expression of QGIS, colour and text in the legend of the classes of that style; other colours than those of statuses."""

OLDER_STYLES = frozenset({"7d82126bcae1c26d", "a17e7092df24134d"})
"""Digests of the styles of version 0.1.0, which were not signed."""


def install_styles(connection: sqlite3.Connection) -> None:
    """Add our styles to a new GeoPackage."""
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
        _insert_style(connection, layer, layer, document, is_default=True)
    add_likeness_style(connection)


def add_likeness_style(connection: sqlite3.Connection) -> None:
    """Add the style by likeness, to a table which has those columns from now on."""
    _insert_style(connection, LAYER, BY_LIKENESS, render_likeness_style(), is_default=False)


def _insert_style(connection: sqlite3.Connection, layer: str, name: str, document: str, *, is_default: bool) -> None:
    connection.execute(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,"
        " styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, 'geom', ?, ?, '', ?, ?, '')",
        (layer, name, document, int(is_default), _describe(document)),
    )


def refresh_styles(connection: sqlite3.Connection) -> None:
    """Bring styles to today's; those that a person changed or took out stay as they are."""
    styles = [(layer, layer, document) for layer, document in render_styles().items()]
    for layer, name, document in [*styles, (LAYER, BY_LIKENESS, render_likeness_style())]:
        rows = connection.execute(
            "SELECT id, styleQML, description FROM layer_styles WHERE f_table_name = ? AND styleName = ?", (layer, name)
        ).fetchall()
        for number, text, description in rows:
            is_ours = description == _describe(text) or _digest(text) in OLDER_STYLES
            if is_ours and text != document:
                values = (document, _describe(document), number)
                connection.execute("UPDATE layer_styles SET styleQML = ?, description = ? WHERE id = ?", values)


def read_style(path: Path, layer: str) -> str:
    """Return the default style that a table has of one of its layers.

    Today's own replaces one that nobody changed, and one that is missing or cannot be read.
    """
    query = (
        "SELECT styleQML, description FROM layer_styles WHERE f_table_name = ? AND useAsDefault"
        " ORDER BY update_time DESC, id DESC"
    )
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            document, description = map(str, connection.execute(query, (layer,)).fetchone() or ("", ""))
        parse_style(document)
    except (sqlite3.Error, ET.ParseError):
        return render_styles()[layer]
    return render_styles()[layer] if description == _describe(document) else document


def render_styles() -> dict[str, str]:
    """Write the QML of the default style of every layer that has one."""
    return {LAYER: render_alert_style(), AOIS: render_aoi_style()}


def _describe(document: str) -> str:
    """Sign a style, so that it is known again while nobody has changed it."""
    return f"minewatch {_digest(document)}"


def _digest(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()[:16]


def render_alert_style() -> str:
    """Write the QML of the layer ``alerts``: a fill for each status, labels, a form, and the time of each alert."""
    root = _document(LAYERS[LAYER], free=REVIEW_COLUMNS)
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="status", symbollevels="0", forceraster="0")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for number, (status, colour) in enumerate(COLOURS.items()):
        name = str(number)
        ET.SubElement(categories, "category", symbol=name, value=status, label=STATUS_LABELS[status], render="true")
        add_fill(symbols, name, fill=rgba(colour, 70), line=rgba(colour), width="0.5")
    add_labels(root, LABEL, 8, "20,20,20,255", OUTSIDE, always="@layout_name IS NOT NULL")
    return _finish_alert_style(root)


def render_likeness_style() -> str:
    """Write the QML of the alerts' second style: a fill for each grade of likeness, with the score as label."""
    root = _document(LAYERS[LAYER], free=REVIEW_COLUMNS)
    renderer = ET.SubElement(root, "renderer-v2", type="RuleRenderer", symbollevels="0", forceraster="0")
    rules, symbols = ET.SubElement(renderer, "rules", key="likeness"), ET.SubElement(renderer, "symbols")
    for number, (expression, colour, label) in enumerate(LIKENESS_CLASSES):
        name = str(number)
        ET.SubElement(rules, "rule", key=f"likeness-{name}", filter=expression, symbol=name, label=label)
        add_fill(symbols, name, fill=rgba(colour, 70), line=rgba(colour), width="0.5")
    add_labels(root, LIKENESS_LABEL, 8, "20,20,20,255", OUTSIDE)
    return _finish_alert_style(root)


def _finish_alert_style(root: ET.Element) -> str:
    """Add what the alerts' styles share, and write them."""
    _add_review_widgets(root)
    _add_time(root)
    ET.SubElement(root, "previewExpression").text = '"alert_id"'
    ET.SubElement(root, "mapTip", enabled="1").text = TIP
    return render_style(root)


def render_aoi_style() -> str:
    """Write the QML of the layer ``aois``: an outline, and a form that changes nothing."""
    root = _document(LAYERS[AOIS], free=())
    renderer = ET.SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0", forceraster="0")
    add_fill(ET.SubElement(renderer, "symbols"), "0", fill=rgba(AOI_COLOUR, 0), line=rgba(AOI_COLOUR), width="0.6")
    ET.SubElement(root, "previewExpression").text = '"aoi"'
    return render_style(root)


def _document(columns: tuple[Column, ...], free: Collection[str]) -> ET.Element:
    """Start a style: every column with its readable name, only the ``free`` ones editable."""
    root = ET.Element("qgis", version=VERSION, styleCategories="Symbology|Labeling|Fields|Forms|MapTips|Temporal")
    aliases, editable = ET.SubElement(root, "aliases"), ET.SubElement(root, "editable")
    ET.SubElement(editable, "field", name=KEY, editable="0")
    for index, column in enumerate(columns, 1):
        ET.SubElement(aliases, "alias", index=str(index), field=column.name, name=column.alias)
        ET.SubElement(editable, "field", name=column.name, editable=str(int(column.name in free)))
    return root


def _add_review_widgets(root: ET.Element) -> None:
    """Let people choose a review from the list of those that count, and write the rest."""
    fields = ET.SubElement(root, "fieldConfiguration")
    review, note, by = REVIEW_COLUMNS
    config = add_widget(fields, review, "ValueMap")
    add_choices(config, {value: value.replace("-", " ").capitalize() or "(none)" for value in REVIEWS})
    for name, lines in ((note, "true"), (by, "false")):
        ET.SubElement(add_widget(fields, name, "TextEdit"), "Option", name="IsMultiline", value=lines, type="bool")


def add_choices(config: ET.Element, choices: Mapping[str, str]) -> None:
    """Add the values of a list to the options of a ValueMap, each with what people read."""
    values = ET.SubElement(config, "Option", name="map", type="List")
    for value, label in choices.items():
        ET.SubElement(ET.SubElement(values, "Option", type="Map"), "Option", name=label, value=value, type="QString")


def add_widget(fields: ET.Element, column: str, kind: str) -> ET.Element:
    """Add how a column is edited in a form; return the map that takes its options."""
    widget = ET.SubElement(ET.SubElement(fields, "field", name=column), "editWidget", type=kind)
    return ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")


def _add_time(root: ET.Element) -> None:
    """Let the Temporal Controller play the alerts: each appears on the day it was first seen, and stays.

    Mode 1 is "one date in a field" (QgsVectorLayerTemporalProperties.ModeFeatureDateTimeInstantFromField).
    """
    time = {"mode": "1", "startField": TIME, "endField": "", "accumulate": "1", "fixedDuration": "0", "durationUnit": "d"}
    ET.SubElement(root, "temporal", {"enabled": "1", "limitMode": "0", "durationField": ""} | time)


VERSION = "3.22.0"
"""Of QGIS, whose format is written; later ones convert what has changed since."""

FONT = "Open Sans"
"""QGIS takes the nearest there is where it is missing."""

HALO = "255,255,255,230"
"""Around labels, so that they can be read on an image."""


def rgba(colour: str, alpha: int = 255) -> str:
    """Return ``#rrggbb`` as QGIS writes colours."""
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


def add_labels(root: ET.Element, expression: str, size: float, colour: str, where: str, *, always: str = "") -> None:
    """Label the features of a layer with an expression, where there is room; an empty text is no label.

    Where the expression ``always`` is true, labels are drawn without room too.
    """
    root.set("labelsEnabled", "1")
    settings = ET.SubElement(ET.SubElement(root, "labeling", type="simple"), "settings", calloutType="simple")
    add_text(settings, size, colour, halo=True).attrib |= {"fieldName": expression, "isExpression": "1"}
    ET.SubElement(settings, "text-format", multilineAlign="1", wrapChar="", formatNumbers="0")
    ET.SubElement(settings, "placement", placement=where, dist="1", distUnits="MM", priority="5", placementFlags="10")
    ET.SubElement(settings, "rendering", drawLabels="1", obstacle="1", obstacleType="0", zIndex="0", scaleVisibility="0")
    if always:
        properties = ET.SubElement(ET.SubElement(settings, "dd_properties"), "Option", type="Map")
        ET.SubElement(properties, "Option", name="name", value="", type="QString")
        named = ET.SubElement(properties, "Option", name="properties", type="Map")
        shown = ET.SubElement(named, "Option", name="AlwaysShow", type="Map")
        for name, value, kind in (("active", "true", "bool"), ("expression", always, "QString"), ("type", "3", "int")):
            ET.SubElement(shown, "Option", name=name, value=value, type=kind)
        ET.SubElement(properties, "Option", name="type", value="collection", type="QString")


def render_style(root: ET.Element) -> str:
    """Write a style (QML) as text."""
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")


def parse_style(document: str) -> ET.Element:
    """Read a style; raises ParseError where it is none.  It may be a stranger's: what declares entities is none."""
    if "<!ENTITY" in document:
        raise ET.ParseError("entities are not taken")
    return ET.fromstring(document)  # noqa: S314 - the attacks that this rule means rest on entities
