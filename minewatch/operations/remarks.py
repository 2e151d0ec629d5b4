"""Lines that a person should read beside the figures of a scan: what was empty, hidden, contradictory or from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import SourceError
from minewatch.core.text import count_of, show_day
from minewatch.detection.coverage import Coverage, Emptiness
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.search import SearchResult, has_scenes
from minewatch.sources.stac import Source

MOST_NAMED = 3
"""Observations that notes name one by one; the run record names all."""


def explain_emptiness(source: Source, area: AreaPlan, found: SearchResult, areas: int) -> list[str]:
    """Tell an empty window from an empty source; raises SourceError for the latter where it is the only area."""
    if found.scenes or found.refused or found.cloudy:
        return []
    empty = [f"the source has no scene over {area.aoi.name!r} from {show_day(area.history_from)} to {show_day(area.until)}"]
    try:
        if has_scenes(source, area.aoi.geometry):
            return empty
    except SourceError:
        if areas == 1:
            raise
        return empty  # as far as was asked, that is true
    text = f"source {source.name} has no Sentinel-2 L2A scene over area {area.aoi.name!r}"
    if areas == 1:
        raise SourceError(f"{text}; check the location of the area, and the source")
    return [text]


def explain_blindness(observations: Sequence[Observation], area: AreaPlan, coverage: Coverage) -> list[str]:
    """Say why nothing could be seen, where nothing could: "no change" is another answer."""
    if coverage.never_clear < 1:
        return []
    looks = sum(observation.time.date() >= area.monitor_from for observation in observations)
    why = {0: "there is no scene since then", 1: "the only look was cloudy"}.get(looks, f"all {looks} looks were cloudy")
    return [f"nothing could be seen since {show_day(area.monitor_from)}: {why}"]


def explain_gaps(emptiness: Sequence[Emptiness]) -> list[str]:
    """Name the first observations that lack data, and say how many more there are."""
    lines = [empty.describe() for empty in emptiness[:MOST_NAMED]]
    if rest := len(emptiness) - len(lines):
        lines.append(f"{count_of(rest, 'more observation')} with less data than the footprints say; the run record names them")
    return lines


def explain_conflicts(observations: Iterable[Observation]) -> list[str]:
    """Name the scenes that are used although pixels and metadata contradict each other."""
    checks = [(str(s["id"]), OffsetCheck.from_record(s)) for o in observations for s in o.sources]
    names = sorted(name for name, check in checks if check and check.outcome == "contradict")
    text = "used although pixels and metadata contradict each other on the offset (scenes.offset_conflict)"
    return [f"{count_of(len(names), 'scene')} {text}: {', '.join(names)}"] if names else []


def explain_sources(observations: Iterable[Observation], source: Source) -> list[str]:
    """Say how many observations other sources gave."""
    others = Counter(str(s["source"]) for o in observations for s in o.sources if s["source"] != source.name)
    return [f"{count_of(count, 'archived observation')} from another source, {name}" for name, count in sorted(others.items())]
