"""The learning curve: what each network reached after each epoch, kept beside its state."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class EpochResult:
    """All networks after one epoch."""

    epoch: int
    """From 1."""

    networks: int
    """How many have come so far."""

    loss: float
    """Their mean loss in training."""

    auc: tuple[float, float, float]
    """Mean, lowest and highest of what they reach on label files that they do not see."""


def add_epoch(path: Path, epoch: int, loss: float, auc: float) -> None:
    """Add a line to the file of a network."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{epoch},{loss:.4f},{auc:.4f}\n")


def read_curve(folder: Path) -> list[EpochResult]:
    """Return the curve of a training run; of an epoch that was run again, the last counts."""
    found: dict[int, dict[Path, tuple[float, float]]] = defaultdict(dict)
    for path in sorted(folder.glob("network-*.csv")):
        for line in path.read_text("utf-8").splitlines():
            epoch, loss, auc = line.split(",")
            found[int(epoch)][path] = float(loss), float(auc)
    results = []
    for epoch, reached in sorted(found.items()):
        losses, aucs = np.array(list(reached.values())).T
        results.append(
            EpochResult(epoch, len(aucs), float(losses.mean()), (float(aucs.mean()), float(aucs.min()), float(aucs.max())))
        )
    return results
