"""InMemoryDb: sessions that live as long as the object, for tests and throw-away runs. The same code as on a file."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable
from typing import Literal, TypeVar

from graphflow.db import migrations
from graphflow.db.forks import databases
from graphflow.db.limits import Limits
from graphflow.db.records import SchemaStatus
from graphflow.db.sql import SqlDb, system_clock
from graphflow.db.transactions import Transaction

T = TypeVar("T")

_numbers = itertools.count(1)


class InMemoryDb(SqlDb):
    """Sessions in memory: one connection, one lock."""

    blocking = False
    shared = False
    dialect: Literal["sqlite"] = "sqlite"

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
        self._connection: sqlite3.Connection | None = None
        databases.add(self)

    def _write_once(self, work: Callable[[Transaction], T]) -> T:
        with self._lock:
            tx = self._tx or self._open()
            tx.execute("BEGIN")
            try:
                result = work(tx)
            except BaseException:
                tx.execute("ROLLBACK")
                raise
            tx.execute("COMMIT")
            return result

    _read_once = _write_once

    def _open(self) -> Transaction:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        tx = Transaction(connection.cursor().execute, self._statements())
        migrations.migrate(tx, self._stamp())
        self._connection, self._tx = connection, tx
        return tx

    def _before_fork(self) -> None:
        self._lock.acquire()

    def _after_fork(self, in_child: bool) -> None:
        """A forked child goes on with its own copy of the memory."""
        super()._after_fork(in_child)
        if in_child:
            self._lock = threading.Lock()
        else:
            self._lock.release()

    def schema_status(self) -> SchemaStatus:
        """A database in memory always has the latest."""
        return SchemaStatus(migrations.VERSION, migrations.VERSION)

    def close(self) -> None:
        """Drop everything."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._tx = None
            self._forget()
