"""Reads: what they cost, and that one loop takes any kind of them from pages to batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.fetching import Page
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan, Progress, Read, WholeList
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.reading.under_parents import UnderParents
from sources.eduframe.resource_policy import Policy
from sources.eduframe_simulator import Simulator
from tests.warehouses import PLENTY


@dataclass
class Items(Read):
    """A kind of read of a test's own: some rows, each by its own path."""

    endpoint: Endpoint
    ids: Sequence[int]

    def cost(self, rows: int) -> int:
        return len(self.ids)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        for number in self.ids:
            path = f"{self.endpoint.path}/{number}"
            answer = progress.fetcher.client.get(path, expect="object")
            yield Page([answer.data], None, answer.date)


def test_another_kind_of_read_goes_through_the_same_loop() -> None:
    with Simulator(scale=0, counts={"users": 30}, requests_per_window=PLENTY) as sim:
        wanted = [row["id"] for row in sim.rows("users")][3:8]
        endpoint = BY_TABLE["users"]
        index = RowIndex(np.array(wanted[:1], np.int64), np.ones(1, np.int64), np.zeros(1, bool))
        plan = Plan(endpoint, "reconcile", Position(), index, Policy(), now_utc(), now_utc())
        plan.read = Items(endpoint, wanted)
        run = ResourceRun("users")
        with Client(sim.base_url, sim.token, Limiter(PLENTY, 300)) as client:
            batches = list(Reader(plan, client, run, ParentBook((endpoint,))).batches())
        assert plan.read.cost(30) == len(sim.requests) == 5
    tables = [batch.tables["users"] for batch in batches if "users" in batch.tables]
    assert [i for table in tables for i in table.column("id").to_pylist()] == wanted
    assert (run.new, run.changed, run.deleted, run.status) == (4, 1, 0, "done")


def test_a_read_of_items_takes_nothing_for_gone() -> None:
    with Simulator(scale=0, counts={"users": 3}, requests_per_window=PLENTY) as sim:
        endpoint = BY_TABLE["users"]
        known = np.array(sorted(row["id"] for row in sim.rows("users")), np.int64)
        index = RowIndex(known, np.ones(3, np.int64), np.zeros(3, bool))
        plan = Plan(endpoint, "reconcile", Position(), index, Policy(), now_utc(), now_utc())
        plan.read = Items(endpoint, known[:1].tolist())
        with Client(sim.base_url, sim.token, Limiter(PLENTY, 300)) as client:
            run = ResourceRun("users")
            batches = list(Reader(plan, client, run, ParentBook((endpoint,))).batches())
    assert not any(batch.gone for batch in batches)
    assert run.deleted == 0


def test_what_reads_cost() -> None:
    users, payments = BY_TABLE["users"], BY_TABLE["payments"]
    assert [WholeList(users).cost(rows) for rows in (0, 1, 100, 101, 1000)] == [1, 1, 1, 2, 10]
    assert WholeList(BY_TABLE["custom_objects"]).cost(3) == 4  # each is asked for its fields
    assert WholeList(BY_TABLE["educators"]).cost(1) == 1
    book = ParentBook((payments,))
    assert UnderParents(payments, book, [[(1,), (2,), (3,)]]).cost(99) == 3
    of_types = UnderParents(BY_TABLE["custom_associations"], book, [], ("users", "accounts"))
    assert of_types.cost(0) == 2


def test_a_field_is_mostly_unfit_by_what_is_news() -> None:
    run = ResourceRun("users")
    run.rows_checked["users"] = 30
    for name, count in (("users.a", 15), ("users.b", 14), ("users.c", 30)):
        run.unfit(name, "null", count)
    assert run.mostly_unfit({}) == ["users.a", "users.c"]
    few = ResourceRun("users")
    few.rows_checked["users"] = 3
    few.unfit("users.a", "absent", 3)
    few.unfit("users.b", "absent", 2)
    assert few.mostly_unfit({}) == ["users.a"]
    assert few.mostly_unfit({"users.a": 3}) == []  # a read by cursor meets them again
    few.rows_checked["users"] = 6
    few.unfit("users.a", "absent", 3)
    assert few.mostly_unfit({"users.a": 3}) == ["users.a"]
