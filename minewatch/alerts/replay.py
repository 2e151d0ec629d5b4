"""Alerts are a replay of the change history, look by look, in order of acquisition.

Nothing here knows a clock, a run or an earlier table: the same episodes give the same alerts and the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from minewatch.alerts.record import CLOSED, CONFIRMED, PROVISIONAL, Alert
from minewatch.aoi import measure_area_ha
from minewatch.changes import Episodes
from minewatch.grid import PIXEL, Grid
from minewatch.polygons import NEIGHBOURS, Patch, find_patches, find_position, outline, to_lonlat
from minewatch.units import SCALE, to_date

Mask = NDArray[np.bool_]


@dataclass(eq=False)
class _Track:
    """An alert while the replay runs; masks are on the patch."""

    began: int
    """Day on which it became an alert."""

    founder: tuple[int, int]
    """Row and column of its founding pixel, on the patch."""

    current: Mask
    """Where it is, or was when it closed."""

    ground: Mask
    """Everywhere it ever was."""

    first_seen: int
    """Day of the look on which the smallest area had been seen."""

    confirmed_on: int = 0
    """Day, 0 = never."""

    closed_on: int = 0
    """Day, 0 = open."""

    merged_into: _Track | None = None
    """Who took it in."""

    split_from: _Track | None = None
    """Whose part it was."""

    @property
    def age(self) -> tuple[int, int, int]:
        """Sorts the older first; ties by place."""
        return self.began, *self.founder


@dataclass(frozen=True)
class _History:
    """The episodes of one patch."""

    patch: Patch
    episodes: Episodes

    def days(self) -> list[int]:
        """Give the days on which anything changed."""
        events = np.concatenate([self.episodes[name] for name in ("provisional_on", "confirmed_on", "closed_on")])
        return [int(day) for day in np.unique(events[events > 0])]

    def active(self, day: int) -> Mask:
        """Tell which episodes are provisional or confirmed after the looks of a day."""
        e = self.episodes
        lasting = (e["closed_on"] == 0) | (e["closed_on"] > day)
        return np.asarray((e["provisional_on"] > 0) & (e["provisional_on"] <= day) & lasting)

    def confirmed(self, day: int) -> Mask:
        """Tell which of them are confirmed."""
        confirmed_on = self.episodes["confirmed_on"]
        return np.asarray(self.active(day) & (confirmed_on > 0) & (confirmed_on <= day))

    def draw(self, members: Mask) -> Mask:
        """Mark the pixels of some episodes on the patch."""
        mask = np.zeros(self.patch.mask.shape, bool)
        mask[self._place(members)] = True
        return mask

    def inside(self, mask: Mask) -> Mask:
        """Tell which episodes lie on a mask."""
        return mask[self._place(slice(None))]

    def _place(self, members: Mask | slice) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        chosen = self.episodes[members]
        return chosen["row"] - self.patch.window.row, chosen["column"] - self.patch.window.column


def replay_alerts(episodes: Episodes, grid: Grid, aoi: str, min_area_ha: float) -> list[Alert]:
    """Turn the change history of an area into its alerts, ordered by id.

    ``episodes`` are EPISODE records of the whole area, in any order.
    """
    min_pixels = max(1, round(min_area_ha * 10_000 / PIXEL**2))
    ordered = np.sort(episodes[episodes["provisional_on"] > 0], order=["row", "column", "first_seen"])
    alerts: list[Alert] = []
    for history in _histories(ordered, grid):
        tracks = _follow(history, min_pixels)
        alerts += [_make_alert(track, history, grid, aoi) for track in tracks]
    return sorted(alerts, key=lambda alert: alert.alert_id)


def _histories(episodes: Episodes, grid: Grid) -> Iterator[_History]:
    """Split the episodes into groups that never touch, so that each is replayed by itself on a small array."""
    for patch in find_patches(episodes["row"], episodes["column"], grid.shape):
        window = patch.window
        first, last = np.searchsorted(episodes["row"], (window.row, window.row + window.height))
        columns = episodes["column"][first:last]
        chosen = episodes[first:last][(columns >= window.column) & (columns < window.column + window.width)]
        yield _History(patch, chosen[patch.mask[chosen["row"] - window.row, chosen["column"] - window.column]])


def _follow(history: _History, min_pixels: int) -> list[_Track]:
    tracks: list[_Track] = []
    for day in history.days():
        labels, count = ndimage.label(history.draw(history.active(day)), NEIGHBOURS)
        confirmed = history.draw(history.confirmed(day))
        components = [labels == number for number in range(1, count + 1)]
        _continue(tracks, components, day)
        for component in components:
            _begin(tracks, component, history, day, min_pixels)
        for track in tracks:
            if not track.closed_on and not track.confirmed_on and (track.current & confirmed).sum() >= min_pixels:
                track.confirmed_on = day
    return tracks


def _continue(tracks: list[_Track], components: list[Mask], day: int) -> None:
    """Give each open track its component; the older takes in the younger, what has none is closed."""
    taken: dict[int, _Track] = {}
    for track in sorted((t for t in tracks if not t.closed_on), key=lambda t: t.age):
        index = _heir(track, components)
        if index is None:
            track.closed_on = day
        elif index in taken:
            track.closed_on, track.merged_into = day, taken[index]
            taken[index].ground |= track.ground
        else:
            taken[index] = track
            track.current = components[index]
            track.ground = track.ground | components[index]


def _heir(track: _Track, components: list[Mask]) -> int | None:
    """Choose the part that goes on under the track's id: the one with its founding pixel, else the largest overlap."""
    overlaps = [int((component & track.current).sum()) for component in components]
    for index, overlap in enumerate(overlaps):
        if overlap and components[index][track.founder]:
            return index
    return int(np.argmax(overlaps)) if any(overlaps) else None


