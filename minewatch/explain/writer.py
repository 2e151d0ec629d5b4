"""Writes down what happened at one pixel of an alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Transformer

from minewatch.archive import Observation, Stack, read_stack
from minewatch.detect.baseline import NOISE_FLOOR, evaluate, harmonic_terms
from minewatch.detect.monitor import COUNTED, FIELDS, Outcome, Sight, see
from minewatch.detect.pixels import PixelBaseline, fit_pixel, make_rules
from minewatch.explain.ground import Ground
from minewatch.explain.record import Curve, Episode, Explanation, Look
from minewatch.grid import Window
from minewatch.plan import AreaPlan
from minewatch.units import NODATA, SCALE, to_date, to_day

MASKED: Mapping[int, str] = {
    0: "no data",
    1: "defective",
    2: "dark",
    3: "cloud shadow",
    8: "likely cloud",
    9: "cloud",
    10: "thin cirrus",
    11: "snow",
}
"""Why a pixel is not clear, by SCL code; classes that are taken as clear are named by what lies around them."""

EPISODE_DATES = ("first_seen", "provisional_on", "confirmed_on", "settled_on", "closed_on")
"""Dates of an anomaly, by their names in FIELDS."""


@dataclass(frozen=True)
class Writer:
    """Writes down what happened at one pixel."""

    alert: Mapping[str, Any]
    """Row of the table."""

    area: AreaPlan
    """The scan, as it was."""

    observations: Sequence[Observation]
    """What the result rests on."""

    ground: Ground
    """The alert's pixels."""

    pixel: int
    """Number of the pixel in the window."""

    def write(self, notes: tuple[str, ...]) -> Explanation:
        """Put everything together."""
        ground, row = self.ground, dict(self.alert)
        window = ground.tile.window
        place = window.row + self.pixel // window.width, window.column + self.pixel % window.width
        x, y = self.area.grid.transform @ (place[1] + 0.5, place[0] + 0.5)
        lon, lat = Transformer.from_crs(self.area.grid.crs, 4326, always_xy=True).transform(x, y)
        bases = self._fit_baselines()
        looks = self._describe_looks(bases, place)
        last = bases[max(bases)]
        return Explanation(
            alert_id=row["alert_id"],
            status=row["status"],
            first_seen=row["first_seen"].date(),
            confirmed_on=None if pd.isna(row["confirmed_on"]) else row["confirmed_on"].date(),
            monitor_from=self.area.monitor_from,
            as_of=self.area.until,
            pixel=place,
            position=(round(lat, 6), round(lon, 6)),
            pixels=int(ground.members.sum()),
            noise=float(last.noise),
            baseline_looks=int(last.looks),
            episodes=tuple(_describe_episode(found) for found in ground.found if found[0] == self.pixel),
            looks=looks,
            curve=self._draw_curve(bases, looks),
            notes=notes,
        )

    def _fit_baselines(self) -> dict[int, PixelBaseline]:
        """Fit the baselines that the looks were set against, by epoch."""
        pixels, rules = self.ground.pixels, make_rules(self.ground.tile.settings)
        did, fitted = self.ground.trace[self.pixel]
        counted = np.isin(did, COUNTED)
        clear, layers = pixels.clear[self.pixel], pixels.layers[self.pixel]
        bases = {}
        for epoch in np.unique(fitted).tolist():
            first, start, _ = pixels.epochs[epoch].tolist()
            bases[epoch] = fit_pixel(clear, layers, counted, first, start, pixels.terms[0], rules)
        return bases

    def _describe_looks(self, bases: Mapping[int, PixelBaseline], place: tuple[int, int]) -> tuple[Look, ...]:
        pixels, scenes = self.ground.pixels, self.ground.scene_values
        rules = make_rules(self.ground.tile.settings)
        stack = read_stack(self.observations, Window(*place, 1, 1))
        looks = []
        for t, day in enumerate(pixels.days.tolist()):
            base = bases[int(self.ground.trace[self.pixel, 1, t])]
            values = pixels.layers[self.pixel, :, t] / SCALE
            sight = see(values, base, pixels.terms[:, t], scenes[t], rules)
            looks.append(self._describe_look(t, day, base, sight, self._explain_mask(t, day, stack)))
        return tuple(looks)

    def _describe_look(self, t: int, day: int, base: PixelBaseline, sight: Sight, why: str) -> Look:
        ground = self.ground
        date = to_date(day)
        assert date is not None, "a look has a date"
        low, high = _band(sight, base, ground.scenes.spread[t], ground.tile.settings.bare_ndvi)
        ndvi, bsi = (None if v == NODATA else float(v) / SCALE for v in ground.pixels.layers[self.pixel, :2, t])
        around = ground.clear_layers(t)
        return Look(
            date=date,
            scenes=tuple(name for observation in self.observations if observation.day == day for name in observation.source_ids),
            why_not_clear=why,
            ndvi=ndvi,
            bsi=bsi,
            expected_ndvi=float(sight.level),
            low=low,
            high=high,
            expected_bsi=float(evaluate(ground.pixels.terms[0, t], base.bsi) + ground.scenes.bsi[t]),
            haze=None if why else float(sight.haze),
            scene_shift=float(ground.scenes.shift[t]),
            loss=None if why else float(sight.loss),
            clean_loss=None if why else float(sight.clean_loss),
            outcome=Outcome(int(ground.trace[self.pixel, 0, t])),
            clear_pixels=len(around),
            confirmed_pixels=ground.count_confirmed(day),
            area_ndvi=float(np.median(around[:, 0])) / SCALE if len(around) else None,
            area_bsi=float(np.median(around[:, 1])) / SCALE if len(around) else None,
        )

    def _explain_mask(self, t: int, day: int, stack: Stack) -> str:
        """Say why the pixel is not clear; nothing where it is."""
        if self.ground.pixels.clear[self.pixel, t]:
            return ""
        codes = stack.scl[stack.days == day].ravel()
        code = int(codes[codes > 0][0]) if codes.any() else 0
        if code in self.area.pipeline.mask.clear_classes:
            unread = (self.ground.pixels.layers[self.pixel, :, t] == NODATA).any()
            return "no value" if unread else "next to a cloud"
        return MASKED.get(code, f"class {code} is left out")

    def _draw_curve(self, bases: Mapping[int, PixelBaseline], looks: Sequence[Look]) -> Curve:
        """Follow the baseline day by day: a scene that shifts nothing, on every day."""
        ground, settings = self.ground, self.ground.tile.settings
        days = np.arange(ground.pixels.days[0], to_day(self.area.until) + 1, dtype=np.int32)
        terms = np.stack([harmonic_terms(days + step) for step in (0, -settings.season_slip, settings.season_slip)])
        sources = ground.trace[self.pixel, 1, np.searchsorted(ground.pixels.days, days, side="right") - 1]
        rules, nothing = make_rules(settings), np.zeros(4)
        rows = []
        for t, source in enumerate(sources.tolist()):
            base = bases[source]
            sight = see(nothing, base, terms[:, t], nothing, rules)
            rows.append((sight.level, *_band(sight, base, 0.0, settings.bare_ndvi), evaluate(terms[0, t], base.bsi)))
        ndvi, low, high, bsi = np.array(rows, np.float64).T
        residuals = [abs(x.bsi - x.expected_bsi) for x in looks if x.outcome == Outcome.BASELINE and x.bsi is not None]
        noise = max(1.4826 * float(np.median(residuals)), NOISE_FLOOR) if residuals else NOISE_FLOOR
        return Curve(days, ndvi, low, high, bsi, noise)


def _band(sight: Sight, base: PixelBaseline, spread: float, bare_ndvi: float) -> tuple[float, float]:
    """Give the edges of what does not stand out, as ``see`` has them."""
    reach = 3 * float(np.hypot(base.noise, 0.75 * spread))
    return float(sight.safe_span + bare_ndvi - reach), float(sight.level + reach)


def _describe_episode(found: NDArray[np.int32]) -> Episode:
    dates = dict(zip(FIELDS, found.tolist(), strict=True))
    return Episode(*(to_date(dates[name]) for name in EPISODE_DATES))
