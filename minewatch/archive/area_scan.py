"""One area on its way through a scan: each stage adds what it found to the record and hands it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minewatch.archive.integrity import IntegrityReport
from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.files import AnyPath
from minewatch.sources.search import SearchResult, SkippedScene


@dataclass(frozen=True)
class AreaScan:
    """What a scan knows of one area; begins with the search, whose answer it holds."""

    plan: AreaPlan
    """What was asked."""

    archive: AnyPath
    """Folder of its observations."""

    health: IntegrityReport
    """State of that folder before anything was fetched."""

    found: SearchResult
    """What the source listed."""

    notes: Sequence[str] = ()
    """Lines a person should read."""

    fetched: int = 0
    """Observations read in this scan."""

    failures: Sequence[SkippedScene] = ()
    """Scenes that could not be read, or are lost."""

    observations: Sequence[Observation] = ()
    """What the result rests on."""
