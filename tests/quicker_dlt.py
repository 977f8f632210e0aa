"""dlt as it is, but for questions that it asks itself thousands of times in one sync.

What a type hint is, which fields a configuration has, what the hash of a schema of a hundred tables
is: the answer depends on nothing but the question, and dlt 1.31 works it out anew each time ("very
slow and we possibly should cache the result", as ``dlt.common.validation`` has it). Here it
remembers. A small sync then takes two thirds of the time; what it does stays the same.

``PLAIN_DLT=1`` leaves dlt alone.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import dlt.common.configuration.specs.base_configuration as specs
import dlt.common.configuration.utils
import dlt.common.destination.utils
import dlt.common.normalizers.json.helpers
import dlt.common.schema.schema
import dlt.common.schema.utils
import dlt.common.typing
import dlt.common.validation
import dlt.pipeline.pipeline
import orjson
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.destination import Destination
from dlt.common.destination.capabilities import DestinationCapabilitiesContext
from dlt.common.storages.live_schema_storage import LiveSchemaStorage

ABOUT_TYPES = {
    dlt.common.typing: (
        *("is_union_type", "is_optional_type", "is_literal_type", "is_typeddict", "is_subclass"),
        *("is_list_generic_type", "is_dict_generic_type", "is_set_generic_type", "is_annotated"),
        *("is_final_type", "is_newtype_type", "is_callable_type", "extract_inner_type"),
    ),
    specs: (
        *("is_secret_hint", "is_hint_not_resolvable", "is_valid_hint", "extract_inner_hint"),
        *("is_base_configuration_inner_hint", "is_context_inner_hint"),
        *("is_credentials_inner_hint", "get_config_if_union_hint"),
    ),
}
"""Functions that are given types, and nothing else."""
NO_CONTENT = ("version", "version_hash", "imported_version_hash", "previous_hashes")
"""The keys of a stored schema that its hash leaves out."""


@functools.cache  # once is enough
def make_dlt_quicker() -> None:
    """Let dlt remember, in this process, from now on."""
    if os.environ.get("PLAIN_DLT"):
        return
    for module, names in ABOUT_TYPES.items():
        for name in names:
            _replace(getattr(module, name), _remembering)
    _replace(dlt.common.validation.get_type_hints, _hints, only=dlt.common.validation)
    _replace(dlt.common.schema.utils.generate_version_hash, _version_hash)
    _replace(dlt.common.destination.utils.resolve_merge_strategy, _merge_strategy)
    _replace(dlt.common.schema.utils.validate_stored_schema, _validate)
    _replace(dlt.common.schema.utils.get_nested_tables, _nested_tables)
    _replace(dlt.common.normalizers.json.helpers.requires_root_key, _requires_root_key)
    _replace(dlt.common.configuration.utils.log_traces, _no_traces)
    Destination.capabilities = _capabilities(Destination.capabilities)
    for module in (dlt.common.schema.schema, dlt.common.schema.utils):
        module.deepcopy = _copied
    fields = functools.cache(specs.BaseConfiguration.get_resolvable_fields.__func__)
    LiveSchemaStorage.__getitem__ = _live_schema(LiveSchemaStorage.__getitem__)
    length = functools.cache(lambda spec: sum(1 for _ in spec().__iter__()))
    specs.BaseConfiguration.__len__ = lambda config: length(type(config))
    specs.BaseConfiguration.get_resolvable_fields = classmethod(lambda cls: dict(fields(cls)))


def _replace(
    original: Callable[..., Any],
    make: Callable[[Callable[..., Any]], Callable[..., Any]],
    only: Any = None,
) -> None:
    """Put what ``make`` makes of a function wherever dlt has imported it."""
    replacement = functools.wraps(original)(make(original))
    modules = [only] if only else [m for n, m in sys.modules.items() if n.startswith("dlt.")]
    for module in modules:
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, replacement)


def _remembering(original: Callable[..., Any]) -> Callable[..., Any]:
    remembered = functools.cache(original)

    def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            return remembered(*args, **kwargs)
        except TypeError:  # a type that has no hash
            return original(*args, **kwargs)

    return answer


def _hints(original: Callable[..., Any]) -> Callable[..., Any]:
    """The hints of a typed dictionary, whose own module is all that they are looked up in."""
    known: dict[Any, Any] = {}

    def hints(spec: Any, globalns: Any = None) -> Any:
        if spec not in known:
            known[spec] = original(spec, globalns=globalns)
        return known[spec]

    return hints


def _version_hash(original: Callable[..., Any]) -> Callable[..., Any]:
    """dlt sorts the content before it hashes it; the content as it stands is known again sooner."""
    known: dict[bytes, str] = {}

    def version_hash(stored_schema: Any) -> str:
        content = copy(stored_schema)
        for name in NO_CONTENT:
            content.pop(name, None)
        digest = hashlib.sha1(orjson.dumps(content)).digest()
        if digest not in known:
            known[digest] = original(stored_schema)
        return known[digest]

    return version_hash


def _live_schema(original: Callable[..., Any]) -> Callable[..., Any]:
    """dlt reads a schema that nobody changed from its file again, whenever it is asked for."""

    def live_schema(storage: Any, name: str) -> Any:
        schema = storage.live_schemas.get(name)
        if schema is None:
            return original(storage, name)
        try:
            content = storage.storage.load(storage._file_name_in_store(name, "json"))
        except FileNotFoundError:
            return original(storage, name)
        if getattr(schema, "read_from", None) != content or schema.is_modified:
            schema = original(storage, name)
            schema.read_from = None if schema.is_modified else content
        return schema

    return live_schema


def _validate(original: Callable[..., Any]) -> Callable[..., Any]:
    """What was valid stays so."""
    valid: set[bytes] = set()

    def validate(stored_schema: Any) -> None:
        digest = hashlib.sha1(orjson.dumps(stored_schema)).digest()
        if digest not in valid:
            original(stored_schema)
            valid.add(digest)

    return validate


def _nested_tables(original: Callable[..., Any]) -> Callable[..., Any]:
    """Our tables have no parent in dlt's sense, so each is alone in its chain."""

    def nested_tables(tables: Any, table_name: str, *args: Any, **kwargs: Any) -> Any:
        alone = not args and not kwargs and not any("parent" in t for t in tables.values())
        if alone and table_name in tables:
            return [tables[table_name]]
        return original(tables, table_name, *args, **kwargs)

    return nested_tables


