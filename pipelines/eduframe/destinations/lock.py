"""One run at a time for a dataset, by locks that a crash frees.

One is on this machine (see :mod:`pipelines.eduframe.place.local_lock`). Where the destination has
advisory locks (Postgres) there is one in it too, which also holds between machines; for the other
destinations only one scheduler may run the sync.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.eduframe.destinations.postgres.room import is_the_only_one
from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.place.local_lock import local_lock
from pipelines.eduframe.place.target import is_a, target_of
from sources.eduframe.digest import hash_text
from sources.eduframe.errors import LockedError, LockLostError

log = logging.getLogger("eduframe.lock")

StillHeld = Callable[[], None]
"""Makes sure that a lock is still held. Raises :class:`LockLostError`."""

KEEP_ALIVE_SECONDS = 30.0
"""Firewalls and poolers close connections over which nothing comes for long."""

_IS_IT = (
    "l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"
)


@contextmanager
def one_at_a_time(pipeline: Any) -> Iterator[StillHeld]:
    """Hold the locks of a dataset, and give what makes sure that they are still held.

    Raises:
        LockedError: another run holds one; says who, and since when.
    """
    with local_lock(target_of(pipeline)), database_lock(pipeline) as still_held:
        yield still_held


@contextmanager
def database_lock(pipeline: Any) -> Iterator[StillHeld]:
    """Hold the dataset, where its database has locks.

    Raises:
        LockedError: another run into it is going on, on whatever machine.
    """
    if not is_a(pipeline, "postgres"):
        yield lambda: None
        return
    with pipeline.sql_client() as client:
        alone = is_the_only_one(client)
    if alone:
        log.warning(
            "Postgres allows one connection and no more, which loads the rows: there is no lock in "
            "the database, so only this machine may run the sync into %s",
            pipeline.dataset_name,
        )
        yield lambda: None
        return
    with pipeline.sql_client() as client:
        client.execute_sql("SET idle_session_timeout = 0")
        # the lock of a database: only the dataset's name is needed. It is that of earlier releases
        key = hash_text(f"eduframe-sync:eduframe:{client.dataset_name}")
        taken = client.execute_sql("SELECT pg_try_advisory_lock(%s)", key)
        if not taken or not taken[0][0]:
            raise LockedError(
                f"Another run into dataset {pipeline.dataset_name} holds the lock in the "
                f"database{_who(client, key)}. Wait for it to end."
            )
        lock = _Held(client, key, pipeline.dataset_name)
        try:
            with lock.kept_alive():
                yield lock.check
        finally:
            lock.release()


def _who(client: Any, key: int) -> str:
    rows = client.execute_sql(
        "SELECT a.pid, a.client_addr, a.backend_start FROM pg_locks l "
        f"JOIN pg_stat_activity a ON a.pid = l.pid WHERE {_IS_IT}",
        key,
    )
    if not rows:
        return ""
    pid, address, since = rows[0]
    return (
        f": from {address or 'this host'}, since {since:%Y-%m-%d %H:%M:%S%z} "
        f"(server process {pid})"
    )


class _Held:
    """The lock as long as its connection lives. Thread-safe."""

    def __init__(self, client: Any, key: int, dataset: str) -> None:
        self._client = client
        self._key = key
        self._dataset = dataset
        self._one_asks = threading.Lock()

    def check(self) -> None:
        """Ask the database whether the lock is held.

        Raises:
            LockLostError: it is not, or the connection is gone.
        """
        why = "this connection does not hold it any more; is there a pooler in transaction mode?"
        try:
            with self._one_asks:
                found = self._client.execute_sql(
                    f"SELECT 1 FROM pg_locks l WHERE l.pid = pg_backend_pid() AND {_IS_IT}",
                    self._key,
                )
        except Exception as error:  # the driver has exceptions of its own
            found, why = None, cause_of(error)
        if not found:
            raise LockLostError(
                f"The lock of dataset {self._dataset} in the database was lost ({why}), so that "
                "another run may have begun. This one ends; nothing is lost: the next goes on from "
                "what was loaded."
            )

    def release(self) -> None:
        """Let the next run in now: the server lets go of a closed connection's locks in a while."""
        try:
            self._client.execute_sql("SELECT pg_advisory_unlock(%s)", self._key)
        except Exception as error:  # the connection is gone, and with it the lock
            log.debug("the lock could not be released: %s", cause_of(error))

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Ask now and then, so that the connection is never idle for long."""
        over = threading.Event()

        def ask() -> None:
            while not over.wait(KEEP_ALIVE_SECONDS):
                try:
                    self.check()
                except LockLostError as error:  # whoever wants to write next is told, too
                    log.warning("%s", error)
                    return

        thread = threading.Thread(target=ask, name="lock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
