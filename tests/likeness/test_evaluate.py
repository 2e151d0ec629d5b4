"""Figures where the truth is known: by hand, from chips in a file, and from alerts beside a map of places."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from shapely.geometry import Point, Polygon, box

from minewatch.alerts.likeness_truth import evaluate_alerts
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.errors import MinewatchError
from minewatch.core.workspace import Workspace
from minewatch.likeness.figures import Scored, measure, measure_groups, measure_within
from minewatch.likeness.labelled_chips import read_labelled_chips, to_reflectance
from minewatch.settings.document import init_workspace
from tests.helpers.tables import make_alert, put


def make_figures_by_hand() -> Scored:
    score = np.array([0.95, 0.85, 0.35, 0.65, 0.25, 0.15])
    return Scored(score, np.array([1, 1, 1, 0, 0, 0], bool), np.array(["a", "a", "b", "c", "c", "d"]))


def test_figures_are_those_counted_by_hand() -> None:
    found = measure(make_figures_by_hand())
    assert found.auc.value == pytest.approx(8 / 9), "of nine pairs of a mine and another one is the wrong way round"
    assert found.threshold == 0.35
    assert found.find_false_share(0.9).value == pytest.approx(1 / 3)
    precision = found.find_precision(0.9, 0.01)
    assert precision.value == pytest.approx(0.009 / (0.009 + 0.99 / 3))
    assert precision.low < precision.value < precision.high
    assert found.f1.value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    errors = np.array([0.05, 0.15, 0.65, 0.65, 0.25, 0.15])
    assert found.brier.value == pytest.approx(np.square(errors).mean())
    assert found.ece.value == pytest.approx(errors.mean()), "each score has a bin of its own"
    assert found.auc.low <= found.auc.value <= found.auc.high


def test_within_sources_scores_of_different_ones_are_not_compared() -> None:
    score = np.array([0.9, 0.8, 0.3, 0.2, 0.1, 0.2])
    scored = Scored(score, np.array([1, 0, 1, 0, 1, 1], bool), np.array(list("aabbcc")))
    assert measure_within(scored).value == 1.0, "c has mines alone"
    assert measure(scored).auc.value < 0.7
    assert measure_within(scored.choose(scored.source == "c")).value is None


def test_equal_scores_count_half() -> None:
    assert measure(Scored(np.full(4, 0.5), np.array([1, 0, 1, 0], bool), np.array(list("abcd")))).auc.value == 0.5


def test_groups_are_measured_against_all_of_the_other_class() -> None:
    scored = make_figures_by_hand()
    groups = {group.name: group for group in measure_groups(scored, scored.source, 0.35)}
    assert groups["c"].auc.value == pytest.approx(5 / 6)
    assert groups["b"].auc.value == pytest.approx(2 / 3)
    assert (groups["c"].called.value, groups["d"].called.value) == (0.5, 0.0)
    assert groups["a"].gap == pytest.approx(-0.1)


def test_how_reflectance_is_told_follows_from_the_type() -> None:
    chip = np.full((1, 48, 48, 3), 255, np.uint8)
    chip[0, 0, 0] = 0
    surface = to_reflectance(chip)
    np.testing.assert_allclose(surface[0, 0], np.broadcast_to([0.277, 0.263, 0.234], (48, 3)), atol=1e-6)
    np.testing.assert_allclose(to_reflectance(np.full((1, 48, 48, 3), 1234, np.int16)), 0.1234, atol=1e-6)
    np.testing.assert_allclose(to_reflectance(np.full((1, 48, 48, 3), 0.12)), 0.12, atol=1e-6)


def test_chips_without_a_number_are_scored_all_the_same(tmp_path: Path) -> None:
    chips = read_labelled_chips(save_chips(tmp_path / "chips.npz", rgb=np.full((24, 48, 48, 3), np.nan)))
    assert np.isnan(chips.reflect([0])).all()


def save_chips(path: Path, **changes: object) -> Path:
    random = np.random.default_rng(0)
    arrays = {
        "rgb": random.integers(20, 200, (24, 48, 48, 3), np.uint8),
        "mine": np.arange(24) % 2,
        "source": np.array([f"source {n % 4} | <b>" for n in range(24)]),
        "area_ha": np.linspace(0.05, 8, 24),
    }
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def test_a_file_of_chips_gives_a_page_its_pictures_and_a_table(tmp_path: Path) -> None:
    file, folder = save_chips(tmp_path / "chips.npz"), tmp_path / "page"
    result = CliRunner().invoke(main, ["likeness", "evaluate", str(file), "-o", str(folder)])
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(main, ["likeness", "evaluate", str(file), "-o", str(folder)]).exit_code == 0, "twice"
    assert "AUC" in result.stdout
    assert "1 mine in 100" in result.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["mistakes.png", "page.md", "reliability.png", "roc.png"]
    page = (folder / "page.md").read_text("utf-8")
    assert "source 1 \\| &lt;b>" in page
    assert page.count("\n- chip ") == 10
    for heading in ("By source", "By ground", "By size", "What the share of mines does", "8 bits"):
        assert heading in page


def test_all_of_it_is_there_as_json(tmp_path: Path) -> None:
    file = save_chips(tmp_path / "chips.npz", rgb=np.full((24, 48, 48, 3), 0.1, np.float32))
    result = CliRunner().invoke(main, ["likeness", "evaluate", str(file), "-o", str(tmp_path / "page"), "--json"])
    facts = json.loads(result.stdout)
    assert (facts["count"], facts["mines"]) == (24, 12)
    assert {"auc", "brier", "ece", "f1", "precision", "reliability", "groups", "mistakes", "page"} <= facts.keys()
    assert "surface reflectance" in facts["notes"][0]
    assert [group["name"] for group in facts["groups"]["size"]] == ["< 0.1 ha", "0.1-0.5 ha", "0.5-1 ha", "1-5 ha", "> 5 ha"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"rgb": None}, "lacks rgb"),
        ({"mine": None}, "lacks mine"),
        ({"rgb": np.zeros((24, 32, 32, 3), np.uint8)}, r"rgb is uint8 \(24, 32, 32, 3\)"),
        ({"mine": np.arange(24)}, "mine is 0 or 1"),
        ({"mine": np.zeros(3)}, r"mine has the shape \(3,\), and there are 24 chips"),
        ({"rgb": np.full((24, 48, 48, 3), 900.0)}, "median of 900; divide"),
        ({"area_ha": np.full(24, "big")}, "area_ha is <U3; give hectares"),
        ({"rgb": np.zeros((0, 48, 48, 3)), "mine": [], "source": None, "area_ha": None}, "has no chips"),
        ({"source": np.array([{}] * 24)}, "is no .npz of arrays, or is damaged"),
    ],
)
def test_chips_that_cannot_be_judged_are_refused_in_one_line(tmp_path: Path, changes: dict[str, object], line: str) -> None:
    with pytest.raises(MinewatchError, match=line):
        read_labelled_chips(save_chips(tmp_path / "chips.npz", **changes))


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no zip"])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "chips.npz").write_bytes(content)
    with pytest.raises(MinewatchError, match=r"chips.npz is no .npz"):
        read_labelled_chips(tmp_path / "chips.npz")


def test_an_archive_that_is_locked_damaged_or_holds_no_arrays_is_refused(tmp_path: Path) -> None:
    whole = bytearray(save_chips(tmp_path / "whole.npz").read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.find(mark) + flags] |= 1
    (tmp_path / "locked.npz").write_bytes(whole)
    for name, method in (("no-arrays", zipfile.ZIP_STORED), ("damaged", zipfile.ZIP_LZMA)):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", method) as archive:
            archive.writestr("rgb.npy", bytes(range(256)) * 40)
            archive.writestr("mine.npy", "none")
    content = bytearray((tmp_path / "damaged.npz").read_bytes())
    content[60:100] = b"\xff" * 40
    (tmp_path / "damaged.npz").write_bytes(content)
    save_chips(tmp_path / "no-text.npz", source=np.array([b"\xff"] * 24))
    for name in ("locked", "no-arrays", "damaged", "no-text"):
        with pytest.raises(MinewatchError, match=rf"{name}.npz is no .npz of arrays, or is damaged"):
            read_labelled_chips(tmp_path / f"{name}.npz")


def test_names_of_sources_may_be_bytes(tmp_path: Path) -> None:
    chips = read_labelled_chips(save_chips(tmp_path / "chips.npz", source=np.array(["río".encode()] * 24)))
    assert set(chips.source) == {"río"}


def test_names_in_a_page_are_text(tmp_path: Path) -> None:
    file = save_chips(tmp_path / "chips.npz", source=np.array(["<script>|x"] * 24))
    assert CliRunner().invoke(main, ["likeness", "evaluate", str(file), "-o", str(tmp_path / "page")]).exit_code == 0
    page = (tmp_path / "page" / "page.md").read_text("utf-8")
    assert "&lt;script>" in page
    assert "<script" not in page


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MinewatchError, match="cannot be read: No such file"):
        read_labelled_chips(tmp_path / "chips.npz")


# --- alerts beside a map of places -----------------------------------------------------------------------------------


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Six alerts about 1 km apart; of the last there is no score."""
    workspace = init_workspace(tmp_path)
    put(workspace.alerts, *(make_alert(n) for n in range(6)))

    def read_with_scores(place: Workspace) -> gpd.GeoDataFrame:
        return read_alerts(place).assign(mine_score=[0.9, 0.8, 0.7, 0.2, 0.1, None], mine_model="1-ab")

    monkeypatch.setattr("minewatch.alerts.likeness_truth.read_alerts", read_with_scores)
    return workspace


