"""Positions are written as other tools write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from minewatch.areas.coordinates import format_dms, make_position


def test_a_place_in_peru_in_every_way() -> None:
    """MGRS as GEOTRANS gives it (package mgrs 1.6.0), UTM as PROJ does."""
    place = make_position(-12.75186, -69.87929)
    assert place.decimal == "-12.751860, -69.879290"
    assert place.dms == "12°45'06.70\"S 69°52'45.44\"W"
    assert place.utm == "19 S 404551 8590143"
    assert place.epsg == 32719
    assert place.mgrs == "19L DF 04551 90143"


@pytest.mark.parametrize(
    ("lat", "lon", "mgrs"),
    [
        (60.39, 5.32, "32V KN 97230 00510"),  # Norway has a wider zone
        (78.0, 15.0, "33X WG 00000 58369"),  # so has Svalbard, and its band is taller
        (83.9, -40.0, "24X VU 88136 17033"),
        (0.0, 0.0, "31N AA 66021 00000"),
        (-33.86, 151.2, "56H LH 33491 51909"),
        (9.99999999, -60.0, "21P SM 71071 06908"),
        (-79.99, -175.0, "01C EM 38802 18863"),
    ],
)
def test_mgrs_of_odd_places(lat: float, lon: float, mgrs: str) -> None:
    """As GEOTRANS gives them (package mgrs 1.6.0)."""
    assert make_position(lat, lon).mgrs == mgrs


def test_beyond_utm_there_is_none() -> None:
    place = make_position(85.0, 10.0)
    assert (place.utm, place.mgrs, place.epsg) == ("", "", 0)
    assert place.dms == "85°00'00.00\"N 10°00'00.00\"E"


def test_seconds_carry_and_nothing_is_minus_zero() -> None:
    assert format_dms(-12.9999999999, "NS") == "13°00'00.00\"S"
    assert format_dms(-1e-9, "NS") == "0°00'00.00\"N"
    assert make_position(-1e-9, 179.9999999).decimal == "0.000000, 180.000000"


@given(st.floats(-79.9, 83.9), st.floats(-180, 180))
def test_every_way_leads_back_to_the_place(lat: float, lon: float) -> None:
    place, ellipsoid = make_position(lat, lon), Geod(ellps="WGS84")
    zone, hemisphere, east, north = place.utm.split()
    assert (place.epsg % 100, place.epsg // 100) == (int(zone), 326 if hemisphere == "N" else 327)
    back = Transformer.from_crs(place.epsg, 4326, always_xy=True).transform(float(east), float(north))
    assert ellipsoid.inv(*back, lon, lat)[2] < 1
    degrees = [
        (int(d) + int(m) / 60 + float(s) / 3600) * (-1 if letter in "SW" else 1)
        for d, m, s, letter in re.findall(r"(\d+)°(\d+)'([\d.]+)\"(\w)", place.dms)
    ]
    assert ellipsoid.inv(degrees[1], degrees[0], lon, lat)[2] < 0.3
