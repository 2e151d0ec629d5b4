"""The image of an area or an alert on a date: a GeoTIFF for maps, and a picture with outlines, scale bar and compass rose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely
from matplotlib.axes import Axes
from pyproj import Transformer

from minewatch import __version__
from minewatch.alerts.record import CLOSED
from minewatch.alerts.reviews import find_alert
from minewatch.alerts.style import COLOURS
from minewatch.alerts.table import read_alerts
from minewatch.aoi import list_aois
from minewatch.cartography import Entry, draw_compass, draw_graticule, draw_label, draw_outline, draw_page, draw_scale_bar
from minewatch.chips import CLEAR, TRUE_COLOUR, Album, Chip, find_chip, find_stretch, frame_outline, open_album, render_chip
from minewatch.errors import AlertsError, ImageError
from minewatch.grid import Grid, reproject
from minewatch.meridian import join_halves
from minewatch.provider import PROVIDERS
from minewatch.rasters import write_picture
from minewatch.text import show_plain
from minewatch.trust import is_web
from minewatch.workspace import Workspace

ALERTS, AOI, GRATICULE, COMPASS, SCALE_BAR = "alerts", "aoi", "grid", "compass", "scale"
OVERLAYS = (ALERTS, AOI, GRATICULE, COMPASS, SCALE_BAR)
"""What may be drawn over an image."""

PNG, TIFF = "png", "tif"
FORMATS = (PNG, TIFF)

AREA_COLOUR = "#4da3ff"
"""Of the area's outline: seen on forest, and on the page's white in the legend."""

MOST_NAMED = 4
"""Scenes that a picture names; the GeoTIFF names all."""

MOST_LABELS = 30
"""Alerts with area and date beside them, the largest; more would cover each other."""


@dataclass(frozen=True)
class ImageRequest:
    """What somebody wants to see."""

    target: str
    """Name of an area, or id of an alert, also an old one."""

    until: dt.date
    """The image is of this day or an earlier one."""

    name: str = TRUE_COLOUR
    """One of chips.COMPOSITES."""

    overlays: tuple[str, ...] = OVERLAYS
    """What is drawn over the picture."""

    formats: tuple[str, ...] = FORMATS
    """Which files are written."""

    folder: Path | None = None
    """Where; None = among the images of the workspace."""

    source: str | None = None
    """In place of the workspace's."""


@dataclass(frozen=True)
class Drawn:
    """An image that was made."""

    target: str
    """Name of the area, or the alert's id as it is now."""

    chip: Chip
    """What it shows."""

    files: Mapping[str, Path]
    """Format to file."""

    notes: tuple[str, ...]
    """Lines a person should read."""


@dataclass(frozen=True)
class _Subject:
    """What an image is about."""

    name: str
    """Area, or alert."""

    aoi: str
    """Area."""

    alerts: gpd.GeoDataFrame | None
    """Of the area; None where there is no table."""

    alert: Any = None
    """Row of the alert."""

    notes: tuple[str, ...] = ()
    """Lines a person should read."""


def make_image(workspace: Workspace, request: ImageRequest) -> Drawn:
    """Write the best clear image of an area or alert at or before a date.

    Raises ImageError where there is none, other MinewatchErrors where target, source or folder will not do.
    """
    subject = _find_subject(workspace, request.target)
    album = open_album(workspace, subject.aoi, request.source)
    frame = album.grid if subject.alert is None else frame_outline(album.grid, subject.alert.geometry)
    chip = find_chip(album, frame, request.until, request.name)
    stretch = find_stretch([chip])
    colours = render_chip(chip, stretch)
    stem = f"{subject.name}-{chip.date}-{chip.name}"
    files = {kind: (request.folder or workspace.images) / f"{stem}.{kind}" for kind in FORMATS if kind in request.formats}
    if TIFF in files:
        write_picture(files[TIFF], frame, colours, chip.known, describe_chip(chip, subject.name, stretch.dark, stretch.white))
    if PNG in files:
        overlay = _Overlay(subject, album, chip, request.overlays)
        title = f"{show_plain(subject.name)}: {chip.name}, {chip.date}"
        draw_page(files[PNG], frame, colours, overlay.draw, title, _tell(chip), credit_chip(chip), overlay.list_entries())
    return Drawn(subject.name, chip, files, (*subject.notes, *chip.notes, *_warn(chip)))


def credit_chip(chip: Chip) -> str:
    """Give the credit that the licence of Sentinel data asks for."""
    source = chip.look.take.scenes[0].source
    # The path of a catalogue on this machine is nobody's business.
    told = f"; source {show_plain(source)}" if is_web(source) or source in PROVIDERS else ""
    return f"Contains modified Copernicus Sentinel data {chip.date.year}{told}"


