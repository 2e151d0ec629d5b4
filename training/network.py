"""The network as it is trained, and its weights as they are used; the two must say the same."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from minewatch.likeness.network import STAGES

MAPS = (32, 64, 96)
"""Of each stage."""

DROPPED = 0.2
"""Share of features that are left out in training."""


class TrainedNetwork(nn.Module):
    """As :class:`minewatch.likeness.network.Network`, with the normalisation that makes it trainable."""

    def __init__(self, grounds: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        depth = 12  # three bands of 2 × 2 pixels
        for stage, maps in enumerate(MAPS):
            for _ in range(2):
                layers += [nn.Conv2d(depth, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU(inplace=True)]
                depth = maps
            if stage + 1 < STAGES:
                layers.append(nn.MaxPool2d(2))
        self.maps, self.dropout = nn.Sequential(*layers), nn.Dropout(DROPPED)
        self.mine, self.ground = nn.Linear(2 * depth, 1), nn.Linear(2 * depth, grounds)

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n,) logits of being a mine and (n, grounds) of the others; ``chips`` are (n, band, y, x), standardised."""
        maps = self.maps(nn.functional.pixel_unshuffle(chips, 2))
        features = self.dropout(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1))
        return self.mine(features)[:, 0], self.ground(features)

    def export(self) -> dict[str, NDArray[np.float16]]:
        """Return the weights as they are shipped."""
        return {name: value.astype(np.float16) for name, value in self.fold().items()}

    def fold(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights with the normalisation folded into the convolutions."""
        found: dict[str, Tensor] = {}
        convolutions = [layer for layer in self.maps if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in self.maps if isinstance(layer, nn.BatchNorm2d)]
        for number, (layer, norm) in enumerate(zip(convolutions, norms, strict=True)):
            assert norm.running_var is not None
            assert norm.running_mean is not None
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            kernel = layer.weight * scale[:, None, None, None]
            found[f"kernel{number}"] = kernel.permute(2, 3, 1, 0).reshape(-1, kernel.shape[0])
            found[f"bias{number}"] = norm.bias - norm.running_mean * scale
        found |= {"mine": self.mine.weight[0], "mine_bias": self.mine.bias[0]}
        found |= {"ground": self.ground.weight.T, "ground_bias": self.ground.bias}
        return {name: value.detach().numpy().astype(np.float32) for name, value in found.items()}
