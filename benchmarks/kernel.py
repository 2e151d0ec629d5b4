"""The monitor alone: looks (a pixel on a date) that it fits and follows in a second, once they are in memory; and its peers."""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.results import Row, Run

PEER_SIDE = {"nrt": 256, "pyxccd": 48}
"""Pixels of each side of the piece that a peer gets; so much takes it a few seconds."""


def measure_kernel(run: Run) -> list[Row]:
    """Measure the monitor, and the peers that are installed, on the same series; every pixel of the area counts."""
    side = min(run.size, 1024)
    series = run.series(side, run.long)
    workspace = series.workspace(run.work / "kernel", [series.aligned()])
    run.job("scan", **run.scan_settings(series, workspace))
    facts = run.job("monitor", workspace=workspace.root, until=series.until).facts
    speed = facts["looks"] / facts["seconds"] / 1e6
    title = f"{side} × {side}, {run.long} dates, two threads"
    rows = [Row(f"monitor: fit and follow, {title}", speed, "million looks/s", goal="monitor")]
    for name, peer_side in PEER_SIDE.items():
        if run.peers and find_spec(name) is not None:
            found = run.job(name, series=series.folder, side=min(side, peer_side))
            peer = found.facts["looks"] / found.seconds / 1e6
            rows.append(Row(found.facts["title"], peer, "million looks/s", speed / peer, f"minewatch / {name}"))
    return rows
