"""Checks how late the source publishes items, and which of them the archive lacks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from minewatch.archive.choice import BUDGET
from minewatch.archive.item import Observation
from minewatch.core.text import count_of
from minewatch.operations.doctor.catalogue_items import CatalogueItem
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData

LATE = dt.timedelta(days=10)
"""An item published later than this after its acquisition is late: the next overpass may be published before it."""

LATE_SHARE = 0.05
"""Share of late items from which somebody should look."""


def check_late(data: ExaminedData) -> DataCheck:
    """Measure how long after its acquisition the source published each item."""
    name = "late items"
    if data.listed is None:
        return DataCheck(name, CheckOutcome.UNKNOWN, "-", "the source was not contacted")
    dated = [item for item in data.listed if item.published is not None and item.published >= item.time]
    if not dated:
        text = "the items do not say when they were published" + _describe_processing_delay(data.listed)
        return DataCheck(name, CheckOutcome.UNKNOWN, "-", text)
    # A catalogue that began after the satellite was filled at once: those items are old, not late.
    began = min(item.published for item in dated if item.published)
    running = [item for item in dated if item.time >= began]
    old = len(dated) - len(running)
    filled = f"; {count_of(old, 'item')} older than the catalogue itself" if old else ""
    if not running:
        text = f"all items are older than the catalogue, which begins on {began:%Y-%m-%d}"
        return DataCheck(name, CheckOutcome.UNKNOWN, "-", text, (), {"older_than_catalogue": old})
    delays = [_delay(item) for item in running]
    late = [item for item in running if _delay(item) > LATE]
    median, largest = _find_median(delays), max(delays)
    findings = [CheckFinding(item.id, item.time.date(), CheckOutcome.LOOK, *_describe_delay(item)) for item in late]
    outcome = CheckOutcome.LOOK if len(late) > LATE_SHARE * len(running) else CheckOutcome.OK
    text = f"items came {_days(median)} days after their acquisition (median), {_days(largest)} at most;"
    text += f" {len(late)} of {len(running)} later than {LATE.days} days{filled}"
    facts = {"median_days": _days(median), "largest_days": _days(largest), "late": len(late), "judged": len(running)}
    return DataCheck(name, outcome, f"{_days(largest)} d", text, findings, facts | {"older_than_catalogue": old})


def _delay(item: CatalogueItem) -> dt.timedelta:
    assert item.published is not None, "only dated items have a delay"
    return item.published - item.time


def _describe_delay(item: CatalogueItem) -> tuple[str, dict[str, object]]:
    days = _days(_delay(item))
    return f"published {days} days after its acquisition", {"days": days}


def _describe_processing_delay(listed: Sequence[CatalogueItem]) -> str:
    delays = [item.processed - item.time for item in listed if item.processed]
    if not delays:
        return ""
    median, largest = _days(_find_median(delays)), _days(max(delays))
    return f"; they were processed {median} days after their acquisition (median), {largest} at most"


def _find_median(delays: Sequence[dt.timedelta]) -> dt.timedelta:
    """Return the median; of two middle ones the longer."""
    return sorted(delays)[len(delays) // 2]


def _days(delay: dt.timedelta) -> float:
    return round(delay / dt.timedelta(days=1), 1)


def check_unfetched(data: ExaminedData) -> DataCheck:
    """Find items that the source lists now and the archive lacks."""
    name = "not in the archive"
    if data.listed is None:
        return DataCheck(name, CheckOutcome.UNKNOWN, "-", "the source was not contacted")
    limit = data.area.pipeline.scenes.max_cloud_cover
    archived = {observation.key: observation for observation in data.archived}
    listed = [item for item in data.listed if item.cloud_cover <= limit]
    wanted = [item for item in listed if item.key in archived or item.id not in data.left_unread]
    unread = len(listed) - len(wanted)
    findings = [
        CheckFinding(item.id, item.time.date(), CheckOutcome.LOOK, text)
        for item in wanted
        if (text := _describe_lack(item, archived.get(item.key)))
    ]
    text = f"{len(findings)} of {count_of(len(wanted), 'item')} of {data.source} are not in the archive"
    text += "; the next scan tries to fetch them" if findings else ""
    text += f"; {count_of(unread, 'more item')} not read: {BUDGET}" if unread else ""
    facts = {"listed": len(listed), "lacking": len(findings), "not_read_budget": unread}
    return DataCheck(name, CheckOutcome.LOOK if findings else CheckOutcome.OK, str(len(findings)), text, findings, facts)


def _describe_lack(item: CatalogueItem, archived: Observation | None) -> str:
    """Describe what the archive lacks of an item; '' where it has the item or a newer one."""
    if archived is None:
        return "acquisition not in the archive"
    if item.id in (*archived.source_ids, *(str(source["id"]) for source in archived.refused)):
        return ""
    baseline = "{:02d}.{:02d}".format(*item.baseline)
    of_tile = [str(source["baseline"]) for source in archived.sources if item.tile and source["tile"] == item.tile]
    if not of_tile:
        return f"tile {item.tile or '(not given)'} of an acquisition that is in the archive"
    if baseline > max(of_tile):
        return f"newer processing, baseline {baseline}; the archive has {max(of_tile)}"
    return ""
