"""The views beside a dataset, kept up to date at the end of a run: in one look, where nothing about
them changed. Whatever goes wrong with them is a note, and no run fails for it.
"""

import logging
from collections.abc import Collection, Iterable, Mapping

from pipelines.eduframe.failures import error_lines
from pipelines.eduframe.pipeline import duckdb_path
from pipelines.eduframe.place.target import is_a, kind_of, target_of
from pipelines.eduframe.views.catalog import (
    RAW,
    Found,
    columns_there,
    custom_fields,
    is_of_views,
    look,
)
from pipelines.eduframe.views.custom_fields import is_wide, record_views, wide_views
from pipelines.eduframe.views.files import UTC, written_views
from pipelines.eduframe.views.living import living_views
from pipelines.eduframe.views.making import MEMORY, Maker
from pipelines.eduframe.views.view import CATALOG, View, fingerprints, resting_on
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import SettingsError
from sources.eduframe.region import iana_zone
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe.settings import Settings

log = logging.getLogger("eduframe.views")

HAVE_VIEWS = ("duckdb", "motherduck", "postgres", "bigquery", "snowflake", "redshift", "databricks")
"""Destinations in which views are made."""

_RIGHTS = (
    "SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE'), "
    "current_user::regrole FROM pg_namespace WHERE nspname = %s"
)
"""Of a schema in Postgres: whether the role may make views in it, and the role."""

FEW = 3
"""Views whose trouble is told one by one."""


def views_dataset(dataset: str, setting: str) -> str | None:
    """The dataset that the views of a dataset are in, by the setting ``views``; None: nowhere."""
    if setting == "off":
        return None
    return f"{dataset}_views" if setting == "on" else setting


def check_no_views(stored: Dataset) -> None:
    """Refuse a dataset that the views of another one are in: it is none to load rows into.

    Raises:
        SettingsError: names it.
    """
    dataset = stored.client.dataset_name
    if is_of_views(stored, dataset):
        raise SettingsError(
            f"The dataset {dataset} holds the views of another one, which the sync makes beside "
            "it. Nothing was read. Name the other dataset (--dataset)."
        )


def keep_views(stored: Dataset, settings: Settings, *, news: bool, first: bool) -> list[str]:
    """Make the views whose definition changed. Returns what is to be told about it.

    Args:
        stored: the raw dataset.
        settings: of them ``views``, ``time_zone`` and ``currency``.
        news: whether rows were written since this was last done.
        first: whether the dataset was made in this run.
    """
    dataset = views_dataset(target_of(stored.pipeline).dataset, settings.views)
    if dataset is None:
        return []
    kind = kind_of(stored.pipeline)
    if kind not in HAVE_VIEWS:
        return [f"there are no views for analysts in {kind}"] if first else []
    try:
        with stored:
            return _keep(stored, dataset, settings, news=news)
    except Exception as error:  # whatever it is, the data is loaded
        log.debug("views", exc_info=True)
        return [f"the views in {dataset} could not be made: {error_lines(error)}"]


def _keep(stored: Dataset, dataset: str, settings: Settings, *, news: bool) -> list[str]:
    try:
        found = look(stored, dataset)
    except Exception:  # each driver has exceptions of its own
        if why := _lacking_rights(stored, dataset):
            return [why]
        listed = columns_there(stored, dataset).get(CATALOG)
        if listed is not None and listed != [*MEMORY][: len(listed)]:
            return [
                f"there are no views: the dataset {dataset} has a {CATALOG} of somebody else. Name "
                "another dataset (views), or set it to off"
            ]
        found = look(stored, dataset, names_only=True)  # an older list: all are made anew
    if found.dataset not in (None, stored.client.dataset_name):
        return [
            f"there are no views: the dataset {dataset} has those of the dataset {found.dataset}. "
            "Name another (views), or set it to off"
        ]
    time_zone = settings.time_zone or iana_zone(found.time_zone)
    existing = {*stored.pipeline.default_schema.tables} & {*ALL_TABLES}
    simple = [
        *living_views(existing),
        *written_views(time_zone or UTC, settings.currency or found.currency),
    ]
    made = found.views
    marks = fingerprints(simple)
    is_new = marks.items() != {n: m for n, m in made.items() if not is_wide(n)}.items()
    if not news and not is_new and "" not in made.values() and found.known <= {*made}:
        return []
    wanted = [*simple, *_of_custom_fields(stored, found, existing)]
    marks = fingerprints(wanted)
    if marks == made:
        return []
    notes = _make(stored, dataset, found, wanted, marks, made)
    if found.time_zone and not time_zone:
        notes.append(
            f"the time zone {found.time_zone!r} is not known: days in the views are UTC's. "
            "Set time_zone"
        )
    return notes


