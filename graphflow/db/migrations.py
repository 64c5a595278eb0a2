"""Bringing a database to this library's schema: numbered steps forward, each with its version in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from graphflow.db import memoryindex
from graphflow.errors import SchemaTooNew

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def _add_missing(tx: Transaction) -> None:
    """Make every table, column and index of ``tables.py`` that is not there; columns that come later take no value."""
    for create, empty, columns in tx.sql.create_tables:
        tx.execute(create)
        there = {column[0] for column in tx.execute(empty).description}
        for name, add in columns.items():
            if name not in there:
                tx.execute(add)
    for create in tx.sql.create_indexes:
        tx.execute(create)


def _index_memories(tx: Transaction) -> None:
    for statement in tx.sql.create_memory_index:
        tx.execute(statement)
    memoryindex.index_all(tx)


def _drop_lease_index(tx: Transaction) -> None:
    tx.execute(tx.sql.drop_lease_index)


def _leave(_: Transaction) -> None:
    """What is there means the same; a library that knows less would not understand what is to come."""


MIGRATIONS: Final[dict[int, Callable[[Transaction], None]]] = {
    1: _add_missing,
    2: _add_missing,
    3: _index_memories,
    4: _add_missing,
    5: _add_missing,
    6: _drop_lease_index,
    7: _leave,
}
"""What leads from each version to the next. Version 1 makes the tables as ``tables.py`` has them now, so a later migration
has to check whether what it adds is there already.

2: ``gf_graphs``, ``gf_pruned``, and the columns ``seal`` of sessions and runs. 3: the index of memories. 4: the column
``seal`` of memories. 5: the column ``time_seal`` of sessions.
6: the checksums of rows are shorter, and leases, which are found by their sessions, have no index. 7: on SQLite, the row of a
session that is running says where it was taken (``Compiled.head``)."""
VERSION: Final = max(MIGRATIONS)


def found_version(tx: Transaction) -> int:
    """The version of a database that has the schema table, whatever it is."""
    row = tx.one(tx.sql.schema_version, {})
    version: int = 0 if row is None or row[0] is None else row[0]
    return version


def current_version(tx: Transaction) -> int:
    """The version of a database that has the schema table. Raises SchemaTooNew when it is beyond this library."""
    version = found_version(tx)
    if version > VERSION:
        raise SchemaTooNew(
            f"the database has schema version {version}, this graphflow knows up to {VERSION}: install a newer graphflow"
        )
    return version


def migrate(tx: Transaction, now: int) -> None:
    """Apply what is missing, in a transaction that keeps other processes out: the second to come finds nothing to do."""
    tx.execute(tx.sql.create_schema_table)
    version = current_version(tx)
    for number in range(version + 1, VERSION + 1):
        MIGRATIONS[number](tx)
        tx.execute(tx.sql.insert_schema_version, {"version": number, "applied_at": now})
