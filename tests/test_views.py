"""The views for analysts: when they are made, and what happens where they cannot be."""

import re
from importlib.resources import files
from typing import Any
from unittest.mock import patch
from zoneinfo import available_timezones

import pytest
import sqlglot
from sqlglot import exp

from pipelines.eduframe.commands.copy import copy_dataset
from pipelines.eduframe.destinations.tables.schema_upgrade import OURS, _change_all
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.views import files as view_files
from pipelines.eduframe.views.custom_fields import column_names, fields, wide_views
from pipelines.eduframe.views.files import written_views
from pipelines.eduframe.views.living import living_views
from pipelines.eduframe.views.making import Maker, translated
from pipelines.eduframe.views.view import View, fingerprints, in_order, resting_on
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.errors import SettingsError
from sources.eduframe.region import _rails_zones, iana_zone
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse
from tests.test_postgres_neighbours import as_role
from tests.warehouses import Home, Warehouse

LISTS = ("educators", "labels", "orders", "signup_questions", "users")
VIEWS = "eduframe_views"


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


only_postgres = pytest.mark.parametrize("destination", ["postgres"], scope="session")


@pytest.fixture
def sim() -> Any:
    counts = {"users": 20, "orders": 12, "labels": 6, "signup_questions": 14, "courses": 3}
    with Simulator(scale=0, counts=counts, requests_per_window=20_000) as sim:
        yield sim


@pytest.fixture
def viewed(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    """A warehouse with its views."""
    warehouse = make_warehouse(sim, synced=LISTS, views="on")
    report = warehouse.sync("labels")
    assert (report.exit_code, report.notes) == (DONE, [])
    return warehouse


def made(warehouse: Warehouse) -> dict[str, str]:
    """The views that are listed, and what they were made from."""
    rows = warehouse.query(f"SELECT name, fingerprint FROM {VIEWS}._views")
    return {row["name"]: row["fingerprint"] for row in rows}


def columns(warehouse: Warehouse, view: str) -> list[str]:
    rows = warehouse.query(
        "SELECT column_name AS name FROM information_schema.columns "
        f"WHERE table_schema = '{VIEWS}' AND table_name = '{view}' ORDER BY ordinal_position"
    )
    return [row["name"] for row in rows]


def rewritten(**changes: tuple[tuple[str, str], ...]) -> Any:
    """For a while, files of views say something else: (old, new)s by name."""
    texts = dict(view_files._texts())
    for name, replacements in changes.items():
        for old, new in replacements:
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new)
    return patch.object(view_files, "_texts", lambda: texts)


# ---- What they are


def test_files_say_what_they_hold(viewed: Warehouse) -> None:
    written = {view.name: view for view in written_views()}
    assert 20 <= len(written) <= 30
    assert not {*written} & {*ALL_TABLES}
    with viewed.reading():
        for name, view in written.items():
            assert [*view.columns] == columns(viewed, name), name
            assert view.description.endswith("."), name
            assert all(view.columns.values()), name


def test_views_know_what_they_read() -> None:
    written = [*written_views()]
    for view in written:
        tree = sqlglot.parse_one(view.sql, read="duckdb")
        parts = {part.alias for part in tree.find_all(exp.CTE)}
        read = {table.name for table in tree.find_all(exp.Table)}
        assert view.over == read - parts, view.name
        assert not parts & {*ALL_TABLES, *(v.name for v in written)}, view.name
    order = [view.name for view in in_order(written)]
    assert order.index("fact_teacher_hours") < order.index("fact_meetings")
    above = [view.name for view in resting_on("occupancy", written)]
    assert above == ["occupancy", "free_places"]


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake", "redshift", "databricks"])
def test_other_destinations_get_sql_that_parses(dialect: str) -> None:
    found = fields([("user", "diet", "select", "Diet?")], [("users", "x", "number")])
    for view in (*written_views(), *living_views(ALL_TABLES), *wide_views(found, ALL_TABLES)):
        sql = translated(view.placed('"v"').replace('raw."', '"r"."'), dialect)
        assert sqlglot.parse_one(sql, read=dialect), view.name


