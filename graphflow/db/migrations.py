"""Bringing a database to this library's schema: numbered steps forward, each with its version in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from graphflow.errors import SchemaTooNew

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def _create_all(tx: Transaction) -> None:
    for statement in tx.sql.create_all:
        tx.execute(statement)


MIGRATIONS: Final[dict[int, Callable[[Transaction], None]]] = {1: _create_all}
"""What leads from each version to the next. Version 1 makes the tables as ``tables.py`` has them now, so a later migration
has to check whether what it adds is there already."""
VERSION: Final = max(MIGRATIONS)


def current_version(tx: Transaction) -> int:
    """The version of a database that has the schema table. Raises SchemaTooNew when it is beyond this library."""
    row = tx.one(tx.sql.schema_version, {})
    version: int = 0 if row is None or row[0] is None else row[0]
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
