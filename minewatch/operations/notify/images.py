"""Thumbnails of alerts, before and after, from the evidence that the scan wrote: nothing is fetched for them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from minewatch.core.errors import EvidenceError
from minewatch.core.units import NODATA, SCALE
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.image_file import parse_evidence_image
from minewatch.products.evidence.manifest import AFTER, BEFORE, MANIFEST
from minewatch.products.images.chips.rendering import Stretch, render_reflectance
from minewatch.products.images.stretch import DARKEST, find_white

MOST_IMAGES = 6
"""In one message: those of the largest alerts."""

SIDE = 320
"""Pixels of the longer side of each of the two."""

GAP = 8
"""Pixels between them."""

_LARGEST = 64 * 2**20
"""Bytes of an evidence file; larger ones are not opened here."""


@dataclass(frozen=True)
class Thumbnail:
    """An alert at its two looks, side by side; at the second alone where no normal look is known."""

    alert_id: str
    """Its id."""

    before: str
    """Day of the left one, the last normal look, ISO 8601; '' where there is none."""

    after: str
    """Day of the right one, the look that confirmed it."""

    data: bytes
    """PNG without any text, so that it reveals no position."""


def draw_thumbnails(workspace: Workspace, alert_ids: Sequence[str]) -> list[Thumbnail]:
    """Draw the first alerts that have evidence; those whose evidence cannot be read are left out."""
    drawn: list[Thumbnail] = []
    for alert_id in alert_ids:
        if len(drawn) == MOST_IMAGES:
            break
        thumbnail = draw_thumbnail(workspace.evidence / alert_id, alert_id)
        drawn += [thumbnail] if thumbnail else []
    return drawn


def draw_thumbnail(folder: Path, alert_id: str) -> Thumbnail | None:
    """Draw an alert from its folder of evidence; None where it is missing or cannot be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        shown = [name for name in (BEFORE, AFTER) if name == AFTER or name in manifest["images"]]
        days = {name: str(manifest["images"][name]["acquired"])[:10] for name in shown}
        chips = {name: _read(folder, name) for name in days}
        return Thumbnail(alert_id, days.get(BEFORE, ""), days[AFTER], _render(chips))
    except (OSError, ValueError, KeyError, TypeError, IndexError, EvidenceError):
        return None


def _read(folder: Path, name: str) -> NDArray[np.int16]:
    """Return (y, x, 3) red, green, blue reflectance x 10 000; -32768 = no data."""
    files = [folder / f"{name}.tif", folder / f"{name}-scl.tif"]
    if any(path.stat().st_size > _LARGEST for path in files):
        raise EvidenceError("too large")
    return parse_evidence_image(*(path.read_bytes() for path in files)).stack_colours()


def _render(chips: Mapping[str, NDArray[np.int16]]) -> bytes:
    """Put the images side by side, with the same stretch."""
    values = np.concatenate([chip[(chip != NODATA).all(axis=-1)].ravel() for chip in chips.values()])
    stretch = Stretch((DARKEST,) * 3, (find_white(values, SCALE),) * 3)
    pictures = [_enlarge(render_reflectance(chip, stretch)) for chip in chips.values()]
    width, height = sum(p.width for p in pictures) + GAP * (len(pictures) - 1), max(p.height for p in pictures)
    sheet, left = Picture.new("RGB", (width, height), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _enlarge(colours: NDArray[np.uint8]) -> Picture.Image:
    picture = Picture.fromarray(colours)
    factor = SIDE / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Picture.Resampling.NEAREST if factor > 1 else Picture.Resampling.BOX)
