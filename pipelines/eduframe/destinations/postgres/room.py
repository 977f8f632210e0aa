"""What the sync finds in Postgres before it asks the API for anything: rights, and connections."""

import re
import time
from collections.abc import Callable
from typing import Any

from pipelines.eduframe.destinations.postgres.rights import foreign_tables
from pipelines.eduframe.place.target import is_a
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.display import printable
from sources.eduframe.errors import ConnectionsError, RightsError

TABLES_AT_ONCE = 4
"""Each takes connections, and memory for its rows. dlt would load 20 tables at once."""
CONNECTIONS_A_TABLE = 2
"""One of dlt's, and one that rows are copied over. Where there is but one, rows go as INSERT
statements over dlt's."""
BEST = 1 + TABLES_AT_ONCE * CONNECTIONS_A_TABLE
"""With that of the lock."""
WAIT_SECONDS = 3.0
"""So long a connection is waited for: a server takes a moment to end one that was closed."""

_NONE_LEFT = re.compile(
    r"too many connections for|too many clients already|connection slots are reserved|\b53300\b"
)

_RIGHTS = """
SELECT s.name, n.oid IS NOT NULL, current_user, current_database(),
    CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') END
FROM unnest(%s::text[]) WITH ORDINALITY AS s(name, place)
LEFT JOIN pg_namespace n ON n.nspname = s.name ORDER BY s.place
"""
_FREE = """
SELECT least(
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
        - count(*) FILTER (WHERE usename = current_user),
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0)
        - count(*) FILTER (WHERE datname = current_database()),
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int - count(*))
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


def connected(connect: Callable[[], Any]) -> Any:
    """A connection, for which it is waited a moment where there is none left.

    Raises:
        ConnectionsError: says how many are needed, and what allows them.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return connect()
        except Exception as error:  # each driver has exceptions of its own
            found = _NONE_LEFT.search(str(error))
            if not found:
                raise
            if time.monotonic() >= deadline:
                said = str(error).rpartition("FATAL:")[2].strip()
                raise ConnectionsError(
                    f"Postgres has no connection left for the sync ({printable(said, 200)}). It "
                    f"needs one at the least, two to keep other machines out, and {BEST} to be "
                    "quick. An administrator allows more with: ALTER ROLE … CONNECTION LIMIT "
                    f"{BEST}; ALTER DATABASE … CONNECTION LIMIT -1; or max_connections of the "
                    "server. See docs/destinations/postgres.md"
                ) from error
            time.sleep(0.05)


def free_connections(client: Any) -> int:
    """How many connections this role may open to the database of a client, beside that of it."""
    return int(client.execute_sql(_FREE)[0][0])


def is_the_only_one(client: Any) -> bool:
    """Whether there is no connection beside that of a client, also after a moment: a server takes
    one to end those that were closed."""
    deadline = time.monotonic() + WAIT_SECONDS
    while free_connections(client) < 1:
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.1)
    return False


def make_room(pipeline: Any, views: str | None) -> None:
    """Check that the role may create what it needs, and load as many tables at a time as there are
    connections for: one at least, and without COPY where it takes one too many.

    ``views`` is the dataset that the views for analysts will be in, if any. Nothing fails where the
    role may not create that, but an administrator who is asked for the others is asked for it, too.

    Raises:
        RightsError: names what the role lacks.
    """
    if not is_a(pipeline, "postgres"):
        return
    with Dataset(pipeline) as dataset:
        client = dataset.client
        dataset_name = client.dataset_name
        needed = [client.dataset_name, client.staging_dataset_name]
        rights = client.execute_sql(_RIGHTS, [*needed, *([views] if views else [])])
        others = foreign_tables(client).values()
        free = free_connections(client) + 1  # this one
    lacking = {
        schema: f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{role}"'
        if exists
        else f'CREATE SCHEMA "{schema}" AUTHORIZATION "{role}"'
        for schema, exists, role, _, may_create in rights
        if not may_create
    }
    # those of the lists are looked at one by one: see tables/fit.py
    grants = [
        helps
        for one in others
        if one.schema != dataset_name or one.table.startswith(("_sync", "_dlt"))
        for _, helps in one.wrong
    ]
    if grants or {*lacking} & {*needed}:
        grants = [*lacking.values(), *grants]
        raise RightsError(
            f"The role {rights[0][2]} lacks rights in the database {rights[0][3]}, and nothing was "
            f"read. An administrator gives them with: {'; '.join(grants)}. See "
            "docs/destinations/postgres.md"
        )
    pipeline.destination.copying = free >= CONNECTIONS_A_TABLE
    at_once = max(1, min(TABLES_AT_ONCE, free // CONNECTIONS_A_TABLE))
    pipeline.destination.tables_at_once = at_once
