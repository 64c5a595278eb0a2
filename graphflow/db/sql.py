"""SqlDb: sessions in a SQL database, whatever its dialect. What differs between databases is how a transaction is had."""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from graphflow.core.effects import Commit, Load, LoadMany, ReadHistory, Stored
from graphflow.db import history, loading
from graphflow.db.commits import ReadyCommit
from graphflow.db.transactions import Transaction
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

T = TypeVar("T")

_databases: weakref.WeakSet[SqlDb] = weakref.WeakSet()


class SqlDb(ABC):
    """A store of sessions and what users call on it. Constructing connects to nothing; tables appear on first use.

    ``clock`` gives seconds since 1970. Stamps made from it increase strictly, so that what comes later sorts later.
    """

    blocking = True
    identity: str
    dialect: Literal["sqlite", "postgresql"]

    def __init__(self, *, lease_ttl: float, busy_timeout: float, clock: Callable[[], float]) -> None:
        for name, seconds in (("lease_ttl", lease_ttl), ("busy_timeout", busy_timeout)):
            if not seconds > 0:
                raise ValueError(f"{name}={seconds!r}: give a number of seconds above 0")
        self.lease_ttl = lease_ttl
        self.busy_timeout = busy_timeout
        self._clock = clock
        self._last_stamp = 0
        self._stamp_lock = threading.Lock()
        _databases.add(self)

    # --- transactions (what a dialect brings) ------------------------------------------------------------------------------

    @abstractmethod
    def _read(self, work: Callable[[Transaction], T]) -> T:
        """Do ``work`` in a transaction that sees one state of the database."""

    @abstractmethod
    def _write(self, work: Callable[[Transaction], T]) -> T:
        """Do ``work`` in a transaction that is committed when it returns and rolled back when it raises."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop connections and locks without touching them: they are the parent process's."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections. Using the object again opens new ones."""

    def _statements(self) -> Statements:
        return statements_for(self.dialect)

    def _stamp(self) -> int:
        """The time in microseconds since 1970; later than every earlier stamp of this object."""
        with self._stamp_lock:
            self._last_stamp = max(self._last_stamp + 1, int(self._clock() * 1_000_000))
            return self._last_stamp

    # --- what flows ask for (see core.effects) -------------------------------------------------------------------------------

    def load(self, effect: Load) -> Stored | None:
        """A session, or None when there is none."""
        return self._read(lambda tx: loading.load(tx, effect))

    def load_many(self, effect: LoadMany) -> list[Stored]:
        """A session at each of its checkpoints, newest first."""
        return self._read(partial(loading.load_many, effect=effect))

    def commit(self, effect: Commit) -> None:
        """Write everything the effect says, or nothing."""
        ready = ReadyCommit(effect, self._stamp())
        self._write(ready.write)
        ready.settle()

    def read_history(self, effect: ReadHistory) -> list[Message]:
        """Earlier messages of a session."""
        return self._read(partial(history.read_history, effect=effect))


_compiled: dict[str, Statements] = {}


def statements_for(dialect: str) -> Statements:
    """The statements of a dialect. SQLAlchemy is imported here, at first use, because that takes longer than all the rest."""
    if dialect not in _compiled:
        from graphflow.db.statements import Statements  # noqa: PLC0415

        _compiled[dialect] = Statements(dialect)
    return _compiled[dialect]


def _after_fork() -> None:
    for db in list(_databases):
        db._stamp_lock = threading.Lock()
        db._forget()


os.register_at_fork(after_in_child=_after_fork)

system_clock = time.time
