"""SqliteDb: sessions in a SQLite file. Readers never wait for a writer's fsync (write-ahead log)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from graphflow.core import options
from graphflow.db import migrations
from graphflow.db.commits import Ready
from graphflow.db.failures import PASSING_SQLITE_CODES, SQLITE_REPAIRS
from graphflow.db.forks import databases
from graphflow.db.grouping import Request, WriteLine
from graphflow.db.limits import Limits
from graphflow.db.recent import Recent
from graphflow.db.records import SchemaStatus
from graphflow.db.sql import SqlDb, system_clock
from graphflow.db.transactions import Transaction
from graphflow.errors import CorruptCheckpoint, DatabaseFailed

T = TypeVar("T")

WRITER_MAY_TAKE: Final = 5.0
"""Seconds that closing waits for a write in another thread."""
READERS_MAY_TAKE: Final = 5.0
"""Seconds that a fork waits for reads in other threads."""

WAL_PAGES: Final = {"full": 500, "normal": 1_000}
"""Pages of the write-ahead log that are moved into the database together. A commit that waits for the disk takes clearly longer
while the log still grows, since its new size is written as well: one that is soon full is soon written over. That tells in the
first hundreds of commits after the file was opened; where commits do not wait, SQLite's own number is the better one.
"""

_abandoned: list[Any] = []
"""Connections of a parent process, if a read took longer: closing them in the child could take the parent's locks away."""


