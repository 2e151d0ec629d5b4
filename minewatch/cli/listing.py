"""How alerts are listed."""

from __future__ import annotations

from typing import Any

import geopandas as gpd

from minewatch.alerts.table import plain_cell
from minewatch.cli.output import print_table


def print_alerts(alerts: gpd.GeoDataFrame) -> None:
    """Print the table of area, date and position."""
    rows = [
        (
            row["alert_id"],
            row["status"],
            plain_cell(row["first_seen"]),
            plain_cell(row["confirmed_on"]),
            float(row["area_ha"]),
            f"{row['lat']:.5f}",
            f"{row['lon']:.5f}",
            f"{row['ndvi_change']:+.2f}",
            f"{row['bsi_change']:+.2f}",
            row["review"],
        )
        for row in alerts.to_dict("records")
    ]
    print_table(("alert", "status", "first seen", "confirmed", "ha", "lat", "lon", "NDVI", "BSI", "review"), rows)


def describe_alerts(alerts: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """Give alerts as plain data, without their outlines."""
    return [{name: plain_cell(row[name]) for name in alerts.columns if name != "geometry"} for row in alerts.to_dict("records")]
