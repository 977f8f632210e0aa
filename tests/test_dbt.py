"""``eduframe dbt``: a package that says all that the models say, and never overwrites what is not
its own. (dbt itself is tried by ``tests/with_dbt/check.py``, in an environment that has it.)"""

import re
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from pipelines.eduframe.commands.dbt.customer import DIALECTS, Customer
from pipelines.eduframe.commands.dbt.folder import MEMORY, memory_of, write
from pipelines.eduframe.commands.dbt.models import model_sql, plain
from pipelines.eduframe.commands.dbt.package import PROFILES, Package
from pipelines.eduframe.exit_codes import DONE, WRONG_USE
from pipelines.eduframe.store.relations import declared_relations
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.views.custom_fields import CustomObject, Field
from pipelines.eduframe.views.files import written_views
from pipelines.eduframe.views.keeping import HAVE_VIEWS
from sources.eduframe.errors import SettingsError
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, settings

NASTY = "{{ 1 / 0 }} {% raw %} {# 'no' #} zq_time_zone"
FIELDS = (Field("users", "diet", "text", "Diet?"), Field("orders", NASTY, "number", NASTY))
CUSTOMER = Customer(
    "Europe/Amsterdam", "EUR", FIELDS, ("payments",),
    (CustomObject("rooms", "Rooms"),), (Field("rooms", "seats", "number", NASTY),),
)
TAG = re.compile(r"\{\{ (source|ref|var)\('(\w+)'(?:, '(\w+)')?\) \}\}")


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return Package("duckdb", "eduframe", CUSTOMER, "it's.duckdb").files()


@pytest.fixture(scope="module")
def source(files: dict[str, str]) -> dict[str, Any]:
    [found] = yaml.safe_load(files["models/sources.yml"])["sources"]
    return dict(found)


@pytest.fixture(scope="module")
def models(files: dict[str, str]) -> dict[str, dict[str, Any]]:
    texts = [text for name, text in files.items() if re.match(r"models/\w+/.*yml", name)]
    read = [yaml.safe_load(text)["models"] for text in texts]
    return {model["name"]: model for models in read for model in models}


def queries(files: dict[str, str]) -> dict[str, str]:
    return {Path(n).stem: t for n, t in files.items() if re.match(r"models/.*\.sql", n)}


def given(column: dict[str, Any], name: str) -> list[dict[str, Any]]:
    tests = [t if isinstance(t, dict) else {t: {}} for t in column.get("data_tests", ())]
    return [test[name] for test in tests if name in test]


def columns(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in table["columns"]}


# ---- What is in it


def test_every_table_and_column_is_described(source: dict[str, Any]) -> None:
    declared = {t.name: t.all_columns for t in ALL_TABLES.values()}
    declared |= {t.name: t.columns for t in LOG_TABLES}
    found = {table["name"]: table for table in source["tables"]}
    assert [*found] == [*declared]
    for name, table in found.items():
        assert table["description"], name
        assert [c["name"] for c in table["columns"]] == [c.name for c in declared[name]]
        for column in declared[name]:
            said = columns(table)[column.name]["description"]
            assert said == " ".join((column.comment or "").split()), f"{name}.{column.name}"


def test_every_reference_and_every_status_is_tested(source: dict[str, Any]) -> None:
    found = {table["name"]: columns(table) for table in source["tables"]}
    count = 0
    for one in declared_relations():
        tests = [
            *given(found[one.from_table][one.from_column], "relationships"),
            *given(found[one.from_table][one.from_column], "eduframe_relationships_if"),
        ]
        to = f"source('eduframe', '{one.to_table}')"
        there = [t for t in tests if (t["arguments"]["to"], t["arguments"]["field"])
                 == (to, one.to_column)]
        assert bool(there) == (one.kind != "text"), one
        for test in there:
            enabled = test["config"].get("enabled", "")
            assert (one.to_table in ALL_TABLES) == bool(enabled), one
            if (table := ALL_TABLES.get(one.to_table)) and not table.child:
                assert f"'{one.to_table}' not in" in enabled, one
            if one.condition and "condition" not in test["arguments"]:
                assert one.condition in test["config"]["where"]
        count += len(there)
    assert count == sum(
        len(given(column, name))
        for table in found.values()
        for column in table.values()
        for name in ("relationships", "eduframe_relationships_if")
    )
    for name, table in ALL_TABLES.items():
        for column in table.columns:
            values = [t["arguments"]["values"] for t in
                      given(found[name][column.name], "accepted_values")]
            assert values == ([[*column.one_of]] if column.one_of else []), f"{name}.{column.name}"


