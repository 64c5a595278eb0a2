"""InMemoryDb: sessions that live as long as the object, for tests and throw-away runs. The same code as on a file."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import weakref
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from graphflow.db import migrations
from graphflow.db.forks import databases
from graphflow.db.limits import Limits
from graphflow.db.records import SchemaStatus
from graphflow.db.sql import SqlDb, system_clock
from graphflow.db.transactions import Transaction

T = TypeVar("T")

CALL_MAY_TAKE: Final = 5.0
"""Seconds for which the end of the process waits for a call in another thread."""

_numbers = itertools.count(1)


class InMemoryDb(SqlDb):
    """Sessions in memory, of this process alone: they are gone when the object is closed or dropped. One connection, one lock.

    ``busy_timeout``, ``limits`` and ``clock`` as for SqliteDb.
    """

    blocking = False
    shared = False
    dialect: Literal["sqlite"] = "sqlite"
    _at_exit: weakref.finalize[[threading.Lock, Transaction], InMemoryDb]

    def __init__(
        self,
        *,
        lease_ttl: float = 30.0,
        busy_timeout: float = 60.0,
        clock: Callable[[], float] = system_clock,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(lease_ttl=lease_ttl, busy_timeout=busy_timeout, retry_timeout=0.0, clock=clock, limits=limits)
        self.identity = f"memory:{next(_numbers)}"
        self._lock = threading.Lock()
        self._tx: Transaction | None = None
        databases.add(self)

    def _write_once(self, work: Callable[[Transaction], T]) -> T:
        with self._lock:
            tx = self._tx or self._open()
            if tx.connection.in_transaction:  # that of a call which was interrupted as it was rolled back
                tx.execute("ROLLBACK")
            try:
                tx.execute("BEGIN")
                result = work(tx)
                tx.execute("COMMIT")
            except BaseException:
                if tx.connection.in_transaction:
                    tx.execute("ROLLBACK")
                raise
            return result

    _read_once = _write_once

    def _open(self) -> Transaction:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        tx = Transaction(connection.cursor().execute, self._statements(), connection)
        self._close_with_this(tx)
        migrations.migrate(tx, self._stamp())
        self._tx = tx
        return tx

    def _close_with_this(self, tx: Transaction) -> None:
        """What is dropped, or left at the end of the process, need not be closed by anybody."""
        self._at_exit = weakref.finalize(self, _close, self._lock, tx)

    def _before_fork(self) -> None:
        self._lock.acquire()

    def _after_fork(self, in_child: bool) -> None:
        """A forked child goes on with its own copy of the memory."""
        super()._after_fork(in_child)
        if not in_child:
            self._lock.release()
            return
        self._lock = threading.Lock()
        if self._tx is not None:
            self._at_exit.detach()
            self._close_with_this(self._tx)

    def schema_status(self) -> SchemaStatus:
        """A database in memory always has the latest."""
        return SchemaStatus(migrations.VERSION, migrations.VERSION)

    def close(self) -> None:
        """Drop everything."""
        with self._lock:
            if self._tx is not None:
                self._at_exit.detach()
                self._tx.connection.close()
            self._tx = None
            self._forget()


def _close(lock: threading.Lock, tx: Transaction) -> None:
    # At the end of the process a daemon thread may hold the lock for good; it must not keep the process from ending.
    if lock.acquire(timeout=CALL_MAY_TAKE):
        try:
            tx.connection.close()
        finally:
            lock.release()
