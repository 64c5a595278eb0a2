"""Cost as the work grows: each curve should be a straight line through the origin, or flatter.

A curve is a function that does the work at one size; the figure is the processor time of all threads of the process. The
slope is that of the line through the points in a diagram with two logarithmic axes: 0 is flat, 1 is linear.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Annotated, Any, TypedDict

from benchmarks.adapters.graphflow.chat import Chat
from benchmarks.adapters.graphflow.graphs import durable, fan_out
from benchmarks.adapters.graphflow.stores import db_on
from benchmarks.clock import per_unit
from benchmarks.conversation import Growth, answers, text
from benchmarks.figure import Place, Size
from benchmarks.gauge import Gauge
from benchmarks.work import Count, bump
from graphflow import END, START, Graph, StateGraph, append

LINEAR = 1.1
"""The steepest slope that still counts as linear: a fit through measured points is not exact."""
CHARACTERS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
BRANCHES = (10, 100, 1_000, 10_000)
BLOCK = 1_000
"""Characters of an item of a large state."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Work at several sizes. ``cost`` is measured in milliseconds, one size per process."""

    name: str
    title: str
    of: str
    """What is counted."""
    sizes: tuple[int, ...]
    cost: Callable[[int, Place], float]
    long_from: int = 10**12
    """Sizes from which on it takes minutes."""

    def chosen(self, size: Size) -> list[int]:
        """The sizes of a suite."""
        most = self.sizes[1] if size == "quick" else self.sizes[-1]
        return [one for one in self.sizes if one <= most and (size == "long" or one < self.long_from)]


def slope(points: Mapping[int, float]) -> float | None:
    """The exponent of the power law that fits the larger half of the points best; None for fewer than two."""
    larger = sorted(points.items())[-max(2, math.ceil(len(points) / 2) + 1) :]
    if len(larger) < 2:
        return None
    return statistics.linear_regression(*zip(*((math.log(size), math.log(value)) for size, value in larger), strict=True)).slope


def processor_ms(work: Callable[[], Any], times: int, gauge: Gauge) -> float:
    """The median of one call in quiet moments, after one that does not count."""
    return per_unit(work, 1, times, gauge).cpu / 1e3


# --- the curves --------------------------------------------------------------------------------------------------------------


def turn(turns: int, place: Place) -> float:
    """One more turn of a conversation that has so many."""
    return Growth(Chat(place.store("sqlite", "normal"), answers()), turns, place.gauge).up_to(turns).cpu


class Large(TypedDict):
    """A state with a long list."""

    items: Annotated[list[str], append]
    count: int


def large_graph(characters: int, place: Place) -> Graph:
    """Its node writes so many characters at once."""
    items = ["x" * BLOCK] * (characters // BLOCK)
    builder = StateGraph(Large).add_node("node", lambda state: {"items": items}).add_edge(START, "node")
    return builder.add_edge("node", END).compile(db=db_on(place.store("sqlite", "normal")))


def written_state(characters: int, place: Place) -> float:
    """A run whose node writes a state of so many characters."""
    graph = large_graph(characters, place)
    return processor_ms(lambda: graph.invoke({"count": 0}), 3, place.gauge)


def loaded_state(characters: int, place: Place) -> float:
    """Reading a state of so many characters."""
    graph = large_graph(characters, place)
    graph.invoke({"count": 0}, session_id="large")
    return processor_ms(lambda: graph.get_state("large"), 3, place.gauge)


def step_beside(characters: int, place: Place) -> float:
    """A thousand committed steps that leave a text of so many characters alone."""
    loop = durable(place.store("sqlite", "normal"), "sync", "x" * characters)
    return processor_ms(lambda: loop(1_000), 1, place.gauge)


def fan(branches: int, place: Place) -> float:
    """A run with so many branches."""
    return processor_ms(fan_out(place.store("none"), "sync", branches), 3, place.gauge)


def stored_fan(branches: int, place: Place) -> float:
    """A run with so many branches on SQLite."""
    return processor_ms(fan_out(place.store("sqlite", "normal"), "sync", branches), 3, place.gauge)


def list_sessions(rows: int, place: Place) -> float:
    """A page of twenty sessions, newest first, and one of a user's, of so many sessions in all."""
    store = place.store("sqlite", "normal", f"sessions_{rows}")
    db, done = db_on(store), place.shared / f"sessions_{rows}.done"
    if not done.exists():
        graph = StateGraph(Count).add_node("node", bump).add_edge(START, "node").add_edge("node", END).compile(db=db)
        for number in range(rows):
            graph.invoke({"count": 0}, session_id=f"session-{number}", user_id=f"user-{number % 10}")
        done.touch()

    def pages() -> None:
        assert len(db.get_sessions(limit=20)) == 20
        assert db.get_sessions(user_id="user-1", limit=20)

    return processor_ms(pages, 20, place.gauge)


def search_memories(memories: int, place: Place) -> float:
    """A search in so many memories of one user."""
    store = place.store("sqlite", "normal", f"memories_{memories}")
    db, done = db_on(store), place.shared / f"memories_{memories}.done"
    if not done.exists():
        for number in range(memories):
            db.add_user_memory("user", text(f"memory {number}", 100))
        done.touch()
    queries = cycle([text(f"memory {number}", 40) for number in range(20)])
    return processor_ms(lambda: db.search_user_memories("user", next(queries)), 20, place.gauge)


CURVES = {
    curve.name: curve
    for curve in (
        Curve("turns", "a turn of a conversation", "turns before it", (10, 100, 1_000, 10_000, 100_000), turn, 100_000),
        Curve("write", "a run that writes a state", "characters", CHARACTERS, written_state),
        Curve("load", "loading a state", "characters", CHARACTERS, loaded_state),
        Curve("beside", "1,000 steps beside a state", "characters", CHARACTERS, step_beside),
        Curve("fan-out", "a fan-out", "branches", BRANCHES, fan),
        Curve("stored-fan-out", "a fan-out on SQLite", "branches", BRANCHES, stored_fan),
        Curve("sessions", "two pages of get_sessions", "sessions", (100, 1_000, 10_000, 100_000), list_sessions, 100_000),
        Curve("memories", "a search", "memories of the user", (100, 1_000, 10_000, 100_000), search_memories, 100_000),
    )
}
"""By name."""


def named(names: Sequence[str]) -> list[Curve]:
    """The curves of these names; none named is all. Raises ValueError."""
    if unknown := set(names) - set(CURVES):
        raise ValueError(f"there is no curve {sorted(unknown)[0]!r}; the curves are {', '.join(CURVES)}")
    return [CURVES[name] for name in names or CURVES]
