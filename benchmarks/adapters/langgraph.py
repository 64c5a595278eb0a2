"""langgraph, with its SQLite checkpointer."""

from __future__ import annotations

import asyncio
import operator
import sqlite3
import statistics
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count, pairwise, repeat
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent
from langgraph.types import Send

from benchmarks.clock import cost, per_unit, walls
from benchmarks.scratch import stored_bytes
from benchmarks.shapes import REPEATS, STEPS
from benchmarks.work import ANSWER, Count, abranch, abump, branch, bump, get_weather, join, start

IMPORTS = {"library": "import langgraph.graph", "agent": "from langgraph.prebuilt import create_react_agent"}
WRITING = {"durability": "exit"}
"""Options of a run that is only to leave a conversation behind: by default the whole state is written several times a turn."""

_numbers = count()
warnings.simplefilter("ignore")  # create_react_agent is about to move


class Gathering(TypedDict):
    """The state of fan-outs."""

    results: Annotated[list[int], operator.add]
    total: int


def saver_on(file: Path, synchronous: str = "full") -> SqliteSaver:
    """A checkpointer with its tables."""
    saver = SqliteSaver(sqlite3.connect(file, check_same_thread=False))
    saver.setup()
    saver.conn.execute(f"PRAGMA synchronous = {synchronous}")
    return saver


def loop_of(node: Callable[..., Any], saver: Any = None) -> Any:
    """One node that runs STEPS times."""
    graph = StateGraph(Count)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_conditional_edges("node", lambda state: END if state["count"] >= STEPS else "node", ["node", END])
    return graph.compile(checkpointer=saver)


def chain_of(node: Callable[..., Any]) -> Any:
    """STEPS nodes in a row."""
    graph = StateGraph(Count)
    names = [f"node{number}" for number in range(STEPS)]
    for name in names:
        graph.add_node(name, node)
    for left, right in pairwise([START, *names, END]):
        graph.add_edge(left, right)
    return graph.compile()


def fan_of(node: Callable[..., Any], saver: Any = None) -> Any:
    """One node, STEPS branches, one node."""
    graph = StateGraph(Gathering)
    for name, action in (("start", start), ("work", node), ("join", join)):
        graph.add_node(name, action)
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", lambda state: [Send("work", {"value": n}) for n in range(STEPS)], ["work"])
    graph.add_edge("work", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=saver)


def config() -> dict[str, Any]:
    """A thread of its own."""
    return {"recursion_limit": STEPS + 10, "configurable": {"thread_id": f"thread-{next(_numbers)}"}}


def invoke(app: Any, input: dict[str, Any], **options: Any) -> None:
    """One run."""
    app.invoke(input, config(), **options)


def ainvoke(app: Any, input: dict[str, Any], **options: Any) -> None:
    """One run on asyncio, its event loop included."""
    asyncio.run(app.ainvoke(input, config(), **options))


def loop(folder: Path, quick: bool) -> dict[str, float]:
    """A loop, sync and async."""
    works = partial(invoke, loop_of(bump), {"count": 0}), partial(ainvoke, loop_of(abump), {"count": 0})
    return walls(("loop.sync", "loop.async"), per_unit(*works, units=STEPS))


def chain(folder: Path, quick: bool) -> dict[str, float]:
    """A chain, sync and async, and how long it takes to compile."""
    works = partial(invoke, chain_of(bump), {"count": 0}), partial(ainvoke, chain_of(abump), {"count": 0})
    measured = walls(("chain.sync", "chain.async"), per_unit(*works, units=STEPS))
    return {**measured, "chain.compile": statistics.median(cost(lambda: chain_of(bump)).wall for _ in range(REPEATS)) * 1e3}


def fan_out(folder: Path, quick: bool) -> dict[str, float]:
    """A fan-out, sync and async."""
    works = partial(invoke, fan_of(branch), {"results": []}), partial(ainvoke, fan_of(abranch), {"results": []})
    return walls(("fan_out.sync", "fan_out.async"), per_unit(*works, units=STEPS))


def stored_fan_out(folder: Path, quick: bool) -> dict[str, float]:
    """A fan-out on SQLite, each superstep durable before the next."""
    app = fan_of(branch, saver_on(folder / "fan.db"))
    return walls(["fan_out.sqlite"], per_unit(partial(invoke, app, {"results": []}, durability="sync"), units=STEPS))


def durable(synchronous: str, folder: Path, quick: bool) -> dict[str, float]:
    """A loop on SQLite, each step durable before the next."""
    file = folder / "steps.db"
    run = partial(invoke, loop_of(bump, saver_on(file, synchronous)), {"count": 0}, durability="sync")
    run()
    before = stored_bytes(file)
    [spent] = per_unit(run, units=STEPS)
    grown = (stored_bytes(file) - before) / (REPEATS + 1) / STEPS
    return {f"{synchronous}.wall": spent.wall, f"{synchronous}.cpu": spent.cpu, f"{synchronous}.bytes": grown}


def memory(folder: Path, quick: bool) -> dict[str, float]:
    """A loop on the checkpointer in memory."""
    [spent] = per_unit(partial(invoke, loop_of(bump, InMemorySaver()), {"count": 0}, durability="sync"), units=STEPS)
    return {"memory.wall": spent.wall, "memory.cpu": spent.cpu}


def chat(file: Path, replies: Iterable[str], **options: Any) -> Callable[[str, str], Any]:
    """A conversation as the documentation writes one: ``add_messages`` and one node."""
    answers = iter(replies)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [AIMessage(next(answers))]})
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    app = graph.compile(checkpointer=saver_on(file))

    def ask(question: str, session: str) -> Any:
        return app.invoke({"messages": [HumanMessage(question)]}, {"configurable": {"thread_id": session}}, **options)

    return ask


class Model(GenericFakeChatModel):
    """Knows about tools, and never calls one."""

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        """The same."""
        return self


def agents(file: Path | None, tools: bool) -> Callable[[], Any]:
    """The prebuilt agent."""
    model = Model(messages=map(AIMessage, repeat(ANSWER)))
    given = [tool(get_weather)] if tools else []
    saver = None if file is None else saver_on(file)

    def make() -> Any:
        app = create_react_agent(model, given, checkpointer=saver)
        return app, lambda question, session: app.invoke(
            {"messages": [("user", question)]}, {"configurable": {"thread_id": session}}
        )

    return make


PARTS = {
    "machine.loop": loop,
    "machine.chain": chain,
    "machine.fan_out": fan_out,
    "machine.stored_fan_out": stored_fan_out,
    "durable.full": partial(durable, "full"),
    "durable.normal": partial(durable, "normal"),
    "durable.memory": memory,
}
