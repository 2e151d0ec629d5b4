"""Compares one look at one pixel with its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import subroutine
from minewatch.detection.baseline import PixelBaseline
from minewatch.detection.blindness import tells_bare_ground
from minewatch.detection.harmonics import evaluate, evaluate_day
from minewatch.detection.rules import Rules

Numbers = NDArray[np.float64] | Sequence[float]

LEAF_SHARE = 0.9
"""Share of the year's most vegetation, above bare ground, from which a look is in leaf."""


class PixelResidual(NamedTuple):
    """The difference of one look at one pixel from its baseline."""

    level: float
    """Expected NDVI, the scene's shift included."""

    loss: float
    """Share of the vegetation lost against the lowest level that a season early or late would give."""

    clean_loss: float
    """The same with haze taken out of the look."""

    plain_loss: float
    """The same against the expected level."""

    safe_span: float
    """Lowest level above bare ground."""

    sure: bool
    """The loss exceeds the noise of pixel and scene."""

    haze: float
    """Blue above its baseline, reflectance."""

    charred: bool
    """Dark in red, as leaves are, but not in the short-wave infrared, as water and mud are: char or thin canopy, not soil."""

    snowy: bool
    """Bright in blue and near infrared, dark in the short-wave infrared: this may be snow, and is no strong loss."""

    bsi_change: float
    """Bare soil index above its baseline."""

    soil_gain: float
    """Bare soil index above the highest that a season early or late would give, less the scene's shift; at least 0."""

    shows_soil: bool
    """Soil, bright in the short-wave infrared, shows where dense vegetation is expected, and not through haze."""

    is_normal: bool
    """The expected vegetation is there, and bare ground would differ from it."""

    is_in_leaf: bool
    """Near to as much vegetation is expected as at any time of the year."""


@subroutine
def compute_residual(
    values: Numbers, base: PixelBaseline, terms: Sequence[Numbers] | NDArray[np.float64], scene: Numbers, rules: Rules
) -> PixelResidual:
    """Compare a look with the baseline.

    ``values`` are NDVI, BSI, blue and near infrared, ``terms`` (3, term), ``scene`` shift, spread, blue and BSI of the look.
    """
    ndvi, bsi, blue, nir = values[0], values[1], values[2], values[3]
    shift, spread, scene_blue, scene_bsi = scene[0], scene[1], scene[2], scene[3]
    level = _level(base, terms[0]) + shift
    safe = min(min(_level(base, terms[1]), _level(base, terms[2])) + shift, level)
    haze = blue - evaluate(terms[0], base.blue) - scene_blue
    # Haze is taken to add as much to red and to near infrared as to blue.
    red = nir * (1 - ndvi) / max(1 + ndvi, 0.01)
    clean = min(max((nir - red) / max(nir + red - 2 * max(haze, 0.0), 0.03), -1.0), 1.0)
    safe_span = safe - rules.bare_ndvi
    room = max(safe_span, 0.05)
    swir = (nir + blue) * (1 + bsi) / max(1 - bsi, 0.05) - red
    expected_bsi = evaluate(terms[0], base.bsi)
    safe_bsi = max(expected_bsi, evaluate(terms[1], base.bsi), evaluate(terms[2], base.bsi))
    soil_gain = max(bsi - safe_bsi - scene_bsi, 0.0)
    loss = (safe - ndvi) / room
    snowy = expected_bsi + scene_bsi - bsi > rules.snow_bsi and haze > rules.snow_blue and nir > rules.water_nir
    may_show_soil = safe >= rules.dense_ndvi and swir >= rules.soil_swir and haze <= rules.soil_haze
    return PixelResidual(
        level,
        loss,
        (safe - clean) / room,
        (level - ndvi) / max(level - rules.bare_ndvi, 0.05),
        safe_span,
        safe - ndvi >= 3 * np.hypot(base.noise, 0.75 * spread),
        haze,
        # Leaves are as dark in red as in blue: expected blue stands for expected red.
        red - evaluate(terms[0], base.blue) - scene_blue < rules.char_red and swir >= rules.water_swir,
        snowy,
        bsi - expected_bsi,
        soil_gain,
        may_show_soil and soil_gain >= rules.soil_gain and loss >= rules.weak_loss,
        is_normal(level, ndvi, rules),
        is_in_leaf(level, base.high, rules),
    )


@subroutine
def is_normal(level: float, ndvi: float, rules: Rules) -> bool:
    """True if a look shows the vegetation expected, and bare ground would differ from it."""
    normal: bool = tells_bare_ground(level, rules) and (level - ndvi) / max(level - rules.bare_ndvi, 0.05) < rules.normal_loss
    return normal


@subroutine
def is_in_leaf(level: float, high: float, rules: Rules) -> bool:
    """True if nearly as much vegetation is expected as at any time of the year, so that a thinned stand would differ, too."""
    leaf: bool = level - rules.bare_ndvi >= LEAF_SHARE * (high - rules.bare_ndvi)
    return leaf


@subroutine
def expect_ndvi(base: PixelBaseline, day: int) -> float:
    """Return the NDVI that a baseline expects on a day since 1970-01-01, for a scene that shifts nothing."""
    return min(max(evaluate_day(day, base.ndvi), base.low), base.high)


@subroutine
def _level(base: PixelBaseline, row: Numbers) -> float:
    return min(max(evaluate(row, base.ndvi), base.low), base.high)
