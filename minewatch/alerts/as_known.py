"""Alerts as they were known on earlier days: the replay of what the looks up to a day had shown.

Each date of an episode is that of the look which brought it about, so leaving out what came later gives the episodes of a scan as
of that day, and their replay its alerts, with the same ids.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import numpy as np

from minewatch.alerts.record import Alert
from minewatch.alerts.replay import replay_alerts
from minewatch.areas.grid import Grid
from minewatch.areas.vectorize import find_patches
from minewatch.core.units import to_day
from minewatch.detection.change_map import Episodes
from minewatch.settings.pipeline import AlertSettings

EVENTS = ("provisional_on", "confirmed_on", "settled_on", "closed_on")
"""Dates of an episode on which alerts may change."""


def cut_episodes(episodes: Episodes, day: dt.date) -> Episodes:
    """Return the episodes as they were known after the looks of a day; the looks counted and mean changes remain later ones."""
    last = to_day(day)
    known = episodes[(episodes["provisional_on"] > 0) & (episodes["provisional_on"] <= last)].copy()
    for name in EVENTS:
        known[name][known[name] > last] = 0
    known["last_seen"] = np.minimum(known["last_seen"], last)
    return known


def replay_as_known(
    episodes: Episodes, grid: Grid, aoi: str, settings: AlertSettings, days: Iterable[dt.date]
) -> dict[dt.date, list[Alert]]:
    """Return the alerts as known after the looks of each day, ordered by id.

    Outlines, hectares, status and dates are those of the day; ``last_seen`` may be that of an earlier day since which nothing
    else changed, ``looks`` and mean changes are later ones.
    """
    found: dict[dt.date, list[Alert]] = {day: [] for day in sorted(set(days))}
    for group in _split(episodes[episodes["provisional_on"] > 0], grid):
        replayed: dict[bytes, list[Alert]] = {b"": []}
        for day, alerts in found.items():
            known = cut_episodes(group, day)
            key = b"".join(known[name].tobytes() for name in EVENTS)
            if key not in replayed:
                replayed[key] = replay_alerts(known, grid, aoi, settings)
            alerts.extend(replayed[key])
    return {day: sorted(alerts, key=lambda alert: alert.alert_id) for day, alerts in found.items()}


def _split(episodes: Episodes, grid: Grid) -> Iterator[Episodes]:
    """Split episodes into groups that never touch: each is replayed by itself, and only where something changed in it."""
    ordered = np.sort(episodes, order=["row", "column", "first_seen"])
    for patch in find_patches(ordered["row"], ordered["column"], grid.shape):
        window = patch.window
        first, last = np.searchsorted(ordered["row"], (window.row, window.row + window.height))
        near = ordered[first:last]
        near = near[(near["column"] >= window.column) & (near["column"] < window.column + window.width)]
        yield near[patch.mask[near["row"] - window.row, near["column"] - window.column]]
