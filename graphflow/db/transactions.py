"""A transaction under way: the driver's cursor, and the SQL it understands; and whoever can have work done in one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

T = TypeVar("T")
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


class Transactional(ABC):
    """What has work done in transactions, again where a failure passes; its clock never stands still."""

    @abstractmethod
    def _read(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` reads, all of it as of one moment."""

    @abstractmethod
    def _read_alone(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` reads of what is never written again: no transaction has to keep two statements from disagreeing."""

    @abstractmethod
    def _write(self, work: Callable[[Transaction], T], in_doubt: Callable[[Transaction, T], T] | None = None) -> T:
        """Do ``work`` and commit it. It is done again when it is not known whether it was committed.

        Work that must not be done twice gives ``in_doubt``, which is done instead then, with what the work returned before.
        """

    @abstractmethod
    def _stamp(self) -> int:
        """The time in microseconds since 1970; later than every earlier stamp of this object."""
