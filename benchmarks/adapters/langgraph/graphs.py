"""langgraph's loops, chains and fan-outs; on a checkpointer each superstep is durable before the next."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import count, pairwise
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.adapters.langgraph.stores import saver_on
from benchmarks.store import Store
from benchmarks.work import Count, Loaded, Mode, abranch, abump, branch, bump, join, start, wait

_numbers = count()


class Gathering(TypedDict):
    """The state of fan-outs."""

    results: Annotated[list[int], operator.add]
    total: int


def runner(app: Any, mode: Mode) -> Callable[..., Any]:
    """Runs the graph on an input, in a thread of its own."""
    options = {"durability": "sync"} if app.checkpointer is not None else {}

    def run(input: Any, recursion_limit: int = 1_000) -> Any:
        config = {"recursion_limit": recursion_limit, "configurable": {"thread_id": f"thread-{next(_numbers)}"}}
        return wait(app.ainvoke(input, config, **options)) if mode == "async" else app.invoke(input, config, **options)

    return run


def loop_of(mode: Mode, steps: int) -> Any:
    """One node that runs ``steps`` times."""
    graph = StateGraph(Count)
    graph.add_node("node", abump if mode == "async" else bump)
    graph.add_edge(START, "node")
    graph.add_conditional_edges("node", lambda state: END if state["count"] >= steps else "node", ["node", END])
    return graph


def chain_of(mode: Mode, steps: int) -> Any:
    """``steps`` nodes in a row."""
    graph = StateGraph(Count)
    names = [f"node{number}" for number in range(steps)]
    for name in names:
        graph.add_node(name, abump if mode == "async" else bump)
    for left, right in pairwise([START, *names, END]):
        graph.add_edge(left, right)
    return graph


def declared(shape: str, mode: Mode, steps: int) -> Any:
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
    graph = StateGraph(Loaded)
    graph.add_node("node", abump if mode == "async" else bump)
    graph.add_edge(START, "node")
    graph.add_conditional_edges("node", lambda state: END if state["count"] >= state["stop"] else "node", ["node", END])
    run = runner(graph.compile(checkpointer=saver_on(store, mode)), mode)

    def loop(steps: int) -> None:
        assert run({"count": 0, "stop": steps, "payload": payload}, recursion_limit=steps + 10)["count"] == steps

    return loop


def fan_out(store: Store, mode: Mode, branches: int) -> Callable[[], None]:
    """One node, branches with an input of their own, one node that sees what all of them gave."""
    graph = StateGraph(Gathering)
    for name, action in (("start", start), ("work", abranch if mode == "async" else branch), ("join", join)):
        graph.add_node(name, action)
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", lambda state: [Send("work", {"value": n}) for n in range(branches)], ["work"])
    graph.add_edge("work", "join")
    graph.add_edge("join", END)
    run = runner(graph.compile(checkpointer=saver_on(store, mode)), mode)

    def once() -> None:
        assert run({"results": []})["total"] == branches

    return once
