"""Counts what does not vary from run to run or from machine to machine: statements, transactions, rows, calls of functions."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, replace
from types import FrameType
from typing import Any

from graphflow.db import PostgresDb, SqliteDb
from graphflow.db.tables import metadata

WRITING = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a piece of work took."""

    transactions: float = 0
    writing: float = 0
    """Those of them that changed anything."""
    statements: float = 0
    """Without those that begin and end transactions."""
    trips: float = 0
    """How often the server was asked, and waited for; 0 where there is none."""
    rows: float = 0
    """How many more there are in all tables."""
    bytes: float = 0
    """How many more they hold in their columns."""
    calls: float = 0
    """Functions called in this thread, those written in C among them."""

    def per_unit(self, less: Counts, units: int) -> Counts:
        """What each of so many more units took."""
        return Counts(*((mine - theirs) / units for mine, theirs in zip(astuple(self), astuple(less), strict=True)))


def counted(work: Callable[[], Any], db: Any = None) -> Counts:
    """What the work took, at the least of three times: other threads may have asked the database for something meanwhile.

    It is done three times before, so that all is opened and prepared, and once more to count calls.
    """
    for _ in range(3):
        work()
    took = zip(*(astuple(_asked(work, db)) for _ in range(3)), strict=True)
    return replace(Counts(*map(min, took)), calls=calls_of(work))


def _asked(work: Callable[[], Any], db: Any) -> Counts:
    """What it took of the database."""
    before = _held(db)
    with _listening(db) as done:
        work()
    rows, size = (after - before for after, before in zip(_held(db), before, strict=True))
    transactions = [verbs for verbs in done if verbs]
    writing = [verbs for verbs in transactions if any(verb in WRITING for verb in verbs)]
    trips = sum(len(verbs) for verbs in done) if isinstance(db, PostgresDb) else 0
    statements = sum(verb not in ("BEGIN", "COMMIT") for verbs in done for verb in verbs)
    return Counts(len(transactions), len(writing), statements, trips, rows, size)


def calls_of(work: Callable[[], Any]) -> int:
    """How many functions the work calls in this thread; not those that clear away what others have left behind."""
    number = 0
    gc.collect()
    gc.disable()

    def see(_: FrameType, event: str, __: Any) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return number


# --- listening to a database ---------------------------------------------------------------------------------------------

Verbs = list[list[str]]
"""Of the statements, transaction by transaction."""


@contextmanager
def _listening(db: Any) -> Iterator[Verbs]:
    """What is done is there when it is over."""
    done: Verbs = []
    if db is None:
        yield done
    elif isinstance(db, PostgresDb):
        with _tracing(db, done):
            yield done
    else:
        seen: list[str] = []
        connections = db._open.all if isinstance(db, SqliteDb) else [db._tx.connection]
        for connection in connections:
            connection.set_trace_callback(seen.append)
        yield done
        for connection in connections:
            connection.set_trace_callback(None)
        done += _split([_verb(text) for text in seen])


def _verb(text: str) -> str:
    """What a statement does: the first word, or what one of its parts writes."""
    first = text.split(None, 1)[0]
    return first if first != "WITH" else next((verb for verb in WRITING if f"({verb} " in text), "SELECT")


def _split(verbs: list[str]) -> Verbs:
    """Each transaction ends with COMMIT, or is a single statement that writes."""
    transactions: Verbs = [[]]
    for verb in verbs:
        transactions[-1].append(verb)
        if verb == "COMMIT" or (verb in WRITING and "BEGIN" not in transactions[-1]):
            transactions.append([])
    return transactions


@contextmanager
def _tracing(db: PostgresDb, done: Verbs) -> Iterator[None]:
    """libpq writes down what goes over the wire (https://www.postgresql.org/docs/current/libpq-control.html)."""
    assert db._pool is not None
    with ExitStack() as files:
        # A file for each: what is written is buffered, and parts of lines would come between others.
        traced = [(made, [], files.enter_context(tempfile.TemporaryFile())) for made in db._pool._all]
        for made, texts, file in traced:
            made._driver.pgconn.trace(file.fileno())
            files.enter_context(_noting(made.tx, texts))
        yield
        for made, texts, file in traced:
            made._driver.pgconn.untrace()
            file.seek(0)
            answers = _answers(file.read().decode().splitlines())
            # The server says of a statement that writes in parts of it only what it is as a whole.
            verbs = iter(_verb(text) for text in texts)
            done += [[next(verbs) for _ in transaction] for transaction in answers]


@contextmanager
def _noting(tx: Any, texts: list[str]) -> Iterator[None]:
    """Adds the texts that are executed."""
    execute = tx.execute

    def noting(text: str, *parameters: Any) -> Any:
        texts.append(text)
        return execute(text, *parameters)

    tx.execute = noting
    try:
        yield
    finally:
        tx.execute = execute


def _answers(lines: list[str]) -> Verbs:
    """The command tags by transaction: the server says when it is idle again."""
    transactions: Verbs = [[]]
    for line in lines:
        if "\tCommandComplete\t" in line:
            transactions[-1].append(line.rsplit('"', 2)[1].split()[0])
        elif "\tReadyForQuery\t" in line and line.endswith(" I"):
            transactions.append([])
    return transactions


# --- what a database holds -----------------------------------------------------------------------------------------------


def _held(db: Any) -> tuple[int, int]:
    """Rows in all tables, and bytes in their columns."""
    if db is None:
        return 0, 0
    return db._read(_weigh)  # type: ignore[no-any-return]


def _weigh(tx: Any) -> tuple[int, int]:
    rows = [row for table in metadata.tables for row in tx.execute(f"SELECT * FROM {table}").fetchall()]
    return len(rows), sum(len(value) if isinstance(value, bytes) else len(str(value)) for row in rows for value in row)
