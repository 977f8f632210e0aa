"""``_sync_seen``: the keys that unfinished reads have met, so that an interrupted one can go on."""

from collections.abc import Iterable

from sources.eduframe.dataset.sql import Dataset, ints
from sources.eduframe.rows.keys import Ids


def seen_keys(dataset: Dataset, resource: str, read_id: str) -> Iterable[Ids]:
    """The key ids that were kept of a read: those that it saw, and had no need to write."""
    sql = (
        f"SELECT {dataset.column('key_id')} FROM {dataset.name('_sync_seen')} WHERE "
        f"{dataset.column('resource')} = %s AND {dataset.column('read_id')} = %s "
        f"AND {dataset.completed()}"
    )
    for rows in dataset.query(sql, resource, read_id):
        yield ints(rows.column(0))


def count_seen(dataset: Dataset, resource: str, set_id: str | None) -> int:
    """How many key ids are in a set that a read left."""
    return sum(len(ids) for ids in seen_keys(dataset, resource, set_id)) if set_id else 0


def forget_seen(dataset: Dataset, unfinished: Iterable[str]) -> None:
    """Remove the keys of reads that are over; ``unfinished`` are the ids of those that last."""
    keep = list(unfinished)
    table = dataset.name("_sync_seen")
    where = ""
    if keep:
        marks = ", ".join(["%s"] * len(keep))
        where = f" WHERE {dataset.column('read_id')} NOT IN ({marks})"
    if any(t.num_rows for t in dataset.query(f"SELECT 1 FROM {table}{where} LIMIT 1", *keep)):
        dataset.execute(f"DELETE FROM {table}{where or ' WHERE 1 = 1'}", *keep)
