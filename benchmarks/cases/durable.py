"""Case D: a loop whose every step is committed before the next begins."""

from __future__ import annotations

from functools import partial

from benchmarks.adapters import adapter
from benchmarks.amounts import STEPS, repeats
from benchmarks.clock import cost, median
from benchmarks.figure import AtMost, Beside, Case, Figure, Goal, Limits, Measured, Part, Place

PAYLOAD = 2_000
SHORT = 300
"""Steps of a loop, with --quick, and of the peer that takes two milliseconds for each."""


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Loops, after a short one that sets things up and a whole one that tells bytes: of the store, and of PostgreSQL's log."""
    store = place.store(part.options["store"], part.options["synchronous"])
    run = adapter(subject, "graphs").durable(store, part.options["mode"], "x" * part.options["payload"])
    steps = SHORT if place.size == "quick" or subject == "dbos" else STEPS
    run(steps // 10)
    size, log = store.size(), store.log()
    run(steps)
    stored = {"bytes": (store.size() - size) / steps, "log": (store.log() - log) / steps}
    costs = place.gauge.take(partial(cost, partial(run, steps)), repeats(place.size))
    return median(costs).scaled(1e6 / steps).figures() | stored


def part(
    name: str,
    label: str,
    peers: tuple[str, ...],
    wall: Goal | None = None,
    cpu: Goal | None = None,
    synchronous: str = "full",
    payload: int = 0,
) -> Part:
    """A loop on a store; its name says which, and how it is driven."""
    store, _, mode = name.partition("-")
    figures = [Figure("wall", label, "µs/step", wall), Figure("cpu", "… processor time", "µs/step", cpu)]
    if store != "memory":
        figures.append(Figure("bytes", "… stored", "bytes/step"))
    if store == "postgres":
        figures.append(Figure("log", "… written to its log", "bytes/step"))
    options = {"store": store, "mode": mode.split("-")[0], "synchronous": synchronous, "payload": payload}
    return Part(name, tuple(figures), peers, store == "sqlite" or store == "postgres", options)


CASE = Case(
    "D",
    "durable",
    "A step, committed before the next begins",
    "a transaction per step that inserts one row, with the same driver and the same synchronous=, all else as SQLite has it",
    (
        part("sqlite-sync", "SQLite, synchronous=FULL", ("langgraph", "dbos"), cpu=Limits(1.4)),
        part("sqlite-sync-normal", "SQLite, synchronous=NORMAL", ("langgraph",), wall=Limits(2.2), synchronous="normal"),
        part("sqlite-async", "SQLite, async", ("langgraph",)),
        part("sqlite-sync-payload", "SQLite, beside 2,000 bytes of state", ("langgraph", "dbos"), payload=PAYLOAD),
        part("postgres-sync", "PostgreSQL", ("langgraph", "dbos"), wall=Limits(1.5), cpu=AtMost(150, Beside("langgraph", 705))),
        part("postgres-async", "PostgreSQL, async", ("langgraph",)),
        part("memory-sync", "in memory", ("langgraph",), wall=AtMost(60, Beside("langgraph", 426))),
        part("memory-async", "in memory, async", ("langgraph",)),
    ),
    measure,
)
