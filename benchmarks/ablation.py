"""What each rule of detection is good for: all sets of series scored without it.

python -m benchmarks.ablation --seeds 2      writes docs/ablation.md (about two minutes for each rule)

Sets: real blocks and injected series where they are at hand (``../shared``), simulated ones always.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.accuracy import ROOT, Case, list_cases, score_case
from benchmarks.real_points import FOLDER, LASTING, open_points, scan_points, score_points
from minewatch.alerts.validate import Scores, summarise
from minewatch.core.files import publishing

RULES: Mapping[str, tuple[str, ...]] = {
    "as it is": (),
    "soil proves nothing": ("detector.soil_gain=1",),
    "soil also proves under thin vegetation": ("detector.dense_ndvi=0.1",),
    "soil may be dark": ("detector.soil_swir=0",),
    "soil also through haze": ("detector.soil_haze=1",),
    "only soil proves": ("detector.bared_loss=1",),
    "no proof of bared ground": ("detector.bared_loss=0.05", "detector.char_share=1"),
    "char may last": ("detector.char_share=1",),
    "strong from a loss of 0.2": ("detector.strong_loss=0.2",),
    "no least score": ("detector.min_score=0.1",),
    "loss need not last": ("detector.lasting_share=0",),
    "never settled by a third look": ("detector.settle_looks=20",),
    "two normal looks end an anomaly": ("detector.fade_looks=2",),
    "looks need not agree in blue": ("detector.same_blue=1",),
    "looks must agree in blue to 0.03": ("detector.same_share=0",),
    "looks a year apart agree": ("detector.agree_days=366",),
    "cloud begins an anomaly": ("detector.cloud_blue=1",),
    "no snow": ("detector.snow_bsi=1",),
    "season never early or late": ("detector.season_slip=0",),
    "tilled ground watched": ("detector.tilled_share=1",),
    "all scenes used": (
        "detector.scene_fall=1",
        "detector.scene_rise=1",
        "detector.scene_spread=1",
        "detector.scene_witnesses=0",
    ),
    "leafless ground counts": ("detector.min_contrast=0.05",),
    "one year of history": ("detector.baseline_years=1",),
    "two years of history": ("detector.baseline_years=2",),
}
"""What is left out, and the settings that do it."""

HEAD = (
    "without", "lasting clearings", "forest", "natural non-forest", "pasture",
    "injected: F1", "recall", "false", "looks", "area error", "tropical: recall", "false", "temperate: recall", "false",
)  # fmt: skip
"""Of the table."""

PAGE = """# What each rule is good for

Written by `python -m benchmarks.ablation`: every line is a scan of all series with one rule of [the method](method.md) left
out. Lasting clearings and the three classes after them are blocks of real ground in Rondônia, confirmed of all (false ones, but
for the clearings); injected series have real mines in a real temperate forest; tropical and temperate series are simulated
({seeds} each). F1 is that of pixels, looks are median and 90th percentile. A rule without which nothing gets worse here is kept
for what these series do not show, or is one to leave out; [accuracy, as measured](accuracy.md) says what the sets are.

{table}
"""


def score_rule(cases: Sequence[Case], cache: Path, overrides: tuple[str, ...]) -> list[str]:
    """Return the cells of one line."""
    cells = ["–"] * 4
    if FOLDER.exists():
        workspace = open_points(FOLDER / "catalog.json", cache / "points")
        scan_points(workspace, overrides)
        found_points = score_points(workspace)
        cells = [
            f"{found_points.hits[name]} of {found_points.totals[name]}" for name in (LASTING, "Forest", "NatNonForest", "Pasture")
        ]
    found: dict[str, list[Scores]] = {}
    for case in cases:
        for setting, scores in score_case(case, overrides).items():
            found.setdefault(setting, []).append(scores)
    injected = found.get("injected")
    cells += _describe_injected(summarise(injected)) if injected else ["–"] * 5
    for setting in ("simulated tropical", "simulated temperate"):
        pooled = summarise(found[setting])
        cells += [_write(pooled.summary["site_recall"].value), str(pooled.false_alarms)]
    return cells


def _describe_injected(scores: Scores) -> list[str]:
    figures = {name: _write(scores.summary[name].value) for name in ("pixel_f1", "site_recall", "looks_median", "looks_p90")}
    looks = f"{figures['looks_median']} · {figures['looks_p90']}"
    area = _write(scores.summary["area_error_median"].value)
    return [figures["pixel_f1"], figures["site_recall"], str(scores.false_alarms), looks, area]


def _write(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def make_table(lines: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return the lines as a table in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *((name, *cells) for name, cells in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="simulated series of each setting")
    parser.add_argument("--size", choices=("full", "small"), default="full", help="small: for a test of this script")
    parser.add_argument("--injected", type=Path, default=ROOT.parent / "shared" / "data" / "injected", help="real series")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps series and archives")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where ablation.md goes")
    parser.add_argument("--rule", dest="rules", action="append", choices=list(RULES), help="only this one; several times")
    chosen = parser.parse_args(arguments)
    cases, lines = list(list_cases(chosen.seeds, chosen.size, chosen.injected, chosen.cache.resolve())), []
    for name in chosen.rules or RULES:
        lines.append((name, score_rule(cases, chosen.cache.resolve(), RULES[name])))
        print(" | ".join((name, *lines[-1][1])), flush=True)
        with publishing(chosen.docs / "ablation.md") as temporary:
            temporary.write_text(PAGE.format(seeds=chosen.seeds, table=make_table(lines)), "utf-8")


if __name__ == "__main__":
    main()
