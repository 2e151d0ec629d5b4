"""The results of a scan: for the user, for ``--json`` and for the run record."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minewatch import __version__
from minewatch.alerts.columns import Value
from minewatch.alerts.context.place import Cells
from minewatch.alerts.history import HistoryEvent
from minewatch.alerts.lifetime import FateCount
from minewatch.alerts.record import Alert
from minewatch.alerts.table import AreaResult, TableChanges
from minewatch.archive.choice import BUDGET
from minewatch.archive.item import USUALLY_BROKEN, Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.detection.chance import Chance
from minewatch.detection.coverage import Coverage, Emptiness
from minewatch.detection.lasting import LASTING_DAYS
from minewatch.detection.scene_quality import SceneQuality
from minewatch.operations.plan import ScanPlan
from minewatch.products.evidence.folder_writer import EvidenceResult
from minewatch.sources.scene import Datatake
from minewatch.sources.search import SearchResult
from minewatch.sources.skipped import SceneCount, SkippedCount, SkippedScene

REASONS = NO_SCENE, REFUSED, UNREADABLE, LEFT_UNREAD, CLOUDY = (
    "no scene in the catalogue",
    "refused",
    "not readable",
    f"not read: {BUDGET}",
    "cloudy",
)
"""Why ground was not seen; of scenes that were refused, not readable or not read, nobody knows all that they would have shown."""


@dataclass(frozen=True)
class AreaReport:
    """What a scan did in one area."""

    plan: AreaPlan
    """Area, settings and dates."""

    source: str
    """Where its scenes came from."""

    found: SearchResult
    """The search result."""

    observations: Sequence[Observation]
    """Those that the result rests on."""

    fetched: int
    """Observations read in this scan."""

    received: int
    """Bytes fetched over the line for them."""

    left_unread: Sequence[Datatake]
    """Looks that the area's budget does not pay for."""

    failures: Sequence[SkippedScene]
    """Scenes that could not be read, or were refused."""

    coverage: Coverage
    """How much of the area was seen, and when."""

    scene_quality: SceneQuality
    """Of each look, over the whole area."""

    alerts: Sequence[Alert]
    """As of the as-of date."""

    table_changes: TableChanges
    """What changed in the table."""

    notes: Sequence[str] = ()
    """Lines a person should read."""

    context: Mapping[str, Cells] = field(default_factory=dict)
    """Alert id to its values of the columns on context and likeness."""

    likeness: Mapping[str, int] = field(default_factory=dict)
    """How many alerts were scored, and for each reason how many were not."""

    emptiness: Sequence[Emptiness] = ()
    """Observations without data where the footprints of their scenes promise some."""

    evidence: EvidenceResult = field(default_factory=EvidenceResult)
    """Evidence that was written, and what failed."""

    @property
    def fates(self) -> FateCount:
        """Alerts ever confirmed, by what became of them."""
        return FateCount.of(vars(alert) for alert in self.alerts)

    @property
    def skipped(self) -> SkippedCount:
        """Scenes that were refused or could not be read."""
        return SkippedCount.of(self.failures)

    @property
    def visibility(self) -> str:
        """What was not seen, and the scenes that are missing for it, in one line."""
        return self.coverage.describe(self.skipped.describe())

    @property
    def why_unseen(self) -> str:
        """The kind of reason for ground that was not seen, one of REASONS; '' where all was seen lately."""
        if self.coverage.unseen <= 0:
            return ""
        if self.failures:
            return REFUSED if self.skipped.refused else UNREADABLE
        if any(one.time.date() >= self.plan.monitor_from for one in self.left_unread):
            return LEFT_UNREAD
        recent = any(observation.time.date() >= self.plan.monitor_from for observation in self.observations)
        return CLOUDY if recent or self.found.cloudy else NO_SCENE

    @property
    def scenes_found(self) -> int:
        """Scenes that the source listed, with those that are refused or too cloudy."""
        return len(self.found.scenes) + len(self.found.refused) + len(self.found.cloudy)

    @property
    def scene_count(self) -> SceneCount:
        """What became of the scenes that the source lists or the archive has."""
        used = {scene for observation in self.observations for scene in observation.source_ids}
        skipped = {*(failure.id for failure in self.failures), *self.found.cloudy} - used
        others = {scene.id for scene in self.found.scenes} - used - skipped
        unread = others & {name for datatake in self.left_unread for name in datatake.ids}
        return SceneCount(len(used), len(skipped), len(others - unread), len(unread))


@dataclass(frozen=True)
class FailedArea:
    """An area that could not be scanned: its alerts and rasters are unchanged."""

    aoi: str
    """Its name."""

    reason: str
    """Why, in one line."""


@dataclass(frozen=True)
class ScanReport:
    """What a scan did."""

    run_id: str
    """Id of the scan."""

    source: str
    """Where scenes came from; the names of all sources where areas have their own."""

    areas: Sequence[AreaReport]
    """In the requested order."""

    record: Path
    """The run record."""

    failed_areas: Sequence[FailedArea] = ()
    """Areas that could not be scanned; never all, since that is an error."""

    received: int = 0
    """Bytes that came over the line: catalogue, scenes and images."""

    @property
    def failures(self) -> int:
        """Scenes that could not be read or were refused."""
        return sum(len(area.failures) for area in self.areas)

    @property
    def evidence_missing(self) -> int:
        """Alerts whose evidence could not be written."""
        return sum(len(area.evidence.failed) for area in self.areas)


def describe_scan(report: ScanReport) -> dict[str, Any]:
    """Return a scan as plain data, for ``--json`` and the run record."""
    return {
        "run_id": report.run_id,
        "source": report.source,
        "areas": [_describe_area(area) for area in report.areas],
        "not_searched": [{"aoi": failed.aoi, "reason": failed.reason} for failed in report.failed_areas],
        "bytes": report.received,
        "record": str(report.record),
    }


