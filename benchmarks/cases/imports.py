"""Case A: how long a fresh process takes before it can work, and the memory it holds then."""

from __future__ import annotations

from itertools import count

from benchmarks.adapters import adapter
from benchmarks.amounts import COLD
from benchmarks.figure import AtMost, Beside, Case, Figure, Measured, Part, Place
from benchmarks.process import cold, medians


def measure(subject: str, part: Part, place: Place) -> Measured:
    """The medians of fresh interpreters, after one that may have to write bytecode."""
    statements, numbers = adapter(subject).IMPORTS[part.name], count()

    def process() -> Measured:
        return cold(statements, str(place.folder / f"{next(numbers)}.db"))

    process()
    return medians(place.gauge.take(process, COLD))


def part(name: str, label: str, wall: AtMost, mib: float | None, peers: tuple[str, ...]) -> Part:
    """Time, and memory at its peak."""
    memory = None if mib is None else AtMost(mib)
    figures = Figure("wall", label, "ms", wall), Figure("cpu", "… processor time", "ms")
    return Part(name, (*figures, Figure("mib", "… peak of memory", "MiB", memory)), peers)


PEERS = ("langgraph", "agno", "openai-agents")
CASE = Case(
    "A",
    "imports",
    "A cold process",
    "a bare interpreter; pydantic; pydantic and two rows in a new file of sqlite3",
    (
        part("library", "import graphflow", AtMost(15), None, ("langgraph",)),
        part("agent", "from graphflow import Agent", AtMost(60, Beside("agno", 305)), 25, PEERS),
        part("session", "… and a first run stored on SQLite", AtMost(350, Beside("agno", 465)), 65, PEERS),
    ),
    measure,
)
