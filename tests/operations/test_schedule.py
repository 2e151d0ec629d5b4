"""Schedules: when they are due, what they say of bad input, and what lets the system start the watch."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.cli import main
from minewatch.core.errors import WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.operations.run_log import ScheduledRun, append_runs, read_runs
from minewatch.operations.schedule import Schedule, Timetable, find_delay, list_schedules, read_timetable
from minewatch.operations.systemd import UnitOptions, make_crontab, make_units, quote_word
from minewatch.settings.cron import find_last, find_next
from minewatch.settings.document import init_workspace, read_settings
from tests.helpers.places import ROOT

NOW = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)
NIGHT = dt.datetime(2026, 3, 10, 2, 30, tzinfo=dt.UTC)
NIGHTLY = '[schedules.nightly]\ncron = "30 2 * * *"\n'
SEVERAL_NAMES = ("la-pampa", "la-selva", "sarare")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "watch")


def make_workspace(root: Path) -> Workspace:
    made = init_workspace(root)
    for number, name in enumerate(SEVERAL_NAMES):
        west = -70 + number
        write_aoi(made, Aoi(name, bbox_geometry((west, -13, west + 0.01, -12.99)), dt.date(2025, 1, 1)))
    return made


def set_schedules(workspace: Workspace, text: str) -> None:
    workspace.settings.write_text(f"{text}\n[watch]\njitter_minutes = 0\n" if "[watch]" not in text else text, "utf-8")


def run(workspace: Workspace, line: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *shlex.split(line)])


def record(workspace: Workspace, due: dt.datetime, *areas: str, schedule: str = "nightly") -> None:
    append_runs(workspace, [ScheduledRun(schedule, due, due, due, "run", dict.fromkeys(areas or SEVERAL_NAMES, ""))])


def find_due(workspace: Workspace, now: dt.datetime = NOW) -> dict[str, tuple[dt.datetime, tuple[str, ...]]]:
    found = read_timetable(workspace, read_runs(workspace)).find_due(now)
    return {due.schedule.name: (due.slot, due.areas) for due in found}


# --- cron ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "last", "following"),
    [
        ("30 2 * * *", "2026-03-10 02:30", "2026-03-11 02:30"),
        ("0 12 * * *", "2026-03-10 12:00", "2026-03-11 12:00"),
        ("0 3 * * MON", "2026-03-09 03:00", "2026-03-16 03:00"),
        ("0 0 1 * *", "2026-03-01 00:00", "2026-04-01 00:00"),
        ("*/20 * * * *", "2026-03-10 12:00", "2026-03-10 12:20"),
        ("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00"),
    ],
)
def test_last_and_next_time(expression: str, last: str, following: str) -> None:
    assert f"{find_last(expression, NOW):%Y-%m-%d %H:%M}" == last
    assert f"{find_next(expression, NOW):%Y-%m-%d %H:%M}" == following


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("30 2 * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("0 30 2 * * *", "has 6 fields"),
        ("@daily", "has 1 field; give five"),
        ("61 2 * * *", "bad minute"),
        ("30 25 * * *", "bad hour"),
        ("30 2 * * FUN", "bad day-of-week"),
        ("0 0 30 2 *", "day"),
        ("every night", "has 2 fields"),
    ],
)
def test_a_bad_expression_is_told_with_its_schedule(workspace: Workspace, expression: str, words: str) -> None:
    set_schedules(workspace, f'[schedules.nightly]\ncron = "{expression}"')
    found = run(workspace, "schedule show")
    assert found.exit_code == 1
    assert "schedules.nightly.cron" in found.output
    assert words in found.output
    assert found.output.count("Error:") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[schedules.nightly]\nareas = ["*"]', "schedules.nightly.cron"),
        ('[schedules.nightly]\ncron = "0 2 * * *"\nareas = []', "schedules.nightly.areas"),
        ('[schedules.nightly]\ncron = "0 2 * * *"\nareas = "la-pampa"', "schedules.nightly.areas"),
        ('[schedules.nightly]\ncron = "0 2 * * *"\npriority = 0', "schedules.nightly.priority"),
        ('[schedules.nightly]\ncron = "0 2 * * *"\nareaz = ["x"]', "did you mean 'areas'?"),
        ('[schedules."a/b"]\ncron = "0 2 * * *"', "schedules"),
        ("[watch]\njitter_minute = 3", "did you mean 'jitter_minutes'?"),
        ('[watch]\nheartbeat_variable = "https://hc.example.org/secret-token"', "name of an environment variable"),
    ],
)
def test_bad_settings_are_told_by_their_key(workspace: Workspace, text: str, words: str) -> None:
    workspace.settings.write_text(text, "utf-8")
    with pytest.raises(WorkspaceError) as caught:
        read_settings(workspace)
    assert words in str(caught.value)
    assert "secret-token" not in str(caught.value)


# --- due -------------------------------------------------------------------------------------------------------------


def test_a_schedule_that_never_ran_is_due(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    assert find_due(workspace) == {"nightly": (NIGHT, SEVERAL_NAMES)}


def test_what_was_done_is_due_again_at_the_next_time_only(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    record(workspace, NIGHT)
    assert find_due(workspace) == {}
    assert find_due(workspace, NIGHT + dt.timedelta(hours=23, minutes=59)) == {}
    assert find_due(workspace, NIGHT + dt.timedelta(days=1))["nightly"][0] == NIGHT + dt.timedelta(days=1)


def test_after_downtime_it_is_due_once(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    record(workspace, NIGHT - dt.timedelta(days=40))
    assert find_due(workspace) == {"nightly": (NIGHT, SEVERAL_NAMES)}
    record(workspace, NIGHT)
    assert find_due(workspace) == {}


def test_an_area_that_was_added_is_due_alone(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    record(workspace, NIGHT, "la-pampa", "sarare")
    assert find_due(workspace) == {"nightly": (NIGHT, ("la-selva",))}


def test_a_round_that_failed_waits_for_the_next_time(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    append_runs(workspace, [ScheduledRun("nightly", NIGHT, NIGHT, NIGHT, None, dict.fromkeys(SEVERAL_NAMES, "no network"))])
    assert find_due(workspace) == {}


def test_a_run_in_the_future_does_not_stop_watching(workspace: Workspace) -> None:
    """A clock that was wrong for a day in 2031: what was written down then counts for nothing now."""
    set_schedules(workspace, NIGHTLY)
    record(workspace, NIGHT.replace(year=2031))
    assert find_due(workspace) == {"nightly": (NIGHT, SEVERAL_NAMES)}
    record(workspace, NIGHT)
    assert find_due(workspace) == {}
    assert "nightly" in find_due(workspace, NOW + dt.timedelta(days=1))


def test_a_line_that_was_cut_off_is_left_out(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    record(workspace, NIGHT)
    with workspace.run_log.open("a", encoding="utf-8") as file:
        file.write('{"schedule": "nightly", "due": "2026-03-1')
    record(workspace, NIGHT + dt.timedelta(days=1))
    assert [one.due for one in read_runs(workspace)] == [NIGHT, NIGHT + dt.timedelta(days=1)]


def test_the_most_urgent_is_first(workspace: Workspace) -> None:
    tables = (("a-late", 3), ("z-urgent", 1), ("b-normal", 2))
    set_schedules(workspace, "\n".join(f'[schedules.{name}]\ncron = "0 2 * * *"\npriority = {rank}' for name, rank in tables))
    assert list(find_due(workspace)) == ["z-urgent", "b-normal", "a-late"]


def test_areas_by_name_and_by_pattern(workspace: Workspace) -> None:
    set_schedules(workspace, '[schedules.peru]\ncron = "0 2 * * *"\nareas = ["la-*", "la-pampa", "sarare", "x*", "gone"]')
    (schedule,) = list_schedules(workspace)
    assert schedule.areas == SEVERAL_NAMES
    assert schedule.empty == ("x*", "gone")
    assert "schedule 'peru': no area is called 'x*', 'gone'" in run(workspace, "schedule show").output


@pytest.mark.parametrize(
    ("areas", "told"),
    [
        ('["sarrae"]', "schedule 'peru': no area is called 'sarrae'; did you mean 'sarare'?"),
        ('["la-*", "Sarare", "x*"]', "no area is called 'Sarare' (did you mean 'sarare'?), 'x*'; see: minewatch aoi list"),
    ],
)
def test_a_misspelt_area_names_the_nearest(workspace: Workspace, areas: str, told: str) -> None:
    set_schedules(workspace, f'[schedules.peru]\ncron = "0 2 * * *"\nareas = {areas}')
    assert told in run(workspace, "schedule show").stderr
    answer = run(workspace, "status")
    assert (answer.exit_code, told in answer.stderr) == (3, True)


def test_areas_that_no_schedule_scans_are_told(workspace: Workspace) -> None:
    set_schedules(workspace, '[schedules.peru]\ncron = "0 2 * * *"\nareas = ["la-*"]')
    assert "no schedule scans sarare" in run(workspace, "schedule show").output


def test_a_workspace_without_schedules_says_so(workspace: Workspace) -> None:
    found = run(workspace, "schedule show")
    assert found.exit_code == 0
    assert "no schedule" in found.output


# --- spread ----------------------------------------------------------------------------------------------------------


def test_each_schedule_begins_by_the_same_later(workspace: Workspace) -> None:
    set_schedules(workspace, f"{NIGHTLY}[watch]\njitter_minutes = 30")
    (one,), (again,) = list_schedules(workspace), list_schedules(workspace)
    assert one.delay == again.delay < dt.timedelta(minutes=30)
    assert find_due(workspace, NIGHT + one.delay)["nightly"][0] == NIGHT
    assert find_due(workspace, NIGHT + one.delay - dt.timedelta(seconds=1))["nightly"][0] == NIGHT - dt.timedelta(days=1)
    assert one.find_next(NOW) == NIGHT + dt.timedelta(days=1) + one.delay


def test_machines_spread() -> None:
    longest = dt.timedelta(minutes=30)
    delays = [find_delay(f"host-{number}", longest) for number in range(300)]
    assert dt.timedelta(0) <= min(delays) < dt.timedelta(minutes=3)
    assert dt.timedelta(minutes=27) < max(delays) < longest
    assert len(set(delays)) > 200
    assert find_delay("host", dt.timedelta(0)) == dt.timedelta(0)


def test_a_delay_that_is_longer_than_the_period_skips_nothing() -> None:
    schedule = Schedule("often", "*/10 * * * *", ("here",), delay=dt.timedelta(minutes=25))
    done: dict[tuple[str, str], list[dt.datetime]] = {("often", "here"): []}
    for minute in range(180):
        for due in Timetable([schedule], done).find_due(NOW + dt.timedelta(minutes=minute)):
            done["often", "here"].append(due.slot)
    assert len(done["often", "here"]) == 19, "one to begin with, then one each ten minutes"


# --- shown -----------------------------------------------------------------------------------------------------------


def test_what_is_next_is_shown(workspace: Workspace) -> None:
    set_schedules(workspace, NIGHTLY)
    (row,) = json.loads(CliRunner().invoke(main, ["-w", str(workspace.root), "schedule", "show", "--json"]).stdout)["schedules"]
    assert row["schedule"] == "nightly"
    assert row["due"] == list(SEVERAL_NAMES)
    assert [text[11:] for text in row["next"]] == ["02:30:00+00:00"] * 3
    text = run(workspace, "schedule show").output
    assert "30 2 * * *" in text
    assert "nightly: due now: la-pampa, la-selva, sarare" in text


# --- systemd and cron ------------------------------------------------------------------------------------------------


STRANGE = 'watch 100% of $HOME\'s "gold" \\ çá'


def verify(folder: Path, *, user: bool) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = sorted(map(str, folder.glob("*.service"))) + sorted(map(str, folder.glob("*.timer")))
    command = ["systemd-analyze", *(["--user"] if user else []), "--recursive-errors=no", "verify", *units]
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert found.returncode == 0, found.stderr
    return found.stderr


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("name", ["watch", STRANGE])
def test_units_are_what_systemd_takes(tmp_path: Path, name: str, user: bool) -> None:
    workspace = make_workspace(tmp_path / name)
    flag = "--user" if user else ""
    found = run(workspace, f"schedule install --systemd {flag} -o {shlex.quote(str(tmp_path / 'units'))}")
    assert found.exit_code == 0, found.output
    told = verify(tmp_path / "units", user=user)
    ours = [line for line in told.splitlines() if "minewatch" in line]
    assert ours == []
    assert "nothing was started" in found.output
    assert "enable --now" in found.output


def test_paths_in_units_mean_what_they_say(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / STRANGE)
    (workspace.root / "output").mkdir()
    service, timer = make_units(workspace, UnitOptions(folder=tmp_path)).files.values()
    command = re.search(r"^ExecStart=(.*)$", service, re.MULTILINE)
    assert command
    assert read_message_texts(command[1].replace("$$", "$"))[-4:] == ["-w", str(workspace.root), "watch", "--once"]
    writable = re.search(r"^ReadWritePaths=(.*)$", service, re.MULTILINE)
    assert writable
    assert str(workspace.root / "output") in read_message_texts(writable[1])
    assert "Persistent=true" in timer
    assert "OnCalendar=*:0/15" in timer
    assert "RandomizedDelaySec=" in timer
    assert not re.search(r"(?<!%)%(?![%C])", service + timer), "a specifier that nobody meant"


def read_message_texts(line: str) -> list[str]:
    """Read words as units have them: quotes, backslashes, doubled percent signs."""
    return [word.replace("%%", "%") for word in shlex.split(line)]


@pytest.mark.parametrize("word", ["plain", "two words", 'a"b', "back\\slash", "100%", "it's", "a;b", ""])
def test_words_of_units(word: str) -> None:
    assert read_message_texts(quote_word(word)) == [word]


def test_a_unit_names_secrets_but_never_holds_one(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAT", "https://hc.example.org/MARKER")
    workspace.settings.write_text(f'{NIGHTLY}[watch]\nheartbeat_variable = "BEAT"', "utf-8")
    found = run(workspace, "schedule show --systemd")
    assert "EnvironmentFile=-/etc/minewatch/minewatch-watch.env" in found.output
    assert "BEAT" in found.output
    assert "MARKER" not in found.output


def test_a_dry_run_writes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    found = run(workspace, f"schedule install --systemd -o {tmp_path / 'units'} --dry-run")
    assert found.exit_code == 0
    assert "[Timer]" in found.output
    assert not (tmp_path / "units").exists()


def test_a_crontab_runs_what_it_says(tmp_path: Path) -> None:
    """The line is run by a shell as cron would: the percent signs freed, with a stand-in for Python."""
    workspace = make_workspace(tmp_path / STRANGE)
    made = make_crontab(workspace, UnitOptions())
    ((path, text),) = made.files.items()
    assert path.parent == workspace.timers
    line = text.splitlines()[-1]
    fields, command = line.split(" ", 5)[:5], line.split(" ", 5)[5]
    assert fields == ["*/15", "*", "*", "*", "*"]
    assert not re.search(r"(?<!\\)%", command)
    workspace.timers.mkdir(parents=True)
    shell = command.replace("\\%", "%").replace(" -P -m minewatch ", " -c 'import sys; sys.stdout.write(repr(sys.argv[1:]))' ")
    found = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == repr(["-w", str(workspace.root), "watch", "--once"])


def test_a_crontab_keeps_two_apart(workspace: Workspace) -> None:
    text = "".join(make_crontab(workspace, UnitOptions()).files.values())
    assert f"flock -n {workspace.cron_lock} " in text


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("schedule install", 2, "--systemd or --cron"),
        ("schedule install --cron --user", 2, "a crontab is yours anyway"),
        ("schedule install --systemd --every 7", 2, "Invalid value"),
        ("schedule install --systemd --name ../x", 1, "cannot be the name of"),
        ("schedule install --systemd -o /proc/nowhere", 1, "another folder with -o"),
    ],
)
def test_what_cannot_be_installed_is_told(workspace: Workspace, line: str, code: int, words: str) -> None:
    found = run(workspace, line)
    assert found.exit_code == code, found.output
    assert words in found.output


def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "two\nlines")
    for kind in ("--systemd", "--cron"):
        found = run(workspace, f"schedule show {kind}")
        assert found.exit_code == 1
        assert "move the workspace" in found.output


def test_units_of_another_workspace_are_not_replaced(tmp_path: Path) -> None:
    one, other = (make_workspace(tmp_path / parent / "watch") for parent in ("one", "other"))
    line = f"schedule install --systemd -o {tmp_path / 'units'}"
    assert run(one, line).exit_code == 0
    assert run(one, line).exit_code == 0
    found = run(other, line)
    assert found.exit_code == 1
    assert "--name" in found.output
    assert run(other, f"{line} --name minewatch-other").exit_code == 0


def test_examples_of_the_page_are_settings(workspace: Workspace) -> None:
    text = (ROOT / "docs" / "watch.md").read_text("utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        workspace.settings.write_text(example, "utf-8")
        assert read_settings(workspace)
