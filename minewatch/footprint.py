"""Where items and areas lie in longitude and latitude, and which of them meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


def read_footprint(geometry: Mapping[str, Any]) -> BaseGeometry:
    """Turn an item's geometry into a valid outline in lon/lat."""
    return shapely.make_valid(shapely.geometry.shape(dict(geometry)))


def list_boxes(area: BaseGeometry) -> list[Box]:
    """Give the boxes that a search for an area sends."""
    west, south, east, north = area.bounds
    return [(west, south, east, north)]
