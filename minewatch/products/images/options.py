"""What may be asked of images: words and limits alone, so that the help of a command needs none of the libraries that draw."""

from __future__ import annotations

from collections.abc import Mapping

TRUE_COLOUR, FALSE_COLOUR = "true-colour", "false-colour"

COMPOSITES: Mapping[str, tuple[str, ...]] = {
    TRUE_COLOUR: ("red", "green", "blue"),
    FALSE_COLOUR: ("swir16", "nir", "red"),
    "infrared": ("nir", "red", "green"),
    "blue": ("blue",),
    "green": ("green",),
    "red": ("red",),
    "nir": ("nir",),
    "swir16": ("swir16",),
}
"""Name of a composite to the bands shown as red, green and blue; a single band is shown in grey."""

ALERTS, AOI, GRATICULE, COMPASS, SCALE_BAR = "alerts", "aoi", "grid", "compass", "scale"
OVERLAYS = (ALERTS, AOI, GRATICULE, COMPASS, SCALE_BAR)
"""The parts of an overlay that can be chosen."""

PNG, TIFF = "png", "tif"
FORMATS = (PNG, TIFF)
"""Of an image."""

GIF, MP4 = "gif", "mp4"
VIDEO_FORMATS = (GIF, MP4)
"""Of an animation."""

MOST_FRAMES = 120
"""Of one animation."""
