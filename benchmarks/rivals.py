"""What people would use instead: ``python -m benchmarks.rivals NAME URL FOLDER``.

Each loads the same lists from the same server into the same kind of DuckDB file, by itself.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LISTS = ("enrollments", "orders", "users")
FILE = "warehouse.duckdb"

TABLES = {
    "grades": "SELECT id AS enrollment_id, unnest(grade) FROM enrollments_new",
    "order_items": "SELECT unnest(item) FROM (SELECT unnest(order_items) AS item FROM orders_new)",
    "addresses": "SELECT id AS user_id, unnest(address) FROM users_new",
    "enrollments": "SELECT * EXCLUDE (grade) FROM enrollments_new",
    "orders": "SELECT * EXCLUDE (order_items) FROM orders_new",
    "users": "SELECT * EXCLUDE (address) FROM users_new",
}
"""The rows of each table."""
OWNERS = {"grades": "enrollment_id", "order_items": "order_id", "addresses": "user_id"}
"""By what the rows of nested parts are replaced; others by their id."""


def floor(url: str, folder: Path) -> None:
    """Pages to disk as they come, one ``read_json`` for each list, and rows deleted and inserted
    by a key that is not declared."""

    def replace(connection: Any, table: str, rows: str) -> None:
        key = OWNERS.get(table, "id")
        connection.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM ({rows}))")
        connection.execute(f"INSERT INTO {table} {rows}")

    _pages_and_read_json(url, folder, replace)


def floor_upserts(url: str, folder: Path) -> None:
    """The same, but for tables with a declared key, and DuckDB's own upsert."""

    def upsert(connection: Any, table: str, rows: str) -> None:
        key = "id" if table == "order_items" else OWNERS.get(table, "id")
        connection.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_key ON {table} ({key})")
        connection.execute(f"INSERT OR REPLACE INTO {table} {rows}")

    _pages_and_read_json(url, folder, upsert)


def _pages_and_read_json(
    url: str, folder: Path, put: Callable[[Any, str, str], None]
) -> None:
    import duckdb
    import httpx

    with httpx.Client() as client:
        for name in LISTS:
            following: str | None = f"{url}/{name}?per_page=100"
            with (folder / f"{name}.json").open("wb") as file:
                while following:
                    answer = client.get(following)
                    file.write((b"," if file.tell() else b"[") + answer.content[1:-1])
                    following = answer.links.get("next", {}).get("url")
                file.write(b"]")
    with duckdb.connect(str(folder / FILE)) as connection:
        connection.execute("BEGIN")
        for name in LISTS:
            path = folder / f"{name}.json"
            connection.execute(
                f"CREATE TEMP TABLE {name}_new AS SELECT * FROM read_json('{path}', format='array')"
            )
        for table, rows in TABLES.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {rows} LIMIT 0")
            put(connection, table, rows)
        connection.execute("COMMIT")


def dlt_rest_api(url: str, folder: Path) -> None:
    """dlt's ``rest_api`` source as it comes, merging by id."""
    _rest_api_pipeline(folder).run(_rest_api(url))


def dlt_rest_api_tuned(url: str, folder: Path) -> None:
    """The same by parquet files, and with lists that are fetched side by side."""
    source = _rest_api(url)
    for resource in source.resources.values():
        resource.parallelize()
    _rest_api_pipeline(folder).run(source, loader_file_format="parquet")


def _rest_api(url: str) -> Any:
    from dlt.sources.rest_api import rest_api_source

    return rest_api_source(
        {
            "client": {"base_url": f"{url}/", "paginator": "header_link"},
            "resource_defaults": {
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {"params": {"per_page": 100}},
            },
            "resources": list(LISTS),
        }
    )


def _rest_api_pipeline(folder: Path) -> Any:
    import dlt

    file = dlt.destinations.duckdb(str(folder / FILE))
    return dlt.pipeline("rest_api", destination=file, dataset_name="data")


RIVALS = {
    rival.__name__: rival for rival in (floor, floor_upserts, dlt_rest_api, dlt_rest_api_tuned)
}

if __name__ == "__main__":
    RIVALS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
