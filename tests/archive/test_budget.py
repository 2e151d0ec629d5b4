"""The choice within a budget: split by quarter, decided in order, and the same whoever scans how often."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from minewatch.archive.budget import Candidate, Split, choose_looks, find_quarter
from minewatch.areas.grid import COARSE_PIXEL, PIXEL

FIRST = dt.date(2022, 2, 10)
DAYS = 600
SPLIT = Split(FIRST, FIRST + dt.timedelta(days=300), 100.0)


@st.composite
def looks(draw: st.DrawFn) -> list[Candidate]:
    days = draw(st.lists(st.integers(0, DAYS - 1), unique=True, max_size=60))
    return [
        Candidate(
            f"key-{day:03}",
            FIRST + dt.timedelta(days=day),
            draw(st.sampled_from([0.0, 0.05, 0.3, 0.6, 0.9, 1.0])),
            draw(st.integers(0, 20)),
            size := draw(st.one_of(st.none(), st.integers(1, 4000))),
            draw(st.sampled_from([None, size and size // 3])),
        )
        for day in days
    ]


def sort_by_quarter(chosen: Mapping[str, int], candidates: list[Candidate]) -> dict[dt.date, set[str]]:
    quarters: dict[dt.date, set[str]] = {find_quarter(one.day): set() for one in candidates}
    for one in candidates:
        quarters[find_quarter(one.day)] |= chosen.keys() & {one.key}
    return quarters


@given(looks())
def test_a_quarter_never_spends_more_than_its_share(candidates: list[Candidate]) -> None:
    chosen = choose_looks(candidates, SPLIT)
    for start, keys in sort_by_quarter(chosen, candidates).items():
        end = find_quarter(start + dt.timedelta(days=100))
        read = [one for one in candidates if one.key in keys]
        spent = sum((one.size if chosen[one.key] == PIXEL else one.coarse_size) or 0 for one in read)
        assert spent <= SPLIT.pay(start, end)


@given(looks(), st.integers(0, DAYS))
def test_who_scans_on_any_day_chose_what_one_later_scan_chooses(candidates: list[Candidate], days: int) -> None:
    until = FIRST + dt.timedelta(days=days)
    early = choose_looks([one for one in candidates if one.day <= until], SPLIT)
    late = choose_looks(candidates, SPLIT)
    assert early == {one.key: late[one.key] for one in candidates if one.key in late and one.day <= until}


@given(looks(), st.integers(0, DAYS - 1))
def test_a_late_item_changes_its_own_quarter_alone(candidates: list[Candidate], day: int) -> None:
    item = Candidate("late", FIRST + dt.timedelta(days=day), 1.0, 5, 900)
    without, with_it = (choose_looks(some, SPLIT) for some in (candidates, [*candidates, item]))
    for start, keys in sort_by_quarter(without, candidates).items():
        if start != find_quarter(item.day):
            assert keys == sort_by_quarter(with_it, candidates)[start]


@given(looks(), st.randoms())
def test_the_order_of_a_listing_does_not_matter(candidates: list[Candidate], random: object) -> None:
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose_looks(shuffled, SPLIT) == choose_looks(candidates, SPLIT)


def test_clear_looks_are_preferred_and_spread_over_the_quarter() -> None:
    """Of a quarter's nine looks a third is clear, and its share pays for three."""
    start = dt.date(2022, 4, 1)
    clear = {5, 45, 75}
    candidates = [
        Candidate(f"{day:02}", start + dt.timedelta(days=day), 1.0 if day in clear else 0.3, 0, 2400) for day in range(5, 91, 10)
    ]
    assert choose_looks(candidates, replace(SPLIT, first=start)) == {f"{day:02}": PIXEL for day in clear}


def test_where_few_looks_would_be_paid_for_more_of_them_are_read_in_larger_pixels() -> None:
    start = dt.date(2022, 4, 1)
    split = replace(SPLIT, first=start)
    share = split.pay(start, find_quarter(start + dt.timedelta(days=100)))

    def choose(size: int, coarse_size: int | None) -> dict[str, int]:
        days = range(5, 91, 10)
        looks = [Candidate(f"{day:02}", start + dt.timedelta(days=day), 1.0, 0, size, coarse_size) for day in days]
        return choose_looks(looks, split)

    few, more = choose(round(share / 2), None), choose(round(share / 2), round(share / 6))
    assert (set(few.values()), set(more.values())) == ({PIXEL}, {COARSE_PIXEL})
    assert len(more) > 2 * len(few)
    assert set(choose(round(share / 5), round(share / 15)).values()) == {PIXEL}, "sharp where enough looks are paid for"
