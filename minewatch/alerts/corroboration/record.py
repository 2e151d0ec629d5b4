"""The sources of external alerts that people added: an append-only file, and beside it their sightings near the areas."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from minewatch.alerts.corroboration.sighting import LEVELS, NO_DAY, Sightings
from minewatch.core.errors import ExternalAlertError
from minewatch.core.files import append_lines, publishing, read_lines

LAYER, SEEN, CONFIDENCE = "sightings", "seen", "confidence"
"""Layer of the files with sightings, and its columns; the second only where the source says how sure it is."""


@dataclass(frozen=True)
class ExternalSource:
    """A file of another system's alerts that a person added, for one area."""

    name: str
    """Of the other system."""

    aoi: str
    """Name of the area."""

    file: str
    """Name of the file it came from."""

    digest: str
    """SHA-256 of that file."""

    sightings: str
    """Name of the file with the sightings near the area; '' removes the source."""

    count: int
    """Number of sightings."""

    distance_m: float
    """Distance from an alert within which they agree."""

    days: int
    """Days before or after an alert was seen within which they agree."""

    effective: dt.date
    """As-of date of the area's table then: from then on they count."""

    added: dt.datetime
    """When, UTC; for the record only."""

    @property
    def claim(self) -> tuple[Any, ...]:
        """Everything but the dates; the same claim is stored once."""
        return self.name, self.aoi, self.digest, self.sightings, self.distance_m, self.days


@dataclass(frozen=True)
class ExternalSources:
    """All that were added, in the order in which they were."""

    all: tuple[ExternalSource, ...] = ()
    """Of every area."""

    damaged: tuple[int, ...] = ()
    """Lines that cannot be read, counted from 1."""

    def of(self, aoi: str, until: dt.date) -> list[ExternalSource]:
        """Return the sources of an area that count on a date: of each name and file the one added last."""
        last: dict[tuple[str, str], ExternalSource] = {}
        for source in self.all:
            if source.aoi == aoi and source.effective <= until:
                last[source.name, source.digest] = source
        return [source for source in last.values() if source.sightings]


def read_external_sources(path: Path) -> ExternalSources:
    """Read the file; empty where there is none.  Raises ExternalAlertError where it cannot be read."""
    try:
        found, damaged = read_lines(path, _parse)
    except OSError as error:
        raise ExternalAlertError(f"{path} cannot be read: {error.strerror}") from error
    return ExternalSources(tuple(found), damaged)


def append_external_sources(path: Path, sources: Sequence[ExternalSource]) -> None:
    """Add sources; they are on the disk when this returns.  Raises ExternalAlertError where they cannot be written."""
    if not sources:
        return
    documents = [
        vars(source) | {"effective": source.effective.isoformat(), "added": source.added.isoformat(timespec="seconds")}
        for source in sources
    ]
    try:
        append_lines(path, [json.dumps(document, ensure_ascii=False) for document in documents])
    except OSError as error:
        raise ExternalAlertError(f"the witness could not be written to {path}: {error.strerror}; nothing was changed") from error


def _parse(document: dict[str, Any]) -> ExternalSource:
    texts = {name: str(document[name]) for name in ("name", "aoi", "file", "digest", "sightings")}
    if "/" in texts["sightings"] or texts["sightings"].startswith("."):
        raise ValueError(texts["sightings"])
    return ExternalSource(
        **texts,
        count=int(document["count"]),
        distance_m=float(document["distance_m"]),
        days=int(document["days"]),
        effective=dt.date.fromisoformat(document["effective"]),
        added=dt.datetime.fromisoformat(document["added"]),
    )


# --- sightings -------------------------------------------------------------------------------------------------------


def store_sightings(folder: Path, sightings: Sightings) -> str:
    """Write sightings into a FlatGeobuf named by the hash of its content; return the name."""
    blobs = shapely.to_wkb(sightings.shapes)
    stated = sightings.levels.tobytes() if sightings.levels.any() else b""
    name = f"{hashlib.sha256(b''.join(blobs) + sightings.days.tobytes() + stated).hexdigest()[:16]}.fgb"
    if not (folder / name).exists():
        with publishing(folder / name) as temporary:
            temporary.unlink()
            dates = np.where(sightings.days == NO_DAY, np.datetime64("NaT"), sightings.days.astype("datetime64[D]"))
            data = {SEEN: dates.astype("datetime64[D]")}
            if stated:
                data[CONFIDENCE] = np.array(LEVELS, object)[sightings.levels]
            pyogrio.raw.write(
                temporary, geometry=blobs, field_data=list(data.values()), fields=list(data), layer=LAYER,
                driver="FlatGeobuf", geometry_type="Unknown", crs="EPSG:4326", SPATIAL_INDEX="NO",
            )  # fmt: skip
    return name


def read_sightings(path: Path) -> Sightings:
    """Read stored sightings; raises ExternalAlertError where the file is gone or damaged."""
    try:
        meta, _, blobs, data = pyogrio.raw.read(path, layer=LAYER, columns=[SEEN, CONFIDENCE])
        columns = dict(zip(meta["fields"], data, strict=True))
        dates = columns[SEEN]
    except (DataSourceError, DataLayerError, ValueError, KeyError) as error:
        raise ExternalAlertError(
            f"{path} is missing or damaged; add the witness again with: minewatch alerts corroborate"
        ) from error
    dates = dates.astype("datetime64[D]")
    days = np.where(np.isnat(dates), NO_DAY, dates.astype(np.int64)).astype(np.int32)
    levels = [LEVELS.index(word) if word in LEVELS else 0 for word in columns.get(CONFIDENCE, ())]
    return Sightings(shapely.from_wkb(blobs), days, np.array(levels, np.uint8))
