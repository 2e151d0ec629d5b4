"""What an image is about: an area, or an alert with those around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd

from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import find_alert
from minewatch.areas.area_files import list_aois
from minewatch.areas.grid import Grid
from minewatch.core.errors import AlertsError, ImageError
from minewatch.core.text import find_nearest, suggest
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.stages import OutlineStage, find_stages
from minewatch.products.images.chips.image_frame import frame_outline


@dataclass(frozen=True)
class ImageSubject:
    """What an image is about."""

    name: str
    """Name of the area, or id of the alert."""

    aoi: str
    """Name of the area."""

    alerts: gpd.GeoDataFrame | None
    """The area's rows of the table; None where there is no table."""

    alert: Any = None
    """Row of the alert; None for an area."""

    notes: tuple[str, ...] = ()
    """Lines a person should read."""

    workspace: Workspace | None = None
    """Whose evidence has the outlines of earlier days; None where only those of the table are drawn."""

    _stages: dict[str, list[OutlineStage]] = field(default_factory=dict, compare=False, repr=False)
    """Alert id to the outlines on file, once they were read."""

    def find_stages(self, alert_id: str) -> list[OutlineStage]:
        """Return the outlines on file of an alert, by day."""
        if alert_id not in self._stages:
            self._stages[alert_id] = find_stages(self.workspace, alert_id) if self.workspace else []
        return self._stages[alert_id]

    def make_frame(self, grid: Grid) -> Grid:
        """Return the frame of its images, on the grid of the area."""
        return grid if self.alert is None else frame_outline(grid, self.alert.geometry)


def find_subject(workspace: Workspace, target: str) -> ImageSubject:
    """Return the area or the alert of a name; raises ImageError where there is neither."""
    table = read_alerts(workspace.alerts) if workspace.alerts.exists() else None
    if target in list_aois(workspace):
        own = None if table is None else table[table["aoi"] == target]
        return ImageSubject(target, target, own, workspace=workspace)
    if table is None:
        raise ImageError(f"there is no area {target!r} and no alert yet{suggest(target, list_aois(workspace), 'areas')}")
    try:
        name = find_alert(workspace.alerts, target)
    except AlertsError as error:
        near = find_nearest(target, [*list_aois(workspace), *table["alert_id"]])
        hint = f"did you mean {near!r}?" if near else "list them with: minewatch aoi list, minewatch alerts list"
        raise ImageError(f"there is no area and no alert {target!r}; {hint}") from error
    row = next(table[table["alert_id"] == name].itertuples())
    notes = (f"{target} is now {name}",) if name != target else ()
    return ImageSubject(name, str(row.aoi), table[table["aoi"] == row.aoi], row, notes, workspace)
