"""Makes animations: clear images of an area or an alert at regular steps, as GIF or MP4."""

from __future__ import annotations

import datetime as dt
import importlib.util
import math
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from minewatch.alerts.lifetime import find_look_pair
from minewatch.alerts.rows import read_areas
from minewatch.areas.grid import PIXEL, Grid
from minewatch.core.errors import ImageError, SceneError
from minewatch.core.files import make_private_folder
from minewatch.core.progress import Reporter
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.text import count_of, format_day, format_percent, show_ascii
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import AcquisitionIndex, RatedLook, open_index
from minewatch.products.images.chips.best_look import measure_looks
from minewatch.products.images.chips.image_frame import coarsen
from minewatch.products.images.chips.pixels import Chip, read_chip
from minewatch.products.images.chips.rendering import Stretch, find_stretch, render_chip
from minewatch.products.images.dated_image import credit_chip
from minewatch.products.images.image_subject import ImageSubject, find_subject
from minewatch.products.images.map_page import LegendEntry, draw_page
from minewatch.products.images.options import GIF, MOST_FRAMES, MP4, OVERLAYS, TRUE_COLOUR, VIDEO_FORMATS
from minewatch.products.images.overlay import Overlay
from minewatch.products.images.video_files import VIDEO_PACKAGE, VIDEO_WRITERS
from minewatch.sources.scene import credit_scenes

Period = tuple[dt.date, dt.date]
"""First and last day."""

MOST_SIDE = 1000
"""Grid pixels along the longer side of a frame; larger frames are read with coarser pixels."""

SAMPLE_SIDE = 300
"""Pixels along the longer side of each image that the common stretch is computed from, at most."""


@dataclass(frozen=True)
class AnimationRequest:
    """The animation that is to be made."""

    target: str
    """Name of an area, or id of an alert, also an old one."""

    since: dt.date | None = None
    """First day; None = an alert's last normal look, else the day on which monitoring began."""

    until: dt.date | None = None
    """Last day; None = the as-of date of the table."""

    name: str = TRUE_COLOUR
    """One of COMPOSITES."""

    step: int = 30
    """Days; of each step the clearest image is shown, if one is clear."""

    least: float = 0.9
    """Least clear share of the frame, and of its outline."""

    overlays: tuple[str, ...] = OVERLAYS
    """What is drawn over each frame."""

    formats: tuple[str, ...] = (GIF,)
    """Files that are written."""

    folder: Path | None = None
    """Folder of the files; None = the workspace's images."""

    source: str | None = None
    """Used in place of the workspace's."""


@dataclass(frozen=True)
class Animation:
    """An animation that was made."""

    target: str
    """Name of the area, or the alert's id as it is now."""

    dates: tuple[dt.date, ...]
    """Days of its frames."""

    steps: int
    """Number of steps; those without a clear image have no frame."""

    size: tuple[int, int]
    """Pixels of a frame: width and height."""

    files: Mapping[str, Path]
    """Format to file."""

    notes: tuple[str, ...]
    """Lines a person should read."""


def make_animation(workspace: Workspace, request: AnimationRequest, reporter: Reporter | None = None) -> Animation:
    """Write the clear images of an area or an alert at regular steps, with one extent and one stretch.

    Raises ImageError where no image is clear or the film cannot be made, other MinewatchErrors where target, source or
    folder will not do.
    """
    reporter = reporter or Reporter()
    _check_formats(request)
    subject = find_subject(workspace, request.target)
    period = _find_period(workspace, subject, request)
    steps, fixed = list_steps(request, period), _find_fixed_days(subject, period)
    index = open_index(workspace, subject.aoi, request.source)
    fine = subject.make_frame(index.grid)
    failures: dict[str, str] = {}
    looks = choose_looks(measure_looks(index, fine, period, failures, reporter), request, period[0], fixed)
    if not looks:
        raise ImageError(_explain_absence(index, request, period, failures))
    folder = make_private_folder(request.folder or workspace.images)
    frame = coarsen(fine, MOST_SIDE)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as scratch:
        images = _TempImages(Path(scratch), frame, request.name)
        dates = images.read(looks, failures, reporter)
        if not dates:
            raise ImageError(_explain_absence(index, request, period, failures))
        pages = images.draw(subject, index.grid, request.overlays, reporter)
        with Image.open(pages[0]) as first:
            size = first.size
        stem = f"{subject.name}-{dates[0]}-to-{dates[-1]}-{request.name}"
        files = {kind: folder / f"{stem}.{kind}" for kind in VIDEO_FORMATS if kind in request.formats}
        for kind, path in files.items():
            VIDEO_WRITERS[kind](path, pages, size, images.credit, partial(reporter.track, title=f"writing {kind}"))
    notes = (*subject.notes, *images.notes, *_warn(fine, frame, len(dates), len(steps), failures))
    return Animation(subject.name, tuple(dates), len(steps), size, files, (*notes, *_warn_late(subject, dates[0])))


