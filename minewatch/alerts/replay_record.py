"""The record of an area's alerts, kept beside its checkpoints: the same episodes give the same alerts, without another replay.

It holds a digest of all that the alerts rest on.  Without it they are the same, only later.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from minewatch import __version__
from minewatch.alerts.record import Alert, AlertStage
from minewatch.alerts.replay import REPLAY_VERSION, replay_alerts
from minewatch.archive.item import describe_grid
from minewatch.areas.grid import Grid
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.detection.change_map import Episodes
from minewatch.settings.pipeline import AlertSettings

NAME = "alerts.record"
"""Of the file, in the folder of the checkpoints."""


def recall_alerts(folder: Path | None, episodes: Episodes, grid: Grid, aoi: str, settings: AlertSettings) -> list[Alert]:
    """Return what :func:`replay_alerts` does: from the record in ``folder`` where that is of the same episodes."""
    if folder is None:
        return replay_alerts(episodes, grid, aoi, settings)
    facts = [__version__, REPLAY_VERSION, describe_grid(grid), aoi, settings.model_dump(mode="json")]
    digest = hashlib.sha256(json.dumps(facts).encode() + episodes.tobytes()).hexdigest()
    known = _read(folder / NAME, digest)
    if known is None:
        known = replay_alerts(episodes, grid, aoi, settings)
        with contextlib.suppress(OSError, WorkspaceError):  # then the next scan replays them again
            publish_bytes(make_private_folder(folder) / NAME, _render(digest, known))
    return known


def _render(digest: str, alerts: Sequence[Alert]) -> bytes:
    body = json.dumps([vars(alert) for alert in alerts], default=_encode).encode()
    return f"{digest} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def _read(path: Path, digest: str) -> list[Alert] | None:
    """Return the recorded alerts; None where they are of something else, or damaged."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        if head.decode("ascii") != f"{digest} {hashlib.sha256(body).hexdigest()}":
            return None
        return [Alert(**{**fields, "stages": tuple(fields["stages"])}) for fields in json.loads(body, object_hook=_decode)]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _encode(value: Any) -> Mapping[str, Any]:
    if isinstance(value, AlertStage):
        return {"stage": vars(value)}
    if isinstance(value, BaseGeometry):
        return {"wkb": shapely.to_wkb(value, hex=True)}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    raise TypeError(f"an alert holds a {type(value).__name__}")


def _decode(value: dict[str, Any]) -> Any:
    match list(value.items()):
        case [("stage", fields)]:
            return AlertStage(**fields)
        case [("wkb", data)]:
            return shapely.from_wkb(data)
        case [("date", text)]:
            return dt.date.fromisoformat(text)
    return value
