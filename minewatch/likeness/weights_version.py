"""Reads which weights of the network are here, and neither them nor what computes with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).with_name("weights.npz")
"""The weights of the network; beside them lies ``model_card.md``."""


def read_version(file: Path = WEIGHTS) -> str:
    """Return the version of a file of weights."""
    with np.load(file) as archive:
        return str(archive["version"])
