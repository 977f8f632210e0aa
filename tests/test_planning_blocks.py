"""The ledger against a plain model: a dict of when each key was last read."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.eduframe.planning.blocks import AHEAD, MOST_ROWS, PER_PAGE, Blocks

NEVER = float("nan")


def keys(*, rows: int, step: int = 3) -> np.ndarray:
    return np.arange(1, rows + 1, dtype=np.int64) * step


def times(blocks: Blocks) -> dict[int, float]:
    """When each key was read, by the blocks."""
    read = np.repeat(blocks.read_at, blocks.rows)
    return dict(zip(blocks.keys.tolist(), read.tolist(), strict=True))


def older(a: float, b: float) -> bool:
    return math.isnan(a) or (not math.isnan(b) and a <= b)


def test_blocks_are_pages_at_the_growing_end_and_a_thousand_rows_far_back() -> None:
    rows = Blocks.of(keys(rows=50_000), 0.0).rows
    assert rows.sum() == 50_000
    assert set(rows[-10:]) == {PER_PAGE}
    assert rows.max() == MOST_ROWS
    assert rows[5] == MOST_ROWS


def test_a_million_rows_take_some_thousand_blocks() -> None:
    sizes = (400_000, 150_000, 100_000, 100_000, 80_000, 80_000, 90_000)
    assert 900 < sum(len(Blocks.of(keys(rows=size), 0.0)) for size in sizes) < 1500


def test_no_rows_are_no_blocks() -> None:
    none = Blocks.of(keys(rows=0), 0.0)
    assert len(none) == 0
    assert none.ledger() == []
    assert len(none.mark(0, 10, 1.0)) == 0
    assert len(none.fit(keys(rows=0))) == 0
    assert times(none.fit(keys(rows=2), 5.0)) == {3: 5.0, 6: 5.0}


def test_a_marked_interval_splits_the_blocks_that_it_covers_in_part() -> None:
    blocks = Blocks.of(keys(rows=250), 1.0).mark(150, 450, 9.0)
    assert times(blocks) == {
        key: 9.0 if 150 <= key <= 450 else 1.0 for key in keys(rows=250).tolist()
    }


def test_an_interval_between_two_keys_marks_nothing() -> None:
    blocks = Blocks.of(keys(rows=250), 1.0)
    assert times(blocks.mark(4, 5, 9.0)) == times(blocks)


def test_new_keys_at_the_end_become_blocks_of_their_own() -> None:
    blocks = Blocks.of(keys(rows=100), 1.0).fit(keys(rows=130))
    assert [math.isnan(at) for at in blocks.read_at] == [False, True]
    assert blocks.rows.tolist() == [100, 30]


def test_deleted_keys_shrink_their_block_and_an_empty_one_is_gone() -> None:
    all_keys = keys(rows=300)
    left = np.concatenate([all_keys[:100], all_keys[200:250]])
    blocks = Blocks.of(all_keys, 1.0).mark(1, 300, 5000.0).fit(left)
    assert blocks.rows.tolist() == [100, 50]
    assert blocks.read_at.tolist() == [5000.0, 1.0]


def test_joined_blocks_have_the_older_time() -> None:
    blocks = Blocks.of(keys(rows=90), 1000.0).mark(1, 30, 1500.0).fit(keys(rows=90))
    assert blocks.ledger() == [(3, 90, 1000.0)]


def test_blocks_read_at_very_different_times_are_not_joined() -> None:
    blocks = Blocks.of(keys(rows=90), 0.0).mark(1, 30, 90_000.0).fit(keys(rows=90))
    assert len(blocks) == 2


def test_however_scattered_the_reads_the_ledger_stays_short() -> None:
    blocks = Blocks.of(keys(rows=3_000), 0.0)
    for number in range(0, 3_000, 20):
        blocks = blocks.mark(number * 3, number * 3 + 3, number * 10_000.0)
    assert len(blocks.fit(blocks.keys)) <= 2 * len(Blocks.of(blocks.keys, 0.0)) + 20


def test_a_time_far_in_the_future_counts_as_never_and_one_just_ahead_as_now() -> None:
    blocks = Blocks.of(keys(rows=300), 1000.0)
    blocks = blocks.mark(1, 300, 1e9).mark(301, 600, 1000.0 + AHEAD / 2)
    assert blocks.ages(1000.0).tolist() == [math.inf, 0.0, 0.0]


def test_a_clock_that_was_set_back_marks_all_the_same() -> None:
    blocks = Blocks.of(keys(rows=100), 5000.0).mark(1, 300, 4000.0)
    assert blocks.read_at.tolist() == [4000.0]


def test_stored_blocks_take_keys_above_the_stored_ones_as_never_read() -> None:
    stored = Blocks.of(keys(rows=120), 7.0).ledger()
    assert stored == [(3, 100, 7.0), (303, 20, 7.0)]
    found = times(Blocks.stored(stored, keys(rows=150)))
    assert [key for key, at in found.items() if math.isnan(at)] == [*range(363, 453, 3)]


def test_a_list_without_a_ledger_was_never_read() -> None:
    assert np.isnan(Blocks.stored([], keys(rows=150)).read_at).all()


def test_a_ledger_of_keys_that_are_all_gone_does_no_harm() -> None:
    stored = Blocks.of(keys(rows=500), 7.0).ledger()
    assert len(Blocks.stored(stored, keys(rows=0))) == 0
    assert Blocks.stored(stored, np.array([10_000], np.int64)).rows.tolist() == [1]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), st.integers(0, 900), st.integers(0, 400)),
        st.tuples(st.just("grow"), st.integers(1, 150), st.just(0)),
        st.tuples(st.just("delete"), st.integers(0, 900), st.integers(1, 250)),
        st.tuples(st.just("store"), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@given(st.integers(0, 600), STEPS)
@settings(max_examples=60, deadline=None)
def test_no_key_is_ever_held_to_be_read_later_than_it_was(rows: int, steps: list) -> None:
    all_keys = keys(rows=rows)
    blocks, model = Blocks.of(all_keys, 0.0), dict.fromkeys(all_keys.tolist(), 0.0)
    highest = rows * 3
    for number, (step, low, size) in enumerate(steps, 1):
        now = number * 700.0
        if step == "mark":
            blocks = blocks.mark(low, low + size, now)
            model |= {key: now for key in model if low <= key <= low + size}
        elif step == "grow":
            model |= {highest + n * 2: NEVER for n in range(1, low + 1)}
            highest += low * 2
        elif step == "delete":
            model = {key: at for key, at in model.items() if not low <= key < low + size}
        else:
            blocks = Blocks.stored(blocks.ledger(), np.array(sorted(model), np.int64))
        if step in ("grow", "delete"):
            blocks = blocks.fit(np.array(sorted(model), np.int64))
        found = times(blocks)
        assert found.keys() == model.keys()
        assert all(older(found[key], model[key]) for key in model)
        assert blocks.rows.sum() == len(model)
        assert (blocks.rows > 0).all()
