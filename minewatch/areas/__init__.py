"""What is watched: outlines, the pixel grid of each, and the plan of one area, everything resolved.

Gives areas of interest (``aois/NAME.geojson``), grids, positions in degrees, UTM and MGRS, outlines across 180°, and pixels
turned into polygons.
"""
