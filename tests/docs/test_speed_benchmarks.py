"""The benchmarks of speed run and give figures; how large those are is not judged here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd
import pytest
import shapely

from benchmarks import speed, startup, thousand, warm
from benchmarks.goals import GOALS
from benchmarks.measure import Measurement, choose_best, run_command, run_job
from benchmarks.page import Part, store_rows, summarise, write_page
from benchmarks.results import Row, Run, compare
from benchmarks.scaling import fit_terms
from benchmarks.series import Series, choose_settings, find_frame, open_series
from benchmarks.stages import REST, STAGES
from benchmarks.thousand import LIMITS, place_apart
from benchmarks.tiles import find_series
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import make_grid
from minewatch.cli import main
from minewatch.core.compilation import VARIABLE
from minewatch.operations import scan
from minewatch.settings.document import init_workspace


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("speed")


@pytest.fixture
def run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    monkeypatch.setattr(warm, "TASKS", 20)
    monkeypatch.setattr(thousand, "start_dask", nullcontext)  # that of the part "cluster" is enough
    monkeypatch.setattr(thousand, "measure_scheduler", lambda _: (100.0, 0.01))
    return Run(cache, tmp_path, **speed.SMALL)


@pytest.mark.parametrize("part", [name for name in speed.PARTS if name not in ("cold", "startup")])
def test_part_gives_figures(part: str, run: Run) -> None:
    rows, seconds = speed.measure_parts(run, [part])[part]
    assert seconds > 0
    check_rows(rows)


def check_rows(rows: Sequence[Row]) -> None:
    assert rows
    assert all(row.ratio is None or row.ratio > 0 for row in rows)
    assert all(row.cpu is None or row.cpu >= 0 for row in rows)
    for row in rows:
        if "mines found" in row.name or "results equal" in row.name:
            assert row.met, row
            assert row.figure in (1, 100), row
        elif "false alarms" not in row.name and "alerts" not in row.name and not row.group:
            assert row.figure > 0, row


def test_cold_scan_tells_its_stages_and_its_outline(run: Run) -> None:
    rows, _ = speed.measure_parts(run, ["cold"])["cold"]
    check_rows(rows)
    scans = {row.name: row for row in rows if not row.group}
    stages = {row.name: row for row in rows if row.group.startswith("Stages of the cold scan, 128 × 128")}
    assert {*STAGES, REST} <= stages.keys()
    whole = scans["cold scan, 128 × 128, 8 scenes"]
    assert sum(stages[name].cpu or 0 for name in (*STAGES, REST)) == pytest.approx(whole.cpu, rel=0.1)
    assert whole.goal == "cold-other-wall"
    assert scans["cold scan, 128 × 128, 8 scenes: CPU"].figure == whole.cpu
    count = int(scans["cold scan, 128 × 128, 8 scenes: alerts"].figure)
    assert count > 0
    each = stages[f"evidence of {count} alerts, with 0 addenda: an alert"]
    assert each.figure * count / 1000 == pytest.approx(stages["evidence"].cpu)
    river = scans["cold scan of a river with 4,903 corners: `Grid.inside`"]
    assert 0 < river.judged < 1


def test_each_stage_is_a_function_of_the_scan() -> None:
    names = [name for names in STAGES.values() for name in names]
    assert [name for name in names if not callable(getattr(scan, name, None))] == []


def test_memory_is_that_of_the_process(run: Run) -> None:
    series = run.series(run.size, run.scenes)
    done = run_job("decode", {"series": series.folder, "areas": [(0, 0, 128, 128)]})
    assert 50e6 < done.memory < 2e9
    assert 0 < done.seconds < 10
    assert 0 < done.cpu < 10
    assert done.facts["pixels"] == len(series.items) * (3 * 128 * 128 + 2 * 64 * 64)


def test_job_that_fails_says_why(run: Run) -> None:
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        run_job("decode", {"series": run.cache / "nowhere", "areas": []})


def test_area_is_exactly_the_pixels_asked_for(run: Run) -> None:
    series = run.series(run.size, run.scenes)
    workspace = series.workspace(run.work / "areas", [series.aligned(), series.aligned("part", (12, 30, 100, 126))])
    grids = [make_grid(read_aoi(workspace, name)) for name in ("whole", "part")]
    assert [grid.shape for grid in grids] == [(128, 128), (88, 96)]
    assert all(grid.inside(grid.window).all() for grid in grids)


def test_area_is_drawn_in_degrees_within_the_series() -> None:
    """So that pixels at its edges are partly outside, as in the areas that users draw."""
    series = Series(Path("nowhere"), choose_settings(2048, 30))
    area = series.area()
    west, south, east, north = area.geometry.bounds
    assert area.geometry.equals(shapely.box(west, south, east, north))
    top, left, bottom, right = find_frame(area)
    assert min(top, left) >= 0
    assert max(bottom, right) <= series.settings.size
    inside = (grid := make_grid(area)).inside(grid.window)
    assert 0.9 < inside.mean() < 1
    assert not inside[:, 0].all()


def test_river_has_thousands_of_corners_a_lake_and_an_island(run: Run) -> None:
    outline = run.series(run.size, run.scenes).river().geometry
    river, island = outline.geoms
    assert outline.is_valid
    assert shapely.get_num_coordinates(outline) > 4000
    assert shapely.Polygon(river.interiors[0]).contains(island)


def test_decode_limit_of_an_area_that_reaches_beyond_the_file(run: Run) -> None:
    series = run.series(run.size, run.scenes)
    within, beyond = (run.job("decode", series=series.folder, areas=[frame]) for frame in ((0, 0, 128, 128), (-4, 0, 140, 128)))
    assert beyond.facts["pixels"] == within.facts["pixels"]


# --- what is measured ------------------------------------------------------------------------------------------------

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_command_is_measured_with_its_children(tmp_path: Path) -> None:
    done = run_command(["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"], tmp_path)
    assert 0.3 <= done.cpu < 3
    assert done.memory > 5e6
    with pytest.raises(RuntimeError, match="no such thing"):
        run_command(["-c", "raise SystemExit('no such thing')"], tmp_path)


def test_of_several_rounds_the_best_figures_count() -> None:
    rounds = [Measurement(3.0, 10, 4.0, {"turn": 1}), Measurement(2.0, 30, 5.0, {"turn": 2})]
    assert choose_best(rounds) == Measurement(2.0, 30, 4.0, {"turn": 1})
    rows = compare("scan", rounds[0], Measurement(1.5, 0, 1.0), "decode limit", "cold-wall", "cold-cpu")
    assert [(row.judged, row.met, row.cpu) for row in rows] == [(2.0, True, 4.0), (4.0, False, None)]


def test_start_and_compiling_are_measured_in_whole_processes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scan has an empty cache of compiled code, the second the one that the first left."""
    seen: list[tuple[str, str]] = []

    def pretend(words: Sequence[str], folder: Path, **environment: str) -> Measurement:
        assert (folder / "minewatch.toml").exists()
        seen.append((" ".join(words), environment.get(VARIABLE, "")))
        return Measurement(1.0, 10**6, 0.02 if words[0] == "-c" else 9.0 - 0.5 * len(seen))

    monkeypatch.setattr(startup, "run_command", pretend)
    monkeypatch.setattr(startup, "scan_once", lambda run: init_workspace(run.work / "shared"))
    monkeypatch.setattr(startup, "read_alerts", lambda _: pd.DataFrame({"alert_id": ["a-1"]}))
    monkeypatch.setattr(startup, "ROUNDS", 1)
    rows = startup.measure_startup(replace(run, apart=True))
    (first, cache), (second, kept) = seen[-2:]
    assert first == second == f"-m minewatch scan --until {run.series(256, run.scenes).until}"
    assert cache
    assert cache == kept
    assert not Path(cache).exists()
    assert rows[-1] == Row("compiling on first use", 0.5, "CPU s", goal="compiling")
    assert [row.goal for row in rows].count("start-up") == len(seen) - 3 == 2


