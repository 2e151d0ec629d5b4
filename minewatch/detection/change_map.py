"""The result of detection: the change map of an area, as sparse episodes and as rasters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import Window
from minewatch.core.units import NODATA

Episodes = NDArray[Any]
"""Array of EPISODE records."""

EPISODE = np.dtype(
    [
        ("row", np.int32),
        ("column", np.int32),
        ("first_seen", np.int32),
        ("provisional_on", np.int32),
        ("confirmed_on", np.int32),
        ("settled_on", np.int32),
        ("closed_on", np.int32),
        ("last_seen", np.int32),
        ("last_normal", np.int32),
        ("looks", np.int32),
        ("ndvi_change", np.int16),
        ("bsi_change", np.int16),
    ]
)
"""One anomaly of one pixel of the grid.  Dates are days since 1970-01-01, 0 = never.  ``settled_on`` is the look from which
a confirmed pixel has been seen so often that a small patch of such pixels will do for an alert.  ``last_normal`` is the
last look before it that was judged normal, ``looks`` counts the clear looks since its first, the changes are means of the
differences from the baseline over its anomalous looks, x 10 000."""


class Status(IntEnum):
    """The status of a pixel; every pixel has exactly one."""

    OUTSIDE = 0
    NEVER_COVERED = 1
    NO_VEGETATION = 2
    NOT_MONITORED = 3
    STABLE = 4
    PROVISIONAL = 5
    CONFIRMED = 6
    CLOSED = 7


@dataclass(frozen=True)
class ChangeLayer:
    """A raster of the change map."""

    dtype: str
    """Of the file."""

    nodata: int
    """Marks pixels it says nothing about."""

    meaning: str
    """Unit and reading, for the file's metadata."""

    scale: float = 1.0
    """Multiply by this to get the unit."""


RASTERS: Mapping[str, ChangeLayer] = {
    "status": ChangeLayer("uint8", 0, "; ".join(f"{s.value} {s.name.lower().replace('_', ' ')}" for s in Status)),
    "first_seen": ChangeLayer("int32", 0, "first anomalous look of the latest anomaly, days since 1970-01-01"),
    "confirmed_on": ChangeLayer("int32", 0, "look that confirmed it, days since 1970-01-01"),
    "ndvi_change": ChangeLayer("int16", NODATA, "mean difference of NDVI from the baseline", 0.0001),
    "bsi_change": ChangeLayer("int16", NODATA, "mean difference of BSI from the baseline", 0.0001),
    "clear_looks": ChangeLayer("uint16", 65535, "clear looks from monitor_from to the as-of date"),
    "last_clear": ChangeLayer("int32", 0, "last clear look, days since 1970-01-01"),
    "blind_days": ChangeLayer(
        "uint16", 65535, "most days running, from monitor_from to the as-of date, with fewer than two looks that counted"
    ),
}
"""The rasters of ``output/changes/AOI`` by file stem."""


@dataclass(frozen=True)
class TileChanges:
    """The change map of one tile."""

    window: Window
    """Where it lies on the grid."""

    episodes: Episodes
    """EPISODE records, rows and columns on the whole grid."""

    rasters: Mapping[str, NDArray[Any]]
    """(y, x) of the tile, one for each of RASTERS."""

    missing_looks: NDArray[np.uint8]
    """(y, x) clear looks that the baseline still lacks, 0 = monitored."""

    watched: int
    """Pixels that are monitored."""

    onsets: NDArray[np.int64]
    """(day,) by how many those of them grow where a clearing of LASTING_DAYS would not have been confirmed, from one day on which
    it begins to the next, from monitor_from on; whatever the as-of date is."""
