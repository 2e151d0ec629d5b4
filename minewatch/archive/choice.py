"""What a scan reads of the looks that a source lists: all, or those that an area's budget of bytes pays for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.budget import CLOUDIEST, LEAST_CLEAR, Candidate, choose_looks, split_budget
from minewatch.archive.item import Observation
from minewatch.archive.survey import Survey, identify, survey_group
from minewatch.archive.writer import Target
from minewatch.areas.grid import COARSE_PIXEL, PIXEL
from minewatch.core.files import publish_json
from minewatch.core.http import is_remote
from minewatch.core.parallel import Engine
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of, parse_json
from minewatch.core.traffic import RECEIVED, format_exact
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.skipped import SkippedScene

BUDGET = "budget"
"""Why a look was not read that the area's budget does not pay for."""


@dataclass(frozen=True)
class ChosenLooks:
    """An area's scan once the budget has spoken, and what was found out for it."""

    scan: AreaScan
    """Says what is left unread."""

    surveys: dict[str, Survey]
    """Datatake to survey, of those that were looked at."""


def choose_within_budget(scan: AreaScan, engine: Engine, reporter: Reporter, memory: Path, *, keep: bool = True) -> ChosenLooks:
    """Choose the looks that the area's budget pays for; without a budget nothing is left unread.

    The scene classes of each listed look are read once: ``memory`` keeps what they said where ``keep`` allows it, and may be
    deleted at any time.  A look that cannot be surveyed is a failure, and is tried again by the next scan.
    """
    if scan.plan.budget is None:
        return ChosenLooks(scan, {})
    datatakes = group_scenes(scan.found.scenes)
    worth = [one for one in datatakes if min(scene.cloud_cover for scene in one.scenes) < CLOUDIEST]
    known = _read_memory(memory)
    surveys = {one.key: known[name] for one in worth if (name := identify(one, scan.plan.grid)) in known}
    missing = [one for one in worth if one.key not in surveys]
    found, spent = survey_all(scan, missing, engine, reporter)
    surveys |= {key: one for key, one in found.items() if isinstance(one, Survey)}
    if keep and found:
        _write_memory(memory, {**known, **{one.id: one for one in surveys.values()}})
    failed = {one.key: one for one in missing if not isinstance(found[one.key], Survey)}
    candidates = [_make_candidate(one, surveys.get(one.key)) for one in datatakes]
    chosen = choose_looks(candidates, split_budget(scan.plan))
    unread = {one.key: one for one in datatakes if one.key not in chosen and one.key not in failed}
    failures = [SkippedScene(scene.id, str(found[one.key])) for one in failed.values() for scene in one.scenes]
    left = tuple(datatake for datatake in datatakes if datatake.key in unread)
    return ChosenLooks(
        replace(
            scan,
            left_unread=left,
            coarse=frozenset(key for key, pixel in chosen.items() if pixel == COARSE_PIXEL),
            not_fetched=frozenset({*unread, *failed}),
            received=scan.received + spent,
            failures=[*scan.failures, *failures],
        ),
        surveys,
    )


def survey_all(
    scan: AreaScan, datatakes: Sequence[Datatake], engine: Engine, reporter: Reporter
) -> tuple[dict[str, Survey | Exception], int]:
    """Survey datatakes over an area: datatake to survey, or to why it cannot be read; also returns the bytes that came for it."""
    if not datatakes:
        return {}, 0
    targets = [([Target(one, scan.plan.grid, scan.archive)], LEAST_CLEAR) for one in datatakes]
    is_io_bound = any(is_remote(href) for one in datatakes for scene in one.scenes for href in scene.hrefs.values())
    title, arrived = f"{scan.plan.aoi.name}: looking for clear scenes", RECEIVED.count_from_now()
    done = dict(reporter.track(engine.run(survey_group, targets, is_io_bound=is_io_bound), title, len(targets), arrived))
    found = {datatakes[number].key: one if isinstance(one, Exception) else one.surveys[0] for number, one in done.items()}
    return found, sum(one.received for one in done.values() if not isinstance(one, Exception))


def _make_candidate(datatake: Datatake, survey: Survey | None) -> Candidate:
    day = datatake.time.date()
    if survey is None:
        return Candidate(datatake.key, day)
    return Candidate(datatake.key, day, survey.clear_share, survey.looked, survey.size, survey.coarse_size)


def _read_memory(path: Path) -> dict[str, Survey]:
    try:
        surveys = [Survey(**facts) for facts in parse_json(path.read_bytes())]
    except (OSError, ValueError, TypeError):  # none yet, or cut off: the surveys are made anew
        return {}
    return {one.id: one for one in surveys if _is_sound(one)}


def _is_sound(survey: Survey) -> bool:
    """True if what was read from a file has the kinds of values that a survey has."""
    shares, counts = (survey.clear_share, survey.valid_share), (survey.looked, survey.pixels, survey.parts)
    sizes = [size for size in (survey.size, survey.coarse_size) if size is not None]
    return (
        isinstance(survey.id, str)
        and all(isinstance(share, float | int) for share in shares)
        and all(isinstance(count, int) for count in (*counts, *sizes))
    )


def _write_memory(path: Path, surveys: dict[str, Survey]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    publish_json(path, [dataclasses.asdict(surveys[name]) for name in sorted(surveys)])


def explain_coarse(observations: Sequence[Observation]) -> list[str]:
    """Say how many of the looks that a result rests on were read in larger pixels."""
    coarse = sum(observation.read_pixel > PIXEL for observation in observations)
    if not coarse:
        return []
    share = "all" if coarse == len(observations) > 1 else f"{coarse} of the"
    used = f"{share} {count_of(len(observations), 'look')} used {'was' if coarse == 1 else 'were'}"
    return [f"{used} read in {COARSE_PIXEL} m pixels ({BUDGET}): outlines are less sharp"]


def explain_budget(scan: AreaScan) -> list[str]:
    """Say what was not read because of the budget, and for how long it holds."""
    plan = scan.plan
    if plan.budget is None:
        return []
    listed, budget = len(group_scenes(scan.found.scenes)), format_exact(plan.budget)
    unread = f"{len(scan.left_unread)} of {count_of(listed, 'look')}"
    lines = [f"not read: {BUDGET} ({budget}): {unread}; the others were chosen by what they show"]
    if listed and len(scan.left_unread) == listed:
        lines.append(
            "the budget pays for no look in any quarter: nothing was judged; minewatch scan --estimate says what all takes"
        )
    if plan.budget != plan.aoi.budget:
        own = "reads the rest" if plan.aoi.budget is None else f"keeps to {format_exact(plan.aoi.budget)}"
        lines.append(
            f"the budget holds for this scan: one without --budget {own}; "
            f"to keep it: minewatch aoi edit {plan.aoi.name} --budget {budget}"
        )
    return lines
