"""Case L: what a team and a workflow cost apart from the models, each run in a session of its own."""

from __future__ import annotations

from itertools import count

from benchmarks.adapters import adapter
from benchmarks.amounts import GROUP_RUNS, repeats
from benchmarks.clock import many, per_unit
from benchmarks.figure import Case, Figure, Measured, Part, Place
from benchmarks.work import QUESTION


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Microseconds per run."""
    group, kind = part.name.split("-")
    ask = getattr(adapter(subject, "groups"), group)(place.store(kind))
    numbers = count()
    once = many(lambda: ask(QUESTION, f"session-{next(numbers)}"), GROUP_RUNS)
    return per_unit(once, GROUP_RUNS, repeats(place.size), place.gauge).figures()


def part(name: str, label: str) -> Part:
    """Runs of a group on a store; its name says which."""
    return Part(name, (Figure("wall", label, "µs"), Figure("cpu", "… processor time", "µs")), ("agno",), limit=False)


CASE = Case(
    "L",
    "groups",
    "A team that asks two members, a workflow of five steps",
    "none",
    (
        part("team-none", "team, nothing stored"),
        part("team-sqlite", "team, SQLite"),
        part("workflow-none", "workflow, nothing stored"),
        part("workflow-sqlite", "workflow, SQLite"),
    ),
    measure,
)
