"""The gallery of labelled chips, as surface reflectance: from one .npz, or from a clone of the repository that publishes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minewatch.likeness.labelled_chips import name_grounds, to_reflectance
from minewatch.likeness.model import CHIP

CREDIT = "Earth Genome, mining-detector, training gallery (CC BY 4.0)"

SHEETS = Path("data/training_gallery")
"""Folder of the sheets in a clone."""

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
        return name_grounds(self.mine, self.source)


def read_gallery(path: Path) -> Gallery:
    """Read ``gallery.npz``, or the sheets of a clone; raises OSError or ValueError where it is neither."""
    if path.is_dir():
        return _read_sheets(path / SHEETS)
    with np.load(path) as archive:
        return Gallery(to_reflectance(archive["rgb"]), archive["mine"].astype(bool), archive["source"])


def _read_sheets(folder: Path) -> Gallery:
    """Cut the sheets of a folder into their chips; those of labels that name no class are left out."""
    chips, mine, source = [], [], []
    for path in sorted(folder.rglob("*.png")):
        match = _SHEET.fullmatch(path.name)
        label = re.search("positives|negatives|MinesPos|MineriaAurifera", path.name)
        if match is None or label is None:
            continue
        try:
            cut = cut_sheet(np.asarray(Image.open(path).convert("RGB")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        chips.append(cut)
        mine += [label[0] != "negatives"] * len(cut)
        source += [match["source"]] * len(cut)
    if not chips:
        raise ValueError(f"{folder}: no sheets of chips; give the .npz, or a clone of the repository")
    return Gallery(to_reflectance(np.concatenate(chips)), np.array(mine), np.array(source))


def cut_sheet(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (n, y, x, band) chips of a sheet, row by row, without the black cells that fill its last row.

    The gallery's own script lays n chips without gaps in rows of the root of n, rounded up
    (``write_thumbnail_grid`` in its ``gee/get_training_data.py``); a chip within that is black all over stays one.
    Raises ValueError where the sheet is no grid of chips.
    """
    height, width, bands = sheet.shape
    if height % CHIP or width % CHIP or not height:
        raise ValueError(f"a sheet of {width} × {height} pixels is no grid of chips of {CHIP} × {CHIP}")
    cells = sheet.reshape(height // CHIP, CHIP, width // CHIP, CHIP, bands).swapaxes(1, 2).reshape(-1, CHIP, CHIP, bands)
    filled = np.flatnonzero(cells.max(axis=(1, 2, 3)))
    return cells[: filled[-1] + 1 if len(filled) else 0]
