"""Makes the sharpest image of an area or an alert from the user's own imagery."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minewatch import __version__
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import make_grid
from minewatch.core.errors import ImageError
from minewatch.core.progress import Reporter
from minewatch.core.text import format_day, format_time, show, show_ascii
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import EARLIEST
from minewatch.products.images.image_files import ImageResult, RenderedImage, write_files
from minewatch.products.images.image_subject import ImageSubject, find_subject
from minewatch.products.images.imagery.best_image import SharpImage, find_sharpest
from minewatch.products.images.options import FORMATS, OVERLAYS
from minewatch.products.images.overlay import Overlay
from minewatch.products.images.stretch import GAMMA, UNKNOWN, apply_stretch
from minewatch.settings.catalogues import BEST
from minewatch.settings.credits import tag_credit
from minewatch.settings.document import list_imagery
from minewatch.settings.providers import Imagery

DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles, of all three bands together, that are black and white; for files of 16 bits."""

SAMPLE = 2000
"""Pixels along the longer side that these are computed from, at most."""

ROWS = 512
"""Rows that are rendered at a time."""


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
    """The image is not older than this."""

    overlays: tuple[str, ...] = OVERLAYS
    """What is drawn over the picture."""

    formats: tuple[str, ...] = FORMATS
    """Which files are written."""

    folder: Path | None = None
    """Where; None = among the images of the workspace."""


def make_sharpest(workspace: Workspace, request: SharpRequest, reporter: Reporter | None = None) -> ImageResult[SharpImage]:
    """Write the sharpest clear image of an area or alert at or before a date.

    Raises ImageError where there is none, other MinewatchErrors where target, settings or folder will not do.
    """
    imageries = _choose_imagery(workspace, request.imagery)
    subject = find_subject(workspace, request.target)
    aoi = read_aoi(workspace, subject.aoi)
    area = make_grid(aoi)
    image = find_sharpest(imageries, subject.make_frame(area), aoi.geometry, (request.since, request.until), reporter)
    overlay = Overlay(subject, area, image.grid, image.date, request.overlays)
    files = write_files(request.folder or workspace.images, request.formats, _render_image(subject, image), overlay)
    return ImageResult(subject.name, image, files, (*subject.notes, *image.notes))


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


def _render_image(subject: ImageSubject, image: SharpImage) -> RenderedImage:
    candidate, known = image.candidate, image.known
    dark, white = _find_stretch(image)
    title = candidate.imagery.provider.title or candidate.imagery.name
    credit = show(candidate.imagery.credit)
    return RenderedImage(
        stem=f"{subject.name}-{image.date}-{candidate.imagery.name}",
        grid=image.grid,
        colours=_render_pixels(image, dark, white),
        known=known,
        tags={
            "target": subject.name,
            "date": f"{image.date}",
            "scenes": candidate.id,
            "imagery": candidate.imagery.name,
            "pixel_metres": f"{image.pixel:g}",
            "native_pixel_metres": f"{image.native:g}",
            "cloud_cover": "" if candidate.cloud is None else f"{candidate.cloud:g}",
            "darkest": f"{dark:g}",
            "white": f"{white:g}",
            "software": f"minewatch {__version__}",
            **tag_credit(credit),
        },
        title=f"{show_ascii(subject.name)}: {show_ascii(title)}, {format_day(image.date)}",
        lines=[show_ascii(candidate.id), _describe_sharpness(image)],
        credit=credit,
    )


def _describe_sharpness(image: SharpImage) -> str:
    """Return the line on pixel size, cloud and time."""
    candidate = image.candidate
    cloud = "cloud cover unknown" if candidate.cloud is None else f"cloud {candidate.cloud:g} % of the scene"
    sharp = f"pixels of {image.pixel:.2g} m" + (f" (file: {image.native:.2g} m)" if image.pixel > image.native * 1.001 else "")
    return f"{sharp}, {cloud}, acquired {format_time(candidate.time)}"


def _find_stretch(image: SharpImage) -> tuple[float, float]:
    """Return the values that are black and white: 0 and 255 for 8 bits, which are made for the eye, else percentiles."""
    if image.dtype == "uint8":
        return 0.0, 255.0
    step = max(1, max(image.grid.shape) // SAMPLE)
    sample = image.values[::step, ::step]
    known = sample[sample.any(axis=-1)]
    dark, white = np.percentile(known, [DARKEST, BRIGHTEST]) if known.size else (0.0, 1.0)
    return float(dark), max(float(white), float(dark) + 1)


def _render_pixels(image: SharpImage, dark: float, white: float) -> NDArray[np.uint8]:
    """Return (y, x, 3) red, green, blue for a screen; no data is grey."""
    shown = np.empty(image.values.shape, np.uint8)
    gamma = 1.0 if image.dtype == "uint8" else GAMMA
    for first in range(0, len(shown), ROWS):
        rows = image.values[first : first + ROWS]
        shown[first : first + ROWS] = apply_stretch(rows.astype(np.float32), dark, white, gamma)
        shown[first : first + ROWS][~rows.any(axis=-1)] = UNKNOWN
    return shown
