"""The view ``alert_titles`` of the alerts table: one row for each alert and title, for people who open the file in QGIS.

It holds nothing of its own: everything is in the cell ``legal_basis`` of the alert, and SQLite takes it apart when asked.
"""

from __future__ import annotations

import sqlite3

from minewatch.alerts.columns import KEY, LAYER

VIEW = "alert_titles"

_MOST = 10_000
"""Titles of one alert; only for numbering the rows."""

_SQL = f"""CREATE VIEW {VIEW} AS SELECT
    CAST(a."{KEY}" * {_MOST} + t.key AS INTEGER) AS OGC_FID,
    a.alert_id AS alert_id,
    a.aoi AS aoi,
    a.legal_status AS legal_status,
    a.legal_reason AS legal_reason,
    CAST(json_extract(t.value, '$.name') AS TEXT) AS title,
    CAST(json_extract(t.value, '$.id') AS TEXT) AS title_id,
    CAST(coalesce(json_extract(t.value, '$.standing'), 'title') AS TEXT) AS standing,
    CAST(json_extract(t.value, '$.words') AS TEXT) AS register_status,
    CAST(json_extract(t.value, '$.applied') AS TEXT) AS applied,
    CAST(json_extract(t.value, '$.valid_from') AS TEXT) AS valid_from,
    CAST(json_extract(t.value, '$.valid_to') AS TEXT) AS valid_to,
    CAST(json_extract(t.value, '$.dated') AS INTEGER) AS dated,
    CAST(json_extract(t.value, '$.hectares') AS REAL) AS hectares,
    CAST(json_extract(t.value, '$.per_cent') AS REAL) AS per_cent,
    CAST(json_extract(t.value, '$.decides') AS INTEGER) AS decides,
    CAST(json_extract(t.value, '$.layer') AS TEXT) AS layer,
    CAST(json_extract(l.value, '$.as_of') AS TEXT) AS as_of,
    CAST(json_extract(l.value, '$.files[0].file') AS TEXT) AS file,
    CAST(json_extract(l.value, '$.files[0].modified') AS TEXT) AS file_modified,
    CAST(json_extract(l.value, '$.files[0].sha256') AS TEXT) AS file_sha256
FROM {LAYER} a
JOIN json_each(CASE WHEN json_valid(a.legal_basis) THEN a.legal_basis ELSE '{{}}' END, '$.titles') t
JOIN json_each(CASE WHEN json_valid(a.legal_basis) THEN a.legal_basis ELSE '{{}}' END, '$.layers') l
    ON json_extract(l.value, '$.layer') = json_extract(t.value, '$.layer')"""


def refresh_view(connection: sqlite3.Connection) -> None:
    """Make the view, or make it anew where another version made it."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?", (VIEW,)).fetchone()
    if found == (_SQL,):
        return
    connection.execute(f"DROP VIEW IF EXISTS {VIEW}")
    connection.execute(_SQL)
    connection.execute(
        "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description)"
        " VALUES (?, 'attributes', ?, 'Titles that alerts lie in')",
        (VIEW, VIEW),
    )
