"""What is drawn over an image: outlines, lines of latitude and longitude, scale bar, compass rose."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pandas as pd
import shapely
from matplotlib.axes import Axes

from minewatch.alerts.lifetime import GREEN_AGAIN, find_fate
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.alerts.style import COLOURS
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.grid import Grid, lonlat_from, lonlat_to, reproject
from minewatch.products.evidence.stages import OutlineStage, choose_stage
from minewatch.products.images.cartography import draw_compass, draw_label, draw_outline, draw_scale_bar
from minewatch.products.images.graticule import draw_graticule
from minewatch.products.images.image_subject import ImageSubject
from minewatch.products.images.map_page import LegendEntry
from minewatch.products.images.options import ALERTS, AOI, COMPASS, GRATICULE, OVERLAYS, SCALE_BAR

AREA_COLOUR = "#4da3ff"
"""Of the area's outline: visible on forest, and on white in the legend."""

WORDS = {status: status for status in COLOURS} | {CONFIRMED: "confirmed by the method"}
"""Status to what the legend calls it."""

MOST_LABELS = 30
"""Alerts that are labelled, the largest; more labels would cover each other."""


def label_stage(stage: OutlineStage, first_seen: dt.date) -> str:
    """Return the label of an outline, which says of which day outline and hectares are."""
    return f"{stage.area_ha:.1f} ha on {stage.day:%Y-%m-%d}\nfirst seen {first_seen:%Y-%m-%d}"


@dataclass(frozen=True)
class Overlay:
    """What is drawn over an image of a day."""

    subject: ImageSubject
    """What the image is about."""

    area: Grid
    """Grid of the whole area, with its outline."""

    frame: Grid
    """The image's pixels."""

    date: dt.date
    """The image's day."""

    overlays: tuple[str, ...] = OVERLAYS
    """Some of OVERLAYS."""

    as_known: bool = False
    """True to show alerts as they were known on that day, else as they are in the table."""

    def draw(self, axes: Axes) -> None:
        """Draw it on a map; alerts that were first seen after the image are dashed."""
        if GRATICULE in self.overlays:
            draw_graticule(axes, self.frame)
        if AOI in self.overlays:
            draw_outline(axes, self.area.area, AREA_COLOUR, 1.0)
        to_grid = lonlat_to(self.frame.crs)
        for number, row in enumerate(self._shown):
            stage = self._find_stage(row)
            shape = reproject(join_halves(stage.outline), to_grid)
            is_later = self._is_later(row)
            draw_outline(axes, shape, COLOURS[self._find_status(row)], 1.4, dashed=is_later, halo=True)
            if number < MOST_LABELS:
                draw_label(axes, self.frame, shape.bounds, label_stage(stage, row.first_seen))
        if SCALE_BAR in self.overlays:
            draw_scale_bar(axes, self.frame)
        if COMPASS in self.overlays:
            draw_compass(axes, self.frame)

    def _find_stage(self, row: Any) -> OutlineStage:
        """Return the outline of an alert as of the image's day as far as it is on file, else that of the table."""
        now = OutlineStage(row.as_of.date(), row.geometry, float(row.area_ha))
        return choose_stage(self.subject.find_stages(row.alert_id), now, self.date)

    @property
    def _shown(self) -> list[Any]:
        """Rows of the alerts that are outlined: the one that the image is about, then the largest first."""
        if ALERTS not in self.overlays or self.subject.alerts is None:
            return []
        own, frame = self.subject.name, self.frame
        extent = reproject(shapely.box(*frame.bounds), lonlat_from(frame.crs))
        rows = [row for row in self.subject.alerts.itertuples() if self.as_known or self._stands(row) or row.alert_id == own]
        near = [row for row in rows if join_halves(row.geometry).intersects(join_halves(extent))]
        return sorted(near, key=lambda row: (row.alert_id != own, -row.area_ha))

    def _stands(self, row: Any) -> bool:
        """True if an alert is open, or was confirmed and its ground is green again."""
        return row.status != CLOSED or find_fate(row._asdict()) == GREEN_AGAIN

    def _is_later(self, row: Any) -> bool:
        """True if an alert was first seen after the image."""
        return bool(row.first_seen.date() > self.date)

    def _find_status(self, row: Any) -> str:
        """Return the status of an alert in the table, or as it was known on the image's day."""
        if not self.as_known or self._is_later(row) or row.status == DISMISSED:
            return str(row.status)
        if row.status == CLOSED and row.last_seen.date() < self.date:
            return CLOSED
        return CONFIRMED if not pd.isna(row.confirmed_on) and row.confirmed_on.date() <= self.date else PROVISIONAL

    def list_entries(self) -> list[LegendEntry]:
        """Return the legend of the outlines."""
        kinds = {(self._find_status(row), self._is_later(row)): None for row in self._shown}
        area = [LegendEntry("area", AREA_COLOUR)] if AOI in self.overlays else []
        return area + [
            LegendEntry(f"{WORDS[status]}, first seen later" if later else WORDS[status], COLOURS[status], later)
            for status, later in sorted(kinds)
        ]
