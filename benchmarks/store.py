"""Stores: where work is kept, the same for all who are measured."""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

StoreKind = Literal["none", "memory", "sqlite", "postgres"]

numbers = itertools.count()
"""One for each store that a process makes."""


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of store with its file, or its URL (``postgresql+psycopg://…``)."""

    kind: StoreKind
    file: Path | None = None
    url: str | None = None
    synchronous: str = "full"

    @property
    def conninfo(self) -> str:
        """The URL as libpq reads it."""
        return (self.url or "").replace("+psycopg", "", 1)

    def size(self) -> int:
        """Bytes it takes: the file with its write-ahead log copied into it, or the tables with indexes and large values."""
        if self.kind == "sqlite" and self.file is not None:
            return stored_bytes(self.file)
        if self.kind == "postgres":
            tables = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
            tables += "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
            tables += "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
            return int(_ask(self.conninfo, tables))
        return 0

    def log(self) -> int:
        """Bytes ever written to PostgreSQL's write-ahead log; 0 elsewhere."""
        if self.kind != "postgres":
            return 0
        return int(_ask(self.conninfo, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def stored_bytes(file: Path) -> int:
    """The size of a SQLite database once all of its write-ahead log is copied into it.

    The log itself keeps its length: to write into one that has to grow costs more, and would make the next commits dear.
    """
    with closing(sqlite3.connect(file, timeout=30)) as connection:
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    return file.stat().st_size


def fresh_database(server: str, name: str | None = None) -> str:
    """The URL of an empty database on the server; one with a ``name`` is kept and found again."""
    import psycopg  # noqa: PLC0415 - whoever measures on SQLite must not carry it

    made = name or f"bench_{os.getpid()}_{next(numbers)}"
    with psycopg.connect(server.replace("+psycopg", "", 1), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (made,)).fetchone():
            connection.execute(f'CREATE DATABASE "{made}"'.encode())
            connection.execute("CHECKPOINT")  # so that it does not come while something is measured
    return urlsplit(server)._replace(path=f"/{made}").geturl()


def _ask(conninfo: str, query: str) -> Any:
    import psycopg  # noqa: PLC0415 - as above

    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]
