"""The styles of a project's layers: images, change rasters, and context by kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.etree import ElementTree as ET

from minewatch.alerts.style import (
    ALONG,
    BESIDE,
    INSIDE,
    STATUS_LABELS,
    VERSION,
    add_fill,
    add_labels,
    add_line,
    add_marker,
    parse_style,
    render_style,
    rgba,
)
from minewatch.core.units import SCALE
from minewatch.detection.change_map import Status
from minewatch.detection.change_map_writer import STATUS_COLOURS
from minewatch.products.export.columns import clean_text
from minewatch.products.images.stretch import DARKEST
from minewatch.products.report.texts import Texts

SHAPES = ("Point", "Line", "Polygon")
"""Shapes of vector layers, from top to bottom on the map."""

KINDS: Mapping[str, tuple[str, str]] = {
    "concession": ("#8a4b08", "dash"),
    "protected-area": ("#1b7a3d", "solid"),
    "indigenous-territory": ("#7b3fa0", "solid"),
    "administrative-unit": ("#6b6b6b", "dash dot"),
    "biome": ("#5b7f4a", "dot"),
    "river": ("#2b7bba", "solid"),
    "road": ("#4a4a4a", "solid"),
    "airstrip": ("#111111", "solid"),
    "settlement": ("#b04a5a", "solid"),
}
"""Kind of context to colour and line; no colour is that of a status."""

DATE_COLOURS = ("#fff7bc", "#fee391", "#fec44f", "#fe9929", "#d95f0e", "#993404")
"""From the first to the last sixth of the period."""

CHANGE_COLOURS = ("#8c510a", "#bf812d", "#dfc27d", "#f5f5f5", "#80cdc1", "#01665e")
"""From loss to gain."""

CHANGE_LIMITS = (-0.4, -0.2, -0.1, 0.1, 0.2)
"""Of NDVI or BSI: the limits between the colours."""

BRIGHTEST = 0.3
"""Reflectance that is white in true colour."""

_EPOCH = dt.date(1970, 1, 1)
_LAST = "inf"

ColourClass = tuple[str, str, str]
"""Upper limit, colour, label."""


def style_image() -> str:
    """Return the style of an image: red, green, blue, opacity."""
    bands = {"redBand": "1", "greenBand": "2", "blueBand": "3", "alphaBand": "4"}
    return _wrap_renderer(ET.Element("rasterrenderer", {"type": "multibandcolor", "opacity": "1"} | bands))


def style_reflectance() -> str:
    """Return the style of an image of evidence, reflectance x 10 000 in the order blue, green, red: in true colour."""
    bands = {"redBand": "3", "greenBand": "2", "blueBand": "1", "alphaBand": "-1"}
    renderer = ET.Element("rasterrenderer", {"type": "multibandcolor", "opacity": "1"} | bands)
    for colour in ("red", "green", "blue"):
        stretch = ET.SubElement(renderer, f"{colour}ContrastEnhancement")
        for tag, text in (
            ("minValue", DARKEST * SCALE),
            ("maxValue", BRIGHTEST * SCALE),
            ("algorithm", "StretchToMinimumMaximum"),
        ):
            ET.SubElement(stretch, tag).text = str(text)
    return _wrap_renderer(renderer)


def translate_labels(style: str, texts: Texts) -> str:
    """Return the style of the alerts with the words of a language in its legend; words that a person wrote stay."""
    root = parse_style(style)
    for category in root.iter("category"):
        status = category.get("value", "")
        if category.get("label") == STATUS_LABELS.get(status):
            words = texts.text(f"status_{status}")
            category.set("label", words[0].upper() + words[1:])
    return render_style(root)


def style_change(name: str, period: tuple[dt.date, dt.date], texts: Texts) -> str:
    """Return the style of a raster of the change map; ``period`` is the time that its dates lie in."""
    if name == "status":
        return _wrap_renderer(_make_palette(texts))
    if name == "clear_looks":
        colours = ("#eff3ff", "#bdd7e7", "#6baed6", "#3182bd", "#08519c")
        return _wrap_renderer(_make_classes(_name_classes((5, 10, 20, 40), colours, "")))
    if name == "ndvi_change":
        return _wrap_renderer(_make_classes(_name_classes(CHANGE_LIMITS, CHANGE_COLOURS, "+")))
    if name == "bsi_change":  # BSI rises where NDVI falls
        return _wrap_renderer(_make_classes(_name_classes(CHANGE_LIMITS, CHANGE_COLOURS[::-1], "+")))
    return _wrap_renderer(_make_classes(_name_dates(*period)))


def style_context(kind: str, shape: str, label: str | None) -> str:
    """Return the style of a layer of context; ``label`` is the column with the names."""
    colour, pattern = KINDS.get(kind, ("#444444", "solid"))
    root = ET.Element("qgis", version=VERSION, styleCategories="Symbology|Labeling")
    renderer = ET.SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0", forceraster="0")
    symbols = ET.SubElement(renderer, "symbols")
    if shape == "Point":
        add_marker(symbols, "0", rgba(colour), "2.4", "triangle" if kind == "airstrip" else "circle")
    elif shape == "Line":
        add_line(symbols, "0", rgba(colour), "0.5", pattern)
    else:
        add_fill(symbols, "0", fill=rgba(colour, 18), line=rgba(colour), width="0.4", pattern=pattern)
    if label:
        quoted = clean_text(label).replace('"', '""')
        add_labels(root, f'"{quoted}"', 7, rgba(colour), {"Point": BESIDE, "Line": ALONG, "Polygon": INSIDE}[shape])
    return render_style(root)


def _make_palette(texts: Texts) -> ET.Element:
    """Return the colours of the raster file, but with stable pixels transparent."""
    renderer = ET.Element("rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1")
    palette = ET.SubElement(renderer, "colorPalette")
    for status, (red, green, blue, _) in STATUS_COLOURS.items():
        if status is Status.OUTSIDE:
            continue
        alpha = "0" if status is Status.STABLE else "160"  # the image below shows through
        label = texts.text(f"raster_{status.name.lower()}")
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        ET.SubElement(palette, "paletteEntry", value=str(int(status)), color=colour, alpha=alpha, label=label)
    return renderer


def _make_classes(classes: Sequence[ColourClass]) -> ET.Element:
    """Return a renderer that colours a band by classes, each up to its limit."""
    renderer = ET.Element("rasterrenderer", type="singlebandpseudocolor", band="1", opacity="1", alphaBand="-1")
    shader = ET.SubElement(ET.SubElement(renderer, "rastershader"), "colorrampshader", colorRampType="DISCRETE", clip="0")
    for limit, colour, label in classes:
        ET.SubElement(shader, "item", value=limit, color=colour, alpha="255", label=label)
    return renderer


def _name_classes(limits: Sequence[float], colours: Sequence[str], sign: str) -> list[ColourClass]:
    texts = [f"{limit:{sign}g}" for limit in limits]
    labels = [f"up to {texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts))]
    uppers = [f"{limit:g}" for limit in limits]
    return list(zip([*uppers, _LAST], colours, [*labels, f"above {texts[-1]}"], strict=True))


def _name_dates(first: dt.date, last: dt.date) -> list[ColourClass]:
    """Return classes of equal parts of a period; limits are days since 1970-01-01."""
    start, days = (first - _EPOCH).days, max((last - first).days, len(DATE_COLOURS))
    classes = []
    for number, colour in enumerate(DATE_COLOURS, 1):
        limit = start + round(days * number / len(DATE_COLOURS))
        upper = str(limit) if number < len(DATE_COLOURS) else _LAST
        classes.append((upper, colour, f"to {_EPOCH + dt.timedelta(limit)}"))
    return classes


def _wrap_renderer(renderer: ET.Element) -> str:
    root = ET.Element("qgis", version=VERSION, styleCategories="Symbology")
    ET.SubElement(root, "pipe").append(renderer)
    return render_style(root)
