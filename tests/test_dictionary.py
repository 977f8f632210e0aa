"""The dictionary has no gaps: what columns mean, which values they have, and where they lead."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines.eduframe.store.relations import declared_relations
from pipelines.eduframe.store.run_log import (
    HIDDEN_ROWS,
    LOG_TABLES,
    RELATIONS,
    SYNC_RESOURCES,
    SYNC_RUNS,
    LogTable,
)
from sources.eduframe.reading.batch import Status
from sources.eduframe.reading.checkpoint import Mode
from sources.eduframe.rows.relations import Kind, Relation
from sources.eduframe.rows.tables import ALL_TABLES, MAIN_TABLES, SHARED_TABLES, Table
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH
from tests.warehouses import PLENTY, Home, Warehouse

TABLES: dict[str, Table | LogTable] = {**ALL_TABLES, **{table.name: table for table in LOG_TABLES}}
COLUMNS = [(name, column) for name, table in TABLES.items() for column in table.all_columns]
RELATIONS_OF = {
    column: [*found]
    for column, found in groupby(declared_relations(), lambda r: (r.from_table, r.from_column))
}
NOTHING = {"a", "an", "the", "of", "is", "are", "it", "its", "in", "that", "this", "row", "by"}


def words(text: str) -> set[str]:
    """The words of a text or a name that say something, in the singular."""
    return {word.rstrip("s") for word in re.findall(r"[a-z0-9]+", text.lower())} - NOTHING


def test_every_table_says_what_its_rows_are() -> None:
    for name, table in TABLES.items():
        assert table.description.endswith("."), name
        assert len(words(table.description) - words(name)) >= 2, name


def test_every_column_says_what_its_name_does_not() -> None:
    silent = [
        f"{name}.{column.name}"
        for name, column in COLUMNS
        if len(words(column.description or "") - words(f"{column.name} {name}")) < 2
        or not (column.description or "").endswith((".", ")"))
    ]
    assert silent == []


def test_comments_fit_into_every_catalog() -> None:
    longest = max(COLUMNS, key=lambda found: len(found[1].comment or ""))
    assert len(longest[1].comment or "") <= 1024  # BigQuery's limit


STATUS = re.compile(r"(^|_)(status|state|type|scheme|mode|kind|confidentiality)$")
OPEN = {
    "grades.gradeable_type",
    "planning_attendees.attendable_type",
    "custom_associations.object_type",
    "custom_field_options.object_type",
}
"""Of these the API lists no values, and the description says so."""


def test_every_status_says_what_its_values_mean() -> None:
    for name, column in COLUMNS:
        known = column.allowed or f"{name}.{column.name}" in OPEN
        assert known or column.type != "text" or not STATUS.search(column.name), column
        if column.allowed and not column.allowed.standard:
            assert len(column.allowed.meanings) == len(column.allowed.values)
            assert all(column.allowed.meanings), f"{name}.{column.name}"
            assert column.allowed.meanings[0] in (column.comment or "")


def test_the_run_log_has_the_values_that_runs_have() -> None:
    columns = {(table.name, c.name): c.one_of for table in LOG_TABLES for c in table.columns}
    assert columns[SYNC_RESOURCES.name, "status"] == get_args(Status)
    logged = tuple(mode for mode in get_args(Mode) if mode != "parts")  # which counts as cursor
    assert columns[SYNC_RESOURCES.name, "mode"] == logged
    assert columns[SYNC_RUNS.name, "status"] == ("running", "done", "partly done", "failed")
    assert columns[HIDDEN_ROWS.name, "state"] == ("hidden", "open", "there", "gone")
    assert columns[RELATIONS.name, "kind"] == get_args(Kind)


def test_every_id_leads_somewhere_or_says_why_not() -> None:
    lost = [
        f"{name}.{column.name}"
        for name, column in COLUMNS
        if column.name.endswith(("_id", "_ids"))
        and not ((name, column.name) in RELATIONS_OF or column.unfollowed)
        and f"{name}.{column.name}" not in OTHERWISE
    ]
    assert lost == []


OTHERWISE = {
    "_sync_runs.run_id": "it is the key",
    "planning_required_teacher_groups.teacher_label_ids": "planning_required_teacher_group_labels",
    "planning_attendee_conditions.teacher_label_ids": "planning_attendee_condition_labels",
}
"""What leads nowhere as it stands, and why: lists of ids have link tables."""


def test_references_lead_to_tables_and_columns_that_are_there() -> None:
    known = {name: {column.name for column in table.all_columns} for name, table in TABLES.items()}
    for relation in declared_relations():
        assert relation.from_column in known[relation.from_table]
        assert relation.to_column in known[relation.to_table]
        for table, column in re.findall(r"(\w+)\.(\w+)", relation.condition):
            assert column in known[table], relation
        for column in re.findall(r"(?:^|AND )(\w+) =", relation.condition):
            assert column in known[relation.from_table], relation
            assert column not in known[relation.to_table], relation  # which would be ambiguous


def test_a_pair_leads_to_a_table_for_each_value_of_its_type() -> None:
    for name, column in COLUMNS:
        if by := column.references_by:
            kinds = {c.name: c for c in TABLES[name].all_columns}[by.type_column]
            cases = {value for value, _ in by.cases}
            assert not kinds.one_of or cases == {*kinds.one_of}, f"{name}.{column.name}"
    for name, table in SHARED_TABLES.items():
        owners = {r.to_table: r.condition for r in RELATIONS_OF[name, "owner_id"]}
        assert owners == {owner: f"owner_table = '{owner}'" for owner in owners}
        assert table.endpoint.table in owners


def test_names_that_mislead_lead_where_they_should() -> None:
    (one,) = RELATIONS_OF["personal_program_elements", "enrollment_id"]
    assert one == Relation(
        "personal_program_elements", "enrollment_id", "program_enrollments", "id", "", "id"
    )
    assert {(r.to_table, r.condition) for r in RELATIONS_OF["certificates", "certifiable_id"]} == {
        ("enrollments", "certifiable_type = 'course_enrollment'"),
        ("program_enrollments", "certifiable_type = 'program_enrollment'"),
    }
    (record,) = RELATIONS_OF["catalog_product_custom_records", "custom_record_id"]
    assert (record.to_table, record.condition) == (
        "custom_records",
        "catalog_product_custom_records.custom_object_slug = custom_records.object_slug",
    )


PERSONAL = {
    "name": r"(first|middle|last|account|company)_name|addressee",
    "contact": r"(users|accounts|teachers|leads|planning_teachers)\.(email|phone)",
    "address": r"addresses\.(address|address_line2|postal_code|city)",
    "identifier": r"(student|employee)_number|uid",
    "free text": r"comment|notes_user|note|_extra|value_text|custom|properties",
    "money": r"(orders|invoices|payments|invoice_items)\.(total_\w+|cost|amount|unit_price)",
    "judgement": r"graduation_state|grades\.(grade|score|result)|attendances\.state",
}


def test_what_tells_of_persons_says_of_which_kind_it_is() -> None:
    for kind, pattern in PERSONAL.items():
        found = [
            column.personal
            for name, column in COLUMNS
            if re.fullmatch(rf"(\w+\.)?({pattern})", f"{name}.{column.name}")
            or re.fullmatch(pattern, column.name)
        ]
        assert found, kind
        assert {*found} == {kind}, kind
    unlike_a_person = {c.name: c.personal for c in ALL_TABLES["courses"].columns}
    assert {name for name, kind in unlike_a_person.items() if kind} == {"custom"}


# ---- In a destination


@pytest.fixture(scope="module")
def demo() -> Iterator[Simulator]:
    with Simulator(
        scale=0.15, counts={"signup_questions": 14}, requests_per_window=PLENTY
    ) as sim:
        yield sim


@pytest.fixture(scope="module")
def full(home: Home, demo: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A DuckDB file with every list, also those that are off."""
    warehouse = home.make("duckdb", demo, tmp_path_factory.mktemp("full"), tables=False)
    warehouse.sync(*MAIN_TABLES)
    return warehouse


