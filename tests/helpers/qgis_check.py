"""Open a GeoPackage as a person would in QGIS and print, as JSON, what is seen; run by the Python that has QGIS.

    QT_QPA_PLATFORM=offscreen python3 qgis_check.py alerts.gpkg picture.png

Keys: `layers` (by name: valid, features, geometry, crs, fields, renderer, pixels), `categories` of the layer `alerts`
(value, label, colour), `styled_by_itself` (its default style came with the file), `pixels` (not white, all layers).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateTransform,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsProject,
    QgsProviderRegistry,
    QgsRectangle,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QImage, QPainter

SIDE = 600


def open_layers(path: str) -> dict[str, QgsVectorLayer]:
    """Open every layer of the file, tables without geometry too."""
    names = [sublayer.name() for sublayer in QgsProviderRegistry.instance().querySublayers(path)]
    return {name: QgsVectorLayer(f"{path}|layername={name}", name, "ogr") for name in names}


def describe_layer(layer: QgsVectorLayer) -> dict[str, Any]:
    renderer = layer.renderer()
    return {
        "valid": layer.isValid(),
        "features": layer.featureCount(),
        "geometry": QgsWkbTypes.displayString(layer.wkbType()),
        "crs": layer.crs().authid(),
        "fields": describe_fields(layer),
        "renderer": renderer.type() if renderer else None,
        "pixels": count_pixels(draw_layers([layer])) if layer.isSpatial() else None,
    }


def describe_fields(layer: QgsVectorLayer) -> list[dict[str, str]]:
    return [
        {"name": field.name(), "type": field.typeName(), "alias": layer.attributeAlias(index)}
        for index, field in enumerate(layer.fields())
    ]


def describe_categories(layer: QgsVectorLayer) -> list[dict[str, Any]]:
    renderer = layer.renderer()
    if renderer is None or renderer.type() != "categorizedSymbol":
        return []
    return [
        {"value": category.value(), "label": category.label(), "colour": category.symbol().color().name()}
        for category in renderer.categories()
    ]


def is_styled_by_itself(layer: QgsVectorLayer) -> bool:
    """True if the layer, as opened, looks as the default style in the file says."""
    options = QgsVectorLayer.LayerOptions()
    options.loadDefaultStyle = False
    bare = QgsVectorLayer(layer.source(), layer.name(), "ogr", options)
    _, found = bare.loadDefaultStyle()
    return bool(found) and bare.renderer().dump() == layer.renderer().dump()


def find_extent(layers: list[QgsVectorLayer]) -> QgsRectangle:
    """Find the rectangle around all features, with a margin, in the reference system of the first layer."""
    extent = QgsRectangle()
    for layer in layers:
        if layer.featureCount():
            transform = QgsCoordinateTransform(layer.crs(), layers[0].crs(), QgsProject.instance())
            extent.combineExtentWith(transform.transformBoundingBox(layer.extent()))
    return extent.buffered(0.05 * max(extent.width(), extent.height()))


def draw_layers(layers: list[QgsVectorLayer]) -> QImage:
    """Draw layers on white, the first one on top."""
    image = QImage(SIDE, SIDE, QImage.Format_RGB32)
    image.fill(Qt.white)
    settings = QgsMapSettings()
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setBackgroundColor(Qt.white)
    settings.setLayers(layers)
    if layers:
        settings.setDestinationCrs(layers[0].crs())
        settings.setExtent(find_extent(layers))
        painter = QPainter(image)
        job = QgsMapRendererCustomPainterJob(settings, painter)
        job.renderSynchronously()
        painter.end()
    return image


def count_pixels(image: QImage) -> int:
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    return sum(pixel & 0xFFFFFF != 0xFFFFFF for pixel in memoryview(bytes(bits)).cast("I"))


def check_file(path: str, picture: str) -> dict[str, Any]:
    layers = open_layers(path)
    alerts = layers.get("alerts")
    # The alerts lie on top, as QGIS itself would not promise but every reader wants.
    spatial = sorted((layer for layer in layers.values() if layer.isSpatial()), key=lambda layer: layer.name() != "alerts")
    image = draw_layers(spatial)
    image.save(picture)
    return {
        "layers": {name: describe_layer(layer) for name, layer in layers.items()},
        "categories": describe_categories(alerts) if alerts else [],
        "styled_by_itself": is_styled_by_itself(alerts) if alerts else False,
        "pixels": count_pixels(image),
    }


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    # All layers are local to check_file and gone when it returns: QGIS crashes at exit if any is left.
    seen = check_file(sys.argv[1], sys.argv[2])
    application.exitQgis()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
