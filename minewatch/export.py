"""Hands the alerts over in the formats that people's programs read."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from minewatch.alerts.columns import ALERT_COLUMNS, LAYER
from minewatch.alerts.table import render_csv, safe_cell
from minewatch.errors import AlertsError, MinewatchError
from minewatch.files import publishing


def _write_vector(driver: str, **options: str) -> Callable[[gpd.GeoDataFrame, Path], None]:
    def write(alerts: gpd.GeoDataFrame, path: Path) -> None:
        path.unlink()
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb(alerts.geometry.to_numpy()),
            field_data=[alerts[column.name].to_numpy().astype(column.dtype) for column in ALERT_COLUMNS],
            fields=[column.name for column in ALERT_COLUMNS],
            layer=LAYER,
            driver=driver,
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
            **options,
        )

    return write


def _write_csv(alerts: gpd.GeoDataFrame, path: Path) -> None:
    path.write_text(render_csv(alerts), "utf-8")


def _write_xlsx(alerts: gpd.GeoDataFrame, path: Path) -> None:
    path.unlink()
    rows = alerts.drop(columns="geometry")
    table = pd.DataFrame({name: [safe_cell(value) for value in rows[name]] for name in rows.columns})
    pyogrio.write_dataframe(table, path, driver="XLSX", layer=LAYER)


def _write_kml(alerts: gpd.GeoDataFrame, path: Path) -> None:
    path.unlink()
    text = [
        html.escape(f"{row.status}, {row.area_ha:.2f} ha, first seen {row.first_seen:%Y-%m-%d}") for row in alerts.itertuples()
    ]
    named = gpd.GeoDataFrame(
        {"Name": alerts["alert_id"], "Description": np.array(text, object)}, geometry=alerts.geometry.to_numpy(), crs=alerts.crs
    )
    pyogrio.write_dataframe(named, path, driver="KML", layer=LAYER)


def _write_parquet(alerts: gpd.GeoDataFrame, path: Path) -> None:
    try:
        alerts.to_parquet(path)
    except ImportError as error:
        raise MinewatchError("parquet needs the extra 'parquet': pip install 'minewatch[parquet]'") from error


FORMATS: Mapping[str, Callable[[gpd.GeoDataFrame, Path], None]] = {
    "gpkg": _write_vector("GPKG", VERSION="1.2"),
    "csv": _write_csv,
    "xlsx": _write_xlsx,
    "geojson": _write_vector("GeoJSON", RFC7946="YES"),
    "kml": _write_kml,
    "parquet": _write_parquet,
}
"""File ending to writer; a writer gets the table and a path where an empty file stands."""


def export_alerts(alerts: gpd.GeoDataFrame, folder: Path, formats: tuple[str, ...]) -> list[Path]:
    """Write the alerts in each format; each file appears whole.

    Raises AlertsError for a format that is not known, before anything is written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise AlertsError(f"unknown format {unknown[0]!r}; known: {', '.join(FORMATS)}")
    paths = []
    for name in formats:
        path = folder / f"alerts.{name}"
        with publishing(path) as temporary:
            FORMATS[name](alerts, temporary)
        paths.append(path)
    return paths
