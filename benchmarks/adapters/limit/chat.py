"""A table of messages: a turn reads the last ones of its session, inserts two and commits."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from benchmarks.adapters.limit.stores import execute_on
from benchmarks.amounts import CONTEXT
from benchmarks.conversation import SESSION
from benchmarks.store import Store

TABLE = "message (session TEXT, seq INTEGER, role TEXT, content TEXT, PRIMARY KEY (session, seq))"
LAST = "SELECT seq, role, content FROM message WHERE session = {0} ORDER BY seq DESC LIMIT {0}"
COPY = "INSERT INTO message SELECT {0}, seq, role, content FROM message WHERE session = {0}"
INSERT = "INSERT INTO message VALUES ({0}, {0}, {0}, {0}), ({0}, {0}, {0}, {0})"


class Chat:
    """One connection."""

    def __init__(self, store: Store, answers: Iterator[str]) -> None:
        self._answers = answers
        self._execute, mark = execute_on(store)
        self._execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
        self._last, self._insert, self._copy = LAST.format(mark), INSERT.format(mark), COPY.format(mark)

    def turn(self, question: str, session: str = SESSION) -> None:
        """Read, insert, commit."""
        last = self._execute(self._last, (session, CONTEXT)).fetchall()
        self._execute(self._insert, rows(session, last[0][0] if last else 0, question, next(self._answers)))

    def copy(self, of: str, to: str) -> None:
        """The rows of a session once more, under another name."""
        self._execute(self._copy, (to, of))

    def needed(self) -> int:
        """The last messages."""
        return len(self._execute(self._last, (SESSION, CONTEXT)).fetchall())

    def all(self) -> int:
        """All of them."""
        return len(self._execute(self._last, (SESSION, 10**9)).fetchall())


def rows(session: str, seq: int, question: str, answer: str) -> tuple[Any, ...]:
    """The two rows of a turn."""
    return (session, seq + 1, "user", json.dumps(question), session, seq + 2, "assistant", json.dumps(answer))


async def service(store: Store, pool: int, answers: Iterator[str]) -> Callable[[str, str], Awaitable[None]]:
    """The same on a pool of psycopg's asyncio connections."""
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415 - see stores

    connections = AsyncConnectionPool(
        store.conninfo, min_size=pool, max_size=pool, kwargs={"autocommit": True, "prepare_threshold": 0}, open=False
    )
    await connections.open(wait=True)
    async with connections.connection() as connection:
        await connection.execute(f"CREATE TABLE {TABLE}".encode())
    last_ones, insert = LAST.format("%s").encode(), INSERT.format("%s").encode()

    async def turn(session: str, question: str) -> None:
        async with connections.connection() as connection:
            last = await (await connection.execute(last_ones, (session, CONTEXT))).fetchall()
        async with connections.connection() as connection:
            await connection.execute(insert, rows(session, last[0][0] if last else 0, question, next(answers)))

    return turn
