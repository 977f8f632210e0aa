"""What the destination's memory means for a run of the plain source: the one place that says so.

What a table holds is compared with what the API serves only where this run merges into that very
table, and drops nothing of it before. Everywhere else all that is read counts as new: in tables
that are replaced, appended to, dropped or emptied by ``refresh``, or named otherwise, and in
destinations that cannot be asked. What dlt cannot do with our tables is refused here, before a row
is read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlt.destinations.sql_client import WithSqlClient
from dlt.extract import DltSource

from sources.eduframe.dataset.dlt_classes import EduframeResource
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.declare import Endpoint
from sources.eduframe.errors import SettingsError
from sources.eduframe.rows.tables import CHILD_TABLES, SHARED_TABLES

NO_LIMIT = "its SQL has no LIMIT and no boolean values, which our own queries need"
WHY_NOT = {
    "iceberg": "dlt writes rows that are marked for removal into its tables, as rows, and ignores "
    "merge keys, so nested rows that are gone would stay",
    "mssql": NO_LIMIT,
    "synapse": NO_LIMIT,
}
"""Why rows cannot be merged, by destination or table format."""

INSTEAD = {
    "scd2": "it tells versions of a row apart by a hash of dlt's, which Arrow tables do not have; "
    "keep history with a snapshot of the tables, by their columns _row_hash and _synced_at",
    "cdc": "it deletes every row that a load does not have, and a load has only what changed; "
    "sync() marks what is gone",
    "insert-only": "changed rows would never arrive; to keep old versions, append to a dataset of "
    'its own with write_disposition="append"',
}
"""What to use in place of merge strategies that do not go with rows of which only the changed ones
are loaded."""


_KEYED = """
SELECT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'p' AND n.nspname = %s AND c.relname = ANY(%s)
"""


@dataclass(frozen=True)
class Memory:
    """What is known of the tables of one run."""

    readable: bool
    """Whether the destination can be asked at all."""
    anew: frozenset[str]
    """The tables of which nothing is known, as all that is read is new in them …"""
    emptied: frozenset[str]
    """… and those among them that lose what they hold to this run."""
    left_out: frozenset[str]
    """The tables that this run does not fill: their resource is not selected."""

    def forgets(self, endpoint: Endpoint) -> bool:
        """Whether some table of a list is not compared, or not filled, in this run."""
        return bool(tables_of(endpoint) & (self.anew | self.left_out))


def tables_of(endpoint: Endpoint) -> set[str]:
    """The names of a list's tables, shared ones included."""
    return {endpoint.table, *(table.name for table in CHILD_TABLES[endpoint.table])}


def decide(
    pipeline: Any, source: DltSource, endpoints: Sequence[Endpoint], package: Mapping[str, Any]
) -> Memory:
    """What the destination's memory means for a run; ``package`` is dlt's state of its package.

    Raises:
        SettingsError: dlt cannot load our tables the way that is asked for.
    """
    selected = {
        name: resource
        for name, resource in source.selected_resources.items()
        if isinstance(resource, EduframeResource)
    }
    if _kind(pipeline) == "filesystem" and any(map(_in_delta, selected.values())):
        # imported here, as its packages are installed only for this destination
        from sources.eduframe.dataset.delta_tables import take_over

        take_over(pipeline)
    readable = isinstance(pipeline.destination_client(), WithSqlClient)
    _check_names(selected)
    for resource in selected.values():
        _check_hints(resource)
        if readable and resource.disposition == "merge":
            _check_merge(pipeline, resource)
    gone = {
        table["name"] for name in ("dropped_tables", "truncated_tables")
        for table in package.get(name) or ()
    }
    appended = {name for name, r in selected.items() if r.disposition == "append"} - gone
    if readable and appended:
        _check_appended(Dataset(pipeline), appended)
    anew, emptied, left_out = set[str](), set[str](), set[str]()
    for name, resource_name in _resources_of(endpoints).items():
        if resource_name not in selected:
            left_out.add(name)
            continue
        resource = selected[resource_name]
        if source.schema.naming.normalize_table_identifier(name) in gone:
            emptied.add(name)
        if resource.disposition == "replace":
            emptied.add(name)
        renamed = name == resource_name and resource.table_name != name
        if not readable or renamed or resource.disposition != "merge":
            anew.add(name)
    return Memory(
        readable, frozenset(anew | emptied), frozenset(emptied), frozenset(left_out)
    )


