"""``_deletions``: what was found gone, once a completed load says so."""

from collections.abc import Sequence

from sources.eduframe.dataset.sql import Dataset


def forget_unproven(dataset: Dataset, resource: str, keys: Sequence[str]) -> None:
    """Remove these rows from the log of deletions, as far as no completed load logged them."""
    table, column = dataset.name("_deletions"), dataset.column
    of_resource, load = f"{column('resource')} = %s", column("_dlt_load_id")
    sql = (
        f"SELECT DISTINCT {load} FROM {table} "
        f"WHERE {of_resource} AND NOT ({dataset.completed()})"
    )
    cut_off = [id for rows in dataset.query(sql, resource) for id in rows.column(0).to_pylist()]
    for start in range(0, len(keys) if cut_off else 0, 500):
        some = keys[start : start + 500]
        loads, among = (", ".join(["%s"] * len(values)) for values in (cut_off, some))
        dataset.execute(
            f"DELETE FROM {table} WHERE {of_resource} AND {load} IN ({loads}) "
            f"AND {column('key')} IN ({among})",
            resource, *cut_off, *some,
        )
