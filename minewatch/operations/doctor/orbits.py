"""Compares the acquisitions that the orbits let expect with those that exist.

A Sentinel-2 satellite passes over the same place on the same relative orbit every 10 days (143 orbits).  Two satellites
half a circle apart share the orbits, so that one of them comes every 5 days.  The phase of each satellite over an area,
the day modulo 10, follows from the acquisitions themselves: no table of orbits is needed.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from minewatch.archive.choice import BUDGET
from minewatch.areas.grid import lonlat_from
from minewatch.core.text import count_of, format_percent
from minewatch.core.units import EPOCH, to_day
from minewatch.operations.doctor.catalogue_items import find_orbit
from minewatch.operations.doctor.checks import CheckFinding, CheckOutcome, DataCheck, ExaminedData

CYCLE = 10
"""Days after which a satellite is on the same orbit again (ESA, Sentinel-2: 143 orbits in 10 days)."""

LEAST_PASSES = 3
"""Overpasses that make a track; fewer are single acquisitions, such as those of a campaign."""

LAG = 5
"""Days at the end of the period that are not checked: catalogues get products hours to days late."""

MISSING_SHARE = 0.1
"""Share of missing acquisitions from which somebody should look; satellites lose a few to manoeuvres and calibration."""

LONG_GAP = 30
"""Days without any acquisition from which a gap is a finding of its own."""

CLOUD_LIMIT = 95
"""A catalogue of many scenes whose cloudiest has less than this (per cent) probably lists only clear ones."""

ENOUGH_SCENES = 20
"""Scenes that this conclusion needs."""

STEADY_FROM = dt.date(2018, 1, 1)
"""Earlier overpasses are not expected: until the end of 2017 the satellites did not observe all land in each cycle.

Outside Europe, Africa and Greenland the two took each place every 10 days together (CESBIO's blog of November 2017 on ESA's
mission status report; the full rhythm was announced for December 2017).
"""


@dataclass(frozen=True)
class Satellite:
    """A satellite's time of service."""

    launched: dt.date
    """No acquisition can be older."""

    steady_from: dt.date
    """First day from which each overpass of land is expected."""

    steady_until: dt.date | None = None
    """Last such day; None = until today."""


SATELLITES = {
    # Launched 23 June 2015 (ESA).  On 21 January 2025 Sentinel-2C took its place; since then it flies 36 degrees from
    # Sentinel-2B and observes Europe every 10 days and other land every 20 (Copernicus Observer, 5 February 2025).
    "s2a": Satellite(dt.date(2015, 6, 23), STEADY_FROM, dt.date(2025, 1, 20)),
    # Launched 7 March 2017 (ESA).
    "s2b": Satellite(dt.date(2017, 3, 7), STEADY_FROM),
    # Launched 5 September 2024, routine operation from 21 January 2025 in the place of Sentinel-2A (ESA).
    "s2c": Satellite(dt.date(2024, 9, 5), dt.date(2025, 1, 21)),
}
"""By the first part of an observation's key."""

ANY_SATELLITE = Satellite(dt.date(2015, 6, 23), STEADY_FROM)
"""For items that do not name their satellite."""


@dataclass(frozen=True)
class Overpass:
    """One acquisition over the area, whatever the number of its tiles."""

    platform: str
    """s2a, s2b, s2c; s2 where it is not known."""

    day: int
    """Solar day, in days since 1970-01-01: where the orbit crosses midnight UTC, the UTC date would jump."""

    orbit: int | None
    """Relative orbit, None where it is not given."""


