"""What a run came to: the record that the summary, ``--json`` and the run log are made of."""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY
from sources.eduframe.clock import now_utc
from sources.eduframe.dataset.usage import Usage
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.planning.budget import Account
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.rows.hashing import VERSION
from sources.eduframe.settings import Selection
from sources.eduframe.version import version

log = logging.getLogger("eduframe.load")

JSON_COLUMNS = ("retry_causes", "unknown_fields", "unknown_values", "unfit_fields", "reads")


@dataclass
class Report:
    """One run of :func:`pipelines.eduframe.run.sync.sync`."""

    run_id: str
    started_at: datetime
    destination: str
    dataset: str
    version: str
    runs: dict[str, ResourceRun] = field(default_factory=dict)
    off: dict[str, str] = field(default_factory=dict)
    """Resources that were not to be read, with the reason."""
    identity: Traffic = field(default_factory=Traffic)
    """The request that asks whose data it is, where that is no resource of the run."""
    unloaded: dict[str, str] = field(default_factory=dict)
    """Resources whose rows the destination refused, with the reason."""
    notes: list[str] = field(default_factory=list)
    fatal: str | None = None
    stopped: str | None = None
    broken_off: bool = False
    """Whether somebody broke it off, by a signal: then it is partly done, whatever was read."""
    ended_at: datetime | None = None
    packages: int = 0
    """Load packages that were loaded."""
    budget: str | None = None
    """What the run was allowed to spend, …"""
    allowance: int | None = None
    """… in requests; None: as many as it takes."""
    account: Account | None = None
    """What was on the account when the run began, where there is one."""
    clock: datetime = field(init=False)
    """The machine's clock at the start; ``started_at`` is later if the clock was set back."""
    began: float = 0.0
    """The monotonic clock at the start."""
    seconds: float = 0.0
    waited: float = 0.0
    """Seconds that passed waiting for the request limit, however many threads waited."""
    usage: Callable[[], Usage] = Usage
    """What was asked of the destination until now, where it bills for that."""

    def __post_init__(self) -> None:
        self.clock = self.started_at

    def end(self) -> datetime:
        """The reading is over: what has not been read by now is not read in this run. Said again
        once the last package is loaded, as only then the run is over."""
        self.ended_at = max(now_utc(), self.started_at)
        self.seconds = time.monotonic() - self.began
        for run in self.runs.values():
            if run.status == "waiting":
                run.status = "stopped"
        self._tell_unloaded()
        return self.ended_at

    def fail(self, resource: str, why: str) -> None:
        """A resource fails in this run, whatever is said of its reading."""
        self.unloaded.setdefault(resource, why)
        self._tell_unloaded()

    def fail_to_load(
        self, resources: Iterable[str], table: str, why: str, helps: str
    ) -> None:
        """The destination refuses rows of a table, which is of these resources."""
        for resource in resources:
            log.error("%s: rows of %s are not taken: %s", resource, table, why)
            advice = helps.replace("{}", resource)
            self.fail(
                resource,
                f"the destination does not take rows of {table}: {why}. Nothing of the list is "
                f"lost: the next run takes up what is left. {advice}".strip(),
            )

    def _tell_unloaded(self) -> None:
        """Once more whenever a reading may have ended: it knows nothing of the loading."""
        for resource, why in self.unloaded.items():
            if run := self.runs.get(resource):
                run.status, run.message, run.settled = "failed", why, None

    def leave_out(self, resource: str, why: str) -> None:
        """A resource is not read in this run after all."""
        self.runs = {name: run for name, run in self.runs.items() if name != resource}
        self.off[resource] = why

    @property
    def nothing_readable(self) -> bool:
        """Whether every list that was asked answered 403 or 404, or with errors."""
        asked = [r for r in self.runs.values() if r.resource != "educators"] or list(
            self.runs.values()
        )
        tried = [r for r in asked if r.traffic.requests]
        unread = [
            r for r in tried if r.status in ("off", "failed") and not r.read and not r.in_part
        ]
        if not tried or len(unread) < len(tried):
            return False
        passed_over = any(run.passed_over for run in asked)
        return len(tried) > 1 or (unread[0].status == "off" and not passed_over)

    @property
    def exit_code(self) -> int:
        if self.fatal or (self.nothing_readable and not self.stopped):
            return FAILED
        if self.broken_off or any(run.incomplete for run in self.runs.values()):
            return PARTLY
        return DONE

    @property
    def status(self) -> str:
        return {DONE: "done", FAILED: "failed", PARTLY: "partly done"}[self.exit_code]

    def total(self, name: str) -> int:
        """The sum of a number over all resources."""
        return sum(getattr(run, name) for run in self.runs.values())

    @property
    def requests(self) -> int:
        return self.identity.requests + sum(r.traffic.requests for r in self.runs.values())

    @property
    def message(self) -> str | None:
        """The reason for a run that is not all well."""
        if self.fatal:
            return self.fatal
        if self.nothing_readable:
            return (
                "The token could read nothing. Check its scopes in Eduframe, and base_url: "
                "a wrong path answers 404 too."
            )
        cut_short = self.stopped if self.exit_code == PARTLY else None
        return cut_short or self._news

    @property
    def _news(self) -> str | None:
        """What a run that read everything tells with its exit code, once."""
        fields = [name for run in self.runs.values() for name in run.newly_unfit]
        lists = [run.resource for run in self.runs.values() if run.newly_rejected]
        said = []
        if fields:
            said.append(f"fields that most rows have unfit, for the first time: {_listed(fields)}")
        if lists:
            said.append(f"rows were set aside for the first time: {_listed(lists)}")
        return "; ".join(said) or None

    def moment(self, monotonic: float | None) -> datetime | None:
        """A moment of the monotonic clock as a time of day, by the machine's clock."""
        if monotonic is None:
            return None
        return self.clock + timedelta(seconds=monotonic - self.began)

    def run_row(self) -> dict[str, Any]:
        """The run's row in ``_sync_runs``."""
        return {
            "run_id": self.run_id,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "status": self.status if self.ended_at else "running",
            "version": self.version,
            "resources": len(self.runs),
            "requests": self.requests,
            "rows_read": self.total("read"),
            "rows_written": self.total("new") + self.total("changed"),
            "rows_deleted": self.total("deleted"),
            "message": self.message,
            "row_hash_version": VERSION,
            "budget": self.budget,
            **self._balance(),
            **asdict(self.usage()),
        }

    def _balance(self) -> dict[str, Any]:
        """The account, with the requests of this run booked."""
        if self.account is None:
            return {"balance": None, "balance_at": None}
        now = max(now_utc(), self.clock)
        booked = self.account.book(self.requests, now.timestamp())
        return {"balance": _seconds(booked.balance), "balance_at": now}

    def resource_rows(self) -> list[dict[str, Any]]:
        """The run's rows in ``_sync_resources``."""
        return [self._resource_row(run) for run in self.runs.values()]

    def _resource_row(self, run: ResourceRun) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "resource": run.resource,
            "mode": _logged_mode(run),
            "status": run.status,
            "started_at": self.moment(run.began),
            "ended_at": self.moment(run.ended),
            "rows_read": run.read,
            "rows_new": run.new,
            "rows_changed": run.changed,
            "rows_deleted": run.deleted,
            "rows_rejected": run.rejected,
            "requests": run.traffic.requests,
            "retries": run.traffic.retries,
            "retry_causes": _json(run.traffic.causes),
            "waited_seconds": _seconds(run.traffic.waited),
            "seconds": _seconds(run.seconds),
            "unknown_fields": _json(run.unknown_fields),
            "unknown_values": _json(run.unknown_values),
            "unfit_fields": _json(run.unfit_fields),
            "message": "; ".join(_remarks(run)) or None,
            "reads": _reads(run),
        }

    def as_json(self) -> str:
        """The summary for a machine."""
        resources = [
            {k: v for k, v in row.items() if k != "run_id"} for row in self.resource_rows()
        ]
        for one in resources:
            for name in JSON_COLUMNS:
                one[name] = orjson.loads(one[name]) if one[name] else {}
            for name in ("waited_seconds", "seconds"):
                one[name] = float(one[name])
        row = self.run_row()
        row["balance"] = None if row["balance"] is None else float(row["balance"])
        summary = {
            **row,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "waited_seconds": round(self.waited, 3),
            "destination": self.destination,
            "dataset": self.dataset,
            "load_packages": self.packages,
            "notes": self.notes,
            "resources": resources,
            "off": self.off,
        }
        return orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode()


