"""Many decisions, alerts and areas: the same as by brute force, with the file read once and no pair looked at in vain."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import MultiPolygon, box

from minewatch.alerts import decisions as decision_file
from minewatch.alerts import reviews
from minewatch.alerts.apply_decisions import DecisionIndex, is_about
from minewatch.alerts.decisions import REVIEWS, Decision, append_decisions, read_decisions
from minewatch.alerts.geopackage import encode_geometry
from minewatch.alerts.record import Alert
from minewatch.alerts.table import AreaResult, TableChanges, _GoneRows, update_table
from tests.helpers.small import read_layer
from tests.helpers.tables import AREA, edit, make_alert

AREAS = ("pampa", "rio", "serra", "vale")
AS_OF = dt.date(2024, 12, 31)
WHEN = dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def make_ground(chance: random.Random) -> MultiPolygon:
    """Make a rectangle on a lattice, so that many meet exactly at an edge or cover exactly half of another."""
    west, south = chance.randrange(8), chance.randrange(8)
    width, height = chance.randint(1, 3), chance.randint(1, 3)
    return MultiPolygon([box(west, south, west + width, south + height)])


def make_alerts(chance: random.Random, count: int, aoi: str, mark: str = "") -> list[Alert]:
    made = []
    for number in range(count):
        ground = make_ground(chance)
        changes = {
            "alert_id": f"{aoi}-{number:03d}{mark}",
            "aoi": aoi,
            "status": chance.choice(("confirmed", "provisional", "closed")),
        }
        made.append(dataclasses.replace(make_alert(0), geometry=ground, **changes))
    return made


def decide(chance: random.Random, alerts: Sequence[Alert], count: int) -> list[Decision]:
    made = []
    for number in range(count):
        alert, day = chance.choice(alerts), dt.date(2024, 1 + chance.randrange(12), 1)
        words = chance.choice(REVIEWS), chance.choice(("", "road works")), f"note {number}", "Rosa"
        made.append(Decision(alert.alert_id, alert.aoi, *words, WHEN, day, alert.geometry))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_the_latest_decision_is_that_of_brute_force(seed: int) -> None:
    chance = random.Random(seed)
    alerts = make_alerts(chance, 60, "pampa")
    known = decision_file.Decisions(tuple(decide(chance, make_alerts(chance, 90, "pampa"), 120))).of("pampa", AS_OF)
    index = DecisionIndex(known)
    for alert in alerts:
        assert index.find_latest(alert) is next((decision for decision in known if is_about(decision, alert)), None)
    assert DecisionIndex([]).find_latest(alerts[0]) is None


@pytest.mark.parametrize("seed", range(6))
def test_the_former_row_is_that_of_brute_force(seed: int) -> None:
    chance = random.Random(seed)
    gone = {alert.alert_id: alert for alert in make_alerts(chance, 50, "pampa")}
    rows = _GoneRows({alert_id: {"geom": encode_geometry(alert.geometry)} for alert_id, alert in gone.items()})
    for alert in make_alerts(chance, 60, "pampa", "new"):
        shared = {alert_id: one.geometry.intersection(alert.geometry).area for alert_id, one in gone.items()}
        best = max(shared, key=lambda alert_id: (shared[alert_id], alert_id), default=None)
        expected = best if best and shared[best] > 0 else None
        assert rows.find_former(alert) == expected
        if expected:
            del gone[expected], rows.rows[expected]


def update(path: Path, results: Sequence[AreaResult], run: str) -> dict[str, TableChanges]:
    return update_table(path, results, {"run_id": run, "started": "", "aois": ""}, path.parent / "decisions.jsonl")


def make_results(seed: int, mark: str = "") -> list[AreaResult]:
    facts = {"monitor_from": dt.date(2024, 1, 1), "as_of": AS_OF, "pipeline": "default", "digest": "d", "area_km2": 1.0}
    return [AreaResult(aoi, AREA, make_alerts(random.Random(f"{aoi}{seed}"), 12, aoi, mark), {}, facts) for aoi in AREAS]


def read_all(path: Path) -> dict[str, Any]:
    """Return what people see: rows without their numbers, which follow the order of writing."""
    layers = {
        layer: sorted(
            json.dumps({name: str(cell) for name, cell in row.items() if name != "fid"}, sort_keys=True)
            for row in read_layer(path, layer)
        )
        for layer in ("alerts", "aois", "alert_history")
    }
    kept = [
        (d.alert_id, d.columns, d.effective, d.via, d.outline.wkt) for d in read_decisions(path.parent / "decisions.jsonl").all
    ]
    return layers | {"decisions": kept}


def live(path: Path, groups: Sequence[Sequence[int]]) -> list[Any]:
    """Let the same happen to a table, with the areas of each update as given; gives all that it told."""
    told = []
    for seed, mark, run in ((1, "", "a"), (2, "", "b"), (3, "renamed", "c")):
        results = make_results(seed, mark)
        for group in groups:
            changes = update(path, [results[number] for number in group], run)
            told += [(aoi, one.events, one.changed, one.notes, one.alerts) for aoi, one in changes.items()]
        if run == "a":
            append_decisions(
                path.parent / "decisions.jsonl", decide(random.Random(9), [a for r in results for a in r.alerts], 60)
            )
        if run == "b":
            for aoi in AREAS:
                edit(
                    path,
                    "UPDATE alerts SET review = 'dismissed', review_note = 'n', reviewed_by = 'Juan' WHERE alert_id = ?",
                    f"{aoi}-001",
                )
                edit(path, "UPDATE alerts SET review = 'perhaps' WHERE alert_id = ?", f"{aoi}-002")
    return [json.dumps(str(one)) for one in told]


def test_areas_together_end_as_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "_now", lambda: WHEN)
    together, apart = tmp_path / "together" / "alerts.gpkg", tmp_path / "apart" / "alerts.gpkg"
    told = live(together, [range(4)]), live(apart, [[0], [1], [2], [3]])
    assert [line.replace(str(together.parent), "") for line in told[0]] == [
        line.replace(str(apart.parent), "") for line in told[1]
    ]
    assert read_all(together) == read_all(apart)
    assert len(read_all(together)["decisions"]) == 60 + len(AREAS)


def test_decisions_are_read_once_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "output" / "alerts.gpkg"
    results = make_results(1)
    update(path, results, "a")
    append_decisions(path.parent / "decisions.jsonl", decide(random.Random(1), [a for r in results for a in r.alerts], 20))
    edit(path, "UPDATE alerts SET review = 'confirmed', reviewed_by = 'Juan' WHERE alert_id = 'rio-001'")
    reads, read = [], decision_file.read_lines
    monkeypatch.setattr(decision_file, "read_lines", lambda *words: reads.append(words) or read(*words))
    changes = update(path, make_results(2), "b")
    assert len(reads) == 1
    assert changes["rio"].events["reviewed"] == 1
