"""Case B: what it costs to have an agent with one tool; then one that has answered once, so that it is all there."""

from __future__ import annotations

from itertools import count
from typing import Any

from benchmarks.adapters import adapter
from benchmarks.amounts import AGENTS, repeats
from benchmarks.clock import many, per_unit
from benchmarks.figure import AtMost, Beside, Case, Figure, Measured, Part, Place
from benchmarks.weight import kept_kib
from benchmarks.work import QUESTION


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Time per agent, and what each keeps in memory."""
    room = adapter(subject, "agents")
    make = room.agents(place.store("none"), "sync", tools=True)
    numbers = count()

    def used() -> Any:
        agent, ask = make()
        ask(QUESTION, f"session-{next(numbers)}")
        return agent

    work = room.made(tools=True) if part.name == "made" else used
    spent = per_unit(many(work, AGENTS), AGENTS, repeats(place.size), place.gauge)
    return {**spent.figures(), "kib": kept_kib(work)}


PEERS = ("langgraph", "agno", "openai-agents")
CASE = Case(
    "B",
    "construct",
    "An agent with one tool",
    "a dataclass with the same fields",
    (
        Part(
            "made",
            (
                Figure("wall", "making it", "µs", AtMost(3, Beside("agno", 9.4))),
                Figure("kib", "… memory it keeps", "KiB", AtMost(1.5)),
            ),
            PEERS,
        ),
        Part(
            "used",
            (Figure("wall", "making it, and its first run", "µs"), Figure("kib", "… memory it keeps", "KiB")),
            PEERS,
        ),
    ),
    measure,
)
