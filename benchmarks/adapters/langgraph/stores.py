"""langgraph's checkpointers: those for asyncio where asyncio is measured."""

from __future__ import annotations

import sqlite3
from typing import Any

from benchmarks.store import Store
from benchmarks.work import Mode, wait

# Each checkpointer is loaded by those who are measured on it, so that the others do not carry it.
# ruff: noqa: PLC0415


def saver_on(store: Store, mode: Mode = "sync") -> Any:
    """A checkpointer with its tables; None for none."""
    if store.kind == "none":
        return None
    if store.kind == "memory":
        from langgraph.checkpoint.memory import InMemorySaver

        return InMemorySaver()
    if mode == "async":
        return wait(_asaver_on(store))
    if store.kind == "sqlite":
        from langgraph.checkpoint.sqlite import SqliteSaver

        saver: Any = SqliteSaver(sqlite3.connect(store.file or "", check_same_thread=False))
        saver.setup()
        saver.conn.execute(f"PRAGMA synchronous = {store.synchronous}")
        return saver
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import Connection
    from psycopg.rows import dict_row

    saver = PostgresSaver(Connection.connect(store.conninfo, autocommit=True, prepare_threshold=0, row_factory=dict_row))
    saver.setup()
    return saver


async def _asaver_on(store: Store) -> Any:
    if store.kind == "sqlite":
        import aiosqlite
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        saver: Any = AsyncSqliteSaver(await aiosqlite.connect(store.file or ""))
        await saver.setup()
        await saver.conn.execute(f"PRAGMA synchronous = {store.synchronous}")
        return saver
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg import AsyncConnection
    from psycopg.rows import dict_row

    options: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    saver = AsyncPostgresSaver(await AsyncConnection.connect(store.conninfo, **options))
    await saver.setup()
    return saver
