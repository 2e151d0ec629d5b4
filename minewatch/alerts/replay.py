"""Makes alerts by a replay of the change history, look by look, in order of acquisition.

The result depends on no clock, run or earlier table: the same episodes give the same alerts with the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from skimage import measure, morphology

from minewatch.alerts.record import CLOSED, CONFIRMED, PROVISIONAL, Alert, AlertStage
from minewatch.areas.aoi import measure_area_ha
from minewatch.areas.grid import PIXEL, Grid
from minewatch.areas.vectorize import Patch, find_patches, find_position, outline, to_lonlat
from minewatch.core.units import SCALE, to_date
from minewatch.detection.change_map import Episodes
from minewatch.settings.pipeline import AlertSettings

REPLAY_VERSION = "1"
"""Change it, to "2" and so on, when the same episodes would give other alerts: recorded ones are not used then.  Names and
comments may change without it; tests/alerts/test_replay_record.py checks this."""

GROWTH_SHARE, GROWTH_HA = 0.25, 1.0
"""An alert has grown by a stage when it is larger than at the last one by this share, or by so many hectares."""

Mask = NDArray[np.bool_]
Pixels = NDArray[np.intp]
"""Flat pixel numbers of a patch, ascending."""


@dataclass(frozen=True)
class _Limits:
    """Sizes in pixels."""

    smallest: int
    """Of an alert."""

    core: int
    """Of confirmed pixels that confirm it."""

    settled: int
    """Of settled pixels that confirm it too."""

    gap: int
    """Half the distance below which parts stay one alert."""

    @classmethod
    def of(cls, settings: AlertSettings) -> Self:
        """Read them from the pipeline."""
        areas = (settings.min_area_ha, settings.core_area_ha, settings.settled_area_ha)
        smallest, core, settled = (max(1, round(area * 10_000 / PIXEL**2)) for area in areas)
        return cls(smallest, core, settled, settings.split_distance // (2 * PIXEL))


@dataclass(eq=False)
class _Track:
    """An alert while the replay runs."""

    began: int
    """Day on which it became an alert."""

    founder: int
    """Its founding pixel."""

    current: Pixels
    """Its pixels, or those when it closed."""

    extent: Pixels
    """Everywhere it ever was."""

    first_seen: int
    """Day of the look on which the smallest area had been seen."""

    last_normal: int
    """Day of the last look before that at which the ground that began it was normal, 0 = none is known."""

    confirmed_on: int = 0
    """Day, 0 = never."""

    closed_on: int = 0
    """Day, 0 = open."""

    merged_into: _Track | None = None
    """The alert that it was merged into."""

    split_from: _Track | None = None
    """The alert that it split from."""

    split_on: int = 0
    """Day, 0 = it did not split."""

    stages: list[tuple[int, Pixels]] = field(default_factory=list)
    """Day and pixels: when it was confirmed, and whenever it had grown."""

    @property
    def age(self) -> tuple[int, int]:
        """Sort the older first; ties by place."""
        return self.began, self.founder

    def move(self, component: Pixels) -> None:
        """Set the current pixels to a component."""
        self.current = component
        self.extent = np.union1d(self.extent, component)


@dataclass(frozen=True)
class _Components:
    """The connected components of one day; they are numbered from 1."""

    labels: NDArray[np.int32]
    """(pixel,) number of the component, 0 = none."""

    pixels: list[Pixels]
    """Theirs, in order."""

    shape: tuple[int, int]
    """Of the patch."""

    gap: int
    """Half the distance, in pixels, below which parts stay together."""

    def near(self, track: _Track, number: int) -> list[int]:
        """Name the components that a track covers and that lie near the given one, or near one that does."""
        covered = [int(n) for n in np.unique(self.labels[track.current]) if n]
        if len(covered) < 2 or not number:
            return [number] if number else []
        own = np.isin(self.labels, [*covered, number]).reshape(self.shape)
        wide = morphology.dilation(own, morphology.footprint_rectangle((2 * self.gap + 1, 2 * self.gap + 1)))
        groups = measure.label(wide, connectivity=2).ravel()
        return [n for n in covered if groups[self.pixels[n - 1][0]] == groups[self.pixels[number - 1][0]]]


@dataclass(frozen=True)
class _History:
    """The episodes of one patch."""

    patch: Patch
    """Every pixel that ever had one."""

    episodes: Episodes
    """Theirs, by row, column and first_seen."""

    pixels: Pixels
    """The pixel of each episode."""

    def days(self) -> list[int]:
        """Return the days on which anything changed."""
        events = np.concatenate([self.episodes[name] for name in ("provisional_on", "confirmed_on", "settled_on", "closed_on")])
        return [int(day) for day in np.unique(events[events > 0])]

    def active(self, day: int) -> Mask:
        """Return which episodes are provisional or confirmed after the looks of a day."""
        e = self.episodes
        lasting = (e["closed_on"] == 0) | (e["closed_on"] > day)
        return np.asarray((e["provisional_on"] > 0) & (e["provisional_on"] <= day) & lasting)

    def reached(self, stage: str, day: int) -> Pixels:
        """Return the pixels that are ``confirmed_on`` or ``settled_on`` after the looks of a day."""
        since = self.episodes[stage]
        return self.pixels[self.active(day) & (since > 0) & (since <= day)]

    def components(self, day: int, gap: int) -> _Components:
        """Return the connected components of the active pixels of a day."""
        dense = np.zeros(self.patch.mask.size, bool)
        dense[self.pixels[self.active(day)]] = True
        shaped = dense.reshape(self.patch.mask.shape)
        labels, count = measure.label(shaped, connectivity=2, return_num=True)
        flat = labels.ravel()
        members = np.flatnonzero(flat)
        order = members[np.argsort(flat[members], kind="stable")]
        pixels = np.split(order, np.searchsorted(flat[order], np.arange(2, count + 1))) if count else []
        return _Components(flat, pixels, self.patch.window.shape, gap)


def replay_alerts(episodes: Episodes, grid: Grid, aoi: str, settings: AlertSettings) -> list[Alert]:
    """Turn the change history of an area into its alerts, ordered by id.

    ``episodes`` are EPISODE records of the whole area, in any order.
    """
    limits = _Limits.of(settings)
    ordered = np.sort(episodes[episodes["provisional_on"] > 0], order=["row", "column", "first_seen"])
    alerts: list[Alert] = []
    for history in _split_histories(ordered, grid):
        if history.patch.mask.sum() >= limits.smallest:
            alerts += [_make_alert(track, history, grid, aoi) for track in _replay_history(history, limits)]
    return sorted(alerts, key=lambda alert: alert.alert_id)


def _split_histories(episodes: Episodes, grid: Grid) -> Iterator[_History]:
    """Split the episodes into groups that never touch, so that each is replayed by itself on a small array."""
    for patch in find_patches(episodes["row"], episodes["column"], grid.shape):
        window = patch.window
        first, last = np.searchsorted(episodes["row"], (window.row, window.row + window.height))
        columns = episodes["column"][first:last]
        near = episodes[first:last][(columns >= window.column) & (columns < window.column + window.width)]
        pixels = (near["row"] - window.row).astype(np.intp) * window.width + (near["column"] - window.column)
        chosen = patch.mask.ravel()[pixels]
        yield _History(patch, near[chosen], pixels[chosen])


def _replay_history(history: _History, limits: _Limits) -> list[_Track]:
    tracks: list[_Track] = []
    for day in history.days():
        components = history.components(day, limits.gap)
        owned = _continue(tracks, components, day, limits)
        for number, component in enumerate(components.pixels, 1):
            if number not in owned and len(component) >= limits.smallest:
                _open_track(tracks, component, history, day, limits)
        _confirm([t for t in tracks if not t.closed_on and not t.confirmed_on], history, day, limits)
        _note_stages([t for t in tracks if not t.closed_on and t.confirmed_on], history, day)
    return tracks


def _confirm(tracks: list[_Track], history: _History, day: int, limits: _Limits) -> None:
    """Confirm tracks with enough confirmed pixels, or with fewer ones that were seen more often (settled)."""
    confirmed, settled = (history.reached(stage, day) for stage in ("confirmed_on", "settled_on"))
    for track in tracks:
        cores, sure = (np.isin(track.current, pixels, assume_unique=True).sum() for pixels in (confirmed, settled))
        if len(track.current) >= limits.smallest and (cores >= limits.core or sure >= limits.settled):
            track.confirmed_on = day


def _note_stages(tracks: list[_Track], history: _History, day: int) -> None:
    """Note the pixels of confirmed tracks: those of the confirming look, and then each time they have grown."""
    for track in tracks:
        if not track.stages:  # a part that split off was confirmed earlier, as part of the other alert
            then = history.pixels[history.active(track.confirmed_on)]
            track.stages.append((track.confirmed_on, np.intersect1d(track.current, then)))
        hectares = [len(pixels) * PIXEL**2 / 10_000 for pixels in (track.stages[-1][1], track.current)]
        if has_grown(*hectares):
            track.stages.append((day, track.current))


def has_grown(before_ha: float, after_ha: float) -> bool:
    """True if an alert has grown by a stage from one area to another."""
    return after_ha >= min(before_ha * (1 + GROWTH_SHARE), before_ha + GROWTH_HA) * (1 - 1e-3)  # geodesic and grid differ


def _continue(tracks: list[_Track], components: _Components, day: int, limits: _Limits) -> set[int]:
    """Assign each open track its component; older tracks absorb younger ones, those below half the smallest area are closed.

    Parts that separate and stay near remain one alert: a bridge of doubtful pixels fades sooner than what it joined.
    """
    taken: dict[int, _Track] = {}
    for track in sorted((t for t in tracks if not t.closed_on), key=lambda t: t.age):
        number = _choose_successor(track, components.labels)
        near = {number, *components.near(track, number)} if number else set()
        if sum(len(components.pixels[part - 1]) for part in near) < limits.smallest / 2:
            track.closed_on = day
            continue
        owner = taken.get(number, track)
        parts = [part for part in near if part not in taken]
        taken.update(dict.fromkeys(parts, owner))
        pixels = [components.pixels[part - 1] for part in parts]
        if owner is track:
            track.move(np.sort(np.concatenate(pixels)))
        else:
            track.closed_on, track.merged_into = day, owner
            owner.extent = np.union1d(owner.extent, track.extent)
            owner.move(np.sort(np.concatenate([owner.current, *pixels])))
    return set(taken)


def _choose_successor(track: _Track, labels: NDArray[np.int32]) -> int:
    """Choose the part that keeps the track's id: the one with its founding pixel, else that of the largest overlap; 0 = none."""
    if labels[track.founder]:
        return int(labels[track.founder])
    overlaps = np.bincount(labels[track.current])
    overlaps[0] = 0
    return int(np.argmax(overlaps))


