"""Image chips at full resolution: which overpass shows a frame best, and its pixels.

A frame is the grid of an image, 10 m pixels on the lattice of the area's grid, with the outline that it shows.
"""
