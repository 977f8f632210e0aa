"""After the last load package: what is forgotten, settled, and noted as the end of the run."""

from typing import Any

from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.hidden_rows import forget_settled
from pipelines.eduframe.store.rejected_rows import resolve_rejected, set_aside
from pipelines.eduframe.store.relations import forget_former_relations
from pipelines.eduframe.store.run_log import note_end
from pipelines.eduframe.store.seen_keys import forget_seen
from pipelines.eduframe.store.state import stored_positions
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.reading.checkpoint import set_name


def clean_up(pipeline: Any, dataset: StoredRows, report: Report, *, relations: bool) -> None:
    """Forget the keys of reads that are over, settle rows that were set aside, and note the
    end: the row of the run was loaded with the last package, which takes its time.

    ``relations`` says whether the run wrote ``_relations``.
    """
    stored_now = stored_positions(pipeline)
    waiting = [name for name in report.runs if stored_now.get(name, {}).get("refresh")]
    if waiting:  # of a list that is excluded nobody goes on with it
        report.notes.append(
            f"every row is still to be written again of {', '.join(sorted(waiting))}: each sync "
            "goes on with that refresh, until it has read these lists completely"
        )
    positions = stored_now.values()
    reads = [p["unfinished"]["id"] for p in positions if p.get("unfinished")]
    lasting = [*reads, *(set_name(read, "parents") for read in reads)]
    sets = ("missed", "refused", "failed", "waiting", "late")
    lasting += [p[name] for p in positions for name in sets if p.get(name)]
    lasting += [set_name(p["waiting"], "asked") for p in positions if p.get("waiting")]
    with dataset as stored:
        forget_seen(stored, lasting)
        forget_settled(stored)
        if relations:
            forget_former_relations(stored)
        for resource in set_aside(stored):
            run = report.runs.get(resource)
            if run and run.settled:
                resolve_rejected(stored, resource, run.settled, report.started_at)
        note_end(stored, report.run_id, report.end())
