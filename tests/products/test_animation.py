"""``minewatch animate``: the frames a person sees, and what is said where there are none."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.colors import to_rgb
from PIL import Image

from minewatch.alerts.style import COLOURS
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.products.images import animation, video_files
from minewatch.products.images.animation import AnimationRequest, choose_looks, list_steps, make_animation
from minewatch.products.images.cartography import NORTH
from minewatch.products.images.chips.acquisitions import RatedLook
from minewatch.sources.scene import Datatake
from tests.helpers.small import MONITOR_FROM, NAME, UNTIL, copy_workspace, make_scanned

SINCE = dt.date(2022, 9, 1)


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path_factory.mktemp("pictures") / "watch")


@pytest.fixture(scope="session")
def alert(scanned: Workspace) -> Any:
    """The largest alert."""
    table = gpd.read_file(scanned.alerts, layer="alerts")
    return table.loc[table["area_ha"].idxmax()]


def run(workspace: Workspace, *words: object) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "animate", *map(str, words)])


def count_colour(frame: Image.Image, colour: str) -> int:
    pixels = np.asarray(frame.convert("RGB")) / 255
    return int((np.abs(pixels - to_rgb(colour)).max(axis=-1) < 0.02).sum())


def test_an_alert_grows_from_dashed_to_confirmed(scanned: Workspace, alert: Any, tmp_path: Path) -> None:
    words = ["--since", SINCE, "--until", UNTIL, "--step", 20, "--overlay", "alerts,compass", "--json"]
    result = run(scanned, alert["alert_id"], *words, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    dates = [dt.date.fromisoformat(date) for date in facts["dates"]]
    assert dates == sorted(set(dates))
    assert all(SINCE <= date <= UNTIL for date in dates)
    assert facts["steps"] == 11
    if len(dates) < 11:
        assert f"{11 - len(dates)} of 11 steps without a clear image, and so without a frame" in facts["notes"]
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    red, first_seen = [], alert["first_seen"].date()
    with Image.open(path) as film:
        assert film.n_frames == len(dates)
        for number in range(len(dates)):
            film.seek(number)
            assert film.size == tuple(facts["size"])
            assert count_colour(film, NORTH) > 100, "the rose is orange in every frame"
            red.append(count_colour(film, COLOURS["confirmed"]))
    # What is below each map is the same in all; the rest is the outline: dashed, of another colour, whole.
    before = [count for date, count in zip(dates, red, strict=True) if date < first_seen]
    assert max(before) < red[-1]


def test_a_film_has_every_frame(scanned: Workspace, tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    request = AnimationRequest(NAME, SINCE, UNTIL, step=60, formats=("gif", "mp4"), folder=tmp_path, overlays=())
    made = make_animation(scanned, request)
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(made.files["mp4"]))
    assert frames == (len(made.dates) + video_files.LAST_FACTOR - 1) * round(video_files.FRAME_SECONDS * video_files.FRAME_RATE)
    assert seconds == pytest.approx(frames / video_files.FRAME_RATE)
    assert {path.suffix for path in tmp_path.iterdir()} == {".gif", ".mp4"}, "nothing else is left"


def test_large_frames_are_shown_coarser_and_that_is_told(
    scanned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "MOST_SIDE", 40)
    made = make_animation(scanned, AnimationRequest(NAME, SINCE, UNTIL, step=100, folder=tmp_path))
    assert any("pixels of 30 m in place of 10 m" in note for note in made.notes)


def test_each_step_gives_its_clearest_image() -> None:
    def make_look(day: int, share: float) -> RatedLook:
        time = dt.datetime(2022, 1, 1, 15, tzinfo=dt.UTC) + dt.timedelta(days=day)
        return RatedLook(Datatake(f"s2a_{day}", time, ()), share, share)

    request = AnimationRequest(NAME, dt.date(2022, 1, 1), dt.date(2022, 2, 9), step=10)
    assert list_steps(request, (dt.date(2022, 1, 1), dt.date(2022, 2, 9))) == [
        dt.date(2022, 1, 1),
        dt.date(2022, 1, 11),
        dt.date(2022, 1, 21),
        dt.date(2022, 1, 31),
    ]
    looks = [make_look(day, share) for day, share in ((0, 0.95), (9, 0.99), (10, 0.5), (20, 1.0), (29, 1.0), (39, 0.9))]
    first = dt.date(2022, 1, 1)
    assert [look.datatake.key for look in choose_looks(looks, request, first)] == ["s2a_9", "s2a_29", "s2a_39"]
    fixed = {dt.date(2022, 1, 1), dt.date(2022, 1, 11)}
    chosen = [look.datatake.key for look in choose_looks(looks, request, first, fixed)]
    assert chosen == ["s2a_0", "s2a_10", "s2a_29", "s2a_39"], "looks that decided have a frame, clear or not, in place of others"


def test_an_animation_of_an_alert_begins_with_its_last_normal_look(scanned: Workspace, alert: Any, tmp_path: Path) -> None:
    facts = json.loads(run(scanned, alert["alert_id"], "--json", "-o", tmp_path).stdout)
    assert facts["dates"][0] == f"{alert['last_normal']:%Y-%m-%d}"
    assert f"{alert['confirmed_on']:%Y-%m-%d}" in facts["dates"]
    assert facts["dates"][-1] <= f"{UNTIL}"
    assert not [note for note in facts["notes"] if "last normal look" in note]
    late = ["--since", f"{alert['first_seen']:%Y-%m-%d}", "--json", "-o", tmp_path]
    notes = json.loads(run(scanned, alert["alert_id"], *late).stdout)["notes"]
    assert [note for note in notes if note.startswith("the last normal look, of ") and note.endswith("has no frame")]


def test_an_animation_of_an_area_has_the_period_of_its_table(scanned: Workspace, tmp_path: Path) -> None:
    made = make_animation(scanned, AnimationRequest(NAME, step=60, folder=tmp_path, overlays=()))
    assert made.dates[0] >= MONITOR_FROM
    assert made.dates[-1] <= UNTIL
    assert made.steps == math.ceil(((UNTIL - MONITOR_FROM).days + 1) / 60)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--since", "2023-02-01", "--until", "2023-01-01"], 1, "ends before it begins"),
        (
            ["--since", "2010-01-01", "--until", "2010-03-01"],
            1,
            "no image of area 'spot' from 1 January 2010 to 1 March 2010 is 90 % clear",
        ),
        (
            ["--since", "2016-01-01", "--until", "2023-01-01", "--step", "1"],
            1,
            "are more than 120; give a shorter period, or --step 22",
        ),
        (["--since", "2022-01-01", "--until", "2022-03-01", "--format", "avi"], 2, "'avi' is none of gif, mp4"),
        (["--since", "2022-01-01", "--until", "2022-03-01", "--bands", "pink"], 2, "'pink' is not one of"),
        (["--since", "2022-01-01", "--until", "2022-03-01", "--clear", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_shown_is_explained_in_one_line(
    scanned: Workspace, tmp_path: Path, words: list[str], code: int, text: str
) -> None:
    result = run(scanned, NAME, *words, "-o", tmp_path / "films")
    assert result.exit_code == code
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert text in errors[0]
    assert not (tmp_path / "films").exists()


def test_without_the_package_a_film_is_refused_before_anything_is_read(
    scanned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "imageio_ffmpeg" else find(name, *rest))
    result = run(scanned, NAME, "--since", SINCE, "--until", UNTIL, "--format", "gif,mp4", "-o", tmp_path / "films")
    assert result.exit_code == 1
    assert "pip install 'minewatch[video]'" in result.stderr
    assert not (tmp_path / "films").exists()
