"""The layers and columns of alerts.gpkg: the one place that names them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

LAYER = "alerts"
AOIS = "aois"
HISTORY = "alert_history"
RUNS = "runs"
"""The layers; the last two have no geometry."""


@dataclass(frozen=True)
class Column:
    """A column of a layer."""

    name: str
    """In the file."""

    dtype: str
    """numpy's name: object is text, datetime64[D] a DATE."""

    alias: str
    """What QGIS shows, and what the help says."""


ALERT_COLUMNS = (
    Column("alert_id", "object", "Alert"),
    Column("aoi", "object", "Area of interest"),
    Column("status", "object", "Status"),
    Column("first_seen", "datetime64[D]", "First seen"),
    Column("area_ha", "float64", "Area (ha)"),
    Column("lat", "float64", "Latitude"),
    Column("lon", "float64", "Longitude"),
    Column("confirmed_on", "datetime64[D]", "Confirmed on"),
    Column("last_seen", "datetime64[D]", "Last seen"),
    Column("ndvi_change", "float64", "NDVI change"),
    Column("bsi_change", "float64", "Bare-soil change"),
    Column("looks", "int32", "Clear looks"),
    Column("last_normal", "datetime64[D]", "Last normal look before"),
    Column("closed_on", "datetime64[D]", "Green again on (or merged)"),
    Column("split_on", "datetime64[D]", "Split off on"),
    Column("scene_before", "object", "Scene of the last normal look"),
    Column("scene_after", "object", "Scene after"),
    Column("merged_into", "object", "Merged into"),
    Column("split_from", "object", "Split from"),
    Column("pipeline", "object", "Pipeline"),
    Column("as_of", "datetime64[D]", "As of"),
    Column("run_id", "object", "Scan"),
    Column("review", "object", "Review"),
    Column("review_note", "object", "Review note"),
    Column("reviewed_by", "object", "Reviewed by"),
    Column("legal_status", "object", "Legal status"),
    Column("concession", "object", "Concession"),
    Column("concession_ha", "float64", "In concessions (ha)"),
    Column("concession_pct", "float64", "In concessions (%)"),
    Column("protected_area", "object", "Protected area"),
    Column("protected_ha", "float64", "In protected areas (ha)"),
    Column("protected_pct", "float64", "In protected areas (%)"),
    Column("territory", "object", "Indigenous territory"),
    Column("territory_ha", "float64", "In indigenous territories (ha)"),
    Column("territory_pct", "float64", "In indigenous territories (%)"),
    Column("admin_unit", "object", "Administrative unit"),
    Column("river_m", "float64", "Nearest river (m)"),
    Column("road_m", "float64", "Nearest road (m)"),
    Column("airstrip_m", "float64", "Nearest airstrip (m)"),
    Column("settlement_m", "float64", "Nearest settlement (m)"),
    Column("witnesses", "object", "Seen by others"),
    Column("legal_reason", "object", "Why the legal status is unknown"),
    Column("legal_basis", "object", "What the legal status rests on (JSON)"),
    Column("decided_at", "object", "Decided at (UTC)"),
    Column("found_at", "object", "Edit found at (UTC)"),
    Column("made_after", "object", "Edit made after (UTC)"),
    Column("effective", "datetime64[D]", "Review acts from"),
    Column("mine_score", "float64", "Likeness to a mine (0 to 1)"),
    Column("mine_reasons", "object", "Likeness in words"),
    Column("mine_basis", "object", "What the likeness rests on (JSON)"),
    Column("mine_model", "object", "Weights of the likeness"),
    Column("witness_first", "datetime64[D]", "First seen by others on"),
    Column("witness_lead", "float64", "Days that others were earlier"),
    Column("witness_basis", "object", "What others saw (JSON)"),
)
"""Layer ``alerts``, MultiPolygon; the one order of columns, also of alerts.csv and of every export."""

