"""An area or an alert over time: clear images at regular steps, as a GIF or a film."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import importlib.util
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from minewatch.alerts.style import COLOURS as STATUS_COLOURS
from minewatch.areas.grid import PIXEL, Grid
from minewatch.core.errors import ImageError, SceneError
from minewatch.core.files import make_private_folder, publishing
from minewatch.core.progress import Reporter
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.text import count_of, format_day, format_percent, show_ascii
from minewatch.core.workspace import Workspace
from minewatch.products.images.cartography import DARK, GRATICULE, LIGHT, NORTH, LegendEntry, draw_page
from minewatch.products.images.chips.acquisitions import AcquisitionIndex, RatedLook, open_index
from minewatch.products.images.chips.choice import measure_looks
from minewatch.products.images.chips.pixels import TRUE_COLOUR, Chip, read_chip
from minewatch.products.images.chips.rendering import Stretch, find_stretch, render_chip
from minewatch.products.images.dated_image import credit_chip
from minewatch.products.images.overlay import AREA_COLOUR, OVERLAYS, Overlay
from minewatch.products.images.subject import ImageSubject, find_subject

GIF, MP4 = "gif", "mp4"
VIDEO_FORMATS = (GIF, MP4)

VIDEO_PACKAGE = "imageio_ffmpeg"
"""Brings ffmpeg, which makes films; an extra of this package."""

MOST_SIDE = 1000
"""Pixels of the ground along the longer side of a frame; larger ones are read coarser."""

MOST_FRAMES = 120
"""Of one animation."""

SAMPLE_SIDE = 300
"""Pixels along the longer side of each image that the common stretch is found from, at most."""

SECONDS = 0.8
"""That a frame is shown; the last one stays LAST times as long."""

LAST = 3

RATE = 10
"""Pictures a second of a film; players show fewer badly, so that each frame comes several times."""

FILM: Mapping[str, Any] = {
    "codec": "libx264",
    "quality": 7,
    "ffmpeg_log_level": "error",
    "output_params": ["-movflags", "+faststart", "-map_metadata", "-1"],
}
"""For ffmpeg: what every browser plays, from its first byte on, and without the name of this program's files."""

COLOURS = 256
"""Of a GIF."""

KEPT_COLOURS = (*STATUS_COLOURS.values(), AREA_COLOUR, NORTH, GRATICULE, DARK, LIGHT, "black")
"""Of these the ones that are drawn over an image, as they are."""

SAMPLE = 2_000_000
"""Pixels of all frames that the others are found from, about."""

Track = Callable[[Sequence[Path]], Iterator[Path]]


@dataclass(frozen=True)
class AnimationRequest:
    """What somebody wants to see."""

    target: str
    """Name of an area, or id of an alert, also an old one."""

    since: dt.date
    """First day."""

    until: dt.date
    """Last day."""

    name: str = TRUE_COLOUR
    """One of chips.COMPOSITES."""

    step: int = 30
    """Days; each step gives its clearest image, if one is clear."""

    least: float = 0.9
    """Share of the frame, and of its outline, that must be clear."""

    overlays: tuple[str, ...] = OVERLAYS
    """What is drawn over each frame."""

    formats: tuple[str, ...] = (GIF,)
    """Which files are written."""

    folder: Path | None = None
    """Where; None = among the images of the workspace."""

    source: str | None = None
    """In place of the workspace's."""


@dataclass(frozen=True)
class Animation:
    """An animation that was made."""

    target: str
    """Name of the area, or the alert's id as it is now."""

    dates: tuple[dt.date, ...]
    """Of its frames."""

    steps: int
    """Of the period; those without a clear image have no frame."""

    size: tuple[int, int]
    """Pixels of a frame: width and height."""

    files: Mapping[str, Path]
    """Format to file."""

    notes: tuple[str, ...]
    """Lines a person should read."""


