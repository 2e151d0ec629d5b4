"""Writes a QGIS project of a workspace: its alerts, context, images and change rasters, and a map to print.

The project is written as XML, by hand: QGIS need not be installed where minewatch runs.  Its paths are relative, so the
workspace can be moved.
"""

from minewatch.qgis.contents import Group, MapLayer, Project, gather_project, list_layers
from minewatch.qgis.document import Written, write_project

__all__ = ["Group", "MapLayer", "Project", "Written", "gather_project", "list_layers", "write_project"]
