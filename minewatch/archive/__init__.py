"""The archive of observations: one datatake on the area's grid is one COG and its STAC item.

It only grows.  A worker writes the raster under a temporary name; the scan that holds the workspace renames it to
a name made from its content and then writes the item, last and by rename.  Readers take the newest version of each key.

What reads the archive is given here.  What writes it, draft and writer, is asked for by name: it knows scenes and how to
read them, and those who only look back need not load that.
"""

from minewatch.archive.health import ASIDE, Damage, Health, check_archive, list_lost
from minewatch.archive.item import (
    Observation,
    describe_grid,
    is_current,
    list_observations,
    read_item,
    sort_observations,
    write_collection,
)
from minewatch.archive.raster import find_step
from minewatch.archive.stack import Stack, iterate_scl, read_codes, read_sample, read_stack, sample_rows
from minewatch.archive.tombstone import Tombstone, read_tombstones, write_tombstones

__all__ = [
    "ASIDE",
    "Damage",
    "Health",
    "Observation",
    "Stack",
    "Tombstone",
    "check_archive",
    "describe_grid",
    "find_step",
    "is_current",
    "iterate_scl",
    "list_lost",
    "list_observations",
    "read_codes",
    "read_item",
    "read_sample",
    "read_stack",
    "read_tombstones",
    "sample_rows",
    "sort_observations",
    "write_collection",
    "write_tombstones",
]
