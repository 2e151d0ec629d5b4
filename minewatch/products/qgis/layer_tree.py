"""XML elements that the project and its print layout share: the layer tree, and coordinate systems."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from pyproj import CRS

from minewatch.products.qgis.project_layers import Group, MapLayer

_CHECKED = {True: "Qt::Checked", False: "Qt::Unchecked"}


def add_crs(parent: ET.Element, crs: CRS) -> None:
    """Add a CRS: its WKT, and its code where it has one."""
    system = ET.SubElement(parent, "spatialrefsys")
    ET.SubElement(system, "wkt").text = crs.to_wkt()
    authority = crs.to_authority()
    if authority:
        ET.SubElement(system, "authid").text = ":".join(authority)


def add_groups(parent: ET.Element, members: Sequence[MapLayer | Group]) -> None:
    """Add groups and layers, in the order in which they are drawn, from the top."""
    for member in members:
        if isinstance(member, Group):
            attributes = {"name": member.name, "expanded": str(int(member.expanded)), "checked": _CHECKED[True]}
            add_groups(ET.SubElement(parent, "layer-tree-group", attributes), member.members)
        else:
            add_tree_layer(parent, member)


def add_tree_layer(parent: ET.Element, layer: MapLayer) -> ET.Element:
    """Add a layer to the layer tree."""
    attributes = {
        "id": layer.id,
        "name": layer.title,
        "source": layer.source,
        "providerKey": name_provider(layer),
        "checked": _CHECKED[layer.visible],
        "expanded": "0",
    }
    return ET.SubElement(parent, "layer-tree-layer", attributes)


def name_provider(layer: MapLayer) -> str:
    """Return the name of the QGIS provider that reads a layer."""
    return "ogr" if layer.shape else "gdal"
