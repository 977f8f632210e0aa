"""What a run reads, by the rules of the planner."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.eduframe.planning.blocks import Blocks
from sources.eduframe.planning.hints import suspects
from sources.eduframe.planning.planner import Schedule, choose, needed, unseen
from sources.eduframe.planning.rates import Rates
from sources.eduframe.planning.views import Choice, ListView, Parents, Window

NOW, HOUR, DAY = 1_700_000_000.0, 3600.0, 86400.0
EVERY = 900.0


def paged(name: str = "orders", pages: int = 50, hours: float = 1.0, **more: object) -> ListView:
    """An ordered list of full pages, read so many hours ago."""
    blocks = Blocks.of(np.arange(1, pages * 100 + 1) * 2, NOW - hours * HOUR)
    view = ListView(name, pages * 100, "ascending", True, True, blocks=blocks)
    return replace(view, **more)


def unordered(
    name: str = "labels", pages: int = 20, hours: float = 1.0, **more: object
) -> ListView:
    view = ListView(name, pages * 100, "none", proven_at=NOW - hours * HOUR)
    return replace(view, **more)


def under_parents(
    count: int = 100, *, changed: tuple[int, ...] = (), never: int = 0, **more: object
) -> ListView:
    asked = np.full(count, NOW - DAY)
    asked[:never] = np.nan
    flags = np.isin(np.arange(count), changed)
    parents = Parents(np.arange(count, 0, -1), asked, flags, np.zeros(count, np.bool_))
    view = ListView("payments", 0, parents=parents, reconcile_every=7 * DAY)
    return replace(view, **more)


def plan(*views: ListView, allowance: int | None, rates: Rates | None = None) -> Schedule:
    return choose(views, rates or Rates(), allowance, NOW, EVERY)


def of(schedule: Schedule, **wanted: object) -> list[Choice]:
    return [
        choice
        for choice in schedule.choices
        if all(getattr(choice, name) == value for name, value in wanted.items())
    ]


def pages_of(schedule: Schedule, name: str) -> set[int]:
    choices = of(schedule, name=name, kind="pages")
    return {page for choice in choices for page in range(choice.first, choice.last + 1)}


@pytest.mark.parametrize("allowance", [None, 181])
def test_what_can_be_afforded_is_read_whole(allowance: int | None) -> None:
    schedule = plan(paged(), unordered(), under_parents(), ListView("x", 0), allowance=allowance)
    assert [(choice.name, choice.kind, choice.cost) for choice in schedule.choices] == [
        ("orders", "whole", 50),
        ("labels", "whole", 20),
        ("payments", "whole", 100),
        ("x", "whole", 1),
    ]


def test_the_newest_pages_come_first() -> None:
    schedule = plan(paged(reconcile_every=30 * DAY), allowance=10)
    assert schedule.choices[0].kind == "pages"
    assert (schedule.choices[0].first, schedule.choices[0].last) == (47, 50)


def test_in_a_descending_list_they_are_the_first_ones() -> None:
    view = paged(order="descending", reconcile_every=30 * DAY)
    schedule = plan(view, allowance=10)
    assert (schedule.choices[0].first, schedule.choices[0].last) == (1, 4)


def test_a_run_in_quiet_hours_has_more_where_things_fall_due() -> None:
    due = paged(hours=3, reconcile_every=2 * HOUR)
    assert choose([due], Rates(), 5, NOW, EVERY, most=30).cost == 30
    assert choose([due], Rates(), 5, NOW, EVERY, most=0).cost == 5
    later = paged(hours=3, reconcile_every=3 * DAY)
    assert choose([later], Rates(), 5, NOW, EVERY, most=30).cost == 5


def test_a_page_just_read_gives_way_to_others() -> None:
    view = paged(reconcile_every=30 * DAY)
    assert view.blocks is not None
    view = replace(view, blocks=view.blocks.mark(9801, 10_000, NOW - 10.0))
    assert 50 not in pages_of(plan(view, allowance=10), "orders")


def test_the_sweep_reads_what_was_read_longest_ago() -> None:
    view = paged(reconcile_every=30 * DAY)
    assert view.blocks is not None
    view = replace(view, blocks=view.blocks.mark(1, 8000, NOW - 60.0).mark(2001, 2200, NOW - DAY))
    rates = Rates()
    rates.observe("orders", 10, 0, 1e9)
    swept = of(plan(view, allowance=10, rates=rates), reason="not read for 1d")
    assert [(choice.first, choice.last) for choice in swept] == [(11, 11)]


@pytest.mark.parametrize(
    ("reconcile_every", "share"), [(30 * DAY, 0.2), (100 * EVERY, 0.5), (HOUR, 0.8)]
)
def test_the_sweep_has_a_fifth_or_what_it_needs_up_to_four_fifths(
    reconcile_every: float, share: float
) -> None:
    view = paged(pages=1000, hours=0, reconcile_every=reconcile_every)
    assert plan(view, allowance=20).sweep == pytest.approx(share, abs=0.01)


def test_the_budget_that_would_do_is_told() -> None:
    views = [paged(pages=1000, reconcile_every=10 * EVERY), unordered(reconcile_every=2 * EVERY)]
    assert needed(views, EVERY) == (100 + 10) / 0.8 + 0.5
    assert plan(*views, allowance=50).needed == 138


def test_a_list_in_no_order_is_walked_over_several_runs() -> None:
    first = plan(unordered(pages=500, hours=48), allowance=100)
    assert of(first, name="labels", kind="whole")
    assert first.cost == 100
    last = plan(unordered(pages=500, hours=48, walk_left=30), allowance=100)
    assert last.cost == 30


def test_pages_are_not_asked_where_they_are_not_served_or_not_in_order() -> None:
    for change in ({"by_page": False}, {"order": "unknown"}, {"order": "none"}, {"blocks": None}):
        schedule = plan(paged(pages=500, **change), allowance=100)
        assert {choice.kind for choice in schedule.choices} == {"whole"}


def test_hints_come_first_and_do_not_eat_everything() -> None:
    hinted = np.arange(1, 401) * 2_000
    schedule = plan(paged(pages=9000, hinted=hinted, reconcile_every=1e9), allowance=100)
    assert schedule.choices[0].kind == "items"
    assert schedule.choices[0].cost == 40
    assert schedule.choices[0].ids.tolist() == hinted[: schedule.choices[0].cost].tolist()


def test_hints_on_one_page_are_one_request() -> None:
    schedule = plan(paged(hinted=np.array([402, 404, 500, 6000])), allowance=40)
    assert [(c.kind, c.first, c.ids.tolist()) for c in schedule.choices[:2]] == [
        ("pages", 3, []),
        ("items", 0, [6000]),
    ]


def test_without_an_item_path_a_hint_is_asked_by_its_page() -> None:
    view = paged(hinted=np.array([402]), by_item=False)
    assert plan(view, allowance=40).choices[0].first == 3
    down = replace(view, order="descending")
    assert plan(down, allowance=40).choices[0].first == 48


def test_hints_of_several_lists_take_turns() -> None:
    hints, every = np.arange(1, 900) * 200, 1e9
    views = [paged(name, 900, hinted=hints, reconcile_every=every) for name in ("a", "b")]
    items = of(plan(*views, allowance=40), kind="items")
    assert [choice.cost for choice in items] == [8, 8]


def test_neighbours_of_an_import_are_suspect() -> None:
    blocks = Blocks.of(np.arange(1, 100_001), NOW)
    page = np.arange(50_001, 50_101)
    assert suspects(blocks, page, page[:2]) == []
    found = suspects(blocks, page, page[:60])
    assert found == [(48_001, 50_000), (50_101, 52_100)]
    view = paged(pages=1000, blocks=blocks, suspect=found)
    schedule = choose([view], Rates(), 60, NOW, EVERY, hints_only=True)
    assert pages_of(schedule, "orders") == {*range(481, 501), *range(502, 522)}


def test_windows_compete() -> None:
    windows = [
        Window("meeting", {"meeting_id": str(n)}, 10, NOW - hours * HOUR, NOW - HOUR)
        for n, hours in enumerate([3, 30, -2])
    ]
    rates = Rates()
    for _ in range(40):
        rates.observe_window("attendances", 2, 3, 3, 10)
        rates.observe_window("attendances", 29, 30, 0, 10)
    view = paged("attendances", windows=windows, reconcile_every=30 * DAY)
    found = of(plan(view, allowance=10, rates=rates), kind="window")
    assert [c.window.params["meeting_id"] for c in found if c.window] == ["0"]


def test_parents_that_changed_come_before_those_never_asked_and_the_others() -> None:
    view = under_parents(1000, changed=(700, 900), never=500)
    rates = Rates()
    rates.observe("payments", 0, 50, 50, "parents")
    rates.observe("payments", 1, 5, 50, "parents")
    schedule = plan(view, paged(pages=500), allowance=100, rates=rates)
    asked = of(schedule, kind="under parents")
    assert asked[0].ids.tolist() == [300, 100]
    assert asked[0].reason == "their own rows changed"
    assert asked[1].reason == "never asked"
    assert asked[1].ids[0] == 1000


def test_a_second_look_asks_hints_and_changed_parents_alone() -> None:
    views = [paged(hinted=np.array([42])), under_parents(changed=(3, 4, 5)), unordered()]
    schedule = choose(views, Rates(), 3, NOW, EVERY, hints_only=True)
    assert [(choice.kind, choice.ids.tolist()) for choice in schedule.choices] == [
        ("items", [42]),
        ("under parents", [97, 96]),
    ]


def test_parents_never_asked_do_not_take_what_the_sweep_has_for_lists() -> None:
    views = [paged(pages=500, hours=30), under_parents(10_000, never=10_000)]
    schedule = plan(*views, allowance=100)
    assert sum(choice.cost for choice in of(schedule, name="orders")) >= 50
    assert sum(choice.cost for choice in of(schedule, name="payments")) >= 10


def test_unseen_changes_grow_with_time() -> None:
    soon, late = (unseen([paged(hours=hours)], Rates(), NOW)["orders"] for hours in (1, 10))
    assert 0 < soon < late < 5000
    assert unseen([paged(hours=-0.1)], Rates(), NOW)["orders"] == 0


LISTS = st.lists(
    st.one_of(
        st.builds(paged, pages=st.integers(1, 80), hours=st.floats(0, 1000),
                  order=st.sampled_from(["ascending", "descending"]),
                  hinted=st.lists(st.integers(1, 20_000), max_size=30, unique=True).map(
                      lambda ids: np.array(ids, np.int64))),
        st.builds(unordered, pages=st.integers(0, 80), hours=st.floats(0, 1000),
                  walk_left=st.integers(0, 100)),
        st.builds(under_parents, count=st.integers(0, 80), never=st.integers(0, 80)),
    ),
    max_size=6,
)  # fmt: skip


@given(LISTS, st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_a_schedule_never_costs_more_than_is_allowed_nor_reads_a_page_twice(
    views: list[ListView], allowance: int
) -> None:
    views = [replace(view, name=f"list_{n}") for n, view in enumerate(views)]
    schedule = plan(*views, allowance=allowance)
    assert 0 <= schedule.cost <= allowance
    assert schedule.sweep == 1 or all(choice.cost > 0 for choice in schedule.choices)
    whole = sum(view.cost for view in views)
    to_go = sum(min(view.walk_left, view.cost) or view.cost for view in views)  # of walks begun
    spent = min(allowance, to_go) <= schedule.cost <= whole
    assert spent or any(len(view.hinted) for view in views)
    for view in views:
        choices = of(schedule, name=view.name, kind="pages")
        numbers = [n for choice in choices for n in range(choice.first, choice.last + 1)]
        assert len(numbers) == len(set(numbers))
        assert all(1 <= number <= view.pages for number in numbers)


def test_no_list_starves() -> None:
    """Run after run on a small budget, everything is read within what the sweep's share takes."""
    rates, now = Rates(), NOW
    rates.observe("lively", 0, 10**6, 10**6)
    views = [paged("lively", 30, 0), paged("quiet", 30, 0), unordered("labels", 24, 0)]
    views.append(unordered("custom", 1, 0, at_once=6, reconcile_every=30 * EVERY))
    oldest = 0.0
    for _ in range(80):
        now += EVERY
        for choice in choose(views, rates, 10, now, EVERY).choices:
            place = next(n for n, view in enumerate(views) if view.name == choice.name)
            views[place] = _read(views[place], choice, now)
        for view in views:
            age = now - view.proven_at if view.blocks is None else view.blocks.ages(now).max()
            oldest = max(oldest, float(age))
    assert oldest / EVERY < 90 / (10 * 0.2) * 1.5


def _read(view: ListView, choice: Choice, now: float) -> ListView:
    if view.at_once:
        assert choice.cost == view.at_once
        return replace(view, proven_at=now)
    if view.blocks is None:
        left = (view.walk_left or view.pages) - choice.cost
        return replace(view, walk_left=left, proven_at=view.proven_at if left else now)
    first, last = (1, view.pages) if choice.kind == "whole" else (choice.first, choice.last)
    blocks = view.blocks.mark(int(first - 1) * 200 + 1, last * 200, now)
    return replace(view, blocks=blocks.fit(blocks.keys))


def test_never_read_tells_nothing_of_how_much_a_list_has_grown() -> None:
    """As after a clock was set back: a page is one request, and three rows are not hundreds."""
    lists = [paged(hours=float("nan")), paged("users")]
    chosen = choose(lists, Rates(), 30, NOW, EVERY).choices
    assert [c.cost for c in chosen if c.name == "orders"] == [c.last - c.first + 1 for c in chosen
                                                            if c.name == "orders"]
    three = unordered(pages=1, hours=float("nan"), rows=3)
    assert unseen([three], Rates(), NOW)["labels"] < 6
