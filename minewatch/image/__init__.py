"""The image of an area or an alert on a date: a GeoTIFF for maps, and a picture with outlines, scale bar and compass rose."""

from minewatch.image.files import FORMATS
from minewatch.image.making import Drawn, ImageRequest, credit_chip, make_image, tell_parts
from minewatch.image.overlay import AREA_COLOUR, OVERLAYS, Overlay
from minewatch.image.sharpest import DrawnPhoto, SharpRequest, make_sharpest
from minewatch.image.subject import Subject, find_subject

__all__ = [
    "AREA_COLOUR",
    "FORMATS",
    "OVERLAYS",
    "Drawn",
    "DrawnPhoto",
    "ImageRequest",
    "Overlay",
    "SharpRequest",
    "Subject",
    "credit_chip",
    "find_subject",
    "make_image",
    "make_sharpest",
    "tell_parts",
]
