"""The YAML of the package: what each table, model and column means, and how it is tested."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import yaml

from pipelines.eduframe.commands.dbt.expectations import (
    Test,
    column_tests,
    key_tests,
    relation_test,
    table_key_tests,
    view_key_tests,
    view_relation_test,
)
from pipelines.eduframe.commands.dbt.models import SOURCE, model_name, plain, source
from pipelines.eduframe.store.relations import declared_relations
from pipelines.eduframe.store.run_log import LOG_TABLES, LogTable
from pipelines.eduframe.views.view import GENERATED, View
from sources.eduframe.rows.relations import Relation
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, Table

WIDTH = 100

SYNCED = "select max(ended_at) from {log} where resource = '{table}' and status = 'done'"
"""When a list was last read to its end and loaded: rows that do not change are not written again,
so that their own times tell nothing of that."""
ENDED = "select max(ended_at) from {runs} where status in ('done', 'partly done')"


def dumped(data: Any) -> str:
    """Data as YAML, with all written out."""
    apart = orjson.loads(orjson.dumps(data))  # what is there twice would become an anchor
    return str(yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=WIDTH))


@cache
def sources_yml() -> str:
    """The raw tables as a dbt source."""
    declared = {
        "name": SOURCE,
        "description": "What eduframe-sync mirrors of Eduframe, as it comes: deleted rows are "
        "marked, not gone. The models are easier to ask.",
        "loader": "eduframe-sync",
        "database": "{{ var('eduframe_database') or target.database }}",
        "schema": "{{ var('eduframe_dataset') }}",
        "tables": [
            *(_table(table) for table in ALL_TABLES.values()),
            *(_log_table(table) for table in LOG_TABLES),
        ],
    }
    return dumped({"version": 2, "sources": [declared]})


def models_yml(views: Iterable[View]) -> str:
    """What models mean, and how they are tested."""
    return dumped({"version": 2, "models": [_model(view) for view in views]})


def _table(table: Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if table.child is None:
        read = SYNCED.format(log=source("_sync_resources"), table=table.name)
        found["config"] = {"loaded_at_query": read, "freshness": _freshness(table.name)}
    has_deleted = table.child is None
    return _described(
        table.name, table.description, table.all_columns, table_key_tests(table),
        has_deleted=has_deleted,
    ) | found


def _log_table(table: LogTable) -> dict[str, Any]:
    key = [column.name for column in table.columns[: table.key]]
    found: dict[str, Any] = {}
    if table.name == "_sync_runs":
        query = ENDED.format(runs=source("_sync_runs"))
        found["config"] = {"loaded_at_query": query, "freshness": _freshness()}
    tests = key_tests(key, filled=())
    return _described(
        table.name, table.description, table.columns, tests, has_deleted=False
    ) | found


def _freshness(table: str | None = None) -> dict[str, Any]:
    """From which age on a table is too old; nothing for one whose list is not synced."""
    only = f" if '{table}' not in var('eduframe_not_synced') else none" if table else ""
    return {
        f"{level}_after": {
            "count": f"{{{{ var('eduframe_{level}_after_hours'){only} }}}}",
            "period": "hour",
        }
        for level in ("warn", "error")
    }


def _described(
    name: str,
    description: str,
    columns: Sequence[Column],
    keys: dict[str, list[Test]],
    *,
    has_deleted: bool,
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "description": _said(description)}
    if "" in keys:
        found["data_tests"] = keys[""]
    found["columns"] = []
    for column in columns:
        own: dict[str, Any] = {"name": column.name, "description": _said(column.comment or "")}
        if column.personal:
            own["config"] = {"meta": {"personal_data": column.personal}}
        tests = [*keys.get(column.name, ()), *_tests(name, column, has_deleted, keys)]
        found["columns"].append(own | ({"data_tests": tests} if tests else {}))
    return found


def _tests(
    table: str, column: Column, has_deleted: bool, keys: dict[str, list[Test]]
) -> Iterator[Test]:
    for test in column_tests(column, has_deleted=has_deleted):
        is_key = {"not_null": {"config": {"severity": "error"}}} in keys.get(column.name, ())
        if not (is_key and "not_null" in test):
            yield test
    for relation in _relations().get((table, column.name), ()):
        yield relation_test(relation, has_deleted=has_deleted)


@cache
def _relations() -> Mapping[tuple[str, str], Sequence[Relation]]:
    """Where each column of a table leads. What has a slug or a code may lead to no row."""
    found = defaultdict(list)
    for relation in declared_relations():
        if relation.kind != "text":
            found[relation.from_table, relation.from_column].append(relation)
    return found


def _model(view: View) -> dict[str, Any]:
    keys = view_key_tests(view)
    found: dict[str, Any] = {
        "name": model_name(view.name), "description": _said(view.description)
    }
    if "" in keys:
        found["data_tests"] = keys[""]
    found["columns"] = []
    for name, said in view.columns.items():
        tests = [*keys.get(name, ())]
        to = None if view.kind in GENERATED else view_relation_test(said)
        tests += [to] if to else []
        own = {"name": name, "description": _said(said)}
        found["columns"].append(own | ({"data_tests": tests} if tests else {}))
    return found


def _said(text: str) -> str:
    return plain(" ".join(text.split()))
