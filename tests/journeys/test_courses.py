"""The courses: every line of their pages is run in the one case, and each check says "not yet" until its exercise is done."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from minewatch.cli import main, watch
from minewatch.core.errors import EvidenceError, ReportError, WorkspaceError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.courses import valley
from minewatch.operations.courses.course import (
    CHECKS,
    COURSES,
    check_exercise,
    read_course,
    read_solution,
    read_texts,
    start_course,
)
from minewatch.operations.courses.mailbox import MailServer
from minewatch.operations.courses.record import CourseWork, Finding
from minewatch.products.evidence.signing import read_public_key
from minewatch.products.evidence.verdicts import TrustAnchors, Verdict
from minewatch.products.evidence.verification import verify_path
from tests.helpers.places import ROOT
from tests.helpers.servers import find_free_port
from tests.helpers.tables import edit

PAGES = ROOT / "docs" / "courses"

BEGINNING = ("minewatch course start", "minewatch course mail", "cd ")
"""Commands of the pages that the test has run before it reads them."""

DRAWN = "south-20230620-eb6ce6"
"""The alert of the pages, whose pictures are really drawn."""

ATTENTION = ("watch", "status", "course", "doctor", "verify")
"""Commands that may say with exit code 3 that something needs attention."""

OWN_WORDS = re.compile(r'\w+( --lang \w+)$|(?<=cd )\w+|(?<= )valley$|"[^"]*"')
"""What may differ in another language: the name of the folder, the language, the words of a reviewer."""

FIRST_TEXTS = {
    "areas": "there is no area north: nothing of it will be scanned",
    "scan": "north is not in the table: it was not scanned",
    "unseen": "there is no scan of the north in the folder rains",
    "kinds": "no alert was confirmed yet: scan first",
    "layers": "no map of the kind concession is declared: alerts are not compared with one",
    "qgis": "there is no QGIS project yet: minewatch qgis",
    "export": "there is no export as gpkg in output/exports",
    "watch": "no schedule in minewatch.toml covers north and south",
    "report": "there is no report on the mine in Spanish in output/reports",
    "court": "the mine is not in the table in both areas: scan first",
    "pack": "there is no pack in the folder hand-over",
    "forged": "post/from-alta.zip: post/from-alta.json does not hold what verify says of it with the key of Alta, as JSON",
}
"""Exercise to what its check says first in a new course."""


def read_commands(page: Path) -> list[str]:
    """Return the commands of a page, a heredoc as one."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return split_commands("".join(blocks))


def split_commands(script: str) -> list[str]:
    return re.findall(r"^[^#\n]*<<'END'\n(?:.*\n)*?END$|^[^#\n].*$", script, re.MULTILINE)


@dataclass
class Shell:
    """Runs commands as a person's shell does, those of minewatch in this process."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    servers: ExitStack = field(default_factory=ExitStack)
    port: int = field(default_factory=find_free_port)

    def run(self, line: str) -> None:
        """Run a command; some may say that something needs attention."""
        self.ran.append(line)
        words = shlex.split(line) if "\n" not in line else []
        if line.startswith("minewatch course mail"):
            self.serve_mail()
        elif words[1:2] in (["explain"], ["image"]) and DRAWN not in words:
            self.draw(*words[1:])
        elif words[:1] == ["minewatch"]:
            target = words.index(">") if ">" in words else len(words)
            answer = CliRunner().invoke(
                main, words[1:target], env=self.environment, prog_name="minewatch", catch_exceptions=False
            )
            assert answer.exit_code in ((0, 3) if words[1] in ATTENTION else (0,)), f"{line}\n{answer.output}"
            if target < len(words):
                (self.folder / words[target + 1]).write_text(answer.stdout)
        elif words[:1] == ["export"]:
            name, _, value = words[1].partition("=")
            self.environment[name] = value.replace("2525", str(self.port))
        else:
            subprocess.run(["bash", "-e", "-c", line], cwd=self.folder, check=True, capture_output=True)

    def draw(self, command: str, alert: str, _option: str, value: str) -> None:
        """Write an empty picture in the place of one that differs from those of the pages in its alert alone."""
        path = self.folder / (value if command == "explain" else f"output/images/{alert}-{value}-true-colour.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def serve_mail(self) -> None:
        server = self.servers.enter_context(MailServer(self.folder, self.port, lambda _line: None))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.servers.callback(server.shutdown)


def refuse_to_print(_page: str) -> bytes:
    """Be a machine without the library for PDF, which takes a second a page."""
    raise ReportError("no PDF here")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> CourseWork:
    """A new course for GIS staff, whose exercises are those of the others too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)
        patch.setattr("minewatch.products.evidence.read_me.write.print_page", refuse_to_print)
        return start_course("gis-staff", tmp_path_factory.mktemp("course") / "valley", "en", "", Reporter())


@pytest.fixture
def shell(work: CourseWork, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell in the course's folder, in which a minute passes between two commands."""
    minutes = iter(range(10_000))
    began = dt.datetime.now(dt.UTC).replace(microsecond=0)
    monkeypatch.setattr(watch, "read_clock", lambda: began + dt.timedelta(minutes=next(minutes)))
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)
    monkeypatch.setattr("minewatch.products.evidence.read_me.write.print_page", refuse_to_print)
    monkeypatch.delenv("MINEWATCH_WORKSPACE", raising=False)
    monkeypatch.chdir(work.root)
    shell = Shell(work.root)
    with shell.servers:
        yield shell


def edit_as_in_qgis(work: CourseWork) -> None:
    """Do by hand what the exercise asks for in QGIS."""
    alert = "north-20240205-160cff"
    edit(
        work.workspace.alerts,
        "UPDATE alerts SET review='dismissed', review_note='landslide', reviewed_by='L. Mamani' WHERE alert_id=?",
        alert,
    )


