"""Makes the image of an area or an alert from Sentinel-2: of one overpass, or the least cloudy composite of a period."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from minewatch import __version__
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of, format_day, format_percent, format_time, show_ascii
from minewatch.core.url_policy import is_web
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import open_index
from minewatch.products.images.chips.best_look import CLEAR
from minewatch.products.images.chips.composite import compose_chip
from minewatch.products.images.chips.pixels import Chip, find_chip
from minewatch.products.images.chips.rendering import Stretch, find_stretch, render_chip
from minewatch.products.images.image_files import ImageResult, RenderedImage, write_files
from minewatch.products.images.image_subject import ImageSubject, find_subject
from minewatch.products.images.options import FORMATS, OVERLAYS, TRUE_COLOUR
from minewatch.products.images.overlay import Overlay
from minewatch.settings.credits import tag_credit
from minewatch.settings.providers import PROVIDERS
from minewatch.sources.scene import credit_scenes

MOST_NAMED = 4
"""Scenes or dates that the PNG names; the GeoTIFF names all."""


@dataclass(frozen=True)
class ImageRequest:
    """The image that is to be made."""

    target: str
    """Name of an area, or id of an alert, also an old one."""

    until: dt.date
    """The image is of this day or an earlier one."""

    name: str = TRUE_COLOUR
    """One of COMPOSITES."""

    overlays: tuple[str, ...] = OVERLAYS
    """What is drawn over the PNG."""

    formats: tuple[str, ...] = FORMATS
    """Files that are written."""

    folder: Path | None = None
    """Folder of the files; None = the workspace's images."""

    source: str | None = None
    """Used in place of the workspace's."""

    since: dt.date | None = None
    """Where given, the image is the least cloudy composite of the days from then to ``until``."""


def make_image(workspace: Workspace, request: ImageRequest, reporter: Reporter | None = None) -> ImageResult[Chip]:
    """Write the best clear image of an area or alert at or before a date, or a composite.

    Raises ImageError where there is none, other MinewatchErrors where target, source or folder will not do.
    """
    subject = find_subject(workspace, request.target)
    index = open_index(workspace, subject.aoi, request.source)
    frame = subject.make_frame(index.grid)
    if request.since is None:
        chip = find_chip(index, frame, request.until, request.name)
    else:
        chip = compose_chip(index, frame, (request.since, request.until), request.name, reporter)
    stretch = find_stretch([chip])
    overlay = Overlay(subject, index.grid, frame, chip.date, request.overlays)
    image = _render_image(subject, chip, stretch)
    files = write_files(request.folder or workspace.images, request.formats, image, overlay)
    return ImageResult(subject.name, chip, files, (*subject.notes, *chip.notes, *_warn(chip)))


def _render_image(subject: ImageSubject, chip: Chip, stretch: Stretch) -> RenderedImage:
    days = f"{chip.first_date}-to-{chip.date}" if chip.parts else f"{chip.date}"
    period = f"{format_day(chip.first_date)} to {format_day(chip.date)}" if chip.parts else format_day(chip.date)
    return RenderedImage(
        stem=f"{subject.name}-{days}-{chip.name}",
        grid=chip.frame,
        colours=render_chip(chip, stretch),
        known=chip.known,
        tags=describe_chip(chip, subject.name, stretch),
        title=f"{show_ascii(subject.name)}: {chip.name}, {period}",
        lines=_describe_scenes(chip),
        credit=credit_chip(chip),
    )


def credit_chip(chip: Chip) -> str:
    """Return the credit that the licence of Sentinel data asks for."""
    source = chip.look.datatake.scenes[0].source
    datatakes = [part.look.datatake for part in chip.parts] or [chip.look.datatake]
    # The path of a catalogue on this machine is private.
    origin = f"; source {show_ascii(source)}" if is_web(source) or source in PROVIDERS else ""
    return f"{credit_scenes(scene for datatake in datatakes for scene in datatake.scenes)}{origin}"


def describe_chip(chip: Chip, name: str, stretch: Stretch) -> dict[str, str]:
    """Return the tags of a file that say what it shows."""
    parts = {
        "dates": ", ".join(f"{part.date} {part.share:.4f}" for part in chip.parts),
        "never_clear": f"{1 - chip.look.clear_share:.4f}",
    }
    return {
        "target": name,
        "date": f"{chip.date}",
        "scenes": " ".join(chip.scenes),
        "bands": " ".join(chip.bands),
        "darkest": " ".join(f"{value:.4f}" for value in stretch.dark),
        "white": " ".join(f"{value:.4f}" for value in stretch.white),
        "clear_share": f"{chip.look.clear_share:.4f}",
        **(parts if chip.parts else {}),
        "software": f"minewatch {__version__}",
        **tag_credit(credit_chip(chip)),
    }


def describe_parts(chip: Chip) -> str:
    """Return the days that a composite is made of, and the share that was never clear."""
    days = [f"{format_day(part.date)} ({format_percent(part.share)})" for part in chip.parts[:MOST_NAMED]]
    rest, left = len(chip.parts) - len(days), sum(part.share for part in chip.parts[MOST_NAMED:])
    more = f" and {count_of(rest, 'more day')} ({format_percent(left, 1)})" if rest else ""
    gaps = 1 - chip.look.clear_share
    return f"{', '.join(days)}{more}{f'; never clear: {format_percent(gaps, 1)}' if gaps > 0 else ''}"


def _warn(chip: Chip) -> list[str]:
    """Return lines on what an image does not show."""
    if chip.parts:
        return [f"composite of {describe_parts(chip)}"]
    look, lines = chip.look, []
    if (known := float(chip.known.mean())) < 0.99:
        lines.append(f"{format_percent(1 - known)} of the image has no data: the overpass does not cover it")
    if look.clear_share < CLEAR * known or (look.outline_share < CLEAR and not lines):
        lines.append(
            f"no image is clear: this one shows {format_percent(look.clear_share)} of the frame"
            f" and {format_percent(look.outline_share)} of the outlined ground without cloud"
        )
    return lines


def _describe_scenes(chip: Chip) -> list[str]:
    """Return the lines below the title: scenes, bands and time."""
    if chip.parts:
        return [f"each pixel is from one day: {describe_parts(chip)}", f"{'-'.join(chip.bands)}, the clearest overpass first"]
    scenes = [show_ascii(scene) for scene in chip.scenes[:MOST_NAMED]]
    rest = len(chip.scenes) - len(scenes)
    clear, time = format_percent(chip.look.clear_share), format_time(chip.look.datatake.time)
    bands = f"{'-'.join(chip.bands)}, {clear} clear, acquired {time}"
    return [", ".join(scenes) + (f" and {rest} more" if rest else ""), bands]
