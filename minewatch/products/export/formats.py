"""Exports alerts to files: the formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd

from minewatch.alerts.csv_file import find_metadata
from minewatch.core.errors import AlertsError
from minewatch.core.files import publish_bytes, publishing
from minewatch.products.export.endings import ENDINGS
from minewatch.products.export.gpx import write_gpx
from minewatch.products.export.kml import write_kml
from minewatch.products.export.options import ExportOptions
from minewatch.products.export.shapefile import write_shapefile
from minewatch.products.export.spreadsheets import describe_csv, write_csv, write_xlsx
from minewatch.products.export.vector_formats import write_flatgeobuf, write_geojson, write_geopackage, write_parquet


@dataclass(frozen=True)
class ExportFormat:
    """How one format is written."""

    write: Callable[[gpd.GeoDataFrame, Path, ExportOptions], Sequence[str] | None]
    """Writes the table to a path without a file, and returns lines that a person should read."""

    beside: Callable[[str, ExportOptions], bytes] | None = None
    """Of a format without room for credits: renders the file beside it, whose name ends in METADATA, from the file's name."""


FORMATS: Mapping[str, ExportFormat] = {
    "gpkg": ExportFormat(write_geopackage),
    "csv": ExportFormat(write_csv, describe_csv),
    "xlsx": ExportFormat(write_xlsx),
    "geojson": ExportFormat(write_geojson),
    "kml": ExportFormat(write_kml),
    "gpx": ExportFormat(write_gpx),
    "parquet": ExportFormat(write_parquet),
    "fgb": ExportFormat(write_flatgeobuf),
    "shp": ExportFormat(write_shapefile),
}
"""Each of ENDINGS with how it is written."""


@dataclass(frozen=True)
class Export:
    """A file that was written."""

    path: Path
    """The file."""

    notes: Sequence[str]
    """Lines on what the format cannot hold."""


def list_targets(folder: Path, formats: Sequence[str]) -> list[Path]:
    """Return the files that an export writes, without those beside them; names of no format are left to the export."""
    return [folder / f"alerts.{ENDINGS[name]}" for name in dict.fromkeys(formats) if name in ENDINGS]


def export_alerts(
    alerts: gpd.GeoDataFrame, folder: Path, formats: Sequence[str], options: ExportOptions | None = None
) -> list[Export]:
    """Write the alerts in each format; a file appears only when it is whole, and files beside it come after it.

    Raises AlertsError for an unknown format, or none, or an unknown locale, before anything is written.
    """
    options = options or ExportOptions()
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        wrong = f"unknown format {unknown[0]!r}" if unknown else "no format is named"
        raise AlertsError(f"{wrong}; known: {', '.join(FORMATS)}")
    assert options.dialect  # an unknown locale is refused before anything is written
    exports = []
    for name in dict.fromkeys(formats):
        path = folder / f"alerts.{ENDINGS[name]}"
        with publishing(path) as temporary:
            temporary.unlink()
            notes = FORMATS[name].write(alerts, temporary, options)
        exports.append(Export(path, tuple(notes or ())))
        if render := FORMATS[name].beside:
            publish_bytes(find_metadata(path), render(path.name, options))
            exports.append(Export(find_metadata(path), ()))
    return exports
