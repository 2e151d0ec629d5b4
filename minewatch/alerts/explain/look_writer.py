"""Writes the looks of an alert's pixels: what was seen and expected in each, and which rule applied."""

from __future__ import annotations

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

    def fit_baselines(self, number: int) -> dict[int, PixelBaseline]:
        """Fit the baselines that the looks of a pixel of the series were compared with, by epoch."""
        series = self.traced.series.choose(np.array([number]))
        outcomes, fitted = self.traced.tracked.trace[number]
        usable = series.clear & ~np.isin(outcomes, COUNTED)[:, None]
        bases, base = {}, np.zeros((FULL, 1), np.int16)
        for epoch in np.unique(fitted).tolist():
            first, start, _ = series.epochs[epoch].tolist()
            fit_baselines(series.codes, usable, first, start, series.terms[0], series.products, SCALES, self.rules, base)
            bases[epoch] = view_baseline(base[:, 0] / PRECISION)
        return bases

    def compare(self, number: int, bases: Mapping[int, PixelBaseline]) -> Comparison:
        """Compare all looks at a pixel with the baselines of their epochs."""
        series, fitted = self.traced.series, self.traced.tracked.trace[number, 1]
        return compare_epochs(series.decode(number), bases, fitted, series.terms, self.traced.scenes.numbers, self.rules)

    def write(self, pixel: int, bases: Mapping[int, PixelBaseline]) -> tuple[ExplainedLook, ...]:
        """Return the looks of a pixel, given by its number in the window, which were compared with these baselines."""
        number, classes = self.find_number(pixel), self.traced.classes[:, *divmod(pixel, self.traced.tile.window.width)]
        traced, scenes = self.traced, self.traced.scenes
        found = self.compare(number, bases)
        low, high = self.find_band(found, bases, traced.tracked.trace[number, 1], scenes.spread)
        codes, values = traced.series.codes[:2, :, number], traced.series.decode(number)[:2]
        seen = [
            [None if c == EMPTY else v for c, v in zip(*pair, strict=True)]
            for pair in zip(codes.tolist(), values.tolist(), strict=True)
        ]
        levels, edges = found.level.tolist(), zip(low.tolist(), high.tolist(), strict=True)
        bsi, haze = (found.expected_bsi + scenes.bsi).tolist(), found.haze.tolist()
        losses = zip(found.loss.tolist(), found.clean_loss.tolist(), found.soil_gain.tolist(), strict=True)
        flags = zip(*(column.tolist() for column in found[-4:]), strict=True)
        outcomes = traced.tracked.trace[number, 0].tolist()
        looks = []
        for t, (edge, lost, (soil, charred, normal, leaf)) in enumerate(zip(edges, losses, flags, strict=True)):
            (date, ids), shift, whole, outcome = self._days[t], self._shifts[t], traced.looks[t], OUTCOME[outcomes[t]]
            why, is_counted = self._explain_mask(t, number, classes), outcome in COUNTED
            is_known = shift is not None
            looks.append(
                ExplainedLook(
                    date=date,
                    scenes=ids,
                    why_not_clear=why,
                    ndvi=seen[0][t],
                    bsi=seen[1][t],
                    expected_ndvi=levels[t] if is_known else None,
                    low=edge[0] if is_known else None,
                    high=edge[1] if is_known else None,
                    expected_bsi=bsi[t] if is_known else None,
                    haze=None if why else haze[t],
                    scene_shift=shift,
                    loss=lost[0] if is_known and not why else None,
                    clean_loss=lost[1] if is_known and not why else None,
                    soil_gain=lost[2] if is_known and not why else None,
                    shows_soil=bool(soil) and is_counted,
                    charred=bool(charred) and is_counted,
                    outcome=outcome,
                    is_normal=bool(normal) and outcome not in UNJUDGED,
                    is_in_leaf=bool(leaf),
                    clear_pixels=whole.clear_pixels,
                    confirmed_pixels=whole.confirmed_pixels,
                    area_ndvi=whole.ndvi,
                    area_bsi=whole.bsi,
                )
            )
        return tuple(looks)

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
    def _days(self) -> list[tuple[Any, tuple[str, ...]]]:
        """Date of each look, and the ids of its scenes."""
        found: dict[int, tuple[str, ...]] = defaultdict(tuple)
        for observation in self.observations:
            found[observation.day] += observation.source_ids
        return [(to_date(day), found[day]) for day in self.traced.series.days.tolist()]

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

    def _explain_mask(self, t: int, number: int, classes: NDArray[np.uint8]) -> str:
        """Return why a pixel is not clear, from its classes of that day; '' where it is."""
        if self.traced.series.clear[t, number]:
            return ""
        code = next((code for code in classes[self._places[t]].tolist() if code), 0)
        if code in self.clear_classes:
            return "no value" if (self.traced.series.codes[:, t, number] == EMPTY).any() else "next to a cloud"
        return MASKED.get(code, f"class {code} is left out")


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
