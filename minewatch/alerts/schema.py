"""Upgrades a table of an older version to today's columns and styles, in place."""

from __future__ import annotations

import sqlite3

from minewatch.alerts.columns import CHECKED, LAYER, LAYERS, REVIEW_COLUMNS, SHOWN
from minewatch.alerts.history import migrate_history
from minewatch.alerts.style import add_likeness_style, refresh_styles
from minewatch.alerts.titles_view import refresh_view

_SQL_TYPES = {"object": "TEXT", "datetime64[D]": "DATE", "float64": "REAL", "int32": "MEDIUMINT"}
"""numpy's names to those of GeoPackage (OGC 12-128r18, table 1)."""


def upgrade_schema(connection: sqlite3.Connection) -> None:
    """Add what an older table lacks: columns and what belongs in them, our own table, styles where nobody changed them."""
    columns = ", ".join(f"{name} TEXT NOT NULL" for name in REVIEW_COLUMNS)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {SHOWN} (fid INTEGER PRIMARY KEY, {columns}, {CHECKED} TEXT)")
    if CHECKED not in {row[1] for row in connection.execute(f"PRAGMA table_info({SHOWN})")}:
        connection.execute(f"ALTER TABLE {SHOWN} ADD COLUMN {CHECKED} TEXT")
    for layer, layer_columns in LAYERS.items():
        known = {row[1] for row in connection.execute(f'PRAGMA table_info("{layer}")')}
        if layer == LAYER and "mine_score" not in known:
            add_likeness_style(connection)
        for column in layer_columns:
            if column.name not in known:
                kind = _SQL_TYPES[column.dtype]
                connection.execute(f'ALTER TABLE "{layer}" ADD COLUMN "{column.name}" {kind}')
    migrate_history(connection)
    refresh_styles(connection)
    refresh_view(connection)
