"""Views that hold on to columns whose type changes: set aside, and made anew from their own words.

All within the transaction that changes the column: if one cannot be made, nothing has changed. Only
those that the sync itself makes may stay away: it makes them at the end of the run.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sources.eduframe.errors import ViewError

log = logging.getLogger("eduframe.views")

_DEPENDENT = """
WITH RECURSIVE found(oid, depth) AS (
    SELECT r.ev_class, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND d.refobjsubid IN (0, a.attnum)
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid = %s::regclass AND a.attname = ANY(%s) AND r.ev_class <> d.refobjid
    UNION
    SELECT r.ev_class, f.depth + 1 FROM found f JOIN pg_depend d ON d.refobjid = f.oid
    JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    AND r.ev_class <> f.oid
)
SELECT c.oid, format('%%I.%%I', n.nspname, c.relname), n.nspname, c.relname, c.relkind = 'm',
    c.relispopulated,
    pg_get_viewdef(c.oid), quote_ident(pg_get_userbyid(c.relowner)),
    array_to_string(c.reloptions, ', '), quote_literal(obj_description(c.oid, 'pg_class'))
FROM (SELECT oid, max(depth) AS depth FROM found GROUP BY oid) f
JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY f.depth
"""
"""The views on some columns, and those on these, in the order in which they can be made."""

_GRANTS = """
SELECT format('GRANT %%s%%s ON %%s TO %%s%%s', g.privilege_type,
    CASE WHEN a.attname IS NULL THEN '' ELSE format(' (%%I)', a.attname) END, %s,
    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
    CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
    SELECT NULL::name AS attname, relacl AS acl, relowner FROM pg_class WHERE oid = %s
    UNION ALL SELECT a.attname, a.attacl, c.relowner FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid WHERE c.oid = %s AND a.attacl IS NOT NULL
) a CROSS JOIN LATERAL aclexplode(a.acl) g WHERE g.grantee <> a.relowner
"""
_REST = """
SELECT format('COMMENT ON COLUMN %%s.%%I IS %%L', %s, a.attname, d.description)
FROM pg_description d JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
WHERE d.classoid = 'pg_class'::regclass AND d.objoid = %s
UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal
UNION ALL SELECT format('ALTER VIEW %%s ALTER COLUMN %%I SET DEFAULT %%s', %s, a.attname,
    pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef d
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = %s
"""


_LISTS = """
SELECT n.nspname, format('%I.%I', n.nspname, c.relname), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = '_views' AND c.relkind = 'v'
"""
"""The views that list those that the sync makes, by schema, and whether they are the role's."""


@contextmanager
def views_aside(
    sql: Any, table: str, columns: Sequence[str], *, ours_only: bool = False
) -> Iterator[None]:
    """Within a transaction: drop the views on these columns, and make them anew afterwards.

    With ``ours_only`` those that others made stay, and what they hold on to cannot change.

    Raises:
        ViewError: a view of others cannot be made anew; names it, with its SQL.
    """
    views, ours = [], _ours(sql)
    for oid, name, schema, relation, is_stored, *rest in sql.execute_sql(
        _DEPENDENT, table, list(columns)
    ):
        is_ours = relation in ours.get(schema, ())
        if is_ours or not ours_only:
            kind = "MATERIALIZED VIEW" if is_stored else "VIEW"
            views.append((kind, name, is_ours, [*_statements(sql, oid, kind, name, *rest)]))
    for kind, name, _, _ in reversed(views):
        sql.execute_sql(f"DROP {kind} {name}")
    yield
    for _, name, is_ours, statements in views:
        if is_ours:
            _make_if_possible(sql, statements)
            continue
        for statement in statements:
            try:
                sql.execute_sql(statement)
            except Exception as error:
                raise ViewError(
                    f"the view {name} cannot be made anew with the column as it must be "
                    f"({str(error).splitlines()[0]}), so nothing was changed. Drop it, refresh, "
                    f"and make it anew in another way; now it is: {statements[0]}"
                ) from error


def _ours(sql: Any) -> dict[str, set[str]]:
    """The views that the sync makes, by schema; of its own role alone."""
    return {
        schema: {row[0] for row in sql.execute_sql(f"SELECT name FROM {name}")} | {"_views"}
        for schema, name, is_mine in sql.execute_sql(_LISTS) or ()
        if is_mine
    }


def dropping_ours(sql: Any, table: str, columns: Sequence[str]) -> list[str]:
    """What the owner of the views that a sync made runs, where they hold on to these columns."""
    schemas = {schema for schema, *_ in sql.execute_sql(_LISTS) or ()}
    found = sql.execute_sql(_DEPENDENT, table, list(columns))
    names = [name for _, name, schema, *_ in found if schema in schemas]
    return [f"DROP VIEW IF EXISTS {', '.join(names)}"] if names else []


def _make_if_possible(sql: Any, statements: Sequence[str]) -> None:
    """Make a view, or nothing, in a transaction that goes on."""
    with sql.native_connection.cursor() as cursor:
        cursor.execute("SAVEPOINT view")
        try:
            cursor.execute("; ".join(statements))
        except Exception as error:  # dlt's own way to execute would end the transaction
            log.debug("a view is left to the end of the run: %s", error)
            cursor.execute("ROLLBACK TO SAVEPOINT view")
        cursor.execute("RELEASE SAVEPOINT view")


def _statements(
    sql: Any,
    oid: int,
    kind: str,
    name: str,
    populated: bool,
    definition: str,
    owner: str,
    options: str | None,
    comment: str | None,
) -> Iterator[str]:
    """What makes a view as it is: its definition first."""
    body = definition.rstrip().rstrip(";")
    with_options = f" WITH ({options})" if options else ""
    data = " WITH NO DATA" if not populated else ""
    yield f"CREATE {kind} {name}{with_options} AS {body}{data}"
    rest = [(name, oid, oid, oid, name, oid), (name, oid, oid)]
    for query, parameters in zip((_REST, _GRANTS), rest, strict=True):
        yield from (row[0] for row in sql.execute_sql(query, *parameters))
    if comment:
        yield f"COMMENT ON {kind} {name} IS {comment}"
    yield f"ALTER {kind} {name} OWNER TO {owner}"


def grants_on(sql: Any, views: Sequence[str]) -> list[str]:
    """The statements that grant what was granted on these views, those of them that are there."""
    found = []
    for name in views:
        [(oid,)] = sql.execute_sql("SELECT to_regclass(%s)::oid", name)
        if oid is not None:
            found += [row[0] for row in sql.execute_sql(_GRANTS, name, oid, oid)]
    return found
