"""All files of a package, as texts by their paths."""

import json
from dataclasses import dataclass
from importlib.resources import files as files_of
from pathlib import Path
from typing import Any

from pipelines.eduframe.commands.dbt.customer import NOT_BY_DEFAULT, Customer
from pipelines.eduframe.commands.dbt.models import FOLDERS, model_name, model_sql, views
from pipelines.eduframe.commands.dbt.properties import dumped, models_yml, sources_yml
from pipelines.eduframe.views.files import UTC
from pipelines.eduframe.views.view import View
from sources.eduframe.version import version

PROFILES: dict[str, dict[str, str]] = {
    "duckdb": {},
    "postgres": {
        "host": "{{ env_var('PGHOST', 'localhost') }}",
        "port": "{{ env_var('PGPORT', '5432') | as_number }}",
        "user": "{{ env_var('PGUSER') }}",
        "password": "{{ env_var('PGPASSWORD') }}",
        "dbname": "{{ env_var('PGDATABASE') }}",
    },
    "redshift": {
        "host": "{{ env_var('REDSHIFT_HOST') }}",
        "port": "{{ env_var('REDSHIFT_PORT', '5439') | as_number }}",
        "user": "{{ env_var('REDSHIFT_USER') }}",
        "password": "{{ env_var('REDSHIFT_PASSWORD') }}",
        "dbname": "{{ env_var('REDSHIFT_DATABASE') }}",
    },
    "bigquery": {
        "method": "{{ env_var('BIGQUERY_METHOD', 'oauth') }}",
        "project": "{{ env_var('BIGQUERY_PROJECT') }}",
        "keyfile": "{{ env_var('BIGQUERY_KEYFILE', '') }}",
    },
    "snowflake": {
        "account": "{{ env_var('SNOWFLAKE_ACCOUNT') }}",
        "user": "{{ env_var('SNOWFLAKE_USER') }}",
        "password": "{{ env_var('SNOWFLAKE_PASSWORD') }}",
        "role": "{{ env_var('SNOWFLAKE_ROLE') }}",
        "warehouse": "{{ env_var('SNOWFLAKE_WAREHOUSE') }}",
        "database": "{{ env_var('SNOWFLAKE_DATABASE') }}",
    },
    "databricks": {
        "host": "{{ env_var('DATABRICKS_HOST') }}",
        "http_path": "{{ env_var('DATABRICKS_HTTP_PATH') }}",
        "token": "{{ env_var('DATABRICKS_TOKEN') }}",
        "catalog": "{{ env_var('DATABRICKS_CATALOG') }}",
    },
}
"""How dbt connects, by adapter: secrets stay in the environment."""

GENERIC_TESTS = ("eduframe_unique_together", "eduframe_relationships_if")
IGNORED = "target/\nlogs/\ndbt_packages/\n.user.yml\n"


@dataclass(frozen=True)
class Package:
    """What a package is made from."""

    dialect: str
    dataset: str
    customer: Customer | None
    """None where nothing is known of the customer: then there are no wide views."""
    file: str = ""
    """The DuckDB file, or what leads to MotherDuck."""

    @property
    def schema(self) -> str:
        """Where dbt makes the models, unless the user's profile says otherwise."""
        return f"{self.dataset}_dbt"

    @property
    def views(self) -> list[View]:
        return [*views(self.customer)]

    def files(self) -> dict[str, str]:
        """The files of the package."""
        found = {
            ".gitignore": IGNORED,
            "README.md": self._filled("README.md"),
            "dbt_project.yml": self._filled("dbt_project.yml", json.dumps),
            "profiles.yml": dumped(self.profile()),
            "models/sources.yml": sources_yml(),
        }
        for name in GENERIC_TESTS:
            found[f"tests/generic/{name}.sql"] = _static(f"{name}.sql")
        made = self.views
        for view in made:
            path = f"models/{FOLDERS[view.kind]}/{model_name(view.name)}.sql"
            found[path] = model_sql(view, self.dialect)
        for kind, folder in FOLDERS.items():
            if own := [view for view in made if view.kind == kind]:
                found[f"models/{folder}/{folder}.yml"] = models_yml(own)
        return found

    def _filled(self, name: str, write: Any = str) -> str:
        """A text with what is known of the customer put in."""
        known = self.customer
        text = _static(name)
        for word, value in {
            "version": version(),
            "dataset": self.dataset,
            "dialect": self.dialect,
            "schema": self.schema,
            "time_zone": (known.time_zone if known else None) or UTC,
            "currency": (known.currency if known else None) or "",
            "not_synced": [*(known.not_synced if known else NOT_BY_DEFAULT)],
            "custom_fields": _about_custom_fields(known),
            "environment": self._environment(),
        }.items():
            if f"<{word}>" in text:
                text = text.replace(f"<{word}>", write(value))
        return text

    def _environment(self) -> str:
        names = ["EDUFRAME_DUCKDB"] if self.dialect == "duckdb" else []
        for value in PROFILES[self.dialect].values():
            names += [value.split("'")[1]]
        return ", ".join(f"`{name}`" for name in [*names, "DBT_SCHEMA"])

    def profile(self) -> dict[str, Any]:
        """How dbt connects, where the package is used by itself."""
        own: dict[str, Any] = {"type": self.dialect, **PROFILES[self.dialect]}
        if self.dialect == "duckdb":
            file = Path(self.file).as_posix().replace("\\", "\\\\").replace("'", "\\'")
            own["path"] = f"{{{{ env_var('EDUFRAME_DUCKDB', '{file}') }}}}"
        schema = "dataset" if self.dialect == "bigquery" else "schema"
        own |= {schema: f"{{{{ env_var('DBT_SCHEMA', '{self.schema}') }}}}", "threads": 4}
        return {"eduframe": {"target": self.dialect, "outputs": {self.dialect: own}}}


def _about_custom_fields(customer: Customer | None) -> str:
    if customer is None:
        return (
            "Models with custom fields (`models/wide`) are left out of this package, as the "
            "destination could not be asked for the custom fields: run `eduframe dbt` again where "
            "it can be reached."
        )
    return (
        f"This package knows {len(customer.all_fields)} custom fields. A new one has a column "
        "after `eduframe dbt` has been run again."
    )


def _static(name: str) -> str:
    folder = files_of("pipelines.eduframe.commands.dbt") / "static"
    return (folder / name).read_text(encoding="utf-8")
