"""Scores the alerts of several areas against one file of known sites: each area with the sites that lie in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio

from minewatch.alerts.columns import AOIS
from minewatch.alerts.read import choose_area, read_alerts
from minewatch.alerts.rows import read_areas
from minewatch.alerts.validate import Scores, read_truth, summarise, validate_alerts, validate_area
from minewatch.core.errors import AlertsError
from minewatch.core.workspace import Workspace


@dataclass(frozen=True)
class Validation:
    """What came of the comparison."""

    areas: Sequence[str]
    """The areas with known sites."""

    as_of: dt.date
    """Of the oldest of their tables."""

    scores: Scores
    """Of all of them together."""

    by_area: dict[str, Scores]
    """Area to its own."""

    unplaced: int
    """Known mines that lie in none of the areas; they are not counted."""


def validate_areas(workspace: Workspace, truth: Path, names: Sequence[str] = ()) -> Validation:
    """Score the areas named, or all of the table, against the sites of a file.

    The only area of a table is held against all sites; of several each has the sites that touch its outline.  Raises
    AlertsError where an area is not in the table or no mine lies in any, MinewatchError where the file is no truth.
    """
    dates = read_areas(workspace.alerts)
    if len(dates) <= 1:
        area = choose_area(workspace, names[0] if names else None)
        scores = validate_area(workspace, truth, area)
        return Validation([area], dates[area][1], scores, {area: scores}, 0)
    chosen = [choose_area(workspace, name) for name in dict.fromkeys(names or dates)]
    alerts, sites = read_alerts(workspace), read_truth(truth)[0]
    mines = sites[sites["kind"] == "mining"]
    layer = pyogrio.read_dataframe(workspace.alerts, layer=AOIS)
    outlines = dict(zip(layer["aoi"], layer.geometry, strict=True))
    placed = mines.to_crs(layer.crs).geometry
    inside = {name: placed.intersects(outlines[name]) for name in chosen}
    found = {
        name: validate_alerts(alerts[alerts["aoi"] == name], truth, *dates[name], outlines[name])
        for name in chosen
        if inside[name].any()
    }
    if not found:
        raise AlertsError(f"no mine of {truth} lies in any of the areas: {', '.join(chosen)}")
    unplaced = int((~np.logical_or.reduce([within.to_numpy() for within in inside.values()])).sum())
    return Validation(list(found), min(dates[name][1] for name in found), summarise(list(found.values())), found, unplaced)
