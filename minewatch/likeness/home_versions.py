"""The layers that were learnt in a workspace, and which of them is in use; they never leave it.

Each is a file that is written once, named by its number and the SHA-256 of its content; one more file names the one in use.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.text import show
from minewatch.detection.array_file import MALFORMED, ArrayFile, pack_arrays
from minewatch.likeness.home_layer import HomeLayer

FORMAT = 1
"""Of the files."""

SHIPPED = "shipped"
"""What is in use where no layer is: the score of the package."""

IN_USE = "in-use"
"""File with the name of the layer in use."""

UNDO = "choose another with: minewatch likeness use shipped"
"""What to do where the layer in use cannot be used."""

_NAME = re.compile(r"home-(?P<number>\d{1,6})-(?P<digest>[0-9a-f]{6})")


@dataclass(frozen=True)
class HomeVersion:
    """A layer that was adopted."""

    name: str
    """``home-NUMBER-DIGEST``."""

    layer: HomeLayer
    """What it does."""

    learnt: dt.date
    """When, UTC."""

    facts: Mapping[str, Any]
    """What was said when it was adopted: reviews, areas, figures."""

    @property
    def number(self) -> int:
        """1 for the first of a workspace."""
        return _find_number(self.name)

    @property
    def version(self) -> str:
        """Version of its scores: that of the weights below it, and its name."""
        return f"{self.layer.base}+{self.name}"


def list_versions(folder: Path) -> tuple[list[HomeVersion], dict[str, str]]:
    """Return the layers in a folder by number, and those that cannot be used: name to why."""
    versions, damaged = [], {}
    names = (path.name for path in folder.glob("home-*") if _NAME.fullmatch(path.name))
    for name in sorted(names, key=lambda name: (_find_number(name), name)):
        try:
            versions.append(_read(folder / name, "move it away"))
        except WorkspaceError as error:
            damaged[name] = str(error)
    return versions, damaged


def _find_number(name: str) -> int:
    return int(name.split("-")[1])


def add_version(folder: Path, layer: HomeLayer, learnt: dt.date, facts: Mapping[str, Any]) -> HomeVersion:
    """Write a layer under the next number and use it from now on; the workspace's lock is held."""
    versions, damaged = list_versions(folder)
    number = 1 + max(map(_find_number, [*(one.name for one in versions), *damaged]), default=0)
    head = {"format": FORMAT, "number": number, "base": layer.base, "slope": layer.slope, "intercept": layer.intercept}
    data = pack_arrays({**head, "learnt": learnt.isoformat(), "facts": facts}, {"weights": layer.weights})
    name = f"home-{number}-{_digest(data)}"
    make_private_folder(folder)
    publish_bytes(folder / name, data)
    publish_bytes(folder / IN_USE, name.encode())
    return _read(folder / name)


def use_version(folder: Path, wanted: str) -> str:
    """Use a layer from now on, by its name, its number or ``home-NUMBER``, or none (``shipped``); return what is in use.

    Raises WorkspaceError where there is no such layer.  The workspace's lock is held.
    """
    if wanted != SHIPPED:
        versions, damaged = list_versions(folder)
        names: dict[str, tuple[str, ...]] = {}
        names |= {found.name: (found.name, str(found.number), f"home-{found.number}", found.version) for found in versions}
        names |= {name: (name, str(_find_number(name)), f"home-{_find_number(name)}") for name in damaged}
        fitting = [name for name, ways in names.items() if wanted in ways]
        if len(fitting) != 1:
            raise WorkspaceError(f"{show(wanted)} is none of {', '.join([*names, SHIPPED])}; likeness list shows them")
        (wanted,) = fitting
        if wanted in damaged:
            raise WorkspaceError(damaged[wanted])
    make_private_folder(folder)
    publish_bytes(folder / IN_USE, wanted.encode())
    return wanted


def name_in_use(folder: Path) -> str:
    """Return the name of the layer in use, or ``shipped``."""
    try:
        name = (folder / IN_USE).read_bytes()[:100].decode("ascii", "replace").strip()
    except FileNotFoundError:
        return SHIPPED
    except OSError as error:
        raise WorkspaceError(f"{folder / IN_USE} cannot be read: {error.strerror}; move it away") from error
    if name != SHIPPED and not _NAME.fullmatch(name):
        raise WorkspaceError(f"{folder / IN_USE} names no layer; choose one with: minewatch likeness use shipped")
    return name


def read_in_use(folder: Path, base: str) -> tuple[HomeVersion | None, str]:
    """Return the layer that goes on top of weights of this version, None where it is the shipped score; and a line on why.

    The line is '' unless a layer is in use that was learnt on other weights.  Raises WorkspaceError where it is damaged or gone.
    """
    name = name_in_use(folder)
    if name == SHIPPED:
        return None, ""
    found = _read(folder / name)
    if found.layer.base == base:
        return found, ""
    return None, (
        f"{name} was learnt on the weights {found.layer.base}, and {base} are installed: alerts have the shipped score; "
        "learn anew with: minewatch likeness learn --adopt"
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:6]


def _read(path: Path, advice: str = f"move it away, and {UNDO}") -> HomeVersion:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise WorkspaceError(f"{path} is gone, and it is in use; bring it back, or {UNDO}") from error
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}; {advice}") from error
    match = _NAME.fullmatch(path.name)
    try:
        if match is None or _digest(data) != match["digest"]:
            raise ValueError("digest")
        file = ArrayFile(data)
        head = file.head
        weights = file.read("weights").astype(np.float64)
        if head["format"] != FORMAT or head["number"] != int(match["number"]) or not np.isfinite(weights).all():
            raise ValueError("content")
        layer = HomeLayer(str(head["base"]), float(head["slope"]), weights, float(head["intercept"]))
        return HomeVersion(path.name, layer, dt.date.fromisoformat(head["learnt"]), dict(head["facts"]))
    except MALFORMED as error:
        raise WorkspaceError(f"{path} is damaged; {advice}") from error
