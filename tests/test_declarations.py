"""The endpoint table and the row models agree, over every list of the API."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from dlt.extract.items import TableNameMeta

from schemas.eduframe.models.column_types import OneOf, References, Row
from sources.eduframe.dataset.dlt_resources import endpoint_resource, shared_resource
from sources.eduframe.dataset.merge_hints import declared
from sources.eduframe.declare import Child, Endpoint
from sources.eduframe.endpoints import COVERED, ENDPOINTS
from sources.eduframe.rows.tables import ALL_TABLES, SHARED_TABLES
from sources.eduframe.rows.trees import flatten

BY_TABLE = {endpoint.table: endpoint for endpoint in ENDPOINTS}
CHILDREN = [(endpoint, child) for endpoint in ENDPOINTS for child in endpoint.children]
TABLES = BY_TABLE.keys() | {child.table for _, child in CHILDREN}

every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.path)
every_child = pytest.mark.parametrize(
    ("endpoint", "child"), CHILDREN, ids=[f"{e.table}.{c.field}" for e, c in CHILDREN]
)


def columns(endpoint: Endpoint) -> set[str]:
    """The main table's columns: the model's, the parents' and those the path's values fill."""
    found = set(endpoint.row.model_fields) | {"_row_hash"}
    for parent in endpoint.parents:
        found |= set(parent.params if parent.columns is None else parent.columns)
    return found | set(endpoint.params if endpoint.parent_setting else ())


def child_columns(child: Child) -> set[str]:
    own = set(child.row.model_fields) if child.row else {child.column}
    if child.shape == "values":
        own |= {"position"}
    elif child.shape == "custom":
        own = {"slug", "position"}
    elif child.shape == "inner links":
        own |= set(child.key)
    elif child.shape == "associations":
        own = {"association_slug", "custom_record_id"}
    return own | set(child.owner)


def table_columns(table: str) -> set[str]:
    if table in BY_TABLE:
        return columns(BY_TABLE[table])
    return set().union(*(child_columns(c) for _, c in CHILDREN if c.table == table))


def metadata(annotation: Any) -> Iterator[Any]:
    """All that `Annotated` says, anywhere inside a type."""
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from metadata(part)


def models(row: type[Row]) -> set[type[Row]]:
    """A model, and all models inside it."""
    found = {row}

    def search(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Row):
            found.update(models(annotation))
        for part in get_args(annotation):
            search(part)

    for field in row.model_fields.values():
        search(field.annotation)
    return found


MODELS = sorted(set().union(*(models(e.row) for e in ENDPOINTS)), key=lambda m: m.__name__)
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)


def test_every_path_and_every_table_is_declared_once() -> None:
    paths = Counter([e.path for e in ENDPOINTS] + [c.path for c in COVERED])
    tables = Counter([e.table for e in ENDPOINTS])
    tables += Counter({child.table: 1 for _, child in CHILDREN if child.shared})
    tables += Counter([child.table for _, child in CHILDREN if not child.shared])

    assert [name for name, times in (paths + tables).items() if times > 1] == []


def test_a_shared_table_is_declared_alike_by_all_its_owners() -> None:
    for _, child in CHILDREN:
        if child.shared:
            alike = [c for _, c in CHILDREN if c.table == child.table]
            assert {(c.shape, c.row, c.key, c.column, c.references) for c in alike} == {
                (child.shape, child.row, child.key, child.column, child.references)
            }
            assert all(c.shared and c.owner == {"owner_id": "id"} for c in alike)


def test_covered_lists_are_covered_by_tables_that_exist() -> None:
    assert {covered.by for covered in COVERED} <= TABLES


@every_endpoint
def test_every_parameter_of_the_path_comes_from_somewhere(endpoint: Endpoint) -> None:
    if endpoint.parent_setting:
        assert len(endpoint.params) == 1
        assert endpoint.parents == ()
        return
    assert bool(endpoint.params) == bool(endpoint.parents)
    for parent in endpoint.parents:
        assert set(parent.params) == set(endpoint.params)
        assert set(parent.rename) <= set(parent.params)
        needed = {*parent.params.values(), *parent.where, *(parent.columns or {}).values()}
        assert needed <= table_columns(parent.table)


@every_endpoint
def test_keys_are_columns(endpoint: Endpoint) -> None:
    assert endpoint.key
    assert set(endpoint.key) <= columns(endpoint)


@every_child
def test_a_childs_field_is_in_its_parents_model(endpoint: Endpoint, child: Child) -> None:
    assert child.field in endpoint.row.model_fields
    assert set(child.owner.values()) <= columns(endpoint)


@every_child
def test_a_childs_key_and_shape_fit(endpoint: Endpoint, child: Child) -> None:
    annotation = endpoint.row.model_fields[child.field].annotation
    assert set(child.key) <= child_columns(child)
    assert (child.row is not None) == (child.shape in ("object", "objects"))
    if child.row:
        wanted = list[child.row] if child.shape == "objects" else child.row  # type: ignore[name-defined]
        assert annotation in (wanted, wanted | None)
    if child.shape == "inner links":
        (objects,) = (c for c in endpoint.children if c.field == child.field and c.row)
        assert objects.row
        inner = objects.row.model_fields[child.inner or ""].annotation
        assert References(child.references or "") in metadata(inner)
    if child.shape == "links":
        assert References(child.references or "") in metadata(annotation)


@every_model
def test_every_reference_leads_to_a_table(model: type[Row]) -> None:
    for field in model.model_fields.values():
        for said in [*field.metadata, *metadata(field.annotation)]:
            if isinstance(said, References):
                assert said.table in TABLES
                assert said.column in table_columns(said.table)


@every_model
def test_every_model_says_what_it_is(model: type[Row]) -> None:
    assert model.__doc__
    assert model.__doc__.strip().endswith(".")
    assert "\n" not in model.__doc__


@every_model
def test_a_key_that_may_be_absent_may_be_null(model: type[Row]) -> None:
    for field in model.model_fields.values():
        assert field.is_required() or (
            field.default is None and type(None) in get_args(field.annotation)
        )


@every_model
def test_enumerations_have_no_value_twice(model: type[Row]) -> None:
    for field in model.model_fields.values():
        for said in [*field.metadata, *metadata(field.annotation)]:
            if isinstance(said, OneOf):
                assert len(set(said.values)) == len(said.values) > 0


def test_a_tree_of_elements_becomes_rows_in_order() -> None:
    course = {"name": "Course", "element_type": "CourseElement", "new": 1}
    inner = {"name": "Inner", "element_type": "BlockElement", "elements": [course]}
    block = {"name": "Block", "element_type": "BlockElement", "elements": [course, inner]}
    empty = {"name": "Empty", "element_type": "BlockElement", "elements": None}

    rows = flatten([course, block, empty], "elements")

    assert rows == [
        {**course, "path": "0", "parent_path": None, "position": 0},
        {"name": "Block", "element_type": "BlockElement",
         "path": "1", "parent_path": None, "position": 1},
        {**course, "path": "1.0", "parent_path": "1", "position": 0},
        {"name": "Inner", "element_type": "BlockElement",
         "path": "1.1", "parent_path": "1", "position": 1},
        {**course, "path": "1.1.0", "parent_path": "1.1", "position": 0},
        {"name": "Empty", "element_type": "BlockElement",
         "path": "2", "parent_path": None, "position": 2},
    ]  # fmt: skip
    assert "elements" in block


def test_what_is_no_element_or_no_tree_stays_as_served() -> None:
    odd = {"name": "Odd", "elements": "none"}

    assert flatten(["text", None, odd], "elements") == [
        "text",
        None,
        {**odd, "path": "2", "parent_path": None, "position": 2},
    ]


@pytest.mark.parametrize("name", ALL_TABLES)
def test_a_table_is_declared_to_dlt_as_its_first_row_would_declare_it(name: str) -> None:
    table = ALL_TABLES[name]
    resource = (
        shared_resource(name, list)
        if name in SHARED_TABLES
        else endpoint_resource(table.endpoint, list)
    )
    expected: Any = resource.compute_table_schema(meta=TableNameMeta(name))
    made = declared(table, as_text=False)
    assert made["columns"].pop("_dlt_load_id")["nullable"] is False
    assert made == expected
    assert list(made["columns"]) == list(expected["columns"])
    kinds = {c["data_type"] for c in declared(table, as_text=True)["columns"].values()}
    assert "json" not in kinds
