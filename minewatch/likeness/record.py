"""What was scored of the alerts of an area, kept beside the table: what a layer of one's own learns from.

One file an area, written whole.  It can be deleted at any time: what is missing is scored again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.detection.array_file import MALFORMED, ArrayFile, pack_arrays

FORMAT = 1
"""Of the file; files of another are not read."""


@dataclass(frozen=True)
class ScoredAlert:
    """What the model says of one alert, and of which pixels."""

    alert_id: str
    """As the table calls it."""

    key: str
    """Digest of all that its score rests on."""

    version: str
    """Of the weights, without a layer of one's own."""

    score: float
    """0 to 1, without a layer of one's own."""

    doubt: float
    """Standard deviation of the score among the networks."""

    strangeness: float
    """Distance from the training chips; above 1 are less than a thousandth of them."""

    grounds: NDArray[np.float32]
    """(grounds,) 0 to 1, as in :class:`minewatch.likeness.model.Likeness`."""

    features: NDArray[np.float16]
    """(features,) of the networks."""


def write_scored(path: Path, scored: Sequence[ScoredAlert]) -> None:
    """Replace the record of an area; all are of the same version, and so are their shapes."""
    lines = [
        {
            "alert_id": one.alert_id,
            "key": one.key,
            "version": one.version,
        }
        for one in scored
    ]
    arrays: dict[str, NDArray[Any]] = {
        "numbers": np.array([(one.score, one.doubt, one.strangeness) for one in scored], np.float32).reshape(-1, 3),
        "grounds": np.array([one.grounds for one in scored], np.float32),
        "features": np.array([one.features for one in scored], np.float16),
    }
    make_private_folder(path.parent)
    publish_bytes(path, pack_arrays({"format": FORMAT, "alerts": lines}, arrays))


def read_scored(path: Path) -> tuple[ScoredAlert, ...]:
    """Return what was scored of an area's alerts; nothing where there is no record, or none that can be read."""
    try:
        file = ArrayFile(path.read_bytes())
        if file.head["format"] != FORMAT:
            return ()
        arrays = (file.read(name) for name in ("numbers", "grounds", "features"))
        return tuple(_make_scored(*values) for values in zip(file.head["alerts"], *arrays, strict=True))
    except (OSError, *MALFORMED):
        return ()


def _make_scored(
    line: Mapping[str, Any], numbers: NDArray[np.float32], grounds: NDArray[np.float32], features: NDArray[np.float16]
) -> ScoredAlert:
    score, doubt, strangeness = map(float, numbers)
    alert_id, key, version = (str(line[name]) for name in ("alert_id", "key", "version"))
    return ScoredAlert(alert_id, key, version, score, doubt, strangeness, grounds, features)
