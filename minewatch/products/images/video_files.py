"""Writes the pages of an animation as GIF and MP4."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from minewatch.alerts.style import COLOURS as STATUS_COLOURS
from minewatch.core.errors import ImageError
from minewatch.core.files import publishing
from minewatch.products.images import graticule
from minewatch.products.images.cartography import DARK, LIGHT, NORTH
from minewatch.products.images.options import GIF, MP4
from minewatch.products.images.overlay import AREA_COLOUR

VIDEO_PACKAGE = "imageio_ffmpeg"
"""Brings ffmpeg, which writes MP4; an extra of this package."""

FRAME_SECONDS = 0.8
"""Time for which a page is shown; the last one is shown LAST_FACTOR times as long."""

LAST_FACTOR = 3

FRAME_RATE = 10
"""Frames per second of an MP4; players handle lower rates badly, so each page is several frames."""

MP4_OPTIONS: dict[str, Any] = {
    "codec": "libx264",
    "quality": 7,
    "ffmpeg_log_level": "error",
    "output_params": ["-movflags", "+faststart", "-map_metadata", "-1"],
}
"""For ffmpeg: an MP4 that every browser plays while it loads, without metadata on this machine."""

COLOURS = 256
"""Of a GIF."""

KEPT_COLOURS = (*STATUS_COLOURS.values(), AREA_COLOUR, NORTH, graticule.COLOUR, DARK, LIGHT, "black")
"""Colours of a GIF that are drawn over the images, and are in every palette."""

SAMPLE_SIDE = 300
"""Pixels along the longer side of each page that the other colours are chosen from, at most."""

SAMPLE = 2_000_000
"""Pixels of all pages that they are chosen from, about."""

PageTracker = Callable[[Sequence[Path]], Iterator[Path]]
"""Yields the pages, and shows the progress."""


def _open_page(page: Path) -> Image.Image:
    with Image.open(page) as image:
        return image.convert("RGB")


def _write_gif(path: Path, pages: Sequence[Path], _size: tuple[int, int], credit: str, track: PageTracker) -> None:
    """Write a GIF whose frames share one palette, so that what stays the same keeps its colour."""
    palette = _choose_palette(pages)
    frames = (_open_page(page).quantize(palette=palette, dither=Image.Dither.NONE) for page in track(pages))
    first = next(frames)
    times = [round(1000 * FRAME_SECONDS)] * (len(pages) - 1) + [round(1000 * FRAME_SECONDS * LAST_FACTOR)]
    with publishing(path) as temporary:
        comment = credit.encode()  # of the file (GIF 89a, 24)
        first.save(temporary, format="GIF", save_all=True, append_images=frames, duration=times, loop=0, comment=comment)


def _choose_palette(pages: Sequence[Path]) -> Image.Image:
    """Return the palette of a GIF, chosen from all frames; the colours of outlines and lines are always in it."""
    factor = max(1, round(math.sqrt(len(pages) * SAMPLE_SIDE**2 / SAMPLE)))
    tiles = []
    for page in pages:
        image = _open_page(page)
        step = max(1, max(image.size) // SAMPLE_SIDE) * factor
        tiles.append(np.asarray(image)[::step, ::step].reshape(-1, 3))
    colours = np.concatenate(tiles)
    sheet = Image.fromarray(colours[None])
    kept = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in KEPT_COLOURS]
    found = sheet.quantize(COLOURS - len(kept), method=Image.Quantize.MEDIANCUT, kmeans=3).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for colour in kept for part in colour), *found][: 3 * COLOURS])
    return palette


def _write_mp4(path: Path, pages: Sequence[Path], size: tuple[int, int], credit: str, track: PageTracker) -> None:
    """Write an MP4 (H.264, whose sides are even)."""
    width, height = (side + side % 2 for side in size)
    package = importlib.import_module(VIDEO_PACKAGE)
    options = MP4_OPTIONS | {"output_params": [*MP4_OPTIONS["output_params"], "-metadata", f"copyright={credit}"]}
    with publishing(path) as temporary:
        try:
            writer = package.write_frames(str(temporary), (width, height), fps=FRAME_RATE, macro_block_size=2, **options)
            with contextlib.closing(writer):
                writer.send(None)
                for frame in _repeat_frames(track(pages)):
                    canvas = Image.new("RGB", (width, height), "white")
                    canvas.paste(frame)
                    writer.send(canvas.tobytes())
        except (OSError, RuntimeError) as error:
            raise ImageError(
                f"{path.name}: ffmpeg cannot make the film ({type(error).__name__}); ask for --format gif"
            ) from error


def _repeat_frames(pages: Iterable[Path]) -> Iterator[Image.Image]:
    """Yield each page as often as FRAME_RATE asks for, the last one LAST_FACTOR times as often."""
    times, frame = round(FRAME_SECONDS * FRAME_RATE), None
    for page in pages:
        frame = _open_page(page)
        yield from itertools.repeat(frame, times)
    if frame:
        yield from itertools.repeat(frame, (LAST_FACTOR - 1) * times)


VIDEO_WRITERS = {GIF: _write_gif, MP4: _write_mp4}
"""Format to the function that writes it."""