class SqliteDb(SqlDb):
    """Sessions in the file ``db_file``, shared safely by threads and processes of one machine.

    ``synchronous="full"`` makes every commit survive a power cut; ``"normal"`` survives crashes of the process, and after a
    power cut the last commits may be missing (never half there). ``busy_timeout`` (seconds): how long a run waits for its turn
    on a session, then SessionBusy; and for other programs that have locked the file. ``lease_ttl`` (seconds): how long a run of
    a frozen process may show no sign of life before its session is taken over. ``limits``: how large things may be.
    ``clock``: gives seconds since 1970.
    Threads that commit at the same time share a transaction, so that they wait for the disk once. What fails for a reason
    that passes is tried again for ``retry_timeout`` seconds (0: never); then, and at once for other reasons, DatabaseFailed is
    raised.
    Built on the documentation of SQLite's write-ahead log (https://sqlite.org/wal.html).
    """

    dialect: Literal["sqlite"] = "sqlite"
    _held: _Connections
    """Those that were open when the process began to be copied."""

    def __init__(
        self,
        db_file: str | os.PathLike[str] = "graphflow.db",
        *,
        synchronous: Literal["full", "normal"] = "full",
        lease_ttl: float = 30.0,
        busy_timeout: float = 60.0,
        retry_timeout: float = 30.0,
        clock: Callable[[], float] = system_clock,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            lease_ttl=lease_ttl, busy_timeout=busy_timeout, retry_timeout=retry_timeout, clock=clock, limits=limits
        )
        options.instance("db_file", db_file, (str, os.PathLike), "the path of a file")
        path = os.fspath(db_file)
        if path in ("", ":memory:") or path.startswith("file:"):
            raise ValueError(f"db_file={path!r} is not a file; for a database in memory use InMemoryDb()")
        if "://" in path:  # not shown: it may hold a password
            raise ValueError("db_file= is an address, not a file; for a database on a server use PostgresDb(db_url)")
        options.one_of("synchronous", synchronous, ("full", "normal"))
        self.db_file = path
        self.synchronous = synchronous
        self.identity = f"sqlite:{Path(path).resolve()}"
        self._path = str(Path(path).absolute())
        self._begin_anew()
        databases.add(self)

    # --- transactions ------------------------------------------------------------------------------------------------------

    def _commit_once(self, ready: Ready) -> None:
        if ready.is_statement:
            self._in_turn(ready.write, self._at_once)
        else:
            self._write_once(ready.write)

    def _write_once(self, work: Callable[[Transaction], T]) -> T:
        return self._in_turn(work, self._alone)

    def _in_turn(self, work: Callable[[Transaction], T], do: Callable[[_Connections, Callable[[Transaction], T]], T]) -> T:
        """Have work done by ``do``, or, where others write, together with what they wait for."""
        opened = self._open  # the same all along, also when another thread closes the object meanwhile
        line = opened.line
        if not line.is_free():
            return line.outcome(work, partial(self._together, opened))
        try:
            with line.lock:
                return do(opened, work)
        finally:
            if line.waiting:
                line.go_on()

    def _at_once(self, opened: _Connections, work: Callable[[Transaction], T]) -> T:
        """Work that is one statement, and with that a transaction. Called by whoever has the line's lock."""
        committing = False
        try:
            tx = opened.writer or self._open_writer(opened)
            if tx.connection.in_transaction:  # of which the statement would be a part
                tx.execute("ROLLBACK")
            committing = True  # what the statement writes it commits, and a disk that fails may have kept it
            return work(tx)
        except BaseException as error:
            self._translate(error, committing)
            raise
        finally:
            if opened.closed:
                opened.tidy()

    def _alone(self, opened: _Connections, work: Callable[[Transaction], T]) -> T:
        """A transaction of its own. Called by whoever has the line's lock."""
        committing = False
        try:
            execute = (tx := opened.writer or self._open_writer(opened)).execute
            if tx.connection.in_transaction:  # that of a thread which was interrupted as it was rolled back
                execute("ROLLBACK")
            execute("BEGIN IMMEDIATE")
            result = work(tx)
            committing = True
            execute("COMMIT")
        except BaseException as error:
            _roll_back(opened.writer)
            self._translate(error, committing)
            raise
        finally:
            if opened.closed:
                opened.tidy()
        return result

    def _together(self, opened: _Connections, group: Sequence[Request]) -> None:
        """One transaction for all. Called by whoever has the line's lock.

        Work that raises is taken back by itself; when the transaction as a whole fails, each is done alone.
        """
        try:
            if len(group) > 1 and not self._share(opened, group):
                _roll_back(opened.writer)
            for request in group:
                if not request.done:
                    request.attempt(partial(self._alone, opened))
        except BaseException:
            _roll_back(opened.writer)
            raise
        opened.tidy()

    def _share(self, opened: _Connections, group: Sequence[Request]) -> bool:
        try:
            execute = (tx := opened.writer or self._open_writer(opened)).execute
            if tx.connection.in_transaction:
                execute("ROLLBACK")
            execute("BEGIN IMMEDIATE")
        except Exception as error:
            for request in group:
                request.settle(error=self._translated(error, False) or error)
            return False
        outcomes: list[tuple[Request, Any, Exception | None]] = []
        try:
            for request in group:
                execute("SAVEPOINT member")
                try:
                    outcomes.append((request, request.work(tx), None))
                except Exception as error:
                    execute("ROLLBACK TO member")
                    outcomes.append((request, None, self._translated(error, False) or error))
                execute("RELEASE member")
            execute("COMMIT")
            for request, value, failure in outcomes:
                request.settle(value, failure)
        except sqlite3.Error:
            return False  # SQLite ended the transaction, as when the disk is full, or could not commit it
        except BaseException:
            if not _roll_back(tx):  # interrupted when it was committed already
                for request, value, failure in outcomes:
                    request.settle(value, failure)
            raise
        return True

    def _read_once(self, work: Callable[[Transaction], T]) -> T:
        opened = self._open
        tx = None
        try:
            try:
                tx = opened.readers.pop()
            except IndexError:
                tx = self._open_reader(opened)
            execute = tx.execute
            if tx.connection.in_transaction:  # that of a thread which was interrupted as it was rolled back
                execute("ROLLBACK")
            execute("BEGIN")
            result = work(tx)
            execute("COMMIT")
        except BaseException as error:
            _roll_back(tx)
            self._translate(error, False)
            raise
        finally:
            if tx is not None:
                opened.readers.append(tx)
                if opened.closed:
                    opened.close_readers()
        return result

    def _translate(self, error: BaseException, committing: bool) -> None:
        """Raise what the driver found as the error that says what to do."""
        translated = self._translated(error, committing)
        if translated is not None:
            raise translated from error

    def _translated(self, error: BaseException, committing: bool) -> Exception | None:
        text = str(error)
        if isinstance(error, UnicodeDecodeError) or (isinstance(error, sqlite3.OperationalError) and "decode to UTF-8" in text):
            return _caused(CorruptCheckpoint(f"a stored text is damaged: {text}"), error)
        if isinstance(error, sqlite3.IntegrityError):
            return _caused(CorruptCheckpoint(f"a row stands where none should be ({text}); check() tells more"), error)
        if not isinstance(error, sqlite3.DatabaseError):
            return None
        if "malformed" in text or "not a database" in text:
            return _caused(CorruptCheckpoint(f"the database file is damaged: {text}; bring it back from a backup"), error)
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in PASSING_SQLITE_CODES:
            what, passing = "others hold it; try again later, or give a longer busy_timeout=", True
        elif code in SQLITE_REPAIRS:
            what, passing = SQLITE_REPAIRS[code], False
        else:
            return None
        # A disk that fails while it is written to may have kept what it was given.
        written = None if committing and code == sqlite3.SQLITE_IOERR else False
        outcome = "it is not known whether the transaction was written" if written is None else "nothing was written"
        message = f"db_file={self.db_file!r}: {text}: {what} ({outcome})"
        return _caused(DatabaseFailed(message, transient=passing, written=written), error)

    def _is_sure(self) -> bool:
        """Whether nobody else has written to the file since this object did: SQLite counts that for each connection, and here
        one connection writes. While it does, nothing is sure.
        """
        opened = self._open
        line = opened.line
        if opened.writer is None or not line.is_free():
            return False
        try:
            with line.lock:
                if opened.writer is None:  # another thread has closed it
                    return False
                version = _data_version(opened.writer)
        except sqlite3.Error:
            return False
        finally:
            if line.waiting:
                line.go_on()
        if version != opened.version:
            opened.version = version
            self._recent = Recent()
            return False
        return True

    # --- connections ---------------------------------------------------------------------------------------------------------

    def _connect(self, opened: _Connections) -> Transaction:
        with opened.opening_lock:
            connection = sqlite3.connect(
                self._path, timeout=self.busy_timeout, isolation_level=None, check_same_thread=False, factory=_Connection
            )
            try:
                connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            except sqlite3.Error:
                connection.close()
                raise
            opened.all.add(connection)
        return Transaction(connection.cursor().execute, self._statements(), connection)

    def _open_writer(self, opened: _Connections) -> Transaction:
        """The one connection that writes, to a database that has its tables. Called by whoever has the line's lock."""
        tx = self._connect(opened)
        try:
            _patiently(lambda: tx.execute("PRAGMA journal_mode = WAL").fetchone(), self.busy_timeout)
            tx.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES[self.synchronous]}").fetchone()
            tx.execute("BEGIN IMMEDIATE")
            migrations.migrate(tx, self._stamp())
            tx.execute("COMMIT")
        except BaseException:
            opened.end(tx)
            raise
        opened.writer, opened.version = tx, _data_version(tx)
        return tx

    def _open_reader(self, opened: _Connections) -> Transaction:
        if opened.writer is None:
            with opened.line.kept_out():
                if opened.writer is None:
                    self._open_writer(opened)
                opened.tidy()
        return self._connect(opened)

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
                self._translate(error, False)
                raise
        return SchemaStatus(version, migrations.VERSION)

    def close(self) -> None:
        """Close all connections, moving the write-ahead log into the file. Using the object again opens new ones."""
        self._at_exit()
        self._forget()
        self._begin_anew()

    def _before_fork(self) -> None:
        """Close all connections: a child that has a copy of one believes that it holds that one's locks on the file."""
        opened = self._held = self._open
        opened.line.lock.acquire()
        opened.opening_lock.acquire()
        deadline = time.monotonic() + READERS_MAY_TAKE
        while len(opened.readers) + (opened.writer is not None) < len(opened.all) and time.monotonic() < deadline:
            time.sleep(0.001)
        if len(opened.readers) + (opened.writer is not None) == len(opened.all):
            opened.close_idle()

    def _after_fork(self, in_child: bool) -> None:
        super()._after_fork(in_child)
        if not in_child:
            self._held.opening_lock.release()
            self._held.line.leave()
            return
        self._at_exit.detach()
        _abandoned.append((self._open, [*self._open.all]))
        self._begin_anew()


