"""A tile laid out pixel by pixel, as compiled code wants it, and the baseline of one pixel."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detect.baseline import TERMS, choose_looks, count_terms, evaluate, fit_harmonics, harmonic_terms
from minewatch.detect.inputs import TileInput
from minewatch.pipeline import Detector

LAYER_ORDER = ("ndvi", "bsi", "blue", "nir")
"""Layers by their place in ``Pixels.layers``."""

Rules = Any
"""The section ``detector`` of the pipeline as a named tuple, which compiled code takes; its fields are the section's keys."""

_Rules = namedtuple("_Rules", list(Detector.model_fields))  # type: ignore[misc]  # noqa: PYI024 - its fields are known at run time only


def make_rules(settings: Detector) -> Rules:
    """Give the settings as a named tuple."""
    return _Rules(**settings.model_dump())


class Pixels(NamedTuple):
    """A tile, pixel by pixel."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01."""

    clear: NDArray[np.bool_]
    """(pixel, time) True where the ground shows."""

    layers: NDArray[np.int16]
    """(pixel, layer, time) x 10 000, in LAYER_ORDER; only where clear."""

    epochs: NDArray[np.int64]
    """(epoch, 3): first look of the history, first look that is monitored, first look after."""

    terms: NDArray[np.float64]
    """(3, time, term): regressors of the day, of a season that comes late, and of one that comes early."""

    @classmethod
    def of(cls, tile: TileInput) -> Pixels:
        """Lay out a tile."""
        looks, slip = tile.looks, tile.settings.season_slip
        flat = len(looks.days), tile.window.height * tile.window.width
        clear = np.ascontiguousarray(looks.clear.reshape(flat).T)
        layers = np.stack([looks.layers[name].reshape(flat).T for name in LAYER_ORDER], axis=1)
        epochs = np.array([(e.history.start, e.looks.start, e.looks.stop) for e in tile.epochs()], np.int64)
        terms = np.stack([harmonic_terms(looks.days + step) for step in (0, -slip, slip)])
        return cls(looks.days, clear, np.ascontiguousarray(layers), epochs, terms)


class PixelBaseline(NamedTuple):
    """What one pixel looks like in each season."""

    ndvi: NDArray[np.float64]
    """(term,) coefficients."""

    bsi: NDArray[np.float64]
    """(term,) coefficients."""

    blue: NDArray[np.float64]
    """(term,) coefficients."""

    noise: float
    """Robust standard deviation of NDVI about its curve."""

    low: float
    """Least NDVI of the curve on the days of its looks: no level is taken from beyond them."""

    high: float
    """Largest NDVI of the curve on those days."""

    looks: int
    """Clear looks it rests on."""

    bare: float
    """Share of the clear looks, hazy ones included, that show bare ground."""


@njit(nogil=True, cache=True)
def fit_pixel(
    clear: NDArray[np.bool_],
    layers: NDArray[np.int16],
    excluded: NDArray[np.bool_],
    first: int,
    start: int,
    terms: NDArray[np.float64],
    rules: Rules,
) -> PixelBaseline:
    """Fit the looks ``first`` to ``start`` of one pixel: (time,) clear and excluded, (layer, time) values."""
    used = clear[first:start] & ~excluded[first:start]
    rows = terms[first:start]
    values = layers[:, first:start] / 10000
    bare = _share_bare(values, used, rules)
    looks = choose_looks(values[2], used)
    ndvi, bsi, blue = np.zeros(TERMS), np.zeros(TERMS), np.zeros(TERMS)
    if looks == 0:
        return PixelBaseline(ndvi, bsi, blue, 1.0, 0.0, 0.0, 0, 0.0)
    size = count_terms(looks)
    noise = fit_harmonics(values[0], used, rows, size, ndvi)
    fit_harmonics(values[1], used, rows, size, bsi)
    fit_harmonics(values[2], used, rows, size, blue)
    low, high = np.inf, -np.inf
    for t in range(used.size):
        if used[t]:
            level = evaluate(rows[t], ndvi)
            low, high = min(low, level), max(high, level)
    return PixelBaseline(ndvi, bsi, blue, noise, low, high, looks, bare)


@njit(nogil=True, cache=True)
def _share_bare(values: NDArray[np.float64], used: NDArray[np.bool_], rules: Rules) -> float:
    """Give the share of looks that show bare ground: little green, and more short-wave infrared than any cloud or snow."""
    count = bare = 0
    for t in range(used.size):
        if used[t]:
            count += 1
            bare += values[0, t] < rules.min_vegetation and values[1, t] > rules.bare_bsi
    return bare / count if count else 0.0


@njit(nogil=True, cache=True)
def is_monitored(base: PixelBaseline, rules: Rules) -> bool:
    """Tell whether a pixel has looks enough, vegetation to lose, and was not bare time and again before."""
    return bool(base.looks >= rules.min_looks and base.high >= rules.min_vegetation and base.bare < rules.tilled_share)
