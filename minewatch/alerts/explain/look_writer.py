"""Writes the looks of an alert's pixels: what was seen and expected in each, and which rule applied."""

from __future__ import annotations

import datetime as dt
import itertools
import operator
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.explain.alert_pixels import AlertPixels
from minewatch.alerts.explain.record import ExplainedLook
from minewatch.archive.item import Observation, sort_observations
from minewatch.core.compilation import njit
from minewatch.core.units import to_date
from minewatch.detection.baseline import FULL, PRECISION, PixelBaseline, view_baseline
from minewatch.detection.fit import fit_baselines
from minewatch.detection.harmonics import evaluate
from minewatch.detection.monitor import COUNTED, Outcome
from minewatch.detection.residual import compute_residual
from minewatch.detection.rules import Rules, make_rules
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

Floats = NDArray[np.float64]


class Comparison(NamedTuple):
    """Looks at one pixel, compared with one baseline; all are (time,), as :class:`PixelResidual` calls them."""

    level: Floats
    safe_span: Floats
    expected_bsi: Floats
    """Without the scene's own."""
    haze: Floats
    loss: Floats
    clean_loss: Floats
    soil_gain: Floats
    shows_soil: Floats
    charred: Floats
    is_normal: Floats
    is_in_leaf: Floats


class LookColumns(NamedTuple):
    """The looks of a pixel, field by field, as :class:`ExplainedLook` has them; all are (time,)."""

    date: Sequence[dt.date]
    scenes: Sequence[tuple[str, ...]]
    why_not_clear: Sequence[str]
    ndvi: Sequence[float | None]
    bsi: Sequence[float | None]
    expected_ndvi: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    expected_bsi: Sequence[float | None]
    haze: Sequence[float | None]
    scene_shift: Sequence[float | None]
    loss: Sequence[float | None]
    clean_loss: Sequence[float | None]
    soil_gain: Sequence[float | None]
    shows_soil: Sequence[bool]
    charred: Sequence[bool]
    outcome: Sequence[Outcome]
    is_normal: Sequence[bool]
    is_in_leaf: Sequence[bool]
    clear_pixels: Sequence[int]
    confirmed_pixels: Sequence[int]
    area_ndvi: Sequence[float | None]
    area_bsi: Sequence[float | None]


