"""Finds and reads the sharpest clear image of a frame in the user's own imagery."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from shapely import box
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import cut_halves
from minewatch.areas.area_plan import Query
from minewatch.areas.grid import Grid, lonlat_from, reproject
from minewatch.core.errors import ImageError, SceneError, SourceError
from minewatch.core.progress import Reporter
from minewatch.core.text import format_percent
from minewatch.products.images.imagery.candidates import Candidate, list_candidates, rank_candidate
from minewatch.products.images.imagery.image_reader import open_image
from minewatch.raster.credentials import Access
from minewatch.settings.providers import Imagery
from minewatch.sources.stac import open_source

MOST_PIXELS = 5000 * 5000
"""Of an image; a larger frame is read with coarser pixels."""

LEAST = 0.1
"""Least share of the frame with data; below it an image counts as showing nothing, whatever its footprint."""

MOST_TRIES = 5
"""Images that cannot be used, after which no other one is opened."""


@dataclass(frozen=True)
class SharpImage:
    """A sharp image of a frame."""

    candidate: Candidate
    """The item that was read."""

    grid: Grid
    """Where the pixels lie; it covers the frame."""

    values: NDArray[np.uint16]
    """(y, x, 3) red, green and blue as the file has them; 0 = no data."""

    native: float
    """Metres of a pixel of the file."""

    dtype: str
    """Of the file: uint8, which is shown unchanged, or uint16, which is stretched."""

    notes: tuple[str, ...] = ()
    """Lines a person should read."""

    @property
    def pixel(self) -> float:
        """Metres of a pixel of the grid."""
        return float(self.grid.transform.a)

    @property
    def date(self) -> dt.date:
        """Day of the image, UTC."""
        return self.candidate.time.date()

    @property
    def known(self) -> NDArray[np.bool_]:
        """(y, x) pixels with data."""
        return np.asarray(self.values.any(axis=-1))


def find_sharpest(
    imageries: Sequence[Imagery],
    frame: Grid,
    area: BaseGeometry,
    dates: tuple[dt.date, dt.date],
    reporter: Reporter | None = None,
) -> SharpImage:
    """Return the sharpest clear image of a frame from some days; where it cannot be read, a note says so and the next is.

    Catalogues are searched for the area, given in lon/lat, so that they do not learn the frame of an alert.
    Raises ImageError where there is no image, SourceError where no catalogue answers.
    """
    refused: dict[str, str] = {}
    unanswered: list[SourceError] = []
    found: list[Candidate] = []
    for imagery in (reporter or Reporter()).track(imageries, "searching imagery"):
        try:
            found += _search(imagery, frame, Query(area, *dates), refused)
        except SourceError as error:
            unanswered.append(error)
    if unanswered and not found:
        raise unanswered[0]
    notes = [f"left out: {error}" for error in unanswered]
    image, failures = _read_best(sorted(found, key=rank_candidate), frame)
    notes += [f"left out: {reason}" for reason in (*refused.values(), *failures)]
    if image is None:
        raise ImageError(_explain_absence(imageries, dates, notes))
    rest = len(notes) - MOST_TRIES
    shown = [*notes[:MOST_TRIES], *([f"left out: {rest} more"] if rest > 0 else [])]
    return replace(image, notes=(*shown, *_warn(image)))


def _search(imagery: Imagery, frame: Grid, query: Query, refused: dict[str, str]) -> list[Candidate]:
    source = open_source(imagery.name, {imagery.name: imagery.provider})
    if source.is_api and not imagery.provider.collection:
        raise SourceError(f"imagery {imagery.name}: its address is a STAC API; name the collection in [imagery.{imagery.name}]")
    to_lonlat = lonlat_from(frame.crs)
    extent = cut_halves(reproject(box(*frame.bounds).segmentize(1000), to_lonlat))
    return list_candidates(imagery, source, query, extent, refused)


def _read_best(candidates: Sequence[Candidate], frame: Grid) -> tuple[SharpImage | None, list[str]]:
    """Return the first image that can be read and shows something, and why others were left out."""
    failures: list[str] = []
    for candidate in candidates:
        try:
            image = _read(candidate, frame)
        except SceneError as error:
            failures.append(f"item {candidate.id}: {error}")
        else:
            if image.known.mean() >= LEAST:
                return image, failures
            failures.append(f"item {candidate.id}: it shows nothing of the frame")
        if len(failures) >= MOST_TRIES:
            break
    return None, failures


def _read(candidate: Candidate, frame: Grid) -> SharpImage:
    provider = candidate.imagery.provider
    access = Access(provider.signing, provider.s3, provider.token)
    with open_image(candidate.hrefs, access, frame, MOST_PIXELS) as image:
        return SharpImage(candidate, image.grid, image.read(), image.native, image.dtype)


def _explain_absence(imageries: Sequence[Imagery], dates: tuple[dt.date, dt.date], notes: Sequence[str]) -> str:
    names = ", ".join(imagery.name for imagery in imageries)
    where = f"imagery {names} has no picture of this frame from {dates[0]} to {dates[1]}"
    if notes:
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        return f"{where} that can be used: {notes[0].removeprefix('left out: ')}{more}"
    return f"{where}; give another date"


def _warn(image: SharpImage) -> list[str]:
    candidate, lines = image.candidate, []
    if not candidate.is_clear:
        most = candidate.imagery.max_cloud
        lines.append(f"no picture has {most:g} % cloud or less: this one has {candidate.cloud:g} % over its whole scene")
    if candidate.cloud is None:
        lines.append("the catalogue does not say how cloudy this picture is")
    if (known := float(image.known.mean())) < 0.99:
        lines.append(f"{format_percent(1 - known)} of the image has no data: the picture does not cover it")
    if image.pixel > image.native * 1.001:
        lines.append(
            f"shown with pixels of {image.pixel:.2g} m, though the file has {image.native:.2g} m: the frame is large;"
            " ask for an alert, or for a smaller area"
        )
    return lines
