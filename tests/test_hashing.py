"""The row hash sees every difference, and nothing else."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sources.eduframe.declare import Endpoint
from sources.eduframe.digest import hash_text
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows import hashing
from sources.eduframe.rows.hashing import UNKNOWN, VERSION, VERSION_SHIFT, hash_rows, row_texts
from sources.eduframe.rows.normalise import normalise
from sources.eduframe_simulator import Simulator
from tests.warehouses import raw_rows

BY_TABLE = {endpoint.table: endpoint for endpoint in ENDPOINTS}

LABEL = {
    "id": 7,
    "name": "Café ☕",
    "color": "#ff0000",
    "model_type": "Catalog::Product",
    "updated_at": "2026-01-31T09:30:00.000Z",
    "created_at": "2025-12-01T08:00:00.000Z",
}

ENROLLMENT = {
    "id": 4_000_000_000,
    "student_id": 5,
    "planned_course_id": 6,
    "order_id": None,
    "status": "active",
    "start_date": "2026-01-01",
    "end_date": None,
    "graduation_state": "passed",
    "updated_at": "2026-01-31T09:30:00.123Z",
    "created_at": "2025-12-01T08:00:00.000Z",
    "grade": {
        "id": 9,
        "grader_id": 3,
        "result": "passed",
        "grade": "8.5",
        "score": None,
        "gradeable_id": 4_000_000_000,
        "gradeable_type": "Enrollment",
        "comment": None,
        "updated_at": "2026-01-31T09:30:00.000Z",
        "created_at": "2026-01-30T09:30:00.000Z",
    },
}

USER = {
    "label_ids": [3, 1, 2],
    "roles": ["student", "admin"],
    "custom": {"size": "M", "diet": ["nuts", "milk"], "born": "1990-01-01", "ok": True, "n": 1.5},
}


SIM = Simulator(seed=3, scale=0.05)


def _rows(table: str) -> list[dict[str, Any]]:
    return raw_rows(SIM, BY_TABLE[table])


def hash_of(table: str, row: dict[str, Any]) -> int:
    found = normalise(BY_TABLE[table], [row])
    assert not found.rejected, found.rejected
    return int(found.hashes[0])


@pytest.fixture(scope="module")
def user() -> dict[str, Any]:
    return next(row for row in _rows("users") if row.get("address")) | USER


def test_the_method_has_not_changed_unnoticed() -> None:
    """If this fails, every stored hash is void: raise VERSION, and say so in the changelog."""
    assert VERSION == 1
    assert hash_of("labels", LABEL) == 79562502132855158
    assert hash_of("enrollments", ENROLLMENT) == 102540215067697784


def test_a_hash_is_positive_tells_its_version_and_is_never_unknown(user: dict[str, Any]) -> None:
    found = hash_of("users", user)
    assert 0 < found < 2**63
    assert found >> VERSION_SHIFT == VERSION
    assert UNKNOWN >> VERSION_SHIFT != VERSION
    assert 0 <= hash_text("a key") < 2**56


@pytest.mark.parametrize(
    "change",
    [
        {"label_ids": [2, 3, 1]},
        {"custom": dict(reversed(USER["custom"].items()))},
    ],
    ids=["links", "map"],
)
def test_the_order_of_what_has_none_does_not_matter(
    user: dict[str, Any], change: dict[str, Any]
) -> None:
    assert hash_of("users", user | change) == hash_of("users", user)


def test_the_order_of_keys_and_of_nested_rows_does_not_matter() -> None:
    order = next(row for row in _rows("orders") if len(row.get("order_items") or []) > 1)
    turned = dict(reversed(order.items())) | {"order_items": order["order_items"][::-1]}
    assert hash_of("orders", turned) == hash_of("orders", order)


@pytest.mark.parametrize(
    "same",
    [
        "2026-01-31T09:30:00Z",
        "2026-01-31T09:30:00.000000Z",
        "2026-01-31T10:30:00.000+01:00",
        "2026-01-31 09:30:00.000Z",
        "2026-01-31T04:30:00.000-05:00",
    ],
)
def test_one_moment_in_other_words_is_the_same(same: str) -> None:
    assert hash_of("labels", LABEL | {"updated_at": same}) == hash_of("labels", LABEL)


def test_one_amount_in_other_words_is_the_same() -> None:
    invoice = _rows("invoices")[0]
    hashes = {hash_of("invoices", invoice | {"total_excl": t}) for t in ("12.5", "12.50", 12.5)}
    assert len(hashes) == 1


def test_null_empty_and_absent_children_are_the_same(user: dict[str, Any]) -> None:
    absent = {name: value for name, value in user.items() if name != "label_ids"}
    hashes = {hash_of("users", u) for u in (absent, user | {"label_ids": None})}
    assert hashes == {hash_of("users", user | {"label_ids": []})}


@pytest.mark.parametrize(
    "change",
    [
        {"label_ids": [3, 1]},
        {"label_ids": [3, 1, 2, 4]},
        {"roles": ["admin", "student"]},
        {"custom": USER["custom"] | {"size": "L"}},
        {"custom": USER["custom"] | {"diet": ["milk", "nuts"]}},
        {"custom": USER["custom"] | {"born": "1990-01-02"}},
        {"custom": {k: v for k, v in USER["custom"].items() if k != "ok"}},
        {"address": None},
        {"brand_new": 1},
        {"brand_new": None},
        {"updated_at": "2026-01-31T09:30:00.001Z"},
    ],
    ids=str,
)
def test_whatever_differs_changes_the_hash(user: dict[str, Any], change: dict[str, Any]) -> None:
    assert hash_of("users", user | change) != hash_of("users", user)


def test_a_nested_field_that_differs_changes_the_hash() -> None:
    grade = ENROLLMENT["grade"]
    assert isinstance(grade, dict)
    for field, value in {
        "result": "failed",
        "grade": None,
        "score": "",
        "updated_at": "2026-02-01T00:00:00Z",
        "odd": 1,
    }.items():
        assert hash_of("enrollments", ENROLLMENT | {"grade": grade | {field: value}}) != hash_of(
            "enrollments", ENROLLMENT
        ), field


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_each_column_counts(endpoint: Endpoint) -> None:
    """Null every column of a row in turn, as Arrow has it: each gives another text."""
    table = normalise(endpoint, _rows(endpoint.table)[:1]).main
    plain = row_texts([c.combine_chunks() for c in table.columns])[0].as_py()
    for place, column in enumerate(table.columns):
        if column.null_count:
            continue
        arrays = [c.combine_chunks() for c in table.columns]
        arrays[place] = pa.nulls(1, column.type)
        assert row_texts(arrays)[0].as_py() != plain, table.column_names[place]


AWKWARD = [
    *("", "\x00", "\x1e", "\x1f", "a", "\\", "\\1f", "\x00\\1f", "\x1fa", "a\x1f", "\\00", None)
]


def test_separators_in_texts_do_not_make_different_rows_equal() -> None:
    pairs = [(one, other) for one in AWKWARD for other in AWKWARD]
    texts = row_texts([pa.array([p[n] for p in pairs], pa.string()) for n in (0, 1)])
    assert len(set(texts.to_pylist())) == len(pairs)


def test_a_text_is_the_same_whatever_stands_beside_it() -> None:
    """What is escaped must not depend on the other rows of a batch."""
    dice = random.Random(1)
    rows = [(dice.choice(AWKWARD), dice.choice(AWKWARD)) for _ in range(50)]
    columns = [pa.array([row[n] for row in rows], pa.string()) for n in (0, 1)]
    alone = [row_texts([c.slice(i, 1) for c in columns])[0].as_py() for i in range(50)]
    assert row_texts(columns).to_pylist() == alone


def test_children_are_not_taken_for_those_of_the_neighbour() -> None:
    texts = pa.array(["a", "b", "c"])
    first = hashing.set_texts(texts, np.array([0, 0, 1]), 3).to_pylist()
    other = hashing.set_texts(texts, np.array([0, 1, 1]), 3).to_pylist()
    assert first[2] == other[2]
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_a_row_hashes_alike_alone_and_in_a_batch() -> None:
    rows = _rows("users")
    together = normalise(BY_TABLE["users"], rows).hashes
    assert [hash_of("users", row) for row in rows] == together.tolist()
    backwards = normalise(BY_TABLE["users"], rows[::-1]).hashes
    assert backwards[::-1].tolist() == together.tolist()


def test_no_two_rows_of_many_collide() -> None:
    texts = pa.array([f"row {n}" for n in range(100_000)])
    assert len(np.unique(hash_rows(texts))) == 100_000
