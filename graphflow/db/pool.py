"""Connections to PostgreSQL: opened when they are needed, kept for a while, dropped when they are lost. psycopg lives here."""

from __future__ import annotations

import os
import select
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper

from graphflow.db.atonce import Array
from graphflow.db.failures import PASSING_REFUSALS, PASSING_SQLSTATES
from graphflow.db.transactions import Transaction
from graphflow.errors import CorruptCheckpoint, DatabaseFailed

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

T = TypeVar("T")

DEFAULTS: Final = {
    "application_name": "graphflow",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds; keepalives are not sent while something waits to be acknowledged
}
"""What libpq is told unless the URL says otherwise: a machine that is gone is noticed within a minute."""

PREPARED_AFTER: Final = 2
"""How often a connection executes a statement before it has the server prepare it; short programs never do."""


@dataclass(frozen=True)
class Settings:
    """What a pool is made with."""

    arguments: dict[str, Any]
    """What libpq is given, the password among it: never shown."""
    where: str
    """The database, in errors."""
    size: int
    patience: float
    """Seconds to wait for a connection while others use all of them."""
    statement_timeout: float | None
    stalled_after: float
    """Seconds after which the server ends a transaction whose process does nothing."""

    def __repr__(self) -> str:
        return f"Settings({self.where!r})"

    def libpq(self) -> dict[str, Any]:
        """The arguments of a connection. The server takes the last of what it is told twice: the user's own options win."""
        limit = round((self.statement_timeout or 0) * 1000)
        options = f"-c statement_timeout={limit} -c idle_in_transaction_session_timeout={round(self.stalled_after * 1000)}"
        # What a statement of its own is done in, whatever the role or the database have for a default.
        options += " -c default_transaction_isolation=read\\ committed"
        # Compiling pays for long statements; there are none, but a planner that knows little may take one for that.
        options += " -c jit=off"
        own = self.arguments.get("options")
        return {**DEFAULTS, **self.arguments, "options": f"{options} {own}" if own else options, "client_encoding": "UTF8"}


class Pool:
    """At most ``size`` connections, each used by one thread at a time; the one that was used last is used next."""

    def __init__(self, settings: Settings, sql: Statements) -> None:
        self._settings = settings
        self._sql = sql
        self._closed = False
        self._connected = False
        """Whether a server was ever there."""
        self.migrated = False
        self._all: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._places: SimpleQueue[bool] = SimpleQueue()
        for _ in range(settings.size):
            self._places.put(True)
        self._idle: list[_Connection] = []

    def transact(self, begin: str | None, work: Callable[[Transaction], T], *, reads: bool = False) -> T:
        """Do ``work`` between ``begin`` and COMMIT, or roll back. Without ``begin``, each statement is a transaction, and a
        commit unless it ``reads``.

        Whoever wants to try again does it around this: when it raises, the transaction is over and the connection given back.
        """
        connection, has_place = None, False
        try:
            try:
                # Taken by an iterator that is unpacked: a signal's handler comes after calls, and not between these two.
                (has_place,) = map(self._places.get, (True,), (self._settings.patience,))
            except Empty:
                raise self._all_used() from None
            connection = self._sound() or self._connect()
            return self._transact(connection, begin, work, reads)
        finally:
            try:
                if connection is not None:
                    self._give_back(connection)
            finally:
                if has_place:
                    self._places.put(True)

    def _transact(self, connection: _Connection, begin: str | None, work: Callable[[Transaction], T], reads: bool) -> T:
        connection.at_work = True
        execute, committing = connection.tx.execute, begin is None and not reads
        try:
            if begin is not None:
                execute(begin)
            result = work(connection.tx)
            if begin is not None:
                committing = True
                # In a transaction that failed, PostgreSQL takes a COMMIT for a ROLLBACK, and does not call it an error.
                if execute("COMMIT").statusmessage != "COMMIT":
                    raise RuntimeError("the transaction had failed before it was committed; nothing of it was written")
        except BaseException as error:
            lost = connection.is_lost()
            _translate(error, self._settings.where, lost=lost, unknown=committing and lost)
            raise
        return result

    def _connect(self) -> _Connection:
        try:
            driver = psycopg.connect(**self._settings.libpq(), autocommit=True, prepare_threshold=PREPARED_AFTER)
        except psycopg.Error as error:
            raise self._refused(error) from error
        self._connected = True
        # One type for all integers: a statement is prepared once, and not for each size of its numbers.
        driver.adapters.register_dumper(int, Int8BinaryDumper)
        driver.adapters.register_dumper(Array, _ArrayDumper)
        made = _Connection(driver, self._sql)
        self._all.add(made)
        # Whoever is interrupted between taking a connection and giving it back may drop it.
        weakref.finalize(made, driver.close).atexit = False
        return made

    def _refused(self, error: psycopg.Error) -> DatabaseFailed:
        """The error for a connection that could not be had. One that never could is rather a mistake than a failure."""
        text = str(error).strip()
        passing = any(words in text for words in PASSING_REFUSALS) or (self._connected and "FATAL" not in text)
        return DatabaseFailed(f"no connection to {self._settings.where}: {text}", transient=passing)

    def _all_used(self) -> DatabaseFailed:
        """The error for a connection that nobody gave back in time."""
        used = f"all {self._settings.size} connections to {self._settings.where} were in use"
        return DatabaseFailed(f"{used} for {self._settings.patience:g} seconds; give a larger pool_size=", transient=True)

    def _sound(self) -> _Connection | None:
        """The connection that was used last, of those that the server has not hung up on."""
        while self._idle:
            with suppress(IndexError):  # another thread took it
                connection = self._idle.pop()
                if not connection.is_stale():
                    return connection
                connection.close()
        return None

    def _give_back(self, connection: _Connection) -> None:
        connection.at_work = False
        sound = False
        try:
            sound = connection.roll_back()
        finally:
            if sound:
                self._idle.append(connection)
            else:
                connection.close()
        if self._closed:
            self._close_idle()

    def close(self) -> None:
        """Close the connections that are not in use now, and the others when they are given back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread took it
                self._idle.pop().close()

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the connections without a word to the server, which knows them as the parent's."""
        for connection in list(self._all):
            connection.leave_to_parent()


