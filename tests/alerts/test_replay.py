"""The replay: one life of an alert after another, from episodes made by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from minewatch.alerts.record import Alert
from minewatch.alerts.replay import replay_alerts
from minewatch.core.units import to_date, to_day
from minewatch.detection.change_map import EPISODE, Episodes
from minewatch.settings.pipeline import AlertSettings
from tests.helpers.small import make_flat_grid

GRID = make_flat_grid(40, 50)
START = to_day(dt.date(2024, 1, 1))
PLAIN = AlertSettings(min_area_ha=0.1, core_area_ha=0.1, settled_area_ha=0.06, split_distance=0)
Block = tuple[int, int, int, int]
"""Row, column, height, width."""
TEN: Block = (5, 5, 2, 5)


def day(number: int) -> dt.date:
    date = to_date(START + number)
    assert date is not None
    return date


def episode(
    block: Block, seen: int, confirmed: int | None = None, closed: int | None = None, provisional: int | None = None, **more: Any
) -> Episodes:
    """Make one episode for each pixel of a block; days count from START."""
    row, column, height, width = block
    made = np.zeros(height * width, EPISODE)
    made["row"], made["column"] = np.divmod(np.arange(height * width), width) + np.array([[row], [column]])
    made["first_seen"] = START + seen
    made["provisional_on"] = START + (seen if provisional is None else provisional)
    made["confirmed_on"] = 0 if confirmed is None else START + confirmed
    made["closed_on"] = 0 if closed is None else START + closed
    made["last_seen"] = START + max(seen, confirmed or 0)
    made["last_normal"] = START + seen - 5
    made["looks"], made["ndvi_change"], made["bsi_change"] = 3, -4000, 2500
    for name, value in more.items():
        made[name] = value
    return made


def replay(*parts: Episodes, **changes: Any) -> list[Alert]:
    chosen = PLAIN.model_copy(update=changes)
    return replay_alerts(np.concatenate([np.empty(0, EPISODE), *parts]), GRID, "spot", chosen)


def truncate(episodes: Episodes, number: int) -> Episodes:
    """Return the episodes as they were known on a day."""
    last = START + number
    known = episodes[episodes["first_seen"] <= last].copy()
    for name in ("provisional_on", "confirmed_on", "settled_on", "closed_on"):
        known[name][known[name] > last] = 0
    return known


def test_nothing_happened() -> None:
    assert replay() == []


def test_below_the_minimum_area_there_is_no_alert() -> None:
    assert replay(episode((5, 5, 3, 3), 0, confirmed=10)) == []
    (alert,) = replay(episode((5, 5, 2, 5), 0, confirmed=10))
    assert alert.area_ha == pytest.approx(0.1, rel=2e-3)


def test_patches_that_do_not_touch_do_not_add_up() -> None:
    assert replay(episode((5, 5, 1, 5), 0, confirmed=10), episode((7, 5, 1, 5), 0, confirmed=10)) == []


def test_pixels_that_touch_at_a_corner_add_up() -> None:
    assert len(replay(episode((5, 5, 1, 5), 0), episode((6, 10, 1, 5), 0))) == 1


def test_what_was_never_provisional_is_no_alert() -> None:
    assert replay(episode(TEN, 0, provisional=-START)) == []


def test_an_alert_is_provisional_at_first() -> None:
    (alert,) = replay(episode(TEN, 3))
    assert (alert.status, alert.first_seen, alert.confirmed_on) == ("provisional", day(3), None)
    assert (alert.aoi, alert.last_normal, alert.looks) == ("spot", day(-2), 3)
    assert (alert.ndvi_change, alert.bsi_change) == (-0.4, 0.25)


def test_an_alert_is_confirmed_on_the_look_that_made_it_sure() -> None:
    (alert,) = replay(episode(TEN, 3, confirmed=13))
    assert (alert.status, alert.first_seen, alert.confirmed_on) == ("confirmed", day(3), day(13))


def test_an_alert_needs_the_minimum_area_of_confirmed_pixels() -> None:
    half = episode((5, 5, 2, 5), 3, confirmed=13)
    other = episode((7, 5, 2, 5), 3)
    (provisional,) = replay(half[:9], other)
    (confirmed,) = replay(half, other)
    assert (provisional.status, confirmed.status) == ("provisional", "confirmed")


def test_an_alert_is_confirmed_when_the_tenth_pixel_is() -> None:
    (alert,) = replay(episode((5, 5, 1, 6), 3, confirmed=13), episode((6, 5, 1, 6), 3, confirmed=20))
    assert alert.confirmed_on == day(20)


def test_a_provisional_alert_that_fades_is_closed_and_stays_in_the_table() -> None:
    (alert,) = replay(episode(TEN, 3, closed=23))
    assert (alert.status, alert.confirmed_on) == ("closed", None)
    assert alert.area_ha == pytest.approx(0.1, rel=2e-3)


def test_a_confirmed_alert_that_closes_was_confirmed_all_the_same() -> None:
    (alert,) = replay(episode(TEN, 3, confirmed=13, closed=60))
    assert (alert.status, alert.first_seen, alert.confirmed_on) == ("closed", day(3), day(13))


def test_first_seen_is_the_look_on_which_the_minimum_area_had_been_seen() -> None:
    (alert,) = replay(episode((5, 5, 1, 4), 0, provisional=8), episode((6, 5, 1, 6), 5, provisional=8))
    assert alert.first_seen == day(5)


def test_an_alert_grows_under_its_id() -> None:
    small, grown = episode(TEN, 3, confirmed=13), episode((7, 5, 4, 5), 30, confirmed=40)
    (before,) = replay(small)
    (after,) = replay(small, grown)
    assert after.alert_id == before.alert_id
    assert (after.first_seen, after.confirmed_on) == (before.first_seen, before.confirmed_on)
    assert after.area_ha == pytest.approx(0.3, rel=2e-3)
    assert after.last_seen == day(40)


def test_a_small_alert_is_confirmed_when_enough_of_it_is_settled() -> None:
    ground = episode(TEN, 3, confirmed=13)
    assert replay(ground, core_area_ha=0.12)[0].confirmed_on is None
    ground["settled_on"][:6] = START + 30
    (alert,) = replay(ground, core_area_ha=0.12)
    assert (alert.status, alert.confirmed_on) == ("confirmed", day(30))


def test_position_lies_in_the_alert() -> None:
    (alert,) = replay(episode((5, 5, 1, 5), 0), episode((6, 5, 4, 1), 0), episode((6, 9, 4, 1), 0))
    assert alert.geometry.contains(shapely.Point(alert.lon, alert.lat))


def test_an_id_names_the_area_and_the_day_it_began() -> None:
    (alert,) = replay(episode(TEN, 3, provisional=8))
    assert alert.alert_id.startswith("spot-20240109-")
    assert len(alert.alert_id) == len("spot-20240109-") + 6


def test_alerts_of_one_day_have_different_ids() -> None:
    alerts = replay(*(episode((row, 5, 2, 5), 3) for row in (0, 5, 10, 15)))
    assert len({alert.alert_id for alert in alerts}) == 4
    assert [alert.alert_id for alert in alerts] == sorted(alert.alert_id for alert in alerts)


def test_the_older_alert_takes_in_the_younger() -> None:
    older, younger = episode((5, 5, 2, 5), 0, confirmed=10), episode((5, 15, 2, 8), 2, confirmed=12)
    bridge = episode((5, 10, 2, 5), 30, confirmed=40)
    apart = {alert.first_seen: alert for alert in replay(older, younger)}
    merged = {alert.first_seen: alert for alert in replay(older, younger, bridge)}
    first, second = merged[day(0)], merged[day(2)]
    assert [first.alert_id, second.alert_id] == [apart[day(0)].alert_id, apart[day(2)].alert_id]
    assert (first.status, first.merged_into) == ("confirmed", "")
    assert first.area_ha == pytest.approx(0.36, rel=2e-3)
    assert (second.status, second.merged_into, second.confirmed_on) == ("closed", first.alert_id, day(12))


def test_ground_that_was_taken_in_stays_with_the_older_alert_when_it_parts_again() -> None:
    older, younger = episode((5, 5, 2, 5), 0, confirmed=10), episode((5, 15, 2, 8), 2, confirmed=12)
    bridge = episode((5, 10, 2, 5), 30, confirmed=40, closed=60)
    alerts = {alert.split_on or alert.first_seen: alert for alert in replay(older, younger, bridge)}
    part = alerts[day(60)]
    assert part.split_from == alerts[day(0)].alert_id
    assert (part.first_seen, part.confirmed_on) == (day(2), day(12)), "its own pixels' dates"
    assert alerts[day(2)].merged_into == alerts[day(0)].alert_id
    assert alerts[day(2)].closed_on == day(30)


def test_a_part_that_splits_off_is_a_new_alert() -> None:
    left, right = episode((5, 5, 2, 5), 0, confirmed=10), episode((5, 12, 2, 6), 1, confirmed=11)
    bridge = episode((5, 10, 2, 2), 1, confirmed=11, closed=50)
    whole = replay(truncate(np.concatenate([left, right, bridge]), 49))
    alerts = replay(left, right, bridge)
    assert len(whole) == 1
    kept = next(alert for alert in alerts if alert.alert_id == whole[0].alert_id)
    part = next(alert for alert in alerts if alert.alert_id != whole[0].alert_id)
    assert (kept.status, kept.split_from, kept.confirmed_on) == ("confirmed", "", day(10))
    assert kept.geometry.bounds[0] < part.geometry.bounds[0], "the part with the founding pixel keeps the id"
    assert part.split_from == kept.alert_id
    assert part.status == "confirmed"
    assert (part.first_seen, part.confirmed_on, part.split_on) == (day(1), day(11), day(50)), "its own pixels' dates"
    assert part.last_normal == day(-4)


def test_a_part_that_splits_off_unproven_is_confirmed_by_its_own_later_looks() -> None:
    left, right = episode((5, 5, 2, 5), 0, confirmed=10), episode((5, 12, 2, 6), 1, confirmed=60)
    bridge = episode((5, 10, 2, 2), 1, confirmed=11, closed=50)
    (part,) = (alert for alert in replay(left, right, bridge) if alert.split_from)
    assert (part.first_seen, part.split_on, part.confirmed_on) == (day(1), day(50), day(60))


def test_the_last_normal_look_is_that_of_the_ground_that_began_the_alert() -> None:
    began, grown = episode((5, 5, 4, 4), 10, confirmed=20), episode((9, 5, 4, 4), 40, confirmed=50)
    assert replay(began, grown)[0].last_normal == day(5)
    began["last_normal"][:2] = (began["last_normal"] + 3)[:2]
    assert replay(began, grown)[0].last_normal == day(5), "two pixels of sixteen may be misjudged"
    began["last_normal"] = 0
    assert replay(began, grown)[0].last_normal is None, "the bracket is open to the left"


def test_parts_that_stay_near_each_other_stay_one_alert() -> None:
    left, right = episode((5, 5, 2, 5), 0, confirmed=10), episode((5, 12, 2, 6), 1, confirmed=11)
    bridge = episode((5, 10, 2, 2), 1, confirmed=11, closed=50)
    (alert,) = replay(left, right, bridge, split_distance=40)
    assert alert.area_ha == pytest.approx(0.22, rel=2e-3)
    assert len(replay(left, right, bridge, split_distance=0)) == 2


def test_parts_that_were_never_one_stay_two_alerts() -> None:
    parts = episode((5, 5, 2, 5), 0, confirmed=10), episode((5, 12, 2, 6), 1, confirmed=11)
    assert len(replay(*parts, split_distance=1000)) == 2


def test_a_neighbour_that_joins_later_does_not_undo_a_split() -> None:
    """What stands between two parts and belongs to neither must not hold them together, today or in hindsight."""
    left, right = episode((5, 0, 2, 5), 0, confirmed=9), episode((5, 20, 2, 5), 0, confirmed=9)
    bridge = episode((5, 5, 1, 15), 0, confirmed=9, closed=10)
    between = episode((8, 10, 2, 5), 0, confirmed=9)
    link = episode((6, 12, 2, 1), 30)
    then = {alert.alert_id for alert in replay(left, right, bridge, between, split_distance=100)}
    now = {alert.alert_id for alert in replay(left, right, bridge, between, link, split_distance=100)}
    assert len(then) == 3
    assert then <= now


def test_a_crumb_that_splits_off_is_no_alert() -> None:
    alerts = replay(
        episode((5, 5, 2, 5), 0, confirmed=10),
        episode((5, 10, 2, 2), 0, confirmed=10, closed=50),
        episode((5, 12, 2, 2), 0, confirmed=10),
    )
    assert len(alerts) == 1


def test_an_alert_that_lost_its_founding_pixel_goes_on_where_most_of_it_is() -> None:
    founder = episode((5, 5, 1, 1), 0, confirmed=10, closed=40)
    rest = episode((5, 6, 1, 12), 1, confirmed=11)
    (before,) = replay(truncate(np.concatenate([founder, rest]), 39))
    (after,) = replay(founder, rest)
    assert after.alert_id == before.alert_id
    assert after.status == "confirmed"


def test_an_anomaly_that_returns_re_opens_the_closed_alert() -> None:
    gone = episode(TEN, 0, confirmed=10, closed=40)
    back = episode((6, 5, 2, 6), 70, confirmed=80)
    (closed,) = replay(gone)
    (alert,) = replay(gone, back)
    assert (closed.status, alert.status) == ("closed", "confirmed")
    assert (alert.alert_id, alert.confirmed_on, alert.first_seen) == (closed.alert_id, day(10), day(0))
    assert alert.area_ha == pytest.approx(0.12, rel=2e-3)


def test_a_return_that_was_never_confirmed_is_confirmed_later() -> None:
    (alert,) = replay(episode(TEN, 0, closed=20), episode(TEN, 70, confirmed=80))
    assert (alert.status, alert.confirmed_on) == ("confirmed", day(80))


def test_a_new_anomaly_elsewhere_re_opens_nothing() -> None:
    alerts = replay(episode(TEN, 0, confirmed=10, closed=40), episode((20, 20, 2, 5), 70))
    assert sorted(alert.status for alert in alerts) == ["closed", "provisional"]


def test_the_minimum_area_is_a_setting() -> None:
    assert replay(episode((5, 5, 5, 5), 0), min_area_ha=0.26) == []
    assert len(replay(episode((5, 5, 5, 5), 0), min_area_ha=0.25)) == 1


@st.composite
def histories(draw: st.DrawFn) -> Episodes:
    """Draw blocks in a corner of the grid that come, grow sure and go, so that they often touch."""
    parts: list[Episodes] = []
    for _ in range(draw(st.integers(1, 6))):
        block = tuple(draw(st.integers(*limits)) for limits in ((0, 8), (0, 8), (1, 5), (2, 6)))
        seen = draw(st.integers(0, 30))
        confirmed = draw(st.none() | st.integers(seen + 1, seen + 15))
        closed = draw(st.none() | st.integers((confirmed or seen) + 1, (confirmed or seen) + 20))
        settled = START + confirmed + 2 if confirmed and draw(st.booleans()) else 0
        parts.append(episode(block, seen, confirmed, closed, settled_on=settled))
    return drop_overlaps(parts)


def drop_overlaps(parts: Iterable[Episodes]) -> Episodes:
    """Keep what a pixel can have: one episode at a time, the next after the end of the last."""
    kept: dict[tuple[int, int], list[Any]] = {}
    for record in np.sort(np.concatenate(list(parts)), order=["first_seen"]):
        own = kept.setdefault((int(record["row"]), int(record["column"])), [])
        if not own or 0 < own[-1]["closed_on"] < record["first_seen"]:
            own.append(record)
    return np.array([record for own in kept.values() for record in own], EPISODE)


def describe(alerts: Sequence[Alert]) -> list[Any]:
    return [(alert, alert.geometry.wkb) for alert in alerts]


@settings(deadline=None, max_examples=30)
@given(episodes=histories(), seed=st.integers(0, 1000))
def test_the_order_of_episodes_does_not_matter(episodes: Episodes, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(episodes)
    assert describe(replay(shuffled)) == describe(replay(episodes))


@settings(deadline=None, max_examples=60)
@given(episodes=histories(), number=st.integers(0, 70), distance=st.sampled_from([0, 40]))
def test_later_events_change_neither_ids_nor_dates(episodes: Episodes, number: int, distance: int) -> None:
    now, then = replay(episodes, split_distance=distance), replay(truncate(episodes, number), split_distance=distance)
    by_id = {alert.alert_id: alert for alert in now}
    assert {alert.alert_id for alert in then} <= set(by_id), "a row, once there, stays"
    for alert in then:
        assert by_id[alert.alert_id].first_seen == alert.first_seen
        assert by_id[alert.alert_id].split_from == alert.split_from
    rows = [alert for alert in now if not alert.split_on or alert.split_on <= day(number)]  # other parts were not split off yet
    confirmed = {alert.alert_id: alert.confirmed_on for alert in rows if alert.confirmed_on and alert.confirmed_on <= day(number)}
    assert confirmed == {alert.alert_id: alert.confirmed_on for alert in then if alert.confirmed_on}
    merged = {alert.alert_id: alert.merged_into for alert in then if alert.merged_into}
    assert merged.items() <= {alert.alert_id: alert.merged_into for alert in now}.items()


@settings(deadline=None, max_examples=60)
@given(episodes=histories(), distance=st.sampled_from([0, 40]))
def test_every_alert_is_sound(episodes: Episodes, distance: int) -> None:
    alerts = replay(episodes, split_distance=distance)
    ids = {alert.alert_id for alert in alerts}
    assert len(ids) == len(alerts)
    for alert in alerts:
        assert alert.geometry.is_valid
        assert alert.area_ha > 0
        assert alert.confirmed_on is None or alert.confirmed_on >= alert.first_seen
        assert (alert.status == "confirmed") <= (alert.confirmed_on is not None)
        assert alert.last_seen >= alert.first_seen
        assert {alert.merged_into, alert.split_from} - {""} <= ids - {alert.alert_id}
        assert alert.status == "closed" or not alert.merged_into


@settings(deadline=None, max_examples=30)
@given(episodes=histories())
def test_what_happens_elsewhere_does_not_matter(episodes: Episodes) -> None:
    far = episode((30, 10, 3, 30), 4, confirmed=9)
    alone = replay(episodes)
    together = [alert for alert in replay(episodes, far) if alert.alert_id in {a.alert_id for a in alone}]
    assert describe(together) == describe(alone)
    assert len(replay(episodes, far)) == len(alone) + 1
