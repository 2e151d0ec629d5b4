"""The formats by name, and how a file of one appears."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd

from minewatch.core.errors import AlertsError
from minewatch.core.files import publishing
from minewatch.products.export.kml import write_kml
from minewatch.products.export.shapefile import write_shapefile
from minewatch.products.export.spreadsheets import write_csv, write_xlsx
from minewatch.products.export.vector_formats import write_flatgeobuf, write_geojson, write_geopackage, write_parquet

DEFAULT = "geojson"
"""The format where nobody asks for another."""


@dataclass(frozen=True)
class ExportFormat:
    """A format that alerts can be exported to."""

    ending: str
    """Of the file."""

    write: Callable[[gpd.GeoDataFrame, Path], Sequence[str] | None]
    """Writes the table to a path where no file stands, and gives lines that a person should read."""


FORMATS: Mapping[str, ExportFormat] = {
    "gpkg": ExportFormat("gpkg", write_geopackage),
    "csv": ExportFormat("csv", write_csv),
    "xlsx": ExportFormat("xlsx", write_xlsx),
    "geojson": ExportFormat("geojson", write_geojson),
    "kml": ExportFormat("kml", write_kml),
    "parquet": ExportFormat("parquet", write_parquet),
    "fgb": ExportFormat("fgb", write_flatgeobuf),
    "shp": ExportFormat("shp.zip", write_shapefile),
}
"""What ``--format`` can be."""


@dataclass(frozen=True)
class Export:
    """A file that was written."""

    path: Path
    """Where."""

    notes: Sequence[str]
    """What the format cannot hold: one line each."""


def export_alerts(alerts: gpd.GeoDataFrame, folder: Path, formats: Sequence[str]) -> list[Export]:
    """Write the alerts in each format; each file appears whole.

    Raises AlertsError for a format that is not known, or none at all, before anything is written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        wrong = f"unknown format {unknown[0]!r}" if unknown else "no format is named"
        raise AlertsError(f"{wrong}; known: {', '.join(FORMATS)}")
    return [_export(alerts, folder, FORMATS[name]) for name in dict.fromkeys(formats)]


def _export(alerts: gpd.GeoDataFrame, folder: Path, wanted: ExportFormat) -> Export:
    path = folder / f"alerts.{wanted.ending}"
    with publishing(path) as temporary:
        temporary.unlink()
        notes = wanted.write(alerts, temporary)
    return Export(path, tuple(notes or ()))
