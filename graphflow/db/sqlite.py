"""SqliteDb: sessions in a SQLite file. Readers never wait for a writer's fsync (write-ahead log)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from graphflow.db import migrations
from graphflow.db.limits import Limits
from graphflow.db.records import SchemaStatus
from graphflow.db.sql import SqlDb, system_clock
from graphflow.db.transactions import Transaction
from graphflow.errors import CorruptCheckpoint

T = TypeVar("T")

WRITER_MAY_TAKE: Final = 5.0
"""Seconds that closing waits for a write in another thread."""
READERS_MAY_TAKE: Final = 5.0
"""Seconds that a fork waits for reads in other threads."""

_abandoned: list[Any] = []
"""Connections of a parent process, if a read took longer: closing them in the child could take the parent's locks away."""


class SqliteDb(SqlDb):
    """Sessions in the file ``db_file``, shared safely by threads and processes of one machine.

    ``synchronous="full"`` makes every commit survive a power cut; ``"normal"`` survives crashes of the process, and after a
    power cut the last commits may be missing (never half there). ``busy_timeout`` is how long to wait for others, in seconds.
    Built on the documentation of SQLite's write-ahead log (https://sqlite.org/wal.html).
    """

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(
        self,
        db_file: str | os.PathLike[str] = "graphflow.db",
        *,
        synchronous: Literal["full", "normal"] = "full",
        lease_ttl: float = 30.0,
        busy_timeout: float = 60.0,
        clock: Callable[[], float] = system_clock,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(lease_ttl=lease_ttl, busy_timeout=busy_timeout, clock=clock, limits=limits)
        path = os.fspath(db_file)
        if path in ("", ":memory:") or path.startswith("file:"):
            raise ValueError(f"db_file={path!r} is not a file; for a database in memory use InMemoryDb()")
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous={synchronous!r}: give 'full' or 'normal'")
        self.db_file = path
        self.synchronous = synchronous
        self.identity = f"sqlite:{Path(path).resolve()}"
        self._path = str(Path(path).absolute())
        self._begin_anew()

    # --- transactions ------------------------------------------------------------------------------------------------------

    def _write(self, work: Callable[[Transaction], T]) -> T:
        with self._open.write_lock:
            tx = self._open.writer or self._open_writer()
            execute = tx.execute
            try:
                execute("BEGIN IMMEDIATE")
                result = work(tx)
                execute("COMMIT")
            except BaseException as error:
                _roll_back(execute)
                _translate(error)
                raise
            return result

    def _read(self, work: Callable[[Transaction], T]) -> T:
        opened = self._open
        try:
            tx = opened.readers.pop()
        except IndexError:
            tx = self._open_reader()
        execute = tx.execute
        try:
            execute("BEGIN")
            result = work(tx)
            execute("COMMIT")
        except BaseException as error:
            _roll_back(execute)
            _translate(error)
            raise
        finally:
            opened.readers.append(tx)
        return result

    # --- connections ---------------------------------------------------------------------------------------------------------

    def _connect(self) -> Transaction:
        with self._open.opening_lock:
            try:
                connection = sqlite3.connect(
                    self._path, timeout=self.busy_timeout, isolation_level=None, check_same_thread=False
                )
            except sqlite3.OperationalError as error:
                error.add_note(f"while opening db_file={self.db_file!r}; its folder has to exist")
                raise
            try:
                connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            except sqlite3.Error:
                connection.close()
                raise
            self._open.all.append(connection)
        return Transaction(connection.cursor().execute, self._statements())

    def _open_writer(self) -> Transaction:
        """The one connection that writes, to a database that has its tables. Called with the write lock held."""
        try:
            tx = self._connect()
            _patiently(lambda: tx.execute("PRAGMA journal_mode = WAL").fetchone(), self.busy_timeout)
            tx.execute("BEGIN IMMEDIATE")
            migrations.migrate(tx, self._stamp())
            tx.execute("COMMIT")
        except BaseException as error:
            self._open.close_all()
            _translate(error)
            raise
        self._open.writer = tx
        return tx

    def _open_reader(self) -> Transaction:
        if self._open.writer is None:
            with self._open.write_lock:
                if self._open.writer is None:
                    self._open_writer()
        return self._connect()

    def _begin_anew(self) -> None:
        self._open = _Connections()
        self._at_exit = weakref.finalize(self, _Connections.close, self._open)

    def schema_status(self) -> SchemaStatus:
        """Which version of the schema the file has. Makes no file and no tables."""
        version = 0
        if Path(self._path).exists():
            try:
                uri = f"{Path(self._path).as_uri()}?mode=ro"
                with closing(sqlite3.connect(uri, uri=True, timeout=self.busy_timeout)) as connection:
                    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'gf_schema'").fetchone():
                        version = migrations.found_version(Transaction(connection.cursor().execute, self._statements()))
            except sqlite3.Error as error:
                _translate(error)
                raise
        return SchemaStatus(version, migrations.VERSION)

    def close(self) -> None:
        """Close all connections, moving the write-ahead log into the file. Using the object again opens new ones."""
        self._at_exit()
        self._graphs.clear()
        self._begin_anew()

    def _before_fork(self) -> None:
        """Close all connections: a child that has a copy of one believes that it holds that one's locks on the file."""
        opened = self._open
        opened.write_lock.acquire()
        opened.opening_lock.acquire()
        deadline = time.monotonic() + READERS_MAY_TAKE
        while len(opened.readers) + (opened.writer is not None) < len(opened.all) and time.monotonic() < deadline:
            time.sleep(0.001)
        if len(opened.readers) + (opened.writer is not None) == len(opened.all):
            opened.close_all()

    def _after_fork(self, in_child: bool) -> None:
        if not in_child:
            self._open.opening_lock.release()
            self._open.write_lock.release()
            return
        self._at_exit.detach()
        _abandoned.append(self._open)
        self._begin_anew()


class _Connections:
    """The connections of one process: one that writes, and those that readers take from a list and put back."""

    def __init__(self) -> None:
        self.write_lock = threading.Lock()
        self.opening_lock = threading.Lock()
        self.writer: Transaction | None = None
        self.readers: list[Transaction] = []
        self.all: list[sqlite3.Connection] = []

    def close(self) -> None:
        # At the end of the process a daemon thread may be stuck in a write; it must not keep the process from ending.
        if self.write_lock.acquire(timeout=WRITER_MAY_TAKE):
            try:
                self.close_all()
            finally:
                self.write_lock.release()

    def close_all(self) -> None:
        self.writer = None
        self.readers.clear()
        while self.all:
            self.all.pop().close()


def _roll_back(execute: Callable[..., Any]) -> None:
    try:
        execute("ROLLBACK")
    except sqlite3.Error:
        # None was begun, or SQLite ended it by itself (a full disk): there is nothing to roll back.
        return


def _translate(error: BaseException) -> None:
    """Raise damage that the driver finds as the error that says so."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError) or (isinstance(error, sqlite3.OperationalError) and "decode to UTF-8" in text):
        raise CorruptCheckpoint(f"a stored text is damaged: {text}") from error
    if isinstance(error, sqlite3.IntegrityError):
        raise CorruptCheckpoint(f"a row stands where none should be ({text}); check() tells more") from error
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        raise CorruptCheckpoint(f"the database file is damaged: {text}; bring it back from a backup") from error


def _patiently(call: Callable[[], T], timeout: float) -> T:
    """Call until no other process is in the way: SQLite does not wait by itself when the journal mode is changed."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
