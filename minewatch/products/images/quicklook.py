"""The quick look of an area: before and after in true colour, alerts outlined, with scale bar and compass rose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from minewatch import __version__
from minewatch.alerts.lifetime import GREEN_AGAIN, find_fate
from minewatch.alerts.record import CLOSED, Alert
from minewatch.alerts.style import COLOURS
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.core.files import publish_json, publishing
from minewatch.core.text import escape_math, format_day, parse_json, show_ascii
from minewatch.core.units import NODATA, SCALE
from minewatch.products.images.cartography import draw_compass, draw_label, draw_outline, draw_scale_bar
from minewatch.products.images.chips.image_frame import coarsen
from minewatch.products.images.map_page import COPYRIGHT, wrap_credit
from minewatch.products.images.stretch import DARKEST, UNKNOWN, apply_stretch, find_white
from minewatch.raster.cog import write_picture
from minewatch.raster.read import open_datatake
from minewatch.settings.credits import tag_credit
from minewatch.sources.scene import Datatake, credit_scenes

MOST_LABELS = 30
"""Alerts that are labelled, the largest; more labels would cover each other."""

MOST_SIDE = 1200
"""Pixels of the longer side of an image; larger areas are shown coarser."""


SIDE, GAP, HEAD, FOOT = 6.2, 0.13, 0.72, 0.36
"""Inches: width of an image on the page, what is left beside it, above it and below it."""

DPI = 110
"""Pixels per inch."""

COMPRESSION = 1
"""Level of the PNG: images of the ground become a tenth smaller at the default level, which takes five times as long."""


@dataclass(frozen=True)
class TrueColourImage:
    """A true-colour image on a grid."""

    datatake: Datatake
    """The overpass."""

    reflectance: NDArray[np.float32]
    """(y, x, 3) red, green, blue, 0 to 1; NaN = no data."""


def draw_quicklook(path: Path, grid: Grid, before: Datatake, after: Datatake, alerts: Sequence[Alert], title: str) -> None:
    """Write a PNG of the area before and after with its alerts, and beside it both images for maps.

    Raises SceneError where a scene cannot be read; nothing is written then.
    """
    coarse = coarsen(grid, MOST_SIDE)
    images = [read_image(datatake, coarse) for datatake in (before, after)]
    white = find_white(np.concatenate([image.reflectance[np.isfinite(image.reflectance)] for image in images]))
    pictures = [render_true_colour(image.reflectance, white) for image in images]
    _write_maps(path, coarse, images, pictures, white)
    sides = SIDE, SIDE * coarse.shape[0] / coarse.shape[1]
    size = 2 * sides[0] + 3 * GAP, sides[1] + HEAD + FOOT
    figure = Figure(figsize=size, dpi=DPI, facecolor="none")
    figure.text(0.5, 1 - 0.12 / size[1], escape_math(title), fontsize=12, ha="center", va="top")
    spots = []
    for number, (image, name) in enumerate(zip(images, ("before", "after"), strict=True)):
        spots.append((GAP + number * (sides[0] + GAP), FOOT))
        axes = figure.add_axes((spots[-1][0] / size[0], FOOT / size[1], sides[0] / size[0], sides[1] / size[1]))
        left, bottom, right, top = coarse.bounds
        axes.patch.set_visible(False)
        axes.set(xticks=[], yticks=[], xlim=(left, right), ylim=(bottom, top))
        draw_outline(axes, coarse.area, "white", 0.8)
        _draw_alerts(axes, coarse, alerts, labels=name == "after")
        ids = ", ".join(show_ascii(scene.id) for scene in image.datatake.scenes[:2])
        axes.set_title(f"{name}: {format_day(image.datatake.time)}\n{ids}", fontsize=8)
        draw_scale_bar(axes, coarse)
        draw_compass(axes, coarse)
    credit = credit_scenes([*before.scenes, *after.scenes])
    figure.text(GAP / size[0], 0.06 / size[1], wrap_credit(credit, 2 * SIDE), fontsize=6.5, ha="left", va="bottom")
    texts = PngInfo()
    for keyword, text in (("Software", f"minewatch {__version__}"), (CONTENT, _digest((before, after), alerts))):
        texts.add_text(keyword, text)
    texts.add_itxt(COPYRIGHT, credit)
    page = _draw_over(figure, pictures, spots, sides)
    with publishing(path) as temporary:
        page.save(temporary, format="PNG", compress_level=COMPRESSION, pnginfo=texts)


def _draw_over(
    figure: Figure, pictures: Sequence[NDArray[np.uint8]], spots: Sequence[tuple[float, float]], sides: tuple[float, float]
) -> Image.Image:
    """Return pictures on white and, over them, what was drawn; ``spots`` and ``sides`` are in inches, from the lower left.

    matplotlib would lay out, resample and draw everything twice, at three times the cost.
    """
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's canvas has no types
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    page = Image.new("RGBA", drawn.size, "white")
    for picture, (left, bottom) in zip(pictures, spots, strict=True):
        first, last = (round(DPI * x) for x in (left, left + sides[0]))
        top, end = (drawn.height - round(DPI * y) for y in (bottom + sides[1], bottom))
        shown = Image.fromarray(picture).resize((last - first, end - top), Image.Resampling.NEAREST)
        page.paste(shown, (first, top))
    return Image.alpha_composite(page, drawn).convert("RGB")


CONTENT = "Content"
"""Name of the PNG text with the digest of what a quick look shows."""


def choose_shown(alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts that a quick look outlines: open ones, and confirmed ones whose ground is green again."""
    return [alert for alert in alerts if alert.status != CLOSED or find_fate(vars(alert)) == GREEN_AGAIN]


