"""The gallery of labelled chips, as surface reflectance: from one .npz, or from a clone of the repository that publishes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minewatch.likeness.model import CHIP

TOP_OF_ATMOSPHERE = 0.3
"""Reflectance at 255, as the gallery was made."""

ATMOSPHERE = (0.023, 0.037, 0.066)
"""By how much surface reflectance is darker in red, green and blue (measured on chips of both kinds)."""

CREDIT = "Earth Genome, mining-detector, training gallery (CC BY 4.0)"

SHEETS = Path("data/training_gallery")
"""Folder of the sheets in a clone."""

GROUNDS = {
    "landslide": "landslide",
    "riverbank": "river bank",
    "aquaculture": "aquaculture",
    "industrial": "industrial ground",
    "cloud_remnant": "cloud remnant",
}
"""Word in a file's name to the ground that all its chips show; chips of other files that are no mines are "other ground"."""

_SHEET = re.compile(r"(?P<source>.+?)(_S2L1C_clear[\d.]+_\d{4}-\d\d-\d\d_\d{4}-\d\d-\d\d|_rgb_preview)\.png")

_SAME_PLACES = re.compile(r"(-|_v)?20\d\d-\d\d(-\d\d)?$|_v\d$|_thresh_[\d.]+|-?curated")


@dataclass(frozen=True)
class Gallery:
    """Labelled chips, in the order of the file."""

    rgb: NDArray[np.float32]
    """(n, y, x, band) surface reflectance, red green blue; a chip's median where it has no data."""

    mine: NDArray[np.bool_]
    """(n,) what the label says."""

    source: NDArray[np.str_]
    """(n,) the label file."""

    @property
    def family(self) -> NDArray[np.str_]:
        """(n,) label files that may show the same places: their names without dates, thresholds and revisions."""
        return np.array([_SAME_PLACES.sub("", _SAME_PLACES.sub("", name)) for name in self.source])

    @property
    def ground(self) -> NDArray[np.str_]:
        """(n,) what is seen: "mine", one of GROUNDS, or "other ground"."""
        named = [next((ground for word, ground in GROUNDS.items() if word in name), "other ground") for name in self.source]
        return np.where(self.mine, "mine", named)


def read_gallery(path: Path) -> Gallery:
    """Read ``gallery.npz``, or the sheets of a clone; raises OSError or ValueError where it is neither."""
    if path.is_dir():
        return _read_sheets(path / SHEETS)
    with np.load(path) as archive:
        return _make_gallery(archive["rgb"], archive["mine"].astype(bool), archive["source"])


def _read_sheets(folder: Path) -> Gallery:
    """Cut the sheets of a folder into their chips; those of labels that name no class are left out."""
    chips, mine, source = [], [], []
    for path in sorted(folder.rglob("*.png")):
        match = _SHEET.fullmatch(path.name)
        label = re.search("positives|negatives|MinesPos|MineriaAurifera", path.name)
        if match is None or label is None:
            continue
        cut = cut_sheet(np.asarray(Image.open(path).convert("RGB")))
        chips.append(cut)
        mine += [label[0] != "negatives"] * len(cut)
        source += [match["source"]] * len(cut)
    if not chips:
        raise ValueError(f"{folder}: no sheets of chips; give the .npz, or a clone of the repository")
    return _make_gallery(np.concatenate(chips), np.array(mine), np.array(source))


def cut_sheet(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (n, y, x, band) chips of a sheet, row by row, without the empty ones at its end."""
    rows, columns = sheet.shape[0] // CHIP, sheet.shape[1] // CHIP
    whole = sheet[: rows * CHIP, : columns * CHIP].reshape(rows, CHIP, columns, CHIP, 3)
    chips = whole.swapaxes(1, 2).reshape(-1, CHIP, CHIP, 3)
    return chips[chips.max(axis=(1, 2, 3)) > 0]


def _make_gallery(rgb: NDArray[np.uint8], mine: NDArray[np.bool_], source: NDArray[np.str_]) -> Gallery:
    surface = rgb.astype(np.float32) / 255 * TOP_OF_ATMOSPHERE - np.array(ATMOSPHERE, np.float32)
    for chip, empty in zip(surface, rgb.max(axis=3) == 0, strict=True):
        if empty.any() and not empty.all():
            chip[empty] = np.median(chip[~empty], axis=0)
    return Gallery(surface, mine, source)
