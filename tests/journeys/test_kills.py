"""A process that is killed at any moment of an update leaves a table that opens and every decision that was told."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from minewatch.alerts.decisions import CONFIRM, DISMISS, read_decisions
from minewatch.alerts.read import read_alerts
from minewatch.alerts.reviews import Review, review_alert
from tests.helpers.servers import RunQgis
from tests.helpers.tables import make_alert, put

KILLS = 60
ALERTS = 6
READY = b"\n"
FORK = multiprocessing.get_context("fork")


def live(path: Path, seed: int, told: int) -> None:
    """Scan and review without end; the note of each review is told only once the review has returned."""
    moment = random.Random(seed)
    os.write(told, READY)
    for number in range(1_000_000):
        alerts = [make_alert(n, area_ha=1.0 + number) for n in range(ALERTS)]
        put(path, *alerts, run=f"run-{seed}-{number}")
        note = f"{seed}-{number}"
        review = Review(moment.choice([CONFIRM, DISMISS]), "Rosa", note=note)
        review_alert(path, path.parent / "decisions.jsonl", moment.choice(alerts).alert_id, review)
        os.write(told, f"{note}\n".encode())


def kill_in_the_middle(path: Path, seed: int, notes: int = 0) -> list[str]:
    """Let a process live for some hundredths of a second once it has told so many notes; return all that it told."""
    reader, writer = os.pipe()
    child = FORK.Process(target=live, args=(path, seed, writer))
    child.start()
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        # A busy machine makes a process slow: how far it has come is counted, not timed.
        heard = [told.readline() for _ in range(1 + notes)]
        time.sleep(random.Random(seed).uniform(0.005, 0.15))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        return b"".join([*heard, told.read()]).decode().split()


@pytest.mark.server
def test_no_kill_leaves_a_broken_table_or_loses_a_decision(tmp_path: Path, run_qgis: RunQgis) -> None:
    path = tmp_path / "output" / "alerts.gpkg"
    put(path, *(make_alert(n) for n in range(ALERTS)))
    told: list[str] = []
    cut_off = 0
    for seed in range(KILLS):
        told += kill_in_the_middle(path, seed, notes=seed % 2)
        cut_off += path.with_name("alerts.gpkg-journal").exists()
        assert len(read_alerts(path)) == ALERTS
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            areas = {area for (area,) in connection.execute("SELECT area_ha FROM alerts")}
        assert len(areas) == 1, "rows of two scans in one table"
    kept = [decision.note for decision in read_decisions(path.parent / "decisions.jsonl").all]
    assert set(told) <= set(kept)
    assert len(kept) == len(set(kept)) >= len(told) >= KILLS // 2
    assert cut_off > 0, "no kill met a transaction"
    seen = run_qgis("qgis_check.py", path, tmp_path / "picture.png")
    assert seen["layers"]["alerts"]["valid"]
    assert seen["layers"]["alerts"]["features"] == ALERTS


@pytest.mark.parametrize("kill", range(3))
def test_a_table_is_made_whole_or_not_at_all(tmp_path: Path, kill: int) -> None:
    path = tmp_path / "output" / "alerts.gpkg"
    path.parent.mkdir()
    kill_in_the_middle(path, 1000 + kill)
    if path.exists():
        assert len(read_alerts(path)) in (0, ALERTS)
    put(path, make_alert(0))
    assert len(read_alerts(path)) == 1
