"""What a process holds in memory that serves many open sessions, and whether it grows while it serves them."""

from __future__ import annotations

import gc
import json

from benchmarks.adapters import adapter
from benchmarks.amounts import OPEN_SESSIONS, SERVED
from benchmarks.conversation import SESSION, answers, questions, text
from benchmarks.figure import AtMost, Case, Figure, Measured, Part, Place
from benchmarks.process import text_of
from benchmarks.store import Store
from benchmarks.weight import resident_mib


def measure(subject: str, part: Part, place: Place) -> Measured:
    """The sessions take turns; what the process holds after a tenth of them, and at the end."""
    sessions, turns = OPEN_SESSIONS[place.size]
    served = min(turns, SERVED)
    store = place.store(part.name, "normal")  # type: ignore[arg-type]
    if turns > served:
        words = [subject, store.kind, str(store.file or ""), store.url, sessions, turns - served]
        text_of(["-m", "benchmarks.open_sessions", json.dumps(words)])
    talk = adapter(subject, "chat").Chat(store, answers())
    question, early = text("question"), 0.0
    for turn in range(served):
        for number in range(sessions):
            talk.turn(question, name(number))
        if turn == served // 10:
            gc.collect()
            early = resident_mib()
    gc.collect()
    return {"mib": resident_mib(), "growth": resident_mib() / early}


def write(subject: str, store: Store, sessions: int, turns: int) -> None:
    """So many sessions of so many turns, copies of one."""
    talk = adapter(subject, "chat").Chat(store, answers())
    for question in questions(turns):
        talk.turn(question)
    for number in range(sessions):
        talk.copy(SESSION, name(number))


def name(number: int) -> str:
    """What a session is called."""
    return f"session-{number}"


def part(store: str, label: str, peers: tuple[str, ...]) -> Part:
    """A process on a store."""
    figures = (
        Figure("mib", f"{label}: memory in the end", "MiB", AtMost(150)),
        Figure("growth", "… in the end : after a tenth of the turns served", "ratio", AtMost(1.05)),
    )
    return Part(store, figures, peers, longer=True)


CASE = Case(
    "K",
    "memory",
    "A process that serves open sessions (1,000 of 20 turns; --long: of 1,000)",
    "a table of messages",
    (part("sqlite", "SQLite", ()), part("postgres", "PostgreSQL", ())),
    measure,
)