def views_of_custom_fields(stored: Dataset, setting: str) -> list[View]:
    """The wide views that a dataset has, by the fields of now; none where there are no views."""
    if setting == "off" or kind_of(stored.pipeline) not in HAVE_VIEWS:
        return []
    return _of_custom_fields(stored, look(stored, None), {*stored.existing(ALL_TABLES)})


def _of_custom_fields(stored: Dataset, found: Found, existing: Collection[str]) -> list[View]:
    of_rows, of_records = custom_fields(stored, found)
    return [
        *wide_views(of_rows, existing),
        *record_views(found.objects, of_records, existing),
    ]


def _make(
    stored: Dataset,
    dataset: str,
    found: Found,
    wanted: list[View],
    marks: Mapping[str, str],
    made: Mapping[str, str],
) -> list[str]:
    file = duckdb_path(stored.pipeline)
    if file is not None and file.stem.lower() == dataset.lower():
        return [
            f"there are no views: their dataset {dataset} would bear the name of the DuckDB file, "
            "and DuckDB could not tell them apart. Name another (views)"
        ]
    if len(dataset) > stored.client.capabilities.max_identifier_length:
        return [
            f"there are no views: the name of their dataset, {dataset}, is too long. Name another "
            "(views)"
        ]
    there = columns_there(stored, dataset)
    if RAW & {*there} or dataset == stored.client.dataset_name:
        return [
            f"there are no views: rows are loaded into their dataset {dataset}. Name another "
            "(views), or set it to off"
        ]
    if why := _make_dataset(stored, dataset, there):
        return [why]
    same = str.lower if file is not None else str  # in DuckDB, Users and users are one name
    taken = {*map(same, there)} - {*map(same, found.known)} - {CATALOG}
    ours = [view for view in wanted if view.name not in taken]
    maker = Maker(stored, dataset, there, ours, marks, made)
    maker.failed = {
        above.name: f"it rests on {name}, which is somebody else's"
        for name in sorted({view.name for view in wanted} & taken)
        for above in resting_on(name, wanted)
        if above.name not in taken
    }
    changed = [
        view
        for view in ours
        if made.get(view.name) != marks[view.name] and view.name not in maker.failed
    ]
    gone = {*made} - {*marks}
    if changed or gone:
        maker.make(changed, gone)
    notes = [
        f"{dataset} holds something else where views belong: {_listed(names)}. Rename or drop it, "
        "and sync again"
        for names in [{view.name for view in wanted} & taken]
        if names
    ]
    return notes + _told(dataset, maker.failed, made)


def _make_dataset(stored: Dataset, dataset: str, there: Collection[str]) -> str | None:
    """Make the dataset of the views, if there is none; why it cannot be made."""
    sql = stored.client
    with sql.with_alternative_dataset_name(dataset):
        if there or sql.has_dataset():
            return _lacking_rights(stored, dataset)
        try:
            sql.create_dataset()
        except Exception as error:  # each driver has exceptions of its own
            by = ""
            if is_a(stored.pipeline, "postgres"):
                by = f" AUTHORIZATION {sql.execute_sql('SELECT current_user::regrole')[0][0]}"
            return (
                f"there are no views, as their dataset {dataset} could not be made "
                f"({error_lines(error)}). Let an administrator do it: CREATE SCHEMA {dataset}{by}; "
                "or set views to off"
            )
    return None


def _lacking_rights(stored: Dataset, dataset: str) -> str | None:
    """What to do where a schema of Postgres is there in which the role may not make views."""
    if not is_a(stored.pipeline, "postgres"):
        return None
    found = stored.client.execute_sql(_RIGHTS, dataset)
    if not found or found[0][0]:
        return None
    return (
        f"views in {dataset} are not made or changed, as the sync's role may not do so. Let an "
        f"administrator run: GRANT USAGE, CREATE ON SCHEMA {dataset} TO {found[0][1]}; or set "
        "views to off"
    )


def _told(dataset: str, failed: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    left = {name for name in failed if name in made}
    notes = []
    for names, one, many in (
        (left, "stays as it was", "stay as they were"),
        ({*failed} - left, "could not be made", "could not be made"),
    ):
        if len(names) <= FEW:
            notes += [f"the view {dataset}.{n} {one}: {failed[n]}" for n in sorted(names)]
        else:
            first = min(names)
            why = f"such as {first}: {failed[first]}"
            notes.append(f"{len(names)} views in {dataset} {many}, {why}")
    return notes


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
    return f"{', '.join(found[:FEW])}{more}"
