"""Edit the review of alerts as a person would in QGIS, slowly: the layer is in edit mode until a file appears.

    QT_QPA_PLATFORM=offscreen python3 qgis_edit.py alerts.gpkg FOLDER ALERT_ID=REVIEW …

Writes FOLDER/editing once the changes are made but not saved, waits for FOLDER/save, saves, and prints, as JSON, `saved`,
`errors` and `wal` (whether the file was in write-ahead mode while it was edited).  Without FOLDER/wait it does not wait.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from qgis.core import QgsApplication, QgsVectorLayer

PATIENCE = 120.0


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.05)


def edit(path: str, folder: Path, reviews: dict[str, str]) -> dict[str, Any]:
    layer = QgsVectorLayer(f"{path}|layername=alerts", "alerts", "ogr")
    assert layer.isValid()
    column, by = (layer.fields().indexOf(name) for name in ("review", "reviewed_by"))
    assert layer.startEditing()
    for feature in list(layer.getFeatures()):
        if feature["alert_id"] in reviews:
            assert layer.changeAttributeValue(feature.id(), column, reviews[feature["alert_id"]])
            assert layer.changeAttributeValue(feature.id(), by, "Rosa in QGIS")
    wal = Path(f"{path}-wal").exists()
    (folder / "editing").touch()
    if (folder / "wait").exists():
        wait_for(folder / "save")
    return {"saved": layer.commitChanges(), "errors": layer.commitErrors(), "wal": wal}


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    done = edit(sys.argv[1], Path(sys.argv[2]), dict(argument.split("=") for argument in sys.argv[3:]))
    application.exitQgis()
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
