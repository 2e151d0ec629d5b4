"""What a command costs before it does anything: starting, and compiling where nothing is compiled yet."""

from __future__ import annotations

from benchmarks.cold import scan_once
from benchmarks.measure import Measurement, choose_best, run_command
from benchmarks.results import CPU, Row, Run
from minewatch.alerts.read import read_alerts
from minewatch.core.compilation import VARIABLE
from minewatch.core.workspace import Workspace

HELP = (
    "--help",
    "scan --help",
    "alerts --help",
    "report --help",
    "watch --help",
    "doctor --help",
    "context --help",
    "aoi add --help",
)

LISTS = (
    "aoi list",
    "aoi show whole",
    "alerts list",
    "alerts show {alert}",
    "pipeline list",
    "source list",
    "context check",
    "schedule show",
    "notify list",
    "status",
)
"""Commands that only show what is there."""

ROUNDS = 3
"""Of each command, the one with the least CPU counts."""


def measure_startup(run: Run) -> list[Row]:
    """Start the commands in a workspace that has been scanned, and scan for the first time on a machine."""
    workspace = scan_once(run)
    alerts = read_alerts(workspace.alerts)["alert_id"]
    known = {"alert": alerts.iloc[0] if len(alerts) else ""}
    commands = [*HELP[: run.commands], *(command.format(**known) for command in LISTS[: run.commands])]
    bare = _measure(run, workspace, ["-c", "pass"])
    rows = [Row("Python's own start", bare.cpu, CPU)]
    for command in commands:
        done = _measure(run, workspace, ["-m", "minewatch", *command.split()])
        rows.append(Row(f"`minewatch {_shorten(command)}`: beyond Python's own", done.cpu - bare.cpu, CPU, goal="start-up"))
    return rows + _measure_compiling(run)


def _measure(run: Run, workspace: Workspace, words: list[str]) -> Measurement:
    return choose_best([run_command(words, workspace.root) for _ in range(ROUNDS if run.apart else 1)])


def _shorten(command: str) -> str:
    return "alerts show ID" if command.startswith("alerts show") else command


def _measure_compiling(run: Run) -> list[Row]:
    """Scan a small area with an empty cache of compiled code, and another workspace with the cache that this left."""
    series = run.series(256 if run.apart else run.size, run.scenes)
    cache = {VARIABLE: str(run.work / "compiled")} if run.apart else {}
    words = ["-m", "minewatch", "scan", "--until", str(series.until)]
    first, second = (
        run_command(words, series.workspace(run.work / f"compile-{turn}", [series.area()]).root, **cache) for turn in range(2)
    )
    size = series.settings.size
    return [
        Row(f"first scan on a machine, {size} × {size}", first.seconds, "s", cpu=first.cpu),
        Row("the same scan where all is compiled", second.seconds, "s", cpu=second.cpu),
        Row("compiling on first use", max(0.0, first.cpu - second.cpu), CPU, goal="compiling"),
    ]
