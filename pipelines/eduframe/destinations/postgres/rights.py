"""Tables in Postgres that are somebody else's: what the sync's role may not do with them, and what
their owner, or an administrator, runs in its stead."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_TABLES = """
SELECT n.nspname, c.relname, current_user,
    CASE WHEN NOT pg_has_role(c.relowner, 'USAGE') THEN pg_get_userbyid(c.relowner) END,
    lacking, row_security_active(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
LATERAL (SELECT ARRAY(
    SELECT one FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS one
    WHERE NOT has_table_privilege(c.oid, one) AND (one <> 'TRUNCATE' OR n.nspname = %s)
) AS lacking) AS rights
WHERE n.nspname IN (%s, %s) AND c.relkind IN ('r', 'p')
AND (NOT pg_has_role(c.relowner, 'USAGE') OR lacking <> '{}' OR row_security_active(c.oid))
"""


@dataclass(frozen=True)
class Foreign:
    """A table with which the sync's role may not do everything."""

    schema: str
    table: str
    role: str
    """The sync's."""
    owner: str | None
    """Who may alter it; None where the sync's role may."""
    lacking: tuple[str, ...]
    """The rights to its rows that the role needs, and has not."""
    filtered: bool
    """Whether row level security keeps rows from the role."""

    @property
    def name(self) -> str:
        return f'"{self.schema}"."{self.table}"'

    @property
    def wrong(self) -> list[tuple[str, str]]:
        """What keeps rows from the role, and the statement that helps."""
        found = []
        if self.lacking:
            rights = ", ".join(self.lacking)
            found.append((
                f"the role {self.role} lacks a right in {self.table} ({rights})",
                f'GRANT {rights} ON {self.name} TO "{self.role}"',
            ))
        if self.filtered:
            found.append((
                f"row level security of {self.table} keeps rows from the role {self.role}",
                f"ALTER TABLE {self.name} DISABLE ROW LEVEL SECURITY",
            ))
        return found

    @property
    def handing_over(self) -> str:
        return f'ALTER TABLE {self.name} OWNER TO "{self.role}"'

    def mended_by(self, statements: Iterable[str]) -> str:
        """Who runs what, where the sync may not. Views of its owner go, whoever owns the table."""
        statements = [*statements]
        views = [s for s in statements if s.startswith("DROP VIEW")]
        owner = f"its owner, {self.owner}," if self.owner else "its owner"
        said = f"{owner} or an administrator helps with: {'; '.join(statements)}"
        if not self.owner:
            return said
        return (
            f"the role {self.role} does not own it, and may not change it; {said}; or lets the "
            f"sync do so from now on, with: {'; '.join([*views, self.handing_over])}"
        )


def foreign_tables(client: Any) -> dict[tuple[str, str], Foreign]:
    """The tables of a dataset, and of its staging, that are not wholly the role's, by schema and
    name."""
    dataset, staging = client.dataset_name, client.staging_dataset_name
    found = client.execute_sql(_TABLES, staging, dataset, staging)
    return {
        (schema, table): Foreign(schema, table, role, owner, tuple(lacking), filtered)
        for schema, table, role, owner, lacking, filtered in found or ()
    }
