"""dlt's own settings, from the environment and .dlt/config.toml: those that would have dlt do other
than the sync promises are refused before anything is touched."""

from typing import Any

from dlt.common.configuration import known_sections, resolve_configuration
from dlt.common.exceptions import DltException
from dlt.common.runners.configuration import PoolRunnerConfiguration
from dlt.common.schema.configuration import SchemaConfiguration
from dlt.common.schema.normalizers import naming_from_reference
from dlt.common.storages import LoadStorageConfiguration
from dlt.load.configuration import LoaderConfiguration
from dlt.normalize.configuration import ItemsNormalizerConfiguration
from dlt.pipeline.configuration import PipelineConfiguration

from pipelines.eduframe.failures import first_line
from sources.eduframe.display import printable
from sources.eduframe.errors import SettingsError
from sources.eduframe.rows.tables import ALL_TABLES


def dlt_settings(name: str) -> PipelineConfiguration:
    """dlt's own settings of the pipeline.

    Raises:
        SettingsError: one of them would have dlt throw away what was loaded, or makes no sense.
    """
    try:
        found = resolve_configuration(
            PipelineConfiguration(pipeline_name=name), sections=(known_sections.PIPELINES, name)
        )
        for section in ("normalize", "load"):
            pool = PoolRunnerConfiguration(pool_type="thread")
            workers = resolve_configuration(pool, sections=(section,)).workers
            if workers is not None and workers < 1:
                raise ValueError(f"{section}.workers is {workers}, by the name WORKERS or another")
        storage = LoadStorageConfiguration(load_volume_path="")
        loader = LoaderConfiguration(_load_storage_config=storage)
        loader = resolve_configuration(loader, sections=(known_sections.LOAD,))
        wanted = (known_sections.NORMALIZE, "parquet_normalizer")
        rows = resolve_configuration(ItemsNormalizerConfiguration(), sections=wanted)
        schemas = [
            resolve_configuration(SchemaConfiguration(), sections=sections)
            for sections in ((), (known_sections.SOURCES, "eduframe"))
        ]
        for schema in schemas:
            if schema.naming is not None:
                try:
                    naming_from_reference(schema.naming)
                except (DltException, ImportError, ValueError) as error:
                    raise ValueError(f"SCHEMA__NAMING: {first_line(error)}") from error
    except (DltException, ValueError) as error:
        raise SettingsError(
            f"One of dlt's settings of the pipeline makes no sense: {first_line(error)}. Look for "
            "its name in capitals in the environment, and in .dlt/config.toml."
        ) from error
    for setting in ("dev_mode", "full_refresh", "refresh"):
        if getattr(found, setting):
            raise SettingsError(
                f"dlt's setting {setting} is on, by {setting.upper()} in the environment or "
                f"{setting} in .dlt/config.toml: dlt would throw away, in each run, what the sync "
                "goes on from. Take it out."
            )
    if not loader.raise_on_failed_jobs:
        raise SettingsError(
            "dlt's setting load.raise_on_failed_jobs is off, by RAISE_ON_FAILED_JOBS or "
            "LOAD__RAISE_ON_FAILED_JOBS in the environment, or in .dlt/config.toml: rows that a "
            "table refuses would be lost without a word. Take it out."
        )
    if rows.add_dlt_id or not rows.add_dlt_load_id:
        name, value = ("add_dlt_id", "on") if rows.add_dlt_id else ("add_dlt_load_id", "off")
        raise SettingsError(
            f"dlt's setting normalize.parquet_normalizer.{name} is {value}, by {name.upper()} or "
            f"NORMALIZE__PARQUET_NORMALIZER__{name.upper()} in the environment, or in "
            ".dlt/config.toml: dlt would write rows with other columns than the sync's tables "
            "have. Take it out."
        )
    for schema in schemas:
        if schema.json_normalizer is not None:
            raise SettingsError(
                "dlt's setting schema.json_normalizer is set, by SCHEMA__JSON_NORMALIZER in the "
                "environment or json_normalizer in .dlt/config.toml, below [schema]: dlt would "
                "take rows apart in another way than the sync does. Take it out."
            )
        if schema.naming is not None and (other := _spelt_otherwise(schema.naming)):
            raise SettingsError(
                f"dlt's setting schema.naming, by SCHEMA__NAMING in the environment or naming in "
                f".dlt/config.toml, below [schema], is {printable(str(schema.naming), 100)!r}: dlt "
                f"would spell the name {other} in another way than the sync knows it. Take it out."
            )
    return found


def check_naming(pipeline: Any) -> None:
    """dlt changes the naming of no dataset that holds rows; it would say so once all is read.

    The pipeline's schema is to be that of the destination.

    Raises:
        SettingsError: another naming is set than that of the dataset.
    """
    if not pipeline.default_schema_name:
        return
    schema = pipeline.default_schema
    if schema.will_update_normalizers():
        names = schema.to_dict()["normalizers"]["names"]
        raise SettingsError(
            f"The dataset {pipeline.dataset_name} was made with dlt's naming {names}, and another "
            "one is set now, by SCHEMA__NAMING in the environment or naming in .dlt/config.toml, "
            "below [schema]: dlt changes no names of tables that hold rows. Set it to "
            f"{names}, or sync into another dataset (--dataset)."
        )


def _spelt_otherwise(naming: Any) -> str | None:
    """A name of ours that this naming convention changes, if there is one."""
    convention = naming_from_reference(naming)
    names = (n for t in ALL_TABLES.values() for n in (t.name, *(c.name for c in t.all_columns)))
    return next((name for name in names if convention.normalize_identifier(name) != name), None)
