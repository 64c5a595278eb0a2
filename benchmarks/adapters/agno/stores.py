"""agno's databases: those for asyncio where asyncio is measured."""

from __future__ import annotations

from typing import Any

from benchmarks.store import Store
from benchmarks.work import Mode

# Each is loaded by those who are measured on it, so that the others do not carry it.
# ruff: noqa: PLC0415


def db_on(store: Store, mode: Mode = "sync", pool: int = 1) -> Any:
    """The database of a store; None for none."""
    if store.kind == "memory":
        from agno.db.in_memory import InMemoryDb

        return InMemoryDb()
    if store.kind == "sqlite" and mode == "async":
        from agno.db.sqlite import AsyncSqliteDb

        return AsyncSqliteDb(db_file=str(store.file))
    if store.kind == "sqlite":
        from agno.db.sqlite import SqliteDb

        return SqliteDb(db_file=str(store.file))
    if store.kind == "postgres" and mode == "async":
        from agno.db.postgres import AsyncPostgresDb
        from sqlalchemy.ext.asyncio import create_async_engine

        return AsyncPostgresDb(db_engine=create_async_engine(store.url or "", pool_size=pool, max_overflow=0, pool_timeout=600))
    if store.kind == "postgres":
        from agno.db.postgres import PostgresDb

        return PostgresDb(db_url=store.url)
    return None
