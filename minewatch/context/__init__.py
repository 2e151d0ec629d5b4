"""Where an alert lies in law and landscape: inside which concessions, reserves and territories, how far from what.

The layers are files of the workspace's owner, declared in ``minewatch.toml``.  What is said of an alert is a function of
its outline, the day it was first seen, and those layers; no clock has any influence on it.
"""

from minewatch.context.declaration import AREAS, CONCESSION, DISTANCES, KINDS, UNIT, Declaration, read_declarations
from minewatch.context.features import Features, read_features
from minewatch.context.layer import Layer, open_layer, open_layers
from minewatch.context.place import CELLS, EXPIRED, INSIDE, LEGAL, OUTSIDE, UNKNOWN, Cells, Placement, Site, place_sites

__all__ = [
    "AREAS",
    "CELLS",
    "CONCESSION",
    "DISTANCES",
    "EXPIRED",
    "INSIDE",
    "KINDS",
    "LEGAL",
    "OUTSIDE",
    "UNIT",
    "UNKNOWN",
    "Cells",
    "Declaration",
    "Features",
    "Layer",
    "Placement",
    "Site",
    "open_layer",
    "open_layers",
    "place_sites",
    "read_declarations",
    "read_features",
]
