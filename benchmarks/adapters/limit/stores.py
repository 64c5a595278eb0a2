"""Connections as the limit has them: each statement a commit, unless a transaction is begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from benchmarks.store import Store

Execute = Callable[..., Any]


def execute_on(store: Store) -> tuple[Execute, str]:
    """What executes statements, the same ones prepared once; and what stands for a parameter in them."""
    if store.kind == "postgres":
        import psycopg  # noqa: PLC0415 - whoever measures on SQLite must not carry it

        cursor = psycopg.connect(store.conninfo, autocommit=True, prepare_threshold=0).cursor()
        return cursor.execute, "%s"
    connection = sqlite3.connect(store.file or ":memory:", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {store.synchronous}")
    return connection.cursor().execute, "?"


def create(execute: Execute, store: Store, table: str) -> None:
    """A table with a primary key that is all of its order."""
    execute(f"CREATE TABLE IF NOT EXISTS {table}" + ("" if store.kind == "postgres" else " WITHOUT ROWID"))
