"""Writes a field package: a ZIP that QField and QGIS open without a network, small enough for a weak signal."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from pyproj import CRS

from minewatch.alerts.columns import LAYER
from minewatch.alerts.credits import credit_alerts
from minewatch.alerts.style import render_alert_style
from minewatch.core.errors import AlertsError
from minewatch.core.files import publishing
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.products.export.gpx import write_gpx
from minewatch.products.export.options import ExportOptions
from minewatch.products.export.vector_formats import LONLAT, write_geopackage
from minewatch.products.field.background import FINEST, IMAGE, Background, gather_background
from minewatch.products.field.form import COLUMNS, VISITS, style_visits
from minewatch.products.field.mbtiles import write_mbtiles
from minewatch.products.qgis.layer_styles import style_image, translate_labels
from minewatch.products.qgis.project_file import zip_project
from minewatch.products.qgis.project_layers import ALERTS_ID, WORLD, Group, MapLayer, Project, make_id, measure_extent
from minewatch.products.report.texts import Texts, read_texts

TEXTS = Path(__file__).parent / "texts"
"""Folder of the texts of packages; those of the legend are the QGIS project's."""

PROJECT, TABLE, WAYPOINTS, READ_ME = "field.qgz", "field.gpkg", "alerts.gpx", "READ-ME.txt"
"""Files of a package, besides the pictures."""

MOST_ALERTS = 200
"""Alerts of a package; nobody visits more on a journey."""

LARGEST = 5 * 10**6
"""Bytes that a package should not exceed: the image is stored coarser until it does not, or cannot be stored coarser."""

STEPS = ((FINEST, 80), (FINEST, 60), (FINEST, 40), (FINEST - 1, 60), (FINEST - 2, 50))
"""Finest zoom and JPEG quality of the pictures, from the best."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the files in the ZIP, fixed so that the same alerts give the same package."""


@dataclass(frozen=True)
class FieldPackage:
    """A package that was written."""

    path: Path
    """The ZIP."""

    size: int
    """Its bytes."""

    notes: Sequence[str]
    """Lines that a person should read."""


def write_package(workspace: Workspace, alerts: gpd.GeoDataFrame, path: Path, language: str = "en") -> FieldPackage:
    """Write a package of some alerts of the table, in one of LANGUAGES; nothing is fetched.

    Raises AlertsError where there is no alert, or too many for a package.
    """
    if alerts.empty or len(alerts) > MOST_ALERTS:
        what = count_of(len(alerts), "alert") if len(alerts) else "no alert"
        raise AlertsError(f"{what} chosen; a package holds 1 to {MOST_ALERTS}: name their ids, or choose with --aoi, --status …")
    texts, options = read_texts(language, TEXTS), ExportOptions(credit_alerts(workspace, alerts))
    background = gather_background(workspace, alerts.to_dict("records"), texts, options.credits.text)
    notes = list(background.notes)
    with publishing(path) as temporary, tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as name:
        folder = Path(name)
        _write_table(folder / TABLE, alerts, options)
        write_gpx(alerts, folder / WAYPOINTS, options)
        (folder / READ_ME).write_text(_write_read_me(alerts, texts, options.credits.text), "utf-8")
        for zoom, quality in STEPS:
            written = _write_pictures(folder, background, zoom, quality)
            zip_project(folder / PROJECT, make_project(alerts, written, texts))
            size = _zip(temporary, folder)
            if size <= LARGEST:
                break
        if zoom < FINEST:
            notes.append(f"pictures are coarser than they could be (zoom {zoom} of {FINEST}), to stay below {LARGEST / 1e6:g} MB")
        if size > LARGEST:
            notes.append(f"the package has {size / 1e6:.1f} MB, more than {LARGEST / 1e6:g}; choose fewer alerts")
    return FieldPackage(path, size, tuple(notes))


def _write_table(path: Path, alerts: gpd.GeoDataFrame, options: ExportOptions) -> None:
    write_geopackage(alerts, path, options)
    pyogrio.raw.write(
        path,
        geometry=np.array([], object),
        field_data=[np.array([], kind) for kind in COLUMNS.values()],
        fields=list(COLUMNS),
        layer=VISITS,
        driver="GPKG",
        append=True,
        geometry_type="Point",
        crs=LONLAT,
    )


def _write_pictures(folder: Path, background: Background, zoom: int, quality: int) -> list[tuple[str, str]]:
    """Write the pictures anew; return name and title of those that show anything."""
    tiles, written = [tile for tile in background.tiles if tile.zoom <= zoom], []
    for layer in background.layers:
        path = folder / f"{layer.name}.mbtiles"
        path.unlink(missing_ok=True)
        if write_mbtiles(path, layer, tiles, quality):
            written.append((layer.name, layer.title))
        else:
            path.unlink()
    return written


def make_project(alerts: gpd.GeoDataFrame, pictures: Sequence[tuple[str, str]], texts: Texts) -> Project:
    """Return the project of a package: visits above alerts above pictures, of which the latest image is shown at first."""
    lonlat, ids = CRS.from_epsg(4326), sorted(map(str, alerts["alert_id"]))
    legend = read_texts(texts.language, Path(__file__).parents[1] / "qgis" / "texts")
    layers = [
        MapLayer(
            make_id("field", VISITS),
            texts.text("visits"),
            f"./{TABLE}|layername={VISITS}",
            lonlat,
            style_visits(ids, texts),
            "Point",
        ),
        MapLayer(
            ALERTS_ID,
            texts.text("alerts"),
            f"./{TABLE}|layername={LAYER}",
            lonlat,
            translate_labels(render_alert_style(), legend),
            "Polygon",
            is_fixed=True,
        ),
        *(
            MapLayer(make_id("picture", name), title, f"./{name}.mbtiles", WORLD, style_image(), visible=name == IMAGE)
            for name, title in pictures
        ),
    ]
    extent = measure_extent(alerts.geometry, WORLD)
    period = alerts["first_seen"].min().date(), alerts["as_of"].max().date()
    names = sorted(set(map(str, alerts["aoi"])))
    return Project(names, WORLD, extent, extent, period, [Group(texts.text("alerts"), layers)], [], texts, ())


def _write_read_me(alerts: gpd.GeoDataFrame, texts: Texts, credit: str) -> str:
    count = texts.count("alerts_to_visit", len(alerts))
    text = texts.text("read_me", count=count, date=texts.date(alerts["as_of"].max().date()))
    return f"{text.strip()}\n\n{credit}\n"


def _zip(path: Path, folder: Path) -> int:
    """Write the files of a folder into a ZIP; return its size.  Pictures are compressed already."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            kind = zipfile.ZIP_DEFLATED if file.name in (TABLE, WAYPOINTS, READ_ME) else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(file.name, _EPOCH), file.read_bytes(), kind)
    return path.stat().st_size