def followed(column: tuple[str, str], relations: list[Relation]) -> str:
    """SQL that counts what a column holds, and what of it leads nowhere."""
    table, name = column
    ways = []
    for relation in relations:
        condition = re.sub(rf"(?<!\w){relation.to_table}\.", "target.", relation.condition)
        condition = re.sub(rf"(?<!\w){table}\.", "mine.", condition)
        same = f"target.{relation.to_column} = mine.{name}"
        where = " AND ".join(filter(None, (same, condition)))
        ways.append(f"EXISTS (SELECT 1 FROM {relation.to_table} AS target WHERE {where})")
    return (
        f"SELECT '{table}' AS mine, '{name}' AS name, count(*) AS held, "
        f"count(*) FILTER (NOT ({' OR '.join(ways)})) AS lost FROM {table} AS mine "
        f"WHERE mine.{name} IS NOT NULL AND NOT ({NOWHERE.get(column, 'false')})"
    )


NOWHERE = {
    ("certificates", "certifiable_id"): "certifiable_type = 'evaluation_element'",
    ("custom_values", "slug"): "owner_table = 'courses' OR slug = 'retired field'",
}
"""What may lead nowhere: what the API has no list of, or no more."""


def test_every_reference_of_the_demo_can_be_followed(full: Warehouse) -> None:
    found = full.query(" UNION ALL ".join(followed(*item) for item in RELATIONS_OF.items()))
    assert [row for row in found if row["lost"]] == []
    assert sum(row["held"] > 0 for row in found) > 0.9 * len(RELATIONS_OF)


@pytest.mark.parametrize("destination", BOTH, scope="session")
def test_relations_are_in_the_destination_and_written_once(
    home: Home, destination: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(scale=0, counts={"labels": 3}, requests_per_window=PLENTY) as sim:
        warehouse = home.make(destination, sim, tmp_path, tables=False)
        warehouse.sync("labels")
        assert stored(warehouse) == declared_relations()
        loads = load_ids(warehouse)
        assert len(loads) == 1
        warehouse.sync("labels")
        assert load_ids(warehouse) == loads

        # another release knows one less, and one more
        *others, last = declared_relations()
        new = Relation("labels", "name", "users", "id", "users.first_name = 'Label'", "text")
        monkeypatch.setattr(
            "pipelines.eduframe.store.relations.declared_relations", lambda: sorted([*others, new])
        )
        warehouse.sync("labels")
        assert stored(warehouse) == sorted([*others, new])
        assert last not in stored(warehouse)


def stored(warehouse: Warehouse) -> list[Relation]:
    names = [column.name for column in RELATIONS.columns]
    rows: list[dict[str, Any]] = warehouse.rows(RELATIONS.name)
    return sorted(Relation(*(row[name] for name in names)) for row in rows)


def load_ids(warehouse: Warehouse) -> set[str]:
    query = f"SELECT DISTINCT _dlt_load_id AS load FROM {RELATIONS.name}"
    return {row["load"] for row in warehouse.query(query)}
