"""Makes the sharpest image of an area or an alert that the imagery of the workspace's own has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minewatch import __version__
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import make_grid
from minewatch.core.errors import ImageError
from minewatch.core.progress import Reporter
from minewatch.core.text import show, show_day, show_moment, show_plain
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import EARLIEST
from minewatch.products.images.files import FORMATS, RenderedImage, write_files
from minewatch.products.images.imagery.choice import SharpImage, find_photo
from minewatch.products.images.overlay import OVERLAYS, Overlay
from minewatch.products.images.stretch import GAMMA, UNKNOWN, to_tones
from minewatch.products.images.subject import ImageSubject, find_subject
from minewatch.settings.catalogues import BEST
from minewatch.settings.document import list_imagery
from minewatch.settings.providers import Imagery

DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles of all three bands together that are black and white, where a file has 16 bits."""

SAMPLE = 2000
"""Pixels along the longer side that they are found from, at most."""

ROWS = 512
"""That are turned into tones at a time."""


@dataclass(frozen=True)
class SharpRequest:
    """What somebody wants to see."""

    target: str
    """Name of an area, or id of an alert, also an old one."""

    until: dt.date
    """The image is of this day or an earlier one."""

    imagery: str = BEST
    """Name of imagery in the settings, or BEST for all."""

    since: dt.date = EARLIEST
    """... and not older than this."""

    overlays: tuple[str, ...] = OVERLAYS
    """What is drawn over the picture."""

    formats: tuple[str, ...] = FORMATS
    """Which files are written."""

    folder: Path | None = None
    """Where; None = among the images of the workspace."""


@dataclass(frozen=True)
class SharpImageResult:
    """An image that was made."""

    target: str
    """Name of the area, or the alert's id as it is now."""

    photo: SharpImage
    """What it shows."""

    files: Mapping[str, Path]
    """Format to file."""

    notes: tuple[str, ...]
    """Lines a person should read."""


def make_sharpest(workspace: Workspace, request: SharpRequest, reporter: Reporter | None = None) -> SharpImageResult:
    """Write the sharpest clear picture of an area or alert at or before a date.

    Raises ImageError where there is none, other MinewatchErrors where target, settings or folder will not do.
    """
    imageries = _choose_imagery(workspace, request.imagery)
    subject = find_subject(workspace, request.target)
    aoi = read_aoi(workspace, subject.aoi)
    area = make_grid(aoi)
    photo = find_photo(imageries, subject.lay_frame(area), aoi.geometry, (request.since, request.until), reporter)
    overlay = Overlay(subject, area, photo.grid, photo.date, request.overlays)
    files = write_files(request.folder or workspace.images, request.formats, _make_plate(subject, photo), overlay)
    return SharpImageResult(subject.name, photo, files, (*subject.notes, *photo.notes))


def _choose_imagery(workspace: Workspace, name: str) -> list[Imagery]:
    known = list_imagery(workspace)
    if not known:
        raise ImageError(f"no imagery is set up: add a table [imagery.NAME] with url and collection to {workspace.settings}")
    if name == BEST:
        return list(known.values())
    if name not in known:
        raise ImageError(
            f"there is no imagery {name!r} in {workspace.settings}; it has {', '.join(known)}; {BEST} takes them all"
        )
    return [known[name]]


def _make_plate(subject: ImageSubject, photo: SharpImage) -> RenderedImage:
    candidate, known = photo.candidate, photo.known
    dark, white = _find_stretch(photo)
    title = candidate.imagery.provider.title or candidate.imagery.name
    credit = show(candidate.imagery.credit)
    return RenderedImage(
        stem=f"{subject.name}-{photo.date}-{candidate.imagery.name}",
        grid=photo.grid,
        colours=_render(photo, dark, white),
        known=known,
        tags={
            "target": subject.name,
            "date": f"{photo.date}",
            "scenes": candidate.id,
            "imagery": candidate.imagery.name,
            "pixel_metres": f"{photo.pixel:g}",
            "native_pixel_metres": f"{photo.native:g}",
            "cloud_cover": "" if candidate.cloud is None else f"{candidate.cloud:g}",
            "darkest": f"{dark:g}",
            "white": f"{white:g}",
            "credit": credit,
            "software": f"minewatch {__version__}",
        },
        title=f"{show_plain(subject.name)}: {show_plain(title)}, {show_day(photo.date)}",
        lines=[show_plain(candidate.id), _tell(photo)],
        credit=show_plain(credit, 120),
    )


def _tell(photo: SharpImage) -> str:
    """Say in small letters how sharp and how clear it is."""
    candidate = photo.candidate
    cloud = "cloud cover unknown" if candidate.cloud is None else f"cloud {candidate.cloud:g} % of the scene"
    sharp = f"pixels of {photo.pixel:.2g} m" + (f" (file: {photo.native:.2g} m)" if photo.pixel > photo.native * 1.001 else "")
    return f"{sharp}, {cloud}, acquired {show_moment(candidate.time)}"


def _find_stretch(photo: SharpImage) -> tuple[float, float]:
    """Return what is black and white: all that 8 bits hold, since such files are made for the eye; of 16 bits what is there."""
    if photo.dtype == "uint8":
        return 0.0, 255.0
    step = max(1, max(photo.grid.shape) // SAMPLE)
    sample = photo.values[::step, ::step]
    seen = sample[sample.any(axis=-1)]
    dark, white = np.percentile(seen, [DARKEST, BRIGHTEST]) if seen.size else (0.0, 1.0)
    return float(dark), max(float(white), float(dark) + 1)


def _render(photo: SharpImage, dark: float, white: float) -> NDArray[np.uint8]:
    """Return the tones of a screen; what is not there is grey."""
    shown = np.empty(photo.values.shape, np.uint8)
    gamma = 1.0 if photo.dtype == "uint8" else GAMMA
    for first in range(0, len(shown), ROWS):
        rows = photo.values[first : first + ROWS]
        shown[first : first + ROWS] = to_tones(rows.astype(np.float32), dark, white, gamma)
        shown[first : first + ROWS][~rows.any(axis=-1)] = UNKNOWN
    return shown
