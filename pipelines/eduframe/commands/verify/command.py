"""The command itself: the lists are looked at, each row is compared, and what differs is told."""

import logging
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.eduframe.commands.output import print_json
from pipelines.eduframe.commands.verify.findings import Findings, ListFound, State
from pipelines.eduframe.commands.verify.held import (
    Destination,
    Inventory,
    Known,
    completed,
    held,
    written_by,
)
from pipelines.eduframe.commands.verify.looking import Look, Unit, witnesses
from pipelines.eduframe.commands.verify.printing import as_json as shown_as_json
from pipelines.eduframe.commands.verify.printing import print_findings
from pipelines.eduframe.commands.verify.requests import AtMost, UsedUpError
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.run.package_contents import storable
from pipelines.eduframe.store.recent_runs import past_runs, recall_window
from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.audit import Difference, Held, compare, excused
from sources.eduframe.comparing.sampling import allot
from sources.eduframe.dataset.customer import customer_by_rows, identify
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.errors import (
    ResourceError,
    ResourceOffError,
    SettingsError,
    StoppedError,
)
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Bounds, Client
from sources.eduframe.limits.rate_limiter import share_window
from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.questions import Questions, item_params
from sources.eduframe.rows.keys import Ids, table_key_ids
from sources.eduframe.rows.normalise import Normalised, normalise
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Table
from sources.eduframe.settings import Settings, policies, resolve, select

log = logging.getLogger("eduframe.verify")

ATTEMPTS = 2
KEPT_BACK = 10
"""One in so many requests is for rows that seem to be missing there."""
ROWS_AT_ONCE = 5_000
"""So many rows are compared in one moment, in which the destination is looked at."""


def run_verify(
    destination: str,
    dataset: str,
    resources: Sequence[str],
    *,
    requests: int,
    tolerate: str,
    seed: int | None,
    show_values: bool,
    as_json: bool,
    wide: bool = False,
) -> int:
    """Compare a sample of what the API serves with what the destination holds, and print it.

    Nothing is written. Returns 3 if a greater share of the rows looked at is wrong than is
    tolerated, or a list could not be read.

    Raises:
        SettingsError: a setting, a resource or the share is none.
        NoDatasetError: there is no such dataset.
        OtherCustomerError: the dataset holds the data of another customer than the token reads.
        AuthenticationError: the token is not accepted.
        UnreachableError: there is no connection to the API.
        FileBusyError: another program holds the DuckDB file for long.
    """
    share = parse_share(tolerate)
    settings = resolve()
    seed = SystemRandom().randrange(2**31) if seed is None else seed
    limiter = AtMost(settings.requests_per_window, settings.window_seconds, requests)
    with (
        tempfile.TemporaryDirectory() as folder,  # the working folder is left alone
        Client(
            settings.base_url,
            settings.api_token,
            limiter,
            attempts=ATTEMPTS,
            bounds=Bounds.of(settings),
        ) as client,
    ):
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        share_window(limiter, settings.base_url, settings.api_token, settings.request_seconds)
        findings = Findings([], seed, share, requests)
        audit = _Audit(pipeline, settings, client, limiter, findings)
        audit.run(resources)
        findings.requests = requests - limiter.unspent
        findings.notes += client.notes
    if as_json:
        print_json(shown_as_json(findings, client.shown if show_values else None))
    else:
        print_findings(
            findings, destination, dataset, client.shown if show_values else None, wide=wide
        )
    return findings.exit_code


def parse_share(text: str) -> float:
    """A share: ``1%``, or a number below 1 such as ``0.01``.

    Raises:
        SettingsError: it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not match or share > 1 or (share == 1 and not match[2]):
        raise SettingsError(f"--tolerate is {text!r}; write a share, such as 1% or 0.01.")
    return share


@dataclass
class _List:
    """One list in the audit."""

    look: Look
    found: ListFound
    met: list[Ids] = field(default_factory=list)
    differences: dict[int, Difference] = field(default_factory=dict)
    doubts: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows here that the API should have served, and did not."""

    @property
    def known(self) -> Known:
        return self.look.known

    def all_met(self) -> Ids:
        return np.unique(np.concatenate([np.zeros(0, np.int64), *self.met]))


