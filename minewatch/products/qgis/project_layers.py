"""The layers of a workspace's QGIS project: their groups, sources and styles, and the extent of the map."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pyogrio
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import AOIS, LAYER
from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.context.layer import ContextLayer, open_layer
from minewatch.alerts.lifetime import is_ever_confirmed
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import PROVISIONAL
from minewatch.alerts.style import read_style
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.areas.grid import find_utm_epsg, lonlat_to, make_grid, reproject
from minewatch.core.errors import AlertsError, ContextError, MinewatchError
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.products.images.quicklook import TIMES, MapImage, list_maps
from minewatch.products.qgis.layer_styles import (
    SHAPES,
    style_change,
    style_context,
    style_image,
    style_reflectance,
    translate_labels,
)
from minewatch.products.report.on_file import find_all_evidence
from minewatch.products.report.report_facts import AFTER, BEFORE
from minewatch.products.report.texts import Texts, read_texts
from minewatch.raster.damage import find_damage

ALERTS_ID, AREAS_ID = "minewatch_alerts", "minewatch_areas"
"""Ids of layers, which expressions of the print layout use."""

TEXTS = Path(__file__).parent / "texts"
"""Folder of the texts of projects."""

BANDS_KNOWN = 2
"""Format of evidence from which on its images have their bands in one order: blue, green, red and others."""

WORLD = CRS.from_epsg(3857)
"""For areas in several UTM zones: north is up and shapes are right everywhere; QGIS measures lengths on the ellipsoid."""

_MARGIN = 0.15
"""Margin around the alerts, as a share of their extent."""

_LEAST_M = 2000.0
"""Least width and height of the map, metres."""


MOST_LOOKS = 40
"""Alerts whose two looks are layers of the project: the latest; the evidence has those of all."""

Extent = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True)
class MapLayer:
    """A layer of the project."""

    id: str
    """Unique in the project, and longer than ten characters: QGIS does not draw layers with shorter ids."""

    title: str
    """Its name in the list of layers."""

    source: str
    """As QGIS writes it: the path relative to the project's folder, and the name of the layer where the file has several."""

    crs: CRS
    """Of its coordinates."""

    style: str
    """Its QML."""

    shape: str = ""
    """Point, Line or Polygon; '' for a raster."""

    encoding: str = ""
    """Encoding of texts; '' = that stated by the file."""

    visible: bool = True
    """True if it is shown when the project is opened."""

    is_fixed: bool = False
    """True if people cannot edit its features."""


@dataclass(frozen=True)
class Group:
    """A group in the list of layers."""

    name: str
    """Its title."""

    members: Sequence[MapLayer | Group]
    """From top to bottom, also on the map."""

    expanded: bool = True
    """True if its members are listed when the project is opened."""


@dataclass(frozen=True)
class Project:
    """The contents of a project."""

    areas: Sequence[str]
    """Names of the areas."""

    crs: CRS
    """Of the map, in metres."""

    extent: Extent
    """Of the map when the project is opened, in its CRS."""

    whole: Extent
    """Of all areas, in the same CRS."""

    period: tuple[dt.date, dt.date]
    """From the first day of monitoring to the as-of date; the Temporal Controller plays it."""

    groups: Sequence[Group]
    """From top to bottom."""

    images: Sequence[tuple[str, MapImage]]
    """Area and image."""

    texts: Texts
    """Of its language."""

    notes: Sequence[str]
    """Lines on what is left out, and why."""

    @property
    def is_to_scale(self) -> bool:
        """True if a metre of the map is one on the ground; it is longer than one in a map of the world."""
        return self.crs != WORLD


def gather_project(workspace: Workspace, language: str = "en") -> Project:
    """Return the project of a workspace in one of LANGUAGES; raises AlertsError where it has no alerts table yet."""
    alerts = read_alerts(workspace.alerts)
    areas = pyogrio.read_dataframe(workspace.alerts, layer=AOIS)
    if areas.empty:
        raise AlertsError(f"there is no area in {workspace.alerts} yet; scan one with: minewatch scan")
    texts, names = read_texts(language, TEXTS), sorted(map(str, areas["aoi"]))
    zones = {name: _find_crs(workspace, name, areas) for name in names}
    crs = zones[names[0]] if len(set(zones.values())) == 1 else WORLD
    notes: list[str] = []
    images = [(name, image) for name in names for image in _list_images(workspace, name, notes)]
    groups = [
        _gather_alerts(workspace, texts),
        _gather_context(workspace, texts, notes),
        _gather_looks(workspace, alerts, zones, texts, notes),
        _gather_changes(workspace, areas, zones, texts, notes),
        _gather_images(workspace, images, zones, texts),
    ]
    period = (areas["monitor_from"].min().date(), areas["as_of"].max().date())
    groups = [group for group in groups if group.members]
    extents = _find_extent(alerts, areas, crs), measure_extent(areas.geometry, crs)
    return Project(names, crs, *extents, period, groups, images, texts, tuple(notes))


