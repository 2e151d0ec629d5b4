"""Where an area lies, in words that need no map: position, size, tiles and overpasses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from minewatch.areas.antimeridian import wrap_longitude
from minewatch.areas.aoi import GEODESIC, Aoi
from minewatch.areas.sentinel_tiles import list_tiles
from minewatch.core.text import format_place

SWATH_KM = 290.0
"""Width of what Sentinel-2 sees of an orbit (ESA)."""

SPACING_KM = 40_075 / 143
"""Between neighbouring orbits at the equator: 143 of them in 10 days (ESA)."""

PASSES = 73
"""Overpasses a year on one orbit by two satellites, each every 10 days."""

FEW = 0.15
"""Share of the ground below which that seen from one orbit more is left out of the words."""

MOST_TILES = 4
"""Tiles that are named."""

WIDEST_KM = 1000
"""Of larger areas no tiles are named: there are hundreds."""


@dataclass(frozen=True)
class Location:
    """Where an area lies."""

    lat: float
    """Of the middle of its box, degrees."""

    lon: float
    """Of the middle of its box, degrees, -180 to 180."""

    width_km: float
    """From west to east through the middle."""

    height_km: float
    """From south to north through the middle."""

    tiles: tuple[str, ...]
    """Tiles of Sentinel-2 that it meets; none of an area wider than WIDEST_KM."""

    overpasses: tuple[int, int]
    """A year, of the ground that is seen least and most often; about."""

    def describe(self) -> str:
        """Return it as one line."""
        rest = len(self.tiles) - MOST_TILES
        names = ", ".join(self.tiles[:MOST_TILES]) + (f" and {rest} more" if rest > 0 else "")
        tiles = f"{'tile' if len(self.tiles) == 1 else 'tiles'} {names}; " if names else ""
        least, most = self.overpasses
        passes = f"about {least}{f' to {most}' if most > least else ''} overpasses a year"
        return f"{format_place(self.lat, self.lon)}; {describe_size(self.width_km, self.height_km)}; {tiles}{passes}"


def locate_area(aoi: Aoi) -> Location:
    """Return where an area lies."""
    west, south, east, north = aoi.joined.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    width = 2 * GEODESIC.line_length([west, lon], [lat, lat]) / 1000  # by halves: the shortest way turns to the pole
    height = GEODESIC.line_length([lon, lon], [south, north]) / 1000
    tiles = tuple(list_tiles(aoi.geometry)) if max(width, height) <= WIDEST_KM else ()
    return Location(lat, wrap_longitude(lon), width, height, tiles, count_overpasses(lat))


def count_overpasses(lat: float) -> tuple[int, int]:
    """Return the overpasses a year at a latitude, least and most; orbits come closer towards the poles."""
    orbits = SWATH_KM / (SPACING_KM * math.cos(math.radians(lat)))
    least = math.floor(orbits)
    return PASSES * least, PASSES * (least + (orbits - least >= FEW))


def describe_size(width_km: float, height_km: float) -> str:
    """Return width and height, as ``29 × 17 km`` or ``850 × 11 m``."""
    longer = max(width_km, height_km)
    sides, unit = ((width_km, height_km), "km") if longer >= 1 else ((1000 * width_km, 1000 * height_km), "m")
    first, second = (f"{side:,.0f}" if side >= 10 or unit == "m" else f"{side:.1f}" for side in sides)
    return f"{first} × {second} {unit}"