def _digest(datatakes: Sequence[Datatake], alerts: Sequence[Alert]) -> str:
    """Return a digest of what a quick look shows."""
    shown = sorted((a.alert_id, a.status, a.area_ha, str(a.first_seen), a.geometry.wkb_hex) for a in choose_shown(alerts))
    return hashlib.sha256(json.dumps([[datatake.key for datatake in datatakes], shown]).encode()).hexdigest()


@dataclass(frozen=True)
class MapImage:
    """A map image: one of the two COGs beside the quick look of an area."""

    when: str
    """One of TIMES."""

    date: str
    """Day of the overpass, ISO 8601."""

    key: str
    """Of the datatake."""

    scenes: tuple[str, ...]
    """Their ids."""

    path: Path
    """The COG: red, green, blue, opacity."""


TIMES = ("before", "after")
"""The two images of a quick look."""


def _write_maps(
    path: Path, grid: Grid, images: Sequence[TrueColourImage], pictures: Sequence[NDArray[np.uint8]], white: float
) -> None:
    """Write both images as COGs, with their dates in their names, then the list of them."""
    entries = []
    for when, image, picture in zip(TIMES, images, pictures, strict=True):
        entry = {"when": when, "date": f"{image.datatake.time:%Y-%m-%d}", "key": image.datatake.key}
        target = path.with_name(f"{path.stem}-{when}-{entry['date']}.tif")
        scenes = [scene.id for scene in image.datatake.scenes]
        known: NDArray[np.bool_] = np.isfinite(image.reflectance.sum(axis=-1))
        tags = {"date": entry["date"], "scenes": " ".join(scenes), "darkest": f"{DARKEST:g}", "white": f"{white:.4f}"}
        tags |= tag_credit(credit_scenes(image.datatake.scenes))
        write_picture(target, grid, picture, known, tags)
        entries.append(entry | {"scenes": scenes, "file": target.name, "credit": tags["credit"]})
    publish_json(path.with_suffix(".json"), entries)


def list_maps(quicklook: Path) -> list[MapImage]:
    """Return the images that lie beside a quick look; none where they were never written, or are gone."""
    try:
        entries = parse_json(quicklook.with_suffix(".json").read_bytes())
        maps = [
            MapImage(e["when"], e["date"], e["key"], tuple(e["scenes"]), quicklook.with_name(Path(e["file"]).name))
            for e in entries
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [image for image in maps if image.path.is_file()]


def shows(quicklook: Path, before: Datatake, after: Datatake, alerts: Sequence[Alert]) -> bool:
    """True if a quick look and its map images exist and show these overpasses and alerts.

    That a scan changed nothing is not enough: a scan that was cut off may have written its table and drawn nothing.
    """
    if [image.key for image in list_maps(quicklook)] != [before.key, after.key]:
        return False
    try:
        with PngImageFile(quicklook) as picture:
            # Of the texts before the pixels, which are not decoded.
            return bool(picture.info.get(CONTENT) == _digest((before, after), alerts))
    except (OSError, SyntaxError, ValueError):
        return False


def read_image(datatake: Datatake, grid: Grid) -> TrueColourImage:
    """Read red, green and blue; where a catalogue has no green, the mean of red and blue replaces it."""
    with open_datatake(datatake, grid) as reader:
        _, origin = reader.read_scl(grid.window)
        names = ["red", "green", "blue"] if all("green" in scene.hrefs for scene in datatake.scenes) else ["red", "blue"]
        bands = [reader.read_reflectance(name, grid.window, origin).astype(np.float32) for name in names]
    for band in bands:
        band[band == NODATA] = np.nan
    if len(bands) == 2:
        bands.insert(1, ((bands[0] + bands[1]) / 2).astype(np.float32))
    return TrueColourImage(datatake, (np.stack(bands, axis=-1) / SCALE).astype(np.float32))


def render_true_colour(reflectance: NDArray[np.float32], white: float) -> NDArray[np.uint8]:
    """Return 0 to 255 for a screen, of (y, x, 3) reflectance; no data is grey."""
    shown = apply_stretch(np.nan_to_num(reflectance), DARKEST, white)
    shown[np.isnan(reflectance)] = UNKNOWN
    return shown


def _draw_alerts(axes: Axes, grid: Grid, alerts: Sequence[Alert], labels: bool) -> None:
    shown = sorted(choose_shown(alerts), key=lambda alert: -alert.area_ha)
    shapes = reproject(np.array([join_halves(alert.geometry) for alert in shown], object), lonlat_to(grid.epsg))
    for status in dict.fromkeys(alert.status for alert in shown):
        draw_outline(axes, shapes[[alert.status == status for alert in shown]], COLOURS[status], 1.4)
    for alert, shape in zip(shown[: MOST_LABELS if labels else 0], shapes, strict=False):
        # The title says of which day the outlines are.
        green = f"\ngreen again {alert.closed_on}" if alert.status == CLOSED else ""
        draw_label(axes, grid, shape.bounds, f"{alert.area_ha:.1f} ha\nfirst seen {alert.first_seen}{green}")
