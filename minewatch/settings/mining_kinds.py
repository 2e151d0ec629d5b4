"""Kinds of mining whose cost to the land can be told."""

ALLUVIAL, OTHER = "alluvial", "other"
MININGS = (ALLUVIAL, OTHER)
"""Open pits in the sand and gravel of rivers, and all others, of which only what grew there can be told."""