def save_places(path: Path, shapes: list, **columns: list) -> Path:
    gpd.GeoDataFrame(columns, geometry=shapes, crs=4326).to_file(path, layer="places")
    return path


def outline(number: int) -> object:
    return make_alert(number).geometry


def test_alerts_are_what_the_place_is_that_they_lie_at(scored: Workspace, tmp_path: Path) -> None:
    near = Point(make_alert(1).lon, make_alert(1).lat + 0.0012)  # 75 m north of the outline
    shapes = [outline(0), near, outline(2).buffer(1e-4), outline(3)]
    truth = save_places(tmp_path / "t.gpkg", shapes, mine=[1, 1, 0, 1], date=["2024-01-01"] * 3 + ["2025-06-01"])
    found = evaluate_alerts(scored, truth)
    assert (found.figures.count, found.figures.mines) == (5, 2)
    assert found.version == "1-ab"
    assert found.figures.auc.value == 1.0, "the place of the fourth became a mine after the alert was last seen"
    assert {(group.name, group.count) for group in found.groups["ground"]} == {("mine", 2), ("other place", 1), ("no place", 2)}


def test_a_map_gives_a_page_in_the_workspace(scored: Workspace, tmp_path: Path) -> None:
    truth = save_places(tmp_path / "t.gpkg", [outline(0)])
    result = CliRunner().invoke(main, ["-w", str(scored.root), "likeness", "evaluate", str(truth)])
    assert result.exit_code == 0, result.output
    page = scored.evaluations / "t" / "page.md"
    assert page.stat().st_mode & 0o077 == 0
    assert make_alert(1).alert_id in page.read_text("utf-8")