def test_names_of_time_zones_are_known() -> None:
    assert iana_zone("Amsterdam") == "Europe/Amsterdam"
    assert iana_zone("Atlantic/Reykjavik") == "Atlantic/Reykjavik"
    assert iana_zone("Nowhere") is iana_zone(None) is None
    assert {*_rails_zones().values()} <= available_timezones()


def test_columns_of_custom_fields_have_names_that_last() -> None:
    names = column_names(["Diet", "diet", "t-shirt size", "2nd", "é", "日本"])
    assert names == {
        "diet": "diet", "Diet": "diet_2", "t-shirt size": "t_shirt_size", "2nd": "field_2nd",
        "é": "e", "日本": "field_",
    }
    longest = column_names(["x" * 80, "x" * 81])
    assert len({*longest.values()}) == 2
    assert max(map(len, longest.values())) <= 63


def test_a_view_depends_on_those_that_it_reads() -> None:
    one = View("one", "measure", "", {}, "SELECT 1")
    two = View("two", "measure", "", {}, "SELECT EXTRACT(day FROM x) FROM one WHERE s = 'FROM z'")
    before = fingerprints([one, two])
    after = fingerprints([View("one", "measure", "", {}, "SELECT 2"), two])
    assert two.over == {"one"}
    assert two.placed('"v"').count('"v".') == 1
    assert all(before[name] != after[name] for name in before)


# ---- When they are made


def test_a_sync_without_news_looks_once(viewed: Warehouse) -> None:
    asked: list[str] = []
    query = Dataset.query

    def counting(self: Any, sql: str, *params: Any) -> Any:
        if VIEWS in sql or VIEWS in params:
            asked.append(sql)
        return query(self, sql, *params)

    before = made(viewed)
    assert {"users", "orders", "users_custom", "occupancy", "dim_dates"} < {*before}
    with patch.object(Dataset, "query", counting), patch(
        "pipelines.eduframe.views.keeping._make", side_effect=AssertionError
    ):
        assert viewed.sync("labels").notes == []
    assert len(asked) == 1
    assert made(viewed) == before


def test_descriptions_are_comments(viewed: Warehouse) -> None:
    sql = {
        "duckdb": "SELECT comment AS said FROM duckdb_views() WHERE view_name = 'occupancy'"
        " UNION ALL SELECT comment FROM duckdb_columns() WHERE table_name = 'occupancy' "
        "AND column_name = 'taken'",
        "postgres": f"SELECT obj_description('{VIEWS}.occupancy'::regclass) AS said UNION ALL "
        f"SELECT col_description('{VIEWS}.occupancy'::regclass, 9)",
    }[viewed.destination]
    said = sorted(row["said"] for row in viewed.query(sql))
    assert said[0].startswith("How full each planned course is: one row for each")
    assert said[1] == "How many places are taken."


def test_a_new_custom_field_appears(viewed: Warehouse, sim: Simulator) -> None:
    had = columns(viewed, "users_custom")
    user = sim.rows("users")[0]
    sim.change("users", user["id"], custom={**(user["custom"] or {}), "allergy": "nuts"})
    with patch("pipelines.eduframe.views.custom_fields._TEXT", "nothing"):
        [note] = viewed.sync("users").notes
    assert f"views in {VIEWS} stay as they were" in note
    assert columns(viewed, "users_custom") == had
    assert viewed.sync("labels").notes == []  # it is tried again, though nothing is new
    assert {*columns(viewed, "users_custom")} - {*had} == {"allergy"}
    rows = viewed.query(f"SELECT user_id, allergy FROM {VIEWS}.users_custom WHERE allergy <> ''")
    assert rows == [{"user_id": user["id"], "allergy": "nuts"}]