def list_layers(groups: Sequence[MapLayer | Group]) -> Iterator[MapLayer]:
    """Yield all layers, from top to bottom."""
    for member in groups:
        if isinstance(member, Group):
            yield from list_layers(member.members)
        else:
            yield member


# --- groups ----------------------------------------------------------------------------------------------------------


def _gather_alerts(workspace: Workspace, texts: Texts) -> Group:
    lonlat, table = CRS.from_epsg(4326), _relative_path(workspace, workspace.alerts)
    titles = ((LAYER, ALERTS_ID, texts.text("alerts")), (AOIS, AREAS_ID, texts.text("areas")))
    styles = {layer: read_style(workspace.alerts, layer) for layer in (LAYER, AOIS)}
    styles[LAYER] = translate_labels(styles[LAYER], texts)
    layers = [
        MapLayer(key, title, f"{table}|layername={layer}", lonlat, styles[layer], "Polygon") for layer, key, title in titles
    ]
    return Group(texts.text("alerts"), layers)


def _gather_looks(
    workspace: Workspace, alerts: gpd.GeoDataFrame, zones: Mapping[str, CRS], texts: Texts, notes: list[str]
) -> Group:
    """Return the two looks of the latest alerts, hidden at first, from their evidence: the same as in reports and mails."""
    evidence = find_all_evidence(workspace, alerts.sort_values("first_seen", ascending=False)["alert_id"])
    areas = dict(zip(alerts["alert_id"], alerts["aoi"], strict=True))
    if (left := len(evidence) - MOST_LOOKS) > 0:
        notes.append(f"left out: the looks of {count_of(left, 'earlier alert')}; they are in {workspace.evidence}")
    groups = []
    for alert_id, kept in list(evidence.items())[:MOST_LOOKS]:
        files = {name: workspace.evidence / kept.name / f"{name}.tif" for name in (AFTER, BEFORE) if name in kept.dates}
        layers = [
            MapLayer(
                make_id("look", f"{alert_id}_{name}"),
                texts.text(f"look_{name}", date=texts.date(kept.dates[name])),
                _relative_path(workspace, path),
                zones[areas[alert_id]],
                style_reflectance(),
                visible=False,
            )
            for name, path in files.items()
            if kept.format >= BANDS_KNOWN and path.is_file()
        ]
        groups.append(Group(alert_id, layers, expanded=False))
    return Group(texts.text("looks"), [group for group in groups if group.members], expanded=False)


def _gather_context(workspace: Workspace, texts: Texts, notes: list[str]) -> Group:
    """Return the declared layers of context; one that cannot be used is left out."""
    layers: list[MapLayer] = []
    for name, declaration in read_declarations(workspace).items():
        try:
            layers.append(_describe_context(workspace, open_layer(workspace, name, declaration)))
        except ContextError as error:
            notes.append(f"left out: {error}")
    layers.sort(key=lambda layer: SHAPES.index(layer.shape))  # points lie above lines, lines above polygons
    return Group(texts.text("context"), layers)


def _describe_context(workspace: Workspace, layer: ContextLayer) -> MapLayer:
    source = _relative_path(workspace, layer.path)
    if len(pyogrio.list_layers(layer.path)) > 1:
        source += f"|layername={layer.layer}"
    shape = _find_shape(layer)
    style = style_context(layer.kind, shape, layer.declaration.name)
    encoding = layer.declaration.encoding or ""
    return MapLayer(make_id("context", layer.name), layer.name, source, layer.crs, style, shape, encoding)


