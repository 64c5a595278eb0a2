"""What a process holds in memory that serves many open sessions, and whether it grows while it serves them."""

from __future__ import annotations

import gc

from benchmarks.adapters import adapter
from benchmarks.amounts import OPEN_SESSIONS
from benchmarks.conversation import answers, text
from benchmarks.figure import AtMost, Case, Figure, Measured, Part, Place
from benchmarks.weight import resident_mib


def measure(subject: str, part: Part, place: Place) -> Measured:
    """The sessions take turns; what the process holds after a tenth of them, and at the end."""
    sessions, turns = OPEN_SESSIONS[place.size]
    talk = adapter(subject, "chat").Chat(place.store(part.name, "normal"), answers())  # type: ignore[arg-type]
    question, early = text("question"), 0.0
    for turn in range(turns):
        for number in range(sessions):
            talk.turn(question, f"session-{number}")
        if turn == turns // 10:
            gc.collect()
            early = resident_mib()
    gc.collect()
    return {"mib": resident_mib(), "growth": resident_mib() / early}


def part(store: str, label: str, peers: tuple[str, ...]) -> Part:
    """A process on a store."""
    figures = (
        Figure("mib", f"{label}: memory in the end", "MiB", AtMost(150)),
        Figure("growth", "… in the end : after a tenth of the turns", "ratio", AtMost(1.05)),
    )
    return Part(store, figures, peers)


CASE = Case(
    "K",
    "memory",
    "A process that serves open sessions (1,000 of 20 turns; --long: of 1,000)",
    "a table of messages",
    (part("sqlite", "SQLite", ()), part("postgres", "PostgreSQL", ())),
    measure,
)
