"""What this project wants of dlt where the user's configuration says nothing."""

from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.telemetry import stop_telemetry

DLT_DEFAULTS: dict[str, Any] = {
    # Personal data is about: nothing is reported to anyone.
    "runtime": {"dlthub_telemetry": False, "intercept_signals": False},
    # Each row says which load package wrote it; whether that was completed decides what counts.
    "normalize": {"parquet_normalizer": {"add_dlt_load_id": True}},
    # Whoever writes or reads a file holds a group of its rows in memory.
    "data_writer": {"row_group_size": 20_000},
    # A job that fails ends the load, as the whole package has to be loaded anew then.
    "load": {
        "delete_completed_jobs": True,
        "raise_on_failed_jobs": True,
        "raise_on_max_retries": 1,
    },
    # Files with personal data do not stay where they were uploaded to.
    "destination": {
        "snowflake": {"keep_staged_files": False},
        "databricks": {"keep_staged_files": False},
    },
}
"""What this project wants of dlt where the user's configuration says nothing."""

_DEFAULTS_PROVIDER = "eduframe-sync defaults"


def install_defaults() -> None:
    """Give dlt :data:`DLT_DEFAULTS`, behind every other provider of its configuration."""
    providers = Container()[PluggableRunContext].providers
    if _DEFAULTS_PROVIDER not in [p.name for p in providers.providers]:
        providers.add_provider(
            CustomLoaderDocProvider(_DEFAULTS_PROVIDER, lambda: DLT_DEFAULTS, False, [])
        )
        stop_telemetry()  # dlt starts it when it is first asked for anything, and then only once
        Container()[PluggableRunContext].initialize_runtime()