def describe_chip(chip: Chip, name: str, dark: Sequence[float], white: Sequence[float]) -> dict[str, str]:
    """Say in the tags of a file what it shows."""
    return {
        "target": name,
        "date": f"{chip.date}",
        "scenes": " ".join(chip.scenes),
        "bands": " ".join(chip.bands),
        "darkest": " ".join(f"{value:.4f}" for value in dark),
        "white": " ".join(f"{value:.4f}" for value in white),
        "clear_share": f"{chip.look.clear_share:.4f}",
        "credit": credit_chip(chip),
        "software": f"minewatch {__version__}",
    }


# --- what is shown ---------------------------------------------------------------------------------------------------


def _find_subject(workspace: Workspace, target: str) -> _Subject:
    """Find the area or the alert of that name; raises ImageError where there is neither."""
    table = read_alerts(workspace.alerts) if workspace.alerts.exists() else None
    if target in list_aois(workspace):
        return _Subject(target, target, None if table is None else table[table["aoi"] == target])
    if table is None:
        raise ImageError(f"there is no area {target!r} and no alert yet; list the areas with: minewatch aoi list")
    try:
        name = find_alert(workspace.alerts, target)
    except AlertsError as error:
        hint = "list them with: minewatch aoi list, minewatch alerts list"
        raise ImageError(f"there is no area and no alert {target!r}; {hint}") from error
    row = next(table[table["alert_id"] == name].itertuples())
    notes = (f"{target} is now {name}",) if name != target else ()
    return _Subject(name, str(row.aoi), table[table["aoi"] == row.aoi], row, notes)


def _warn(chip: Chip) -> list[str]:
    """Say where an image is not clear: then no better one was to be had."""
    look, lines = chip.look, []
    if (known := float(chip.known.mean())) < 0.99:
        lines.append(f"{1 - known:.0%} of the image has no data: the overpass does not cover it")
    if look.clear_share < CLEAR * known or (look.outline_share < CLEAR and not lines):
        lines.append(
            f"no image is clear: this one shows {look.clear_share:.0%} of the frame"
            f" and {look.outline_share:.0%} of the outlined ground without cloud"
        )
    return lines


def _tell(chip: Chip) -> list[str]:
    """Say in small letters what was looked at."""
    scenes = [show_plain(scene) for scene in chip.scenes[:MOST_NAMED]]
    rest = len(chip.scenes) - len(scenes)
    bands = f"{'-'.join(chip.bands)}, clear {chip.look.clear_share:.0%}, acquired {chip.look.take.time:%Y-%m-%d %H:%M} UTC"
    return [", ".join(scenes) + (f" and {rest} more" if rest else ""), bands]


@dataclass(frozen=True)
class _Overlay:
    """What is drawn over an image."""

    subject: _Subject
    """What it is about."""

    album: Album
    """Of its area."""

    chip: Chip
    """The image."""

    overlays: tuple[str, ...]
    """Some of OVERLAYS."""

    def draw(self, axes: Axes) -> None:
        """Draw it on the map."""
        frame = self.chip.frame
        if GRATICULE in self.overlays:
            draw_graticule(axes, frame)
        if AOI in self.overlays:
            draw_outline(axes, self.album.grid.area, AREA_COLOUR, 1.0)
        self._draw_alerts(axes, frame)
        if SCALE_BAR in self.overlays:
            draw_scale_bar(axes, frame)
        if COMPASS in self.overlays:
            draw_compass(axes, frame)

    @property
    def _shown(self) -> list[Any]:
        """Rows of the alerts that are outlined: the one that was asked for, then from the largest on."""
        if ALERTS not in self.overlays or self.subject.alerts is None:
            return []
        own, frame = self.subject.name, self.chip.frame
        extent = reproject(shapely.box(*frame.bounds), Transformer.from_crs(frame.crs, 4326, always_xy=True))
        rows = [row for row in self.subject.alerts.itertuples() if row.status != CLOSED or row.alert_id == own]
        near = [row for row in rows if join_halves(row.geometry).intersects(join_halves(extent))]
        return sorted(near, key=lambda row: (row.alert_id != own, -row.area_ha))

    def _is_later(self, row: Any) -> bool:
        """Tell whether an alert was first seen after the image."""
        return bool(row.first_seen.date() > self.chip.date)

    def list_entries(self) -> list[Entry]:
        """List what the outlines mean."""
        kinds = {(row.status, self._is_later(row)): None for row in self._shown}
        area = [Entry("area", AREA_COLOUR)] if AOI in self.overlays else []
        return area + [
            Entry(f"{status}, first seen later" if later else status, COLOURS[status], later) for status, later in sorted(kinds)
        ]

    def _draw_alerts(self, axes: Axes, frame: Grid) -> None:
        """Outline the alerts; those first seen after the image are dashed."""
        to_grid = Transformer.from_crs(4326, frame.crs, always_xy=True)
        for number, row in enumerate(self._shown):
            shape = reproject(join_halves(row.geometry), to_grid)
            draw_outline(axes, shape, COLOURS[row.status], 1.4, dashed=self._is_later(row), halo=True)
            if number < MOST_LABELS:
                draw_label(axes, frame, shape.bounds, f"{row.area_ha:.1f} ha\n{row.first_seen:%Y-%m-%d}")
