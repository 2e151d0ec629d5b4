"""Trains one network of the ensemble, epoch by epoch; what it has reached is kept, so that it can be gone on with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from training.augment import augment
from training.gallery import Gallery
from training.network import TrainedNetwork

BATCH = 64
"""Chips of a step."""

FASTEST = 3e-3
"""Highest learning rate."""

WARM_UP = 0.15
"""Share of the steps in which the learning rate rises; it falls in the rest."""

DECAY = 1e-2
"""Of the weights."""

SURE = 0.97
"""What a label counts for: some of them are wrong."""

MINES = 0.4
"""Share of mines among the chips of a step."""

LEVELLING = 0.25
"""0: a label file counts by its size; 1: all count the same."""

GROUND_WEIGHT = 0.2
"""Of the second head in the loss."""


@dataclass(frozen=True)
class Training:
    """What a network is trained on."""

    gallery: Gallery
    """All chips."""

    chosen: NDArray[np.intp]
    """Numbers of those that it sees."""

    centre: NDArray[np.float32]
    """(band,) reflectance that is 0 after standardising."""

    spread: NDArray[np.float32]
    """(band,) reflectance that is 1 after it."""

    grounds: tuple[str, ...]
    """That the second head tells apart."""

    epochs: int
    """In all."""

    seed: int
    """Of everything that is random."""

    def weigh(self) -> Tensor:
        """Return how often each chip is drawn: mines in MINES of all cases, large files less than their size."""
        _, number, size = np.unique(self.gallery.source[self.chosen], return_inverse=True, return_counts=True)
        weight, mine = size[number] ** -LEVELLING, self.gallery.mine[self.chosen]
        for label, share in ((True, MINES), (False, 1 - MINES)):
            weight[mine == label] *= share / weight[mine == label].sum()
        return torch.from_numpy(weight)


def train_network(training: Training, kept: Path, report: Callable[[int, float, TrainedNetwork], None]) -> TrainedNetwork:
    """Train a network, from the state in ``kept`` where there is one; the same seed gives the same weights on a machine."""
    torch.manual_seed(training.seed)
    network = TrainedNetwork(len(training.grounds)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), FASTEST, weight_decay=DECAY)
    first = 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"]
    chips, targets = _prepare(training)
    weights, steps = training.weigh(), max(1, len(training.chosen) // BATCH)
    centre, spread = (torch.from_numpy(value).view(1, 3, 1, 1) for value in (training.centre, training.spread))
    network.train()
    for epoch in range(first, training.epochs):
        random = Generator().manual_seed(training.seed * 10_007 + epoch)
        torch.manual_seed(training.seed * 10_007 + epoch)
        losses = []
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = FASTEST * _pace((epoch * steps + step) / (training.epochs * steps))
            drawn = torch.multinomial(weights, BATCH, True, generator=random)
            shown = (augment(chips[drawn], random) - centre) / spread
            loss = _measure_loss(network, shown.contiguous(memory_format=torch.channels_last), *(t[drawn] for t in targets))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
        torch.save(state, kept.with_suffix(".part"))
        kept.with_suffix(".part").replace(kept)
        report(epoch + 1, float(np.mean(losses)), network)
    return network.eval()


def _prepare(training: Training) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return chips as (n, band, y, x), and what they are: (n,) mine 0 or 1, (n,) number of the ground, -1 for mines."""
    gallery = training.gallery
    rgb, mine, ground = (value[training.chosen] for value in (gallery.rgb, gallery.mine, gallery.ground))
    numbers = np.array([training.grounds.index(name) if name in training.grounds else -1 for name in ground])
    chips = torch.from_numpy(np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)))
    return chips, (torch.from_numpy(mine.astype(np.float32)), torch.from_numpy(numbers))


def _measure_loss(network: TrainedNetwork, chips: Tensor, mine: Tensor, ground: Tensor) -> Tensor:
    logits, others = network(chips)
    softened = mine * (2 * SURE - 1) + (1 - SURE)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, softened)
    if (ground >= 0).any():
        loss = loss + GROUND_WEIGHT * nn.functional.cross_entropy(others, ground, ignore_index=-1)
    return loss


def _pace(done: float) -> float:
    """Return the learning rate as a share of the highest, after a share of the steps."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))
