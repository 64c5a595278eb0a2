"""A call that would wait for itself is refused at once, where others wait their turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Agent, Context, Reply, StateGraph, ToolCall
from graphflow.db import SqliteDb
from graphflow.errors import SessionBusy
from graphflow.testing import ScriptedModel
from tests.conftest import Way


class State(TypedDict, total=False):
    n: int


@pytest.fixture(autouse=True)
def _in_time() -> Any:
    """A call that is not refused waits for a minute."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30


def graph_of(db: Any, *nodes: Callable[..., Any]) -> Any:
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node).add_edge(START, node.__name__).add_edge(node.__name__, END)
    return builder.compile(db=db)


def idle(state: Any) -> Any:
    return None


@pytest.mark.parametrize("beside", [(), (idle,)], ids=["alone", "beside others"])
def test_a_node_that_runs_or_edits_its_own_session(way: Way, db: Any, beside: tuple[Any, ...]) -> None:
    def again(state: Any) -> Any:
        with pytest.raises(SessionBusy, match="'s' is held by the run that makes this call"):
            graph.invoke({}, session_id="s")
        with pytest.raises(SessionBusy, match="that run cannot end before the call does"):
            graph.update_state("s", {"n": 7})
        return {"n": 1}

    graph = graph_of(db, again, *beside)
    assert way.invoke(graph, {}, session_id="s")["n"] == 1
    assert graph.get_state("s").values["n"] == 1


@pytest.mark.parametrize("beside", [(), (idle,)], ids=["alone", "beside others"])
def test_an_async_node_that_awaits_its_own_session(way: Way, db: Any, beside: tuple[Any, ...]) -> None:
    async def again(state: Any) -> Any:
        with pytest.raises(SessionBusy, match="the run that makes this call"):
            await graph.ainvoke({}, session_id="s")
        with pytest.raises(SessionBusy):
            graph.invoke({}, session_id="s")
        return {"n": 1}

    graph = graph_of(db, again, *beside)
    assert way.invoke(graph, {}, session_id="s")["n"] == 1


def test_a_tool_that_asks_its_own_agent(way: Way, db: Any) -> None:
    def think(ctx: Context) -> str:
        return str(agent.run("again", session_id=ctx.session_id).content)

    model = ScriptedModel([Reply("", [ToolCall("1", "think", {})]), "never mind"])
    agent = Agent(model, tools=[think], db=db)
    output = way.run(agent, "q", session_id="s")
    assert output.content == "never mind"
    assert "SessionBusy: session 's' is held by the run that makes this call" in (output.tools[0].result or "")


def test_a_plain_call_in_the_loop_that_the_run_goes_on_in(tmp_path: Path) -> None:
    async def main() -> Any:
        asked, answered = asyncio.Event(), asyncio.Event()

        async def slow(state: Any) -> Any:
            asked.set()
            await answered.wait()
            return {"n": 1}

        graph = graph_of(SqliteDb(tmp_path / "s.db"), slow)
        run = asyncio.create_task(graph.ainvoke({}, session_id="s"))
        await asked.wait()
        with pytest.raises(SessionBusy, match="in the event loop of this thread, which a plain call holds up"):
            graph.invoke({}, session_id="s")
        answered.set()
        return (await run)["n"]

    assert asyncio.run(main()) == 1


def test_a_listener_that_runs_the_session_of_which_it_is_told(way: Way, db: Any) -> None:
    refused: list[BaseException] = []

    def listen(event: Any) -> None:
        if event.type == "run_completed":
            try:
                agent.run("again", session_id="s")
            except SessionBusy as error:
                refused.append(error)

    agent = Agent(ScriptedModel(["one", "two"]), db=db, on_event=listen)
    assert way.run(agent, "q", session_id="s").content == "one"
    assert len(refused) == 1


def test_work_that_a_node_begins_and_does_not_wait_for_has_its_turn_after_it(way: Way, db: Any) -> None:
    begun: list[threading.Thread] = []

    def later(state: Any) -> Any:
        if not begun:
            begun.append(threading.Thread(target=lambda: graph.invoke({}, session_id="s")))
            begun[0].start()
        return {"n": state.get("n", 0) + 1}

    graph = graph_of(db, later)
    assert way.invoke(graph, {}, session_id="s")["n"] == 1
    begun[0].join(30)
    assert graph.get_state("s").values["n"] == 2


def test_a_task_that_an_async_node_begins_and_does_not_wait_for_has_its_turn_after_it(db: Any) -> None:
    begun: list[asyncio.Task[Any]] = []

    async def later(state: Any) -> Any:
        if not begun:
            begun.append(asyncio.create_task(graph.ainvoke({}, session_id="s")))
            await asyncio.sleep(0.05)
        return {"n": state.get("n", 0) + 1}

    async def main() -> None:
        assert (await graph.ainvoke({}, session_id="s"))["n"] == 1
        await begun[0]

    graph = graph_of(db, later)
    asyncio.run(main())
    assert graph.get_state("s").values["n"] == 2


def test_another_session_of_the_same_agent_is_run_from_inside(way: Way, db: Any) -> None:
    def other(state: Any) -> Any:
        return {"n": 1} if state.get("n") else {"n": graph.invoke({"n": 1}, session_id="other")["n"] + 1}

    graph = graph_of(db, other)
    assert way.invoke(graph, {}, session_id="s")["n"] == 2


def test_an_async_node_with_a_timeout_that_awaits_its_own_session(way: Way, db: Any) -> None:
    async def again(state: Any) -> Any:
        with pytest.raises(SessionBusy, match="the run that makes this call"):
            await graph.ainvoke({}, session_id="s")
        return {"n": 1}

    builder = StateGraph(State).add_node("again", again, timeout=50).add_edge(START, "again").add_edge("again", END)
    graph = builder.compile(db=db)
    assert way.invoke(graph, {}, session_id="s")["n"] == 1
