"""Open a project as a person would in QGIS and print, as JSON, what is seen.

    QT_QPA_PLATFORM=offscreen python3 qgis_project.py minewatch.qgz FOLDER

The folder takes `map.png` (what the canvas shows at first), `page-1.png` … (the print layout) and `page.pdf`.
Keys: `errors` (what QGIS complained of), `crs`, `period`, `groups` (names), `drawn` (ids of spatial layers in drawing order),
`layers` (by id: name, valid, visible, crs, source, renderer, pixels drawn alone), `pixels` (of the map), `pages`, `texts` of
the labels, `table` (rows), `rose` (north mode, linked), `scale` (of the scale bar's map), `temporal` of the alerts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsLayoutExporter,
    QgsLayoutItemAttributeTable,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemPicture,
    QgsLayoutItemScaleBar,
    QgsMapLayer,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsPrintLayout,
    QgsProject,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QImage, QPainter

SIDE = 600
QUIET = ("XDG_RUNTIME_DIR",)


def draw(project: QgsProject, layers: list[QgsMapLayer], extent: QgsRectangle) -> QImage:
    image = QImage(SIDE, SIDE, QImage.Format_RGB32)
    image.fill(Qt.white)
    settings = QgsMapSettings()
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setBackgroundColor(Qt.white)
    settings.setLayers(layers)
    settings.setDestinationCrs(project.crs())
    settings.setTransformContext(project.transformContext())
    settings.setExtent(extent)
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layers[0]) if layers else [])
    settings.setExpressionContext(context)
    painter = QPainter(image)
    job = QgsMapRendererCustomPainterJob(settings, painter)
    job.renderSynchronously()
    painter.end()
    return image


def count_pixels(image: QImage) -> int:
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    return sum(pixel & 0xFFFFFF != 0xFFFFFF for pixel in memoryview(bytes(bits)).cast("I"))


def describe_layer(project: QgsProject, layer: QgsMapLayer, extent: QgsRectangle) -> dict[str, Any]:
    node = project.layerTreeRoot().findLayer(layer.id())
    whole = QgsMapSettings()
    whole.setDestinationCrs(project.crs())
    own = whole.layerExtentToOutputExtent(layer, layer.extent()).buffered(50)
    return {
        "name": layer.name(),
        "valid": layer.isValid(),
        "visible": node.isVisible(),
        "crs": layer.crs().authid(),
        "source": layer.source(),
        "renderer": layer.renderer().type() if layer.isValid() and layer.renderer() else None,
        "labels": layer.labelsEnabled() if hasattr(layer, "labelsEnabled") else False,
        "pixels": count_pixels(draw(project, [layer], extent)) if layer.isValid() else 0,
        "pixels_own": count_pixels(draw(project, [layer], own)) if layer.isValid() else 0,
    }


def describe_map(item: QgsLayoutItemMap) -> dict[str, Any]:
    return {
        "scale": item.scale(),
        "layers": [layer.id() for layer in item.layers()] if item.keepLayerSet() else None,
        "grids": [
            {"crs": grid.crs().authid(), "step": grid.intervalX(), "labels": grid.annotationEnabled()}
            for grid in item.grids().asList()
        ],
        "frames": [overview.linkedMap().id() for overview in item.overviews().asList() if overview.linkedMap()],
    }


def list_numbers(layout: QgsPrintLayout) -> dict[str, str]:
    """Work out the label of every alert as the layout draws it."""
    layer = layout.project().mapLayer("minewatch_alerts")
    context = layout.createExpressionContext()
    context.appendScope(QgsExpressionContextUtils.layerScope(layer))
    expression = QgsExpression(layer.labeling().settings().fieldName)
    labels = {}
    for feature in layer.getFeatures():
        context.setFeature(feature)
        labels[feature["alert_id"]] = str(expression.evaluate(context))
    return labels


def describe_layout(layout: QgsPrintLayout, folder: Path) -> dict[str, Any]:
    items = layout.items()
    tables = [frame for frame in layout.multiFrames() if isinstance(frame, QgsLayoutItemAttributeTable)]
    for table in tables:
        table.refresh()
    exporter = QgsLayoutExporter(layout)
    pictures = QgsLayoutExporter.ImageExportSettings()
    pictures.dpi = 110
    done = [
        exporter.exportToPdf(str(folder / "page.pdf"), QgsLayoutExporter.PdfExportSettings()),
        exporter.exportToImage(str(folder / "page.png"), pictures),
    ]
    maps = [item for item in items if isinstance(item, QgsLayoutItemMap)]
    roses = [item for item in items if isinstance(item, QgsLayoutItemPicture)]
    bars = [item for item in items if isinstance(item, QgsLayoutItemScaleBar)]
    legends = [item for item in items if isinstance(item, QgsLayoutItemLegend)]
    pages = layout.pageCollection()
    return {
        "exported": all(result == QgsLayoutExporter.Success for result in done),
        "sheets": [[page.pageSize().width(), page.pageSize().height()] for page in pages.pages()],
        "printed": sum(pages.shouldExportPage(number) for number in range(pages.pageCount())),
        "texts": {item.id(): item.currentText() for item in items if isinstance(item, QgsLayoutItemLabel)},
        "table": [[str(cell) for cell in row] for table in tables for row in table.contents()],
        "headings": [column.heading() for table in tables for column in table.columns()],
        "rose": [
            {
                "true_north": item.northMode() == QgsLayoutItemPicture.TrueNorth,
                "linked": item.linkedMap() is not None,
                "turned": item.pictureRotation(),
                "missing": item.isMissingImage(),
            }
            for item in roses
        ],
        "maps": {item.id(): describe_map(item) for item in maps},
        "numbers": list_numbers(layout),
        "bars": [{"linked": item.linkedMap() is not None, "segment": item.unitsPerSegment()} for item in bars],
        "legend": [node.name() for item in legends for node in item.model().rootGroup().findLayers()],
    }


def check(path: str, folder: Path) -> dict[str, Any]:
    errors: list[str] = []
    log = QgsApplication.messageLog()
    log.messageReceived.connect(lambda text, tag, level: errors.append(f"{tag}: {text}") if level != Qgis.Info else None)
    project = QgsProject.instance()
    read = project.read(path)
    root = project.layerTreeRoot()
    extent = project.viewSettings().defaultViewExtent()
    visible = [layer for layer in root.layerOrder() if root.findLayer(layer.id()).isVisible()]
    image = draw(project, visible, extent)
    image.save(str(folder / "map.png"))
    layouts = project.layoutManager().printLayouts()
    time = project.timeSettings().temporalRange()
    alerts = project.mapLayer("minewatch_alerts")
    seen = {
        "read": read,
        "version": Qgis.QGIS_VERSION,
        "title": project.title(),
        "crs": project.crs().authid(),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
        "period": [time.begin().date().toString(Qt.ISODate), time.end().date().toString(Qt.ISODate)],
        "groups": [group.name() for group in root.findGroups(True)],
        "drawn": [layer.id() for layer in root.layerOrder()],
        "layers": {key: describe_layer(project, layer, extent) for key, layer in project.mapLayers().items()},
        "pixels": count_pixels(image),
        "temporal": alerts.temporalProperties().isActive() and alerts.temporalProperties().startField(),
        "editable": [f.name() for i, f in enumerate(alerts.fields()) if not alerts.editFormConfig().readOnly(i)],
        "layouts": {layout.name(): describe_layout(layout, folder) for layout in layouts},
    }
    return seen | {"errors": [error for error in errors if not any(word in error for word in QUIET)]}


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    seen = check(sys.argv[1], Path(sys.argv[2]))
    QgsProject.instance().clear()
    application.exitQgis()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
