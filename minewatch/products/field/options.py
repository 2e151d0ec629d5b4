"""Limits of the options of ``minewatch field``, which help shows without loading what reads photographs."""

DISTANCE_M = 50.0
"""Metres from an outline within which a photograph is of that alert: phones are off by ten, and people stand beside a pit."""

FARTHEST_M = 1000.0
"""The largest distance that may be chosen."""
