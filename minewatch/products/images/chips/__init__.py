"""Image chips of an area or an alert at full resolution: which overpass shows the ground best, and its pixels.

A frame is a grid of its own: 10 m pixels on the lattice of the area's grid, and the outline that it is about.
"""
