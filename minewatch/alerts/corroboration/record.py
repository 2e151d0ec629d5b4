"""The witnesses that people added: a file that only grows, and beside it what each of them saw near the areas."""

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

from minewatch.alerts.corroboration.sighting import NO_DAY, Sightings
from minewatch.core.errors import ExternalAlertError
from minewatch.core.files import append_lines, publishing, read_lines

DISTANCE_M = 100.0
"""How far from an alert a sighting still agrees, where nobody says otherwise; metres: some pixels of Landsat and Sentinel-1."""

DAYS = 180
"""How long before or after an alert was seen a sighting still agrees, where nobody says otherwise: ground is often cleared
months before it is mined, and radar sees it on other days."""

LAYER = "sightings"
"""Of the files with what a witness saw; its only column is ``seen``."""


@dataclass(frozen=True)
class ExternalSource:
    """What a person added: that somebody else saw something in an area."""

    name: str
    """Who."""

    aoi: str
    """Name of the area."""

    file: str
    """Name of the file it came from."""

    digest: str
    """SHA-256 of that file."""

    sightings: str
    """Name of the file with what lies near the area; '' takes the witness back."""

    count: int
    """How many they are."""

    distance_m: float
    """How far from an alert they agree."""

    days: int
    """How long before or after an alert was seen they agree."""

    effective: dt.date
    """As-of date of the area's table then: from then on they count."""

    added: dt.datetime
    """When, UTC; for the record only."""

    @property
    def claim(self) -> tuple[Any, ...]:
        """Everything but when it was added: the same claim is kept once."""
        return self.name, self.aoi, self.digest, self.sightings, self.distance_m, self.days


@dataclass(frozen=True)
class ExternalSources:
    """All that were added, in the order in which they were."""

    all: tuple[ExternalSource, ...] = ()
    """Of every area."""

    damaged: tuple[int, ...] = ()
    """Lines that cannot be read, counted from 1."""

    def of(self, aoi: str, until: dt.date) -> list[ExternalSource]:
        """Return those of an area that count on a date: of each file that was added under a name, what was said last."""
        last: dict[tuple[str, str], ExternalSource] = {}
        for witness in self.all:
            if witness.aoi == aoi and witness.effective <= until:
                last[witness.name, witness.digest] = witness
        return [witness for witness in last.values() if witness.sightings]


def read_external_sources(path: Path) -> ExternalSources:
    """Read the file; empty where there is none.  Raises WitnessError where it cannot be read."""
    try:
        found, damaged = read_lines(path, _parse)
    except OSError as error:
        raise ExternalAlertError(f"{path} cannot be read: {error.strerror}") from error
    return ExternalSources(tuple(found), damaged)


def append_external_sources(path: Path, witnesses: Sequence[ExternalSource]) -> None:
    """Add witnesses; they are on the disk when this returns.  Raises WitnessError where they cannot be written."""
    if not witnesses:
        return
    try:
        append_lines(path, [json.dumps(_render(witness), ensure_ascii=False) for witness in witnesses])
    except OSError as error:
        raise ExternalAlertError(f"the witness could not be written to {path}: {error.strerror}; nothing was changed") from error


def _render(witness: ExternalSource) -> dict[str, Any]:
    dates = {"effective": witness.effective.isoformat(), "added": witness.added.isoformat(timespec="seconds")}
    return vars(witness) | dates


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


# --- what they saw ---------------------------------------------------------------------------------------------------


def keep_sightings(folder: Path, sightings: Sightings) -> str:
    """Keep sightings in a FlatGeobuf that is named by what is in it, and give its name."""
    blobs = shapely.to_wkb(sightings.shapes)
    name = f"{hashlib.sha256(b''.join(blobs) + sightings.days.tobytes()).hexdigest()[:16]}.fgb"
    if not (folder / name).exists():
        with publishing(folder / name) as temporary:
            temporary.unlink()
            dates = np.where(sightings.days == NO_DAY, np.datetime64("NaT"), sightings.days.astype("datetime64[D]"))
            pyogrio.raw.write(
                temporary, geometry=blobs, field_data=[dates.astype("datetime64[D]")], fields=["seen"], layer=LAYER,
                driver="FlatGeobuf", geometry_type="Unknown", crs="EPSG:4326", SPATIAL_INDEX="NO",
            )  # fmt: skip
    return name


def read_sightings(path: Path) -> Sightings:
    """Read sightings that were kept; raises WitnessError where the file is gone or damaged."""
    try:
        _, _, blobs, (dates,) = pyogrio.raw.read(path, layer=LAYER, columns=["seen"])
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise ExternalAlertError(
            f"{path} is missing or damaged; add the witness again with: minewatch alerts corroborate"
        ) from error
    days = dates.astype("datetime64[D]")
    return Sightings(shapely.from_wkb(blobs), np.where(np.isnat(days), NO_DAY, days.astype(np.int64)).astype(np.int32))