def _resources_of(endpoints: Collection[Endpoint]) -> dict[str, str]:
    """Table to the resource that fills it."""
    return {
        name: name if name in SHARED_TABLES else endpoint.table
        for endpoint in endpoints
        for name in tables_of(endpoint)
    }


def _kind(pipeline: Any) -> str:
    return str(pipeline.destination.destination_type).rsplit(".", 1)[-1]


def _in_delta(resource: EduframeResource) -> bool:
    return (resource._hints or {}).get("table_format") == "delta"


def _check_names(selected: Mapping[str, EduframeResource]) -> None:
    by_table: dict[Any, str] = {}
    for name, resource in selected.items():
        other = by_table.setdefault(resource.table_name, name)
        if other != name:
            raise SettingsError(
                f"The rows of {other} and {name} cannot both go into the table "
                f"{resource.table_name}: give table_name to one resource, such as "
                f'source.{name}.apply_hints(table_name="…").'
            )


def _check_hints(resource: EduframeResource) -> None:
    if getattr(resource.incremental, "incremental", resource.incremental) is not None:
        raise SettingsError(
            f"{resource.name} takes no incremental: its rows are compared with those in the "
            "destination, and only what is new or changed is loaded. Leave the hint out; to load "
            "fewer rows, use add_filter."
        )
    if resource.disposition == "merge" and resource.strategy in INSTEAD:
        raise SettingsError(
            f"{resource.name} cannot be merged by the strategy {resource.strategy}: "
            f"{INSTEAD[resource.strategy]}."
        )


def _check_appended(dataset: Dataset, names: Collection[str]) -> None:
    """Refuse to append to tables of Postgres to which a sync gave primary keys."""
    with dataset:
        client = dataset.client
        if client.capabilities.sqlglot_dialect != "postgres":
            return
        keyed = client.execute_sql(_KEYED, client.dataset_name, [*names]) or ()
    if keyed:
        raise SettingsError(
            f"Rows cannot be appended to {', '.join(sorted(row[0] for row in keyed))}: by their "
            "primary key these tables take no row twice. Append to a dataset of its own."
        )


def _check_merge(pipeline: Any, resource: EduframeResource) -> None:
    """Refuse to merge where the destination, or the format of its tables, cannot."""
    capabilities = pipeline.destination.capabilities()
    name = pipeline.destination.destination_name
    kind = _kind(pipeline)
    given: Any = (resource._hints or {}).get("table_format")
    table_format = given or capabilities.preferred_table_format
    why = WHY_NOT.get(str(table_format)) or WHY_NOT.get(kind)
    if kind == "filesystem" and table_format != "delta":
        why = why or "files without a table format only grow"
        raise SettingsError(
            f"Rows cannot be merged in the destination {name}, table format "
            f'{table_format or "none"}: {why}. Give table_format="delta" to run, or '
            'write_disposition="replace" for whole copies.'
        )
    strategies = capabilities.supported_merge_strategies or ()
    if why is None and "delete-insert" not in strategies:
        why = "dlt does not replace rows there"
    if why is None and resource.strategy not in strategies:
        raise SettingsError(
            f"{resource.name} cannot be merged by the strategy {resource.strategy} in the "
            f"destination {name}, which does not know it: use delete-insert, the default."
        )
    if why is not None:
        raise SettingsError(
            f"Rows cannot be merged in the destination {name}: {why}. Use another destination, "
            'or write_disposition="replace" for whole copies.'
        )
