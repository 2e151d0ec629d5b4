"""Writes the file of a QGIS project (.qgz): an XML document in a ZIP."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from minewatch.alerts.style import VERSION, parse_style
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import publishing
from minewatch.core.workspace import Workspace
from minewatch.products.export.columns import clean_text
from minewatch.products.qgis.layer_tree import add_crs, add_groups, name_provider
from minewatch.products.qgis.print_layout import add_layout
from minewatch.products.qgis.project_layers import MapLayer, Project, gather_project, list_layers

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the document in the ZIP, fixed so that the same project gives the same bytes."""


@dataclass(frozen=True)
class ProjectResult:
    """A project that was written."""

    path: Path
    """The project."""

    project: Project
    """Its contents."""

    kept: Path | None
    """Where the previous project was moved, if somebody had changed it; else None."""


def write_project(workspace: Workspace, language: str = "en") -> ProjectResult:
    """Write ``output/minewatch.qgz`` in one of LANGUAGES; one that somebody changed in QGIS is kept beside it.

    Raises AlertsError where there is no alerts table yet, and WorkspaceError where the folder cannot be written.
    """
    project = gather_project(workspace, language)
    path = workspace.project
    data = render_project(project)
    with publishing(path) as temporary:
        _write_zip(temporary, f"{path.stem}.qgs", data)
        kept = _keep_changed(path)
    return ProjectResult(path, project, kept)


def zip_project(path: Path, project: Project) -> None:
    """Write a project without a page to a file that is not there."""
    _write_zip(path, f"{path.stem}.qgs", render_project(project, has_page=False))


def _write_zip(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
        archive.comment = _sign(data)


def _sign(data: bytes) -> bytes:
    return b"minewatch " + hashlib.sha256(data).hexdigest().encode()


def _keep_changed(path: Path) -> Path | None:
    """Rename a project that was saved by QGIS, which drops the ZIP's comment; return its new path."""
    if not path.exists() or _is_ours(path):
        return None
    number = 1
    while (kept := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    try:
        path.rename(kept)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; check its permissions") from error
    return kept


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == _sign(archive.read(f"{path.stem}.qgs"))
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def render_project(project: Project, *, has_page: bool = True) -> bytes:
    """Return the XML document of a project; ``has_page``: with a map to print."""
    title = f"minewatch: {', '.join(project.areas)}"
    root = ET.Element("qgis", projectname=title, version=VERSION)
    ET.SubElement(root, "homePath", path="")
    ET.SubElement(root, "title").text = title
    add_crs(ET.SubElement(root, "projectCrs"), project.crs)
    tree = ET.SubElement(root, "layer-tree-group")
    add_groups(tree, project.groups)
    layers = list(list_layers(project.groups))
    _add_canvas(root, project)
    _add_layers(root, layers)
    # The Temporal Controller plays the monitored time month by month, when it is switched on.
    steps = {"timeStep": "1", "timeStepUnit": "mon", "frameRate": "2", "cumulativeTemporalRange": "0"}
    period = ET.SubElement(ET.SubElement(root, "ProjectTimeSettings", steps), "TemporalRange")
    for name, day in zip(("start", "end"), project.period, strict=True):
        ET.SubElement(period, name).text = f"{day}T00:00:00Z"
    _add_properties(root)
    if has_page:
        add_layout(ET.SubElement(root, "Layouts"), project)
    head = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return head + clean_text(ET.tostring(root, encoding="unicode")).encode()


def _add_layers(root: ET.Element, layers: Sequence[MapLayer]) -> None:
    parent, order = ET.SubElement(root, "projectlayers"), ET.SubElement(root, "layerorder")
    for layer in layers:
        ET.SubElement(order, "layer", id=layer.id)
        attributes = {"type": "vector", "geometry": layer.shape} if layer.shape else {"type": "raster"}
        element = ET.SubElement(parent, "maplayer", attributes | ({"readOnly": "1"} if layer.is_fixed else {}))
        ET.SubElement(element, "id").text = layer.id
        ET.SubElement(element, "datasource").text = layer.source
        ET.SubElement(element, "layername").text = layer.title
        add_crs(ET.SubElement(element, "srs"), layer.crs)
        provider = ET.SubElement(element, "provider")
        provider.text = name_provider(layer)
        if layer.encoding:
            provider.set("encoding", layer.encoding)
        style = parse_style(layer.style)
        element.attrib |= {name: value for name, value in style.attrib.items() if name not in ("version", "styleCategories")}
        element.extend(style)


def _add_canvas(root: ET.Element, project: Project) -> None:
    canvas = ET.SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
    ET.SubElement(canvas, "units").text = "meters"
    corners = {name: f"{value:.2f}" for name, value in zip(("xmin", "ymin", "xmax", "ymax"), project.extent, strict=True)}
    extent = ET.SubElement(canvas, "extent")
    for name, text in corners.items():
        ET.SubElement(extent, name).text = text
    ET.SubElement(canvas, "rotation").text = "0"
    add_crs(ET.SubElement(canvas, "destinationsrs"), project.crs)
    # The same again, for "zoom to full extent" and for programs without a canvas.
    home = ET.SubElement(ET.SubElement(root, "ProjectViewSettings", UseProjectScales="0"), "DefaultViewExtent", corners)
    add_crs(home, project.crs)


def _add_properties(root: ET.Element) -> None:
    values = (
        ("Paths", "Absolute", "bool", "false"),  # so that the workspace can be moved
        ("SpatialRefSys", "ProjectionsEnabled", "int", "1"),  # without it the project has no CRS
        ("Measure", "Ellipsoid", "QString", "EPSG:7030"),
        ("Measurement", "AreaUnits", "QString", "ha"),
        ("Measurement", "DistanceUnits", "QString", "meters"),
    )
    properties = ET.SubElement(root, "properties")
    for section, key, kind, value in values:
        parent = properties.find(section)
        parent = ET.SubElement(properties, section) if parent is None else parent
        ET.SubElement(parent, key, type=kind).text = value
