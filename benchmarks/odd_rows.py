"""What rows with odd fields cost: for the good ones nothing, and little for themselves."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from benchmarks.report import Table
from benchmarks.rows import Rows
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.rows.normalise import normalise

BATCH = 2_000
SHARES = (1, 100)
"""Per cent of the rows that are odd."""

JsonRow = dict[str, Any]


def _without_key(row: JsonRow) -> None:
    row["order_items"][0]["id"] = None


def _all(row: JsonRow) -> None:
    row |= {"created_at": "", "total_cost_excl": "€ 12", "number_of_students": 2.5}
    row |= {"status": {"code": "active"}, "label_ids": "none"}
    del row["origin"]


ODD: Mapping[str, Callable[[JsonRow], Any]] = {
    "a field absent": lambda row: row.pop("origin"),
    "an object for a text": lambda row: row.update(status={"code": "active"}),
    "a time that cannot be read": lambda row: row.update(created_at="0000-00-00T00:00:00Z"),
    "money that cannot be read": lambda row: row.update(total_cost_excl="1.234,56"),
    "a nested row without a key": _without_key,
    "six fields of these kinds": _all,
}


def odd_rows(options: Namespace) -> Iterator[Table]:
    """Typed tables of orders, some or all of them odd, beside good ones."""
    count = min(options.records, 100_000)
    table = Table(
        f"Odd rows: {count:,} orders with two items each, parsed JSON to typed tables",
        ("what is odd", *(f"{share} % of the rows" for share in SHARES)),
        note=f"Times the CPU of good rows ({{:.1f}} µs each). The least of {options.runs} runs.",
    )
    made = Rows()
    bodies = [made.make("orders", number) for number in range(1, count + 1)]
    good = min(_seconds(bodies, 0, None) for _ in range(options.runs))
    for name, spoil in ODD.items():
        found = [
            min(_seconds(bodies, share, spoil) for _ in range(options.runs)) for share in SHARES
        ]
        table.rows.append((name, *(f"{seconds / good:.2f}" for seconds in found)))
    table.note = table.note.format(good / count * 1e6)
    yield table


def _seconds(
    bodies: Sequence[bytes], share: int, spoil: Callable[[JsonRow], Any] | None
) -> float:
    """CPU time of making typed tables of these rows, of which a share in per cent is spoilt."""
    endpoint, seconds = BY_TABLE["orders"], 0.0
    for start in range(0, len(bodies), BATCH):
        rows = orjson.loads(b"[" + b",".join(bodies[start : start + BATCH]) + b"]")
        if spoil is not None:
            for row in rows[:: 100 // share]:
                spoil(row)
        began = time.process_time()
        normalise(endpoint, rows)
        seconds += time.process_time() - began
    return seconds