def test_custom_objects_have_a_view_each(viewed: Warehouse, sim: Simulator) -> None:
    objects = ("custom_objects", "custom_records")
    fields = [
        {"id": 1, "slug": "floor", "title": "Floor", "field_type": "decimal"},
        {"id": 2, "slug": "record_id", "title": "Mark", "field_type": "string"},
    ]
    for slug, plural in (("room's", "Rooms"), ("objects", "Objects")):
        sim.add("custom_objects", slug=slug, name_plural=plural, fields=fields)
    properties = {"floor": 2, "record_id": "A", "seats": ["3", "4"]}
    record = sim.add("custom_records", object_slug="room's", properties=properties)
    assert viewed.sync(*objects, "custom_associations").notes == []
    assert {"custom_room_s", "custom_objects_2", "custom_objects"} <= {*made(viewed)}
    [row] = viewed.query(f"SELECT * FROM {VIEWS}.custom_room_s")
    assert (row["record_id"], row["display_name"]) == (record["id"], record["display_name"])
    assert (row["floor"], row["record_id_2"], row["seats"]) == (2, "A", "3, 4")
    assert viewed.query(f"SELECT floor FROM {VIEWS}.custom_objects_2") == []


def test_a_customer_who_moves_gets_other_days(viewed: Warehouse, sim: Simulator) -> None:
    order = sim.rows("orders")[0]["id"]
    sim.change("orders", order, created_at="2026-01-01T02:00:00.000Z")
    viewed.sync("orders")
    sql = f"SELECT DISTINCT ordered_on FROM {VIEWS}.fact_order_lines WHERE order_id = {order}"
    assert [str(row["ordered_on"]) for row in viewed.query(sql)] == ["2026-01-01"]
    sim.change("educators", 1, time_zone="Eastern Time (US & Canada)")
    assert viewed.sync("educators", reconcile=True).notes == []
    assert [str(row["ordered_on"]) for row in viewed.query(sql)] == ["2025-12-31"]
    sim.change("educators", 1, time_zone="Middle-earth")
    [note] = viewed.sync("educators", reconcile=True).notes
    assert "the time zone 'Middle-earth' is not known" in note
    assert viewed.sync("labels", time_zone="Europe/Amsterdam", currency="ISK").notes == []
    assert [str(row["ordered_on"]) for row in viewed.query(sql)] == ["2026-01-01"]
    money = f"SELECT DISTINCT currency FROM {VIEWS}.fact_order_lines WHERE currency = 'ISK'"
    assert viewed.query(money) == [{"currency": "ISK"}]


def test_time_zone_and_currency_are_names_that_databases_know() -> None:
    assert Settings(time_zone=" Europe/Amsterdam ", currency="EUR").time_zone == "Europe/Amsterdam"
    for wrong, hint in (
        ({"time_zone": "Amsterdam"}, "perhaps Europe/Amsterdam"),
        ({"time_zone": "europe/amsterdam"}, "perhaps Europe/Amsterdam"),
        ({"time_zone": "+01:00"}, "such as Europe/Amsterdam"),
        ({"time_zone": "localtime"}, "such as Europe/Amsterdam"),
        ({"currency": "eur"}, "perhaps EUR"),
        ({"currency": "EURO"}, "such as EUR"),
        ({"currency": "EU'"}, "such as EUR"),
    ):
        with pytest.raises(SettingsError, match=re.escape(hint)):
            Settings(**wrong)


def test_what_changed_is_made_anew_and_dropped_views_come_back(viewed: Warehouse) -> None:
    before = made(viewed)
    viewed.execute(f"DROP VIEW {VIEWS}.dim_dates CASCADE" if viewed.destination == "postgres"
                   else f"DROP VIEW {VIEWS}.dim_dates")
    change = ("    p.course_id\nFROM", "    p.course_id,\n    p.cost AS price\nFROM")
    about = ("-- course_id: → courses.id\nWITH",
             "-- course_id: → courses.id\n-- price: It.\nWITH")
    with rewritten(occupancy=(change, about)):
        assert viewed.sync("labels").notes == []
        assert viewed.sync("labels").notes == []
    after = made(viewed)
    assert {n for n in before if before[n] != after[n]} == {"occupancy", "free_places"}
    assert columns(viewed, "occupancy")[-1] == "price"
    assert viewed.query(f"SELECT 1 AS n FROM {VIEWS}.dim_dates LIMIT 1")
    assert viewed.sync("labels").notes == []  # and the release before comes back


