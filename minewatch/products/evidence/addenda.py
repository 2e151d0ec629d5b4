"""Addenda to a folder of evidence: what an alert had grown to, without a change to anything on file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minewatch.alerts.record import Alert, AlertStage
from minewatch.alerts.replay import has_grown
from minewatch.core.errors import EvidenceError
from minewatch.products.evidence.lookup import list_addenda
from minewatch.products.evidence.manifest import ALERT, MANIFEST


@dataclass(frozen=True)
class OnFile:
    """What the latest of an alert's evidence says of it."""

    date: dt.date
    """The look that it is as of."""

    area_ha: float
    """Hectares of the alert then."""

    manifest: str
    """SHA-256 of its manifest."""

    first_manifest: str
    """SHA-256 of the manifest of the alert's first evidence."""


def takes_addenda(folder: Path) -> bool:
    """True if a folder is of a format that has addenda; one that cannot be read has none."""
    try:
        return int(json.loads((folder / MANIFEST).read_bytes())["format"]) > 1
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_latest(folder: Path) -> OnFile:
    """Read what the latest evidence of an alert says; raises EvidenceError where it cannot be read."""
    latest = [folder, *list_addenda(folder)][-1]
    try:
        (feature,) = json.loads((latest / ALERT).read_bytes())["features"]
        date, area = dt.date.fromisoformat(feature["properties"]["as_of"]), float(feature["properties"]["area_ha"])
        manifests = [hashlib.sha256((place / MANIFEST).read_bytes()).hexdigest() for place in (latest, folder)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvidenceError(f"{latest} cannot be read ({type(error).__name__}); look with: minewatch verify {folder}") from error
    return OnFile(date, area, *manifests)


def choose_stages(alert: Alert, known: OnFile) -> Sequence[AlertStage]:
    """Return the stages of growth that are not on file, in their order."""
    chosen, area = [], known.area_ha
    for stage in alert.stages:
        if stage.date > known.date and has_grown(area, stage.area_ha):
            chosen.append(stage)
            area = stage.area_ha
    return chosen
