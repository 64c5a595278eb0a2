"""Case I: what a run of an agent costs apart from the model, each run in a session of its own."""

from __future__ import annotations

from itertools import count
from typing import Any, cast

from benchmarks.adapters import adapter
from benchmarks.amounts import RUNS, repeats
from benchmarks.clock import many, per_unit
from benchmarks.figure import AtMost, Beside, Case, Figure, Measured, Part, Place
from benchmarks.work import QUESTION


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Microseconds per run."""
    kind, mode = cast(Any, part.name.split("-"))
    _, ask = adapter(subject, "agents").agents(place.store(kind), mode, tools=False)()
    numbers = count()
    once = many(lambda: ask(QUESTION, f"session-{next(numbers)}"), RUNS)
    return per_unit(once, RUNS, repeats(place.size), place.gauge).figures()


def part(name: str, label: str, goal: AtMost | None, peers: tuple[str, ...] = (), limit: bool = True) -> Part:
    """Runs on a store; its name says which, and how they are driven."""
    figures = Figure("wall", label, "µs", goal), Figure("cpu", "… processor time", "µs")
    return Part(name, figures, ("langgraph", "agno", *peers), limit)


CASE = Case(
    "I",
    "run",
    "A run of an agent, in a new session",
    "calling the model's function; on SQLite, reading 6 messages, inserting 2 and committing",
    (
        part("none-sync", "nothing stored", AtMost(40, Beside("agno", 117))),
        part("none-async", "nothing stored, async", None, ("openai-agents",)),
        part("memory-sync", "in memory", None, limit=False),
        part("memory-async", "in memory, async", None, limit=False),
        part("sqlite-sync", "SQLite", AtMost(900, Beside("agno", 2_803))),
        part("sqlite-async", "SQLite, async", None, ("openai-agents",)),
    ),
    measure,
)