@pytest.mark.parametrize(("shapes", "mines"), [([box(0, 0, 1, 1)], 0), ([box(-71, -14, -69, -12)], 5)])
def test_of_alerts_of_one_kind_it_is_said_that_they_are(scored: Workspace, tmp_path: Path, shapes: list, mines: int) -> None:
    truth = save_places(tmp_path / "t.gpkg", shapes)
    result = CliRunner().invoke(main, ["-w", str(scored.root), "likeness", "evaluate", str(truth)])
    assert result.exit_code == 0, result.output
    assert f"5 scores by 1-ab, {mines} of mines" in result.stdout
    assert f"all of them are {'mines' if mines else 'no mines'}: how well" in result.stdout
    found = evaluate_alerts(scored, truth)
    assert found.figures.auc.value is None
    assert found.figures.find_precision(0.9, 0.01).value is None
    assert found.figures.brier.value is not None
    assert all(group.auc.value is None for group in found.groups["source"])
    assert (scored.evaluations / "t" / "page.md").exists()


def test_a_table_without_scores_says_so(tmp_path: Path) -> None:
    workspace = init_workspace(tmp_path)
    put(workspace.alerts, make_alert(0))
    with pytest.raises(MinewatchError, match="no alert has a score"):
        evaluate_alerts(workspace, save_places(tmp_path / "t.gpkg", [outline(0)]))


def test_a_truth_that_is_no_map_is_refused(scored: Workspace, tmp_path: Path) -> None:
    (tmp_path / "t.gpkg").write_bytes(b"nothing")
    with pytest.raises(MinewatchError, match=r"t.gpkg"):
        evaluate_alerts(scored, tmp_path / "t.gpkg")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MinewatchError, match="no layer of points or polygons"):
        evaluate_alerts(scored, tmp_path / "t.csv")


def test_shapes_that_are_invalid_or_elsewhere_do_no_harm(scored: Workspace, tmp_path: Path) -> None:
    far = [Point(0, 90), Point(1e6, 1e6), Point(179.9, -10), Point(-179.9, -10)]
    truth = save_places(tmp_path / "t.gpkg", [outline(0), *far], MINE=["yes", *["no"] * 4])
    x, y, right, top = outline(4).buffer(0.001).bounds
    crossed = Polygon([(x, y), (right, top), (right, y), (x, top)])
    for layer, shapes in (("sites", [outline(0), *far]), ("ignore", [crossed, box(x, y, right, top)])):
        columns = {"MINE": [1, 0, 0, 0, 0]} if layer == "sites" else {}
        gpd.GeoDataFrame(columns, geometry=shapes, crs=4326).to_file(tmp_path / "u.gpkg", layer=layer)
    assert [evaluate_alerts(scored, tmp_path / f"{name}.gpkg").figures.count for name in "tu"] == [5, 4]
    assert evaluate_alerts(scored, truth).figures.mines == 1, "columns in capitals count too"


@pytest.mark.parametrize(
    ("columns", "line"),
    [({"date": ["soon"]}, "has soon as date, which is no date"), ({"mine": ["maybe"]}, "has maybe as mine; give 1")],
)
def test_what_cannot_be_read_of_a_place_is_not_guessed(scored: Workspace, tmp_path: Path, columns: dict, line: str) -> None:
    with pytest.raises(MinewatchError, match=rf"t.gpkg: a place {line}"):
        evaluate_alerts(scored, save_places(tmp_path / "t.gpkg", [outline(0)], **columns))


def test_a_day_written_as_a_number_is_a_day(scored: Workspace, tmp_path: Path) -> None:
    truth = save_places(tmp_path / "t.gpkg", [outline(0)], date=[20990101])
    assert evaluate_alerts(scored, truth).figures.mines == 0, "the alert was last seen before"