def _describe_area(area: AreaReport) -> dict[str, Any]:
    plan, coverage = area.plan, area.coverage
    return {
        "aoi": plan.aoi.name,
        "source": area.source,
        "pipeline": plan.pipeline_name,
        "pipeline_digest": plan.pipeline.digest,
        "monitor_from": plan.monitor_from.isoformat(),
        "as_of": plan.until.isoformat(),
        "what_if": plan.what_if,
        "deviations": list(plan.deviations),
        "bytes": area.received,
        "budget": plan.budget,
        "scenes": {
            "found": area.scenes_found,
            "observations_read": area.fetched,
            "observations_used": len(area.observations),
            "too_cloudy": list(area.found.cloudy),
            "emptier_than_footprint": [
                {"ids": list(empty.scenes), "covered": round(empty.covered, 4), "valid": round(empty.valid, 4)}
                for empty in area.emptiness
            ],
            "broken_numbers": [
                {"ids": list(look.source_ids), "date": look.time.date().isoformat(), "share": round(look.broken_share or 0, 4)}
                for look in list_broken(area.observations)
            ],
            "refused": area.skipped.refused,
            "unreadable": area.skipped.unreadable,
            "not_read": [{"id": name, "reason": BUDGET} for one in area.left_unread for name in one.ids],
            "failed": [{"id": refusal.id, "reason": refusal.reason} for refusal in area.failures],
            "used": [source for observation in area.observations for source in observation.source_ids],
        },
        "alerts": dict(sorted(Counter(alert.status for alert in area.alerts).items())),
        "ever_confirmed": area.fates.as_data(),
        "likeness": dict(area.likeness),
        "changes": dict(sorted(area.table_changes.events.items())),
        "changed": [_describe_event(event) for event in area.table_changes.changed],
        "coverage": {
            "status": {name: round(share, 4) for name, share in coverage.status.items()},
            "never_clear": round(coverage.never_clear, 4),
            "unseen": round(coverage.unseen, 4),
            "unseen_days": coverage.unseen_days,
            "last_clear": coverage.last_clear.isoformat() if coverage.last_clear else None,
            "missing_looks": coverage.missing_looks,
            "watched": round(coverage.watched, 4),
            "lasting": _describe_chance(coverage.chance),
            "why_unseen": area.why_unseen,
            "text": area.visibility,
        },
        "evidence": {
            "written": list(area.evidence.written),
            "extended": list(area.evidence.extended),
            "failed": [{"alert_id": alert_id, "reason": reason} for alert_id, reason in area.evidence.failed.items()],
        },
        "notes": list(area.notes),
    }


def _describe_chance(chance: Chance) -> dict[str, Any]:
    return {
        "days": LASTING_DAYS,
        "confirmed": _round(chance.share),
        "confirmed_by_month": {month: round(share, 4) for month, share in chance.months.items()},
        "blind_from": chance.blind_from and chance.blind_from.isoformat(),
        "blind_to": chance.blind_to and chance.blind_to.isoformat(),
        "blind": _round(chance.blind_share),
    }


def _round(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _describe_event(event: HistoryEvent) -> dict[str, str]:
    facts = {"alert_id": event.alert_id, "event": event.event, "detail": event.detail}
    more = {"former_id": event.former_id, "from_status": event.from_status, "to_status": event.to_status}
    return facts | {name: value for name, value in more.items() if value}


def make_run_row(plan: ScanPlan, areas: Sequence[AreaReport]) -> dict[str, Value]:
    """Return the row of a scan for the table of runs."""
    return {
        "run_id": plan.run_id,
        "started": plan.started.isoformat(timespec="seconds"),
        "version": __version__,
        "aois": ", ".join(area.plan.aoi.name for area in areas),
        "what_if": int(any(area.plan.what_if for area in areas)),
        "scenes_used": sum(len(area.observations) for area in areas),
        "scenes_skipped": sum(len(area.failures) for area in areas),
    }


def make_area_result(area: AreaReport) -> AreaResult:
    """Return the results of an area for the alerts table."""
    plan, coverage = area.plan, area.coverage
    facts: dict[str, Value] = {
        "monitor_from": plan.monitor_from,
        "as_of": plan.until,
        "pipeline": plan.pipeline_name,
        "digest": plan.pipeline.digest,
        "area_km2": round(plan.aoi.area_km2, 4),
        "share_unseen": round(coverage.unseen, 4),
        "last_clear": coverage.last_clear,
        "share_lasting": _round(coverage.chance.share),
        "blind_from": coverage.chance.blind_from,
        "blind_to": coverage.chance.blind_to,
        "share_blind": _round(coverage.chance.blind_share),
        "why_unseen": area.why_unseen,
        "scenes_refused": area.skipped.refused,
        "scenes_unreadable": area.skipped.unreadable,
        "skipped_reason": area.skipped.reason,
        "budget": None if plan.budget is None else float(plan.budget),
        "left_unread": len(area.left_unread),
    }
    sources = {o.time.date(): ", ".join(o.source_ids) for o in reversed(area.observations)}
    scenes = {a.alert_id: (sources.get(a.last_normal or dt.date.min, ""), sources.get(a.last_seen, "")) for a in area.alerts}
    settings = plan.pipeline.alerts
    return AreaResult(plan.aoi.name, plan.aoi.geometry, area.alerts, scenes, facts, settings, plan.what_if, area.context)


def list_broken(observations: Iterable[Observation]) -> list[Observation]:
    """Return the observations of which an unusual share of the pixels is no reflectance."""
    return [o for o in observations if o.broken_share is not None and o.broken_share >= USUALLY_BROKEN]
