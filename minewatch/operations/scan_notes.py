"""Sentences on a scan: why there was nothing to see, and what is odd about what was used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.choice import BUDGET
from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import SourceError
from minewatch.core.text import count_of, format_day, format_percent
from minewatch.detection.coverage import Coverage, Emptiness
from minewatch.operations.scan_report import list_broken
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.search import SearchResult, has_scenes
from minewatch.sources.skipped import SkippedCount, SkippedScene
from minewatch.sources.stac import Source

MOST_NAMED = 3
"""Observations that notes name singly; the run record names all."""


def explain_no_scenes(source: Source, area: AreaPlan, found: SearchResult, areas: int) -> list[str]:
    """Explain a search without scenes: none in the period, or none at all; raises SourceError for the latter if the only area."""
    if found.scenes or found.refused or found.cloudy:
        return []
    empty = [f"the source has no scene over {area.aoi.name!r} from {format_day(area.history_from)} to {format_day(area.until)}"]
    try:
        if has_scenes(source, area.aoi.geometry):
            return empty
    except SourceError:
        if areas == 1:
            raise
        return empty  # true for the period, at least
    text = f"source {source.name} has no Sentinel-2 L2A scene over area {area.aoi.name!r}"
    if areas == 1:
        raise SourceError(f"{text}; check the location of the area, and the source")
    return [text]


def explain_no_clear_look(
    observations: Sequence[Observation], scan: AreaScan, coverage: Coverage, failures: Sequence[SkippedScene]
) -> list[str]:
    """Explain why no pixel was seen clearly, where none was: that is not "no change"."""
    if coverage.never_clear < 1:
        return []
    area, found = scan.plan, scan.found
    looks = [observation for observation in observations if observation.time.date() >= area.monitor_from]
    empty = sum(observation.valid_share == 0 for observation in looks)
    reasons = [_describe_looks(len(looks), len(looks) - empty, "cloudy"), _describe_looks(len(looks), empty, "without data here")]
    reasons.append(SkippedCount.of(failures).describe())
    if found.cloudy:
        reasons.append(f"{count_of(len(found.cloudy), 'scene')} with more cloud than the pipeline allows")
    if unread := sum(one.time.date() >= area.monitor_from for one in scan.left_unread):
        reasons.append(f"{count_of(unread, 'look')} not read: {BUDGET}")
    why = ", ".join(filter(None, reasons)) or "the source lists no scene since then"
    return [f"nothing could be seen since {format_day(area.monitor_from)}: {why}"]


def _describe_looks(total: int, count: int, what: str) -> str:
    if not count:
        return ""
    if total == 1:
        return f"the only look was {what}"
    return (
        f"all {count} looks were {what}"
        if count == total
        else f"{count_of(count, 'look')} {'was' if count == 1 else 'were'} {what}"
    )


def explain_missing_data(emptiness: Sequence[Emptiness]) -> list[str]:
    """Name the first observations that lack data, and count the others."""
    lines = [empty.describe() for empty in emptiness[:MOST_NAMED]]
    if rest := len(emptiness) - len(lines):
        lines.append(f"{count_of(rest, 'more observation')} with less data than the footprints say; the run record names them")
    return lines


def explain_broken_numbers(observations: Iterable[Observation]) -> list[str]:
    """Name the latest observations with broken numbers, and count the others."""
    broken = list_broken(observations)[::-1]
    lines = [
        f"{format_day(look.time.date())}: {format_percent(look.broken_share or 0)} of the numbers of "
        f"{', '.join(look.source_ids)} are no reflectance and count as not seen"
        for look in broken[:MOST_NAMED]
    ]
    if rest := len(broken) - len(lines):
        lines.append(f"{count_of(rest, 'more observation')} with broken numbers; the run record names them")
    return lines


def explain_conflicts(observations: Iterable[Observation]) -> list[str]:
    """Name the scenes that are used although pixels and metadata contradict each other."""
    checks = [(str(s["id"]), OffsetCheck.from_record(s)) for o in observations for s in o.sources]
    names = sorted(name for name, check in checks if check and check.outcome == "contradict")
    text = "used although pixels and metadata contradict each other on the offset (scenes.offset_conflict)"
    return [f"{count_of(len(names), 'scene')} {text}: {', '.join(names)}"] if names else []


def explain_sources(observations: Iterable[Observation], source: str) -> list[str]:
    """Count the observations from other sources."""
    others = Counter(str(s["source"]) for o in observations for s in o.sources if s["source"] != source)
    return [f"{count_of(count, 'archived observation')} from another source, {name}" for name, count in sorted(others.items())]