@dataclass(frozen=True)
class LookWriter:
    """Writes the looks of an alert, pixel by pixel."""

    observations: Sequence[Observation]
    """What the result rests on."""

    traced: AlertPixels
    """The alert's pixels."""

    clear_classes: Collection[int]
    """SCL codes that count as clear."""

    def find_number(self, pixel: int) -> int:
        """Return the place in the series of a pixel, given by its number in the window."""
        return int(np.count_nonzero(self.traced.tile.inside.ravel()[:pixel]))

    def fit_baselines(self, numbers: Sequence[int]) -> list[dict[int, PixelBaseline]]:
        """Fit the baselines that the looks of some pixels of the series were compared with: of each pixel by epoch."""
        series = self.traced.series.choose(np.array(numbers, np.intp))
        traces = self.traced.tracked.trace[numbers]
        usable = np.ascontiguousarray(series.clear & ~np.isin(traces[:, 0], COUNTED).T)
        bases: list[dict[int, PixelBaseline]] = [{} for _ in numbers]
        base = np.zeros((FULL, len(numbers)), np.int16)
        for epoch in np.unique(traces[:, 1]).tolist():
            first, start, _ = series.epochs[epoch].tolist()
            fit_baselines(series.codes, usable, first, start, series.terms[0], series.products, SCALES, self.rules, base)
            for place in np.flatnonzero((traces[:, 1] == epoch).any(axis=1)).tolist():
                bases[place][epoch] = view_baseline(base[:, place] / PRECISION)
        return bases

    def compare(self, number: int, bases: Mapping[int, PixelBaseline]) -> Comparison:
        """Compare all looks at a pixel with the baselines of their epochs."""
        series, fitted = self.traced.series, self.traced.tracked.trace[number, 1]
        return compare_epochs(series.decode(number), bases, fitted, series.terms, self._quality, self.rules)

    def write(self, pixel: int, bases: Mapping[int, PixelBaseline]) -> tuple[ExplainedLook, ...]:
        """Return the looks of a pixel, given by its number in the window, which were compared with these baselines."""
        return tuple(itertools.starmap(ExplainedLook, zip(*self.write_columns(pixel, bases), strict=True)))

    def write_columns(self, pixel: int, bases: Mapping[int, PixelBaseline]) -> LookColumns:
        """Return the same as columns."""
        number, traced, scenes = self.find_number(pixel), self.traced, self.traced.scenes
        found = self.compare(number, bases)
        low, high = self.find_band(found, bases, traced.tracked.trace[number, 1], scenes.spread)
        reasons = self._explain_masks(number, traced.classes[:, *divmod(pixel, traced.tile.window.width)])
        shows = [not why for why in reasons]
        are_known = [shift is not None for shift in self._shifts]
        are_both = [*map(operator.and_, shows, are_known)]
        codes, values = traced.series.codes[:2, :, number] != EMPTY, traced.series.decode(number)[:2]
        ndvi, bsi = (_where(has, seen) for has, seen in zip(codes.tolist(), values, strict=True))
        outcomes = [OUTCOME[outcome] for outcome in traced.tracked.trace[number, 0].tolist()]
        are_counted = [outcome in COUNTED for outcome in outcomes]
        are_judged = [outcome not in UNJUDGED for outcome in outcomes]
        soil, charred, normal, leaf = ((column != 0).tolist() for column in found[-4:])
        days, scene_ids = self._days
        clear_pixels, confirmed_pixels, area_ndvi, area_bsi = self._of_alert
        return LookColumns(
            date=days,
            scenes=scene_ids,
            why_not_clear=reasons,
            ndvi=ndvi,
            bsi=bsi,
            expected_ndvi=_where(are_known, found.level),
            low=_where(are_known, low),
            high=_where(are_known, high),
            expected_bsi=_where(are_known, found.expected_bsi + scenes.bsi),
            haze=_where(shows, found.haze),
            scene_shift=self._shifts,
            loss=_where(are_both, found.loss),
            clean_loss=_where(are_both, found.clean_loss),
            soil_gain=_where(are_both, found.soil_gain),
            shows_soil=[*map(operator.and_, soil, are_counted)],
            charred=[*map(operator.and_, charred, are_counted)],
            outcome=outcomes,
            is_normal=[*map(operator.and_, normal, are_judged)],
            is_in_leaf=leaf,
            clear_pixels=clear_pixels,
            confirmed_pixels=confirmed_pixels,
            area_ndvi=area_ndvi,
            area_bsi=area_bsi,
        )

    def find_band(
        self, found: Comparison, bases: Mapping[int, PixelBaseline], fitted: NDArray[Any], spread: Floats | float
    ) -> tuple[Floats, Floats]:
        """Return the edges of the band within which a look is normal, as :func:`compute_residual` has them."""
        noise = np.array([bases[epoch].noise for epoch in fitted.tolist()])
        reach = 3 * np.hypot(noise, 0.75 * spread)
        return found.safe_span + self.traced.tile.settings.bare_ndvi - reach, found.level + reach

    @cached_property
    def rules(self) -> Rules:
        """Of the tile."""
        return make_rules(self.traced.tile.settings)

    @cached_property
    def _of_alert(self) -> tuple[Sequence[Any], ...]:
        """The alert at each look: clear pixels, confirmed pixels, NDVI, bare soil index."""
        looks = ((look.clear_pixels, look.confirmed_pixels, look.ndvi, look.bsi) for look in self.traced.looks)
        return tuple(zip(*looks, strict=True))

    @cached_property
    def _quality(self) -> Floats:
        """(time, 4) what each look is like as a whole."""
        return self.traced.scenes.numbers

    @cached_property
    def _days(self) -> tuple[Sequence[Any], Sequence[tuple[str, ...]]]:
        """Date of each look, and the ids of its scenes."""
        found: dict[int, tuple[str, ...]] = defaultdict(tuple)
        for observation in self.observations:
            found[observation.day] += observation.source_ids
        days = self.traced.series.days.tolist()
        return [*map(to_date, days)], [found[day] for day in days]

    @cached_property
    def _shifts(self) -> list[float | None]:
        """Of each look; None where no reference pixel was usable: it is 0 or the lowest then, as no median is."""
        return [shift if shift != 0 and shift > STEP - 1 else None for shift in self.traced.scenes.shift.tolist()]

    @cached_property
    def _places(self) -> list[list[int]]:
        """Numbers of the observations of each look, in order of acquisition."""
        found: dict[int, list[int]] = defaultdict(list)
        for place, observation in enumerate(sort_observations(self.observations)):
            found[observation.day].append(place)
        return [found[day] for day in self.traced.series.days.tolist()]

    def _explain_masks(self, number: int, classes: NDArray[np.uint8]) -> list[str]:
        """Return why a pixel is not clear at each look, from its classes in order of acquisition; '' where it is."""
        clear, codes = self.traced.series.clear[:, number].tolist(), classes.tolist()
        has_gap = (self.traced.series.codes[:, :, number] == EMPTY).any(axis=0).tolist()
        return [
            "" if shows else self._explain_mask(next((codes[place] for place in places if codes[place]), 0), has_gap=gap)
            for shows, places, gap in zip(clear, self._places, has_gap, strict=True)
        ]

    def _explain_mask(self, code: int, *, has_gap: bool) -> str:
        if code in self.clear_classes:
            return "no value" if has_gap else "next to a cloud"
        return MASKED.get(code, f"class {code} is left out")


