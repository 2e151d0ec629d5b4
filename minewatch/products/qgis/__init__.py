"""A QGIS project of a workspace: its alerts, context, images and change rasters, and a map to print.

The project is written as XML, without QGIS.  Its paths are relative, so the workspace can be moved.
"""
