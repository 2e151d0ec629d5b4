"""The print layout: A4 landscape, with title, scale bar, compass rose, legend, date, source and a table of alerts.

What changes with every scan (dates, counts, the table) is an expression that QGIS evaluates when it draws the page.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pyproj import Geod

from minewatch.alerts.record import CLOSED, CONFIRMED, PROVISIONAL
from minewatch.alerts.style import FONT, IS_GREEN_AGAIN, add_text
from minewatch.areas.grid import lonlat_from
from minewatch.core.text import format_day
from minewatch.detection.change_map import Status
from minewatch.products.images.quicklook import TIMES
from minewatch.products.qgis.compass import embed_compass
from minewatch.products.qgis.layer_tree import add_tree_layer
from minewatch.products.qgis.project_layers import ALERTS_ID, AREAS_ID, Project, list_layers

NAME = "Alerts (A4 landscape)"

MOST_ROWS = 110
"""Rows of the table, the latest alerts, which fill two pages; alerts.csv has all."""

MOST_NAMED = 3
"""Areas or images that are named on the page, at most."""

UNSEEN_ENTRIES = ",".join(str(int(status)) for status in (Status.NEVER_COVERED, Status.NO_VEGETATION, Status.NOT_MONITORED))
"""Entries of the status rasters in the legend, by number; the others have the colours of alerts.  Entry 0 is the band's name."""

_BLACK, _GREY = "20,20,20,255", "90,90,90,255"
_PALE = {"red": "255", "green": "255", "blue": "255", "alpha": "200"}

NUMBERS = {
    "page": "65638",
    "map": "65639",
    "compass rose": "65640",
    "label": "65641",
    "legend": "65642",
    "scale bar": "65646",
    "frame": "65647",
    "table": "65649",
}
"""QGIS's number of each kind of layout item (QgsLayoutItemRegistry::ItemType)."""


@dataclass(frozen=True)
class Box:
    """A rectangle on a page, in millimetres."""

    x: float
    """From the left."""

    y: float
    """From the top; the second page follows ten millimetres below the first."""

    width: float
    """To the right."""

    height: float
    """Downwards."""


_SECOND = 220.0
"""Top of the second page, of which each is 297 by 210."""

MAP_BOX = Box(10, 24, 176, 168)

COLUMNS = (
    ("Alert", 'if(length("alert_id") > 16, \'…\' || right("alert_id", 15), "alert_id")'),  # ids differ at the end
    ("Status", f"if({IS_GREEN_AGAIN}, 'green again', \"status\")"),
    ("ha", "format_number(\"area_ha\", 2, 'en')"),
    ("Normal", "coalesce(format_date(\"last_normal\", 'yyyy-MM-dd'), 'unknown')"),
    ("First seen", "format_date(\"first_seen\", 'yyyy-MM-dd')"),
    ("Latitude", "format_number(\"lat\", 5, 'en')"),
    ("Longitude", "format_number(\"lon\", 5, 'en')"),
)
"""Heading and expression of each column."""


def add_layout(layouts: ET.Element, project: Project) -> None:
    """Add the print layout to a project."""
    attributes = {"name": NAME, "units": "mm", "printResolution": "300", "worldFileMap": _uuid("map")}
    layout = ET.SubElement(layouts, "Layout", attributes)
    pages = ET.SubElement(layout, "PageCollection")
    for name, top in (("page 1", 0.0), ("page 2", _SECOND)):
        _add_item(pages, "page", name, Box(0, top, 297, 210))
    title = f"Alerts: {_name_some(project.areas)}"
    # Later items lie on top.
    _add_map(layout, project)
    _add_label(layout, "title", Box(10, 7, 277, 9), title, 17, _BLACK)
    _add_label(layout, "facts", Box(10, 16, 277, 6), _write_facts(), 9, _BLACK)
    _add_label(layout, "title, continued", Box(10, _SECOND + 7, 277, 9), title, 12, _BLACK)
    _add_label(layout, "source", Box(10, 194, 277, 12), _write_credits(project), 7, _GREY)
    _add_scale_bar(layout, project)
    _add_compass(layout)
    _add_legend(layout, project)
    _add_table(layout)
    ET.SubElement(layout, "Atlas", enabled="0", coverageLayer="")


# --- texts -----------------------------------------------------------------------------------------------------------


def _aggregate(layer: str, aggregate: str, expression: str, condition: str = "") -> str:
    """Return the QGIS expression of an aggregate over a layer."""
    chosen = f", filter:={condition}" if condition else ""
    return f"aggregate(layer:='{layer}', aggregate:='{aggregate}', expression:={expression}{chosen})"


