"""Scores of alerts beside places of which it is known what they are.

TRUTH is a map file with points or polygons: the layer ``sites`` of a truth of ``validate`` (whose layer ``ignore`` is heeded),
else its only layer.  A column ``mine`` (0 or 1) or ``kind`` (mining, or anything else) says what a place is; without them all
places are mines.  A column ``onset`` or ``date`` says since when.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from pyproj.exceptions import ProjError

from minewatch.alerts.context.cells import read_date, read_text
from minewatch.alerts.read import choose_area, read_alerts
from minewatch.core.errors import AlertsError, MinewatchError
from minewatch.core.map_file import check_map_file, list_map_layers
from minewatch.core.text import count_of, show
from minewatch.core.workspace import Workspace
from minewatch.likeness.evaluation import Evaluation, evaluate, list_mistakes, name_sizes
from minewatch.likeness.figures import Scored

NEAR_M = {"Point": 100.0, "Polygon": 20.0}
"""How near to a place an alert lies at most, by its kind of shape: a point has no extent."""

SITES, IGNORE = "sites", "ignore"
"""Layers of a truth of ``validate``."""

COLUMNS = ("mine", "kind", "onset", "date")
"""That are read, in capitals too."""

YES, NO = ("1", "true", "yes"), ("0", "false", "no")
"""What may stand in the column ``mine``."""

IGNORED = 0.5
"""Share of an alert on ignored ground from which on it is left out."""


def evaluate_alerts(workspace: Workspace, truth: Path, area: str | None = None) -> Evaluation:
    """Return how good the scores in the table are beside known places.

    An alert belongs to a place that it touches or lies near (20 m to a polygon, 100 m to a point), if it was last seen on the
    place's date or later.  It counts as a mine if one of its places is one; alerts without a place count as none.

    Raises MinewatchError where the truth cannot be used, or no alert has a score.
    """
    alerts = _read_scored(workspace, area)
    sites, ignored = _read_truth(truth)
    metric = alerts.estimate_utm_crs()
    alerts, sites = alerts.to_crs(metric), _place(sites, metric, truth)
    if ignored is not None:
        alerts = _leave_out(alerts, _place(ignored, metric, truth))
    if alerts.empty:
        raise AlertsError(f"all scored alerts lie on ground that {truth.name} ignores")
    mine, ground = _judge(alerts, sites, truth)
    scored = Scored(alerts["mine_score"].to_numpy(float), mine, alerts["aoi"].to_numpy().astype(str))
    groups = {"source": scored.source, "ground": ground, "size": name_sizes(alerts["area_ha"].to_numpy(float))}
    mistakes = list_mistakes(scored, ground, lambda n: str(alerts["alert_id"].iloc[n]))
    beside = f"{count_of(len(sites), 'place')} of {truth.name}"
    notes = [f"{len(mine)} scored alerts beside {beside}; an alert without a place counts as no mine"]
    versions = sorted({str(one) for one in alerts.get("mine_model", pd.Series(dtype=str)).dropna() if one})
    return evaluate(truth.name, ", ".join(versions) or "unknown", notes, scored, groups, mistakes)


def _read_scored(workspace: Workspace, area: str | None) -> gpd.GeoDataFrame:
    alerts = read_alerts(workspace)
    if area is not None:
        alerts = alerts[alerts["aoi"] == choose_area(workspace, area)]
    scores = alerts["mine_score"] if "mine_score" in alerts else pd.Series(float("nan"), index=alerts.index)
    alerts = alerts[pd.to_numeric(scores, errors="coerce").notna()].reset_index(drop=True)
    if alerts.empty:
        raise AlertsError(f"no alert{f' of {area}' if area else ''} has a score; minewatch scan scores confirmed alerts")
    return alerts


def _read_truth(path: Path) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame | None]:
    """Return places and ignored ground."""
    if not path.exists():
        raise MinewatchError(f"{path} does not exist")
    check_map_file(path)
    try:
        layers = [name for name, kind in list_map_layers(path).items() if kind]
        chosen = SITES if SITES in layers else layers[0] if len(layers) == 1 else ""
        if not layers:
            raise MinewatchError(f"{path} has no layer of points or polygons; give a GeoPackage or GeoJSON that has one")
        if not chosen:
            raise MinewatchError(f"{path} has the layers {', '.join(layers)}; call the one with the places {SITES!r}")
        sites = gpd.read_file(path, layer=chosen)
        ignored = gpd.read_file(path, layer=IGNORE) if IGNORE in layers else None
    except (DataSourceError, DataLayerError, OSError) as error:
        raise MinewatchError(f"{path} cannot be read as a map; give a GeoPackage or GeoJSON of points or polygons") from error
    named = {name: str(name).lower() for name in sites.columns if str(name).lower() in COLUMNS and name not in COLUMNS}
    sites = sites.rename(columns={name: own for name, own in named.items() if own not in sites})
    sites = sites[~(sites.geometry.isna() | sites.geometry.is_empty)].reset_index(drop=True)
    if sites.empty or sites.crs is None:
        raise MinewatchError(
            f"{path} has no {'place' if sites.empty else 'coordinate reference system'}: nothing can be compared"
        )
    return sites, ignored if ignored is not None and len(ignored) and ignored.crs is not None else None


def _place(places: gpd.GeoDataFrame, metric: CRS, path: Path) -> gpd.GeoDataFrame:
    """Return valid shapes in a reference system in metres, without those that are nowhere near the places that it is for."""
    try:
        placed = places.to_crs(metric)
    except (ProjError, RuntimeError) as error:
        raise MinewatchError(f"{path}: its reference system cannot be placed on Earth; save it in EPSG:4326") from error
    near = placed[np.isfinite(placed.bounds).all(axis=1)].reset_index(drop=True)
    return near.set_geometry(near.make_valid())


def _leave_out(alerts: gpd.GeoDataFrame, ignored: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the alerts of which less than half lies on ignored ground."""
    share = alerts.intersection(ignored.union_all()).area / alerts.area
    return alerts[share < IGNORED].reset_index(drop=True)


