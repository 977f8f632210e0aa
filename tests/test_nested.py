"""Nested parts of many rows at once come to the same as one by one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sources.eduframe.declare import Child, Shape
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.nested import explode, explode_all
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import Table

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


COLUMNS = [Column("id", "bigint", ("id",)), Column("text", "text", ("text",))]
COLUMNS += [Column(name, "text", (name,)) for name in ("association_slug", "value")]
COLUMNS += [Column("custom_record_id", "bigint", ("custom_record_id",))]


def table(shape: Shape, key: tuple[str, ...]) -> Table:
    if shape == "associations":
        key = ("association_slug", "custom_record_id")
    child = Child("part", "parts", shape, {"owner_id": "id"}, key=key)
    return Table("parts", tuple(COLUMNS), key, ENDPOINTS[0], child)


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(key=st.sampled_from(KEYS), values=several)
@example(key=("id",), values=[[{"id": 1}, {"id": "1"}]])
@example(key=("id",), values=[[{"id": 1}, {"id": 2**63}]])
@example(key=("id",), values=[[1, 2**63]])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_rows_at_once_come_to_the_same_as_one_by_one(
    shape: Shape, key: tuple[str, ...], values: list[Any]
) -> None:
    parts = table(shape, key)
    rows: list[dict[str, Any]] = [{"part": value} for value in values] + [{}]
    one_by_one = [explode(parts, row.get("part")) for row in rows]
    found = explode_all(parts, rows)
    assert found.items == [item for items, _ in one_by_one for item in items]
    owners = [number for number, (items, _) in enumerate(one_by_one) for _ in items]
    assert found.owners.tolist() == owners
    assert found.owners.dtype == np.int64
    assert found.odd == {n: odd for n, (_, odd) in enumerate(one_by_one) if odd is not None}
    assert found.missing


@given(key=st.sampled_from(KEYS), value=parts)
@settings(max_examples=200, derandomize=True, deadline=None)
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_of_a_part_is_lost(shape: Shape, key: tuple[str, ...], value: Any) -> None:
    """What has not become rows is kept: as many objects or values as there are, or the whole."""
    items, odd = explode(table(shape, key), value)
    maps = {"custom": (None, [], {}), "associations": (None, [], {}), "object": (None,)}
    if value in maps.get(shape, (None, [])):
        assert (list(items), odd) == ([], None)
    elif odd is not None and odd.served == value:
        pass
    elif shape == "object":
        assert (list(items), odd) == ([value], None)
    elif shape == "objects":
        left = odd.served if odd else []
        assert all(item in items or item in left or _again(item, items, key) for item in value)
    elif shape == "links":
        left = odd.served if odd else []
        assert all({"value": item} in items or item in left for item in value)
    elif shape == "values":
        assert [item["value"] for item in items] == list(map(str, value))


def _again(item: dict[str, Any], items: Sequence[dict[str, Any]], key: tuple[str, ...]) -> bool:
    """Whether a later item with its key stands for it."""
    return any([str(i.get(k)) for k in key] == [str(item.get(k)) for k in key] for i in items)
