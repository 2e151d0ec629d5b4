"""The names of the export formats, and the endings of their files."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT = "geojson"
"""Name of the default format."""

ENDINGS: Mapping[str, str] = {
    "gpkg": "gpkg",
    "csv": "csv",
    "xlsx": "xlsx",
    "geojson": "geojson",
    "kml": "kml",
    "gpx": "gpx",
    "parquet": "parquet",
    "fgb": "fgb",
    "shp": "shp.zip",
}
"""Values of ``--format``, each with the ending of its file, without a dot."""