def _open_track(tracks: list[_Track], component: Pixels, history: _History, day: int, limits: _Limits) -> None:
    """Open a track for a component without one, or reopen the closed track that lies there.

    A part that splits off has the dates of its own pixels: as part of the other alert its ground was seen and confirmed then.
    """
    touching = [t for t in tracks if np.isin(component, t.extent, assume_unique=True).any()]
    parents = [t for t in touching if not t.closed_on]
    returned = [t for t in touching if t.closed_on and not t.merged_into]
    if returned and not parents:
        track = min(returned, key=lambda t: t.age)
        track.closed_on = 0
        track.move(component)
        return
    chosen = history.active(day) & np.isin(history.pixels, component)
    own = history.episodes[chosen]
    founder = int(history.pixels[chosen][np.argmin(own["first_seen"])])
    first_seen = _reach(own["first_seen"], limits.smallest)
    track = _Track(day, founder, component, component, first_seen, _find_last_normal(own, first_seen))
    if parents:
        track.split_from, track.split_on = min(parents, key=lambda t: t.age), day
        reached = [_reach(own[stage], count) for stage, count in (("confirmed_on", limits.core), ("settled_on", limits.settled))]
        track.confirmed_on = min((d for d in reached if d), default=0)
    tracks.append(track)


def _reach(days: NDArray[np.int32], count: int) -> int:
    """Return the day on which ``count`` of the pixels with these days (0 = never) are reached, 0 if there are fewer."""
    known = np.sort(days[days > 0])
    return int(known[count - 1]) if len(known) >= count else 0


