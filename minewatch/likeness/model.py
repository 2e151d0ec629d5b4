"""Scores how much chips look like mines, with what the score rests on."""

from __future__ import annotations

import functools
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from minewatch.core.errors import ModelError
from minewatch.likeness.network import Network
from minewatch.likeness.weights_version import WEIGHTS

CHIP = 48
"""Pixels of 10 m along the sides of a chip."""

AT_A_TIME = 8
"""Chips that are scored together, always as many: sums are rounded by the shape of what is multiplied, and the score of a chip
shall not depend on what stands beside it.  More need more memory and are not faster."""


@dataclass(frozen=True)
class Likeness:
    """What is said of chips."""

    score: NDArray[np.float32]
    """(n,) 0 to 1: the calibrated share of mines among chips of the gallery's kind that look like it."""

    doubt: NDArray[np.float32]
    """(n,) standard deviation of the score among the networks."""

    grounds: NDArray[np.float32]
    """(n, grounds) 0 to 1: which ground that is no mine the chip looks most like."""

    strangeness: NDArray[np.float32]
    """(n,) distance from the training chips in the space of features; above 1 are less than a thousandth of them."""

    features: NDArray[np.float32]
    """(n, features) of the networks, for a layer on top."""


@dataclass(frozen=True)
class Model:
    """The ensemble, its calibration and the space of its training chips."""

    version: str
    """Of the weights."""

    grounds: tuple[str, ...]
    """Names of what is told apart besides mines."""

    networks: tuple[Network, ...]
    centre: NDArray[np.float32]
    """(band,) reflectance that is 0 after standardising."""

    spread: NDArray[np.float32]
    """(band,) reflectance that is 1 after it."""

    brightest: NDArray[np.float32]
    """(band,) reflectance above which the training chips are saturated."""

    calibration: tuple[float, float]
    """Slope and intercept on the mean logit."""

    typical: NDArray[np.float32]
    """(features,) mean of the training chips."""

    axes: NDArray[np.float32]
    """(features, axes) that make the training chips' distance 1 at the thousandth farthest."""

    @classmethod
    def load(cls, file: Path | BinaryIO = WEIGHTS) -> Self:
        """Read a file of weights."""
        with np.load(file) as archive:
            weights = {name: archive[name] for name in archive.files}
        layers = {name.removeprefix("net_"): value for name, value in weights.items() if name.startswith("net_")}
        networks = tuple(Network.of(layers, member) for member in range(len(layers["mine"])))
        slope, intercept = weights["calibration"].tolist()
        return cls(
            version=str(weights["version"]),
            grounds=tuple(weights["grounds"].tolist()),
            networks=networks,
            calibration=(slope, intercept),
            **{name: weights[name].astype(np.float32) for name in ("centre", "spread", "brightest", "typical", "axes")},
        )

    def assess(self, rgb: ArrayLike) -> Likeness:
        """Return the likeness of chips; see :func:`score_mine_likeness` for what they are."""
        chips = _check_chips(rgb)
        with threadpool_limits(1, "blas"):  # threads that wait for each other cost more than they give
            parts = [self._assess(chips[first : first + AT_A_TIME]) for first in range(0, max(len(chips), 1), AT_A_TIME)]
        return Likeness(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def _assess(self, chips: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        filled = np.zeros((AT_A_TIME, *chips.shape[1:]), np.float32)
        filled[: len(chips)] = _fill_gaps(chips)
        standard = (np.minimum(filled, self.brightest) - self.centre) / self.spread
        features = [network.compute_features(standard) for network in self.networks]
        logits = [network.compute_logits(own) for network, own in zip(self.networks, features, strict=True)]
        slope, intercept = self.calibration
        mine = np.stack([one for one, _ in logits]) * np.float32(slope) + np.float32(intercept)
        whole = np.concatenate(features, axis=1)
        away = np.sqrt(np.square((whole - self.typical) @ self.axes).sum(axis=1))
        grounds = np.mean([_softmax(other) for _, other in logits], axis=0)
        found = _sigmoid(mine.mean(axis=0)), _sigmoid(mine).std(axis=0), grounds, away, whole
        return tuple(values[: len(chips)] for values in found)


@functools.cache
def read_model() -> Model:
    """Return the model that is shipped; raises ModelError where its file is damaged or gone."""
    try:
        return Model.load(io.BytesIO(WEIGHTS.read_bytes()))
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{WEIGHTS} is damaged or gone; install minewatch anew") from error


def score_mine_likeness(rgb: ArrayLike) -> NDArray[np.float32]:
    """Return (n,) how much chips look like mines, 0 to 1; always a number.

    ``rgb`` is (n, 48, 48, 3): surface reflectance 0 to 1; red, green, blue; pixels of 10 m, north up.  A pixel that has no
    number, or is masked, counts as the median of its chip.  It is an order in which to look, not a finding: docs/likeness.md
    says how good it is, and where it must not be used.

    Raises ValueError for another shape, and for whole numbers.
    """
    return read_model().assess(rgb).score


def _check_chips(rgb: ArrayLike) -> NDArray[np.float32]:
    if np.asarray(rgb).dtype.kind in "biu":
        raise ValueError("chips are reflectance, 0 to 1, as floats, and these are whole numbers: divide them by their scale")
    with np.errstate(over="ignore"):  # what is too large is infinite, and so is no number
        chips = np.ma.filled(np.ma.asarray(rgb, np.float32), np.nan) if np.ma.isMaskedArray(rgb) else np.asarray(rgb, np.float32)
    if chips.ndim != 4 or chips.shape[1:] != (CHIP, CHIP, 3):
        raise ValueError(f"chips of shape (n, {CHIP}, {CHIP}, 3) are scored, and this is {chips.shape}")
    return chips


def _fill_gaps(chips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return chips in which every pixel has numbers: the median of its chip where it had none, 0 where all have none."""
    gaps = np.asarray(~np.isfinite(chips).all(axis=3))
    if not gaps.any():
        return np.clip(chips, -1, 2)
    filled = chips.copy()
    for chip, empty in zip(filled, gaps, strict=True):
        chip[empty] = 0 if empty.all() else np.median(chip[~empty], axis=0)
    return np.clip(filled, -1, 2)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 + 0.5 * np.tanh(logits / 2), np.float32)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
