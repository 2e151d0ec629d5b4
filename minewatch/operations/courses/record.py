"""What courses are made of: exercises, what a check finds, and the course that a folder is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minewatch.core.workspace import Workspace

MARKER = "course.json"
"""File in a workspace that says which course it is for."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check looked at."""

    key: str
    """Of its text in the exercise's table."""

    right: bool
    """False: not yet."""

    facts: Mapping[str, object] = field(default_factory=dict)
    """What replaces the names in braces of the text."""


@dataclass(frozen=True)
class CourseWork:
    """A folder in which somebody takes a course."""

    workspace: Workspace
    """The simulated case."""

    course: str
    """Name of the course."""

    language: str
    """Of its texts."""

    real: str = ""
    """Catalogue of real scenes for the exercise on real ground; '' = there is none."""

    @property
    def root(self) -> Path:
        """The folder."""
        return self.workspace.root


Check = Callable[[CourseWork], Iterator[Finding]]
"""Looks at what is in the folder; what a person says never counts."""


@dataclass(frozen=True)
class Course:
    """The exercises of one course, in order."""

    exercises: tuple[str, ...]
    """Their names."""

    languages: tuple[str, ...]
    """In which its texts are complete; the first one is the default."""
