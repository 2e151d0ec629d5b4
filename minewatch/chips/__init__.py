"""Images of an area or an alert at full resolution: which overpass shows the ground best, and its pixels on a frame.

A frame is a grid of its own: 10 m pixels on the lattice of the area's grid, and the outline that it is about.
"""

from minewatch.chips.album import EARLIEST, Album, Look, open_album
from minewatch.chips.choice import CLEAR, find_day, find_look
from minewatch.chips.frames import frame_outline, locate_frame
from minewatch.chips.pixels import COMPOSITES, FALSE_COLOUR, TRUE_COLOUR, Chip, find_chip, read_chip
from minewatch.chips.tones import UNKNOWN, Stretch, find_stretch, render_chip

__all__ = [
    "CLEAR",
    "COMPOSITES",
    "EARLIEST",
    "FALSE_COLOUR",
    "TRUE_COLOUR",
    "UNKNOWN",
    "Album",
    "Chip",
    "Look",
    "Stretch",
    "find_chip",
    "find_day",
    "find_look",
    "find_stretch",
    "frame_outline",
    "locate_frame",
    "open_album",
    "read_chip",
    "render_chip",
]