def test_a_relationship_that_needs_two_columns_says_so(source: dict[str, Any]) -> None:
    table = next(t for t in source["tables"] if t["name"] == "catalog_product_custom_records")
    [test] = given(columns(table)["custom_record_id"], "eduframe_relationships_if")
    assert test["arguments"]["condition"] == "child.custom_object_slug = parent.object_slug"
    certificates = next(t for t in source["tables"] if t["name"] == "certificates")
    where = {t["config"]["where"] for t in
             given(columns(certificates)["certifiable_id"], "relationships")}
    assert "certifiable_type = 'course_enrollment' and _deleted_at is null" in where


def test_keys_are_errors_and_nothing_else_is(
    files: dict[str, str], source: dict[str, Any], models: dict[str, dict[str, Any]]
) -> None:
    assert "+severity: warn" in files["dbt_project.yml"]
    error = {"severity": "error"}
    for table in ALL_TABLES.values():
        found = next(t for t in source["tables"] if t["name"] == table.name)
        if table.child is None and len(table.key) == 1:
            key = columns(found)[table.key[0]]
            assert given(key, "unique") == given(key, "not_null") == [{"config": error}]
        together = [t["arguments"]["columns"] for t in given(found, "eduframe_unique_together")]
        expected = [*table.whole_key] if len(table.whole_key) > 1 else None
        assert together == ([expected] if expected else []), table.name
    for view in written_views():
        found = models[f"eduframe__{view.name}"]
        tests = given(found, "eduframe_unique_together")
        for key in view.key:
            tests += given(columns(found)[key], "unique")
        assert [test["config"] for test in tests] == [error], view.name
    severe = {
        name
        for described in (*source["tables"], *models.values())
        for holder in (described, *described["columns"])
        for name in ("relationships", "eduframe_relationships_if", "accepted_values")
        for test in given(holder, name)
        if "severity" in test.get("config", {})
    }
    assert severe == set()


def test_every_view_is_a_model_whose_references_resolve(
    files: dict[str, str], models: dict[str, dict[str, Any]]
) -> None:
    made = queries(files)
    views = [*ALL_TABLES, *(v.name for v in written_views()), "users_custom", "orders_custom",
             "custom_rooms"]
    assert {*made} == {*models} == {f"eduframe__{name}" for name in views}
    declared = yaml.safe_load(files["dbt_project.yml"])["vars"]
    for name, sql in made.items():
        for kind, first, second in TAG.findall(sql):
            match kind:
                case "source":
                    assert first == "eduframe", name
                    assert second in ALL_TABLES, name
                case "ref":
                    assert first in made, name
                case _:
                    assert first in declared, name
        assert models[name]["description"], name
    assert "{{ ref('eduframe__occupancy') }}" in made["eduframe__free_places"]
    assert "{{ source('eduframe', 'orders') }}" in made["eduframe__orders"]


def test_what_a_customer_typed_is_no_jinja(files: dict[str, str]) -> None:
    sql = queries(files)["eduframe__orders_custom"]
    wide = files["models/wide/wide.yml"]
    for text in (sql, wide):
        assert "1 / 0" in text
        assert not re.search(r"\{[{%#]", TAG.sub("", text.replace("{{ ''{'' }}", "").replace(
            "{{ '{' }}", "")))
    assert plain("a {{b") == "a {{ '{' }}{b"
    assert plain("{{% {x}") == "{{ '{' }}{{ '{' }}% {x}"


def test_variables_are_declared_and_explained(files: dict[str, str]) -> None:
    declared = yaml.safe_load(files["dbt_project.yml"])["vars"]
    used = {name for text in files.values() for name in re.findall(r"var\('+(\w+)'+\)", text)}
    assert used == {*declared}
    assert all(f"| `{name}` |" in files["README.md"] for name in declared)
    assert declared["eduframe_time_zone"] == "Europe/Amsterdam"
    assert declared["eduframe_currency"] == "EUR"
    assert declared["eduframe_not_synced"] == ["payments"]
    assert not re.findall(r"<\w+>", files["README.md"] + files["dbt_project.yml"])