def _name_some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _write_facts() -> str:
    """Return the text with as-of date, and numbers: alerts ever confirmed, those still bare and green again, provisional ones."""
    first, last = (f"format_date({_aggregate(AREAS_ID, which, 'as_of')}, 'd MMMM yyyy', 'en')" for which in ("min", "max"))
    parts = [f"As of [% if({first} = {last}, {last}, {first} || ' to ' || {last}) %]"]
    is_bare, is_provisional = f"status = '{CONFIRMED}'", f"status = '{PROVISIONAL}'"
    ever = f"{is_bare} OR (status = '{CLOSED}' AND \"confirmed_on\" IS NOT NULL)"
    kinds = (("confirmed", ever, False), ("still bare", is_bare, True), ("green again", IS_GREEN_AGAIN, False))
    for words, chosen, has_area in (*kinds, (PROVISIONAL, is_provisional, True)):
        count = f"coalesce({_aggregate(ALERTS_ID, 'count', 'alert_id', chosen)}, 0)"
        area = f"format_number(coalesce({_aggregate(ALERTS_ID, 'sum', 'area_ha', chosen)}, 0), 1, 'en')"
        parts.append(f"[% {count} %] {words}" + (f" ([% {area} %] ha)" if has_area else ""))
    return "  ·  ".join(parts)


def _write_credits(project: Project) -> str:
    first, last = (f"year({_aggregate(AREAS_ID, which, name)})" for which, name in (("min", "monitor_from"), ("max", "as_of")))
    years = f"[% if({first} = {last}, {last}, {first} || '-' || {last}) %]"
    shown = [
        f"{area}, {format_day(dt.date.fromisoformat(image.date))}" for area, image in project.images if image.when == TIMES[-1]
    ]
    images = f" Image: {_name_some(shown)}." if shown else ""
    grid = ":".join(project.crs.to_authority() or ()) or project.crs.name
    source = f"Source: contains modified Copernicus Sentinel-2 data {years}, processed by minewatch.{images}"
    confidential = "Confidential: contains coordinates relating to a case."
    place = f"Map in {grid}; the compass rose points to true north. Positions in WGS 84. {confidential}"
    return f"{source}\n{place}"


# --- items -----------------------------------------------------------------------------------------------------------


def _uuid(name: str) -> str:
    """Return the id of an item, always the same."""
    return f"{{{uuid.uuid5(uuid.NAMESPACE_URL, f'minewatch:layout:{name}')}}}"


def _add_item(parent: ET.Element, kind: str, name: str, box: Box, **more: str) -> ET.Element:
    attributes = {
        "type": NUMBERS[kind],
        "id": name,
        "uuid": _uuid(name),
        "templateUuid": _uuid(name),
        "position": f"{box.x:g},{box.y:g},mm",
        "positionOnPage": f"{box.x:g},{box.y % _SECOND:g},mm",
        "size": f"{box.width:g},{box.height:g},mm",
        "visibility": "1",
        "opacity": "1",
        "frame": "false",
        "background": "false",
    }
    return ET.SubElement(parent, "LayoutItem", attributes | more)


def _add_map(layout: ET.Element, project: Project) -> None:
    item = _add_item(layout, "map", "map", MAP_BOX, frame="true", background="true", keepLayerSet="false", followPreset="false")
    left, bottom, right, top = _fit_extent(project)
    values = {"xmin": left, "ymin": bottom, "xmax": right, "ymax": top}
    ET.SubElement(item, "Extent", {name: f"{value:.2f}" for name, value in values.items()})


def _fit_extent(project: Project) -> tuple[float, float, float, float]:
    """Return the extent, widened to the shape of the map: QGIS would stretch it otherwise."""
    left, bottom, right, top = project.extent
    ratio = MAP_BOX.width / MAP_BOX.height
    width = max(right - left, (top - bottom) * ratio) / 2
    height, x, y = width / ratio, (left + right) / 2, (bottom + top) / 2
    return x - width, y - height, x + width, y + height


def _add_label(layout: ET.Element, name: str, box: Box, text: str, size: float, colour: str) -> None:
    item = _add_item(layout, "label", name, box, labelText=text, htmlState="0", halign="1", valign="32", marginX="0", marginY="0")
    _add_font(item, "LabelFont", size, bold=name == "title")
    red, green, blue, alpha = colour.split(",")
    ET.SubElement(item, "FontColor", red=red, green=green, blue=blue, alpha=alpha)


def _add_font(parent: ET.Element, tag: str, size: float, *, bold: bool = False) -> None:
    """Add a font as Qt writes it: family, size in points, and weight, among numbers that are always the same."""
    ET.SubElement(parent, tag, description=f"{FONT},{size:g},-1,5,{75 if bold else 50},0,0,0,0,0", style="")


def _add_scale_bar(layout: ET.Element, project: Project) -> None:
    values = {"style": "Double Box", "unitType": "km", "unitLabel": "km", "numMapUnitsPerScaleBarUnit": "1", "height": "2"}
    segments = {"segmentSizeMode": "0", "numUnitsPerSegment": f"{_choose_length(project):g}", "numSegments": "2"}
    more = {"mapUuid": _uuid("map"), "labelBarSpace": "1", "boxContentSpace": "1.5", "outlineWidth": "0.2", "background": "true"}
    item = _add_item(layout, "scale bar", "scale bar", Box(14, 178, 60, 12), numSegmentsLeft="0", **values, **segments, **more)
    ET.SubElement(item, "BackgroundColor", _PALE)
    add_text(item, 8, _BLACK)


