"""Which rasters of other systems belong together, and how they are recognised."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minewatch.alerts.corroboration.codings import (
    BOTH,
    CODINGS,
    DATE,
    DAY_OF_YEAR,
    STATUS,
    Coding,
    RasterName,
    is_needless,
    read_name,
    refuse_unknown,
)
from minewatch.core.errors import ExternalAlertError
from minewatch.core.text import count_of
from minewatch.raster.gdal import READ_ERRORS, HeaderError, NumberRaster, open_numbers

ENDINGS = (".tif", ".tiff")
"""Of files that are read as rasters."""

MOST_FILES = 5_000
"""In a folder."""

SAMPLES, SAMPLE = 64, 2**12
"""Pieces of a file, and their bytes, by which it is recognised: a tile of Global Forest Watch has hundreds of megabytes."""


@dataclass(frozen=True)
class Tile:
    """The files of one raster of alerts."""

    coding: Coding
    """How its numbers are written."""

    files: Mapping[str, Path]
    """What they hold to the files."""

    system: str
    """Whose alerts they are."""

    year: int | None
    """Of days of the year."""

    @property
    def path(self) -> Path:
        """The first of the files."""
        return next(iter(self.files.values()))

    def find(self, role: str) -> Path:
        """Return the file with a role."""
        return self.files.get(role, self.path)


def are_rasters(paths: Iterable[Path]) -> bool:
    """True if the paths are those of GeoTIFFs, or of folders."""
    return all(path.suffix.lower() in ENDINGS or path.is_dir() for path in paths)


def list_files(paths: Sequence[Path], notes: list[str]) -> list[Path]:
    """Return the rasters among paths and below folders that say whether or when something changed.

    Raises ExternalAlertError where there are none, or too many.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not inside:
            raise ExternalAlertError(f"{path} holds no GeoTIFF")
        files += inside
    if missing := next((path for path in files if not path.is_file()), None):
        raise ExternalAlertError(f"there is no file {missing}")
    if len(files) > MOST_FILES:
        raise ExternalAlertError(f"{len(files)} files are more than {MOST_FILES}; give a folder of the tiles near the areas")
    needed = [path for path in files if not is_needless(path)]
    if not needed:
        raise ExternalAlertError(
            f"{files[0]} says neither whether nor when something changed; give the layers DIST-STATUS and DIST-DATE"
        )
    if len(needed) < len(files):
        notes.append(f"{count_of(len(files) - len(needed), 'layer')} beside status and date: not needed")
    return list(dict.fromkeys(needed))


def find_tiles(files: Sequence[Path], asked: str | None, notes: list[str]) -> list[Tile]:
    """Return the rasters of alerts that files make up; ``asked`` names their coding.

    Raises ExternalAlertError where that is not clear.
    """
    names = [read_name(path, asked) for path in files]
    groups: dict[str, list[RasterName]] = {}
    if asked is not None and len(names) == 2 and not any(name.role for name in names):
        first, second = names
        groups[first.key] = [RasterName(first.path, first.coding, STATUS, first.key, year=first.year),
                             RasterName(second.path, second.coding, DATE, first.key, year=second.year)]  # fmt: skip
    else:
        for name in names:
            groups.setdefault(name.key, []).append(name)
    spare = [key for key in groups if "gen-dist" in key and key.replace("gen-dist", "veg-dist") in groups]
    if spare:
        count = sum(len(groups.pop(key)) for key in spare)
        notes.append(f"{count_of(count, 'layer')} of all land cover (GEN): those of vegetation (VEG) are taken")
    tiles = [_make_tile(group) for group in groups.values()]
    kinds = sorted({(tile.system, tile.coding.name) for tile in tiles})
    if len(kinds) > 1:
        others = ", ".join(f"{system} ({coding})" for system, coding in kinds)
        raise ExternalAlertError(f"these rasters are of several systems: {others}; give those of one at a time")
    return tiles


def _make_tile(group: Sequence[RasterName]) -> Tile:
    roles: dict[str, Path] = {}
    for name in group:
        if name.role in roles and name.role:
            raise ExternalAlertError(f"{roles[name.role]} and {name.path} both seem to hold the {name.role}; give one of them")
        roles[name.role] = name.path
    coding = group[0].coding or _guess_coding(group, roles)
    system = group[0].system or coding.system
    year = next((name.year for name in group if name.year is not None), None)
    if coding.days == DAY_OF_YEAR and year is None:
        raise ExternalAlertError(
            f"{group[0].path}: its dates are days of a year that its name does not tell; "
            "call it as GLAD does, alertDate24_… for 2024"
        )
    if coding.is_joint:
        return Tile(coding, {BOTH: group[0].path}, system, year)
    if DATE in roles and not (len(group) == 1 and _has_two_bands(group[0].path)):
        return Tile(coding, {role: roles[role] for role in (STATUS, DATE) if role in roles}, system, year)
    return Tile(coding, {BOTH: group[0].path}, system, year)  # status and date as two bands of a file, or an error


def _has_two_bands(path: Path) -> bool:
    """True if a file may hold both, whatever its name says."""
    with open_raster(path) as raster:
        return len(raster.bands) == 2


def _guess_coding(group: Sequence[RasterName], roles: Mapping[str, Path]) -> Coding:
    """Return the coding of rasters whose names do not tell: RADD's own has alert and date apart, in two files or two bands."""
    if "radd" in group[0].path.name.lower() and {STATUS, DATE} <= roles.keys():
        return CODINGS["radd-wur"]
    with open_raster(group[0].path) as raster:
        if [name.lower() for name in raster.bands] == ["alert", "date"]:
            return CODINGS["radd-wur"]
    raise refuse_unknown(group[0])


def digest_files(files: Sequence[Path]) -> str:
    """Digest rasters by size and samples of each: the same near the areas are the same, which their sightings tell."""
    digest = hashlib.sha256()
    for part in sorted(_sample(path) for path in files):
        digest.update(part)
    return digest.hexdigest()


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for number in range(SAMPLES):
            file.seek(max(0, (size - SAMPLE) * number // (SAMPLES - 1)))
            digest.update(file.read(SAMPLE))
    return digest.digest()


@contextlib.contextmanager
def open_raster(path: Path) -> Iterator[NumberRaster]:
    """Yield an open raster; raises ExternalAlertError where it cannot be used, also while it is read."""
    try:
        with open_numbers(path) as raster:
            yield raster
    except HeaderError as error:
        raise ExternalAlertError(f"{path} cannot be used: {error}") from error
    except READ_ERRORS as error:
        raise ExternalAlertError(f"{path} cannot be read: it is damaged, or no GeoTIFF") from error
