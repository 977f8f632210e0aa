"""Which list is read when: side by side in threads, each after the lists that hold its parents."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter

from pipelines.eduframe.run.named_rows import moved_by
from sources.eduframe.endpoints import filled_by
from sources.eduframe.reading.parts import Parts
from sources.eduframe.reading.read import Plan


class Scheduler:
    """Calls ``read`` for each planned list, in ``threads`` threads, and at the end ``ended``.

    ``read`` must not raise: what goes wrong with a list belongs into its record.
    """

    def __init__(
        self,
        plans: Mapping[str, Plan],
        read: Callable[[Plan], None],
        ended: Callable[[], None],
        threads: int,
    ) -> None:
        self._plans = plans
        self._read = read
        self._ended = ended
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._order = TopologicalSorter(dependencies(plans))
        self._order.prepare()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")

    def start(self) -> None:
        """Begin to read. Returns at once."""
        with self._lock:
            self._submit_ready()

    def close(self) -> None:
        """Wait for the end of all lists. They must have ended, or have been told to stop."""
        self._over.wait()
        self._pool.shutdown(wait=True)

    def _submit_ready(self) -> None:
        for name in sorted(self._order.get_ready(), key=lambda name: _priority(self._plans[name])):
            self._pool.submit(self._work, name)
        if not self._order.is_active():
            self._over.set()
            self._ended()

    def _work(self, name: str) -> None:
        try:
            self._read(self._plans[name])
        finally:
            with self._lock:
                self._order.done(name)
                self._submit_ready()


def dependencies(plans: Mapping[str, Plan]) -> dict[str, set[str]]:
    """For each list the lists that must be read before it: its parents', if they are read, and,
    where it is read in parts, those whose changed rows name rows of it.

    An interrupted read goes on at once, with the parents that the destination holds.
    """
    before: dict[str, set[str]] = {name: set() for name in plans}
    for name, plan in plans.items():
        if not plan.resumed:
            parents = {filled_by(parent.table).table for parent in plan.endpoint.parents}
            before[name] |= parents & {*plans}
        for moved in moved_by(plan.endpoint).values():
            if moved in plans and isinstance(plans[moved].read, Parts):
                before[moved].add(name)
    return before


def _priority(plan: Plan) -> tuple[bool, str, int]:
    """The order of reading: interrupted reads, then what was read longest ago, then the longest.

    So that runs that are always cut short still come round to every list.
    """
    return not plan.resumed, plan.position.began or "", -len(plan.index)
