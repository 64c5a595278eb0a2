"""langgraph's own shapes, in graphflow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, cycle, pairwise
from typing import Any

from benchmarks import shapes
from benchmarks.adapters.graphflow.stores import db_on
from benchmarks.store import Store
from benchmarks.work import Mode, wait
from graphflow import END, START, Agent, Graph, Send, StateGraph
from graphflow.messages import Message, ToolCall
from graphflow.models.base import AsyncModel, Reply, Request

Run = Callable[[], int]
_numbers = count()
UNLIMITED = 10**9


def runner(graph: Graph, input: Any, mode: Mode) -> Run:
    """Streams the graph to its end; with a database, a session of its own, stored at its end. How many parts came."""
    options: dict[str, Any] = {} if graph.db is None else {"durability": "exit"}

    async def collected(session: str | None) -> int:
        stream = graph.astream(input, session_id=session, recursion_limit=UNLIMITED, **options)
        return len([part async for part in stream])

    def run() -> int:
        session = None if graph.db is None else f"session-{next(_numbers)}"
        if mode == "async":
            return wait(collected(session))
        return len(list(graph.stream(input, session_id=session, recursion_limit=UNLIMITED, **options)))

    return run


def chain(size: int, mode: Mode, store: Store) -> Run:
    """``size`` nodes that do nothing."""
    builder = StateGraph(shapes.Nothing)
    names = [f"node{number}" for number in range(size)]
    for name in names:
        builder.add_node(name, shapes.anothing if mode == "async" else shapes.nothing)
    for left, right in pairwise([START, *names, END]):
        builder.add_edge(left, right)
    return runner(builder.compile(db=db_on(store)), {"messages": []}, mode)


def fan_out(size: int, mode: Mode, store: Store) -> Run:
    """``size`` subjects, each for a nested graph of three nodes."""
    inner = StateGraph(shapes.Verse)
    for name in ("edit", "generate", "polish"):
        inner.add_node(name, getattr(shapes, f"a{name}" if mode == "async" else name))
    inner.add_edge(START, "edit").add_edge("edit", "generate").add_edge("generate", "polish")
    inner.add_conditional_edges("polish", lambda state: END if shapes.is_polished(state) else "polish", ["polish", END])
    outer = StateGraph(shapes.Verses).add_node("verse", inner.compile()).add_edge("verse", END)
    outer.add_conditional_edges(
        START, lambda state: [Send("verse", {"subject": subject}) for subject in state["subjects"]], ["verse"]
    )
    return runner(outer.compile(db=db_on(store)), {"subjects": [shapes.SUBJECT] * size}, mode)


class Asking(AsyncModel):
    """Asks for the tool so many times, then answers; and again."""

    def __init__(self, times: int) -> None:
        self._steps = cycle([*[True] * times, False])

    def respond(self, request: Request) -> Reply:
        """The next of its replies."""
        if next(self._steps):
            return Reply(tool_calls=[ToolCall(shapes.call_id(), "search", {"query": shapes.QUERY})])
        return Reply(shapes.FINAL)


def react(size: int, mode: Mode, store: Store) -> Run:
    """An agent that calls its tool ``size`` times."""
    agent = Agent(Asking(size), tools=[shapes.search], db=db_on(store), tool_call_limit=size + 1)
    return runner(agent.graph, {"messages": [Message("user", "hi?")]}, mode)


def wide(size: str, mode: Mode, store: Store) -> Run:
    """The wide state; ``size`` is like "dataclass-25x300"."""
    form, _, amount = size.partition("-")
    enough = shapes.enough_of(amount)
    builder = StateGraph(shapes.FORMS[form]).add_edge(START, "one")
    for name in shapes.MOVES:
        builder.add_node(name, shapes.mover(name, enough, mode == "async"))
    for source, target in shapes.EDGES:
        builder.add_edge(source, target)
    builder.add_conditional_edges(
        "six", lambda state: END if len(shapes.value_of(state, "messages")) > enough else "one", ["one", END]
    )
    return runner(builder.compile(db=db_on(store)), shapes.wide_input(amount), mode)