def make_animation(workspace: Workspace, request: AnimationRequest, reporter: Reporter | None = None) -> Animation:
    """Write the clear images of an area or an alert at regular steps, all of one extent and one stretch.

    Raises ImageError where no image is clear or the film cannot be made, other MinewatchErrors where target, source or
    folder will not do.
    """
    reporter = reporter or Reporter()
    _check_request(request)
    subject = find_subject(workspace, request.target)
    album = open_index(workspace, subject.aoi, request.source)
    fine = subject.lay_frame(album.grid)
    failures: dict[str, str] = {}
    looks = choose_looks(measure_looks(album, fine, (request.since, request.until), failures, reporter), request)
    if not looks:
        raise ImageError(_explain_absence(album, request, failures))
    folder = make_private_folder(request.folder or workspace.images)
    frame = _coarsen(fine)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as scratch:
        shelf = _TempImages(Path(scratch), frame, request.name)
        dates = shelf.fill(looks, failures, reporter)
        if not dates:
            raise ImageError(_explain_absence(album, request, failures))
        pages = shelf.draw(subject, album.grid, request.overlays, reporter)
        with Image.open(pages[0]) as first:
            size = first.size
        stem = f"{subject.name}-{dates[0]}-to-{dates[-1]}-{request.name}"
        files = {kind: folder / f"{stem}.{kind}" for kind in VIDEO_FORMATS if kind in request.formats}
        for kind, path in files.items():
            _WRITERS[kind](path, pages, size, partial(reporter.track, title=f"writing {kind}"))
    steps = len(list_steps(request))
    notes = (*subject.notes, *shelf.notes, *_warn(fine, frame, len(dates), steps, failures))
    return Animation(subject.name, tuple(dates), steps, size, files, notes)


def list_steps(request: AnimationRequest) -> list[dt.date]:
    """List the first days of the steps of a period."""
    count = math.ceil(((request.until - request.since).days + 1) / request.step)
    return [request.since + dt.timedelta(days=number * request.step) for number in range(count)]


def choose_looks(looks: Iterable[RatedLook], request: AnimationRequest) -> list[RatedLook]:
    """Return the clearest overpass of each step, by time, where one is clear enough; of equals the later one."""
    best: dict[int, RatedLook] = {}
    for look in looks:
        number = (look.take.time.date() - request.since).days // request.step
        is_clear = min(look.clear_share, look.outline_share) >= request.least
        if is_clear and (number not in best or look.score >= best[number].score):
            best[number] = look
    return [best[number] for number in sorted(best)]


def _check_request(request: AnimationRequest) -> None:
    """Raise ImageError for what can be known before anything is read."""
    if request.since > request.until:
        raise ImageError(f"the period from {request.since} to {request.until} ends before it begins; give an earlier --since")
    if (count := len(list_steps(request))) > MOST_FRAMES:
        days = math.ceil(((request.until - request.since).days + 1) / MOST_FRAMES)
        raise ImageError(f"{count} steps are more than {MOST_FRAMES}; give a shorter period, or --step {days} or more")
    if MP4 in request.formats and importlib.util.find_spec(VIDEO_PACKAGE) is None:
        raise ImageError("an mp4 needs a package that is not installed: pip install 'minewatch[video]'; or ask for --format gif")


def _coarsen(frame: Grid) -> Grid:
    factor = math.ceil(max(frame.shape) / MOST_SIDE)
    return frame if factor == 1 else Grid(frame.geobox.zoom_out(factor), frame.area)


def _explain_absence(album: AcquisitionIndex, request: AnimationRequest, failures: Mapping[str, str]) -> str:
    period = f"from {format_day(request.since)} to {format_day(request.until)}"
    where = f"no image of area {album.aoi.name!r} {period} is {format_percent(request.least)} clear"
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
    """Images that wait in files for their stretch, so that memory holds one at a time."""

    folder: Path
    """Where they lie."""

    frame: Grid
    """Of all images."""

    name: str
    """One of COMPOSITES."""

    notes: tuple[str, ...] = ()
    """What a person should know of the images."""

    chips: list[Chip] = field(default_factory=list)
    """The images by time, without their pixels."""

    stretch: Stretch | None = None
    """Of them all."""

    def fill(self, looks: Sequence[RatedLook], failures: dict[str, str], reporter: Reporter) -> list[dt.date]:
        """Read the images, and give their dates; those that cannot be read are added to ``failures``."""
        samples = []
        for look in reporter.track(looks, "reading images"):
            try:
                chip = read_chip(look, self.frame, self.name)
            except SceneError as error:
                failures[look.take.key] = str(error)
                continue
            np.save(self._place(len(self.chips)), chip.values)
            step = max(1, max(self.frame.shape) // SAMPLE_SIDE)
            samples.append(replace(chip, values=chip.values[::step, ::step].copy()))
            self.chips.append(replace(chip, values=np.empty((0, 0, len(chip.bands)), np.int16)))
        self.notes = tuple(dict.fromkeys(note for chip in self.chips for note in chip.notes))
        self.stretch = find_stretch(samples) if samples else None
        return [chip.date for chip in self.chips]

    def draw(self, subject: ImageSubject, area: Grid, overlays: tuple[str, ...], reporter: Reporter) -> list[Path]:
        """Draw each image as a page, and give the pages in order of time."""
        shown = [Overlay(subject, area, self.frame, chip.date, overlays, as_known=True) for chip in self.chips]
        legend = list(dict.fromkeys(entry for overlay in shown for entry in overlay.list_entries()))
        legend.sort(key=lambda entry: (entry.is_dashed, entry.label != "area", entry.label))
        pairs = list(zip(self.chips, shown, strict=True))
        return [self._draw_page(number, *pair, legend) for number, pair in enumerate(reporter.track(pairs, "drawing"))]

    def _draw_page(self, number: int, chip: Chip, overlay: Overlay, legend: Sequence[LegendEntry]) -> Path:
        assert self.stretch is not None, "there are images"
        whole = replace(chip, values=np.load(self._place(number)))
        path = self.folder / f"{number:04}.png"
        title = f"{show_ascii(overlay.subject.name)}: {format_day(chip.date)}"
        clear = f"{format_percent(chip.look.clear_share)} clear"
        told = f"{self.name}, {number + 1} of {len(self.chips)}, {clear}, {show_ascii(chip.scenes[0])}"
        draw_page(path, self.frame, render_chip(whole, self.stretch), overlay.draw, title, [told], credit_chip(chip), legend)
        return path

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:04}.npy"