def _copied(value: Any) -> Any:
    """A deep copy of what a schema is made of, which is a tree."""
    kind = type(value)
    if kind is dict:
        return {key: _copied(item) for key, item in value.items()}
    if kind is list:
        return [_copied(item) for item in value]
    return value if kind in (str, int, bool, type(None)) else deepcopy(value)


def _merge_strategy(original: Any) -> Callable[..., Any]:
    """The capabilities of the destination are in the context: no configuration is to be read; and
    columns, which dlt copies first, are of no interest to what selects one of DuckDB's strategies,
    or a lake's."""
    inner = original.__wrapped__

    def strategy(tables: Any, table: Any, destination_capabilities: Any = None) -> Any:
        context = Container()
        if destination_capabilities is None and DestinationCapabilitiesContext in context:
            destination_capabilities = context[DestinationCapabilitiesContext]
        return inner(tables, {**table, "columns": {}}, destination_capabilities)

    return strategy


def _requires_root_key(original: Callable[..., Any]) -> Callable[..., Any]:
    """Where a source says that it wants no root keys, dlt finds out first how tables are merged."""

    def requires_root_key(schema: Any, root_table: Any, propagation: bool | None) -> bool:
        if propagation is False and not any("parent" in t for t in schema.tables.values()):
            return any(column.get("root_key") for column in root_table["columns"].values())
        return bool(original(schema, root_table, propagation))

    return requires_root_key


def _no_traces(original: Callable[..., Any]) -> Callable[..., Any]:
    """Of every setting that was looked for dlt keeps where it was not found; nobody asks for it."""

    def log_traces(*_: Any) -> None:
        pass

    return log_traces


def _capabilities(original: Callable[..., Any]) -> Callable[..., Any]:
    """They depend on the destination and on its settings, which stay the same in most of a test."""

    def capabilities(destination: Any, config: Any = None, naming: Any = None) -> Any:
        if config is not None:
            return original(destination, config, naming)
        providers = Container()[PluggableRunContext].providers.providers
        given = [*destination.config_params.items(), *destination.caps_params.items()]
        key = (
            type(naming),
            getattr(naming, "max_length", None),
            frozenset(os.environ.items()),
            *((name, id(value)) for name, value in given),
            *((id(p), repr(getattr(p, "_config_doc", None))) for p in providers),
        )
        known = vars(destination).setdefault("known_capabilities", {})
        if key not in known:  # what is kept with it keeps its id
            known[key] = (original(destination, config, naming), given, [*providers])
        return copy(known[key][0])

    return capabilities
