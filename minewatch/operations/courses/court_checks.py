"""Checks of the exercises on the watch and on the court: mail, the ten answers, packs, exports."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minewatch.alerts.rows import Row, read_areas
from minewatch.core.errors import MinewatchError
from minewatch.operations.courses.checks import NORTH, SOUTH, find_site, read_alerts
from minewatch.operations.courses.mailbox import list_mails
from minewatch.operations.courses.record import CourseWork, Finding
from minewatch.operations.courses.valley import FORGED, MINE, NEIGHBOUR_KEY, POST, SOUND
from minewatch.operations.notify.outbox import read_deliveries
from minewatch.operations.notify.rule import covers, find_rules
from minewatch.operations.run_log import read_runs
from minewatch.operations.schedule import list_schedules
from minewatch.products.evidence.custody_log import read_custody
from minewatch.products.evidence.received_packs import list_received
from minewatch.products.evidence.signing import read_public_key
from minewatch.products.evidence.verdicts import TrustAnchors, Verdict
from minewatch.products.evidence.verification import verify_path

COURT, HAND_OVER, KEY = "court", "hand-over", "evidence.pub"
"""Folder of the answers, folder of the pack, and the participant's public key."""

RAID = dt.date(2023, 7, 15)
"""The day on which the police came to the mine."""


def check_watch(work: CourseWork) -> Iterator[Finding]:
    """A schedule and a rule cover both areas; a scan failed and the next one did not; the mail came."""
    workspace = work.workspace
    plans = [schedule for schedule in list_schedules(workspace) if {NORTH, SOUTH} <= set(schedule.areas)]
    nightly = any(schedule.cron.split()[1].isdigit() for schedule in plans)
    yield _choose("nightly", "always" if plans else "unscheduled", nightly)
    rules = [rule for rule in find_rules(workspace) if rule.table.to_variable and "scan-failed" in rule.table.events]
    told = {area for rule in rules for area in (NORTH, SOUTH) if covers(rule, area)}
    yield _choose("ruled", "unruled", {NORTH, SOUTH} <= told)
    results = [bool(run.areas[SOUTH]) for run in read_runs(workspace) if SOUTH in run.areas]
    yield _choose("failed", "never_failed", True in results)
    yield _choose("recovered", "not_recovered", True in results and not results[-1])
    mails, sent = len(list_mails(work.root)), len(read_deliveries(workspace.outbox))
    facts = {"mails": mails, "sent": sent}
    yield _choose("mailed", "unmailed", bool(mails and sent), **facts)


def _choose(right: str, wrong: str, is_right: bool, **facts: object) -> Finding:
    return Finding(right if is_right else wrong, is_right, facts)


def check_court(work: CourseWork) -> Iterator[Finding]:
    """Each of the ten questions has a file that a command wrote, about the right alert."""
    rows = [row for row in read_alerts(work.workspace) if (site := find_site(row)) and site.kind == MINE]
    south, north = (next((row for row in rows if row["aoi"] == name), None) for name in (SOUTH, NORTH))
    if south is None or north is None:
        yield Finding("no_mine", False)
        return
    folder = work.root / COURT
    for number, (file, is_answer) in enumerate(ANSWERS, 1):
        found = is_answer(folder, south, north)
        yield _choose(f"answer_{number}", f"open_{number}", found, file=f"{COURT}/{file}", alert=south["alert_id"])


Answer = Callable[[Path, Row, Row], bool]
"""True if a folder holds the answer, on the alert in the south and its part in the north."""


