"""The list of layers, and coordinate systems, as the project and its printed map both write them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from pyproj import CRS

from minewatch.products.qgis.project_layers import Group, MapLayer

_CHECKED = {True: "Qt::Checked", False: "Qt::Unchecked"}


def add_crs(parent: ET.Element, crs: CRS) -> None:
    """Name a CRS by its code, where it has one; its WKT says the rest."""
    system = ET.SubElement(parent, "spatialrefsys")
    ET.SubElement(system, "wkt").text = crs.to_wkt()
    authority = crs.to_authority()
    if authority:
        ET.SubElement(system, "authid").text = ":".join(authority)


def add_groups(parent: ET.Element, members: Sequence[MapLayer | Group]) -> None:
    """Add the list of layers, which is also the order in which they are drawn."""
    for member in members:
        if isinstance(member, Group):
            attributes = {"name": member.name, "expanded": str(int(member.expanded)), "checked": _CHECKED[True]}
            add_groups(ET.SubElement(parent, "layer-tree-group", attributes), member.members)
        else:
            add_tree_layer(parent, member)


def add_tree_layer(parent: ET.Element, layer: MapLayer) -> ET.Element:
    """Add a layer to a list of layers."""
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
    """Give QGIS's name of what reads a layer."""
    return "ogr" if layer.shape else "gdal"
