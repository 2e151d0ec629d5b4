"""Writes the formats of maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from minewatch.alerts.columns import ALERT_COLUMNS, AOIS, LAYER
from minewatch.alerts.geopackage import updating
from minewatch.alerts.style import install_styles
from minewatch.core.errors import MinewatchError
from minewatch.products.export.columns import NAMES, clean_text, column_data

LONLAT = "EPSG:4326"


def write_with_gdal(alerts: gpd.GeoDataFrame, path: Path, driver: str, **options: Any) -> None:
    """Write all columns through GDAL; cells without a value stay without one."""
    cells = [column_data(alerts, column) for column in ALERT_COLUMNS]
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(alerts.geometry.to_numpy()),
        field_data=[data for data, _ in cells],
        field_mask=[missing for _, missing in cells],
        fields=list(NAMES),
        layer=LAYER,
        driver=driver,
        geometry_type="MultiPolygon",
        crs=LONLAT,
        **options,
    )


def write_geopackage(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write a GeoPackage that QGIS opens with the style of the workspace's own table."""
    write_with_gdal(alerts, path, "GPKG", dataset_options={"VERSION": "1.2"})
    with updating(path) as connection:
        install_styles(connection)
        connection.execute("DELETE FROM layer_styles WHERE f_table_name = ?", (AOIS,))


def write_geojson(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write GeoJSON as RFC 7946 has it: WGS 84, outer rings counterclockwise, cut at 180°, seven digits."""
    write_with_gdal(alerts, path, "GeoJSON", RFC7946="YES", COORDINATE_PRECISION="7")


def write_flatgeobuf(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write FlatGeobuf, which programs read in parts over the network."""
    write_with_gdal(alerts, path, "FlatGeobuf")


def write_parquet(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write GeoParquet; raises MinewatchError where the package for it is missing."""
    table = pd.DataFrame({column.name: _to_arrow(alerts, column.name, column.dtype) for column in ALERT_COLUMNS})
    try:
        gpd.GeoDataFrame(table, geometry=alerts.geometry.to_numpy(), crs=LONLAT).to_parquet(path)
    except ImportError as error:
        raise MinewatchError("parquet needs the extra 'parquet': pip install 'minewatch[parquet]'") from error


def _to_arrow(alerts: gpd.GeoDataFrame, name: str, dtype: str) -> Any:
    """Return a column so that its type is the same in every file: a date without a time, text also where all is empty."""
    values = alerts[name]
    if dtype == "object":
        return pd.array([clean_text(str(value)) for value in values.fillna("")], dtype="str")
    if dtype == "datetime64[D]":
        return np.array([None if pd.isna(value) else value.date() for value in values], object)
    return values.to_numpy().astype(dtype)