@dataclass(frozen=True)
class Track:
    """The overpasses of one satellite at intervals of CYCLE."""

    platform: str
    """The satellite."""

    phase: int
    """Day modulo CYCLE."""

    orbits: tuple[int, ...]
    """Relative orbits that the items give; usually one, none where they do not say."""

    found: frozenset[int]
    """Solar days with an acquisition."""

    @property
    def label(self) -> str:
        """Its name for people."""
        orbit = " and ".join(f"{orbit}" for orbit in self.orbits)
        return f"{self.platform.upper()} on orbit {orbit}" if orbit else f"{self.platform.upper()}, orbit not given"

    def expect(self, first: int, last: int) -> list[int]:
        """Return the days between two days on which the satellite in full service passes."""
        satellite = SATELLITES.get(self.platform, ANY_SATELLITE)
        start = max(first, to_day(satellite.steady_from))
        end = min(last, to_day(satellite.steady_until)) if satellite.steady_until else last
        return list(range(start + (self.phase - start) % CYCLE, end + 1, CYCLE))


def list_overpasses(data: ExaminedData) -> set[Overpass]:
    """Return the acquisitions that the source lists or, where it was not contacted, those of the archive."""
    left, bottom, right, top = data.area.grid.bounds
    to_degrees = lonlat_from(data.area.grid.crs)
    longitude, _ = to_degrees.transform((left + right) / 2, (bottom + top) / 2)
    if data.listed is not None:
        items = [(item.key, item.time, item.orbit) for item in data.listed]
    else:
        items = [(o.key, o.time, find_orbit({}, o.source_ids)) for o in data.observations]
    return {Overpass(key.split("_")[0], solar_day(time, longitude), orbit) for key, time, orbit in items}


def solar_day(time: dt.datetime, longitude: float) -> int:
    """Return the day, in days since 1970-01-01, in the solar time of a place."""
    return to_day((time + dt.timedelta(days=longitude / 360)).date())


def find_tracks(overpasses: Iterable[Overpass]) -> list[Track]:
    """Group overpasses into tracks of at least LEAST_PASSES."""
    groups: dict[tuple[str, int], list[Overpass]] = defaultdict(list)
    for one in overpasses:
        groups[one.platform, one.day % CYCLE].append(one)
    tracks = []
    for (platform, phase), members in sorted(groups.items()):
        days = frozenset(one.day for one in members)
        if len(days) >= LEAST_PASSES:
            orbits = tuple(sorted({one.orbit for one in members if one.orbit is not None}))
            tracks.append(Track(platform, phase, orbits, days))
    return tracks


def check_missing(data: ExaminedData) -> DataCheck:
    """Compare the acquisitions with the days expected from the orbits."""
    name = "missing acquisitions"
    overpasses = list_overpasses(data)
    tracks = find_tracks(overpasses)
    first, last = to_day(data.area.history_from), to_day(data.area.until) - LAG
    plans = [(track, track.expect(first, last)) for track in tracks]
    expected = sum(len(days) for _, days in plans)
    impossible = _find_impossible(overpasses)
    if not expected:
        text = f"no satellite has passed {LEAST_PASSES} times in a regular rhythm since {STEADY_FROM}, so gaps cannot be judged"
        return DataCheck(name, CheckOutcome.LOOK if impossible else CheckOutcome.UNKNOWN, "-", text, impossible)
    gaps = [gap for track, days in plans for gap in _list_gaps(track, days)]
    pauses = _list_pauses(overpasses, min(days[0] for _, days in plans if days), last)
    missing = sum(gap.facts["passes"] for gap in gaps)
    share = missing / expected
    outcome = CheckOutcome.LOOK if share > MISSING_SHARE or pauses or impossible else CheckOutcome.OK
    findings = sorted([*impossible, *pauses, *gaps], key=lambda finding: (finding.date, finding.subject))
    begin = _date(min(days[0] for _, days in plans if days))
    where = f"in {data.source}" if data.listed is not None else "in the archive"
    text = f"{missing} of {expected} acquisitions expected from the orbits since {begin} are not {where}"
    text += _explain(data) + _find_doubtful_platforms(tracks)
    facts = {
        "expected": expected,
        "missing": missing,
        "share": round(share, 4),
        "tracks": [
            {"platform": track.platform, "orbits": list(track.orbits), "expected": len(days)}
            | {"found": len(track.found & set(days))}
            for track, days in plans
        ],
    }
    return DataCheck(name, outcome, format_percent(share), text, findings, facts)


