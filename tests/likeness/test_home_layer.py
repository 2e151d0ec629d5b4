"""What is learnt at home: it follows what reviews agree on, is measured on held-out areas, and can be undone."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from minewatch.alerts.geopackage import updating
from minewatch.alerts.learn_likeness import FEWEST, adopt, learn_likeness
from minewatch.alerts.own_reviews import gather_reviews, judge_review
from minewatch.cli import main
from minewatch.core.errors import AlertsError, WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.likeness.home_layer import apply_home_layer, fit_home_layer
from minewatch.likeness.home_versions import SHIPPED, list_versions, name_in_use, read_in_use, use_version
from minewatch.likeness.model import read_model
from minewatch.likeness.record import ScoredAlert, write_scored
from minewatch.settings.document import init_workspace
from tests.helpers.tables import make_alert, put

TODAY = dt.date(2026, 11, 30)

AXES = read_model().axes

FROM_AXES = np.linalg.pinv(AXES.astype(np.float64))


def make_features(number: int, mine: bool) -> np.ndarray:
    """Chips of this ground lie apart along one direction that the shipped score knows nothing of."""
    random = np.random.default_rng(number)
    place = random.normal(0, 0.05, AXES.shape[1])
    place[2] += 0.15 if mine else -0.15
    return (place @ FROM_AXES).astype(np.float16)


def fill(workspace: Workspace, reviews: dict[str, list[tuple[str, str]]], version: str | None = None) -> None:
    """Make a table of alerts with reviews and notes, all scored about 0.5."""
    for aoi, own in reviews.items():
        alerts = [make_alert(0, -70 + 0.002 * n, alert_id=f"{aoi}-{n}", aoi=aoi) for n in range(len(own))]
        put(workspace.alerts, *alerts, aoi=aoi)
        with updating(workspace.alerts) as connection:
            sql = "UPDATE alerts SET review = ?, review_note = ? WHERE alert_id = ?"
            connection.executemany(sql, [(*said, alert.alert_id) for alert, said in zip(alerts, own, strict=True)])
        scored = []
        for n, (alert, (review, _)) in enumerate(zip(alerts, own, strict=True)):
            score = 0.5 + 0.1 * np.sin(n)
            features = make_features(n, review == "confirmed")
            facts = (version or read_model().version, score, 0.1, 0.2, np.zeros(6, np.float32), features)
            scored.append(ScoredAlert(alert.alert_id, "key", *facts))
        write_scored(workspace.likeness(aoi), scored)


MINE, ROAD = ("confirmed", ""), ("dismissed", "a road")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path)


@pytest.fixture
def reviewed(workspace: Workspace) -> Workspace:
    fill(workspace, {aoi: [MINE, ROAD] * 8 for aoi in ("north", "pampa", "south")})
    return workspace


def run(workspace: Workspace, *words: str) -> str:
    result = CliRunner().invoke(main, ["-w", str(workspace.root), "likeness", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_reviews_agree_on_is_learnt_and_holds_in_areas_that_were_held_out(reviewed: Workspace) -> None:
    learnt = learn_likeness(reviewed)
    assert learnt.shipped is not None
    assert learnt.home is not None
    assert learnt.shipped.auc.value < 0.7
    assert learnt.home.auc.value > 0.95
    assert learnt.home.brier.value < learnt.shipped.brier.value
    assert [(area.aoi, area.reviews, area.mines) for area in learnt.areas] == [(n, 16, 8) for n in ("north", "pampa", "south")]


def test_nothing_changes_before_it_is_adopted_and_all_of_it_can_be_undone(reviewed: Workspace) -> None:
    version = read_model().version
    text = run(reviewed, "learn")
    assert "AUC" in text
    assert name_in_use(reviewed.home_layers) == SHIPPED
    assert read_in_use(reviewed.home_layers, version) == (None, "")
    run(reviewed, "learn", "--adopt")
    first, note = read_in_use(reviewed.home_layers, version)
    assert first is not None
    assert note == ""
    assert first.version.startswith(f"{version}+home-1-")
    run(reviewed, "learn", "--adopt")
    assert json.loads(run(reviewed, "list", "--json"))["layers"][0]["name"] == first.name
    run(reviewed, "use", "1")
    assert name_in_use(reviewed.home_layers) == first.name
    run(reviewed, "use", "shipped")
    assert read_in_use(reviewed.home_layers, version) == (None, "")
    assert len(list_versions(reviewed.home_layers)[0]) == 2, "nothing is deleted"


def test_a_layer_on_disk_says_the_same_as_when_it_was_fitted(reviewed: Workspace) -> None:
    learnt = learn_likeness(reviewed)
    kept = adopt(reviewed, learnt, TODAY)
    score, features = learnt.reviews.score, learnt.reviews.features
    said = apply_home_layer(learnt.layer, score, features)
    np.testing.assert_array_equal(apply_home_layer(kept.layer, score, features.astype(np.float32)), said)
    alone = [apply_home_layer(kept.layer, score[n : n + 1], features[n : n + 1])[0] for n in range(len(score))]
    np.testing.assert_allclose(alone, said, atol=1e-6)
    assert said.dtype == np.float32
    assert ((said >= 0) & (said <= 1)).all()
    assert all(path.stat().st_mode & 0o077 == 0 for path in reviewed.home_layers.iterdir()), "it says where mines are"


def test_few_reviews_change_little() -> None:
    score, features = np.array([0.8, 0.2]), np.array([make_features(n, n == 0) for n in range(2)])
    layer = fit_home_layer("1", score, features, np.array([True, False]), AXES)
    assert np.abs(apply_home_layer(layer, score, features) - score).max() < 0.2


def test_fewer_than_thirty_reviews_are_refused_with_the_reason(workspace: Workspace) -> None:
    fill(workspace, {"pampa": [MINE] * 15 + [ROAD] * 14 + [("dismissed", "")] * 3 + [("dismissed", "licensed mine")]})
    with pytest.raises(AlertsError, match=rf"29 reviews .* {FEWEST} are needed.*3 dismissed without a reason"):
        learn_likeness(workspace)


def test_reviews_that_all_say_the_same_are_refused(workspace: Workspace) -> None:
    fill(workspace, {"pampa": [MINE] * 16, "south": [MINE] * 16})
    with pytest.raises(AlertsError, match="all 32 reviews say that alerts are mines"):
        learn_likeness(workspace)


def test_reviews_of_one_area_are_learnt_from_but_not_adopted(workspace: Workspace) -> None:
    fill(workspace, {"pampa": [MINE, ROAD] * 16})
    assert "all are of one area, pampa" in run(workspace, "learn")
    with pytest.raises(AlertsError, match=r"one area, pampa.*second area"):
        adopt(workspace, learn_likeness(workspace), TODAY)
    assert not workspace.home_layers.exists()


def test_what_other_weights_said_does_not_count(workspace: Workspace) -> None:
    fill(workspace, {"pampa": [MINE, ROAD] * 16}, version="0-old")
    reviews = gather_reviews(workspace, read_model().version)
    assert len(reviews.mine) == 0
    assert reviews.left_out == {"scored by other weights; the next scan scores them again": 32}


def test_a_layer_of_other_weights_is_not_used_and_says_so(reviewed: Workspace) -> None:
    adopt(reviewed, learn_likeness(reviewed), TODAY)
    layer, note = read_in_use(reviewed.home_layers, "2-other")
    assert layer is None
    assert "2-other are installed" in note


@pytest.mark.parametrize("damage", [slice(-3), slice(0), slice(2, None)])
def test_a_damaged_layer_is_never_used(reviewed: Workspace, damage: slice) -> None:
    kept = adopt(reviewed, learn_likeness(reviewed), TODAY)
    path = reviewed.home_layers / kept.name
    path.write_bytes(path.read_bytes()[damage])
    with pytest.raises(WorkspaceError, match=r"damaged.*likeness use shipped"):
        read_in_use(reviewed.home_layers, read_model().version)
    assert use_version(reviewed.home_layers, SHIPPED) == SHIPPED
    assert read_in_use(reviewed.home_layers, read_model().version) == (None, "")


def test_a_damaged_layer_is_listed_and_blocks_no_other(reviewed: Workspace) -> None:
    learnt, base = learn_likeness(reviewed), read_model().version
    first, second = (adopt(reviewed, learnt, TODAY).name for _ in range(2))
    (reviewed.home_layers / first).write_bytes(b"no layer")
    answer = CliRunner().invoke(main, ["-w", str(reviewed.root), "likeness", "list"])
    assert answer.exit_code == 0
    assert re.search(rf"^{second} +\S+ +\d.* +in use$", answer.stdout, re.MULTILINE)
    assert re.search(rf"^{first} +damaged$", answer.stdout, re.MULTILINE)
    assert f"{first} is damaged; move it away" in answer.stderr
    facts = json.loads(run(reviewed, "list", "--json"))
    assert [layer["name"] for layer in facts["layers"]] == [second]
    assert list(facts["damaged"]) == [first]
    with pytest.raises(WorkspaceError, match=f"{first} is damaged"):
        use_version(reviewed.home_layers, "1")
    assert adopt(reviewed, learnt, TODAY).number == 3, "no number is used again"
    assert use_version(reviewed.home_layers, "2") == second
    (reviewed.home_layers / second).unlink()
    assert re.search(rf"^{second} +in use; gone$", run(reviewed, "list"), re.MULTILINE)
    with pytest.raises(WorkspaceError, match=f"{second} is gone"):
        read_in_use(reviewed.home_layers, base)


def test_what_cannot_be_read_is_named(reviewed: Workspace) -> None:
    kept = adopt(reviewed, learn_likeness(reviewed), TODAY)
    for name in (kept.name, "in-use"):
        (reviewed.home_layers / name).unlink()
        (reviewed.home_layers / name).mkdir()
        with pytest.raises(WorkspaceError, match=rf"{name} cannot be read: Is a directory"):
            read_in_use(reviewed.home_layers, read_model().version)


def test_an_unknown_layer_is_refused(reviewed: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="home-7 is none of shipped"):
        use_version(reviewed.home_layers, "home-7")


@pytest.mark.parametrize(
    ("review", "text", "judged"),
    [
        ("confirmed", "", True),
        ("dismissed", "road works", False),
        ("dismissed", "not a mine", False),
        ("dismissed", "no es una mina, es un derrumbe", False),
        ("dismissed", "old mine", "dismissed, and called a mine"),
        ("dismissed", "licensed quarry", "dismissed for law or paper, not for what it is"),
        ("dismissed", "inside a concession", "dismissed for law or paper, not for what it is"),
        ("dismissed", " ", "dismissed without a reason"),
        *(
            ("dismissed", text, "dismissed for law or paper, not for what it is")
            for text in ("garimpo com licença", "exploitation autorisée", "doublon", "ya conocida", "já conhecido", "déjà connu")
        ),
        *(
            ("dismissed", text, "dismissed, and called a mine")
            for text in ("no doubt an old mine", "not new: mine of 2015", "minière artisanale", "orpaillage", "área garimpeira")
        ),
        *(
            ("dismissed", text, False)
            for text in ("there is no gold mine", "ce n'est pas une mine", "não é garimpo", "n\u2019est pas minier")
        ),
        ("needs-visit", "", "not decided"),
        ("", "", "not decided"),
    ],
)
def test_which_reviews_count(review: str, text: str, judged: bool | str) -> None:
    assert judge_review(review, text) == judged


def test_merged_alerts_are_left_out_where_they_were_reviewed() -> None:
    assert judge_review("confirmed", "", is_merged=True) == "merged into another alert"
    assert judge_review("", "", is_merged=True) == "not decided", "there is no review to leave out"


def test_the_law_knows_the_layer_by_its_content(reviewed: Workspace) -> None:
    first = adopt(reviewed, learn_likeness(reviewed), TODAY)
    other = adopt(
        reviewed, dataclasses.replace(learn_likeness(reviewed), layer=dataclasses.replace(first.layer, slope=2.0)), TODAY
    )
    assert first.name.rpartition("-")[2] != other.name.rpartition("-")[2]
