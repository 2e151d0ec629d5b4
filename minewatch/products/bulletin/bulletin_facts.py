"""The facts of a bulletin, before they are written as text or tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from shapely.geometry.base import BaseGeometry

from minewatch.alerts.credits import AlertCredits
from minewatch.areas.coordinates import Position
from minewatch.products.bulletin.options import AREA
from minewatch.products.bulletin.period import Period
from minewatch.products.report.drawing import Map

MONTH, YEAR, BEFORE = "month", "year", "before"
SPANS = (MONTH, YEAR, BEFORE)
"""The month itself, the year up to its end, and the same month a year before."""

SEEN = "seen"
UNSEEN, NO_LOOK, NO_VEGETATION, NOT_MONITORED = "unseen", "no-look", "no-vegetation", "not-monitored"
NOT_BEGUN, NOT_REACHED, NOT_SCANNED, NO_RECORD = "not-begun", "not-reached", "not-scanned", "no-record"
GROUNDS = (SEEN, UNSEEN, NO_LOOK, NO_VEGETATION, NOT_MONITORED, NOT_BEGUN, NOT_REACHED, NOT_SCANNED, NO_RECORD)
"""What ground can be in a time: examined; without a clear look; without an overpass; without vegetation to lose; with too few
clear looks to be monitored; not watched yet; later than the as-of date; in an area that was never scanned; in one whose records
of the last scan are gone."""

SEEN_SHARE = 0.5
"""Share of a unit's watched ground that must have been examined; below it, a bulletin never says that there was no alert."""

NEW, CONFIRMED_NOW, GROWN, GREEN = "new", "confirmed", "grown", "green"
TAGS = (NEW, CONFIRMED_NOW, GROWN, GREEN)
"""What can become of an alert in a time; several may hold."""


BARE = "bare"
"""Alerts that are confirmed and open."""


@dataclass(frozen=True)
class BulletinRequest:
    """What a bulletin is about, and how it is written."""

    month: Period
    """Its days."""

    by: str = AREA
    """One of UNITS."""

    language: str = "en"
    """One of the languages of reports."""

    formats: tuple[str, ...] = ("html",)
    """Some of FORMATS."""


@dataclass(frozen=True)
class Count:
    """Some alerts."""

    alerts: int = 0
    """Their number."""

    hectares: float = 0.0
    """Of their ground that is meant, in the unit."""


@dataclass(frozen=True)
class Sight:
    """How much of the watched ground of a unit was examined in a time."""

    shares: Mapping[str, float]
    """What ground was, one of GROUNDS, to its share; they add up to 1, absent ones are 0.  Empty: nothing is watched."""

    looks: int = 0
    """Overpasses with data in any of its areas."""

    @property
    def examined(self) -> float:
        """Share in which an alert would have been seen: monitored, with vegetation to lose and a clear look."""
        return self.shares.get(SEEN, 0.0)

    @property
    def not_seen(self) -> float:
        """Share without a clear look."""
        return self.share(UNSEEN, NO_LOOK)

    @property
    def blind(self) -> float:
        """Share without vegetation to lose."""
        return self.share(NO_VEGETATION)

    @property
    def state(self) -> str:
        """SEEN where enough was examined, else what most of the rest was."""
        rest = {ground: share for ground, share in self.shares.items() if ground != SEEN}
        if not rest or self.examined >= SEEN_SHARE:
            return SEEN
        return max(rest, key=lambda ground: (rest[ground], -GROUNDS.index(ground)))

    def share(self, *grounds: str) -> float:
        """Return the share of some kinds of ground together."""
        return sum(self.shares.get(ground, 0.0) for ground in grounds)


@dataclass(frozen=True)
class Tally:
    """The alerts of a unit in a time, as known at its end."""

    sight: Sight
    """What was examined."""

    new: Count = Count()
    """Raised in the time, confirmed by its end or still open, with their ground at its end."""

    confirmed: Count = Count()
    """Confirmed by the method in the time, with their ground at its end."""

    grown: Count = Count()
    """Raised before, with the ground that they gained."""

    bare: Count = Count()
    """Confirmed and open at the end."""

    provisional: Count = Count()
    """Not confirmed and open at the end."""

    green: Count = Count()
    """Confirmed, and green again since a day of the time, with the ground that they had."""

    faded: int = 0
    """Alerts that closed in the time without ever being confirmed."""

    dismissed: int = 0
    """Alerts that a person dismissed by the as-of date of the table; they are in none of the other numbers."""

    @property
    def laid_bare(self) -> float:
        """Hectares of new alerts and of growth."""
        return self.new.hectares + self.grown.hectares


