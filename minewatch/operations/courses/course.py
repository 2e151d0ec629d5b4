"""Courses: which exercises each has, starting one, checking exercises, and the texts of hints and solutions."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import publish_json
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.courses import checks, court_checks
from minewatch.operations.courses.record import MARKER, Check, Course, CourseWork
from minewatch.operations.courses.valley import make_valley
from minewatch.products.report import texts as report_texts

FOLDER = Path(__file__).parent

COURSES: Mapping[str, Course] = MappingProxyType(
    {
        "analyst": Course(("areas", "scan", "unseen", "kinds", "qgis", "watch", "court", "pack", "forged", "real"), ("en", "es")),
        "investigator": Course(
            ("areas", "scan", "unseen", "kinds", "qgis", "watch", "report", "court", "pack", "forged", "real"),
            ("en", "es", "fr", "pt"),
        ),
        "gis-staff": Course(
            ("areas", "scan", "layers", "unseen", "kinds", "qgis", "export", "watch", "court", "pack", "forged", "real"),
            ("en", "es"),
        ),
    }
)
"""Name to course; an exercise is the same in every course that has it."""

CHECKS: dict[str, Check] = {
    "areas": checks.check_areas,
    "scan": checks.check_scan,
    "unseen": checks.check_unseen,
    "kinds": checks.check_kinds,
    "layers": checks.check_layers,
    "qgis": checks.check_qgis,
    "export": court_checks.check_export,
    "watch": court_checks.check_watch,
    "report": court_checks.check_report,
    "court": court_checks.check_court,
    "pack": court_checks.check_pack,
    "forged": court_checks.check_forged,
    "real": checks.check_real,
}
"""Exercise to its check."""


@dataclass(frozen=True)
class Line:
    """A line of a check's answer."""

    right: bool
    """False: not yet."""

    text: str
    """What was found, and why it is right or what is missing."""


def start_course(name: str, folder: Path, language: str, real: str, reporter: Reporter) -> CourseWork:
    """Make the folder of a course.  Raises WorkspaceError where it is not empty or the course is not in that language."""
    course = COURSES[name]
    if language not in course.languages:
        raise WorkspaceError(f"the course {name} is not in this language ({language}); it is in: {', '.join(course.languages)}")
    catalog = str(Path(real).expanduser().resolve()) if real else ""
    workspace = make_valley(folder, with_maps="layers" not in course.exercises, real=catalog, reporter=reporter)
    work = CourseWork(workspace, name, language, catalog)
    publish_json(work.root / MARKER, {key: value for key, value in asdict(work).items() if key != "workspace"})
    return work


def read_course(workspace: Workspace) -> CourseWork:
    """Return the course that a folder is for; raises WorkspaceError where it is for none."""
    path = workspace.root / MARKER
    try:
        document = json.loads(path.read_bytes())
        name, language, real = (str(document[key]) for key in ("course", "language", "real"))
        if language not in COURSES[name].languages:
            raise ValueError(language)
    except FileNotFoundError:
        raise WorkspaceError(f"{workspace.root} is no course; begin one with: minewatch course start analyst DIR") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(f"{path} cannot be read; begin anew with: minewatch course start analyst DIR") from error
    return CourseWork(workspace, name, language, real)


def find_exercise(work: CourseWork, number: int) -> str:
    """Return the name of an exercise; raises WorkspaceError where the course has none of this number."""
    exercises = COURSES[work.course].exercises
    if not 1 <= number <= len(exercises):
        raise WorkspaceError(f"the course {work.course} has exercises 1 to {len(exercises)}, and no {number}")
    return exercises[number - 1]


def check_exercise(work: CourseWork, exercise: str) -> list[Line]:
    """Return what a check finds."""
    says, words = read_texts(work.language)[exercise]["says"], report_texts.read_texts(work.language)
    lines = []
    for found in CHECKS[exercise](work):
        facts = {name: words.date(value) if isinstance(value, dt.date) else value for name, value in found.facts.items()}
        lines.append(Line(found.right, says[found.key].format(**facts)))
    return lines


def read_solution(work: CourseWork, exercise: str) -> str:
    """Return the commands of an exercise, after what cannot be done by commands, as comments."""
    words = read_texts(work.language)[exercise].get("by_hand", "").strip()
    remarks = "".join(f"# {line}\n" for line in words.splitlines())
    text = (FOLDER / "solutions" / f"{exercise}.sh").read_text("utf-8")
    return remarks + text.replace("REAL", work.real or "REAL")


@cache
def read_texts(language: str) -> dict[str, Any]:
    """Return the texts of one language: exercise to title, hint and what its check says."""
    with (FOLDER / "texts" / f"{language}.toml").open("rb") as file:
        return tomllib.load(file)
