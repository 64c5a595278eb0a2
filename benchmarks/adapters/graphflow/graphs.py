"""graphflow's loops, chains and fan-outs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise
from typing import Annotated, Any, TypedDict

from benchmarks.adapters.graphflow.stores import db_on
from benchmarks.store import Store
from benchmarks.work import Count, Loaded, Mode, abranch, abump, branch, bump, join, start, wait
from graphflow import END, START, Graph, Send, StateGraph, append

_numbers = count()


class Gathering(TypedDict):
    """The state of fan-outs."""

    results: Annotated[list[int], append]
    total: int


def runner(graph: Graph, mode: Mode) -> Callable[..., Any]:
    """Runs the graph on an input, in a session of its own where there is a database."""

    def run(input: Any, recursion_limit: int = 1_000) -> Any:
        session = None if graph.db is None else f"session-{next(_numbers)}"
        if mode == "async":
            return wait(graph.ainvoke(input, session_id=session, recursion_limit=recursion_limit))
        return graph.invoke(input, session_id=session, recursion_limit=recursion_limit)

    return run


def loop_of(mode: Mode, steps: int) -> StateGraph:
    """One node that runs ``steps`` times."""
    builder = StateGraph(Count).add_node("node", abump if mode == "async" else bump).add_edge(START, "node")
    return builder.add_conditional_edges("node", lambda state: END if state["count"] >= steps else "node", ["node", END])


def chain_of(mode: Mode, steps: int) -> StateGraph:
    """``steps`` nodes in a row."""
    builder = StateGraph(Count)
    names = [f"node{number}" for number in range(steps)]
    for name in names:
        builder.add_node(name, abump if mode == "async" else bump)
    for left, right in pairwise([START, *names, END]):
        builder.add_edge(left, right)
    return builder


def declared(shape: str, mode: Mode, steps: int) -> Graph:
    """A loop or a chain, compiled."""
    return {"loop": loop_of, "chain": chain_of}[shape](mode, steps).compile()


def counting(shape: str, mode: Mode, steps: int) -> Callable[[], None]:
    """A run of a loop or a chain."""
    run = runner(declared(shape, mode, steps), mode)

    def once() -> None:
        assert run({"count": 0}, recursion_limit=steps + 10)["count"] == steps

    return once


def durable(store: Store, mode: Mode, payload: str) -> Callable[[int], None]:
    """Runs of a loop, each step committed before the next."""
    builder = StateGraph(Loaded).add_node("node", abump if mode == "async" else bump).add_edge(START, "node")
    builder.add_conditional_edges("node", lambda state: END if state["count"] >= state["stop"] else "node", ["node", END])
    run = runner(builder.compile(db=db_on(store)), mode)

    def loop(steps: int) -> None:
        result = run({"count": 0, "stop": steps, "payload": payload}, recursion_limit=steps + 10)
        assert result["count"] == steps

    return loop


def fan_out(store: Store, mode: Mode, branches: int) -> Callable[[], None]:
    """One node, branches with an input of their own, one node that sees what all of them gave."""
    builder = StateGraph(Gathering)
    builder.add_node("start", start).add_node("work", abranch if mode == "async" else branch).add_node("join", join)
    builder.add_edge(START, "start").add_edge("work", "join").add_edge("join", END)
    builder.add_conditional_edges("start", lambda state: [Send("work", {"value": n}) for n in range(branches)], ["work"])
    run = runner(builder.compile(db=db_on(store)), mode)

    def once() -> None:
        assert run({"results": []})["total"] == branches

    return once