def test_a_course_from_its_beginning_to_its_end(work: CourseWork, shell: Shell) -> None:
    """In a new course each check says what is missing; the pages and the solutions, in order, make every one right."""
    exercises = dict.fromkeys(name for one in COURSES.values() for name in one.exercises)
    assert set(exercises) == set(FIRST_TEXTS) | {"real"} == set(CHECKS)
    for exercise, text in FIRST_TEXTS.items():
        lines = check_exercise(work, exercise)
        assert next(line.text for line in lines if not line.right) == text
    order = [*COURSES["gis-staff"].exercises[:-4], "report", "court", "pack", "forged", "real"]
    for exercise in order:
        for line in split_commands(read_solution(work, exercise)) if exercise != "real" else ():
            if not line.startswith(("sleep", "kill")):
                shell.run(line)
            if line == "minewatch qgis":
                edit_as_in_qgis(work)
                assert [line.right for line in check_exercise(work, exercise)] == [True, False]  # it waits for a scan
        assert [line.text for line in check_exercise(work, exercise) if not line.right] == []
    solved = set(shell.ran)
    for page in sorted(PAGES.glob("*.md")):
        for line in [*read_commands(page), *re.findall(r"`(minewatch [^`]+)`", page.read_text("utf-8"))]:
            if line not in solved and not line.startswith(BEGINNING):
                shell.run(line)
                solved.add(line)
    mail, attached = (work.root / "mail" / name for name in ("0001.html", "0001-alerts.geojson"))
    assert "Changes there cannot be detected." in mail.read_text("utf-8")
    assert "cid:" not in mail.read_text("utf-8")  # its images are in it
    assert json.loads(attached.read_text("utf-8"))["features"]
    answer = CliRunner().invoke(main, ["course", "list", "--json"], catch_exceptions=False)
    assert answer.exit_code == 0
    assert '"done": false' not in answer.stdout
    assert CliRunner().invoke(main, ["course", "check", "2"]).exit_code == 0


def test_a_check_that_is_not_right_ends_with_3_and_offers_a_hint(work: CourseWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "areas", lambda _work: iter([Finding("missing", False, {"area": "north"})]))
    answer = CliRunner().invoke(main, ["course", "check", "1", "-w", str(work.root)])
    assert answer.exit_code == 3
    assert "not yet  there is no area north" in answer.stdout
    assert "minewatch course hint 1" in answer.stderr


def test_the_forged_pack_fits_its_hashes_and_only_the_key_tells(work: CourseWork) -> None:
    post = work.root / valley.POST
    key = read_public_key(post / valley.NEIGHBOUR_KEY)
    for pack, without, with_key in (
        (valley.SOUND, Verdict.CONSISTENT, Verdict.SIGNED),
        (valley.FORGED, Verdict.CONSISTENT, Verdict.CHANGED),
    ):
        verdicts = [verify_path(post / pack, TrustAnchors(one))[0].verdict for one in (None, key)]
        assert verdicts == [without, with_key]


@pytest.mark.parametrize("language", ["en", "es", "fr", "pt"])
def test_each_course_is_complete_in_its_languages(language: str) -> None:
    """Every exercise has its texts, with the same values in them as in English."""
    texts, english = read_texts(language), read_texts("en")
    for one in COURSES.values():
        for exercise in one.exercises if language in one.languages else ():
            theirs, ours = english[exercise], texts[exercise]
            assert ours.keys() == theirs.keys()
            assert ours["says"].keys() == theirs["says"].keys()
            for key, text in theirs["says"].items():
                assert sorted(re.findall(r"\{\w+\}", ours["says"][key])) == sorted(re.findall(r"\{\w+\}", text)), key


@pytest.mark.parametrize("page", sorted(PAGES.glob("*/*.md")), ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_translated_page_has_the_commands_of_the_english_one(page: Path) -> None:
    """In its own language where a course begins, and with the words of a reviewer in it."""
    plain, english = ([OWN_WORDS.sub("", line) for line in read_commands(one)] for one in (page, PAGES / page.name))
    assert plain == english


def test_a_course_begins_in_an_empty_folder_only_and_leaves_nothing_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match="is not empty"):
        start_course("analyst", tmp_path, "en", "", Reporter())

    def fail(folder: Path, *_: object) -> None:
        (folder / "half").mkdir(parents=True)
        raise EvidenceError("no package")

    monkeypatch.setattr(valley, "simulate_series", fail)
    with pytest.raises(EvidenceError):
        start_course("analyst", tmp_path / "new", "en", "", Reporter())
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(WorkspaceError, match="not in this language"):
        start_course("analyst", tmp_path / "other", "fr", "", Reporter())
    with pytest.raises(WorkspaceError, match="is no course"):
        read_course(Workspace(tmp_path))


def test_real_ground_is_outlined_and_its_exercise_waits(tmp_path: Path, work: CourseWork) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "item.json").write_text(json.dumps({"type": "Feature", "geometry": square}))
    (tmp_path / "two").mkdir()
    valley.write_outline(tmp_path, tmp_path / "real.geojson")
    assert json.loads((tmp_path / "real.geojson").read_text())["features"][0]["geometry"]["coordinates"] == square["coordinates"]
    with pytest.raises(WorkspaceError, match="holds no STAC items"):
        valley.write_outline(tmp_path / "two", tmp_path / "real.geojson")
    assert [line.right for line in check_exercise(replace(work, real="there"), "real")] == [False]
    assert [line.text for line in check_exercise(work, "real")] == [read_texts("en")["real"]["says"]["absent"]]
    assert "--source 'there'" in read_solution(replace(work, real="there"), "real")
