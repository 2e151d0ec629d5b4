"""Reads points from CSV files, piece by piece: a file of any size needs the memory of one piece, and of what lies near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from minewatch.alerts.corroboration.columns import (
    LATITUDES,
    LONGITUDES,
    find_column,
    find_confidence_column,
    find_date_column,
    list_columns,
    read_days,
    read_levels,
)
from minewatch.alerts.corroboration.sighting import Reading, Region, Sightings, join_sightings
from minewatch.core.errors import ExternalAlertError

ENDINGS = (".csv", ".tsv", ".txt")
"""Of files that are read here."""

PIECE = 200_000
"""Rows that are held at a time."""


@dataclass(frozen=True)
class _Header:
    """How the file is to be read."""

    separator: str
    latitude: str
    longitude: str
    date: str | None
    confidence: str | None


def read_points(path: Path, regions: Sequence[Region], date_column: str | None) -> Reading:
    """Read the points of a CSV file that lie in the regions.

    Raises ExternalAlertError where it has no positions, or positions that are none.
    """
    try:
        return _read(path, _read_header(path, date_column), regions)
    except OSError as error:
        raise ExternalAlertError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ExternalAlertError(f"{path} cannot be read as CSV: {error}") from error


def _read_header(path: Path, date_column: str | None) -> _Header:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline(65_536)
    separator = max(",;\t|", key=line.count)
    names = pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8-sig", encoding_errors="replace").columns
    columns = [str(name) for name in names]
    latitude, longitude = find_column(columns, LATITUDES), find_column(columns, LONGITUDES)
    if latitude is None or longitude is None:
        raise ExternalAlertError(
            f"{path} has no columns with a position; it has {list_columns(columns)}; name them latitude and longitude"
        )
    date = find_date_column(columns, date_column, str(path))
    return _Header(separator, latitude, longitude, date, find_confidence_column(columns, date))


def _read(path: Path, header: _Header, regions: Sequence[Region]) -> Reading:
    reading = Reading({}, date_column=header.date)
    near: dict[str, list[Sightings]] = {region.aoi: [] for region in regions}
    lost = 0
    named = (header.latitude, header.longitude, header.date, header.confidence)
    columns = list(dict.fromkeys(column for column in named if column is not None))
    with pd.read_csv(
        path, sep=header.separator, usecols=columns, chunksize=PIECE, encoding="utf-8-sig", encoding_errors="replace",
        dtype=dict.fromkeys(columns[2:], str), low_memory=False,
    ) as pieces:  # fmt: skip
        for piece in pieces:
            y, x = _read_degrees(piece[header.latitude]), _read_degrees(piece[header.longitude])
            there = np.isfinite(x) & np.isfinite(y)
            _check_range(path, header, x, y, reading.rows)
            reading.rows += len(piece)
            lost += int((~there).sum())
            for region in regions:
                turned = region.turn(x)
                inside = region.holds(turned, y)
                if inside.any():
                    points = np.asarray(shapely.points(turned[inside], y[inside]), object)
                    cells = piece[header.date][inside] if header.date else np.full(len(points), None)
                    sure = piece[header.confidence][inside] if header.confidence else np.full(len(points), None)
                    near[region.aoi].append(Sightings(points, read_days(cells, header.date or ""), read_levels(sure)))
                reading.swapped += int(region.holds(region.turn(y), x).sum())
    reading.sightings = {aoi: join_sightings(parts) for aoi, parts in near.items() if parts}
    if lost:
        reading.notes.append(
            f"{lost} {'row has' if lost == 1 else 'rows have'} no position and {'is' if lost == 1 else 'are'} left out"
        )
    return reading


def _read_degrees(column: pd.Series) -> NDArray[np.float64]:
    if not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.astype(str).str.strip().str.replace(",", ".", regex=False), errors="coerce")
    return column.to_numpy(np.float64)


def _check_range(path: Path, header: _Header, x: NDArray[np.float64], y: NDArray[np.float64], before: int) -> None:
    wrong = (np.abs(y) > 90) | (np.abs(x) > 360)
    if not wrong.any():
        return
    first = int(np.argmax(wrong))
    place = f"{path}: row {before + first + 2} has {header.latitude} {y[first]:g} and {header.longitude} {x[first]:g}"
    if abs(y[first]) <= 360 and abs(x[first]) <= 90:
        raise ExternalAlertError(f"{place}; latitude and longitude seem to be exchanged; rename the columns")
    raise ExternalAlertError(f"{place}, which are no degrees; save the points with latitude and longitude (EPSG:4326)")
