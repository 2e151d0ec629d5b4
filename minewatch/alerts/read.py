"""Reads the alerts table."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
from pyogrio.errors import DataLayerError, DataSourceError

from minewatch.alerts.columns import ALERT_COLUMNS, DECISION_COLUMNS, LAYER
from minewatch.alerts.database import require_table
from minewatch.alerts.rows import list_pending_edits, read_areas
from minewatch.core.errors import AlertsError
from minewatch.core.text import find_nearest, join_some, strip_controls
from minewatch.core.workspace import Workspace, find_workspace


def read_alerts(place: Workspace | Path | str) -> gpd.GeoDataFrame:
    """Return the alerts of a workspace, of its folder, or of a table file: one row an alert, ordered by area and id.

    Texts are without control characters: people edit them in the table, and registers of strangers have named the layers.
    Raises AlertsError where there is no table yet, WorkspaceError where a folder is no workspace.
    """
    path = place.alerts if isinstance(place, Workspace) else Path(place)
    if path.is_dir():
        path = find_workspace(path).alerts
    require_table(path)
    try:
        frame = gpd.read_file(path, layer=LAYER)
    except (DataSourceError, DataLayerError) as error:
        raise AlertsError(f"{path} is no alerts table: it has no layer {LAYER!r}; move it away and scan again") from error
    for column in ALERT_COLUMNS:
        if column.name not in frame:  # an older version's, which no scan has upgraded yet
            frame[column.name] = "" if column.dtype == "object" else float("nan")
    pending = frame["alert_id"].isin(list_pending_edits(path))
    for name in DECISION_COLUMNS:  # of the review before an edit that the next scan takes in
        frame[name] = frame[name].mask(pending)
    for name in frame.columns[frame.dtypes.astype(str).isin(["object", "str", "string"])]:
        frame[name] = [strip_controls(str(cell)) for cell in frame[name].fillna("")]
    return frame.sort_values(["aoi", "alert_id"], ignore_index=True)


def choose_area(workspace: Workspace, area: str | None = None) -> str:
    """Return the area to score: the one named, else the only one of the table; raises AlertsError where that is none."""
    require_table(workspace.alerts)
    areas = read_areas(workspace.alerts)
    chosen = [area] if area else list(areas)
    if len(chosen) != 1 or chosen[0] not in areas:
        near = find_nearest(area or "", areas)
        advice = f"; did you mean {near!r}?" if near else ""
        raise AlertsError(f"name one of the areas in the table: {join_some(list(areas))}{advice}")
    return chosen[0]
