"""What is told to whom: events from the table, rules, digests, and the words of a message."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import shapely
from PIL import Image as Picture
from shapely.geometry import box

from minewatch.alerts.decisions import CONFIRM, NEEDS_VISIT
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import Alert
from minewatch.alerts.reviews import Review, review_alert
from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.core.errors import WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.operations.notify import webhook
from minewatch.operations.notify.content import make_subject
from minewatch.operations.notify.delivery import make_test_message
from minewatch.operations.notify.enqueue import enqueue_messages
from minewatch.operations.notify.event import Event
from minewatch.operations.notify.images import MOST_IMAGES, Thumbnail, draw_thumbnails
from minewatch.operations.notify.outbox import WAITING, delete_message, make_message, record_delivery
from minewatch.operations.notify.rendering import FOLDER, RenderedMessage, read_message_texts, render_message
from minewatch.operations.notify.rule import covers, find_rules
from minewatch.operations.notify.webhook import render_body
from minewatch.operations.run_log import ScheduledRun, append_runs
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.texts import read_texts
from minewatch.settings.document import init_workspace
from minewatch.settings.watching import NotifyTable
from tests.helpers.outbox import name, one_rule, set_rules, waiting
from tests.helpers.small import copy_workspace, make_scanned
from tests.helpers.tables import edit, make_alert, put

NOW = dt.datetime(2025, 1, 1, 3, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = init_workspace(tmp_path / "watch")
    write_aoi(made, Aoi("pampa", box(-70.0, -13.0, -69.9, -12.9), dt.date(2024, 1, 1)))
    return made


def take(workspace: Workspace, rule: str = "rangers") -> list[tuple[str, str]]:
    """Return kind and subject of what is told since the last call."""
    told = [
        (kind, event.alert_id or event.aoi)
        for message in waiting(workspace, rule)
        for event, kind in zip(message.events, message.kinds, strict=True)
    ]
    for message in waiting(workspace, rule):
        record_delivery(workspace.outbox, message, NOW)
        delete_message(workspace.outbox, message)
    return told


def provisional(number: int, **changes: Any) -> Alert:
    return make_alert(number, **{"status": "provisional", "confirmed_on": None} | changes)


# --- what is new -----------------------------------------------------------------------------------------------------


def test_nobody_is_told_where_there_is_no_rule(workspace: Workspace) -> None:
    put(workspace.alerts, make_alert(0))
    assert enqueue_messages(workspace, NOW) == 0
    assert not workspace.outbox.exists()


def test_a_first_scan_is_one_message_with_a_table(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, *(make_alert(n) for n in range(8)))
    assert enqueue_messages(workspace, NOW) == 1
    assert Counter(kind for kind, _ in take(workspace)) == {"confirmed": 8}


def test_quiet_when_nothing_changed(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, make_alert(0))
    assert [enqueue_messages(workspace, NOW) for _ in range(3)] == [1, 0, 0]
    take(workspace)
    put(workspace.alerts, make_alert(0), run="run-2")
    assert enqueue_messages(workspace, NOW + DAY) == 0
    assert waiting(workspace) == []


def test_the_life_of_an_alert(workspace: Workspace) -> None:
    one_rule(workspace)
    steps = [
        (provisional(0), ["provisional"]),
        (make_alert(0), ["confirmed"]),
        (make_alert(0, area_ha=1.3), []),  # not half a hectare yet
        (make_alert(0, area_ha=1.7), ["grown"]),
        (make_alert(0, area_ha=1.9), []),
        (make_alert(0, area_ha=1.9, status="closed"), ["closed"]),
        (make_alert(0, area_ha=1.9), ["confirmed"]),  # it was opened again
    ]
    for number, (alert, told) in enumerate(steps):
        put(workspace.alerts, alert, run=f"run-{number}")
        enqueue_messages(workspace, NOW + number * DAY)
        assert [kind for kind, _ in take(workspace)] == told, number


def test_what_came_and_went_between_two_looks_is_told(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, run="run-0")
    for number, alert in enumerate((provisional(0), make_alert(0), make_alert(0, status="closed"))):
        put(workspace.alerts, alert, run=f"run-{number}")
    enqueue_messages(workspace, NOW)
    assert [kind for kind, _ in take(workspace)] == ["provisional", "confirmed", "closed"]


def test_a_table_made_anew_tells_nothing_twice(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, provisional(0), make_alert(1))
    enqueue_messages(workspace, NOW)
    put(workspace.alerts, make_alert(0), make_alert(1, area_ha=2.0), run="run-2")
    enqueue_messages(workspace, NOW)
    assert len(take(workspace)) == 4
    workspace.alerts.unlink()
    put(workspace.alerts, make_alert(0), make_alert(1, area_ha=2.0), run="run-3")
    assert enqueue_messages(workspace, NOW + DAY) == 0


def test_event_ids_say_what_is_true(tmp_path: Path) -> None:
    """Two workspaces with the same alerts, found by other scans at other times, have the same ids."""
    ids = []
    for number, when in enumerate((NOW, NOW + DAY)):
        workspace = init_workspace(tmp_path / f"watch-{number}")
        one_rule(workspace)
        put(workspace.alerts, make_alert(0), run=f"run-{number}")
        enqueue_messages(workspace, when)
        ids.append(waiting(workspace)[0].event_ids)
    assert ids[0] == ids[1]


def test_an_outbox_that_was_lost_gives_the_same_ids_again(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, provisional(0), make_alert(1))
    enqueue_messages(workspace, NOW)
    before = waiting(workspace)[0].event_ids
    shutil.rmtree(workspace.outbox)
    enqueue_messages(workspace, NOW + DAY)
    assert waiting(workspace)[0].event_ids == before


def test_trial_scans_are_never_told(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, make_alert(0))
    enqueue_messages(workspace, NOW)
    take(workspace)
    mark_trial(workspace, put(workspace.alerts, make_alert(0, area_ha=9.0), make_alert(1), run="trial", what_if=True))
    assert enqueue_messages(workspace, NOW) == 0
    put(workspace.alerts, make_alert(0), make_alert(2), run="run-2")
    enqueue_messages(workspace, NOW + DAY)
    assert take(workspace) == [("confirmed", name(2))]


def mark_trial(workspace: Workspace, _tally: object) -> None:
    edit(workspace.alerts, "UPDATE runs SET what_if = 1 WHERE run_id = 'trial'")


def test_an_alert_with_a_new_name_is_no_new_alert(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, make_alert(0))
    enqueue_messages(workspace, NOW)
    take(workspace)
    put(workspace.alerts, make_alert(0, alert_id="pampa-20231231-00beef"), run="run-2")
    assert enqueue_messages(workspace, NOW) == 0
    workspace.alerts.unlink()  # and with it the history that tells the old name
    put(workspace.alerts, make_alert(0, alert_id="pampa-20231231-00beef"), run="run-3")
    assert enqueue_messages(workspace, NOW) == 0
    put(workspace.alerts, make_alert(0, alert_id="pampa-20231231-00beef", area_ha=2.5), run="run-4")
    enqueue_messages(workspace, NOW)
    assert take(workspace) == [("grown", "pampa-20231231-00beef")]


def test_an_alert_that_did_not_hold_is_taken_back(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, provisional(0), make_alert(1))
    enqueue_messages(workspace, NOW)
    take(workspace)
    put(workspace.alerts, make_alert(1), run="run-2")
    enqueue_messages(workspace, NOW)
    assert waiting(workspace)[0].events[0].facts["status"] == "withdrawn"
    assert take(workspace) == [("closed", name(0))]
    put(workspace.alerts, provisional(0), make_alert(1), run="run-3")
    enqueue_messages(workspace, NOW)
    assert take(workspace) == [("provisional", name(0))]


def test_decisions_are_told_once_each(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, make_alert(0))
    enqueue_messages(workspace, NOW)
    take(workspace)
    for review in (CONFIRM, NEEDS_VISIT):
        review_alert(workspace.alerts, workspace.decisions, name(0), Review(review, "Rosa", note="seen from the river"))
        enqueue_messages(workspace, NOW)
        message = waiting(workspace)[0]
        assert (message.events[0].facts["review"], message.events[0].facts["reviewed_by"]) == (review, "Rosa")
        assert take(workspace) == [("reviewed", name(0))]


def test_the_first_failure_of_a_row_is_told(workspace: Workspace) -> None:
    one_rule(workspace)
    reasons = ["", "no network", "still no network", "", "disk full"]
    told = []
    for number, reason in enumerate(reasons):
        when = NOW + number * DAY
        append_runs(workspace, [ScheduledRun("nightly", when, when, when, None, {"pampa": reason})])
        enqueue_messages(workspace, when)
        told.append([message.events[0].facts["reason"] for message in waiting(workspace)])
        take(workspace)
    assert told == [[], ["no network"], [], [], ["disk full"]]


def test_failures_of_trial_scans_are_not_told(workspace: Workspace) -> None:
    one_rule(workspace)
    append_runs(workspace, [ScheduledRun("trial", NOW, NOW, NOW, None, {"pampa": "no network"}, what_if=True)])
    assert enqueue_messages(workspace, NOW) == 0


def test_an_area_that_is_not_seen_is_told_once_for_each_recipient(workspace: Workspace) -> None:
    tables = [
        f'[notify.{rule}]\nto_variable = "MAIL"\nareas = ["*"]\nunseen_days = {days}\n' for rule, days in (("a", 20), ("b", 40))
    ]
    set_rules(workspace, "\n".join(tables))
    put(workspace.alerts, as_of=dt.date(2025, 1, 1))
    start = dt.datetime(2024, 1, 1, 3, tzinfo=dt.UTC)  # the first day of the monitoring; there was no clear look
    told = {}
    for day in range(50):
        enqueue_messages(workspace, start + day * DAY)
        told |= {(rule, day): kinds for rule in "ab" if (kinds := take(workspace, rule))}
    assert told == {("a", 20): [("unseen", "pampa")], ("b", 40): [("unseen", "pampa")]}


def test_an_area_that_was_removed_is_not_missed(workspace: Workspace) -> None:
    one_rule(workspace, name="rangers")
    put(workspace.alerts, as_of=dt.date(2025, 1, 1))
    (workspace.aois / "pampa.geojson").unlink()
    assert enqueue_messages(workspace, dt.datetime(2034, 1, 1, tzinfo=dt.UTC)) == 0


# --- rules -----------------------------------------------------------------------------------------------------------


def test_a_rule_tells_what_it_names_and_nothing_else(workspace: Workspace) -> None:
    one_rule(workspace, 'events = ["confirmed"]\nsmallest_ha = 0.5\n')
    put(workspace.alerts, provisional(0), make_alert(1), make_alert(2, area_ha=0.2))
    enqueue_messages(workspace, NOW)
    assert take(workspace) == [("confirmed", name(1))]


def test_an_alert_that_was_too_small_is_told_once_it_is_large(workspace: Workspace) -> None:
    one_rule(workspace, 'events = ["confirmed"]\nsmallest_ha = 0.5\n')
    for number, area in enumerate((0.2, 0.35, 0.7, 2.0)):
        put(workspace.alerts, make_alert(0, area_ha=area), run=f"run-{number}")
        enqueue_messages(workspace, NOW)
        assert take(workspace) == ([("confirmed", name(0))] if area == 0.7 else [])


def put_scored(workspace: Workspace, *alerts: Alert, score: float | None, run: str = "run-1") -> None:
    """Write alerts whose ground looks so much like a mine."""
    cells = {"mine_score": score, "mine_reasons": f"looks like a mine: {score}" if score else "not scored: hidden"}
    put(workspace.alerts, *alerts, run=run, context={alert.alert_id: cells for alert in alerts})


@pytest.mark.parametrize(("score", "told"), [(0.7, True), (0.5, True), (0.49, False), (None, True)])
def test_a_rule_may_leave_out_ground_that_is_known_to_look_otherwise(
    workspace: Workspace, score: float | None, told: bool
) -> None:
    one_rule(workspace, "min_mine_score = 0.5\n")
    put_scored(workspace, make_alert(0), score=score)
    enqueue_messages(workspace, NOW)
    for message in waiting(workspace):
        for event in message.events:
            assert event.facts["mine_reasons"], "a score is never alone"
    assert take(workspace) == ([("confirmed", name(0))] if told else [])


def test_no_likeness_holds_anything_back_where_the_rule_does_not_ask(workspace: Workspace) -> None:
    one_rule(workspace)
    put_scored(workspace, make_alert(0), score=0.01)
    enqueue_messages(workspace, NOW)
    assert take(workspace) == [("confirmed", name(0))]


def test_what_a_recipient_was_told_of_goes_on_whatever_it_looks_like(workspace: Workspace) -> None:
    one_rule(workspace, "min_mine_score = 0.5\n")
    put_scored(workspace, provisional(0), score=None)
    enqueue_messages(workspace, NOW)
    assert take(workspace) == [("provisional", name(0))]
    put_scored(workspace, make_alert(0), score=0.1, run="run-2")
    enqueue_messages(workspace, NOW)
    assert take(workspace) == [("confirmed", name(0))]


def test_a_decision_is_told_whatever_the_ground_looks_like(workspace: Workspace) -> None:
    one_rule(workspace, "min_mine_score = 0.5\n")
    put_scored(workspace, make_alert(0), score=0.1)
    review_alert(workspace.alerts, workspace.decisions, name(0), Review(CONFIRM, "Rosa"))
    enqueue_messages(workspace, NOW)
    assert [kind for kind, _ in take(workspace)] == ["reviewed"]


def test_growth_counts_from_what_this_recipient_was_told(workspace: Workspace) -> None:
    one_rule(workspace, "grown_ha = 1.0\n")
    told = []
    for number in range(8):
        put(workspace.alerts, make_alert(0, area_ha=1 + 0.4 * number), run=f"run-{number}")
        enqueue_messages(workspace, NOW)
        told.append([kind for kind, _ in take(workspace)])
    assert told == [["confirmed"], [], [], ["grown"], [], [], ["grown"], []]


def test_legal_status_chooses_and_a_change_of_it_brings_an_alert_in(workspace: Workspace) -> None:
    one_rule(workspace, 'legal_status = ["outside"]\nevents = ["confirmed"]\n')
    told = []
    for number, legal in enumerate(("inside", "inside", "outside", "outside")):
        put(workspace.alerts, make_alert(0), run=f"run-{number}", context={name(0): {"legal_status": legal}})
        enqueue_messages(workspace, NOW)
        told.append(take(workspace))
    assert told == [[], [], [("confirmed", name(0))], []]


@pytest.mark.parametrize(
    ("pattern", "names"), [("la-*", "la-pampa la-"), ("*", "la-pampa la- x"), ("x", "x"), ("l.*", ""), ("*pampa", "la-pampa")]
)
def test_patterns_of_areas(workspace: Workspace, pattern: str, names: str) -> None:
    set_rules(workspace, f'[notify.r]\nto_variable = "M"\nareas = ["{pattern}"]')
    rule = find_rules(workspace)[0]
    assert [aoi for aoi in ("la-pampa", "la-", "x") if covers(rule, aoi)] == names.split()


def test_a_rule_that_comes_later_hears_of_what_comes_later(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, make_alert(0))
    enqueue_messages(workspace, NOW)
    text = workspace.settings.read_text("utf-8") + '\n[notify.late]\nto_variable = "LATE"\nareas = ["*"]\nunseen_days = 900'
    workspace.settings.write_text(text, "utf-8")
    put(workspace.alerts, make_alert(0), make_alert(1), run="run-2")
    enqueue_messages(workspace, NOW)
    assert take(workspace, "late") == [("confirmed", name(1))]


# --- digests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "expected"), [("daily", {1: 1, 2: 1, 3: 1, 8: 1}), ("weekly", {5: 3, 12: 1})])
def test_a_digest_is_one_message_for_the_time(workspace: Workspace, when: str, expected: dict[int, int]) -> None:
    one_rule(workspace, f'when = "{when}"\n')
    alerts: list[Alert] = []
    told = {}
    for day in range(15):  # the first is a Wednesday
        if day in (0, 1, 2, 7):
            alerts.append(make_alert(len(alerts)))
        put(workspace.alerts, *alerts, run=f"run-{day}")
        for hour in (3, 15):
            enqueue_messages(workspace, NOW.replace(hour=hour) + day * DAY)
            messages = waiting(workspace)
            assert len(messages) <= 1
            if messages:
                told[day] = len(messages[0].events)
            take(workspace)
    assert told == expected


def test_a_clock_that_is_set_back_neither_stops_a_digest_nor_repeats_it(workspace: Workspace) -> None:
    one_rule(workspace, 'when = "daily"\n')
    put(workspace.alerts, make_alert(0))
    told = []
    for when in (NOW + 400 * DAY, NOW, NOW + DAY, NOW + 2 * DAY, NOW):
        enqueue_messages(workspace, when)
        told += take(workspace)
    assert told == [("confirmed", name(0))]


# --- the words -------------------------------------------------------------------------------------------------------


def make_letter(workspace: Workspace, more: str = "", thumbnails: tuple[Thumbnail, ...] = (), **facts: Any) -> RenderedMessage:
    one_rule(workspace, more)
    rule = find_rules(workspace)[0]
    message = make_test_message(rule, NOW)
    event = message.events[0]
    changed = Event(**{**vars(event), "facts": {**event.facts, **facts}, "aoi": facts.get("aoi", event.aoi)})
    return render_message(make_message(rule.name, [changed], message.kinds, NOW), rule, thumbnails)


def test_a_letter_has_area_date_position_with_a_map_hectares_and_status(workspace: Workspace) -> None:
    letter = make_letter(workspace, lat=-12.75186, lon=-69.87929, aoi="la-pampa", legal_status="outside")
    for text in (letter.html, letter.render_text()):
        for part in ("la-pampa", "1 Jan 2025", "-12.75186, -69.87929", "1.23", "confirmed", "outside concessions"):
            assert part in text, part
        assert "mlat=-12.751860&" in text.replace("&amp;", "&")
    assert letter.subject == "minewatch: la-pampa: 1 confirmed by the method"
    collection = json.loads(letter.files[0].data)
    assert shapely.geometry.shape(collection["features"][0]["geometry"]).is_valid


HOSTILE = '<script>alert(1)</script><img src=x onerror="x">{{7*7}}\r\nBcc: all@example.org\u202e'


def test_strangers_texts_stay_texts(workspace: Workspace) -> None:
    letter = make_letter(workspace, aoi=HOSTILE, concession=HOSTILE, territory="{name} %s {{ t }}", alert_id=HOSTILE)
    assert "<script" not in letter.html
    assert "<img" not in letter.html
    assert "&lt;script&gt;" in letter.html
    assert "{{ t }}" in letter.html
    for text in (letter.subject, letter.html, letter.render_text()):
        assert "\u202e" not in text
        assert "\r" not in text
    assert "\n" not in letter.subject
    assert len(letter.subject) < 200


def test_a_note_of_a_reviewer_is_text_too(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, make_alert(0))
    enqueue_messages(workspace, NOW)
    take(workspace)
    review_alert(workspace.alerts, workspace.decisions, name(0), Review(CONFIRM, "<b>Rosa</b>", note=HOSTILE))
    enqueue_messages(workspace, NOW)
    letter = render_message(waiting(workspace)[0], find_rules(workspace)[0], ())
    assert "confirmed by &lt;b&gt;Rosa&lt;/b&gt; on " in letter.html
    assert "<script" not in letter.html


POSITION = re.compile(r"12[.,]9|69[.,]9|openstreetmap|Polygon|secret place")


@pytest.mark.parametrize("webhook", [False, True])
def test_a_recipient_who_must_not_know_places_gets_none(workspace: Workspace, webhook: bool) -> None:
    recipient = 'webhook_variable = "HOOK"\nsecret_variable = "SECRET"' if webhook else 'to_variable = "RANGERS_MAIL"'
    set_rules(workspace, f'[notify.rangers]\n{recipient}\nareas = ["*"]\ncoordinates = false\nunseen_days = 900')
    names = {"concession": "secret place", "territory": "secret place", "admin_unit": "secret place"}
    put(workspace.alerts, make_alert(0), context={name(0): {"legal_status": "inside", **names}})
    review_alert(
        workspace.alerts, workspace.decisions, name(0), Review(CONFIRM, "Rosa", note="at -12.9495, -69.9895, secret place")
    )
    reason = "secret place: 12.9495 S 69.9895 W cannot be read"
    append_runs(workspace, [ScheduledRun("nightly", NOW, NOW, NOW, None, {"pampa": reason})])
    enqueue_messages(workspace, NOW)
    message, rule = waiting(workspace)[0], find_rules(workspace)[0]
    assert {event.event for event in message.events} == {"confirmed", "reviewed", "scan-failed"}
    assert not rule.table.shows_images
    letter = render_message(message, rule, ())
    stored = b"".join(path.read_bytes() for path in (workspace.outbox / WAITING).iterdir())
    for text in (letter.subject, letter.html, letter.render_text(), stored.decode(), render_body(message, rule).decode()):
        assert not POSITION.search(text)
    assert letter.files == ()
    assert "Locations are withheld" in letter.html


def test_images_and_coordinates_are_allowed_apart() -> None:
    def allows(**choices: Any) -> bool:
        return NotifyTable(to_variable="M", areas=("*",), **choices).shows_images

    assert allows()
    assert not allows(images=False)
    assert not allows(coordinates=False)
    assert allows(coordinates=False, images=True)


def test_a_letter_shows_images_or_says_that_there_are_none(workspace: Workspace) -> None:
    bare = make_letter(workspace)
    assert "No images are included" in bare.html
    thumbnail = Thumbnail("test-area-20250101-000000", "2024-12-20", "2025-01-01", b"png")
    letter = make_letter(workspace, "", (thumbnail,))
    assert 'src="cid:before-after-1.png"' in letter.html
    assert "the last normal look (20 Dec 2024), and the look that confirmed it (1 Jan 2025)" in letter.html
    alone = make_letter(workspace, "", (dataclasses.replace(thumbnail, before=""),))
    assert "the look that confirmed it (1 Jan 2025); no normal look before it is known" in alone.html
    assert "No images are included" not in letter.html
    assert "image" not in make_letter(workspace, "images = false\n").html


@pytest.mark.parametrize("longest", [280, 1000, 2000, 4096])
def test_plain_text_fits_the_service(workspace: Workspace, longest: int) -> None:
    one_rule(workspace)
    put(workspace.alerts, *(make_alert(n, first_seen=dt.date(2024, 1, 1), confirmed_on=dt.date(2024, 2, 1)) for n in range(9)))
    enqueue_messages(workspace, NOW)
    text = render_message(waiting(workspace)[0], find_rules(workspace)[0], ()).render_text(longest)
    assert len(text) <= longest
    if longest >= 1000:
        assert "1. pampa" in text
    if longest in (1000, 2000):
        assert re.search(r"and \d more", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_places(language: str) -> None:
    english, words = read_message_texts("en").words, read_message_texts(language).words
    assert set(words) == set(english)
    places = {key: list_places(text) for key, text in english.items()}
    assert {key: list_places(text) for key, text in words.items()} == places


def list_places(text: str | Mapping[str, str]) -> set[str]:
    """The names in braces, which must be the same in all plural forms."""
    forms = [text] if isinstance(text, str) else list(text.values())
    places = [set(re.findall(r"\{(\w+)\}", form)) for form in forms]
    assert all(found == places[0] for found in places)
    return places[0]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["0 days", "1 day", "2 days", "5 days"]),
        ("es", ["0 días", "1 día", "2 días", "5 días"]),
        ("fr", ["0 jour", "1 jour", "2 jours", "5 jours"]),
        ("pt", ["0 dia", "1 dia", "2 dias", "5 dias"]),
    ],
)
def test_days_have_the_plural_of_their_language(language: str, expected: list[str]) -> None:
    texts = read_message_texts(language)
    for number, words in zip((0, 1, 2, 5), expected, strict=True):
        assert re.search(rf"\b{words}\b", texts.count("unseen_ever", number, area="pampa"))
        assert re.search(rf"\b{words}\b", texts.count("unseen", number, area="pampa", date="x"))


def test_the_subject_counts_with_the_plural_of_its_language(workspace: Workspace) -> None:
    one_rule(workspace)
    put(workspace.alerts, *(make_alert(n) for n in range(3)))
    enqueue_messages(workspace, NOW)
    message = waiting(workspace)[0]
    subjects = [make_subject(message, read_message_texts(language), is_test=False) for language in LANGUAGES]
    ends = ["3 confirmed by the method", "3 confirmadas por el método"]
    ends += ["3 confirmées par la méthode", "3 confirmados pelo método"]
    assert subjects == [f"minewatch: pampa: {end}" for end in ends]


@pytest.mark.parametrize(
    ("language", "changed", "green", "subject"),
    [
        ("en", "Ground changed between 27 Dec 2023 and 1 Feb 2024", "green again since 12 Sept 2024", "1 green again, 1 merged"),
        (
            "es",
            "entre el 27 dic 2023 y el 1 feb 2024",
            "de nuevo verde desde el 12 sept 2024",
            "1 de nuevo verde, 1 unida a otra",
        ),
        (
            "fr",
            "entre le 27 déc. 2023 et le 1er févr. 2024",
            "reverdi depuis le 12 sept. 2024",
            "1 reverdie, 1 fusionnée",
        ),
        ("pt", "entre 27 de dez", "terreno verde de novo desde 12 de set", "1 verde de novo, 1 incorporado a outro"),
    ],
)
def test_a_letter_says_what_became_of_an_alert(
    workspace: Workspace, language: str, changed: str, green: str, subject: str
) -> None:
    """The event is ``closed`` for all; in words, vegetation is back, or the ground is part of another alert."""
    one_rule(workspace, f'language = "{language}"\n')
    alerts = [make_alert(n) for n in range(3)]
    put(workspace.alerts, *alerts)
    enqueue_messages(workspace, NOW)
    take(workspace)
    ends = {"status": "closed", "closed_on": dt.date(2024, 9, 12)}
    merged = dataclasses.replace(alerts[2], **ends, merged_into=alerts[0].alert_id)
    put(workspace.alerts, alerts[0], dataclasses.replace(alerts[1], **ends), merged, run="run-2")
    enqueue_messages(workspace, NOW + DAY)
    (message,) = waiting(workspace)
    assert set(message.kinds) == {"closed"}
    letter = render_message(message, find_rules(workspace)[0], ())
    for text in (" ".join(letter.render_text().split()), letter.html):
        assert text.count(green) == 1, "the merged one is not called green again"
    assert changed in " ".join(letter.render_text().split())
    assert letter.subject.endswith(subject)


@pytest.mark.parametrize(
    ("language", "term"),
    [("en", "clear look"), ("es", "observación despejada"), ("fr", "observation dégagée"), ("pt", "observação nítida")],
)
def test_messages_and_reports_call_a_clear_look_the_same(language: str, term: str) -> None:
    own = tomllib.loads((FOLDER / "texts" / f"{language}.toml").read_text("utf-8"))
    shared = read_texts(language).words
    for text in (
        *own["unseen"].values(),
        *own["unseen_ever"].values(),
        own["caution"],
        shared["series_clear"],
        shared["seen_last"],
    ):
        assert term in text
    everything = " ".join(str(text) for text in (*own.values(), *shared.values()))
    for other in ("imagen despejada", "image claire", "imagem limpa", "clear image"):
        assert other not in everything


def test_languages_of_rules_are_those_of_reports() -> None:
    assert sorted(path.stem for path in (FOLDER / "texts").glob("*.toml")) == sorted(LANGUAGES)
    assert {NotifyTable(to_variable="M", areas=("*",), language=language).language for language in LANGUAGES} == set(LANGUAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("language", "word"), [("es", "confirmada"), ("fr", "confirmée"), ("pt", "confirmado"), ("en", "confirmed")]
)
def test_a_letter_speaks_the_language_of_its_rule(workspace: Workspace, language: str, word: str) -> None:
    letter = make_letter(workspace, f'language = "{language}"\n')
    assert word in letter.subject
    assert f'<html lang="{language}">' in letter.html
    assert word in letter.render_text()


def test_the_body_of_a_webhook_is_bounded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    set_rules(workspace, '[notify.hook]\nwebhook_variable = "HOOK"\nsecret_variable = "SECRET"\nareas = ["*"]\nunseen_days = 900')
    put(workspace.alerts, make_alert(0))
    enqueue_messages(workspace, NOW)
    message, rule = waiting(workspace, "hook")[0], find_rules(workspace)[0]
    whole = json.loads(render_body(message, rule))
    assert not whole["geometries_left_out"]
    monkeypatch.setattr(webhook, "LARGEST", len(render_body(message, rule)) - 1)
    value = json.loads(render_body(message, rule))
    assert value["geometries_left_out"]
    assert value["events"][0]["geometry"] is None
    assert value["events"][0]["facts"] == whole["events"][0]["facts"]


def test_images_come_from_evidence_and_tell_no_place(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    scanned, _ = make_scanned(tmp_path_factory)
    workspace = copy_workspace(scanned, tmp_path / "watch")
    alert_ids = [path.name for path in workspace.evidence.iterdir()]
    assert alert_ids
    thumbnails = draw_thumbnails(workspace, ["no-such-alert", *alert_ids])
    assert [thumbnail.alert_id for thumbnail in thumbnails] == alert_ids[:MOST_IMAGES]
    picture = Picture.open(io.BytesIO(thumbnails[0].data))
    assert picture.info == {}
    assert picture.width > 2 * picture.height * 0.9
    rows = read_alerts(workspace.alerts).set_index("alert_id")
    for shown in thumbnails:
        looks = [f"{rows.at[shown.alert_id, name]:%Y-%m-%d}" for name in ("last_normal", "confirmed_on")]
        assert [shown.before, shown.after] == looks, "the same two looks as in the report and the evidence"
    manifest = workspace.evidence / alert_ids[0] / "manifest.json"
    document = json.loads(manifest.read_text())
    del document["images"]["before"]
    manifest.write_text(json.dumps(document))
    alone = draw_thumbnails(workspace, alert_ids[:1])[0]
    assert (alone.before, alone.after) == ("", thumbnails[0].after)
    width, height = Picture.open(io.BytesIO(alone.data)).size
    assert width < 1.2 * height, "one image"
    for path in (workspace.evidence / alert_ids[0]).glob("*.tif"):
        path.write_bytes(path.read_bytes()[:4])
    assert alert_ids[0] not in [thumbnail.alert_id for thumbnail in draw_thumbnails(workspace, alert_ids)]


# --- settings --------------------------------------------------------------------------------------------------------

MAIL = 'to_variable = "RANGERS_MAIL"\n'


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('areas = ["*"]', "give either to_variable or webhook_variable"),
        (MAIL, "notify.rangers.areas"),
        (f"{MAIL}areas = []", "name the areas"),
        (f'{MAIL}areas = ["la pampa"]', "name the areas"),
        (f'{MAIL}areas = ["*"]\nevents = ["confirmd"]', "confirmed"),
        (f'{MAIL}areas = ["*"]\nevents = []', "name at least one"),
        (f'{MAIL}areas = ["*"]\nlanguge = "es"', "did you mean 'language'"),
        (f'{MAIL}areas = ["*"]\nlanguage = "de"', "language"),
        (f'{MAIL}areas = ["*"]\nwhen = "hourly"', "when"),
        ('to_variable = "mailto://user:hunter2@example.org"\nareas = ["*"]', "never what it holds"),
        ('to_variable = "AKIAIOSFODNN7EXAMPLE"\nareas = ["*"]', "never what it holds"),
        ('webhook_variable = "HOOK"\nareas = ["*"]', "go together"),
        (f'{MAIL}areas = ["*"]\nhosts = ["x"]', "hosts is for webhooks"),
        (f'{MAIL}areas = ["*"]\nunseen_days = 0', "unseen_days"),
    ],
)
def test_wrong_rules_are_refused_by_name_and_without_what_stands_there(workspace: Workspace, table: str, words: str) -> None:
    set_rules(workspace, f"[notify.rangers]\n{table}")
    with pytest.raises(WorkspaceError) as caught:
        enqueue_messages(workspace, NOW)
    assert words in str(caught.value)
    assert "notify.rangers" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


def test_the_name_of_a_rule_is_a_plain_one(workspace: Workspace) -> None:
    set_rules(workspace, f'[notify."../x"]\n{MAIL}areas = ["*"]')
    with pytest.raises(WorkspaceError, match="cannot be the name of a rule"):
        find_rules(workspace)