def test_freshness_is_that_of_the_list(source: dict[str, Any]) -> None:
    found = {table["name"]: table.get("config") for table in source["tables"]}
    assert "resource = 'orders' and status = 'done'" in found["orders"]["loaded_at_query"]
    assert "source('eduframe', '_sync_resources')" in found["orders"]["loaded_at_query"]
    for name, table in ALL_TABLES.items():
        assert (found[name] is None) == (table.child is not None), name


@pytest.mark.parametrize("dialect", sorted({*DIALECTS.values()}))
def test_each_dialect_has_sql_that_parses(dialect: str) -> None:
    package = Package(dialect, "eduframe", CUSTOMER)
    names = {"source": "raw", "ref": "made"}

    def named(match: re.Match[str]) -> str:
        return f"{names[match[1]]}.{match[3] or match[2]}" if match[1] in names else match[2]

    for view in package.views:
        text = model_sql(view, dialect)
        sql = TAG.sub(named, text).replace("{{ '{' }}", "{")
        assert sqlglot.parse_one(sql, read=dialect), view.name
        assert "zq_" not in text or view.name == "orders_custom", view.name
    assert package.profile()["eduframe"]["outputs"][dialect]["type"] == dialect
    assert {*PROFILES} == {*DIALECTS.values()}
    assert {*DIALECTS} == {*HAVE_VIEWS}


# ---- The folder


def test_only_its_own_files_are_written_anew(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    write(folder, {"a.yml": "1", "models/b.sql": "2"}, {"x": 1})
    (folder / "mine.sql").write_text("mine")
    again = write(folder, {"a.yml": "1", "models/c.sql": "3"}, {"x": 2})
    assert (again.changed, again.gone) == (("models/c.sql",), ("models/b.sql",))
    there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert there == [MEMORY, "a.yml", "mine.sql", "models/c.sql"]
    assert memory_of(folder)["made_from"] == {"x": 2}
    with pytest.raises(SettingsError, match=r"mine\.sql\. Nothing was written"):
        write(folder, {"a.yml": "4", "mine.sql": "5"}, {})
    assert (folder / "a.yml").read_text() == "1"
    (folder / "models" / "c.sql").write_text("changed")
    with pytest.raises(SettingsError, match=r"models/c\.sql"):
        write(folder, {"a.yml": "1"}, {})
    assert (folder / "models" / "c.sql").read_text() == "changed"


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written into"):
        write(tmp_path / "file", {"a": "1"}, {})
    (tmp_path / MEMORY).write_text("[]")
    with pytest.raises(SettingsError, match="cannot be read"):
        write(tmp_path, {"a": "1"}, {})


# ---- The command


def test_it_needs_no_destination_and_changes_nothing_twice(
    eduframe: Eduframe, tmp_path: Path
) -> None:
    printed = eduframe("dbt", "package")
    assert printed.code == DONE, printed.err
    assert "nothing is known of the customer" in printed.out
    assert "there is no file" in printed.out
    assert "then: cd package && dbt build" in printed.out
    assert not (tmp_path / "warehouse.duckdb").exists()
    readme = (tmp_path / "package" / "README.md").read_text()
    assert "could not be asked for the custom fields" in readme
    assert "0 of them new or changed" in eduframe("dbt", "package").out
    project = tmp_path / "package" / "dbt_project.yml"
    project.write_text(project.read_text().replace("26", "5"))
    refused = eduframe("dbt", "package", "--dataset", "other")
    assert refused.code == WRONG_USE
    assert "dbt_project.yml. Nothing was written" in refused.err


def test_destinations_that_there_are_no_packages_for(eduframe: Eduframe, tmp_path: Path) -> None:
    for name, said in (
        ("clickhouse", "no dbt package for clickhouse"), ("nowhere", "no destination 'nowhere'")
    ):
        refused = eduframe("dbt", "package", "--destination", name)
        assert refused.code == WRONG_USE
        assert said in refused.err
    assert not (tmp_path / "package").exists()


@pytest.mark.usefixtures("tables")
def test_what_a_destination_tells_is_remembered(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    assert eduframe("sync", "educators", "signup_questions", **settings(here)).code == DONE
    told = eduframe("dbt", "package").out
    assert "time zone Europe/Amsterdam, currency EUR" in told
    assert "lists that are not synced: " in told
    wide = tmp_path / "package/models/wide/eduframe__users_custom.sql"
    before = wide.read_text()
    (tmp_path / "warehouse.duckdb").unlink()
    again = eduframe("dbt", "package").out
    assert "0 of them new or changed" in again
    assert "that was found before; this time nothing was: there is no file" in again
    assert wide.read_text() == before