def _explain(data: ExaminedData) -> str:
    """Describe what may explain missing acquisitions."""
    if data.listed is None:
        limit = data.area.pipeline.scenes.max_cloud_cover
        unread = len(data.left_unread - {name for observation in data.archived for name in observation.source_ids})
        cloudy = f"; scenes above the pipeline's {limit:g} % cloud are left out" if limit < 100 else ""
        return cloudy + (f"; {count_of(unread, 'scene')} not read: {BUDGET}" if unread else "")
    cloudiest = max((item.cloud_cover for item in data.listed), default=0)
    if len(data.listed) >= ENOUGH_SCENES and cloudiest < CLOUD_LIMIT:
        return f"; its cloudiest scene has {cloudiest:.0f} % cloud, so it may list only clear scenes"
    return ""


def _find_doubtful_platforms(tracks: Sequence[Track]) -> str:
    """Name satellites that appear twice in a cycle, half a cycle apart, as only two satellites together do."""
    phases = {(track.platform, track.phase) for track in tracks}
    halves = sorted({platform for platform, phase in phases if (platform, (phase + CYCLE // 2) % CYCLE) in phases})
    if not halves or "s2" in halves:
        return ""
    names = " and ".join(platform.upper() for platform in halves)
    return f"; {names} appears every {CYCLE // 2} days, which takes two satellites: the platform names are doubtful"


def _find_impossible(overpasses: Iterable[Overpass]) -> list[CheckFinding]:
    """Name acquisitions that are older than their satellite."""
    return [
        CheckFinding(
            f"{one.platform.upper()} {_date(one.day)}",
            _date(one.day),
            CheckOutcome.LOOK,
            f"dated before {one.platform.upper()} was launched ({SATELLITES[one.platform].launched}): date or platform is wrong",
        )
        for one in sorted(overpasses, key=lambda one: one.day)
        if one.platform in SATELLITES and one.day < to_day(SATELLITES[one.platform].launched)
    ]


def _list_gaps(track: Track, days: Sequence[int]) -> list[CheckFinding]:
    """Join missing days that follow each other into gaps."""
    gaps: list[list[int]] = []
    for before, day in zip([None, *days], days, strict=False):
        if day in track.found:
            continue
        if gaps and gaps[-1][-1] == before:
            gaps[-1].append(day)
        else:
            gaps.append([day])
    return [_describe_gap(track, gap) for gap in gaps]


def _describe_gap(track: Track, gap: Sequence[int]) -> CheckFinding:
    first, last = _date(gap[0]), _date(gap[-1])
    dates = f"on {first}" if first == last else f"from {first} to {last}"
    facts = {"platform": track.platform, "from": first.isoformat(), "to": last.isoformat(), "passes": len(gap)}
    # A single missing pass needs no look; the share counts them.
    return CheckFinding(track.label, first, CheckOutcome.OK, f"{count_of(len(gap), 'pass')} missing {dates}", facts)


def _list_pauses(overpasses: Iterable[Overpass], first: int, last: int) -> list[CheckFinding]:
    """Find periods of LONG_GAP days or more without any acquisition."""
    days = sorted({one.day for one in overpasses if first <= one.day <= last})
    edges = [first - 1, *days, last + 1]
    return [
        CheckFinding(
            "any satellite",
            _date(before + 1),
            CheckOutcome.LOOK,
            f"no acquisition at all from {_date(before + 1)} to {_date(after - 1)}, {count_of(after - before - 1, 'day')}",
            {"from": _date(before + 1).isoformat(), "to": _date(after - 1).isoformat(), "days": after - before - 1},
        )
        for before, after in pairwise(edges)
        if after - before > LONG_GAP
    ]


def _date(day: int) -> dt.date:
    return EPOCH + dt.timedelta(days=day)
