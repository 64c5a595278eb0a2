"""A transaction under way: the driver's cursor, and the SQL it understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

Row = tuple[Any, ...]


class Transaction:
    """What the functions that read and write are given. ``execute(text, parameters)`` returns the cursor."""

    __slots__ = ("connection", "execute", "sql")

    def __init__(self, execute: Callable[..., Any], sql: Statements, connection: Any = None) -> None:
        self.execute = execute
        self.sql = sql
        self.connection = connection
        """What the cursor is of, for the database that closes it."""

    def one(self, statement: str, parameters: Mapping[str, Any]) -> Row | None:
        """The first row, or None."""
        row: Row | None = self.execute(statement, parameters).fetchone()
        return row

    def inserted(self, statement: str, values: Sequence[Any]) -> int | None:
        """The ordinal of the row that an insert made; None when there was one. SQLite tells it without a RETURNING."""
        made = self.execute(statement, values)
        if made.description is None:
            ordinal: int | None = made.lastrowid if made.rowcount else None
        else:
            (ordinal,) = made.fetchone() or (None,)
        return ordinal

    def all(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """All rows."""
        rows: list[Row] = self.execute(statement, parameters).fetchall()
        return rows
