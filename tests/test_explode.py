"""Nested parts of many rows at once come to the same as one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.eduframe.declare import Child, Shape
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.explode import explode, explode_all

SHAPES: tuple[Shape, ...] = ("object", "objects", "links", "values", "custom", "associations")
CHILDREN = {child.shape: child for endpoint in ENDPOINTS for child in endpoint.children}

ids = st.integers(1, 6)
objects = st.fixed_dictionaries(
    {"id": st.one_of(ids, ids, ids, st.none(), st.just("1"), st.just(True))},
    optional={"custom_record_ids": st.lists(ids, max_size=3), "text": st.sampled_from("ab")},
)
odd = st.sampled_from([0, False, "", "x", 1.5, {}, [], [[]], [None], {"a": None}])
parts = st.one_of(
    st.none(),
    st.just([]),
    st.just({}),
    objects,
    st.lists(objects, max_size=3),
    st.lists(ids, max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.one_of(ids, objects, st.lists(ids, max_size=2))),
)


def one_by_one(child: Child, rows: list[dict[str, Any]]) -> tuple[list[Any], list[int]]:
    found = [explode(child, row.get(child.field)) for row in rows]
    owners = [number for number, items in enumerate(found) for _ in items]
    return [item for items in found for item in items], owners


@pytest.mark.parametrize("shape", SHAPES)
@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_all_rows_at_once_come_to_the_same_as_one_by_one(shape: Shape, data: Any) -> None:
    child = CHILDREN[shape]
    one_kind = data.draw(
        st.sampled_from([st.none() | objects, st.just([]) | st.lists(objects, max_size=3), parts])
    )
    values = data.draw(st.lists(one_kind if data.draw(st.booleans()) else parts | odd, max_size=6))
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
