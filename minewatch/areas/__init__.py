"""Areas of interest, their pixel grids, and the resolved plan of one area.

Provides areas (``aois/NAME.geojson``), grids, positions in degrees, UTM and MGRS, outlines across 180°, and vectorizing.
"""