class _ArrayDumper(Dumper):
    """Gives the server an array as it is written."""

    def dump(self, obj: Array) -> bytes:
        return obj.literal().encode()


class _Connection:
    """A connection with the one cursor that is used on it, again and again."""

    def __init__(self, driver: psycopg.Connection[Any], sql: Statements) -> None:
        self._driver = driver
        self._poll: Any = None
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(driver.fileno(), select.POLLIN)
        self.tx = Transaction(driver.cursor(binary=True).execute, sql)
        self.at_work = False

    def is_stale(self) -> bool:
        """Whether the server has hung up: nobody has asked it anything, and there is something to read."""
        if self._poll is None:
            return bool(select.select([self._driver.fileno()], [], [], 0)[0])
        return bool(self._poll.poll(0))

    def is_lost(self) -> bool:
        """Whether nothing can be known of what the server did last."""
        return self._driver.pgconn.transaction_status not in (
            TransactionStatus.IDLE,
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    def roll_back(self) -> bool:
        """End the transaction, if one is open; whether the connection is still good for another."""
        if self.is_lost():
            return False
        if self._driver.pgconn.transaction_status != TransactionStatus.IDLE:
            try:
                self.tx.execute("ROLLBACK")
            except psycopg.Error:
                return False
        return True

    def close(self) -> None:
        self._driver.close()

    def leave_to_parent(self) -> None:
        """Give up this process's copy of the socket, so that the server hears of it when the parent is killed."""
        if self._driver.closed:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._driver.fileno(), inheritable=False)
        os.close(nothing)
        if not self.at_work:  # else a thread was in the middle of it, of which this process has half a copy
            self._driver.close()


def _translate(error: BaseException, where: str, *, lost: bool, unknown: bool) -> None:
    """Raise damage that the driver finds as the error that says so; say of other errors what became of the transaction."""
    if isinstance(error, UnicodeDecodeError):
        raise CorruptCheckpoint(f"a stored text is damaged: {error}") from error
    if isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
        raise CorruptCheckpoint(f"the database is damaged: {error}; bring it back from a backup") from error
    if isinstance(error, psycopg.IntegrityError):
        raise CorruptCheckpoint(f"a row stands where none should be ({error}); check() tells more") from error
    if isinstance(error, psycopg.Error):
        outcome = "it was being committed, and may be written or not" if unknown else "nothing of it was written"
        passing = error.sqlstate in PASSING_SQLSTATES or (error.sqlstate is None and lost)
        if passing or isinstance(error, psycopg.OperationalError):
            written = None if unknown else False
            message = f"in a transaction on {where}: {str(error).strip()} ({outcome})"
            raise DatabaseFailed(message, transient=passing, written=written) from error
        error.add_note(f"in a transaction on {where}: {outcome}")
