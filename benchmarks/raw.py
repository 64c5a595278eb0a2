"""The limits that are databases: sqlite3 from the standard library, doing only what has to be done."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

from benchmarks.conversation import SESSION
from benchmarks.shapes import CONTEXT


def connect(file: Path | str, synchronous: str = "full") -> sqlite3.Connection:
    """A connection set up as SqliteDb sets up its own."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


class Rows:
    """One row of ``size`` bytes per step, inserted and committed."""

    def __init__(self, file: Path | str, size: int, synchronous: str = "full") -> None:
        self._connection = connect(file, synchronous)
        self._connection.execute(
            "CREATE TABLE step (run INTEGER, seq INTEGER, body TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID"
        )
        self._body = "x" * size
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
    """The mean size of a checkpoint's row in a graphflow database: the lengths of what its columns hold."""
    with closing(sqlite3.connect(file)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(gf_checkpoints)")]
        size = " + ".join(f'coalesce(length(CAST("{column}" AS BLOB)), 0)' for column in columns)
        return round(connection.execute(f"SELECT avg({size}) FROM gf_checkpoints").fetchone()[0])
