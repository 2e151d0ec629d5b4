"""What may be set where external alerts are compared: words and limits alone."""

from __future__ import annotations

DISTANCE_M = 100.0
"""Default distance within which a sighting agrees with an alert; metres: some pixels of Landsat and Sentinel-1."""

FARTHEST_M = 5000.0
"""Largest distance that can be asked for, metres."""

CODINGS = ("opera-hls", "opera-hls-v0", "opera-s1", "gfw", "radd-wur", "glad-l", "glad-s2")
"""Names of the codings of rasters."""

DAYS = 180
"""Default number of days, before or after an alert was seen, within which a sighting agrees: ground is often cleared months
before it is mined, and radar sees it on other days."""
