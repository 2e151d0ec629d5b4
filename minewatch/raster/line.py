"""Measures the line to the files of a provider: how long until an answer begins, and how many bytes come in a second."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

from minewatch.core.http import UNKNOWN, get_fetch_pool, is_remote
from minewatch.core.traffic import LineMeasure
from minewatch.raster.credentials import Access
from minewatch.sources.scene import Scene

SMALL = 16
"""Bytes of a request whose duration is the latency."""

ROUNDS = 3
"""Such requests, after a first one that opens the connection; the median counts."""

STREAMS = 4
"""Requests at a time: one alone would measure the distance of the server, not the line."""

FIRST_SIZE = 2**16
"""Bytes of all requests together at first; they double until one round takes LONG_ENOUGH."""

LARGEST_SIZE = 2**23
"""Bytes of the last round at most."""

LONG_ENOUGH = 1.0
"""Seconds of a round that says how fast the line is."""


def measure_line(scene: Scene, band: str) -> LineMeasure | None:
    """Measure the line by a band's file; None where it lies on this machine, or cannot be read."""
    access, href = Access(scene.signing, scene.s3, scene.token), scene.hrefs[band]
    if not is_remote(href):
        return None
    try:
        total = access.fetch_part(href, 0, SMALL).total
        latency = statistics.median(_time_round(access, href, [(0, SMALL)]) for _ in range(ROUNDS))
        size = FIRST_SIZE
        while True:
            size = min(size, LARGEST_SIZE, LARGEST_SIZE if total == UNKNOWN else total)
            cuts = [size * part // STREAMS for part in range(STREAMS + 1)]
            seconds = _time_round(access, href, [(a, b) for a, b in pairwise(cuts) if a < b])
            if seconds >= LONG_ENOUGH or size < FIRST_SIZE or size in (LARGEST_SIZE, total):
                break
            size *= 2
    except OSError:
        return None
    return LineMeasure(latency, size / max(seconds - latency, seconds / 10))


def _time_round(access: Access, href: str, parts: list[tuple[int, int]]) -> float:
    """Return the seconds that ranges of a file take together."""
    began = time.perf_counter()
    for future in [get_fetch_pool().submit(access.fetch, href, start, stop) for start, stop in parts]:
        future.result()
    return time.perf_counter() - began
