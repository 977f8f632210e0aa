"""Views as dbt models: the same queries, with ``source`` and ``ref`` in place of names, and
variables in place of the customer's time zone and currency.
"""

import re
from collections.abc import Iterator

from pipelines.eduframe.commands.dbt.customer import Customer
from pipelines.eduframe.views.custom_fields import record_views, wide_views
from pipelines.eduframe.views.files import views_with
from pipelines.eduframe.views.living import living_views
from pipelines.eduframe.views.making import translated
from pipelines.eduframe.views.view import GENERATED, View
from sources.eduframe.rows.tables import ALL_TABLES

SOURCE = "eduframe"
PREFIX = "eduframe__"
"""What names of models begin with: so none is a table's of the user, or of the sync."""

FOLDERS = {
    "living": "living",
    "wide": "wide",
    "dimension": "dimensions",
    "fact": "facts",
    "measure": "measures",
}
"""The folder in ``models`` of each kind of view."""

_RAW, _MODEL, _ZONE, _CURRENCY = "zq_raw", "zq_model", "zq_time_zone", "zq_currency"
"""What stands for Jinja while a query is translated."""
_NAMED = re.compile(rf"""[`"]?({_RAW}|{_MODEL})[`"]?\.[`"]?(\w+)[`"]?""")
_OPENS_TAG = re.compile(r"\{(?=[{%#])")


def views(customer: Customer | None) -> Iterator[View]:
    """All views that become models; without a customer, none of custom fields."""
    yield from living_views(ALL_TABLES)
    if customer is not None:
        yield from wide_views(customer.fields, ALL_TABLES)
        yield from record_views(customer.objects, customer.object_fields, ALL_TABLES)
    yield from views_with(_ZONE, f"NULLIF('{_CURRENCY}', '')")


def model_name(view: str) -> str:
    """The model of a view."""
    return f"{PREFIX}{view}"


def model_sql(view: View, dialect: str) -> str:
    """A view's query as a model, in one dialect of SQL."""
    sql = view.placed(f'"{_MODEL}"')
    if view.kind == "living":
        sql = sql.replace('raw."', f'"{_RAW}"."')
    if dialect != "duckdb" or view.kind in GENERATED:  # which are in one line
        sql = translated(sql, dialect, pretty=True)
    sql = _NAMED.sub(_called, plain(sql))
    if view.kind not in GENERATED:
        sql = sql.replace(_ZONE, "{{ var('eduframe_time_zone') }}")
        sql = sql.replace(_CURRENCY, "{{ var('eduframe_currency') }}")
    return f"{sql}\n"


def _called(match: re.Match[str]) -> str:
    return source(match[2]) if match[1] == _RAW else ref(match[2])


def source(table: str) -> str:
    """Jinja for a raw table."""
    return f"{{{{ source('{SOURCE}', '{table}') }}}}"


def ref(view: str) -> str:
    """Jinja for the model of a view."""
    return f"{{{{ ref('{model_name(view)}') }}}}"


def plain(text: str) -> str:
    """A text in which dbt finds no Jinja: titles and slugs of custom fields are anybody's."""
    return _OPENS_TAG.sub("{{ '{' }}", text)