# --- files -----------------------------------------------------------------------------------------------------------


def _load(page: Path) -> Image.Image:
    with Image.open(page) as image:
        return image.convert("RGB")


def _write_gif(path: Path, pages: Sequence[Path], _size: tuple[int, int], track: Track) -> None:
    """Write a GIF whose frames share one palette, so that ground that stays the same has one colour throughout."""
    palette = _choose_palette(pages)
    frames = (_load(page).quantize(palette=palette, dither=Image.Dither.NONE) for page in track(pages))
    first = next(frames)
    times = [round(1000 * SECONDS)] * (len(pages) - 1) + [round(1000 * SECONDS * LAST)]
    with publishing(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=frames, duration=times, loop=0)


def _choose_palette(pages: Sequence[Path]) -> Image.Image:
    """Choose the colours of a GIF from all frames; those of outlines are kept as they are, however few pixels have them."""
    every = max(1, round(math.sqrt(len(pages) * SAMPLE_SIDE**2 / SAMPLE)))
    tiles = []
    for page in pages:
        image = _load(page)
        step = max(1, max(image.size) // SAMPLE_SIDE) * every
        tiles.append(np.asarray(image)[::step, ::step].reshape(-1, 3))
    colours = np.concatenate(tiles)
    sheet = Image.fromarray(colours[None])
    kept = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in KEPT_COLOURS]
    found = sheet.quantize(COLOURS - len(kept), method=Image.Quantize.MEDIANCUT, kmeans=3).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for colour in kept for part in colour), *found][: 3 * COLOURS])
    return palette


def _write_mp4(path: Path, pages: Sequence[Path], size: tuple[int, int], track: Track) -> None:
    """Write a film that every browser plays: H.264, whose sides are even."""
    width, height = (side + side % 2 for side in size)
    package = importlib.import_module(VIDEO_PACKAGE)
    with publishing(path) as temporary:
        try:
            writer = package.write_frames(str(temporary), (width, height), fps=RATE, macro_block_size=2, **FILM)
            with contextlib.closing(writer):
                writer.send(None)
                for picture in _hold(track(pages)):
                    canvas = Image.new("RGB", (width, height), "white")
                    canvas.paste(picture)
                    writer.send(canvas.tobytes())
        except (OSError, RuntimeError) as error:
            raise ImageError(
                f"{path.name}: ffmpeg cannot make the film ({type(error).__name__}); ask for --format gif"
            ) from error


def _hold(pages: Iterable[Path]) -> Iterator[Image.Image]:
    """Yield each frame as often as it is to be seen."""
    times, picture = round(SECONDS * RATE), None
    for page in pages:
        picture = _load(page)
        for _ in range(times):
            yield picture
    for _ in range((LAST - 1) * times if picture else 0):
        assert picture is not None, "there are pages"
        yield picture


_WRITERS = {GIF: _write_gif, MP4: _write_mp4}
"""Format to what writes it."""
