"""Scenes in, observations out: one datatake on the area's grid is one COG and its STAC item.

It only grows.  A worker writes the raster under a temporary name; the scan that holds the workspace renames it to a name
made from its content and then writes the item, last and by rename.  Readers datatake the newest version of each key.
"""
