"""The programs of ``workers``, each with a database and a journal of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.faults import workers

ROOT = Path(__file__).parents[2]


class Program:
    """One of the workers with its database and journal."""

    def __init__(self, name: str, folder: Path, place: str) -> None:
        self.name = name
        self.database = place
        self.journal = folder / "journal"

    def open(self, **options: Any) -> Any:
        """The database."""
        return workers.opened(self.database, **options)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, on a connection of its own; none when there is no database or no table yet."""
        if self.database.startswith("postgres"):
            url = self.database.replace("+psycopg", "", 1).replace("+", "%20")  # libpq takes a plus as it is
            with psycopg.connect(url) as connection:
                try:
                    return connection.execute(query).fetchall()
                except psycopg.errors.UndefinedTable:
                    return []
        if not Path(self.database).exists():
            return []
        with closing(sqlite3.connect(self.database)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []

    def start(self, kill: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Start the process; ``kill`` makes it kill itself."""
        command = [
            sys.executable,
            "-m",
            "tests.faults.workers",
            self.name,
            self.database,
            str(self.journal),
            *([kill] if kill else []),
        ]
        env = {**os.environ, **environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}"}
        return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE)

    def run(self, kill: str = "", **environment: str) -> int:
        """Run it to its end; its return code."""
        process = self.start(kill, **environment)
        _, errors = process.communicate(timeout=60)
        if process.returncode not in (0, -signal.SIGKILL):
            raise AssertionError(errors.decode())
        return process.returncode

    def lines(self) -> list[list[str]]:
        """The journal."""
        return [line.split() for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    def passed(self, point: str) -> int:
        """How often the process that came to the end had passed a point."""
        counts: dict[str, int] = json.loads(Path(f"{self.journal}.passed").read_text())
        return counts.get(point, 0)

    def stored_results(self) -> set[str]:
        """The ids of tasks whose results are in the database: acknowledged, though their superstep is not finished."""
        return {row[0] for row in self.ask("SELECT task_id FROM gf_tasks WHERE kind = 'result'")}

    def stored_seq(self) -> int:
        """The last checkpoint of the session, -1 when there is none."""
        [(seq,)] = self.ask("SELECT max(seq) FROM gf_checkpoints WHERE ns = ''")
        return -1 if seq is None else seq


class Programs:
    """Where programs come from."""

    def __init__(self, folder: Path, server: Any, stack: ExitStack) -> None:
        self._folder, self._server, self._stack = folder, server, stack
        self._numbers = count()
        self._lock = threading.Lock()
        self.at_once = server is not None
        """Whether a plain commit is one statement, so that few are more than one (PostgreSQL)."""

    def make(self, name: str) -> Program:
        with self._lock:
            folder = self._folder / str(next(self._numbers))
            folder.mkdir()
            place = str(folder / "s.db")
            if self._server is not None:
                place = self._server.url_within(self._stack.enter_context(self._server.schema()))
        return Program(name, folder, place)
