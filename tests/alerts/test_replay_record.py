"""The record of an area's alerts: the same alerts as a replay, of the same episodes alone, and never a damaged one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from minewatch.alerts import replay_record
from minewatch.alerts.record import Alert, AlertStage
from minewatch.alerts.replay import REPLAY_VERSION, replay_alerts
from minewatch.alerts.replay_record import NAME, recall_alerts
from minewatch.detection.change_map import Episodes
from tests.alerts.test_replay import GRID, PLAIN, episode


def make_eventful_episodes() -> Episodes:
    """Alerts that are provisional, grow, merge, split, close, return and settle."""
    return np.concatenate(
        [
            episode((2, 2, 4, 5), 0, confirmed=10),
            episode((2, 7, 4, 4), 20, confirmed=30),  # it grows
            episode((12, 2, 3, 5), 0, confirmed=10),
            episode((12, 9, 3, 5), 5),
            episode((12, 7, 3, 2), 40, confirmed=50),  # two merge
            episode((20, 2, 3, 5), 0, confirmed=10),
            episode((20, 7, 3, 2), 0, confirmed=10, closed=60),  # one splits
            episode((20, 9, 3, 5), 0, confirmed=10),
            episode((30, 2, 4, 5), 0, confirmed=10, closed=70),
            episode((31, 2, 3, 5), 90, confirmed=100),  # it returns
            episode((30, 20, 4, 5), 15, provisional=25),
            episode((2, 30, 2, 4), 0, confirmed=10, settled_on=episode((0, 0, 1, 1), 30)["first_seen"][0]),
            episode((4, 30, 1, 3), 3),
        ]
    )


GOLDEN = {"1": "8f2b01cb43226a650e5b812609b73046"}
"""What each REPLAY_VERSION makes of the eventful episodes; lines are added, never changed."""


def test_alerts_change_with_their_version_alone() -> None:
    alerts = replay_alerts(make_eventful_episodes(), GRID, "spot", PLAIN)
    text = "\n".join(describe(alert) for alert in alerts)
    assert hashlib.sha256(text.encode()).hexdigest()[:32] == GOLDEN[REPLAY_VERSION]


def describe(alert: Alert) -> str:
    """All of an alert, places to the metre: the last digits are those of the libraries."""
    parts: list[Alert | AlertStage] = [alert, *alert.stages]
    places = [(one.lat, one.lon, *one.geometry.bounds, one.area_ha) for one in parts]
    stages = [stage.date.isoformat() for stage in alert.stages]
    rest = {
        name: str(value) for name, value in vars(alert).items() if name not in ("geometry", "stages", "lat", "lon", "area_ha")
    }
    return f"{rest} {stages} {[tuple(round(number, 5 if number < 0 else 2) for number in place) for place in places]}"


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[Episodes]:
    """The episodes that are replayed from now on."""
    seen: list[Episodes] = []

    def replay(episodes: Episodes, *rest: object) -> list[Alert]:
        seen.append(episodes)
        return replay_alerts(episodes, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(replay_record, "replay_alerts", replay)
    return seen


def recall(folder: Path | None, episodes: Episodes, **changes: float) -> list[Alert]:
    return recall_alerts(folder, episodes, GRID, "spot", PLAIN.model_copy(update=changes))


def test_the_same_episodes_are_replayed_once(tmp_path: Path, replayed: list[Episodes]) -> None:
    episodes = make_eventful_episodes()
    first = recall(tmp_path / "checkpoints", episodes)
    assert recall(tmp_path / "checkpoints", episodes) == first == replay_alerts(episodes, GRID, "spot", PLAIN)
    assert len(replayed) == 1
    assert {type(value) for alert in first for value in vars(alert).values()} >= {str, float, int, tuple}


def test_others_and_damaged_ones_are_replayed(tmp_path: Path, replayed: list[Episodes]) -> None:
    episodes = make_eventful_episodes()
    recall(tmp_path, episodes)
    other = episodes.copy()
    other["last_seen"][0] += 1
    assert recall(tmp_path, other) == replay_alerts(other, GRID, "spot", PLAIN)
    assert recall(tmp_path, other, min_area_ha=0.2) != recall(tmp_path, other)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[-60] ^= 1
    (tmp_path / NAME).write_bytes(data)
    assert recall(tmp_path, other) == replay_alerts(other, GRID, "spot", PLAIN)
    assert recall(None, episodes) == replay_alerts(episodes, GRID, "spot", PLAIN)
    assert len(replayed) == 6