def _judge(alerts: gpd.GeoDataFrame, sites: gpd.GeoDataFrame, path: Path) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
    """Return of each alert whether it is a mine, and what the truth calls it."""
    near = sites.geometry.buffer([NEAR_M["Point" if "Point" in kind else "Polygon"] for kind in sites.geom_type])
    since, is_mine = [_read_date(row, path) for _, row in sites.iterrows()], [_is_mine(row, path) for _, row in sites.iterrows()]
    kinds = sites["kind"].astype(str) if "kind" in sites else pd.Series("other place", index=sites.index)
    mine, ground = np.zeros(len(alerts), bool), np.full(len(alerts), "no place", object)
    seen = [pd.Timestamp(day).date() for day in alerts["last_seen"]]
    for alert, site in zip(*near.sindex.query(alerts.geometry, predicate="intersects").tolist(), strict=True):
        began = since[site]
        if (began is not None and seen[alert] < began) or mine[alert]:
            continue
        mine[alert] = is_mine[site]
        ground[alert] = "mine" if is_mine[site] else kinds[site]
    return mine, ground.astype(str)


def _is_mine(row: Any, path: Path) -> bool:
    if "mine" in row:
        said = read_text(row["mine"]).lower()
        if said not in (*YES, *NO):
            raise AlertsError(f"{path}: a place has {show(said) or 'nothing'} as mine; give 1 where it is one and 0 where not")
        return said in YES
    return "kind" not in row or str(row["kind"]).strip().lower() in ("mining", "mine")


def _read_date(row: Any, path: Path) -> dt.date | None:
    """Return since when a place is what it is; None where that is not known.  Raises AlertsError where it is no date."""
    for name in ("onset", "date"):
        if name in row and not pd.isna(row[name]) and (text := read_text(row[name])):
            day = read_date(text)
            if day is None:
                raise AlertsError(
                    f"{path}: a place has {show(text)} as {name}, which is no date; write year, month and day: 2024-01-31"
                )
            return day
    return None