def _find_shape(layer: ContextLayer) -> str:
    """Return the shape of a layer, as the file states it, else that of its first features."""
    kind = str(pyogrio.read_info(layer.path, layer=layer.layer)["geometry_type"])
    if not re.search("Point|Line|Polygon", kind):
        first = pyogrio.read_dataframe(layer.path, layer=layer.layer, max_features=20, columns=[])
        kinds = sorted(first.geom_type.dropna()) if len(first) else []
        kind = kinds[len(kinds) // 2] if kinds else "Polygon"
    return next((shape for shape in SHAPES if shape in kind), "Polygon")


def _list_images(workspace: Workspace, area: str, notes: list[str]) -> Iterator[MapImage]:
    """Yield the images of an area that can be read, and note which cannot."""
    quicklook = workspace.images / f"{area}.png"
    found = list_maps(quicklook)
    if not found:
        listed = quicklook.with_suffix(".json")
        why = f"{listed} is cut off or damaged" if listed.is_file() else "there are none yet"
        notes.append(f"left out: images of {area}: {why}; the next scan that reads its scenes writes them")
    for image in found:
        if fault := find_damage(image.path):
            notes.append(f"left out: an image of {area}: {fault}; the next scan that reads its scenes writes it")
        else:
            yield image


def _gather_changes(
    workspace: Workspace, areas: gpd.GeoDataFrame, zones: Mapping[str, CRS], texts: Texts, notes: list[str]
) -> Group:
    groups = []
    for row in areas.sort_values("aoi").itertuples():
        folder, area = workspace.changes(row.aoi), str(row.aoi)
        if not isinstance(folder, Path):
            notes.append(f"left out: the change rasters of {area}, which lie in an object store")
            continue
        there = {name: folder / f"{name}.tif" for name in RASTERS if (folder / f"{name}.tif").is_file()}
        faults = {name: find_damage(path) for name, path in there.items()}
        notes += [f"left out: a change raster of {area}: {fault}; scan it again" for fault in faults.values() if fault]
        files = {name: path for name, path in there.items() if not faults[name]}
        if not there:
            notes.append(f"left out: the change rasters of {area}: there are none in {folder}; scan it again")
        period = (row.monitor_from.date(), row.as_of.date())
        layers = [
            MapLayer(
                make_id("change", f"{area}_{name}"),
                f"{area}: {name}",
                _relative_path(workspace, path),
                zones[area],
                style_change(name, period, texts),
                visible=name == "status",
            )
            for name, path in files.items()
        ]
        groups.append(Group(area, layers, expanded=False))
    return Group(texts.text("changes"), [group for group in groups if group.members], expanded=False)


def _gather_images(workspace: Workspace, images: Sequence[tuple[str, MapImage]], zones: Mapping[str, CRS], texts: Texts) -> Group:
    """Return the images: the later one is shown, the earlier one is hidden below it."""
    layers = [
        MapLayer(
            make_id("image", image.path.stem),
            f"{area} {image.when}: {image.date}",
            _relative_path(workspace, image.path),
            zones[area],
            style_image(),
            visible=image.when == TIMES[-1],
        )
        for area, image in sorted(images, key=lambda entry: (entry[0], -TIMES.index(entry[1].when)))
    ]
    return Group(texts.text("pictures"), layers)


# --- where -----------------------------------------------------------------------------------------------------------


def _find_crs(workspace: Workspace, name: str, areas: gpd.GeoDataFrame) -> CRS:
    """Return the CRS of an area's rasters; where the area's file is gone, that of the UTM zone that it lies in."""
    try:
        if name in list_aois(workspace):
            return make_grid(read_aoi(workspace, name)).crs
    except MinewatchError:  # the file was changed since the scan and is no area any more
        pass
    centre = areas.geometry[areas["aoi"] == name].iloc[0].centroid
    return CRS.from_epsg(find_utm_epsg(centre.x, centre.y))


def _find_extent(alerts: gpd.GeoDataFrame, areas: gpd.GeoDataFrame, crs: CRS) -> Extent:
    """Return the extent of the alerts that are open or were confirmed, or of the areas where there is none, with a margin."""
    shown = alerts[[row["status"] == PROVISIONAL or is_ever_confirmed(row) for row in alerts.to_dict("records")]]
    return measure_extent(shown.geometry if len(shown) else areas.geometry, crs)


def measure_extent(shapes: Iterable[BaseGeometry], crs: CRS) -> Extent:
    """Return the extent of shapes in lon/lat, with a margin."""
    to_map = lonlat_to(crs)
    left, bottom, right, top = shapely.total_bounds([reproject(shape, to_map) for shape in shapes])
    x, y = (left + right) / 2, (bottom + top) / 2
    width, height = (max(side * (1 + 2 * _MARGIN), _LEAST_M) / 2 for side in (right - left, top - bottom))
    return float(x - width), float(y - height), float(x + width), float(y + height)


def _relative_path(workspace: Workspace, path: Path) -> str:
    """Return a path relative to the project's folder; absolute where it lies outside the workspace."""
    path, home = path.absolute(), workspace.output.absolute()
    if not path.is_relative_to(workspace.root.absolute()):
        return str(path)
    text = os.path.relpath(path, home).replace(os.sep, "/")
    return text if text.startswith("../") else f"./{text}"


def make_id(kind: str, name: str) -> str:
    """Return an id that QGIS accepts, always the same for the same layer."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name)
    return f"{kind}_{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
