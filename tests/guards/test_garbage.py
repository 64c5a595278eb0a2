"""What a run made is gone when it is over: reference counts free it, and the garbage collector has nothing to look for."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Agent, Graph, StateGraph, Team
from graphflow.messages import ToolCall
from graphflow.models.base import Model, Reply, Request
from tests.conftest import Way


class Counting(TypedDict, total=False):
    n: int


class Parrot(Model):
    """Calls its first tool, if it has any, before it answers."""

    def respond(self, request: Request) -> Reply:
        if request.tools and request.messages[-1].role == "user":
            return Reply(tool_calls=(ToolCall("1", request.tools[0].name, {"of": "x"}),))
        return Reply("an answer")


def look(of: str) -> str:
    """Look."""
    return of


def one_node(node: Any, db: Any = None) -> Graph:
    return StateGraph(Counting).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile(db=db)


def fan_out(db: Any) -> Graph:
    builder = StateGraph(Counting)
    for number in range(4):
        builder.add_node(f"n{number}", lambda state: None).add_edge(START, f"n{number}").add_edge(f"n{number}", END)
    return builder.compile(db=db)


def agent(way: Way, db: Any) -> Callable[[], Any]:
    made = Agent(Parrot(), tools=[look], db=db)
    return lambda: way.run(made, "q", session_id="s")


def stream(way: Way, db: Any) -> Callable[[], Any]:
    made = Agent(Parrot(), db=db)
    return lambda: way.events(made, "q", session_id="s")


def team(way: Way, db: Any) -> Callable[[], Any]:
    made = Team([Agent(Parrot(), name="ann")], model=Parrot(), mode="broadcast", db=db)
    return lambda: way.run(made, "q", session_id="s")


def nested(way: Way, db: Any) -> Callable[[], Any]:
    made = one_node(one_node(lambda state: {"n": 1}), db)
    return lambda: way.invoke(made, {"n": 0}, session_id="s")


def recorded_step(way: Way, db: Any) -> Callable[[], Any]:
    made = one_node(lambda state, ctx: {"n": ctx.step("one", int)}, db)
    return lambda: way.invoke(made, {"n": 0}, session_id="s")


def branches(way: Way, db: Any) -> Callable[[], Any]:
    made = fan_out(db)
    return lambda: way.invoke(made, {"n": 0}, session_id="s")


@contextmanager
def found() -> Iterator[list[Any]]:
    """What the garbage collector finds of what is made meanwhile."""
    garbage: list[Any] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield garbage
        gc.collect()
        garbage += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("work", [agent, stream, team, nested, recorded_step, branches])
def test_a_run_leaves_nothing_to_the_garbage_collector(
    work: Callable[[Way, Any], Callable[[], Any]], way: Way, db: Any
) -> None:
    once = work(way, db)
    for _ in range(3):  # what is made once stays
        once()
    with found() as garbage:
        once()
    assert Counter(type(made).__qualname__ for made in garbage if type(made).__module__.startswith("graphflow")) == {}
