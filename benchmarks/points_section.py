"""Writes what was found on real tropical ground, for the page of accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.real_points import FOLDER, LASTING, SHORT, UNSEEN, PointScores, open_points, scan_points, score_points
from benchmarks.thinned_points import DENSITIES, Shares, average, measure_draws
from minewatch.core.estimate import estimate_share

NAMES = {
    LASTING: LASTING,
    SHORT: SHORT,
    UNSEEN: UNSEEN,
    "Forest": "forest",
    "NatNonForest": "natural non-forest (savanna, wetland)",
    "NonForest": "fields and settlements",
    "Pasture": "pasture",
    "Water": "water",
}
"""Classes of blocks, in the order of the table."""

MISSING = """## Real tropical ground

Not measured: the series of real ground (`../shared/data/points-rondonia`) were not at hand.
"""

SECTION = """## Real tropical ground

964 blocks of four by four pixels in Rondônia, Brazil, whose history is known (albhasan/deforestation-sentinel2, MIT; contains
modified Copernicus Sentinel data): one real year, August 2018 to July 2019, with an overpass every tenth day and all its clouds;
three years of history from similar blocks. Scanned as a user would, with the default settings. A block counts as confirmed where
alerts that were ever confirmed cover 30 % of it. A clearing is *bare* from the first of two clear looks running with a bare soil
index above 0 to the last.

| blocks | confirmed | of | share |
|---|---|---|---|
{classes}

The first row is what must be found, the rows from forest on are false alarms, but for what was cleared there and is labelled
otherwise. {bare} blocks of other labels went bare for a time, as cleared ground does; they are left out: {bare_hits} of them were
confirmed. The rules for soil were found on these very blocks: expect lower shares elsewhere.

With fewer clear looks a year, scenes left out at random ({draws} draws each; one with all scenes):

| clear looks a year | lasting clearings confirmed | within 60 days | told by the scans | told for these clearings |
|---|---|---|---|---|
{thinned}

What a scan tells is the share of clearings of 60 days, beginning on any day of the year, that would have been confirmed. Real
ones begin mostly in the dry season, when looks are many, and stay bare for 140 days (median): more of them are found than is
told. The last column is the same share for the days on which these clearings began and for their own ground: it is what was
found within 60 days.

"""


def measure_section(cache: Path, draws: int) -> str:
    """Scan the blocks, whole and thinned, and return the section of the page."""
    if not FOLDER.is_dir():
        return MISSING
    workspace = open_points(FOLDER / "catalog.json", cache / "points")
    scan_points(workspace)
    thinned = {looks: average(measure_draws(FOLDER, looks, draws)) for looks in DENSITIES}
    return write_section(score_points(workspace), thinned, draws)


def write_section(scores: PointScores, thinned: Mapping[float, Shares], draws: int) -> str:
    """Return the section with its two tables."""
    bare = [name for name in scores.totals if name.endswith("that went bare")]
    return SECTION.format(
        classes="\n".join(_describe_class(scores, name) for name in NAMES if name in scores.totals),
        bare=sum(scores.totals[name] for name in bare),
        bare_hits=sum(scores.hits[name] for name in bare),
        draws=draws,
        thinned="\n".join(_describe_density(looks, shares) for looks, shares in thinned.items()),
    )


def _describe_class(scores: PointScores, name: str) -> str:
    hits, total = scores.hits[name], scores.totals[name]
    share = estimate_share(hits, total)
    return f"| {NAMES[name]} | {hits} | {total} | {hits / total:.3f} ({share.low:.3f}–{share.high:.3f}) |"


def _describe_density(looks: float, shares: Shares) -> str:
    figures = (shares.found, shares.found_in_time, shares.told, shares.told_of_own)
    return f"| {looks:g} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"