REVIEW_COLUMNS = ("review", "review_note", "reviewed_by")
"""What people edit; a scan never changes a review."""

DECISION_COLUMNS = ("decided_at", "found_at", "made_after", "effective")
"""When the review was made, and from which date it acts."""

AOI_COLUMNS = (
    Column("aoi", "object", "Area of interest"),
    Column("monitor_from", "datetime64[D]", "Monitored from"),
    Column("as_of", "datetime64[D]", "As of"),
    Column("pipeline", "object", "Pipeline"),
    Column("digest", "object", "Pipeline digest"),
    Column("area_km2", "float64", "Area (km²)"),
    Column("share_unseen", "float64", "Share without a clear look"),
    Column("last_clear", "datetime64[D]", "Last clear look"),
    Column("share_lasting", "float64", "Share of clearings of 60 days that would be confirmed"),
    Column("blind_from", "datetime64[D]", "Blind to those from"),
    Column("blind_to", "datetime64[D]", "Blind to those until"),
    Column("share_blind", "float64", "Share of those not confirmed"),
    Column("why_unseen", "object", "Why not seen"),
    Column("scenes_refused", "int32", "Scenes refused"),
    Column("scenes_unreadable", "int32", "Scenes not readable"),
    Column("skipped_reason", "object", "Why the first of these"),
    Column("budget", "float64", "Budget (bytes)"),
    Column("left_unread", "int32", "Looks not read: budget"),
    Column("run_id", "object", "Scan"),
)
"""Layer ``aois``, MultiPolygon: what the table says of each area, and as of when."""

HISTORY_COLUMNS = (
    Column("run_id", "object", "Scan"),
    Column("alert_id", "object", "Alert"),
    Column("event", "object", "Event"),
    Column("detail", "object", "Detail"),
    Column("as_of", "datetime64[D]", "As of"),
    Column("former_id", "object", "Id before"),
    Column("from_status", "object", "Status before"),
    Column("to_status", "object", "Status after"),
    Column("merged_into", "object", "Merged into"),
    Column("gained_ha", "float64", "Grown by (ha)"),
    Column("area_ha", "float64", "Grown to (ha)"),
    Column("what_if", "int32", "What-if"),
    Column("review", "object", "Review"),
    Column("by", "object", "Reviewed by"),
    Column("reason", "object", "Reason of the dismissal"),
    Column("note", "object", "Review note"),
    Column("decided_at", "object", "Decided at (UTC)"),
    Column("found_at", "object", "Edit found at (UTC)"),
    Column("made_after", "object", "Edit made after (UTC)"),
)
"""Layer ``alert_history``: a record of what each scan changed."""

RUN_COLUMNS = (
    Column("run_id", "object", "Scan"),
    Column("started", "object", "Started (UTC)"),
    Column("version", "object", "minewatch"),
    Column("aois", "object", "Areas"),
    Column("what_if", "int32", "What-if"),
    Column("alerts_new", "int32", "New alerts"),
    Column("scenes_used", "int32", "Scenes used"),
    Column("scenes_skipped", "int32", "Scenes skipped"),
)
"""Layer ``runs``: a record of the scans."""

GEOMETRY = "geom"
"""The column with the outlines."""

KEY = "fid"
"""The column that numbers the rows of every layer; QGIS knows it by this name."""

LAYERS = {LAYER: ALERT_COLUMNS, AOIS: AOI_COLUMNS, HISTORY: HISTORY_COLUMNS, RUNS: RUN_COLUMNS}
"""Every layer with its columns."""

SPATIAL = (LAYER, AOIS)
"""The layers with a geometry."""

SHOWN = "minewatch_shown"
"""A table, not a layer, with the review columns of each alert as last written here, so that edits are recognised."""

CHECKED = "checked_at"
"""Its column with the time, UTC, at which a row was last known to show these reviews: edits found later were made after it."""

Value = str | float | int | dt.date | None
"""What a column can hold."""