def _where(holds: Sequence[bool], values: Floats) -> list[float | None]:
    """Return the values as a list, None where they do not hold."""
    return [value if held else None for held, value in zip(holds, values.tolist(), strict=True)]


OUTCOME: Mapping[int, Outcome] = {int(outcome): outcome for outcome in Outcome}
"""Number to outcome; enum's own way takes ten times as long."""


def compare_epochs(
    values: Floats,
    bases: Mapping[int, PixelBaseline],
    fitted: NDArray[Any],
    terms: Floats,
    scenes: Floats,
    rules: Rules,
) -> Comparison:
    """Compare looks, (4, time) values, with the baselines of their epochs, ``fitted`` (time,).

    ``terms`` (3, time, term) and ``scenes`` (time, 4) are those of the looks.
    """
    found = np.empty((len(Comparison._fields), len(fitted)))
    for epoch, base in bases.items():
        chosen = np.flatnonzero(fitted == epoch)
        found[:, chosen] = _compare_looks(
            np.ascontiguousarray(values[:, chosen].T), base, terms[:, chosen], scenes[chosen], rules
        )
    return Comparison(*found)


@njit(nogil=True, cache=True)
def _compare_looks(values: Floats, base: PixelBaseline, terms: Floats, scenes: Floats, rules: Rules) -> Floats:
    """Return (field, time), with the fields of Comparison."""
    found = np.empty((11, terms.shape[1]))
    for t in range(terms.shape[1]):
        rows = terms[0, t], terms[1, t], terms[2, t]
        residual = compute_residual(values[t], base, rows, scenes[t], rules)
        found[0, t], found[1, t] = residual.level, residual.safe_span
        found[2, t], found[3, t] = evaluate(terms[0, t], base.bsi), residual.haze
        found[4, t], found[5, t], found[6, t] = residual.loss, residual.clean_loss, residual.soil_gain
        found[7, t], found[8, t] = residual.shows_soil, residual.charred
        found[9, t], found[10, t] = residual.is_normal, residual.is_in_leaf
    return found
