"""What is gone from the API, and the brake: nothing vanishes but on proof.

A row counts as gone only if its list was read to its end, no row was set aside whose key is
unknown, and not suspiciously many would go at once.
"""

import logging
from datetime import timedelta
from urllib.parse import quote

import numpy as np

from sources.eduframe.clock import parse
from sources.eduframe.comparing.change_detection import FEW
from sources.eduframe.declare import Endpoint
from sources.eduframe.errors import ResourceError, ResourceOffError
from sources.eduframe.http.client import Client
from sources.eduframe.reading.batch import Gone, ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.read import Plan, Read
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.tables import MAIN_TABLES

log = logging.getLogger("eduframe.gone")

NOTHING: Ids = np.zeros(0, np.int64)

WITNESSES = 5
"""One of so many rows that were read must be there, for a 404 to prove anything."""
EMPTY_AGREES_AFTER = timedelta(hours=1)
"""A short list that turns empty is believed when two reads so far apart agree."""


def find_gone(
    plan: Plan,
    read: Read,
    run: ResourceRun,
    position: Position,
    client: Client,
    parents_gone: Ids,
) -> tuple[list[Gone], Ids]:
    """The rows that this finished read proves gone, or none, with the reason in ``run``.

    Also the key ids of rows that are missing, but that only a second read can prove gone.
    """
    endpoint, index, policy = plan.endpoint, plan.index, plan.policy
    if endpoint.key == ("_row_hash",):
        conflicts = Gone(index.missing(), "not in the list, whose content is its key")
        return _counted(run, [conflicts]), NOTHING
    if policy.deletes == "ignore" or endpoint.single:
        return [], NOTHING
    if plan.checkpoint.unkeyed:
        run.frozen.append("a row without a usable key was set aside")
        return [], NOTHING
    if read.proof.of_answered_parents:
        if plan.mode == "reconcile" and not read.proof.of_list:
            run.frozen.append(
                "rows whose parent is gone stay, as some parent's row lacks what the list under it "
                "is asked by"
            )
        found = _under_parents(plan, read, parents_gone)
    elif read.proof.of_list:
        found = [Gone(index.missing(), "a complete read of the list lacks it")]
    else:
        return [], NOTHING
    count = sum(len(gone.ids) for gone in found)
    if _is_suspicious(plan, run, position, count):
        return [], NOTHING
    if count and plan.checkpoint.by_number and can_ask(endpoint):
        found, missed = _confirm(plan, run, client, found[0])
        return _counted(run, found), missed
    return _counted(run, found), NOTHING


def _counted(run: ResourceRun, found: list[Gone]) -> list[Gone]:
    found = [gone for gone in found if len(gone.ids)]
    run.deleted += sum(len(gone.ids) for gone in found)
    return found


def _under_parents(plan: Plan, read: Read, parents_gone: Ids) -> list[Gone]:
    index = plan.index
    if index.parents is None:
        return []
    living = ~index.deleted & ~index.seen
    missing = living & np.isin(index.parents, read.answered)
    orphaned = np.isin(index.parents, parents_gone)
    if read.proof.of_list:
        every = np.array(sorted({ref.key_id for ref in read.parents}), np.int64)
        orphaned |= ~np.isin(index.parents, every)
    return [
        Gone(index.keys[missing], "a complete read of its parent's list lacks it"),
        Gone(index.keys[living & orphaned & ~missing], "its parent is gone"),
    ]


def _is_suspicious(plan: Plan, run: ResourceRun, position: Position, count: int) -> bool:
    """The brake. Says what was seen, and how to go on."""
    living, policy, table = plan.index.living, plan.policy, plan.endpoint.table
    whole = plan.mode == "reconcile"
    empty = whole and living > 0 and plan.checkpoint.rows == 0 and count > 0
    if not empty:
        position.empty_since = None
    if policy.allow_mass_delete:
        return False
    if empty:
        since = parse(position.empty_since)
        if living < FEW and since and plan.clock - since >= EMPTY_AGREES_AFTER:
            return False
        position.empty_since = position.empty_since or plan.clock.isoformat()
        seen = f"the list is empty, and held {living} rows"
    elif count >= FEW and count > policy.max_delete_share * living:
        seen = (
            f"{count} of {living} rows ({count / living:.0%}) are gone from the list, more than "
            f"max_delete_share ({policy.max_delete_share:.0%})"
        )
    else:
        return False
    run.status = "held back"
    run.message = (
        f"{seen}; nothing was deleted. If that is right: "
        f"eduframe sync {table} --reconcile {table} --allow-mass-delete {table}"
    )
    return True


def can_ask(endpoint: Endpoint) -> bool:
    """Whether a row can be asked for by its number, which is its whole key."""
    columns = {column.name: column.type for column in MAIN_TABLES[endpoint.table].columns}
    single = endpoint.key == ("id",) and columns["id"] == "bigint" and not endpoint.params
    return single and endpoint.item_path is not None


def _confirm(
    plan: Plan, run: ResourceRun, client: Client, gone: Gone
) -> tuple[list[Gone], Ids]:
    """Ask for each missing row itself: with pages by number, rows slip between pages.

    Gone is what answers 404 while a row that was seen answers 200, or what the reconciliation
    before this one missed too. Also returns the key ids that are left for the next one.
    """
    item_path = plan.endpoint.item_path
    assert item_path is not None
    twice = np.isin(gone.ids, plan.missed_before)
    proven = Gone(gone.ids[twice], "two complete reads in a row lack it")
    open_questions = gone.ids[~twice]
    if len(open_questions) > plan.policy.max_absence_questions:
        run.notes.append(
            f"{len(open_questions)} rows are missing, too many to ask for one by one, and pages "
            "by number may skip rows: they count as gone if the next reconciliation lacks them too"
        )
        return [proven], open_questions
    if not len(open_questions):
        return [proven], open_questions
    seen = plan.index.keys[plan.index.seen & ~plan.index.deleted]
    if not any(_is_there(client, run, item_path, int(key)) for key in seen[:WITNESSES]):
        run.notes.append("rows are missing, but no row can be read by its id: left for next time")
        return [proven], open_questions
    absent = [key for key in open_questions if not _is_there(client, run, item_path, int(key))]
    asked = Gone(np.array(absent, np.int64), "a complete read lacks it, and its own path is 404")
    return [proven, asked], np.zeros(0, np.int64)


def _is_there(client: Client, run: ResourceRun, item_path: str, key: int) -> bool:
    name = item_path[item_path.index("{") + 1 : item_path.index("}")]
    path = item_path.replace("{" + name + "}", quote(str(key), safe=""))
    try:
        client.get(path, expect="object", traffic=run.traffic)
    except ResourceOffError as off:
        return off.status != 404
    except ResourceError as error:
        log.warning("%s: cannot tell whether it is gone: %s", path, error)
        return True
    return True
