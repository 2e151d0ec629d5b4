"""How long the clearing stays bare of which a scan says whether it would have been found."""

LASTING_DAYS = 60
"""Confirmed where two looks count from its first day to the 60th after it."""
