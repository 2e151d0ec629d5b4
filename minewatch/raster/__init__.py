"""A ``Scene`` and a window in, pixels on the grid out.

Provides a reader of plain GeoTIFFs, block by block, and one through GDAL for all other files, their credentials, warps onto
the grid, and the indices that detection needs.
"""