class _Audit:
    def __init__(
        self,
        pipeline: Any,
        settings: Settings,
        client: Client,
        limiter: AtMost,
        findings: Findings,
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._policies = policies(settings)
        self._client = client
        self._limiter = limiter
        self._findings = findings
        self._dice = np.random.default_rng(findings.seed)
        self._destination = Destination(pipeline, settings.lock_wait_seconds)
        self._lists: dict[str, _List] = {}
        self._waiting: list[tuple[_List, Unit]] = []
        self._rows_waiting = 0
        self._over = False
        """Whether nothing more can be asked."""

    def run(self, resources: Sequence[str]) -> None:
        selection = select(self._settings, resources)
        types = self._settings.custom_object_types
        stock = self._destination.take_stock(selection.on, types, self._besides)
        customer = stock.customer
        _, identity = identify(
            self._client,
            self._pipeline.dataset_name,
            dict(customer) if customer else None,
            Traffic(),
            self._findings.notes.append,
        )
        for known in stock.known:
            found = ListFound(known.endpoint.table, known.rows)
            run = ResourceRun(found.resource)
            self._lists[found.resource] = _List(
                Look(known, self._client, self._dice, run), found
            )
        for one, requests in self._spread():
            self._look_at(one, requests, identity)
        self._compare_waiting()
        for one in self._lists.values():
            self._settle(one)
        self._compare_waiting()
        self._sum_up(stock)
        order = {endpoint.table: place for place, endpoint in enumerate(selection.on)}
        left_out: dict[str, tuple[State, str]] = {
            name: ("left out", why) for name, why in selection.off.items()
        }
        for name, (state, why) in {**stock.unread, **left_out}.items():
            self._findings.lists.append(ListFound(name, state=state, message=why))
        self._findings.lists.sort(key=lambda found: order.get(found.resource, len(order)))

    def _besides(self, stored: StoredRows, stock: Inventory) -> None:
        recall_window(past_runs(stored), self._limiter, now_utc())
        if stock.customer is None:
            stock.customer = customer_by_rows(stored, self._client)

    # ---- asking

    def _spread(self) -> list[tuple[_List, int]]:
        """How many requests each list gets, those that can be had without any first."""
        filled, empty = list[_List](), list[_List]()
        for one in self._lists.values():
            held_rows = one.known.rows or one.known.position.had_rows
            (filled if held_rows else empty).append(one)
        left = self._limiter.unspent
        given: list[tuple[_List, int]] = []
        for some, kept in ((filled, left // KEPT_BACK), (empty, 0)):
            shares = allot(
                {one.found.resource: one.known.rows for one in some},
                {one.found.resource: one.known.most for one in some},
                max(0, left - kept),
                self._dice,
                {one.found.resource: one.known.least for one in some},
            )
            given += [(one, shares[one.found.resource]) for one in some]
            left -= sum(shares.values())
        return sorted(given, key=lambda pair: pair[1])

    def _look_at(self, one: _List, requests: int, identity: Answer | None) -> None:
        """Read what the list's requests give; what goes wrong ends up in its findings."""
        look, found = one.look, one.found
        free = look.known.endpoint.single or (look.known.endpoint.params and not look.known.refs)
        if self._over or (requests == 0 and not free):
            return
        try:
            for unit in look.units(requests, identity):
                if found.state == "not reached":
                    found.state = "compared"
                self._take(one, unit)
            if found.state == "not reached" and (look.drawn or look.complete):
                found.state = "compared"
        except UsedUpError:
            found.message = "the requests were used up"
        except StoppedError as stopped:
            self._over = True
            self._findings.notes.append(str(stopped))
        except ResourceOffError as off:
            found.state, found.message = "off", f"{off}: needs {look.known.endpoint.needs}"
        except ResourceError as error:
            found.state, found.message = "failed", str(error)
            log.warning("%s: %s", found.resource, error)

    def _take(self, one: _List, unit: Unit) -> None:
        self._waiting.append((one, unit))
        self._rows_waiting += len(unit.rows)
        if self._rows_waiting >= ROWS_AT_ONCE:
            self._compare_waiting()

    # ---- comparing

    def _compare_waiting(self) -> None:
        """Compare what was read with what the destination holds of it now."""
        together: dict[tuple[str, bool], list[Any]] = {}
        for one, unit in self._waiting:
            together.setdefault((one.found.resource, unit.whole_rows), []).extend(unit.rows)
        self._waiting, self._rows_waiting = [], 0
        read = [(*how, self._normalise(how[0], rows)) for how, rows in together.items()]
        if not read:
            return
        with self._destination.moment() as stored:
            here = [self._held(stored, name, _ids(name, served)) for name, _, served in read]
        for (name, whole_rows, served), rows in zip(read, here, strict=True):
            one = self._lists[name]
            if rows is None:
                continue
            since = one.known.since
            met, differences = compare(name, served, rows, since, whole_rows=whole_rows)
            one.met.append(met)
            one.differences |= {found.key_id: found for found in differences}

    def _held(self, stored: StoredRows, name: str, ids: Ids) -> Held | None:
        """What the destination holds of some rows; None where it is not what it must be."""
        try:
            return held(stored, BY_TABLE[name], ids)
        except pa.ArrowException:  # which tells of values: they are not shown
            found = self._lists[name].found
            found.state = "not comparable"
            found.message = (
                "some column has a type that does not hold its values; the next sync names it, "
                f"and eduframe refresh {name} mends it"
            )
            return None

    def _normalise(self, name: str, rows: list[Any]) -> Normalised:
        """The rows as a sync would write them."""
        served = normalise(BY_TABLE[name], rows)
        served.main = self._storable(MAIN_TABLES[name], served.main)
        for child in CHILD_TABLES[name]:
            served.children[child.name] = self._storable(child, served.children[child.name])
        one = self._lists[name]
        one.found.unkeyed += len(served.rejected)
        if served.cut_trees is not None and served.cut_trees.any():
            one.look.proves = False
        return served

    def _storable(self, table: Table, rows: pa.Table) -> pa.Table:
        columns = [column for column in table.all_columns if column.name in rows.column_names]
        return storable(self._pipeline, rows, columns)

    # ---- what is missing there

    def _settle(self, one: _List) -> None:
        """Ask for the rows that the API should have served, and did not, by their own paths."""
        look, known, found = one.look, one.known, one.found
        if found.state == "compared":
            one.differences = {stray.key_id: stray for stray in known.strays} | one.differences
        if self._policies[found.resource].deletes == "ignore" or found.state != "compared":
            return
        missing = [known.ids[place] for place in look.absent]
        doubts = np.setdiff1d(look.expected(), one.all_met())
        if item_params(known.endpoint) is None:
            gone = np.setdiff1d(look.certain(doubts), known.in_doubt)
            if found.unkeyed:  # one of the rows without a usable key may be it
                gone = gone[:0]
            left = np.setdiff1d(doubts, gone)
            found.unsettled += len(left)
            found.presumed = len(np.intersect1d(left, look.beyond_the_end()))
            missing += gone.tolist()
        elif len(doubts):
            missing += self._ask(one, doubts)
        found.unsettled += look.unclear
        if not missing:
            return
        places = {one: place for place, one in enumerate(known.ids.tolist())}
        for ident in map(int, missing):
            one.differences[ident] = Difference(
                ident, known.key_text(places[ident]), "missing there"
            )

    def _ask(self, one: _List, doubts: Ids) -> list[int]:
        """Which of these rows are not there, by their own paths. Others stay unsettled."""
        look, known, missing = one.look, one.known, list[int]()
        questions = Questions(known.endpoint, look.fetcher, self._limiter.unspent)
        places = {ident: place for place, ident in enumerate(known.ids.tolist())}
        asked, hidden = 0, list[str]()
        if self._limiter.unspent > 1 and not self._over:
            said, why = questions.answered(witnesses(look, one.all_met()))
            if said != "there":
                look.notes.append(f"no row can be asked for by its id{why}")
                questions.left = 0
        for ident in look.dice.permutation(doubts).tolist():
            if self._limiter.unspent <= 0 or questions.left <= 0 or self._over:
                break
            reply = questions.ask(known.key(places[ident]), known.outer(places[ident]))
            asked += reply.said != "unclear"
            if reply.said == "absent":
                missing.append(ident)
            elif reply.row is not None:
                hidden.append(known.key_text(places[ident]))
                self._take(one, Unit([reply.row], whole_rows=False))
        if hidden:
            look.notes.append(
                f"its list lacks {len(hidden):,} rows that are there by their own paths, such as "
                f"{hidden[0]}"
            )
        left = len(doubts) - asked
        one.found.unsettled += left
        one.found.presumed = (
            round(left * len(missing) / asked)
            if asked
            else len(np.intersect1d(doubts, look.beyond_the_end()))
        )
        return missing

    # ---- the end

    def _sum_up(self, stock: Inventory) -> None:
        """Count, once it is known what a sync wrote in the meantime."""
        with self._destination.moment() as stored:
            fresh = completed(stored) - stock.loads
            for one in self._lists.values():
                if fresh and one.differences:
                    ids = written_by(stored, one.known.endpoint, fresh)
                    changed = excused([*one.differences.values()], ids, "written meanwhile")
                    one.differences = {found.key_id: found for found in changed}
        if fresh:
            self._findings.notes.append(
                f"a sync wrote here during the audit ({len(fresh)} load packages): rows that it "
                "wrote do not count as differing"
            )
        for one in self._lists.values():
            found, look = one.found, one.look
            found.how = look.how if found.state == "compared" else ""
            found.units, found.drawn, found.complete = look.units_there, look.drawn, look.complete
            found.filled = look.filled + len(look.absent)
            found.requests = look.run.traffic.requests
            found.differences = sorted(one.differences.values(), key=lambda d: (d.kind, d.key_id))
            others = np.array([*one.differences], np.int64)
            found.compared = len(np.union1d(one.all_met(), others)) + found.presumed
            found.notes += [*look.notes, *look.run.notes]
            self._findings.lists.append(found)


def _ids(name: str, served: Normalised) -> Ids:
    return np.unique(table_key_ids(MAIN_TABLES[name], served.main, served.hashes))