def list_steps(request: AnimationRequest, period: Period) -> list[dt.date]:
    """Return the first day of each step; raises ImageError where they are too many, or the period ends before it begins."""
    since, until = period
    if since > until:
        raise ImageError(f"the period from {since} to {until} ends before it begins; give an earlier --since")
    count = math.ceil(((until - since).days + 1) / request.step)
    if count > MOST_FRAMES:
        days = math.ceil(((until - since).days + 1) / MOST_FRAMES)
        raise ImageError(f"{count} steps are more than {MOST_FRAMES}; give a shorter period, or --step {days} or more")
    return [since + dt.timedelta(days=number * request.step) for number in range(count)]


def choose_looks(
    looks: Iterable[RatedLook], request: AnimationRequest, since: dt.date, fixed: Collection[dt.date] = ()
) -> list[RatedLook]:
    """Return the clearest overpass of each step that has one clear enough, by time; of equals the later one.

    Overpasses of ``fixed`` days are always shown: these are the looks that decided, and the outlined ground was clear.
    """
    best: dict[int, RatedLook] = {}
    kept: dict[dt.date, RatedLook] = {}
    for look in looks:
        day = look.datatake.time.date()
        number = (day - since).days // request.step
        if day in fixed:
            kept[day] = max(kept.get(day, look), look, key=lambda one: (one.outline_share, one.score))
        is_clear = min(look.clear_share, look.outline_share) >= request.least
        if is_clear and (number not in best or look.score >= best[number].score):
            best[number] = look
    taken = {(day - since).days // request.step for day in kept}
    shown = [*kept.values(), *(look for number, look in best.items() if number not in taken)]
    return sorted(shown, key=lambda look: look.datatake.time)


def _find_period(workspace: Workspace, subject: ImageSubject, request: AnimationRequest) -> Period:
    """Return first and last day: as requested, else from the alert's last normal look, or since monitoring began."""
    known = read_areas(workspace.alerts).get(subject.aoi)
    if known is None and (request.since is None or request.until is None):
        raise ImageError(f"area {subject.aoi!r} was never scanned, so its period is not known; give --since and --until")
    monitor_from, as_of = known or (dt.date.min, dt.date.min)
    begin = find_look_pair(subject.alert._asdict()).before if subject.alert is not None else None
    return request.since or begin or monitor_from, request.until or as_of


def _find_fixed_days(subject: ImageSubject, period: Period) -> set[dt.date]:
    """Return the days of an alert's two looks, as far as the period has them."""
    if subject.alert is None:
        return set()
    pair = find_look_pair(subject.alert._asdict())
    return {day for day in (pair.before, pair.after) if day and period[0] <= day <= period[1]}


def _warn_late(subject: ImageSubject, first: dt.date) -> list[str]:
    """Return a line where an animation of an alert begins after its last normal look, and so shows no ground before."""
    before = find_look_pair(subject.alert._asdict()).before if subject.alert is not None else None
    return [f"the last normal look, of {format_day(before)}, has no frame"] if before and first > before else []


def _check_formats(request: AnimationRequest) -> None:
    """Raise ImageError for faults that can be found before anything is read."""
    if MP4 in request.formats and importlib.util.find_spec(VIDEO_PACKAGE) is None:
        raise ImageError("an mp4 needs a package that is not installed: pip install 'minewatch[video]'; or ask for --format gif")


def _explain_absence(index: AcquisitionIndex, request: AnimationRequest, period: Period, failures: Mapping[str, str]) -> str:
    days = f"from {format_day(period[0])} to {format_day(period[1])}"
    where = f"no image of area {index.aoi.name!r} {days} is {format_percent(request.least)} clear"
    if failures:
        return f"{where}, among those that can be read: {list(failures.values())[-1]}; try again later"
    return f"{where}; give a longer period, or --clear below {100 * request.least:g}"


def _warn(fine: Grid, frame: Grid, shown: int, steps: int, failures: Mapping[str, str]) -> list[str]:
    lines = [f"left out: {reason}" for reason in failures.values()]
    if shown < steps:
        lines.append(f"{steps - shown} of {count_of(steps, 'step')} without a clear image, and so without a frame")
    if frame is not fine:
        lines.append(f"shown with pixels of {frame.transform.a:g} m in place of {PIXEL} m: the frame is large")
    return lines


# --- frames ----------------------------------------------------------------------------------------------------------


@dataclass
class _TempImages:
    """Images in temporary files, since their stretch needs all of them, and memory holds one at a time."""

    folder: Path
    """Folder of the files."""

    frame: Grid
    """Pixels of all images."""

    name: str
    """One of COMPOSITES."""

    notes: tuple[str, ...] = ()
    """Lines a person should read."""

    chips: list[Chip] = field(default_factory=list)
    """The images by time, without their pixels."""

    stretch: Stretch | None = None
    """The common stretch; None before the images are read."""

    def read(self, looks: Sequence[RatedLook], failures: dict[str, str], reporter: Reporter) -> list[dt.date]:
        """Read the images and return their dates; those that cannot be read are added to ``failures``, key to reason."""
        samples = []
        for look in reporter.track(looks, "reading images"):
            try:
                chip = read_chip(look, self.frame, self.name)
            except SceneError as error:
                failures[look.datatake.key] = str(error)
                continue
            np.save(self._path_of(len(self.chips)), chip.values)
            step = max(1, max(self.frame.shape) // SAMPLE_SIDE)
            samples.append(replace(chip, values=chip.values[::step, ::step].copy()))
            self.chips.append(replace(chip, values=np.empty((0, 0, len(chip.bands)), np.int16)))
        self.notes = tuple(dict.fromkeys(note for chip in self.chips for note in chip.notes))
        self.stretch = find_stretch(samples) if samples else None
        return [chip.date for chip in self.chips]

    @property
    def credit(self) -> str:
        """Of all images."""
        return credit_scenes(scene for chip in self.chips for scene in chip.look.datatake.scenes)

    def draw(self, subject: ImageSubject, area: Grid, overlays: tuple[str, ...], reporter: Reporter) -> list[Path]:
        """Draw each image as a page; return the pages by time."""
        drawn = [Overlay(subject, area, self.frame, chip.date, overlays, as_known=True) for chip in self.chips]
        legend = list(dict.fromkeys(entry for overlay in drawn for entry in overlay.list_entries()))
        legend.sort(key=lambda entry: (entry.is_dashed, entry.label != "area", entry.label))
        pairs = list(zip(self.chips, drawn, strict=True))
        return [self._draw_page(number, *pair, legend) for number, pair in enumerate(reporter.track(pairs, "drawing"))]

    def _draw_page(self, number: int, chip: Chip, overlay: Overlay, legend: Sequence[LegendEntry]) -> Path:
        assert self.stretch is not None, "there are images"
        whole = replace(chip, values=np.load(self._path_of(number)))
        path = self.folder / f"{number:04}.png"
        title = f"{show_ascii(overlay.subject.name)}: {format_day(chip.date)}"
        clear = f"{format_percent(chip.look.clear_share)} clear"
        line = f"{self.name}, {number + 1} of {len(self.chips)}, {clear}, {show_ascii(chip.scenes[0])}"
        draw_page(path, self.frame, render_chip(whole, self.stretch), overlay.draw, title, [line], credit_chip(chip), legend)
        return path

    def _path_of(self, number: int) -> Path:
        return self.folder / f"{number:04}.npy"