def test_one_that_cannot_be_made_is_a_note(viewed: Warehouse) -> None:
    with rewritten(returning_customers=(("COUNT(*) AS", "COUNT(nothing) AS"),)):
        report = viewed.sync("labels")
    [note] = report.notes
    assert report.exit_code == DONE
    assert note.startswith(f"the view {VIEWS}.returning_customers stays as it was")
    assert "nothing" in note
    assert viewed.query(f"SELECT * FROM {VIEWS}.returning_customers")
    assert viewed.sync("labels").notes == []


def test_what_a_crash_leaves_is_still_ours(viewed: Warehouse) -> None:
    attempt = Maker.attempt

    def dying(self: Maker, name: str, statements: Any) -> bool:
        if name == "occupancy":
            raise KeyboardInterrupt
        return attempt(self, name, statements)

    before = made(viewed)
    viewed.execute(f"DROP SCHEMA {VIEWS} CASCADE")
    broken = rewritten(returning_customers=(("COUNT(*) AS", "COUNT(nothing) AS"),))
    with broken, patch.object(Maker, "attempt", dying), pytest.raises(KeyboardInterrupt):
        viewed.sync("labels")
    assert viewed.sync("labels").notes == []
    assert made(viewed) == before


def test_a_table_that_is_dropped_brings_its_views_back(viewed: Warehouse) -> None:
    cascade = " CASCADE" if viewed.destination == "postgres" else ""
    viewed.execute(f"DROP TABLE orders{cascade}")
    report = viewed.sync("orders")
    assert report.exit_code == DONE
    assert not [note for note in report.notes if "view" in note]
    found = viewed.query(f"SELECT COUNT(*) AS n FROM {VIEWS}.orders")
    assert found == [{"n": len(viewed.sim.rows("orders"))}]
    assert viewed.query(f"SELECT * FROM {VIEWS}.returning_customers")


