"""Reads the visits of a field package that came back: the rows of its form, checked as files of strangers are."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from minewatch.core.errors import MapFileError
from minewatch.core.map_file import check_map_file, list_map_layers
from minewatch.core.text import strip_controls
from minewatch.products.field.form import ALERT, COLUMNS, FINDING, NOTE, PERSON, PHOTO, VISITED, VISITS
from minewatch.products.field.package import TABLE

MOST = 2000
"""Visits of a journey."""

LONGEST, LONGEST_NAME = 2000, 120
"""Letters of a note, and of whatever else is written into a form."""


@dataclass(frozen=True)
class Visit:
    """A row of the form."""

    alert_id: str
    """As the package calls the alert."""

    finding: str
    """What was chosen; people may have typed another."""

    note: str
    """Anything else."""

    person: str
    """Who was there; '' where nobody is named."""

    visited: dt.datetime | None
    """When, by the clock of the phone."""

    photo: str
    """Path of the photograph below the folder; '' where there is none."""


def read_visits(folder: Path) -> list[Visit]:
    """Return the visits of a package that came back, unpacked; none where the folder holds photographs alone.

    Raises MapFileError where its table is damaged, hostile, or none of a field package.
    """
    path = folder / TABLE
    if path.is_symlink():
        raise MapFileError(f"{path} is a link, not a copy; copy the folder with its files")
    if not path.exists():
        return []
    check_map_file(path)
    try:
        if VISITS not in list_map_layers(path, VISITS):
            raise MapFileError(f"{path} has no layer {VISITS!r}; it is not of a field package")
        frame = pyogrio.read_dataframe(path, layer=VISITS, read_geometry=False, max_features=MOST + 1)
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise MapFileError(f"{path} cannot be read; copy it from the phone again") from error
    if missing := COLUMNS.keys() - set(frame.columns):
        raise MapFileError(f"{path}: its layer {VISITS!r} lacks {', '.join(sorted(missing))}; it is not of a field package")
    if len(frame) > MOST:
        raise MapFileError(f"{path} holds more than {MOST} visits, more than any journey")
    return [_read_visit(row) for row in frame.to_dict("records")]


def _read_visit(row: dict[Any, Any]) -> Visit:
    words = {name: _read_text(row[name], LONGEST if name == NOTE else LONGEST_NAME) for name in COLUMNS if name != VISITED}
    moment = pd.to_datetime(row[VISITED], errors="coerce")
    visited = None if pd.isna(moment) else moment.to_pydatetime()
    return Visit(words[ALERT], words[FINDING], words[NOTE], words[PERSON], visited, words[PHOTO])


def _read_text(value: Any, longest: int) -> str:
    text = "" if value is None or pd.isna(value) else " ".join(strip_controls(str(value)).split())
    return text[:longest]


def find_named(folder: Path, name: str) -> Path | None:
    """Return the file that a form names, below a folder; None where the name leads elsewhere or nowhere."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if not name or parts.is_absolute() or ".." in parts.parts:
        return None
    path = folder.joinpath(*parts.parts)
    inside = path.resolve().is_relative_to(folder.resolve())
    return path if inside and path.is_file() and not path.is_symlink() else None
