"""Case G: one node fans out to 1,000 branches that join again."""

from __future__ import annotations

from benchmarks.adapters import adapter
from benchmarks.amounts import STEPS, repeats
from benchmarks.clock import per_unit
from benchmarks.figure import AtMost, Beside, Case, Figure, Measured, Part, Place


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Microseconds per branch of whole runs."""
    kind, mode = part.name.split("-")
    run = adapter(subject, "graphs").fan_out(place.store(kind), mode, STEPS)  # type: ignore[arg-type]
    return per_unit(run, STEPS, repeats(place.size), place.gauge).figures()


def part(name: str, label: str, goal: AtMost | None, limit: bool = True) -> Part:
    """A fan-out on a store; its name says which, and how it is driven."""
    figures = Figure("wall", label, "µs/branch", goal), Figure("cpu", "… processor time", "µs/branch")
    return Part(name, figures, ("langgraph",), limit)


CASE = Case(
    "G",
    "fan_out",
    "A fan-out to 1,000 branches",
    "calling, or gathering, the same functions; on SQLite a row of each and one commit",
    (
        part("none-sync", "nothing stored", AtMost(5, Beside("langgraph", 216))),
        part("none-async", "nothing stored, async", AtMost(12, Beside("langgraph", 230))),
        part("memory-sync", "in memory", None, limit=False),
        part("memory-async", "in memory, async", None, limit=False),
        part("sqlite-sync", "SQLite", AtMost(25, Beside("langgraph", 648))),
        part("sqlite-async", "SQLite, async", None),
    ),
    measure,
)