def _choose_length(project: Project) -> float:
    """Return a round length, km, for half the scale bar, which is at most a third of the map."""
    left, bottom, right, top = _fit_extent(project)
    to_lonlat, middle = lonlat_from(project.crs), (bottom + top) / 2
    longitudes, latitudes = to_lonlat.transform([left, right], [middle, middle])
    width = Geod(ellps="WGS84").line_length(longitudes, latitudes) / 1000
    lengths = (step * 10.0**power for power in range(4, -4, -1) for step in (5, 2, 1))
    return next((length for length in lengths if length <= width / 6), 0.001)


def _add_compass(layout: ET.Element) -> None:
    # Mode 1 is SVG; north mode 1 is true north, at the middle of the map.
    values = {"file": embed_compass(), "mode": "1", "resizeMode": "0", "northMode": "1", "northOffset": "0"}
    more = {"mapUuid": _uuid("map"), "anchorPoint": "4", "background": "true"}
    item = _add_item(layout, "compass rose", "compass rose", Box(164, 26, 20, 20), **values, **more)
    ET.SubElement(item, "BackgroundColor", _PALE)


def _add_legend(layout: ET.Element, project: Project) -> None:
    """Add the legend of the visible layers, in two columns."""
    values = {"map_uuid": _uuid("map"), "resizeToContents": "0", "columnCount": "2", "splitLayer": "1", "symbolHeight": "3"}
    more = {"symbolWidth": "5", "boxSpace": "0", "columnSpace": "3", "legendFilterByAtlas": "0", "title": ""}
    item = _add_item(layout, "legend", "legend", Box(190, 24, 97, 64), **values, **more)
    styles = ET.SubElement(item, "styles")
    for name, size, above in (("group", 8, "1"), ("subgroup", 7.5, "1.5"), ("symbol", 7, "0.7"), ("symbolLabel", 7, "0.5")):
        style = ET.SubElement(styles, "style", name=name, marginTop=above, marginLeft="1" if name == "symbolLabel" else "0")
        _add_font(style, "styleFont", size, bold=name == "subgroup")
    tree = ET.SubElement(item, "layer-tree-group")
    layers = [layer for layer in list_layers(project.groups) if layer.visible]
    status = [layer for layer in layers if layer.title.endswith(": status")]  # they look alike: one stands for all
    for layer in [*(layer for layer in layers if layer.shape), *status[:1]]:
        if layer.shape:
            add_tree_layer(tree, layer)
            continue
        properties = ET.SubElement(ET.SubElement(add_tree_layer(tree, layer), "customproperties"), "Option", type="Map")
        for name, value in (("legend/title-label", "Where nothing can be seen"), ("legend/node-order", UNSEEN_ENTRIES)):
            ET.SubElement(properties, "Option", name=name, value=value, type="QString")


def _add_table(layout: ET.Element) -> None:
    """Add the table, which continues on the second page."""
    table = ET.SubElement(
        layout,
        "LayoutMultiFrame",
        type=NUMBERS["table"],
        uuid=_uuid("table"),
        templateUuid=_uuid("table"),
        resizeMode="0",  # the frames below, and no others
        source="0",
        vectorLayer=ALERTS_ID,
        maxFeatures=str(MOST_ROWS),
        filterFeatures="true",
        featureFilter=f"\"status\" IN ('{CONFIRMED}', '{PROVISIONAL}') OR {IS_GREEN_AGAIN}",
        headerMode="1",
        headerHAlignment="0",
        emptyTableMode="2",
        emptyTableMessage="No alerts.",
        cellMargin="0.7",
        showGrid="1",
        horizontalGrid="1",
        verticalGrid="0",
        gridStrokeWidth="0.15",
        gridColor=_GREY,
        wrapBehavior="0",
    )
    for name, bold in (("headerTextFormat", True), ("contentTextFormat", False)):
        add_text(ET.SubElement(table, name), 5.5, _BLACK, bold=bold)
    _add_columns(table)
    boxes = (Box(190, 92, 97, 100), Box(10, _SECOND + 20, 137, 180), Box(150, _SECOND + 20, 137, 180))
    for number, box in enumerate(boxes):
        # The second page is not printed where it would be empty.
        frame = {"multiFrame": _uuid("table"), "multiFrameTemplateUuid": _uuid("table"), "hidePageIfEmpty": str(int(number == 1))}
        item = _add_item(layout, "frame", f"table {number + 1}", box, hideBackgroundIfEmpty="1", **frame)
        ET.SubElement(table, "childFrame", uuid=item.get("uuid", ""), templateUuid=item.get("uuid", ""))


def _add_columns(table: ET.Element) -> None:
    columns, order = ET.SubElement(table, "displayColumns"), ET.SubElement(table, "sortColumns")
    for heading, expression in COLUMNS:
        right = heading in ("ha", "Latitude", "Longitude")
        values = {"heading": heading, "attribute": expression, "hAlignment": "2" if right else "1", "vAlignment": "128"}
        ET.SubElement(columns, "column", values | {"width": "0"})
    for attribute, direction in (("first_seen", "1"), ("alert_id", "0")):
        ET.SubElement(order, "column", attribute=attribute, sortOrder=direction, heading="", width="0")
