"""Prints lists of alerts, and what external alerts agree with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd

from minewatch.alerts.context.legal_status import UNKNOWN
from minewatch.alerts.corroboration.corroboration import Corroboration
from minewatch.alerts.lifetime import find_green_again
from minewatch.alerts.table import plain_cell
from minewatch.cli.output import print_table


def print_alerts(alerts: gpd.GeoDataFrame) -> None:
    """Print a table of alerts, with the legal status where concessions are known, and what alerts were merged into."""
    is_placed = bool(set(alerts["legal_status"]) - {"", UNKNOWN})
    is_merged = bool(set(alerts["merged_into"]) - {""})
    rows = [
        (
            row["alert_id"],
            row["status"],
            plain_cell(row["last_normal"]) or "unknown",
            plain_cell(row["first_seen"]),
            plain_cell(row["confirmed_on"]),
            str(find_green_again(row) or ""),
            float(row["area_ha"]),
            f"{row['lat']:.5f}",
            f"{row['lon']:.5f}",
            f"{row['ndvi_change']:+.2f}",
            f"{row['bsi_change']:+.2f}",
            row["review"],
            *([row["legal_status"]] if is_placed else []),
            *([row["merged_into"]] if is_merged else []),
        )
        for row in alerts.to_dict("records")
    ]
    dates = ("last normal", "first seen", "confirmed", "green again")
    columns = ("alert", "status", *dates, "ha", "lat", "lon", "NDVI", "BSI", "review")
    print_table((*columns, *["legal"] * is_placed, *["merged into"] * is_merged), rows)


def describe_alerts(alerts: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """Return alerts as plain data, without their outlines."""
    return [{name: plain_cell(row[name]) for name in alerts.columns if name != "geometry"} for row in alerts.to_dict("records")]


def describe_source_file(result: Corroboration, file: Path) -> list[str]:
    """Describe what a file of external alerts contains."""
    reading = result.reading
    near = sum(map(len, reading.sightings.values()))
    if not near:
        lines = [f"none of the {reading.rows} in {file} is near an area of the table; nothing was added"]
        if reading.swapped:
            lines.append(f"{reading.swapped} would, with latitude and longitude exchanged; look at the columns")
        return lines
    dates = f"dates from {reading.date_column}" if reading.date_column else "without dates"
    lines = [
        f"{near} of {reading.rows} lie near {', '.join(reading.sightings)} ({dates})",
        f"{len(result.agreements)} of {result.alerts} alerts agree",
    ]
    return [*lines, *([] if result.added else ["all of it was known already; nothing was added"])]


def describe_corroboration(result: Corroboration, name: str) -> dict[str, Any]:
    """Return the result of adding external alerts as plain data."""
    agreements = [
        {"alert_id": alert_id, "date": str(match.seen) if match.seen else "", "distance_m": match.distance_m}
        for alert_id, match in sorted(result.agreements.items())
    ]
    near = {aoi: len(sightings) for aoi, sightings in result.reading.sightings.items()}
    return {
        "name": name,
        "rows": result.reading.rows,
        "near": near,
        "added": [source.aoi for source in result.added],
        "alerts": result.alerts,
        "agreements": agreements,
    }


def print_corroboration(result: Corroboration) -> None:
    """Print the alerts that external alerts agree with."""
    rows = [
        (alert_id, match.name, str(match.seen or ""), match.distance_m) for alert_id, match in sorted(result.agreements.items())
    ]
    print_table(("alert", "seen by", "on", "metres away"), rows)
