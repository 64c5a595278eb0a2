"""A fresh process: its first turn on a session that has 10 turns already, and on one that has 10,000."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cases.chat import Limit, Ours, write
from benchmarks.clock import Cost, median
from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.process import json_of
from benchmarks.shapes import COLD, FRESH, lengths

TALKS: dict[str, type[Ours] | type[Limit]] = {"graphflow": Ours, "raw": Limit}


def prepared(place: Place, whose: str, turns: int) -> Path:
    """A file with such a session. It is written once per suite; each process measured adds a turn to it."""
    file = place.shared / f"fresh-{whose}-{turns}.db"
    if not file.exists():
        unfinished = place.folder / file.name
        write(TALKS[whose], unfinished, turns)
        unfinished.rename(file)
    return file


def first(place: Place) -> Measured:
    """Processes on short and long sessions take turns."""
    files = {(whose, turns): prepared(place, whose, turns) for turns in lengths(place.quick) for whose in TALKS}
    spent: dict[tuple[str, int], list[Cost]] = {key: [] for key in files}
    for _ in range(COLD + 1):
        for (whose, turns), file in files.items():
            spent[whose, turns].append(Cost(*json_of(["-m", "benchmarks.first_turn", whose, str(file)])))
    costs = {key: median(own[1:]) for key, own in spent.items()}
    measured: Measured = {}
    for turns in lengths(place.quick):
        ours, limit = costs["graphflow", turns], costs["raw", turns]
        measured[f"wall.{turns}"] = Pair(ours.wall, limit.wall)
        measured[f"cpu.{turns}"] = Pair(ours.cpu, limit.cpu)
    short, *_, long = lengths(place.quick)
    for clock in ("wall", "cpu"):
        grown = [getattr(costs[whose, long], clock) / getattr(costs[whose, short], clock) for whose in TALKS]
        measured[f"growth.{clock}"] = Pair(*grown)
    return measured


def figures() -> tuple[Figure, ...]:
    """Two for each length, and how they grow."""
    by_length = [
        figure
        for turns in FRESH
        for figure in (
            Figure(f"wall.{turns}", f"first turn, session of {turns:,} turns", "ms"),
            Figure(f"cpu.{turns}", "… processor time", "ms"),
        )
    ]
    return (
        *by_length,
        Figure("growth.wall", "longest session : 10 turns", "ratio", at_most=1.2),
        Figure("growth.cpu", "… processor time", "ratio", at_most=1.2),
    )


CASE = Case("fresh", figures(), {"first": first})
