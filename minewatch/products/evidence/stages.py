"""The outlines of alerts as of earlier days, as their evidence has them: of the confirming look, and of each growth."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from minewatch.core.errors import AlertsError, EvidenceError
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.lookup import find_evidence, list_addenda
from minewatch.products.evidence.manifest import AFTER, ALERT, MANIFEST

FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, shapely.GEOSException)
"""What reading a folder raises that is damaged, or of another version; ``minewatch verify`` says what is wrong with it."""


@dataclass(frozen=True)
class OutlineStage:
    """The outline of an alert as of a day."""

    day: dt.date
    """The look that it is as of, or the as-of date of the table."""

    outline: BaseGeometry
    """Degrees."""

    area_ha: float
    """Its hectares."""


def find_stages(workspace: Workspace, alert_id: str) -> list[OutlineStage]:
    """Return the outlines on file of an alert, by day; [] where it has no evidence that says of which day they are."""
    try:
        folder = find_evidence(workspace, alert_id)
        growth = list_addenda(folder)
    except (EvidenceError, AlertsError, OSError):
        return []
    stages = [stage for place in (folder, *growth) if (stage := read_stage(place))]
    return sorted(stages, key=lambda stage: stage.day)


def read_stage(folder: Path) -> OutlineStage | None:
    """Return the outline in a folder; None where it is damaged, or of format 1, whose outlines are of another day."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if int(manifest["format"]) == 1:
            return None
        (feature,) = json.loads((folder / ALERT).read_bytes())["features"]
        outline, area = shape(feature["geometry"]), float(feature["properties"]["area_ha"])
        return OutlineStage(read_day_of(manifest["images"][AFTER]), outline, area)
    except FAULTS:
        return None


def read_day_of(image: Mapping[str, Any]) -> dt.date:
    """Return the day of an image that a manifest describes; raises one of FAULTS where it has none."""
    return dt.datetime.fromisoformat(image["acquired"]).date()


def choose_stage(stages: Sequence[OutlineStage], now: OutlineStage, day: dt.date) -> OutlineStage:
    """Return the latest outline up to a day; where none is known from then, that of the table (``now``)."""
    if day >= now.day:
        return now
    return max((stage for stage in stages if stage.day <= day), key=lambda stage: stage.day, default=now)
