"""Open the layers of an alerts GeoPackage and print, as JSON, how each is labelled, edited and played in QGIS.

    QT_QPA_PLATFORM=offscreen python3 qgis_form.py alerts.gpkg

Keys by layer: `title` (of a feature), `labels` (the text of each label), `widgets` (field: kind and
choices), `editable` (fields), `temporal` (active, mode, field, stays), `played` (date: features on the map on that day).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsDateTimeRange,
    QgsEditorWidgetSetup,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsVectorLayer,
    QgsVectorLayerTemporalContext,
    QgsVectorLayerTemporalProperties,
)
from qgis.PyQt.QtCore import QDateTime, Qt


def list_labels(layer: QgsVectorLayer) -> list[str]:
    """Work out the label of every feature."""
    if not layer.labelsEnabled():
        return []
    settings = layer.labeling().settings()
    assert settings.drawLabels
    assert settings.isExpression
    expression = QgsExpression(settings.fieldName)
    assert not expression.hasParserError(), expression.parserErrorString()
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    texts = []
    for feature in layer.getFeatures():
        context.setFeature(feature)
        texts.append(str(expression.evaluate(context)))
    return sorted(texts)


def describe_widgets(layer: QgsVectorLayer) -> dict[str, Any]:
    found = {}
    for index, field in enumerate(layer.fields()):
        setup = layer.editorWidgetSetup(index)
        found[field.name()] = {"kind": setup.type(), "choices": list_choices(setup)}
    return found


def list_choices(setup: QgsEditorWidgetSetup) -> list[tuple[str, str]]:
    return [next(iter(item.items())) for item in setup.config().get("map", [])]


def list_editable(layer: QgsVectorLayer) -> list[str]:
    form = layer.editFormConfig()
    return [field.name() for index, field in enumerate(layer.fields()) if not form.readOnly(index)]


def describe_time(layer: QgsVectorLayer) -> dict[str, Any]:
    time = layer.temporalProperties()
    return {
        "active": time.isActive(),
        "instants": time.mode() == QgsVectorLayerTemporalProperties.ModeFeatureDateTimeInstantFromField,
        "field": time.startField(),
        "stays": time.accumulateFeatures(),
    }


def play(layer: QgsVectorLayer, days: list[str]) -> dict[str, int]:
    """Count what the Temporal Controller lets through on each day."""
    counts = {}
    for day in days:
        start = QDateTime.fromString(day, Qt.ISODate)
        context = QgsVectorLayerTemporalContext()
        context.setLayer(layer)
        wanted = layer.temporalProperties().createFilterString(context, QgsDateTimeRange(start, start.addDays(1), True, False))
        counts[day] = sum(1 for _ in layer.getFeatures(wanted))
    return counts


def describe_layer(path: str, name: str, days: list[str]) -> dict[str, Any]:
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    assert layer.isValid()
    seen = describe_form(layer)
    # The desktop loads the default style once more after it has opened a layer (QgsAppLayerHandling), which is what brings
    # its temporal properties: those that the constructor had read are replaced by a guess from the names of the fields.
    layer.loadDefaultStyle()
    assert describe_form(layer) == seen
    return seen | {
        "temporal": describe_time(layer),
        "played": play(layer, days) if layer.temporalProperties().isActive() else {},
    }


def describe_form(layer: QgsVectorLayer) -> dict[str, Any]:
    return {
        "title": layer.displayExpression(),
        "labels": list_labels(layer),
        "widgets": describe_widgets(layer),
        "editable": list_editable(layer),
    }


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    seen = {name: describe_layer(sys.argv[1], name, sys.argv[2:]) for name in ("alerts", "aois")}
    application.exitQgis()
    sys.stdout.write(json.dumps(seen | {"version": Qgis.QGIS_VERSION}) + "\n")


if __name__ == "__main__":
    main()
