"""``_relations``: where columns lead, written when the models of a release say it otherwise."""

from dataclasses import asdict, astuple, fields

import pyarrow as pa

from pipelines.eduframe.store.run_log import LOG_TABLES, RELATIONS
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.rows.relations import Relation, relations_of
from sources.eduframe.rows.tables import ALL_TABLES


def declared_relations() -> list[Relation]:
    """All references of all tables, those of the run log included, in order."""
    found = [
        relation
        for table in ALL_TABLES.values()
        for relation in relations_of(table.name, table.all_columns, table.owner_columns)
    ]
    for log in LOG_TABLES:
        found += relations_of(log.name, log.columns)
    return sorted(found)


def stored_relations(dataset: Dataset) -> set[tuple[str, ...]]:
    """The references that the destination has, as tuples of their fields."""
    columns = ", ".join(dataset.column(field.name) for field in fields(Relation))
    sql = f"SELECT {columns} FROM {dataset.name(RELATIONS.name)}"
    return {
        tuple(value or "" for value in row)
        for rows in dataset.query(sql)
        for row in zip(*(column.to_pylist() for column in rows.columns), strict=True)
    }


def news_of_relations(dataset: Dataset) -> pa.Table | None:
    """What is to be merged into ``_relations``; None where it is as declared."""
    declared = declared_relations()
    if stored_relations(dataset) == {*map(astuple, declared)}:
        return None
    return RELATIONS.table(map(asdict, declared))


def forget_former_relations(dataset: Dataset) -> None:
    """Remove the references that the models have no more."""
    names = [dataset.column(field.name) for field in fields(Relation)]
    where = " AND ".join(f"{name} = %s" for name in names)
    for relation in sorted(stored_relations(dataset) - {*map(astuple, declared_relations())}):
        dataset.execute(f"DELETE FROM {dataset.name(RELATIONS.name)} WHERE {where}", *relation)