@dataclass(frozen=True)
class UnitAlert:
    """An alert of a unit, as known at the end of the month."""

    number: int
    """In its unit, from 1; the largest new or gained ground first."""

    alert_id: str
    """Its id."""

    aoi: str
    """Its area."""

    status: str
    """One of provisional, confirmed, closed."""

    tags: tuple[str, ...]
    """What became of it in the month, some of TAGS; empty where nothing did."""

    last_normal: dt.date | None
    """The last normal look before the change; None where none is known."""

    first_seen: dt.date
    """The first look that shows it."""

    confirmed_on: dt.date | None
    """The look that confirmed it."""

    green_on: dt.date | None
    """The look since which it is green again."""

    hectares: float
    """Of it, in the unit."""

    gained: float
    """Hectares that it gained in the month, in the unit."""

    position: Position
    """Of a point inside."""

    outline: BaseGeometry
    """Its ground in the unit, degrees."""

    legal_status: str = "unknown"
    """Of the table's as-of date."""

    legal_reason: str = ""
    """Why the legal status is unknown."""

    mine_score: float | None = None
    """Likeness to a mine; None where it was not scored."""

    review: str = ""
    """What a person decided by the table's as-of date; '' for nothing."""


@dataclass(frozen=True)
class UnitFacts:
    """One unit."""

    number: int
    """In the bulletin, from 1."""

    name: str
    """Its name."""

    id: str
    """What its register calls it; '' for nothing."""

    layer: str
    """Name of the context layer; '' for areas of interest and for the ground outside any unit."""

    standing: str
    """Of a concession, one of STANDINGS; '' otherwise."""

    is_outside: bool
    """True for the watched ground that lies in no unit."""

    km2: float
    """Its size; of the ground outside any unit, what is watched."""

    watched: float
    """Share of it that lies in areas of interest."""

    as_of: tuple[dt.date, dt.date] | None
    """Earliest and latest as-of date of its areas; None where none was scanned."""

    tallies: Mapping[str, Tally]
    """One for each of SPANS."""

    legal: Mapping[str, Mapping[str, Count]]
    """NEW and BARE to the legal statuses of those alerts, to how many; those without an alert are absent."""

    scored: int
    """Alerts that are new or bare and have a likeness."""

    like: int
    """Of these, those whose ground looks like a mine."""

    alerts: tuple[UnitAlert, ...]
    """Those that are open at the end of the month, or of which something became in it."""

    map: Map | None
    """Its watched ground with its alerts; None where it has none."""

    @property
    def month(self) -> Tally:
        """Of the month."""
        return self.tallies[MONTH]

    @property
    def events(self) -> tuple[UnitAlert, ...]:
        """Alerts of which something became in the month."""
        return tuple(alert for alert in self.alerts if alert.tags)


@dataclass(frozen=True)
class BulletinFacts:
    """All facts of a bulletin."""

    request: BulletinRequest
    """What was asked for."""

    made: dt.datetime
    """When it was made, UTC."""

    as_of: tuple[dt.date, dt.date]
    """Earliest and latest as-of date of the areas in the table."""

    known_to: dt.date
    """The last day that any number of the month rests on: its end, or the latest as-of date where that is earlier."""

    areas: int
    """Areas of interest."""

    total: UnitFacts
    """All areas of interest together."""

    units: tuple[UnitFacts, ...]
    """Where most ground was laid bare first."""

    layers: tuple[str, ...]
    """Context layers that the units are of."""

    credits: AlertCredits
    """Whom to credit."""

    is_simulated: bool
    """True where the looks are of simulated scenes."""

    notes: tuple[str, ...] = ()
    """Lines for the person who made it; they are not printed in it."""

    missing: tuple[str, ...] = field(default=())
    """Areas that could not be counted, with why and what to do; a line each."""
