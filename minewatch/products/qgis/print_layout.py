"""The print layout: A4 landscape, with title, scale, graticule, locator, compass rose, legend, date, source and a table.

What changes with every scan (dates, counts, the table) is an expression that QGIS evaluates when it draws the page.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pyproj import CRS, Geod

from minewatch.alerts.style import FONT, IS_LISTED, add_fill, add_line, add_text
from minewatch.areas.grid import lonlat_from
from minewatch.detection.change_map import Status
from minewatch.products.images.scale import choose_length
from minewatch.products.qgis.compass import embed_compass
from minewatch.products.qgis.layer_tree import add_crs, add_tree_layer
from minewatch.products.qgis.page_words import list_columns, name_some, write_credits, write_facts
from minewatch.products.qgis.project_layers import ALERTS_ID, AREAS_ID, Extent, Project, list_layers
from minewatch.products.report.texts import Texts

NAME = "Alerts (A4 landscape)"

MOST_ROWS = 110
"""Rows of the table, the latest alerts, which fill two pages; alerts.csv has all."""

UNSEEN_ENTRIES = ",".join(str(int(status)) for status in (Status.NEVER_COVERED, Status.NO_VEGETATION, Status.NOT_MONITORED))
"""Entries of the status rasters in the legend, by number; the others have the colours of alerts.  Entry 0 is the band's name."""

_BLACK, _GREY, _PALE_LINE = "20,20,20,255", "90,90,90,255", "255,255,255,150"
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

MAP_BOX = Box(14, 27, 170, 162)

ROUND_SCALES = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8, 10)
"""First digits of the scales that a printed map may have."""

LOCATOR_BOX = Box(154, 159, 29, 29)


def add_layout(layouts: ET.Element, project: Project) -> None:
    """Add the print layout to a project."""
    attributes = {"name": NAME, "units": "mm", "printResolution": "300", "worldFileMap": _uuid("map")}
    layout = ET.SubElement(layouts, "Layout", attributes)
    pages = ET.SubElement(layout, "PageCollection")
    for name, top in (("page 1", 0.0), ("page 2", _SECOND)):
        _add_item(pages, "page", name, Box(0, top, 297, 210))
    texts = project.texts
    title = texts.text("title", names=name_some(project.areas, texts))
    # Later items lie on top.
    _add_map(layout, project)
    _add_label(layout, "title", Box(10, 7, 277, 9), title, 17, _BLACK)
    _add_label(layout, "facts", Box(10, 16, 277, 6), write_facts(texts), 9, _BLACK)
    _add_label(layout, "title, continued", Box(10, _SECOND + 7, 277, 9), title, 12, _BLACK)
    _add_label(layout, "source", Box(10, 195, 277, 12), write_credits(project), 6.5, _GREY)
    _add_scale_bars(layout, project)
    _add_compass(layout)
    _add_locator(layout, project)
    _add_legend(layout, project)
    _add_table(layout, texts)
    ET.SubElement(layout, "Atlas", enabled="0", coverageLayer="")


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
    _add_extent(item, _fit_map(project))
    _add_graticule(item, project)


def _add_extent(item: ET.Element, extent: Extent) -> None:
    values = zip(("xmin", "ymin", "xmax", "ymax"), extent, strict=True)
    ET.SubElement(item, "Extent", {name: f"{value:.2f}" for name, value in values})


def _add_graticule(item: ET.Element, project: Project) -> None:
    """Add lines of latitude and longitude, with their degrees outside of the frame (QgsLayoutItemMapGrid)."""
    step, decimals = _choose_step(project)
    sides = {f"{side}AnnotationPosition": "1" for side in ("left", "right", "top", "bottom")}
    upright = {f"{side}AnnotationDirection": "1" for side in ("left", "right")}
    values = {"name": "graticule", "uuid": _uuid("graticule"), "show": "1", "unit": "0", "gridStyle": "0", "gridFrameStyle": "0"}
    values |= {"intervalX": f"{step:g}", "intervalY": f"{step:g}", "offsetX": "0", "offsetY": "0", "position": "3"}
    values |= {
        "showAnnotation": "1",
        "annotationFormat": "3",
        "annotationPrecision": str(decimals),
        "frameAnnotationDistance": "0.6",
    }
    grid = ET.SubElement(item, "ComposerMapGrid", values | sides | upright)
    add_line(ET.SubElement(grid, "lineStyle"), "", _PALE_LINE, "0.15")
    add_crs(grid, CRS.from_epsg(4326))
    add_text(grid, 5.5, _BLACK)