def _find_last_normal(own: Episodes, first_seen: int) -> int:
    """Return the day on which, or later, half of the pixels changed by ``first_seen`` were normal last; 0 where none is known.

    A few pixels may be misjudged, and clouds may have hidden some: the middle one decides.
    """
    days = np.sort(own["last_normal"][own["first_seen"] <= first_seen])
    return int(days[len(days) // 2])


class _Site(NamedTuple):
    """Where pixels lie."""

    geometry: BaseGeometry
    """Their outline, lon/lat."""

    area_ha: float
    """Geodesic, hectares."""

    lat: float
    """Degrees, of a point inside."""

    lon: float
    """Degrees, of the same point."""


def _make_alert(track: _Track, history: _History, grid: Grid, aoi: str) -> Alert:
    episodes = history.episodes
    lasting = (episodes["closed_on"] == 0) | (episodes["closed_on"] > track.began)
    members = episodes[np.isin(history.pixels, track.current) & lasting]
    # The last stage is mostly the alert as it is.
    drawn = {one.tobytes(): one for one in (track.current, *(pixels for _, pixels in track.stages))}
    sites = {key: _draw_site(pixels, history.patch, grid) for key, pixels in drawn.items()}
    site = sites[track.current.tobytes()]
    seen = members["last_seen"]
    if track.closed_on:  # what is left of it, or what it is part of, may go on
        seen = seen[seen < track.closed_on]
    latest = int(seen.max(initial=max(track.first_seen, track.confirmed_on)))
    first_seen, last_seen = to_date(track.first_seen), to_date(latest)
    assert first_seen is not None, "an alert was seen"
    assert last_seen is not None, "an alert was seen"
    return Alert(
        alert_id=_make_id(track, history, grid, aoi),
        aoi=aoi,
        status=CLOSED if track.closed_on else CONFIRMED if track.confirmed_on else PROVISIONAL,
        first_seen=first_seen,
        confirmed_on=to_date(track.confirmed_on),
        last_seen=last_seen,
        area_ha=site.area_ha,
        lat=site.lat,
        lon=site.lon,
        ndvi_change=round(float(members["ndvi_change"].mean()) / SCALE, 4),
        bsi_change=round(float(members["bsi_change"].mean()) / SCALE, 4),
        looks=int(np.median(members["looks"])),
        last_normal=to_date(track.last_normal),
        geometry=site.geometry,
        merged_into=_make_id(track.merged_into, history, grid, aoi) if track.merged_into else "",
        split_from=_make_id(track.split_from, history, grid, aoi) if track.split_from else "",
        closed_on=to_date(track.closed_on),
        split_on=to_date(track.split_on),
        stages=tuple(_make_stage(day, sites[pixels.tobytes()]) for day, pixels in track.stages),
    )


def _draw_site(pixels: Pixels, patch: Patch, grid: Grid) -> _Site:
    """Return the outline of some pixels of a patch, in degrees, with its area and position."""
    mask = np.zeros(patch.mask.shape, bool)
    mask.ravel()[pixels] = True
    geometry = to_lonlat(outline(mask, patch.window, grid), grid)
    return _Site(geometry, round(measure_area_ha(geometry), 4), *find_position(geometry))


def _make_stage(day: int, site: _Site) -> AlertStage:
    date = to_date(day)
    assert date is not None, "a stage has a day"
    return AlertStage(date, *site)


def _make_id(track: _Track, history: _History, grid: Grid, aoi: str) -> str:
    window = history.patch.window
    row, column = divmod(track.founder, window.width)
    x, y = grid.transform @ (window.column + column, window.row + row)
    place = hashlib.sha256(f"{grid.epsg} {x:.1f} {y:.1f}".encode()).hexdigest()[:6]
    began = to_date(track.began)
    return f"{aoi}-{began:%Y%m%d}-{place}"
