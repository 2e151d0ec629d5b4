"""Open layers and print, as JSON, what QGIS shows of their metadata and how many features they have.

    QT_QPA_PLATFORM=offscreen python3 qgis_rights.py SOURCE ...

Keys by source: `rights`, `features`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from qgis.core import QgsApplication, QgsVectorLayer


def describe(source: str) -> dict[str, Any]:
    """Open a layer, which is gone before QGIS ends."""
    layer = QgsVectorLayer(source, "layer", "ogr")
    assert layer.isValid(), source
    return {"rights": list(layer.metadata().rights()), "features": layer.featureCount()}


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    found = {source: describe(source) for source in sys.argv[1:]}
    application.exitQgis()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