def _data_version(tx: Transaction) -> int:
    """A number that changes when another connection has written to the file."""
    version: int = tx.execute("PRAGMA data_version").fetchone()[0]
    return version


class _Connection(sqlite3.Connection):
    """Is closed when it is dropped, as by a thread that is interrupted between taking it and giving it back."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # it may never have been opened
            self.close()


class _Connections:
    """The connections of one process: one that writes, and those that readers take from a list and put back."""

    def __init__(self) -> None:
        self.line = WriteLine()
        self.version = -1
        """What the connection that writes said of the file's other writers when it was asked last."""
        self.opening_lock = threading.Lock()
        self.writer: Transaction | None = None
        self.readers: list[Transaction] = []
        self.all: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self.closed = False
        """Whether connections are closed when they are given back."""

    def close(self) -> None:
        # At the end of the process a daemon thread may be stuck in a write; it must not keep the process from ending.
        if self.line.lock.acquire(timeout=WRITER_MAY_TAKE):
            try:
                self.closed = True
                self.close_idle()
            finally:
                self.line.leave()

    def close_idle(self) -> None:
        """Close the connections that nobody uses: SQLite crashes when one is closed that another thread reads with."""
        writer, self.writer = self.writer, None
        if writer is not None:
            self.end(writer)
        self.close_readers()

    def tidy(self) -> None:
        """Close what was opened since these connections were closed. Called by whoever has the line's lock."""
        if self.closed:
            self.close_idle()

    def end(self, tx: Transaction) -> None:
        """Close one connection."""
        self.all.discard(tx.connection)
        tx.connection.close()

    def close_readers(self) -> None:
        """Close those of readers that nobody uses."""
        with suppress(IndexError):  # each is taken out by one thread only
            while True:
                self.end(self.readers.pop())


def _roll_back(tx: Transaction | None) -> bool:
    """End the transaction, if one is open, and say whether one was: SQLite may have ended it by itself (a full disk)."""
    try:
        if tx is not None:
            tx.execute("ROLLBACK")
            return True
    except sqlite3.Error:
        pass
    return False


def _caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


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