def new_report(pipeline: Any, selection: Selection, now: datetime) -> Report:
    """The report of a run into a pipeline's dataset that begins now."""
    return Report(
        run_id=uuid.uuid4().hex,
        started_at=now,
        destination=pipeline.destination.destination_name,
        dataset=pipeline.dataset_name,
        version=version(),
        runs={endpoint.table: ResourceRun(endpoint.table) for endpoint in selection.on},
        off=selection.off,
        began=time.monotonic(),
    )


def _logged_mode(run: ResourceRun) -> str | None:
    """How the list was read, in the words of the log: what is no complete read reconciles
    nothing."""
    if run.mode == "parts" or (run.mode == "reconcile" and run.cut):
        return "parents" if BY_TABLE[run.resource].params else "cursor"
    return run.mode


def _reads(run: ResourceRun) -> str | None:
    """What reads of each kind came to."""
    made = {kind: asdict(counts) for kind, counts in run.reads.items()}
    return _json({kind: counts for kind, counts in made.items() if any(counts.values())})


def _remarks(run: ResourceRun) -> list[str]:
    frozen = [f"nothing counts as gone here: {why}" for why in dict.fromkeys(run.frozen)]
    return [*filter(None, [run.message]), *run.notes, *frozen]


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + rest


def _seconds(value: float) -> Decimal:
    return Decimal(str(round(value, 3)))


def _json(counter: Mapping[str, Any]) -> str | None:
    return orjson.dumps(dict(sorted(counter.items()))).decode() if counter else None
