"""What graphflow's own statements take by themselves: ``python -m benchmarks.statements [--quick]``.

A durable step is one statement on SQLite, and a fresh process asks PostgreSQL three before its next turn. Here they are
executed by hand, with the driver and nothing else: a library that stores the same cannot take less. Of the first answers on a
PostgreSQL connection most is what its new server process has to learn; how much, a select by primary key from each of the
tables tells.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

from benchmarks.adapters.graphflow.chat import USER
from benchmarks.adapters.graphflow.graphs import durable
from benchmarks.amounts import REPEATS, STEPS
from benchmarks.cases.durable import SHORT
from benchmarks.cases.fresh import write
from benchmarks.clock import Cost, cost, median
from benchmarks.conversation import SESSION
from benchmarks.gauge import Gauge
from benchmarks.scratch import scratch
from benchmarks.server import server
from benchmarks.store import Store, fresh_database
from graphflow.db.sqlite import WAL_PAGES
from graphflow.db.sqltext import statements_for

CONNECTIONS = 8
"""Fresh ones, after a first one that is not counted."""
BY_KEY = (
    "SELECT * FROM gf_sessions WHERE session_id = 'none'",
    "SELECT * FROM gf_checkpoints WHERE session = 0 AND ns = '' AND seq = 0",
    "SELECT * FROM gf_runs WHERE ordinal = 0",
    "SELECT * FROM gf_messages WHERE session = 0 AND ns = '' AND seq = 0",
)
"""The least that can be asked of the tables that a turn begins with."""


def step(file: Path, synchronous: Literal["full", "normal"], times: int = STEPS) -> Cost:
    """Microseconds of a step's statement, on a new file that some steps were written to before, as in case D."""
    loop = durable(Store("sqlite", file, None, synchronous), "sync", "")  # as long as it is there, the file stays open
    loop(times // 10)
    sql = statements_for("sqlite")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        execute = connection.cursor().execute
        execute(f"PRAGMA synchronous = {synchronous}")
        execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES[synchronous]}")
        session, head, epoch = execute("SELECT ordinal, head, epoch FROM gf_sessions").fetchone()
        _, ns, _, *row = execute("SELECT * FROM gf_checkpoints WHERE seq = ?", (head - 1,)).fetchone()

        def steps() -> None:
            for stands in range(head, head + times):
                assert execute(sql.step, (ns, *row, stands, session, epoch)).rowcount == 1

        return cost(steps).scaled(1e6 / times)


def asked(url: str, questions: Sequence[tuple[str, dict[str, Any]]], gauge: Gauge) -> tuple[float, float]:
    """Milliseconds of the questions on a fresh connection, and when they are asked there once more."""
    import psycopg  # noqa: PLC0415 - not every machine has libpq

    def twice() -> list[float]:
        with psycopg.connect(url, autocommit=True, options="-c jit=off") as connection:
            ask = partial(_ask, connection, questions)
            connection.execute("SELECT count(*) FROM gf_sessions").fetchall()  # as case F does to open it
            return [cost(ask).wall * 1e3 for _ in range(2)]

    twice()
    first, again = (statistics.median(times) for times in zip(*gauge.take(twice, CONNECTIONS), strict=True))
    return first, again


def _ask(connection: Any, questions: Sequence[tuple[str, dict[str, Any]]]) -> None:
    for question, params in questions:
        connection.execute(question, params).fetchall()


def first_reads(url: str, turns: int, gauge: Gauge) -> list[tuple[str, str, str]]:
    """Lines of the table: what is asked, the first time and once more."""
    store = Store("postgres", None, fresh_database(url))
    write("graphflow", store, turns)
    sql = statements_for("postgresql")
    last = 2 * turns  # there is one session, whose number is 1
    needed: list[tuple[str, dict[str, Any]]] = [
        (sql.load_finished, {"session_id": SESSION, "user_id": USER}),
        (sql.last_runs, {"session_id": SESSION, "before": last + 1, "count": 3}),
        (sql.log_range, {"session": 1, "ns": "", "low": last - 5, "high": last}),
    ]
    what = {
        "PostgreSQL: `SELECT 1`": [("SELECT 1", {})],
        "a select by primary key from each of the four tables": [(one, {}) for one in BY_KEY],
        "the three statements that a turn begins with": needed,
    }
    return [(label, *(f"{ms:.2f} ms" for ms in asked(store.conninfo, questions, gauge))) for label, questions in what.items()]


def steps_by_hand(folder: Path, gauge: Gauge, *, quick: bool) -> list[tuple[str, str, str]]:
    """Lines of the table: medians over some new files."""
    lines = []
    steps, repeats = (SHORT, 1) if quick else (STEPS, REPEATS)
    settings: tuple[Literal["normal", "full"], ...] = ("normal", "full")
    for synchronous in settings:
        files = (folder / f"{synchronous}{number}.db" for number in count())
        taken = median(gauge.take(partial(_next_step, files, synchronous, steps), repeats))
        label = f"SQLite, synchronous={synchronous.upper()}: the statement of a durable step"
        lines.append((label, f"{taken.wall:.1f} µs", f"{taken.cpu:.1f} µs"))
    return lines


def _next_step(files: Iterator[Path], synchronous: Literal["normal", "full"], times: int) -> Cost:
    return step(next(files), synchronous, times)


def table(head: tuple[str, str, str], lines: Sequence[tuple[str, str, str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---", "---:", "---:"), *lines))


def main() -> int:
    """Print the tables; without a PostgreSQL, the first."""
    parser = argparse.ArgumentParser(description="What graphflow's own statements take, executed by hand.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where databases go, on a real disk (beside .venv)")
    told = parser.parse_args()
    quick = told.quick
    gauge = Gauge.of_machine(quick=quick)
    with scratch(told.scratch) as folder:
        print(table(("by hand", "wall", "processor"), steps_by_hand(folder, gauge, quick=quick)))
        with server(folder) as url:
            if url is not None:
                read = first_reads(url, SHORT if quick else STEPS, gauge)
                print("", table(("by hand, on a fresh connection", "the first time", "once more"), read), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
