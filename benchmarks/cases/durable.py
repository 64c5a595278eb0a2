"""Durable steps: a loop of trivial steps, each committed before the next begins, beside one inserted row per step."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.cases.machine import loop_of
from benchmarks.clock import per_unit
from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.raw import Rows, checkpoint_bytes
from benchmarks.scratch import stored_bytes
from benchmarks.shapes import REPEATS, STEPS
from benchmarks.work import bump
from graphflow.db import InMemoryDb, SqliteDb


class Looping:
    """Runs of the loop on a database, each in a session of its own."""

    def __init__(self, db: Any) -> None:
        self._graph = loop_of(bump, db)
        self._numbers = count()

    def __call__(self) -> None:
        session = f"session-{next(self._numbers)}"
        result = self._graph.invoke({"count": 0}, session_id=session, recursion_limit=STEPS + 10)
        assert result["count"] == STEPS


def row_bytes(folder: Path) -> int:
    """What a checkpoint of this loop weighs, so that the limit writes rows of the same weight."""
    file = folder / "sample.db"
    db = SqliteDb(file, synchronous="normal")
    Looping(db)()
    db.close()
    return checkpoint_bytes(file)


def on_file(place: Place, synchronous: Any) -> Measured:
    """SqliteDb beside raw rows in another file, both with the same pragmas."""
    ours, raw = place.folder / "graphflow.db", place.folder / "raw.db"
    db, rows = SqliteDb(ours, synchronous=synchronous), Rows(raw, row_bytes(place.folder), synchronous)
    run = Looping(db)
    run()
    rows.insert(STEPS)
    before = stored_bytes(ours), stored_bytes(raw)
    spent, limit = per_unit(run, lambda: rows.insert(STEPS), units=STEPS)
    steps = (REPEATS + 1) * STEPS
    grown = (stored_bytes(ours) - before[0]) / steps, (stored_bytes(raw) - before[1]) / steps
    rows.close()
    db.close()
    return {
        f"{synchronous}.wall": Pair(spent.wall, limit.wall),
        f"{synchronous}.cpu": Pair(spent.cpu, limit.cpu),
        f"{synchronous}.bytes": Pair(*grown),
    }


def full(place: Place) -> Measured:
    """Every commit survives a power cut."""
    return on_file(place, "full")


def normal(place: Place) -> Measured:
    """Every commit survives a crash of the process."""
    return on_file(place, "normal")


def memory(place: Place) -> Measured:
    """InMemoryDb, beside raw rows in memory."""
    rows = Rows(":memory:", row_bytes(place.folder))
    spent, limit = per_unit(Looping(InMemoryDb()), lambda: rows.insert(STEPS), units=STEPS)
    return {"memory.wall": Pair(spent.wall, limit.wall), "memory.cpu": Pair(spent.cpu, limit.cpu)}


CASE = Case(
    "durable",
    (
        Figure("full.wall", "committed step, SqliteDb", "µs/step", times=2),
        Figure("full.cpu", "… processor time", "µs/step", times=2),
        Figure("full.bytes", "… stored", "bytes/step", times=2),
        Figure("normal.wall", 'committed step, SqliteDb(synchronous="normal")', "µs/step", times=2.2),
        Figure("normal.cpu", "… processor time", "µs/step", times=2),
        Figure("normal.bytes", "… stored", "bytes/step", times=2),
        Figure("memory.wall", "committed step, InMemoryDb", "µs/step", at_most=60),
        Figure("memory.cpu", "… processor time", "µs/step", at_most=60),
    ),
    {"full": full, "normal": normal, "memory": memory},
)
