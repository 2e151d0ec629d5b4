"""Formats positions: decimal degrees, degrees with minutes and seconds, UTM and MGRS."""

from __future__ import annotations

from dataclasses import dataclass

from minewatch.areas.antimeridian import wrap_longitude
from minewatch.areas.grid import find_utm_epsg, lonlat_to

UTM_SOUTH, UTM_NORTH = -80.0, 84.0
"""Degrees of latitude; UTM is not defined beyond (NGA.STND.0037, 2014)."""

BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Of latitude, eight degrees each from the south, the last one twelve (NGA.STND.0037, 2014, as all below)."""

SQUARE = 100_000
"""Side of a lettered square, metres."""

COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
"""Letters of the squares from 100 km east; the sets repeat every three zones."""

ROWS = "ABCDEFGHJKLMNPQRSTUV"
"""Letters of the squares from the equator; they repeat every 2000 km and begin at F in even zones."""

SECONDS = 100
"""Parts of an arc second that are written: a hundredth is 0.3 m."""


@dataclass(frozen=True)
class Position:
    """A position, formatted for people."""

    lat: float
    """Degrees, WGS 84."""

    lon: float
    """Degrees, WGS 84, -180 to 180."""

    decimal: str
    """As ``-12.751860, -69.879290``: latitude first, six digits (0.1 m)."""

    dms: str
    """As ``12°45'06.70"S 69°52'45.44"W``."""

    utm: str
    """As ``19 S 404551 8590143``: zone, hemisphere, easting and northing in whole metres; '' beyond UTM's latitudes."""

    epsg: int
    """Code of that UTM zone; 0 beyond UTM's latitudes."""

    mgrs: str
    """As ``19L DF 04551 90143``: zone and band, square, metres east and north; '' beyond UTM's latitudes."""


def make_position(lat: float, lon: float) -> Position:
    """Return a position in degrees in all formats."""
    lon = wrap_longitude(lon)
    epsg = find_utm_epsg(lon, lat) if UTM_SOUTH <= lat < UTM_NORTH else 0
    east, north = lonlat_to(epsg).transform(lon, lat) if epsg else (0.0, 0.0)
    return Position(
        lat=lat,
        lon=lon,
        decimal=f"{lat:z.6f}, {lon:z.6f}",
        dms=f"{format_dms(lat, 'NS')} {format_dms(lon, 'EW')}",
        utm=f"{epsg % 100} {'N' if epsg < 32700 else 'S'} {east:.0f} {north:.0f}" if epsg else "",
        epsg=epsg,
        mgrs=_format_mgrs(lat, epsg % 100, east, north) if epsg else "",
    )


def format_dms(degrees: float, hemispheres: str) -> str:
    """Return an angle as degrees, minutes and seconds; ``hemispheres``: the letters for above and below zero."""
    parts = round(abs(degrees) * 3600 * SECONDS)
    minutes, seconds = divmod(parts, 60 * SECONDS)
    whole, minutes = divmod(minutes, 60)
    letter = hemispheres[degrees < 0 and parts > 0]
    return f"{whole}°{minutes:02d}'{seconds / SECONDS:05.2f}\"{letter}"


def _format_mgrs(lat: float, zone: int, east: float, north: float) -> str:
    """Return zone and band, the letters of the 100 km square, and the metres in it, truncated."""
    return f"{zone:02d}{find_band(lat)} {name_square(zone, east, north)} {int(east % SQUARE):05d} {int(north % SQUARE):05d}"


def find_band(lat: float) -> str:
    """Return the letter of a latitude's band."""
    return BANDS[min(int((lat - UTM_SOUTH) // 8), len(BANDS) - 1)]


def name_square(zone: int, east: float, north: float) -> str:
    """Return the two letters of the 100 km square around a point of a UTM zone, metres."""
    column = COLUMNS[(zone - 1) % 3][int(east // SQUARE) - 1]
    return column + ROWS[(int(north // SQUARE) + (0 if zone % 2 else 5)) % len(ROWS)]
