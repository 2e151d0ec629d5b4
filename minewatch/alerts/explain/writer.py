"""Writes the explanation of an alert, from one of its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from minewatch.alerts.cells import read_day
from minewatch.alerts.corroboration.cells import read_agreements
from minewatch.alerts.explain.alert_pixels import AlertPixels
from minewatch.alerts.explain.look_writer import LookWriter, compare_epochs
from minewatch.alerts.explain.record import Curve, Episode, ExplainedLook, Explanation
from minewatch.alerts.lifetime import find_green_again
from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import lonlat_from
from minewatch.core.units import to_date, to_day
from minewatch.detection.baseline import NOISE_FLOOR, PixelBaseline
from minewatch.detection.harmonics import harmonic_terms
from minewatch.detection.monitor import Outcome


@dataclass(frozen=True)
class ExplanationWriter:
    """Writes the explanation of one pixel."""

    alert: Mapping[str, Any]
    """Row of the table."""

    area: AreaPlan
    """The scan, as it was."""

    observations: Sequence[Observation]
    """What the result rests on."""

    traced: AlertPixels
    """The alert's pixels."""

    pixel: int
    """Number of the pixel in the window."""

    def write(self, notes: tuple[str, ...]) -> Explanation:
        """Return the explanation."""
        traced, row = self.traced, dict(self.alert)
        window = traced.tile.window
        place = window.row + self.pixel // window.width, window.column + self.pixel % window.width
        x, y = self.area.grid.transform @ (place[1] + 0.5, place[0] + 0.5)
        lon, lat = lonlat_from(self.area.grid.crs).transform(x, y)
        writer = LookWriter(self.observations, traced, self.area.pipeline.mask.clear_classes)
        number = writer.find_number(self.pixel)
        (bases,) = writer.fit_baselines([number])
        looks = writer.write(self.pixel, bases)
        # Dates are called in EPISODE as in Episode.
        last, found = bases[max(bases)], traced.tracked.episodes[traced.tracked.episodes["row"] == number]
        return Explanation(
            alert_id=row["alert_id"],
            status=row["status"],
            last_normal=read_day(row["last_normal"]),
            first_seen=row["first_seen"].date(),
            confirmed_on=read_day(row["confirmed_on"]),
            green_again=find_green_again(row),
            monitor_from=self.area.monitor_from,
            as_of=self.area.until,
            pixel=place,
            position=(round(lat, 6), round(lon, 6)),
            pixels=int(traced.tile.inside.sum()),
            noise=float(last.noise),
            baseline_looks=int(last.looks),
            episodes=tuple(Episode(*(to_date(int(episode[day.name])) for day in fields(Episode))) for episode in found),
            looks=looks,
            curve=self._draw_curve(writer, number, bases, looks),
            witnesses=tuple(read_agreements(row.get("witness_basis"))),
            notes=notes,
        )

    def _draw_curve(
        self, writer: LookWriter, number: int, bases: Mapping[int, PixelBaseline], looks: Sequence[ExplainedLook]
    ) -> Curve:
        """Evaluate the baseline day by day, for scenes that shift nothing."""
        traced, slip = self.traced, self.traced.tile.settings.season_slip
        days = np.arange(traced.series.days[0], to_day(self.area.until) + 1, dtype=np.int32)
        terms = np.stack([harmonic_terms(days + step) for step in (0, -slip, slip)])
        fitted = traced.tracked.trace[number, 1, np.searchsorted(traced.series.days, days, side="right") - 1]
        found = compare_epochs(np.zeros((4, len(days))), bases, fitted, terms, np.zeros((len(days), 4)), writer.rules)
        low, high = writer.find_band(found, bases, fitted, 0.0)
        baseline = [(x.bsi, x.expected_bsi) for x in looks if x.outcome == Outcome.BASELINE]
        residuals = [abs(seen - expected) for seen, expected in baseline if seen is not None and expected is not None]
        noise = max(1.4826 * float(np.median(residuals)), NOISE_FLOOR) if residuals else NOISE_FLOOR
        return Curve(days, found.level, low, high, found.expected_bsi, noise)
