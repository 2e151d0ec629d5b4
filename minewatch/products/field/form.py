"""The form that people fill in at an alert: its columns, and how QGIS and QField show them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from minewatch.alerts.decisions import CONFIRM, DISMISS, NEEDS_VISIT
from minewatch.alerts.style import VERSION, add_choices, add_marker, add_widget, render_style, rgba
from minewatch.products.report.texts import Texts

VISITS = "visits"
"""Name of the layer of points, one for each visit."""

ALERT, FINDING, NOTE, PERSON, VISITED, PHOTO = "alert_id", "finding", "note", "person", "visited", "photo"
COLUMNS = {ALERT: "object", FINDING: "object", NOTE: "object", PERSON: "object", VISITED: "datetime64[ms]", PHOTO: "object"}
"""Column of the layer to its type as numpy calls it."""

FINDINGS = {CONFIRM: "finding_mining", DISMISS: "finding_none", NEEDS_VISIT: "finding_again"}
"""What can be found, as reviews have it, to the key of its text."""

COLOUR = "#0b7a75"
"""Of a visit's point."""


def style_visits(alert_ids: Sequence[str], texts: Texts) -> str:
    """Return the style of the layer with its form: lists of the alerts and findings, and a camera for the photograph."""
    root = ET.Element("qgis", version=VERSION, styleCategories="Symbology|Fields|Forms")
    aliases, fields = ET.SubElement(root, "aliases"), ET.SubElement(root, "fieldConfiguration")
    for index, column in enumerate(COLUMNS, 1):
        ET.SubElement(aliases, "alias", index=str(index), field=column, name=texts.text(f"form_{column}"))
    add_choices(add_widget(fields, ALERT, "ValueMap"), {alert_id: alert_id for alert_id in alert_ids})
    add_choices(add_widget(fields, FINDING, "ValueMap"), {value: texts.text(key) for value, key in FINDINGS.items()})
    for column, lines in ((NOTE, "true"), (PERSON, "false")):
        ET.SubElement(add_widget(fields, column, "TextEdit"), "Option", name="IsMultiline", value=lines, type="bool")
    _add_options(add_widget(fields, VISITED, "DateTime"), {"display_format": "yyyy-MM-dd HH:mm"}, {"calendar_popup": "true"})
    # The viewer shows a picture (1); paths are relative to the project (1), and of files (0).
    numbers = {"DocumentViewer": "1", "RelativeStorage": "1", "StorageMode": "0"}
    photo = add_widget(fields, PHOTO, "ExternalResource")
    _add_options(photo, {"DefaultRoot": ""}, {"FileWidget": "true", "FileWidgetButton": "true", "UseLink": "false"})
    for name, value in numbers.items():
        ET.SubElement(photo, "Option", name=name, value=value, type="int")
    defaults = ET.SubElement(root, "defaults")
    ET.SubElement(defaults, "default", field=VISITED, expression="now()", applyOnUpdate="0")
    constraints = ET.SubElement(root, "constraints")
    for column in (ALERT, FINDING, PERSON):  # 1 is "not empty", and stronger ones are refused
        facts = {"field": column, "constraints": "1", "notnull_strength": "2", "unique_strength": "0", "exp_strength": "0"}
        ET.SubElement(constraints, "constraint", facts)
    renderer = ET.SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0", forceraster="0")
    add_marker(ET.SubElement(renderer, "symbols"), "0", rgba(COLOUR), "4", "star")
    ET.SubElement(root, "previewExpression").text = f'"{ALERT}"'
    return render_style(root)


def _add_options(config: ET.Element, texts: dict[str, str], flags: dict[str, str]) -> None:
    for kind, options in (("QString", texts), ("bool", flags)):
        for name, value in options.items():
            ET.SubElement(config, "Option", name=name, value=value, type=kind)
