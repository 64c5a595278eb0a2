"""The limits that are databases: sqlite3 from the standard library, doing only what has to be done."""

from __future__ import annotations

import json
import sqlite3
import statistics
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.conversation import SESSION
from benchmarks.shapes import CONTEXT


def connect(file: Path | str, synchronous: str = "full") -> sqlite3.Connection:
    """A connection set up as SqliteDb sets up its own."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


KEY = 3
"""Bytes of a row's key: a number of a run below 128, a number of a step below 32,768."""


class Rows:
    """One row of ``size`` bytes per step, its key included, inserted and committed."""

    def __init__(self, file: Path | str, size: int, synchronous: str = "full") -> None:
        self._connection = connect(file, synchronous)
        self._connection.execute(
            "CREATE TABLE step (run INTEGER, seq INTEGER, body TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID"
        )
        self._body = "x" * max(0, size - KEY)
        self._runs = count()

    def insert(self, steps: int) -> None:
        """One run of so many steps, a commit each."""
        run = next(self._runs)
        for seq in range(steps):
            self._connection.execute("INSERT INTO step VALUES (?, ?, ?)", (run, seq, self._body))
            self._connection.commit()

    def insert_together(self, bodies: list[object]) -> None:
        """One run whose rows are committed together."""
        run = next(self._runs)
        for seq, body in enumerate(bodies):
            self._connection.execute("INSERT INTO step VALUES (?, ?, ?)", (run, seq, json.dumps(body)))
        self._connection.commit()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Chat:
    """A table of messages: a turn reads the last ones of its session, inserts two and commits."""

    def __init__(self, file: Path) -> None:
        self._connection = connect(file)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS message "
            "(session TEXT, seq INTEGER, role TEXT, content TEXT, PRIMARY KEY (session, seq))"
        )

    def turn(self, question: str, answer: str, session: str = SESSION) -> None:
        """One question and its answer."""
        last = self._connection.execute(
            "SELECT seq, role, content FROM message WHERE session = ? ORDER BY seq DESC LIMIT ?", (session, CONTEXT)
        ).fetchall()
        seq = last[0][0] if last else 0
        self._connection.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?), (?, ?, ?, ?)",
            (session, seq + 1, "user", json.dumps(question), session, seq + 2, "assistant", json.dumps(answer)),
        )
        self._connection.commit()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def checkpoint_bytes(file: Path) -> int:
    """The mean size of a checkpoint in a graphflow database: what the columns of its row hold, as SQLite stores it."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT * FROM gf_checkpoints").fetchall()
    return round(statistics.mean(sum(map(_bytes, row)) for row in rows))


def _bytes(value: Any) -> int:
    """See "Serial Type Codes Of The Record Format" in https://sqlite.org/fileformat.html."""
    if value is None or value in (0, 1):
        return 0
    if isinstance(value, int):
        needed = value.bit_length() // 8 + 1
        return next(size for size in (1, 2, 3, 4, 6, 8) if size >= needed)
    return len(value.encode() if isinstance(value, str) else value)
