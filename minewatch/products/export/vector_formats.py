"""Writes GeoPackage, GeoJSON, FlatGeobuf and GeoParquet."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from minewatch.alerts.columns import ALERT_COLUMNS, AOIS, LAYER, Column
from minewatch.alerts.csv_file import EXPORT_COLUMNS
from minewatch.alerts.geopackage import updating
from minewatch.alerts.layer_metadata import TITLES, describe_layer
from minewatch.alerts.style import install_styles
from minewatch.core.errors import MinewatchError
from minewatch.products.export.columns import clean_text, column_data
from minewatch.products.export.options import ExportOptions

LONLAT = "EPSG:4326"

_FEATURE_ID = "feature_id"
"""Name of the field that becomes the id of a GeoJSON feature; GDAL takes it out of the properties."""


def write_with_gdal(
    alerts: gpd.GeoDataFrame, path: Path, driver: str, columns: Mapping[str, Column] = EXPORT_COLUMNS, **options: Any
) -> None:
    """Write all columns with GDAL; missing values stay missing."""
    cells = [column_data(alerts, column) for column in columns.values()]
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(alerts.geometry.to_numpy()),
        field_data=[data for data, _ in cells],
        field_mask=[missing for _, missing in cells],
        fields=list(columns),
        layer=LAYER,
        driver=driver,
        geometry_type="MultiPolygon",
        crs=LONLAT,
        **options,
    )


def write_geopackage(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write a GeoPackage that QGIS opens with the style of the workspace's own table."""
    write_with_gdal(alerts, path, "GPKG", dataset_options={"VERSION": "1.2"})
    with updating(path) as connection:
        install_styles(connection)
        connection.execute("DELETE FROM layer_styles WHERE f_table_name = ?", (AOIS,))
        describe_layer(connection, LAYER, options.credits)


def write_geojson(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write GeoJSON as RFC 7946 has it: WGS 84, outer rings counterclockwise, cut at 180°, seven digits.

    Each feature's id is that of its alert; the credits are the collection's member ``description``, which GDAL reads too.
    """
    columns = {_FEATURE_ID: EXPORT_COLUMNS["alert_id"], **EXPORT_COLUMNS}
    layout = {"RFC7946": "YES", "COORDINATE_PRECISION": "7", "ID_FIELD": _FEATURE_ID, "ID_TYPE": "String"}
    write_with_gdal(alerts, path, "GeoJSON", columns, DESCRIPTION=clean_text(options.credits.text), **layout)


def write_flatgeobuf(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write FlatGeobuf, which programs read in parts over the network."""
    write_with_gdal(alerts, path, "FlatGeobuf", TITLE=TITLES[LAYER], DESCRIPTION=clean_text(options.credits.text))


def write_parquet(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write GeoParquet, with the credits in the file's metadata; raises MinewatchError where the package is missing."""
    table = pd.DataFrame({column.name: _to_arrow(alerts, column.name, column.dtype) for column in ALERT_COLUMNS})
    try:
        gpd.GeoDataFrame(table, geometry=alerts.geometry.to_numpy(), crs=LONLAT).to_parquet(path)
        _add_parquet_metadata(path, {"credit": options.credits.text, "license": " ".join(options.credits.licenses)})
    except ImportError as error:
        raise MinewatchError("parquet needs the extra 'parquet': pip install 'minewatch[parquet]'") from error


def _add_parquet_metadata(path: Path, facts: Mapping[str, str]) -> None:
    """Add keys to the metadata of a Parquet file; geopandas has no way to."""
    parquet = importlib.import_module("pyarrow.parquet")
    table = parquet.read_table(path)
    known = table.schema.metadata | {key.encode(): text.encode() for key, text in facts.items()}
    parquet.write_table(table.replace_schema_metadata(known), path)


def _to_arrow(alerts: gpd.GeoDataFrame, name: str, dtype: str) -> Any:
    """Return a column with the same type in every file: dates without a time, texts also where all are empty."""
    values = alerts[name]
    if dtype == "object":
        return pd.array([clean_text(str(value)) for value in values.fillna("")], dtype="str")
    if dtype == "datetime64[D]":
        return np.array([None if pd.isna(value) else value.date() for value in values], object)
    return values.to_numpy().astype(dtype)