def test_series_is_kept_and_read_again(run: Run) -> None:
    settings = choose_settings(run.size, run.scenes)
    series = find_series(settings, run.cache)
    assert open_series(series.folder).settings == settings
    assert find_series(settings, run.cache).folder == series.folder
    assert choose_settings(run.size, run.scenes + 1).digest != settings.digest


@pytest.mark.parametrize("words", [*startup.HELP, *startup.LISTS])
def test_measured_command_exists(words: str) -> None:
    command: click.Command = main
    for word in words.split():
        if isinstance(command, click.Group) and word != "--help":
            child = command.get_command(click.Context(command), word)
            assert child is not None, words
            command = child


# --- a thousand areas ------------------------------------------------------------------------------------------------


def make_scan(areas: int) -> Measurement:
    """Costs that grow as they are said to: 3 CPU s once; for each area 0.5, each of 10 looks 0.2, each of 4 tiles 0.1."""
    stages = {name: [0.0, 0.0] for name in STAGES}
    stages |= {"read and archive": [areas * 1.0, areas * 2.0], "map changes": [areas * 0.2, areas * 0.4]}
    stages |= {"search": [1.0 + areas * 0.1, 1.0 + areas * 0.1], REST: [2.0 + areas * 0.4, 2.0 + areas * 0.4]}
    counts = {"areas": areas, "read": 10 * areas, "tiles": 4 * areas, "alerts": 0, "folders": 0, "addenda": 0}
    wall, cpu = (sum(pair[k] for pair in stages.values()) for k in range(2))
    return Measurement(wall, 0, cpu, counts | {"stages": stages})


