"""One alert: the row of the table, without what people add to it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

PROVISIONAL, CONFIRMED, CLOSED, DISMISSED = "provisional", "confirmed", "closed", "dismissed"
STATES = (PROVISIONAL, CONFIRMED, CLOSED, DISMISSED)
"""What ``status`` can be."""


@dataclass(frozen=True)
class AlertStage:
    """A confirmed alert as it was after the looks of a day."""

    date: dt.date
    """The day: that of the confirming look, or one on which the alert had grown."""

    geometry: BaseGeometry
    """MultiPolygon, lon/lat."""

    area_ha: float
    """Geodesic, hectares."""

    lat: float
    """Degrees, of a point inside."""

    lon: float
    """Degrees, of the same point."""


@dataclass(frozen=True)
class Alert:
    """A site that changed."""

    alert_id: str
    """Area, the day it began, and a hash of its founding pixel."""

    aoi: str
    """Name of the area."""

    status: str
    """One of STATES."""

    first_seen: dt.date
    """The look on which the smallest area of an alert had been seen changed."""

    confirmed_on: dt.date | None
    """The last look that the confirmation needed; never cleared."""

    last_seen: dt.date
    """The last look on which it still showed."""

    area_ha: float
    """Geodesic, hectares."""

    lat: float
    """Degrees, of a point inside."""

    lon: float
    """Degrees, of the same point."""

    ndvi_change: float
    """Mean difference from the baseline."""

    bsi_change: float
    """Mean difference from the baseline."""

    looks: int
    """Clear looks since first_seen (median of its pixels)."""

    last_normal: dt.date | None
    """The last look before first_seen at which its ground was judged normal; None where none is known."""

    geometry: BaseGeometry
    """MultiPolygon, lon/lat."""

    merged_into: str = ""
    """The alert that took it in."""

    split_from: str = ""
    """The alert it was a part of."""

    closed_on: dt.date | None = None
    """The look from which its ground counts as green again, or as part of another alert; None while it is open."""

    split_on: dt.date | None = None
    """The look that split it off."""

    stages: tuple[AlertStage, ...] = ()
    """As of its confirming look, and of each look at which it had grown; none while it was never confirmed."""

    def at(self, stage: AlertStage) -> Alert:
        """Return the alert as it was at a stage; its looks and mean changes remain those of the latest look."""
        return replace(
            self,
            status=CONFIRMED,
            last_seen=min(self.last_seen, stage.date),
            area_ha=stage.area_ha,
            lat=stage.lat,
            lon=stage.lon,
            geometry=stage.geometry,
            merged_into="",
            closed_on=None,
            stages=(),
        )
