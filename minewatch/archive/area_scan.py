"""The record of one area during a scan, which each stage extends.

It stands in this room because it holds observations and an integrity report, and because fetch and repair extend it; the rooms
above read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minewatch.archive.integrity import IntegrityReport
from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.files import AnyPath
from minewatch.sources.scene import Datatake
from minewatch.sources.search import SearchResult
from minewatch.sources.skipped import SkippedScene


@dataclass(frozen=True)
class AreaScan:
    """What a scan knows of one area, from the search on."""

    plan: AreaPlan
    """Area, grid, dates and settings."""

    archive: AnyPath
    """Folder of its observations."""

    integrity: IntegrityReport
    """State of that folder before anything was fetched."""

    found: SearchResult
    """What the source listed."""

    source: str
    """Its name."""

    may_switch: bool
    """True where looks that the archive has from other sources may be read again from this one."""

    notes: Sequence[str] = ()
    """Lines for the user."""

    may_sharpen: bool = True
    """True where looks of the archive that were read in larger pixels are read again in smaller ones; a what-if apart from the
    table does not, since the table rests on them."""

    left_unread: Sequence[Datatake] = ()
    """Listed looks that the area's budget does not pay for, by time."""

    not_fetched: frozenset[str] = frozenset()
    """Datatakes that are not fetched: those, and others whose scene classes could not be read."""

    coarse: frozenset[str] = frozenset()
    """Datatakes that are read in pixels of 20 m, to stay within the budget."""

    fetched: int = 0
    """Observations read in this scan."""

    received: int = 0
    """Bytes fetched over the line for them."""

    failures: Sequence[SkippedScene] = ()
    """Scenes that could not be read, or are lost."""

    switch: str = ""
    """Why nothing was read: the source is another than the archive's, and would read looks again; '' where it is not."""

    observations: Sequence[Observation] = ()
    """What the result rests on."""