def test_a_refresh_mends_columns_under_views(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    warehouse.execute("ALTER TABLE orders ALTER total_cost_excl TYPE numeric(18, 3)")
    assert warehouse.sync("labels", views="on").notes == []
    report = warehouse.sync("orders", refresh=True, views="on")
    assert report.exit_code == DONE, report.runs["orders"].message
    assert [note for note in report.notes if "view" in note] == []
    found = warehouse.query(f"SELECT SUM(total_cost_excl) AS total FROM {VIEWS}.orders")
    expected = sum(float(row["total_cost_excl"]) for row in sim.rows("orders"))
    assert float(found[0]["total"]) == pytest.approx(expected)
    assert warehouse.query(f"SELECT * FROM {VIEWS}.returning_customers")


# ---- Where they are


def test_they_can_be_off_or_elsewhere(make_warehouse: MakeWarehouse, sim: Simulator) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    assert warehouse.sync("labels", views="off").notes == []
    schemas = "SELECT DISTINCT table_schema AS s FROM information_schema.tables"
    assert VIEWS not in {row["s"] for row in warehouse.query(schemas)}
    assert warehouse.sync("labels", views="answers").notes == []
    assert warehouse.query("SELECT COUNT(*) AS n FROM answers.users") == [{"n": 20}]
    [note] = warehouse.sync("labels", views="eduframe").notes
    assert "rows are loaded into their dataset eduframe" in note
    if warehouse.destination == "duckdb":
        [note] = warehouse.sync("labels", views="warehouse").notes
        assert "would bear the name of the DuckDB file" in note


def test_each_dataset_has_views_of_its_own(viewed: Warehouse) -> None:
    viewed.execute("CREATE SCHEMA taken; CREATE TABLE taken._views (a int)")
    [note] = viewed.sync("labels", views="taken").notes
    assert note.startswith("there are no views: the dataset taken has a _views of somebody else")
    viewed.pipeline = make_pipeline(
        viewed.destination, "second", credentials=viewed.address,
        pipelines_dir=str(viewed.folder / "other"),
    )
    assert viewed.sync("labels", views="on").exit_code == DONE
    assert viewed.query("SELECT DISTINCT dataset FROM second_views._views") == [
        {"dataset": "second"}
    ]
    *_, note = viewed.sync("labels", views=VIEWS).notes
    assert note.startswith(f"there are no views: the dataset {VIEWS} has those of the dataset edu")
    viewed.execute("DELETE FROM second.labels")
    counts = [f"SELECT COUNT(*) AS n FROM {name}.labels" for name in (VIEWS, "second_views")]
    assert [viewed.query(sql)[0]["n"] for sql in counts] == [6, 0]


def test_an_older_list_of_views_is_brought_up_to_date(viewed: Warehouse) -> None:
    before = made(viewed)
    older = {**before, "long_gone": "x"}
    rows = ", ".join(f"('{name}', 'fact', 'It.', '{mark}')" for name, mark in older.items())
    viewed.execute(
        f"DROP VIEW {VIEWS}._views; CREATE VIEW {VIEWS}._views AS SELECT * FROM (VALUES {rows}) "
        f"AS v (name, kind, description, fingerprint); CREATE VIEW {VIEWS}.long_gone AS SELECT 1"
    )
    assert [viewed.sync("labels").notes for _ in range(2)] == [[], []]
    assert made(viewed) == before
    assert columns(viewed, "long_gone") == []
    assert viewed.query(f"SELECT DISTINCT dataset FROM {VIEWS}._views") == [{"dataset": "eduframe"}]


def test_a_dataset_of_views_is_none_to_sync_into(viewed: Warehouse) -> None:
    before, origin = made(viewed), viewed.pipeline
    viewed.sim.clear_requests()
    viewed.pipeline = make_pipeline(
        viewed.destination, VIEWS, credentials=viewed.address,
        pipelines_dir=str(viewed.folder / "other"),
    )
    with pytest.raises(SettingsError, match="holds the views of another one"):
        viewed.sync("labels")
    with pytest.raises(SettingsError, match="holds the views of another one"):
        copy_dataset(origin, viewed.pipeline)
    assert viewed.sim.requests == []
    assert made(viewed) == before


def test_what_others_have_there_stays(make_warehouse: MakeWarehouse, sim: Simulator) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    warehouse.execute(f"CREATE SCHEMA {VIEWS}")
    name = "Occupancy" if warehouse.destination == "duckdb" else "occupancy"
    warehouse.execute(f'CREATE VIEW {VIEWS}."{name}" AS SELECT 42 AS mine')
    for _ in range(2):
        notes = warehouse.sync("labels", views="on").notes
        assert f"{VIEWS} holds something else where views belong: occupancy" in notes[0]
        assert notes[1] == (
            f"the view {VIEWS}.free_places could not be made: it rests on occupancy, which is "
            "somebody else's"
        )
        assert warehouse.query(f"SELECT mine FROM {VIEWS}.occupancy") == [{"mine": 42}]
        assert warehouse.query(f"SELECT COUNT(*) AS n FROM {VIEWS}.users") == [{"n": 20}]


@pytest.mark.parametrize("destination", ["filesystem"], scope="session")
def test_a_lake_has_none_which_is_said_once(
    home: Home, destination: str, sim: Simulator, tmp_path: Any
) -> None:
    warehouse = home.make(destination, sim, tmp_path, tables=False, views="on")
    said = [warehouse.sync("labels").notes for _ in range(2)]
    assert said == [["there are no views for analysts in filesystem"], []]


# ---- In Postgres


@only_postgres
def test_grants_stay_and_views_of_others_are_left_and_named(viewed: Warehouse) -> None:
    viewed.execute(
        "DROP ROLE IF EXISTS analyst; CREATE ROLE analyst; "
        f"GRANT SELECT ON {VIEWS}.occupancy, {VIEWS}.free_places TO analyst; "
        f"CREATE VIEW mine AS SELECT taken FROM {VIEWS}.occupancy"
    )
    granted = (
        "SELECT table_name AS name FROM information_schema.role_table_grants "
        "WHERE grantee = 'analyst' ORDER BY 1"
    )
    had = viewed.query(granted)
    assert had == [{"name": "free_places"}, {"name": "occupancy"}]
    retyped = ("COALESCE(e.taken, 0) AS taken", "CAST(e.taken AS VARCHAR) AS taken")
    with rewritten(occupancy=(retyped,)):
        [note] = viewed.sync("labels").notes
        assert note.startswith(f"the view {VIEWS}.occupancy stays as it was")
        assert "view mine depends on view eduframe_views.occupancy" in note
        assert viewed.query("SELECT taken FROM mine LIMIT 1") == []
        viewed.execute("DROP VIEW mine")
        assert viewed.sync("labels").notes == []
    kind = f"SELECT pg_typeof(taken)::text AS kind FROM {VIEWS}.occupancy RIGHT JOIN users ON true"
    assert viewed.query(f"{kind} LIMIT 1") == [{"kind": "text"}]
    assert viewed.query(granted) == had
    viewed.execute("DROP OWNED BY analyst; DROP ROLE analyst")


@only_postgres
def test_an_upgrade_changes_columns_under_our_views(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    warehouse.execute("ALTER TABLE orders ALTER total_cost_excl TYPE varchar")
    warehouse.sync("labels", views="on")
    warehouse.execute(
        "DROP ROLE IF EXISTS reader_of_views; CREATE ROLE reader_of_views; "
        f"GRANT SELECT ON {VIEWS}.orders TO reader_of_views"
    )
    table = OURS["orders"]
    [column] = [column for column in table.all_columns if column.name == "total_cost_excl"]
    with StoredRows(warehouse.pipeline) as stored:
        _change_all(warehouse.pipeline, stored, [(table, column)])
    assert warehouse.types("orders")["orders"]["total_cost_excl"] == "numeric"
    assert warehouse.sync("labels", views="on").notes == []
    assert warehouse.query(f"SELECT total_cost_excl FROM {VIEWS}.orders")
    granted = f"SELECT has_table_privilege('reader_of_views', '{VIEWS}.orders', 'SELECT') AS may"
    assert warehouse.query(granted) == [{"may": True}]
    warehouse.execute("DROP OWNED BY reader_of_views; DROP ROLE reader_of_views")


@only_postgres
def test_a_role_that_may_make_no_schema_syncs_and_says_so(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=LISTS, views="on")
    as_role(warehouse, (
        "GRANT ALL ON SCHEMA eduframe, eduframe_staging TO {role}; "
        "GRANT ALL ON ALL TABLES IN SCHEMA eduframe, eduframe_staging TO {role}"
    ))
    report = warehouse.sync("labels")
    assert report.exit_code == DONE
    [note] = [note for note in report.notes if "views" in note]
    assert note.startswith(f"there are no views, as their dataset {VIEWS} could not be made")
    assert f"CREATE SCHEMA {VIEWS} AUTHORIZATION clerk_" in note
    role = warehouse.address.partition("//")[2].partition(":")[0]
    clerks = warehouse.address
    for granted in (f"CREATE SCHEMA {VIEWS}", f"GRANT USAGE ON SCHEMA {VIEWS} TO {role}"):
        warehouse.address = clerks.replace(f"{role}:x@", "postgres:x@")
        warehouse.execute(granted)
        warehouse.address = clerks
        report = warehouse.sync("labels")
        assert report.exit_code == DONE
        assert f"GRANT USAGE, CREATE ON SCHEMA {VIEWS} TO {role}; or set" in report.notes[-1]
    warehouse.address = clerks.replace(f"{role}:x@", "postgres:x@")
    warehouse.execute(f"GRANT USAGE, CREATE ON SCHEMA {VIEWS} TO {role}")
    warehouse.address = clerks
    assert [note for note in warehouse.sync("labels").notes if "view" in note] == []


def test_the_wheel_has_the_files() -> None:
    folder = files("schemas.eduframe")
    assert (folder / "time_zones.csv").is_file()
    names = [file.name for file in (folder / "views").iterdir()]
    assert all(re.fullmatch(r"[a-z_]+\.sql", name) for name in names)