def _choose_step(project: Project) -> tuple[float, int]:
    """Return the degrees between two lines, about a third of the map, and the decimals of their labels."""
    left, bottom, right, top = _fit_map(project)
    x, y = (left + right) / 2, (bottom + top) / 2
    longitudes, latitudes = lonlat_from(project.crs).transform([left, right, x, x], [y, y, bottom, top])
    across = abs(longitudes[1] - longitudes[0])
    span = max(min(across, 360 - across), abs(latitudes[3] - latitudes[2]))
    step = choose_length(span / 3)
    return step, max(0, -math.floor(math.log10(step) + 1e-6))


def _add_locator(layout: ET.Element, project: Project) -> None:
    """Add a small map of all areas, with the frame of the large one."""
    layers = [layer for layer in list_layers(project.groups) if layer.id == AREAS_ID]
    values = {"frame": "true", "background": "true", "followPreset": "false", "keepLayerSet": "true", "drawCanvasItems": "false"}
    item = _add_item(layout, "map", "locator", LOCATOR_BOX, **values)
    shown = zip(_fit_map(project), project.whole, (min, min, max, max), strict=True)
    left, bottom, right, top = (choose(large, whole) for large, whole, choose in shown)
    margin = 0.1 * max(right - left, top - bottom)
    _add_extent(item, _fit_extent((left - margin, bottom - margin, right + margin, top + margin), LOCATOR_BOX))
    chosen = ET.SubElement(item, "LayerSet")
    for layer in layers:
        ET.SubElement(chosen, "Layer", name=layer.title, provider="ogr", source=layer.source).text = layer.id
    about = {"name": "map", "uuid": _uuid("overview"), "frameMap": _uuid("map"), "show": "1", "inverted": "0", "centered": "0"}
    frame = ET.SubElement(item, "ComposerMapOverview", about | {"blendMode": "0", "position": "3"})
    add_fill(frame, "", fill="200,16,46,0", line="200,16,46,255", width="0.4")


def _fit_map(project: Project) -> Extent:
    """Return the extent of the large map: in a round scale where its CRS has one."""
    left, bottom, right, top = _fit_extent(project.extent, MAP_BOX)
    if not project.is_to_scale:
        return left, bottom, right, top
    scale = (right - left) * 1000 / MAP_BOX.width
    size = 10 ** math.floor(math.log10(scale))
    scale = next(step * size for step in ROUND_SCALES if step * size >= scale * (1 - 1e-9))
    x, y, width, height = (left + right) / 2, (bottom + top) / 2, MAP_BOX.width * scale / 1000, MAP_BOX.height * scale / 1000
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _fit_extent(extent: Extent, box: Box) -> Extent:
    """Return an extent, widened to the shape of its map: QGIS would stretch it otherwise."""
    left, bottom, right, top = extent
    ratio = box.width / box.height
    width = max(right - left, (top - bottom) * ratio) / 2
    height, x, y = width / ratio, (left + right) / 2, (bottom + top) / 2
    return x - width, y - height, x + width, y + height


def _add_label(layout: ET.Element, name: str, box: Box, text: str, size: float, colour: str, **more: str) -> None:
    values = {"labelText": text, "htmlState": "0", "halign": "1", "valign": "32", "marginX": "0", "marginY": "0"}
    item = _add_item(layout, "label", name, box, **values | more)
    _add_font(item, "LabelFont", size, bold=name == "title")
    red, green, blue, alpha = colour.split(",")
    ET.SubElement(item, "FontColor", red=red, green=green, blue=blue, alpha=alpha)


def _add_font(parent: ET.Element, tag: str, size: float, *, bold: bool = False) -> None:
    """Add a font as Qt writes it: family, size in points, and weight, among numbers that are always the same."""
    ET.SubElement(parent, tag, description=f"{FONT},{size:g},-1,5,{75 if bold else 50},0,0,0,0,0", style="")


