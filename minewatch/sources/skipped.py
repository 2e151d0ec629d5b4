"""Scenes that were found and not used, and how many there were of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from minewatch.core.text import count_of, show


@dataclass(frozen=True)
class SkippedScene:
    """A scene that was found but cannot be used."""

    id: str
    """The item's id."""

    reason: str
    """Why, in one line."""

    is_refused: bool = False
    """True if item or pixels contradict what a scene has to be; False where it could not be read, or is lost."""


@dataclass(frozen=True)
class SkippedCount:
    """How many scenes were found and not used, though no cloud kept them from it."""

    refused: int = 0
    """Those that were refused."""

    unreadable: int = 0
    """Those that could not be read."""

    reason: str = ""
    """Of the first one."""

    @classmethod
    def of(cls, scenes: Sequence[SkippedScene]) -> Self:
        """Count scenes."""
        refused = sum(scene.is_refused for scene in scenes)
        return cls(refused, len(scenes) - refused, show(scenes[0].reason) if scenes else "")

    def describe(self) -> str:
        """Return the numbers and the first reason in words; '' where there are none."""
        pairs = ((self.refused, "refused"), (self.unreadable, "not readable"))
        parts = [f"{count_of(count, 'scene')} {'was' if count == 1 else 'were'} {kind}" for count, kind in pairs if count]
        first = "" if self.refused + self.unreadable == 1 else "first: "
        return f"{' and '.join(parts)} ({first}{self.reason})" if parts else ""


@dataclass(frozen=True)
class SceneCount:
    """What became of scenes: each is counted once."""

    used: int
    """The result rests on them."""

    skipped: int
    """Refused, not readable, or with more cloud than the pipeline allows."""

    replaced: int
    """Newer ones of the same overpass, or those in the archive, are used in their place."""

    left_unread: int
    """The area's budget does not pay for them."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.used + self.skipped + self.replaced + self.left_unread
