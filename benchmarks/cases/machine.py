"""The machine alone: what a step costs when nothing is stored, and branches with and without a database."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypedDict

from benchmarks.clock import Cost, cost, per_unit
from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.raw import Rows
from benchmarks.shapes import REPEATS, STEPS
from benchmarks.work import Count, abranch, abump, branch, bump, join, start
from graphflow import END, START, Graph, Send, StateGraph, append
from graphflow.db import SqliteDb


class Gathering(TypedDict):
    """The state of fan-outs."""

    results: Annotated[list[int], append]
    total: int


# --- graphs --------------------------------------------------------------------------------------------------------------


def loop_of(node: Callable[..., Any], db: Any = None, steps: int = STEPS) -> Graph:
    """One node that runs ``steps`` times."""
    builder = StateGraph(Count).add_node("node", node).add_edge(START, "node")
    builder.add_conditional_edges("node", lambda state: END if state["count"] >= steps else "node", ["node", END])
    return builder.compile(db=db)


def chain_of(node: Callable[..., Any], steps: int = STEPS) -> Graph:
    """``steps`` nodes in a row."""
    builder = StateGraph(Count)
    names = [f"node{number}" for number in range(steps)]
    for name in names:
        builder.add_node(name, node)
    for left, right in pairwise([START, *names, END]):
        builder.add_edge(left, right)
    return builder.compile()


def fan_of(node: Callable[..., Any], db: Any = None) -> Graph:
    """One node, STEPS branches with an input of their own, one node that sees what all of them gave."""
    builder = StateGraph(Gathering)
    builder.add_node("start", start)
    builder.add_node("work", node)
    builder.add_node("join", join)
    builder.add_edge(START, "start")
    builder.add_conditional_edges("start", lambda state: [Send("work", {"value": n}) for n in range(STEPS)], ["work"])
    builder.add_edge("work", "join")
    builder.add_edge("join", END)
    return builder.compile(db=db)


def counting(graph: Graph) -> Callable[[], None]:
    """One run of a loop or a chain."""

    def run() -> None:
        assert graph.invoke({"count": 0}, recursion_limit=STEPS + 10)["count"] == STEPS

    return run


def acounting(graph: Graph) -> Callable[[], None]:
    """The same for asyncio, its event loop included."""

    def run() -> None:
        assert asyncio.run(graph.ainvoke({"count": 0}, recursion_limit=STEPS + 10))["count"] == STEPS

    return run


def gathering(graph: Graph) -> Callable[[], None]:
    """One run of a fan-out."""

    def run() -> None:
        assert graph.invoke({"results": []})["total"] == STEPS

    return run


def agathering(graph: Graph) -> Callable[[], None]:
    """The same for asyncio, its event loop included."""

    def run() -> None:
        assert asyncio.run(graph.ainvoke({"results": []}))["total"] == STEPS

    return run


# --- limits --------------------------------------------------------------------------------------------------------------


def calls() -> None:
    """The steps, called in a loop that merges what they return."""
    state = {"count": 0}
    for node in [bump] * STEPS:
        state.update(node(state))
    assert state["count"] == STEPS


def awaits() -> None:
    """The same for asyncio."""

    async def drive() -> int:
        state = {"count": 0}
        for node in [abump] * STEPS:
            state.update(await node(state))
        return state["count"]

    assert asyncio.run(drive()) == STEPS


def branches() -> list[Any]:
    """The branches, called in a loop."""
    outputs = [branch({"value": number}) for number in range(STEPS)]
    assert len([result for output in outputs for result in output["results"]]) == STEPS
    return outputs


def abranches() -> list[Any]:
    """The branches, as tasks of an event loop."""

    async def drive() -> list[Any]:
        return await asyncio.gather(*(abranch({"value": number}) for number in range(STEPS)))

    outputs = asyncio.run(drive())
    assert len([result for output in outputs for result in output["results"]]) == STEPS
    return outputs


# --- parts ---------------------------------------------------------------------------------------------------------------


def loop(place: Place) -> Measured:
    """A loop, sync and async."""
    sync, calling, asynchronous, awaiting = per_unit(
        counting(loop_of(bump)), calls, acounting(loop_of(abump)), awaits, units=STEPS
    )
    return {"loop.sync": pair(sync, calling), "loop.async": pair(asynchronous, awaiting)}


def chain(place: Place) -> Measured:
    """A chain, sync and async, and how long it takes to compile."""
    sync, calling, asynchronous, awaiting = per_unit(
        counting(chain_of(bump)), calls, acounting(chain_of(abump)), awaits, units=STEPS
    )
    compiling = statistics.median(cost(lambda: chain_of(bump)).wall for _ in range(REPEATS)) * 1e3
    return {
        "chain.sync": pair(sync, calling),
        "chain.async": pair(asynchronous, awaiting),
        "chain.compile": Pair(compiling),
    }


def fan_out(place: Place) -> Measured:
    """A fan-out, sync and async."""
    sync, calling, asynchronous, awaiting = per_unit(
        gathering(fan_of(branch)), branches, agathering(fan_of(abranch)), abranches, units=STEPS
    )
    return {"fan_out.sync": pair(sync, calling), "fan_out.async": pair(asynchronous, awaiting)}


def stored_fan_out(place: Place) -> Measured:
    """A fan-out on SQLite. The limit inserts a row per branch and commits once."""
    db, rows = SqliteDb(database(place)), Rows(place.folder / "raw.db", 0)
    sync, calling, asynchronous, awaiting = per_unit(
        gathering(fan_of(branch, db)),
        lambda: rows.insert_together(branches()),
        agathering(fan_of(abranch, db)),
        lambda: rows.insert_together(abranches()),
        units=STEPS,
    )
    rows.close()
    db.close()
    return {"fan_out.sqlite": pair(sync, calling), "fan_out.sqlite_async": pair(asynchronous, awaiting)}


def database(place: Place) -> Path:
    """The file of our database in a part's folder."""
    return place.folder / "graphflow.db"


def pair(ours: Cost, limit: Cost) -> Pair:
    """The wall times."""
    return Pair(ours.wall, limit.wall)


CASE = Case(
    "machine",
    (
        Figure("loop.sync", "loop of 1,000 steps", "µs/step", at_most=8),
        Figure("loop.async", "loop of 1,000 steps, async", "µs/step", at_most=15),
        Figure("chain.sync", "chain of 1,000 nodes", "µs/step", at_most=8),
        Figure("chain.async", "chain of 1,000 nodes, async", "µs/step", at_most=15),
        Figure("chain.compile", "declaring and compiling that chain", "ms", at_most=25),
        Figure("fan_out.sync", "fan-out to 1,000 branches", "µs/branch", at_most=15),
        Figure("fan_out.async", "fan-out to 1,000 branches, async", "µs/branch", at_most=25),
        Figure("fan_out.sqlite", "fan-out to 1,000 branches, SqliteDb", "µs/branch", at_most=50),
        Figure("fan_out.sqlite_async", "fan-out to 1,000 branches, SqliteDb, async", "µs/branch", at_most=50),
    ),
    {"loop": loop, "chain": chain, "fan_out": fan_out, "stored_fan_out": stored_fan_out},
)
