"""langgraph's own shapes, in langgraph, driven as its own benchmark drives them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import count, cycle, pairwise
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import create_react_agent
from langgraph.types import Send

from benchmarks import shapes
from benchmarks.adapters.langgraph.model import Scripted
from benchmarks.adapters.langgraph.stores import saver_on
from benchmarks.store import Store
from benchmarks.work import Mode, wait

Run = Callable[[], int]
_numbers = count()
UNLIMITED = 10**9
warnings.simplefilter("ignore")  # create_react_agent is about to move


def runner(app: Any, input: Any, mode: Mode) -> Run:
    """Streams the graph to its end, in a thread of its own, stored at its end; how many parts came."""
    options = {} if app.checkpointer is None else {"durability": "exit"}

    async def collected(config: Any) -> int:
        return len([part async for part in app.astream(input, config, **options)])

    def run() -> int:
        config = {"recursion_limit": UNLIMITED, "configurable": {"thread_id": f"thread-{next(_numbers)}"}}
        return wait(collected(config)) if mode == "async" else len(list(app.stream(input, config, **options)))

    return run


def chain(size: int, mode: Mode, store: Store) -> Run:
    """``size`` nodes that do nothing."""
    graph = StateGraph(shapes.Nothing)
    names = [f"node{number}" for number in range(size)]
    for name in names:
        graph.add_node(name, shapes.anothing if mode == "async" else shapes.nothing)
    for left, right in pairwise([START, *names, END]):
        graph.add_edge(left, right)
    return runner(graph.compile(checkpointer=saver_on(store)), {"messages": []}, mode)


def fan_out(size: int, mode: Mode, store: Store) -> Run:
    """``size`` subjects, each for a nested graph of three nodes."""
    inner = StateGraph(shapes.Verse)
    for name in ("edit", "generate", "polish"):
        inner.add_node(name, getattr(shapes, f"a{name}" if mode == "async" else name))
    for left, right in pairwise((START, "edit", "generate", "polish")):
        inner.add_edge(left, right)
    inner.add_conditional_edges("polish", lambda state: END if shapes.is_polished(state) else "polish", ["polish", END])
    outer = StateGraph(shapes.Verses)
    outer.add_node("verse", inner.compile())
    outer.add_conditional_edges(
        START, lambda state: [Send("verse", {"subject": subject}) for subject in state["subjects"]], ["verse"]
    )
    outer.add_edge("verse", END)
    return runner(outer.compile(checkpointer=saver_on(store)), {"subjects": [shapes.SUBJECT] * size}, mode)


def react(size: int, mode: Mode, store: Store) -> Run:
    """An agent that calls its tool ``size`` times."""
    steps = cycle([*[True] * size, False])

    def answer(messages: Any) -> AIMessage:
        if next(steps):
            call = {"id": shapes.call_id(), "name": "search", "args": {"query": shapes.QUERY}, "type": "tool_call"}
            return AIMessage("", tool_calls=[call])
        return AIMessage(shapes.FINAL)

    app = create_react_agent(Scripted(answer=answer), [tool(shapes.search)], checkpointer=saver_on(store))
    return runner(app, {"messages": [HumanMessage("hi?")]}, mode)


def wide(size: str, mode: Mode, store: Store) -> Run:
    """The wide state; ``size`` is like "dataclass-25x300"."""
    form, _, amount = size.partition("-")
    enough = shapes.enough_of(amount)
    graph = StateGraph(shapes.FORMS[form])
    graph.add_edge(START, "one")
    for name in shapes.MOVES:
        graph.add_node(name, shapes.mover(name, enough, mode == "async"))
    for source, target in shapes.EDGES:
        graph.add_edge(source if isinstance(source, str) else list(source), target)
    graph.add_conditional_edges(
        "six", lambda state: END if len(shapes.value_of(state, "messages")) > enough else "one", ["one", END]
    )
    return runner(graph.compile(checkpointer=saver_on(store)), shapes.wide_input(amount), mode)
