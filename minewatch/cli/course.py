"""``minewatch course``: a simulated case to learn on, with exercises whose checks look at what is in the workspace."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.core.progress import reporting

if TYPE_CHECKING:
    from minewatch.operations.courses.record import CourseWork

NAMES = "analyst", "investigator", "gis-staff"

PORT = 2525


@click.group()
def course() -> None:
    """Learn on a simulated case: a river valley with two mines, a landslide, a farm and a border.

    A course is half a day.  Its exercises are done with the ordinary commands; checks look at what is then in the workspace.

    \b
    Example:
      minewatch course start analyst valley && cd valley
      minewatch course list
      minewatch course check 1
    """


@course.command("start")
@click.argument("name", type=click.Choice(NAMES), metavar="analyst|investigator|gis-staff")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--lang",
    "language",
    type=click.Choice(["en", "es", "fr", "pt"]),
    default="en",
    show_default=True,
    help="Of exercises and hints.",
)
@click.option(
    "--real", type=click.Path(exists=True), metavar="PATH", help="Static STAC catalogue for the exercise on real images."
)
@common_options
def start(session: Session, name: str, folder: Path, language: str, real: str | None) -> None:
    """Make the workspace of a course in DIR, a new or empty folder: simulated scenes, maps, letters.  Needs no network.

    It takes about a minute.  French and Portuguese are for investigators.  Needs minewatch[evidence].

    \b
    Example:
      minewatch course start analyst valley
      minewatch course start investigator valle --lang es
    """
    from minewatch.operations.courses.course import start_course

    with reporting() as reporter:
        work = start_course(name, folder, language, real or "", reporter)
    if session.as_json:
        print_json({"course": name, "folder": str(work.root), "exercises": len(_list_titles(work))})
        return
    say(f"the course lies in {work.root}; next: cd {folder}, then: minewatch course list")


@course.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the exercises of the course in this folder, and which of them are done.

    \b
    Example:
      minewatch course list
    """
    from minewatch.operations.courses.course import check_exercise, read_texts

    work = _read_course(session)
    states = read_texts(work.language)["states"]
    rows = []
    for number, (exercise, title) in enumerate(_list_titles(work).items(), 1):
        rows.append((number, title, all(line.right for line in check_exercise(work, exercise))))
    if session.as_json:
        print_json([{"number": number, "title": title, "done": done} for number, title, done in rows])
    else:
        print_table(
            ("no.", "exercise", "state"), [(number, title, states["right" if done else "open"]) for number, title, done in rows]
        )


@course.command("check")
@click.argument("number", type=int)
@common_options
def check(session: Session, number: int) -> None:
    """Check an exercise: what is right, what not yet, and why.  Exit code 0 when all is right, 3 when not yet.

    \b
    Example:
      minewatch course check 3
    """
    from minewatch.operations.courses.course import check_exercise, find_exercise, read_texts

    work = _read_course(session)
    exercise = find_exercise(work, number)
    lines = check_exercise(work, exercise)
    done = all(line.right for line in lines)
    if session.as_json:
        print_json({"number": number, "done": done, "lines": [{"right": line.right, "text": line.text} for line in lines]})
    else:
        echo(f"{number}. {_list_titles(work)[exercise]}")
        states = read_texts(work.language)["states"]
        print_table(("", ""), [(states["right" if line.right else "open"], line.text) for line in lines])
    if not done:
        say(f"a hint: minewatch course hint {number}")
        sys.exit(3)


@course.command("hint")
@click.argument("number", type=int)
@common_options
def hint(session: Session, number: int) -> None:
    """Show a hint for an exercise.

    \b
    Example:
      minewatch course hint 3
    """
    from minewatch.operations.courses.course import find_exercise, read_texts

    work = _read_course(session)
    text = str(read_texts(work.language)[find_exercise(work, number)]["hint"]).strip()
    if session.as_json:
        print_json({"number": number, "hint": text})
    else:
        echo(text)


@course.command("solve")
@click.argument("number", type=int)
@common_options
def solve(session: Session, number: int) -> None:
    """Show the commands that solve an exercise; they are not run.

    \b
    Example:
      minewatch course solve 3
    """
    from minewatch.operations.courses.course import find_exercise, read_solution

    work = _read_course(session)
    text = read_solution(work, find_exercise(work, number)).strip()
    if session.as_json:
        print_json({"number": number, "solution": text})
    else:
        for line in text.splitlines():
            echo(line)


@course.command("mail")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="On this machine alone.")
@common_options
def mail(session: Session, port: int) -> None:
    """Run a mail server to practise with, until Ctrl-C: it keeps every mail in the folder mail and sends none on.

    \b
    Example:
      minewatch course mail
    """
    from minewatch.operations.courses.mailbox import HOST, MailServer

    work = _read_course(session)
    with contextlib.suppress(KeyboardInterrupt), MailServer(work.root, port, echo) as server:
        say(
            f"mail for mailto://{HOST}:{port}/?smtp={HOST}&from=watch@example.org&to=me@example.org is kept here; end with Ctrl-C"
        )
        server.serve_forever()


def _read_course(session: Session) -> CourseWork:
    from minewatch.operations.courses.course import read_course

    return read_course(session.workspace)


def _list_titles(work: CourseWork) -> dict[str, str]:
    """Return the exercises of a course and their titles."""
    from minewatch.operations.courses.course import COURSES, read_texts

    texts = read_texts(work.language)
    return {exercise: str(texts[exercise]["title"]) for exercise in COURSES[work.course].exercises}
