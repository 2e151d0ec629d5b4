"""The archive of observations: one datatake on the area's grid is one COG and its STAC item.

It only grows.  A worker writes the raster under a temporary name; the scan that holds the workspace renames it to
a name made from its content and then writes the item, last and by rename.  Readers take the newest version of each key.
"""

from minewatch.archive.health import ASIDE, Damage, Health, check_archive, list_lost
from minewatch.archive.item import (
    Draft,
    Observation,
    describe_grid,
    is_current,
    list_observations,
    publish,
    read_item,
    remove_drafts,
    sort_observations,
    write_collection,
)
from minewatch.archive.raster import find_step
from minewatch.archive.stack import Stack, iterate_scl, read_codes, read_sample, read_stack, sample_rows
from minewatch.archive.tombstone import Tombstone, read_tombstones, write_tombstones
from minewatch.archive.writer import Target, write_drafts

__all__ = [
    "ASIDE",
    "Damage",
    "Draft",
    "Health",
    "Observation",
    "Stack",
    "Target",
    "Tombstone",
    "check_archive",
    "describe_grid",
    "find_step",
    "is_current",
    "iterate_scl",
    "list_lost",
    "list_observations",
    "publish",
    "read_codes",
    "read_item",
    "read_sample",
    "read_stack",
    "read_tombstones",
    "remove_drafts",
    "sample_rows",
    "sort_observations",
    "write_collection",
    "write_drafts",
    "write_tombstones",
]