def _add_scale_bars(layout: ET.Element, project: Project) -> None:
    """Add the scale as a bar, and as a number, which holds for the page at its own size."""
    values = {"style": "Double Box", "unitType": "km", "unitLabel": "km", "numMapUnitsPerScaleBarUnit": "1", "height": "2"}
    segments = {"segmentSizeMode": "0", "numUnitsPerSegment": f"{_choose_length(project):g}", "numSegments": "2"}
    more = {"mapUuid": _uuid("map"), "labelBarSpace": "1", "boxContentSpace": "1.5", "outlineWidth": "0.2", "background": "true"}
    item = _add_item(layout, "scale bar", "scale bar", Box(17, 174, 60, 12), numSegmentsLeft="0", **values, **segments, **more)
    ET.SubElement(item, "BackgroundColor", _PALE)
    add_text(item, 8, _BLACK)
    if project.is_to_scale:
        _add_numeric_scale(layout, project.texts)


def _add_numeric_scale(layout: ET.Element, texts: Texts) -> None:
    scale = f"format_number(round(map_get(item_variables('map'), 'map_scale')), 0, '{texts.language}')"
    _add_label(layout, "scale", Box(17, 167, 24, 6), f" 1 : [% {scale} %]", 8, _BLACK, background="true")


def _choose_length(project: Project) -> float:
    """Return a round length, km, for half the scale bar, which is at most a third of the map."""
    left, bottom, right, top = _fit_map(project)
    to_lonlat, middle = lonlat_from(project.crs), (bottom + top) / 2
    longitudes, latitudes = to_lonlat.transform([left, right], [middle, middle])
    width = Geod(ellps="WGS84").line_length(longitudes, latitudes) / 1000
    lengths = (step * 10.0**power for power in range(4, -4, -1) for step in (5, 2, 1))
    return next((length for length in lengths if length <= width / 6), 0.001)


def _add_compass(layout: ET.Element) -> None:
    # Mode 1 is SVG; north mode 1 is true north, at the middle of the map.
    values = {"file": embed_compass(), "mode": "1", "resizeMode": "0", "northMode": "1", "northOffset": "0"}
    more = {"mapUuid": _uuid("map"), "anchorPoint": "4", "background": "true"}
    item = _add_item(layout, "compass rose", "compass rose", Box(162, 29, 20, 20), **values, **more)
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
        for name, value in (("legend/title-label", project.texts.text("unseen")), ("legend/node-order", UNSEEN_ENTRIES)):
            ET.SubElement(properties, "Option", name=name, value=value, type="QString")


def _add_table(layout: ET.Element, texts: Texts) -> None:
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
        featureFilter=IS_LISTED,
        headerMode="1",
        headerHAlignment="0",
        emptyTableMode="2",
        emptyTableMessage=texts.text("no_alerts"),
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
    _add_columns(table, texts)
    boxes = (Box(190, 92, 97, 100), Box(10, _SECOND + 20, 137, 180), Box(150, _SECOND + 20, 137, 180))
    for number, box in enumerate(boxes):
        # The second page is not printed where it would be empty.
        frame = {"multiFrame": _uuid("table"), "multiFrameTemplateUuid": _uuid("table"), "hidePageIfEmpty": str(int(number == 1))}
        item = _add_item(layout, "frame", f"table {number + 1}", box, hideBackgroundIfEmpty="1", **frame)
        ET.SubElement(table, "childFrame", uuid=item.get("uuid", ""), templateUuid=item.get("uuid", ""))


def _add_columns(table: ET.Element, texts: Texts) -> None:
    columns, order = ET.SubElement(table, "displayColumns"), ET.SubElement(table, "sortColumns")
    numbers = {texts.text(f"column_{name}") for name in ("number", "hectares", "latitude", "longitude")}
    for heading, expression in list_columns(texts):
        right = heading in numbers
        values = {"heading": heading, "attribute": expression, "hAlignment": "2" if right else "1", "vAlignment": "128"}
        ET.SubElement(columns, "column", values | {"width": "0"})
    for attribute, direction in (("first_seen", "1"), ("alert_id", "0")):
        ET.SubElement(order, "column", attribute=attribute, sortOrder=direction, heading="", width="0")
