"""What every table must hold, worked out from the simulator's rows.

Plain and slow on purpose, and independent of the code under test: it shares the declarations and
the models with it, nothing else.
"""

import types
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

from schemas.eduframe.models.column_types import Loose, Row
from sources.eduframe.declare import Child, Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.trees import flatten
from sources.eduframe_simulator import Simulator

Table = list[dict[str, Any]]
OBJECT_TYPES = ("users", "accounts", "catalog_products", "catalog_variants", "teachers")


def expected_tables(
    sim: Simulator, include: Collection[str] = (), only: Collection[str] = ()
) -> dict[str, Table]:
    """The exact content of every table after a complete first sync, without bookkeeping columns.

    What is off by default is empty unless included; so is what is forbidden. With ``only`` the
    tables of other resources are not worked out, but for those that these are read under.
    """
    needed = _with_parents(only)
    tables: dict[str, Table] = {}
    for endpoint in ENDPOINTS:
        tables.setdefault(endpoint.table, [])
        for child in endpoint.children:
            tables.setdefault(child.table, [])
    for endpoint in sorted(ENDPOINTS, key=lambda endpoint: bool(endpoint.params)):
        if endpoint.table in sim.forbidden or (only and endpoint.table not in needed):
            continue
        if not endpoint.enabled and endpoint.table not in include:
            continue
        for outer, row in _rows(sim, endpoint, tables):
            _expect(tables, endpoint, outer, row)
    return tables


def _with_parents(resources: Collection[str]) -> set[str]:
    needed: set[str] = set()
    more = set(resources)
    while more:
        needed |= more
        under = {p.table for e in ENDPOINTS if e.table in more for p in e.parents}
        owners = {
            e.table for e in ENDPOINTS if under & {e.table, *(child.table for child in e.children)}
        }
        more = owners - needed
    return needed


def _rows(
    sim: Simulator, endpoint: Endpoint, tables: Mapping[str, Table]
) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """Every row of an endpoint, with the columns that its parent gives it."""
    if not endpoint.params:
        for row in sim.rows(endpoint.table):
            yield {}, row
        return
    for path, outer in _paths(endpoint, tables):
        rows = sim.served(path) or []
        for row in flatten(rows, endpoint.tree) if endpoint.tree else rows:
            yield outer, row


def _paths(endpoint: Endpoint, tables: Mapping[str, Table]) -> Iterable[tuple[str, dict[str, Any]]]:
    if endpoint.parent_setting:
        (param,) = endpoint.params
        for value in OBJECT_TYPES:
            yield endpoint.path.format(**{param: value}), {param: value}
    for parent in endpoint.parents:
        for row in tables[parent.table]:
            if any(row[column] not in known for column, known in parent.where.items()):
                continue
            values = {
                param: parent.rename.get(param, {}).get(row[column], row[column])
                for param, column in parent.params.items()
            }
            outer = values
            if parent.columns is not None:
                outer = {column: row[source] for column, source in parent.columns.items()}
            yield endpoint.path.format(**values), outer


def _expect(
    tables: dict[str, Table], endpoint: Endpoint, outer: dict[str, Any], row: dict[str, Any]
) -> None:
    with_tables = {child.field: child for child in endpoint.children}
    main = dict(outer)
    for name, info in endpoint.row.model_fields.items():
        if name not in with_tables or with_tables[name].shape == "custom":
            main |= _columns(name, Annotated[info.annotation, None, *info.metadata], row.get(name))
    by_content = not endpoint.key or endpoint.key[0].startswith("_")
    if not by_content or main not in tables[endpoint.table]:
        tables[endpoint.table].append(main)
    for child in endpoint.children:
        owner = {column: main[source] for column, source in child.owner.items()}
        if child.shared:
            owner = {"owner_table": endpoint.table, **owner}
        if row.get(child.field) is not None:
            tables[child.table] += _children(child, owner, row[child.field])


def _children(child: Child, owner: dict[str, Any], part: Any) -> Table:
    if child.shape == "object":
        part = [part]
    if child.shape in ("object", "objects"):
        assert child.row is not None
        return [_row(child.row, item) | owner for item in part]
    if child.shape == "links":
        return [owner | {child.column: linked} for linked in dict.fromkeys(part)]
    if child.shape == "inner links":
        of, column = child.key
        lists = {item["id"]: item[child.inner] for item in part}
        return [owner | {of: n, column: i} for n, ids in lists.items() for i in dict.fromkeys(ids)]
    if child.shape == "values":
        return [owner | {"position": i, child.column: value} for i, value in enumerate(part)]
    if child.shape == "custom":
        return [
            owner | {"slug": slug, "position": position} | _typed(value)
            for slug, values in part.items()
            for position, value in enumerate(values if isinstance(values, list) else [values])
            if value is not None
        ]
    assert child.shape == "associations"
    return [
        owner
        | {
            "association_slug": slug,
            "custom_object_slug": linked["custom_object_slug"],
            "custom_record_id": ident,
        }
        for slug, linked in part.items()
        for ident in dict.fromkeys(linked["custom_record_ids"])
    ]


def _typed(value: Any) -> dict[str, Any]:
    """A custom value in the column of its type."""
    typed = dict.fromkeys(("value_text", "value_number", "value_boolean", "value_date"))
    if isinstance(value, bool):
        return typed | {"value_boolean": value}
    if isinstance(value, int | float):
        return typed | {"value_number": Decimal(str(value))}
    assert isinstance(value, str)
    try:
        day = datetime.strptime(value, "%Y-%m-%d").date()
    except ValueError:
        return typed | {"value_text": value}
    return typed | ({"value_date": day} if day.isoformat() == value else {"value_text": value})


def _row(model: type[Row], row: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        columns |= _columns(name, Annotated[info.annotation, None, *info.metadata], row.get(name))
    return columns


def _columns(name: str, annotation: Any, value: Any) -> dict[str, Any]:
    """The column of a field, or those of a nested object."""
    kind, loose = _kind(annotation)
    if isinstance(kind, type) and issubclass(kind, Row):
        nested = _row(kind, value or {})
        return {f"{name}__{sub}": nested[sub] for sub in nested}
    if value is None:
        return {name: None}
    if kind is Decimal:
        return {name: Decimal(str(value))}
    if kind is str:
        return {name: str(value)}
    if kind in (date, datetime):
        try:
            return {name: _moment(value) if kind is datetime else date.fromisoformat(value)}
        except ValueError:
            assert loose, f"{name}: {value!r}"
            return {name: None}
    return {name: value}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(UTC)


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The plain type of a field, and whether values that do not parse are put up with."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        kind, loose = _kind(inner)
        return kind, loose or any(isinstance(fact, Loose) for fact in metadata)
    if get_origin(annotation) in (Union, types.UnionType):
        inner, *_ = [part for part in get_args(annotation) if part is not type(None)]
        return _kind(inner)
    return get_origin(annotation) or annotation, False