def _read(path: Path) -> Any:
    """Return a file of JSON; None where there is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _shows(name: str, side: int) -> Answer:
    """Return a check that a file is ``alerts show --json`` of an alert."""

    def is_answer(folder: Path, *rows: Row) -> bool:
        document = _read(folder / name)
        return isinstance(document, dict) and document.get("alert_id") == rows[side]["alert_id"]

    return is_answer


def _has_looks(folder: Path, south: Row, _north: Row) -> bool:
    document = _read(folder / "2-looks.json")
    return isinstance(document, dict) and document.get("alert_id") == south["alert_id"] and bool(document.get("looks"))


def _has_pictures(folder: Path, south: Row, _north: Row) -> bool:
    """True if there is a picture from before the change, and one from after it."""
    head = f"{south['alert_id']}-"
    days = [path.name.removeprefix(head)[:10] for path in folder.glob(f"{head}*.png")]
    before, after = south["last_normal"], south["first_seen"]
    return any(day <= str(before) for day in days) and any(day >= str(after) for day in days)


def _has_report(folder: Path, *_: Row) -> bool:
    return any(folder.glob(f"{SOUTH}-*.html"))


def _lists_reviews(folder: Path, south: Row, _north: Row) -> bool:
    document = _read(folder / "6-all.json")
    rows = document if isinstance(document, list) else []
    return any(row.get("alert_id") == south["alert_id"] and row.get("review") for row in rows)


def _is_verified(name: str, note: str) -> Answer:
    """Return a check that a file is ``verify --json`` of the evidence, sound, with a note on what else was done."""

    def is_answer(folder: Path, south: Row, _north: Row) -> bool:
        document = _read(folder / name)
        checks = document if isinstance(document, list) else []
        found = [one for one in checks if one.get("alert_id") == south["alert_id"] and one.get("verdict") == Verdict.RECORDED]
        return any(not one["unknown"] and note in " ".join(one["notes"]) for one in found)

    return is_answer


def _has_as_of(folder: Path, *_: Row) -> bool:
    table = folder / "as-of" / "alerts.gpkg"
    return table.is_file() and read_areas(table).get(SOUTH, (RAID, None))[1] == RAID


def _has_log(folder: Path, *_: Row) -> bool:
    document = _read(folder / "10-log.json")
    checks = document if isinstance(document, list) else []
    return len(checks) > 1 and all(one.get("verdict") == Verdict.RECORDED for one in checks)


ANSWERS: tuple[tuple[str, Answer], ...] = (
    ("1-when.json", _shows("1-when.json", 0)),
    ("2-looks.json", _has_looks),
    ("*.png", _has_pictures),
    ("south-*.html", _has_report),
    ("5-licence.json", _shows("5-licence.json", 1)),
    ("6-all.json", _lists_reviews),
    ("7-unchanged.json", _is_verified("7-unchanged.json", "")),
    ("8-again.json", _is_verified("8-again.json", "recomputed from these files")),
    ("as-of", _has_as_of),
    ("10-log.json", _has_log),
)
"""File in the folder of answers, and whether it answers the question of that number."""


def check_pack(work: CourseWork) -> Iterator[Finding]:
    """A signed pack lies in the folder, the log knows for whom it is, and it verifies with the public key."""
    packs = sorted((work.root / HAND_OVER).glob("*.zip"))
    key = work.root / KEY
    if not packs or not key.is_file():
        yield Finding("no_key" if packs else "no_pack", False, {"file": KEY, "folder": HAND_OVER})
        return
    pack = packs[-1]
    (check,) = verify_path(pack, TrustAnchors(read_public_key(key)))
    signed = check.verdict == Verdict.SIGNED
    yield _choose("signed", "unsigned", signed, file=pack.name, verdict=check.sentence)
    lines = [line.entry for line in read_custody(work.workspace.custody).lines if line.entry.action == "packed"]
    said = [entry for entry in lines if entry.files and entry.recipient and entry.purpose]
    facts = {"who": said[-1].recipient, "why": said[-1].purpose} if said else {}
    yield _choose("noted", "unnoted", bool(said), **facts)


def check_forged(work: CourseWork) -> Iterator[Finding]:
    """Both packs of the post were verified with the neighbour's key; the sound one was taken in, and the forged one was not."""
    key = read_public_key(work.root / POST / NEIGHBOUR_KEY)
    for name, verdict in ((SOUND, Verdict.SIGNED), (FORGED, Verdict.CHANGED)):
        file = work.root / POST / f"{name.removesuffix('.zip')}.json"
        checks = _read(file)
        found = isinstance(checks, list) and [one.get("verdict") for one in checks] == [verdict]
        facts = {"pack": f"{POST}/{name}", "file": f"{POST}/{file.name}", "verdict": verdict.value}
        yield _choose("verified", "unverified", found, **facts)
    verdicts = []
    for folder in list_received(work.workspace):
        for pack in folder.glob("*.zip"):
            (check,) = verify_path(pack, TrustAnchors(key))
            verdicts.append(check.verdict)
    yield _choose("received", "not_received", Verdict.SIGNED in verdicts)
    if verdicts and set(verdicts) != {Verdict.SIGNED}:
        yield Finding("taken_forged", False)


def check_report(work: CourseWork) -> Iterator[Finding]:
    """The report on the mine was written in Spanish, for a court, and the log knows it."""
    rows = [row for row in read_alerts(work.workspace) if (site := find_site(row)) and site.kind == MINE]
    pages = [path for row in rows for path in work.workspace.reports.glob(f"{row['alert_id']}*-es.html")]
    yield _choose("written", "unwritten", bool(pages), file=pages[0].name if pages else "")
    try:
        lines = [line.entry for line in read_custody(work.workspace.custody).lines if line.entry.action == "reported"]
    except MinewatchError:
        lines = []
    said = [entry.recipient for entry in lines if entry.recipient]
    yield _choose("noted", "unnoted", bool(said), who=said[-1] if said else "")


def check_export(work: CourseWork) -> Iterator[Finding]:
    """The alerts were exported for another program, with their legal status."""
    for ending in ("gpkg", "kml", "xlsx"):
        found = bool(list(work.workspace.exports.glob(f"*.{ending}")))
        yield _choose("written", "unwritten", found, format=ending)
