"""graphflow's databases."""

from __future__ import annotations

from typing import Any

from benchmarks.amounts import POOL
from benchmarks.store import Store
from graphflow.db import InMemoryDb, PostgresDb, SqliteDb


def db_on(store: Store, pool: int = POOL) -> Any:
    """The database of a store; None for none."""
    if store.kind == "sqlite":
        assert store.file is not None
        return SqliteDb(store.file, synchronous="normal" if store.synchronous == "normal" else "full")
    if store.kind == "postgres":
        assert store.url is not None
        return PostgresDb(store.url, pool_size=pool)
    return InMemoryDb() if store.kind == "memory" else None
