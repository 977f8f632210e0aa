"""``eduframe status``: how fresh each table is, from what the destination itself holds."""

import sys
import tempfile
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson

from pipelines.eduframe.commands.freshness import CLOCKS_DIFFER, TableStatus, look
from pipelines.eduframe.commands.output import Column, Row, print_json, print_line, print_table
from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY
from pipelines.eduframe.pipeline import make_pipeline
from sources.eduframe.clock import now_utc
from sources.eduframe.display import escaped
from sources.eduframe.errors import SettingsError
from sources.eduframe.planning.views import in_words
from sources.eduframe.settings import parse_duration, policies, resolve, select

OWN = "own"
"""For --max-unproven: one and a half times each list's own reconcile_every."""
UNPROVEN_AFTER = 1.5

COLUMNS = (
    Column("table"),
    Column("rows", right=True),
    Column("deleted", right=True, spare=3),
    Column("set aside", right=True, spare=1),
    Column("last sync", spare=4),
    Column("proven as of", spare=2),
    Column("unseen", right=True, spare=5),
    Column("age", right=True),
    Column("status"),
)


def run_status(
    destination: str,
    dataset: str,
    *,
    max_age: str | None,
    as_json: bool,
    wide: bool = False,
    off_counts: bool = False,
    max_unproven: str | None = None,
) -> int:
    """Print the state of every table that is on.

    Returns 3 if one is older than ``max_age``, not there, or emptied, or was not proven for longer
    than ``max_unproven`` (:data:`OWN`: one and a half times its own ``reconcile_every``), counted
    from the first run with it where it never was; lists that the API does not let the token read
    count only with ``off_counts``.
    """
    limit = _limit(max_age, "--max-age") if max_age else None
    unproven = _limit(max_unproven, "--max-unproven") if max_unproven not in (None, OWN) else None
    settings = resolve(token_needed=False)
    every = {name: policy.reconcile_every for name, policy in policies(settings).items()}
    on = [endpoint.table for endpoint in select(settings).on]
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        found, runs = look(pipeline, on)
    for one in found:
        if limit is not None and (off_counts or one.status != "off"):
            old = one.age_seconds is None or one.age_seconds > limit.total_seconds()
            one.too_old = old or one.ahead or bool(one.missing or one.emptied)
        if max_unproven is not None and (off_counts or one.status != "off"):
            allowed = unproven or UNPROVEN_AFTER * every[one.resource]
            since = one.proven_as_of or one.since  # a first load may take many runs
            one.unproven = since is None or now_utc() - since > allowed
    off = [one.resource for one in found if one.status == "off"]
    if as_json:
        print_json(
            orjson.dumps(
                {"last_run": runs, "tables": [asdict(f) for f in found]},
                option=orjson.OPT_INDENT_2,
            ).decode()
        )
    else:
        _print(found, runs, wide)
        if off:
            counted = "counted" if off_counts else "not counted by --max-age without --off-counts"
            print_line(f"off, as the token may not read them ({counted}): {', '.join(off)}")
    if all(f.rows is None for f in found):
        print(f"Nothing has been synced into dataset {escaped(dataset)} yet.", file=sys.stderr)
        return FAILED
    return PARTLY if any(f.too_old or f.unproven for f in found) else DONE


def _limit(value: str | None, option: str) -> timedelta:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise SettingsError(f"{option} is {value!r}; {error}.") from None


def _print(found: list[TableStatus], last_run: dict[str, Any] | None, wide: bool) -> None:
    rows = [
        Row(
            (
                one.resource,
                "-" if one.rows is None else f"{one.rows:,}",
                f"{one.deletions:,}" if one.deletions else "·",
                f"{one.set_aside:,}" if one.set_aside else "·",
                _time(one.last_sync),
                _time(one.proven_as_of) + (" !" if one.unproven else ""),
                "-" if one.unseen is None else f"{one.unseen:,.0f}" if one.unseen >= 0.5 else "·",
                _age(one.age_seconds) + (" !" if one.too_old else ""),
                one.status or "never read",
            ),
            "bold red" if one.too_old or one.unproven else "",
        )
        for one in found
    ]
    print_table(COLUMNS, rows, wide=wide)
    for one in found:
        for remark in one.remarks:
            print_line(f"{one.resource}: {remark}")
    if ahead := [f"{one.resource} ({_age(-(one.age_seconds or 0))})" for one in found if one.ahead]:
        print_line(
            "synced in the future, by a clock that was wrong, and so not known to be fresh: "
            f"{', '.join(ahead)}. Set the clock of the machine that syncs, and sync again"
        )
    if last_run:
        message = f": {last_run['message']}" if last_run["message"] else ""
        print_line(f"last run: {last_run['status']}, {_when(last_run)}{message}")


def _when(last_run: dict[str, Any]) -> str:
    """When a run was. One after a run by a clock that was wrong is said to have started after that
    one, so that they stay in order: then the end of its last list tells."""
    if not _is_ahead(last_run["started_at"]):
        return f"started {_time(last_run['started_at'])}"
    ended = last_run["lists_ended_at"]
    if ended is not None and not _is_ahead(ended):
        return f"ended {_time(ended)}"
    return f"started {_time(last_run['started_at'])}, in the future, by a clock that was wrong"


def _is_ahead(moment: datetime) -> bool:
    return (moment - now_utc()).total_seconds() > CLOCKS_DIFFER


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < -CLOCKS_DIFFER:
        return f"in {in_words(-seconds)}"
    return in_words(seconds)
