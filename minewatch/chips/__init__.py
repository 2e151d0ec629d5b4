"""Images of an area or an alert at full resolution: which overpass shows the ground best, and its pixels on a frame.

A frame is a grid of its own: 10 m pixels on the lattice of the area's grid, and the outline that it is about.
"""

from minewatch.chips.album import EARLIEST, Album, Look, open_album
from minewatch.chips.choice import CLEAR, find_day, find_look, measure_looks
from minewatch.chips.composite import compose_chip
from minewatch.chips.frames import frame_outline, locate_frame
from minewatch.chips.pixels import COMPOSITES, FALSE_COLOUR, TRUE_COLOUR, Chip, Part, check_size, find_chip, read_chip, read_chips
from minewatch.chips.tones import Stretch, find_stretch, render_chip, render_reflectance

__all__ = [
    "CLEAR",
    "COMPOSITES",
    "EARLIEST",
    "FALSE_COLOUR",
    "TRUE_COLOUR",
    "Album",
    "Chip",
    "Look",
    "Part",
    "Stretch",
    "check_size",
    "compose_chip",
    "find_chip",
    "find_day",
    "find_look",
    "find_stretch",
    "frame_outline",
    "locate_frame",
    "measure_looks",
    "open_album",
    "read_chip",
    "read_chips",
    "render_chip",
    "render_reflectance",
]