def _begin(tracks: list[_Track], component: Mask, history: _History, day: int, min_pixels: int) -> None:
    """Open an alert for a component that nobody owns, or re-open the closed one that lies there."""
    if component.sum() < min_pixels or any(not t.closed_on and (t.current is component) for t in tracks):
        return
    parent = next((t for t in tracks if not t.closed_on and (t.ground & component).any()), None)
    returned = [t for t in tracks if t.closed_on and not t.merged_into and t.closed_on < day and (t.ground & component).any()]
    if parent is None and returned:
        track = min(returned, key=lambda t: t.age)
        track.closed_on, track.current, track.ground = 0, component, track.ground | component
        return
    seen = history.episodes["first_seen"][history.inside(component) & history.active(day)]
    first = int(np.sort(seen)[min_pixels - 1])
    founder = _find_founder(component, history, day)
    tracks.append(_Track(day, founder, component, component.copy(), day if parent else first, split_from=parent))


def _find_founder(component: Mask, history: _History, day: int) -> tuple[int, int]:
    """Choose the pixel that was seen first; among equals the top left one."""
    chosen = history.episodes[history.inside(component) & history.active(day)]
    first = np.sort(chosen, order=["first_seen", "row", "column"])[0]
    return int(first["row"] - history.patch.window.row), int(first["column"] - history.patch.window.column)


def _make_alert(track: _Track, history: _History, grid: Grid, aoi: str) -> Alert:
    mask = _extent(track, history)
    episodes = history.episodes
    lasting = (episodes["closed_on"] == 0) | (episodes["closed_on"] > track.began)
    members = episodes[history.inside(mask) & lasting]
    geometry = to_lonlat(outline(mask, history.patch.window, grid), grid)
    lat, lon = find_position(geometry)
    days, counts = np.unique(members["clear_before"][members["clear_before"] > 0], return_counts=True)
    first_seen, last_seen = to_date(track.first_seen), to_date(int(members["last_seen"].max()))
    assert first_seen is not None, "an alert was seen"
    assert last_seen is not None, "an alert was seen"
    return Alert(
        alert_id=_make_id(track, history, grid, aoi),
        aoi=aoi,
        status=CLOSED if track.closed_on else CONFIRMED if track.confirmed_on else PROVISIONAL,
        first_seen=first_seen,
        confirmed_on=to_date(track.confirmed_on),
        last_seen=last_seen,
        area_ha=round(measure_area_ha(geometry), 4),
        lat=lat,
        lon=lon,
        ndvi_change=round(float(members["ndvi_change"].mean()) / SCALE, 4),
        bsi_change=round(float(members["bsi_change"].mean()) / SCALE, 4),
        looks=int(np.median(members["looks"])),
        day_before=to_date(int(days[np.argmax(counts)])) if days.size else None,
        geometry=geometry,
        merged_into=_make_id(track.merged_into, history, grid, aoi) if track.merged_into else "",
        split_from=_make_id(track.split_from, history, grid, aoi) if track.split_from else "",
    )


def _extent(track: _Track, history: _History) -> Mask:
    """Give the pixels that are drawn: of a confirmed alert the confirmed ones, else all that are active."""
    if track.closed_on or not track.confirmed_on:
        return track.current
    confirmed = track.current & history.draw(history.confirmed(2**31 - 1))
    return confirmed if confirmed.any() else track.current


def _make_id(track: _Track, history: _History, grid: Grid, aoi: str) -> str:
    row, column = history.patch.window.row + track.founder[0], history.patch.window.column + track.founder[1]
    x, y = grid.transform * (column, row)
    place = hashlib.sha256(f"{grid.epsg} {x:.1f} {y:.1f}".encode()).hexdigest()[:6]
    began = to_date(track.began)
    return f"{aoi}-{began:%Y%m%d}-{place}"
