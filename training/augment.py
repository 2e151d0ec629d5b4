"""Shows training chips as other days, places and processors would: turned, shifted, brighter, hazier, blurred."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

CROP = 40
"""Pixels along the sides of a training chip; the network takes any even number."""

HAZE = 0.12
"""Reflectance of haze."""


def augment(chips: Tensor, random: Generator) -> Tensor:
    """Return (n, band, CROP, CROP) chips as they might also look; ``chips`` are (n, band, y, x) reflectance."""
    chips = torch.rot90(chips, _pick(random, 4), (2, 3))
    if _pick(random, 2):
        chips = chips.flip(3)
    row, column = (_pick(random, chips.shape[2] - CROP + 1) for _ in range(2))
    chips = chips[:, :, row : row + CROP, column : column + CROP]
    return (_blur(_add_haze(_relight(chips, random), random), random) + _noise(chips.shape, 0.003, random)).clamp(max=0.3)


def _pick(random: Generator, choices: int) -> int:
    return int(torch.randint(0, choices, (1,), generator=random))


def _noise(shape: tuple[int, ...], spread: float, random: Generator) -> Tensor:
    return torch.randn(shape, generator=random) * spread


def _relight(chips: Tensor, random: Generator) -> Tensor:
    """Stretch and shift all bands together, and each a little by itself."""
    n = len(chips)
    gain = torch.exp(_noise((n, 1, 1, 1), 0.15, random) + _noise((n, 3, 1, 1), 0.07, random))
    return chips * gain + _noise((n, 1, 1, 1), 0.008, random) + _noise((n, 3, 1, 1), 0.004, random)


def _add_haze(chips: Tensor, random: Generator) -> Tensor:
    """Veil three chips in ten."""
    amount, chosen = (torch.rand((len(chips), 1, 1, 1), generator=random) for _ in range(2))
    veil = amount * 0.3 * (chosen < 0.3)
    return chips * (1 - veil) + veil * HAZE


def _blur(chips: Tensor, random: Generator) -> Tensor:
    """Blur every other chip by up to a pixel."""
    amount, chosen = (torch.rand((len(chips), 1, 1, 1), generator=random) for _ in range(2))
    share = amount * (chosen < 0.5)
    smooth = functional.avg_pool2d(functional.pad(chips, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return chips * (1 - share) + smooth * share
