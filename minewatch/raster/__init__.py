"""A ``Scene`` and a window in, pixels on the grid out.

Gives readers of cloud-optimised GeoTIFFs (our own, block by block) and of what else GDAL opens, credentials for them, warps
onto the grid, and the indices that detection needs.
"""
