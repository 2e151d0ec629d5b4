"""Chips of which it is known whether they show a mine, and how the file of them tells reflectance."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from minewatch.core.errors import MinewatchError
from minewatch.likeness.model import CHIP

TOP_OF_ATMOSPHERE = 0.3
"""Reflectance at 255 of chips in 8 bits."""

ATMOSPHERE = (0.023, 0.037, 0.066)
"""By how much surface reflectance is darker in red, green and blue (measured on chips of both kinds)."""

REFLECTANCE_SCALE = 10_000
"""Of chips in 16 bits, as Sentinel-2 products have it."""

BRIGHTEST = 2.0
"""Largest median of a file of reflectance: what is larger was not divided."""

SAMPLE = 200
"""Chips that are looked at for it."""

GROUNDS = {
    "landslide": "landslide",
    "riverbank": "river bank",
    "aquaculture": "aquaculture",
    "industrial": "industrial ground",
    "cloud_remnant": "cloud remnant",
}
"""Word in a source's name to the ground that all its chips show; chips of other sources that are no mines are "other ground"."""

LARGEST = 2**33
"""Bytes of a file when it is inflated; what is larger is refused."""

UNREADABLE = (
    *(ValueError, LookupError, EOFError, RuntimeError, MemoryError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""Errors that an archive raises which is damaged, locked by a password, or holds something else than arrays of numbers."""


@dataclass(frozen=True)
class LabelledChips:
    """Chips, in the order of their file."""

    rgb: NDArray[np.generic]
    """(n, y, x, band) red green blue, as the file has them."""

    mine: NDArray[np.bool_]
    """(n,) what the label says."""

    source: NDArray[np.str_]
    """(n,) where they come from: they are judged, and resampled, by source."""

    area_ha: NDArray[np.float64] | None = None
    """(n,) size of what is seen in them, where the file has it."""

    @property
    def ground(self) -> NDArray[np.str_]:
        """(n,) what is seen: "mine", one of GROUNDS, or "other ground"."""
        return name_grounds(self.mine, self.source)

    def reflect(self, chosen: Any = slice(None)) -> NDArray[np.float32]:
        """Return some of the chips as surface reflectance."""
        return to_reflectance(self.rgb[chosen])


def name_grounds(mine: NDArray[np.bool_], source: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return (n,) what chips show: "mine", one of GROUNDS by the name of the source, or "other ground"."""
    named = [next((ground for word, ground in GROUNDS.items() if word in name), "other ground") for name in source]
    return np.where(mine, "mine", named)


def to_reflectance(rgb: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return (n, y, x, band) surface reflectance.

    8 bits are top-of-atmosphere reflectance / 0.3 × 255, with black for no data, which becomes the median of its chip; other
    integers are surface reflectance × 10 000; floats are surface reflectance.
    """
    if rgb.dtype == np.uint8:
        surface = rgb.astype(np.float32) / 255 * np.float32(TOP_OF_ATMOSPHERE) - np.array(ATMOSPHERE, np.float32)
        for chip, empty in zip(surface, rgb.max(axis=3, initial=0) == 0, strict=True):
            if empty.any() and not empty.all():
                chip[empty] = np.median(chip[~empty], axis=0)
        return np.asarray(surface, np.float32)
    scale = REFLECTANCE_SCALE if np.issubdtype(rgb.dtype, np.integer) else 1
    return rgb.astype(np.float32) / np.float32(scale)


def describe_reflectance(rgb: NDArray[np.generic]) -> str:
    """Return in words how chips of this type are read."""
    if rgb.dtype == np.uint8:
        return f"8 bits: top-of-atmosphere reflectance / {TOP_OF_ATMOSPHERE} × 255, less {ATMOSPHERE} for the atmosphere"
    return "integers: surface reflectance × 10 000" if np.issubdtype(rgb.dtype, np.integer) else "floats: surface reflectance"


def read_labelled_chips(path: Path) -> LabelledChips:
    """Read an .npz with ``rgb``, ``mine`` and, where there are several, ``source`` and ``area_ha``.

    Raises MinewatchError where it is none, or what it holds cannot be judged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise MinewatchError(f"{path} holds {size / 1e9:.1f} GB; give at most {LARGEST / 1e9:.1f} GB at a time")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: _read_array(arrays, name) for name in ("rgb", "mine", "source", "area_ha") if name in arrays.files}
    except OSError as error:
        raise MinewatchError(f"{path} cannot be read: {error.strerror or 'it is no .npz'}") from error
    except UNREADABLE as error:
        raise MinewatchError(f"{path} is no .npz of arrays, or is damaged; write it with numpy.savez") from error
    return _check(path, found)


def _read_array(arrays: NpzFile, name: str) -> NDArray[Any]:
    """Return one array, bytes as text; raises ValueError where they are none."""
    values = np.asarray(arrays[name])  # numpy hands out as bytes what has not the head of an array
    return values if values.dtype.kind != "S" else np.char.decode(values, "utf-8")


def _check(path: Path, found: dict[str, NDArray[Any]]) -> LabelledChips:
    missing = [name for name in ("rgb", "mine") if name not in found]
    if missing:
        raise MinewatchError(f"{path} lacks {' and '.join(missing)}: rgb is (n, {CHIP}, {CHIP}, 3), mine (n,) with 0 or 1")
    rgb, mine = found["rgb"], found["mine"]
    if rgb.ndim != 4 or rgb.shape[1:] != (CHIP, CHIP, 3) or rgb.dtype.kind not in "uif":
        raise MinewatchError(f"{path}: rgb is {rgb.dtype} {rgb.shape}; give numbers of shape (n, {CHIP}, {CHIP}, 3)")
    source = found.get("source", np.full(len(rgb), path.stem)).astype(str)
    area_ha = found.get("area_ha")
    for name, values in {"mine": mine, "source": source, "area_ha": area_ha}.items():
        if values is not None and values.shape != (len(rgb),):
            raise MinewatchError(f"{path}: {name} has the shape {values.shape}, and there are {len(rgb)} chips")
    if mine.dtype.kind not in "buif" or not np.isin(mine, (0, 1)).all():
        raise MinewatchError(f"{path}: mine is 0 or 1 for each chip, and nothing else")
    if not len(mine):
        raise MinewatchError(f"{path} has no chips: there is nothing to score")
    if area_ha is not None and area_ha.dtype.kind not in "uif":
        raise MinewatchError(f"{path}: area_ha is {area_ha.dtype}; give hectares as numbers")
    sample = rgb[:: max(1, len(rgb) // SAMPLE)]
    known = sample[np.isfinite(sample)]
    middle = float(np.median(known)) if len(known) else 0.0
    if rgb.dtype.kind == "f" and middle > BRIGHTEST:
        raise MinewatchError(f"{path}: rgb has a median of {middle:.0f}; divide it to reflectance of 0 to 1, or give integers")
    return LabelledChips(rgb, mine.astype(bool), source, None if area_ha is None else area_ha.astype(np.float64))