def test_terms_are_found_again_and_added_up() -> None:
    terms = fit_terms("fill", make_scan(20), make_scan(5))
    assert terms.fixed.cpu == pytest.approx(3.0)
    each = {row.name: row.figure for row in terms.list_rows("Terms")}
    assert each["fill: once a scan"] == pytest.approx(3000)
    assert each["fill, read and archive: a look of an area"] == pytest.approx(200)
    assert each["fill, map changes: a tile"] == pytest.approx(100)
    assert each["fill, evidence: an area"] == 0
    assert terms.fixed.plus(terms.project(1000)).cpu == pytest.approx(make_scan(1000).cpu)
    assert terms.project(1000, looks=15).cpu == pytest.approx(1000 * (15 * 2.4 + 0.5))


def test_workers_share_reading_and_mapping_alone() -> None:
    terms = fit_terms("fill", make_scan(20), make_scan(5))
    assert terms.project(1000, workers=16).wall == pytest.approx(1000 * (2.4 / 16 + 0.5))
    assert terms.project(1000, workers=16).cpu == terms.project(1000).cpu


def test_areas_of_300_km2_lie_side_by_side() -> None:
    frames = [shapely.box(*frame) for frame in place_apart(8192, 5, 4)]
    assert len(frames) == 20
    assert all(frame.area == pytest.approx(3_000_000, rel=0.01) for frame in frames)
    assert shapely.union_all(frames).area == sum(frame.area for frame in frames)
    assert shapely.union_all(frames).within(shapely.box(0, 0, 8192, 8192))


# --- the page --------------------------------------------------------------------------------------------------------


def test_page_tells_goals_and_keeps_earlier_parts(tmp_path: Path) -> None:
    good = Row("quick", 2.0, "s", 1.1, "slow", "slow-line", cpu=3.5)
    bad, worse = (Row(f"rate {figure}", figure, "looks/s", goal="monitor") for figure in (200.0, 100.0))
    parts = store_rows(tmp_path / "rows.json", {"lines": ([good], 60.0)})
    left = sum(goal.on_page for goal in GOALS.values())
    assert summarise(parts) == f"1 of 1 goals are met. {left - 1} more were not measured."
    parts = store_rows(tmp_path / "rows.json", {"kernel": ([bad, worse, Row("note", 1.0, "", group="Beside")], 30.0)})
    write_page(tmp_path, parts)
    page = (tmp_path / "speed.md").read_text("utf-8")
    assert f"1 of 2 goals are met. {left - 2} more were not measured." in page
    assert "| monitor, million looks/s | ≥ 250 | 100 | rate 100.0 | **missed** |" in page
    assert "| evidence, CPU ms an alert | ≤ 30 | not measured |  |  |" in page
    assert "| quick | 2 s | 3.5 | 1.1 (slow) | ≤ 1.5 | met |" in page
    assert "### Beside\n\n| what | figure | CPU s | ratio | goal | |\n|---|---|---|---|---|---|\n| note | 1 |" in page
    assert "All this took 2 minutes (Slow lines 1.0, The monitor 0.5)" in page
    for name in ("lines", "kernel"):
        assert (tmp_path / "images" / f"speed-{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert isinstance(parts["lines"], Part)
    assert set(json.loads((tmp_path / "rows.json").read_text("utf-8"))) == {"lines", "kernel"}


def test_page_says_what_would_break_first(tmp_path: Path) -> None:
    rows = [Row("a disk is full", 900.0, "areas", group=LIMITS), Row("a night lasts a day", 1200.0, "areas", group=LIMITS)]
    write_page(tmp_path, store_rows(tmp_path / "rows.json", {"thousand": ([Row("fill", 1.0, "s"), *rows], 1.0)}))
    page = (tmp_path / "speed.md").read_text("utf-8")
    assert "What would break first: a disk is full, at about 900 areas, before a thousand are watched." in page
    assert "Next: a night lasts a day, at about 1,200." in page
    assert "](images/speed-thousand.png)" not in page  # there is no goal to draw
