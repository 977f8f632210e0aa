"""Nested parts of many rows at once come to the same as one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sources.eduframe.declare import Child, Shape
from sources.eduframe.rows.nested import explode, explode_all

SHAPES: tuple[Shape, ...] = ("object", "objects", "links", "values", "custom", "associations")
KEYS = ((), ("id",), ("id", "text"))

ids = st.integers(1, 3)
texts = st.sampled_from("ab")
records = st.fixed_dictionaries({"id": ids, "text": texts})
objects = st.fixed_dictionaries(
    {"id": st.one_of(ids, st.sampled_from([None, "1", True]))},
    optional={"custom_record_ids": st.lists(ids, max_size=3), "text": texts},
)
maps = st.dictionaries(texts, st.one_of(ids, objects, st.lists(ids, max_size=2)))
odd = st.sampled_from([0, False, "", "x", 1.5, {}, [], [[]], [None], {"a": None}])
parts = st.one_of(
    st.none(), records, objects, maps, odd, st.lists(objects, max_size=3), st.lists(ids, max_size=4)
)
several = st.one_of(
    st.lists(st.none() | records | st.just({}), max_size=6),
    st.lists(st.none() | st.lists(records, max_size=3), max_size=4),
    st.lists(st.lists(objects, max_size=3), max_size=3),
    st.lists(st.none() | st.lists(ids, max_size=4), max_size=6),
    st.lists(st.none() | maps, max_size=6),
    st.lists(parts, max_size=6),
)
"""Parts of one kind, in five of six cases, and of all kinds."""


def one_by_one(child: Child, rows: list[dict[str, Any]]) -> tuple[list[Any], list[int]]:
    found = [explode(child, row.get(child.field)) for row in rows]
    owners = [number for number, items in enumerate(found) for _ in items]
    return [item for items in found for item in items], owners


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(key=st.sampled_from(KEYS), values=several)
@example(key=("id",), values=[[{"id": 1}, {"id": "1"}]])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_rows_at_once_come_to_the_same_as_one_by_one(
    shape: Shape, key: tuple[str, ...], values: list[Any]
) -> None:
    child = Child("part", "parts", shape, {"owner_id": "id"}, key=key)
    rows: list[dict[str, Any]] = [{child.field: value} for value in values] + [{}]
    try:
        expected = one_by_one(child, rows)
    except (ValueError, TypeError) as error:
        with pytest.raises(type(error)):
            explode_all(child, rows)
        return
    items, owners = explode_all(child, rows)
    assert (items, owners.tolist()) == expected
    assert owners.dtype == np.int64
