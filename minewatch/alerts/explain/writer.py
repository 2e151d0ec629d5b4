"""Writes the explanation of an alert, from one of its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.explain.alert_pixels import AlertPixels
from minewatch.alerts.explain.record import Curve, Episode, ExplainedLook, Explanation
from minewatch.alerts.lifetime import find_green_again, read_day
from minewatch.archive.item import Observation, sort_observations
from minewatch.archive.stack import iterate_scl
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Window, lonlat_from
from minewatch.core.units import to_date, to_day
from minewatch.detection.baseline import FULL, NOISE_FLOOR, PixelBaseline, unpack_baseline
from minewatch.detection.fit import fit_baselines
from minewatch.detection.harmonics import evaluate, harmonic_terms
from minewatch.detection.monitor import COUNTED, Outcome
from minewatch.detection.residual import PixelResidual, compute_residual
from minewatch.detection.rules import make_rules
from minewatch.detection.scene_quality import STEP
from minewatch.detection.series import SCALES
from minewatch.raster.indices import EMPTY
from minewatch.settings.scl import CIRRUS, CLOUD, DARK, DEFECTIVE, LIKELY_CLOUD, NO_DATA, SHADOW, SNOW

MASKED: Mapping[int, str] = {
    NO_DATA: "no data",
    DEFECTIVE: "defective",
    DARK: "dark",
    SHADOW: "cloud shadow",
    LIKELY_CLOUD: "likely cloud",
    CLOUD: "cloud",
    CIRRUS: "thin cirrus",
    SNOW: "snow",
}
"""Why a pixel is not clear, by SCL code; classes that are taken as clear are named by what lies around them."""


UNJUDGED = (Outcome.NOT_CLEAR, Outcome.NOT_MONITORED, Outcome.SCENE_DISAGREES)
"""Outcomes of looks that were not compared with the baseline."""


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
        bases = self._fit_baselines()
        looks = self._describe_looks(bases, self._read_classes(place))
        # Dates are called in EPISODE as in Episode.
        last, found = bases[max(bases)], traced.tracked.episodes[traced.tracked.episodes["row"] == self.number]
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
            curve=self._draw_curve(bases, looks),
            notes=notes,
        )

    def describe_looks(self, classes: NDArray[np.uint8]) -> tuple[ExplainedLook, ...]:
        """Return the looks alone; ``classes`` are the pixel's SCL codes in each observation, in order of acquisition."""
        return self._describe_looks(self._fit_baselines(), classes)

    @cached_property
    def scenes(self) -> dict[int, tuple[str, ...]]:
        """Day to the ids of its scenes."""
        found: dict[int, tuple[str, ...]] = {}
        for observation in self.observations:
            found[observation.day] = (*found.get(observation.day, ()), *observation.source_ids)
        return found

    def _read_classes(self, place: tuple[int, int]) -> NDArray[np.uint8]:
        return np.array([scl[0, 0] for scl in iterate_scl(self.observations, Window(*place, 1, 1))], np.uint8)

    @property
    def number(self) -> int:
        """Place of the pixel in the series."""
        return int(np.count_nonzero(self.traced.tile.inside.ravel()[: self.pixel]))

    def _fit_baselines(self) -> dict[int, PixelBaseline]:
        """Fit the baselines that the looks were compared with, by epoch."""
        series, rules = self.traced.series.choose(np.array([self.number])), make_rules(self.traced.tile.settings)
        trace_row, fitted = self.traced.tracked.trace[self.number]
        usable = series.clear & ~np.isin(trace_row, COUNTED)[:, None]
        bases, base = {}, np.zeros((FULL, 1), np.int16)
        for epoch in np.unique(fitted).tolist():
            first, start, _ = series.epochs[epoch].tolist()
            fit_baselines(series.codes, usable, first, start, series.terms[0], series.products, SCALES, rules, base)
            bases[epoch] = unpack_baseline(base[:, 0])
        return bases

    def _describe_looks(self, bases: Mapping[int, PixelBaseline], classes: NDArray[np.uint8]) -> tuple[ExplainedLook, ...]:
        series, number, settings = self.traced.series, self.number, self.traced.tile.settings
        seen = np.array([observation.day for observation in sort_observations(self.observations)])
        values, terms, scenes = series.decode(number).T, series.terms.transpose(1, 0, 2), self.traced.scenes.numbers
        looks, seasons = [], zip(values.tolist(), terms.tolist(), scenes.tolist(), strict=True)  # plain numbers are far quicker
        for t, (day, (value, term, scene)) in enumerate(zip(series.days.tolist(), seasons, strict=True)):
            base = bases[int(self.traced.tracked.trace[number, 1, t])]
            residual = compute_residual(value, base, term, scene, settings)
            looks.append(self._describe_look(t, day, base, residual, self._explain_mask(t, classes[seen == day])))
        return tuple(looks)

    def _describe_look(self, t: int, day: int, base: PixelBaseline, residual: PixelResidual, why: str) -> ExplainedLook:
        traced = self.traced
        date = to_date(day)
        assert date is not None, "a look has a date"
        is_known = _knows_shift(float(traced.scenes.shift[t]))
        low, high = _band(residual, base, traced.scenes.spread[t], traced.tile.settings.bare_ndvi)
        codes, values = traced.series.codes[:, t, self.number], traced.series.decode(self.number)[:, t]
        ndvi, bsi = (None if code == EMPTY else float(value) for code, value in zip(codes[:2], values[:2], strict=True))
        whole = traced.looks[t]
        outcome = Outcome(int(traced.tracked.trace[self.number, 0, t]))
        return ExplainedLook(
            date=date,
            scenes=self.scenes.get(day, ()),
            why_not_clear=why,
            ndvi=ndvi,
            bsi=bsi,
            expected_ndvi=float(residual.level) if is_known else None,
            low=low if is_known else None,
            high=high if is_known else None,
            expected_bsi=float(evaluate(traced.series.terms[0, t], base.bsi) + traced.scenes.bsi[t]) if is_known else None,
            haze=None if why else float(residual.haze),
            scene_shift=float(traced.scenes.shift[t]) if is_known else None,
            loss=float(residual.loss) if is_known and not why else None,
            clean_loss=float(residual.clean_loss) if is_known and not why else None,
            soil_gain=float(residual.soil_gain) if is_known and not why else None,
            shows_soil=bool(residual.shows_soil) and outcome in COUNTED,
            charred=bool(residual.charred) and outcome in COUNTED,
            outcome=outcome,
            is_normal=bool(residual.is_normal) and outcome not in UNJUDGED,
            is_in_leaf=bool(residual.is_in_leaf),
            clear_pixels=whole.clear_pixels,
            confirmed_pixels=whole.confirmed_pixels,
            area_ndvi=whole.ndvi,
            area_bsi=whole.bsi,
        )

    def _explain_mask(self, t: int, codes: NDArray[np.uint8]) -> str:
        """Return why the pixel is not clear, from its classes of that day; '' where it is."""
        if self.traced.series.clear[t, self.number]:
            return ""
        code = int(codes[codes > 0][0]) if codes.any() else 0
        if code in self.area.pipeline.mask.clear_classes:
            unread = (self.traced.series.codes[:, t, self.number] == EMPTY).any()
            return "no value" if unread else "next to a cloud"
        return MASKED.get(code, f"class {code} is left out")

    def _draw_curve(self, bases: Mapping[int, PixelBaseline], looks: Sequence[ExplainedLook]) -> Curve:
        """Evaluate the baseline day by day, for scenes that shift nothing."""
        traced, settings = self.traced, self.traced.tile.settings
        days = np.arange(traced.series.days[0], to_day(self.area.until) + 1, dtype=np.int32)
        terms = np.stack([harmonic_terms(days + step) for step in (0, -settings.season_slip, settings.season_slip)])
        sources = traced.tracked.trace[self.number, 1, np.searchsorted(traced.series.days, days, side="right") - 1]
        nothing, rows = [0.0] * 4, []
        for source, term in zip(sources.tolist(), terms.transpose(1, 0, 2).tolist(), strict=True):
            base = bases[source]
            residual = compute_residual(nothing, base, term, nothing, settings)
            rows.append((residual.level, *_band(residual, base, 0.0, settings.bare_ndvi), evaluate(term[0], base.bsi)))
        ndvi, low, high, bsi = np.array(rows, np.float64).T
        baseline = [(x.bsi, x.expected_bsi) for x in looks if x.outcome == Outcome.BASELINE]
        residuals = [abs(seen - expected) for seen, expected in baseline if seen is not None and expected is not None]
        noise = max(1.4826 * float(np.median(residuals)), NOISE_FLOOR) if residuals else NOISE_FLOOR
        return Curve(days, ndvi, low, high, bsi, noise)


def _knows_shift(shift: float) -> bool:
    """Return False where no reference pixel of a scene was usable: its shift is 0 or the lowest then, as no median is."""
    return shift != 0 and shift > STEP - 1


def _band(residual: PixelResidual, base: PixelBaseline, spread: float, bare_ndvi: float) -> tuple[float, float]:
    """Return the edges of the band within which a look is normal, as :func:`compute_residual` has them."""
    reach = 3 * float(np.hypot(base.noise, 0.75 * spread))
    return float(residual.safe_span + bare_ndvi - reach), float(residual.level + reach)
