"""Group commit on SQLite: steps per second of many threads, each with a session of its own, with and without shared commits.

    python -m benchmarks.group_commit [FOLDER]

``alone`` is the same database with each transaction committed by itself. The limit is one thread of sqlite3 that does nothing
but insert a row and commit, as often per second as the disk allows.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.adapters.graphflow.graphs import loop_of
from benchmarks.adapters.limit.graphs import durable
from benchmarks.store import Store
from graphflow.db import SqliteDb
from graphflow.db.transactions import Transaction

ROUNDS = 5
SECONDS = 1.5
STEPS = 20
"""Steps of a run; what is not a step (the input, the end) is not counted."""


class Alone(SqliteDb):
    """Commits each transaction by itself."""

    def _write_once(self, work: Callable[[Transaction], Any]) -> Any:
        opened = self._open
        with opened.line.kept_out():
            return self._alone(opened, work)


def steps_per_second(db: SqliteDb, threads: int, numbers: Any) -> float:
    """What so many threads do together."""
    graph = loop_of("sync", STEPS).compile(db=db)
    done = [0] * threads
    start = threading.Barrier(threads + 1)

    def work(own: int) -> None:
        start.wait()
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            graph.invoke({"count": 0}, session_id=f"s{next(numbers)}")
            done[own] += STEPS

    workers = [threading.Thread(target=work, args=(own,)) for own in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        dbs = {"alone": Alone(Path(folder, "alone.db")), "shared": SqliteDb(Path(folder, "shared.db"))}
        insert, numbers = durable(Store("sqlite", Path(folder, "raw.db")), "sync", "x" * 100), count()
        for threads in (1, 8, 50):
            found: dict[str, list[float]] = {name: [] for name in dbs}
            for _ in range(ROUNDS):
                for name, db in dbs.items():
                    found[name].append(steps_per_second(db, threads, numbers))
            alone, shared = (statistics.median(found[name]) for name in dbs)
            print(f"{threads:3} threads: alone {alone:7.0f} steps/s, shared {shared:7.0f} steps/s ({shared / alone:.2f} times)")
        begun = time.perf_counter()
        insert(2000)
        print(f"limit, one thread: {2000 / (time.perf_counter() - begun):.0f} rows/s")
        for db in dbs.values():
            db.close()


if __name__ == "__main__":
    main()
