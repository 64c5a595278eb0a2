"""Case F: a fresh process reads what the next turn of a long session needs, imports left out."""

from __future__ import annotations

import json
from functools import partial

from benchmarks.adapters import adapter, options
from benchmarks.amounts import COLD
from benchmarks.clock import cost
from benchmarks.conversation import SESSION, answers, questions
from benchmarks.figure import LIMIT, AtMost, Beside, Case, Figure, Measured, Part, Place
from benchmarks.process import json_of, medians
from benchmarks.store import Store
from benchmarks.weight import peak_mib


def measure(subject: str, part: Part, place: Place) -> Measured:
    """The session is written once per suite; then fresh processes read it, the first of them uncounted."""
    turns = part.options["turns"] // (10 if place.size == "quick" else 1)
    name = f"fresh_{subject}_{turns}".replace(" ", "_")
    store = place.store(part.options["store"], "normal", name)
    done = place.shared / f"{name}.{store.kind}"
    if not done.exists():
        write(subject, store, turns)
        done.touch()
    words = json.dumps([subject, store.kind, str(store.file or ""), store.url, turns])
    process = partial(json_of, ["-m", "benchmarks.first_read", words])
    process()
    return medians(place.gauge.take(process, COLD))


def write(subject: str, store: Store, turns: int) -> None:
    """A session of so many turns."""
    room = adapter(subject, "chat")
    talk = room.Chat(store, answers(), **getattr(room, "WRITING", {}), **options(subject))
    for question in questions(turns):
        talk.turn(question, SESSION)


def read(subject: str, store: Store, turns: int) -> Measured:
    """In this process: opening the store, reading what is needed, reading it again, reading all."""
    room, talks = adapter(subject, "chat"), []
    getattr(room, "load", lambda: None)()
    opened = cost(lambda: talks.append(room.Chat(store, answers(), **options(subject)))).scaled(1e3)
    [talk] = talks
    first, again, whole = (cost(work).scaled(1e3) for work in (talk.needed, talk.needed, talk.all))
    assert talk.all() == 2 * turns
    return {
        "open": opened.wall,
        "wall": first.wall,
        "cpu": first.cpu,
        "again": again.wall,
        "all": whole.wall,
        "mib": peak_mib(),
    }


def part(store: str, label: str, turns: int, peers: tuple[str, ...], goal: AtMost) -> Part:
    """A session of so many turns on a store."""
    figures = (
        Figure("wall", f"{label}, {turns:,} turns: what the next turn needs", "ms", goal),
        Figure("cpu", "… processor time", "ms"),
        Figure("again", "… once more", "ms"),
        Figure("open", "… opening the store before", "ms"),
        Figure("all", "… the whole conversation", "ms"),
        Figure("mib", "… peak of memory", "MiB"),
    )
    return Part(f"{store}-{turns}", figures, peers, options={"store": store, "turns": turns}, long=turns > 1_000)


ON_SQLITE = AtMost(1.0, Beside(LIMIT, 0.04))
ON_POSTGRES = AtMost(2.5, Beside(LIMIT, 1.1))
CASE = Case(
    "F",
    "fresh",
    "A fresh process opens a session",
    "the last 6 rows of a table",
    (
        part("sqlite", "SQLite", 1_000, ("langgraph", "langgraph delta", "agno", "openai-agents"), ON_SQLITE),
        part("postgres", "PostgreSQL", 1_000, ("langgraph", "langgraph delta", "agno"), ON_POSTGRES),
        part("sqlite", "SQLite", 100_000, (), ON_SQLITE),
        part("postgres", "PostgreSQL", 100_000, (), ON_POSTGRES),
    ),
    measure,
)
