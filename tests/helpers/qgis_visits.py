"""Open a field package as QField does and print, as JSON, its form.

    QT_QPA_PLATFORM=offscreen python3 qgis_visits.py field.qgz

Keys: `editable` (layers with features, by name), `widgets` (by column of the visits), `choices` of the lists, `needed` columns.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from qgis.core import QgsApplication, QgsFieldConstraints, QgsMapLayer, QgsProject


def describe(path: str) -> dict[str, Any]:
    project = QgsProject.instance()
    project.read(path)
    layers = {layer.name(): layer for layer in project.mapLayers().values() if layer.type() == QgsMapLayer.VectorLayer}
    visits = layers["Visits"]
    columns = [(index, field.name()) for index, field in enumerate(visits.fields()) if field.name() != "fid"]
    setups = {name: visits.editorWidgetSetup(index) for index, name in columns}
    needed = [name for index, name in columns if visits.fieldConstraints(index) & QgsFieldConstraints.ConstraintNotNull]
    return {
        "editable": {name: not layer.readOnly() for name, layer in layers.items()},
        "widgets": {name: setup.type() for name, setup in setups.items()},
        "choices": {
            name: [value for entry in setup.config()["map"] for value in entry.values()]
            for name, setup in setups.items()
            if "map" in setup.config()
        },
        "needed": needed,
    }


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    seen = describe(sys.argv[1])
    QgsProject.instance().clear()
    application.exitQgis()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
