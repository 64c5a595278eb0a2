"""A caller under asyncio that goes away: what runs in threads meanwhile is stored if it ends soon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, TypedDict

import anyio
import pytest

from graphflow import END, START, Agent, Context, Send, StateGraph, ToolCall, append
from graphflow.core.control import Cancelled
from graphflow.db import SqliteDb
from graphflow.drive import aio, errands
from graphflow.models.base import Model, Piece, Reply, Request, Token
from graphflow.testing import ScriptedModel


class State(TypedDict):
    path: Annotated[list[str], append]


class Work:
    """Blocking work that says when it has begun, and ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.times = 0

    def __call__(self) -> str:
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(30)
        self.ended.set()
        return "charged"


@pytest.fixture(autouse=True)
def a_machine_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends soon does so within this time, however little of it a loaded machine gives."""
    for module in (aio, errands):
        monkeypatch.setattr(module, "GRACE", 30.0)


async def begun(work: Work) -> None:
    while not work.begun.is_set():
        await asyncio.sleep(0.001)


async def cancelled(
    call: Awaitable[Any], work: Work, before: Callable[[], bool] = lambda: True, *, at_each_turn: bool = False
) -> None:
    """Cancel a call while work is going on, which ends after that; ``at_each_turn`` of the loop, as anyio does."""
    running = asyncio.ensure_future(call)
    await begun(work)
    while not before():
        await asyncio.sleep(0.001)
    running.cancel()
    asyncio.get_running_loop().call_later(0.05, work.may_end.set)
    while at_each_turn and not running.done():
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing goes on unseen"


def paying(db: Any, work: Work, *more: ToolCall, looked: threading.Event | None = None, session_id: str = "s") -> Agent:
    def charge() -> str:
        return work()

    def look(word: str) -> str:
        if looked is not None:
            looked.set()
        return f"{word} seen"

    model = ScriptedModel([Reply(tool_calls=[ToolCall("1", "charge", {}), *more]), "done"])
    return Agent(model, tools=[charge, look], db=db, session_id=session_id)


@pytest.mark.parametrize("at_each_turn", [False, True])
def test_a_tool_in_a_thread_that_ends_soon_after_its_caller_left_is_stored_and_not_called_again(
    db: Any, at_each_turn: bool
) -> None:
    work = Work()
    agent = paying(db, work)
    asyncio.run(cancelled(agent.arun("q"), work, at_each_turn=at_each_turn))
    assert db.get_session("s").status == "cancelled"
    assert [message.text for message in agent.get_chat_history()] == ["q", "", "charged"]
    assert asyncio.run(agent.aresume("s")).content == "done"
    assert work.times == 1


@pytest.mark.parametrize("calls", [("charge",), ("charge", "look")], ids=["alone", "beside another"])
def test_a_scope_of_anyio_leaves_a_tool_as_much_time_as_asyncio_does(db: Any, calls: tuple[str, ...]) -> None:
    work = Work()
    agent = paying(db, work, *[ToolCall("2", name, {"word": "tea"}) for name in calls[1:]])

    async def leave() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(agent.arun, "q")
            await begun(work)
            asyncio.get_running_loop().call_later(0.05, work.may_end.set)
            group.cancel_scope.cancel()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing goes on unseen"

    asyncio.run(leave())
    assert asyncio.run(agent.aresume("s")).content == "done"
    assert work.times == 1


@pytest.mark.parametrize("at_each_turn", [False, True])
def test_an_attempt_that_may_run_out_of_time_has_it_too(db: Any, at_each_turn: bool) -> None:
    work = Work()

    def node(state: State) -> dict[str, Any]:
        return {"path": [work()]}

    builder = StateGraph(State).add_node("node", node, timeout=30).add_edge(START, "node").add_edge("node", END)
    graph = builder.compile(db=db)
    asyncio.run(cancelled(graph.ainvoke({}, session_id="s"), work, at_each_turn=at_each_turn))
    assert graph.resume("s")["path"] == ["charged"] and work.times == 1


def test_a_tool_that_ends_soon_after_its_stream_was_left_is_stored_and_not_called_again(db: Any) -> None:
    work = Work()
    agent = paying(db, work)

    async def leave() -> None:
        async with aclosing(agent.arun("q", stream=True)) as events:
            async for event in events:
                if event.type == "tool_started":
                    await begun(work)
                    asyncio.get_running_loop().call_later(0.05, work.may_end.set)
                    break

    asyncio.run(leave())
    assert db.get_session("s").status == "cancelled"
    assert agent.get_chat_history()[-1].text == "charged"
    assert asyncio.run(agent.aresume("s")).content == "done"
    assert work.times == 1


@pytest.mark.parametrize("at_each_turn", [False, True])
def test_tools_that_run_beside_each_other_are_all_stored_when_they_end_soon(db: Any, at_each_turn: bool) -> None:
    work, looked = Work(), threading.Event()
    agent = paying(db, work, ToolCall("2", "look", {"word": "tea"}), looked=looked)
    asyncio.run(cancelled(agent.arun("q"), work, looked.is_set, at_each_turn=at_each_turn))
    assert [message.text for message in agent.get_chat_history()][2:] == ["charged", "tea seen"]
    assert agent.resume("s").content == "done"
    assert work.times == 1


def test_a_tool_that_ends_soon_is_stored_also_where_one_beside_it_had_not_begun(db: Any) -> None:
    for n in range(20):  # whether the other one's thread has begun is a matter of luck
        work = Work()
        agent = paying(db, work, ToolCall("2", "look", {"word": "tea"}), session_id=f"s{n}")
        asyncio.run(cancelled(agent.arun("q"), work))
        assert agent.resume().content == "done" and work.times == 1


def test_what_does_not_end_soon_is_left_and_what_ended_beside_it_is_kept(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "GRACE", 0.05)
    slow, quick, times = Work(), Work(), []

    def node(name: str) -> dict[str, Any]:
        times.append(name)
        if len(times) <= 2:
            (slow if name == "slow" else quick)()
        return {"path": [name]}

    builder = StateGraph(State).add_node("node", node).add_edge("node", END)
    sends = [Send("node", "slow"), Send("node", "quick")]
    graph = builder.add_conditional_edges(START, lambda state: sends, ["node"]).compile(db=db)

    async def leave() -> None:
        running = asyncio.ensure_future(graph.ainvoke({}, session_id="s"))
        await begun(slow)
        await begun(quick)
        running.cancel()
        asyncio.get_running_loop().call_soon(quick.may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(leave())
    assert not slow.ended.is_set() and db.get_session("s").status == "cancelled"
    slow.may_end.set()
    assert slow.ended.wait(30)
    assert asyncio.run(graph.aresume("s"))["path"] == ["slow", "quick"]
    assert sorted(times) == ["quick", "slow", "slow"]


@pytest.mark.parametrize("timeout", [None, 60.0], ids=["", "with a timeout"])
def test_a_node_in_a_thread_that_ends_soon_is_stored_and_nothing_is_begun_after_it(db: Any, timeout: float | None) -> None:
    work, after = Work(), []

    def second(state: State) -> dict[str, Any]:
        after.append(1)
        return {"path": ["second"]}

    builder = StateGraph(State).add_node("first", lambda state: {"path": [work()]}, timeout=timeout)
    builder.add_node("second", second).add_edge(START, "first").add_edge("first", "second").add_edge("second", END)
    graph = builder.compile(db=db)
    asyncio.run(cancelled(graph.ainvoke({}, session_id="s"), work))
    snapshot = graph.get_state("s")
    assert (snapshot.values["path"], snapshot.next, after) == (["charged"], ("second",), [])
    assert asyncio.run(graph.aresume("s"))["path"] == ["charged", "second"]
    assert work.times == 1


def test_a_recorded_step_that_is_left_is_kept_and_does_not_stop_its_run(db: Any) -> None:
    work = Work()

    async def node(state: State, ctx: Context) -> dict[str, Any]:
        await cancelled(ctx.astep("charge", work), work)
        return {"path": ["went on"]}

    def after(state: State) -> dict[str, Any]:
        return {"path": ["after"]}

    builder = StateGraph(State).add_node("node", node).add_node("after", after)
    graph = builder.add_edge(START, "node").add_edge("node", "after").add_edge("after", END).compile(db=db)
    result = asyncio.run(graph.ainvoke({}, session_id="s"))
    assert (result.status, result["path"], work.times) == ("completed", ["went on", "after"], 1)


def test_a_stream_that_is_left_while_its_run_is_far_ahead_ends(db: Any) -> None:
    agent = Agent(ScriptedModel(["word " * 5000, "finally"]), db=db, session_id="s")

    async def leave() -> None:
        async with aclosing(agent.arun("q", stream=True)) as events:
            async for event in events:
                if event.type == "token":
                    break

    asyncio.run(asyncio.wait_for(leave(), 60))
    assert db.get_session("s").status == "cancelled"
    assert agent.resume("s").content == "finally"


# --- cancelled while something else ends ------------------------------------------------------------------------------------


def fan_out(db: Any, *nodes: Callable[..., Any]) -> Any:
    """Nodes side by side, and one after them."""

    def after(state: State) -> dict[str, Any]:
        return {"path": ["after"]}

    builder = StateGraph(State).add_node("after", after).add_edge("after", END)
    for node in nodes:
        builder.add_node(node).add_edge(START, node.__name__)
    return builder.add_edge([node.__name__ for node in nodes], "after").compile(db=db)


class CleaningUp:
    """Waits for ever where it awaits; left there, it goes on until it may end."""

    def __init__(self) -> None:
        self.awaits, self.begun, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        try:
            self.awaits.set()
            await asyncio.Event().wait()
        finally:
            self.begun.set()
            await self.may_end.wait()


def test_a_caller_that_is_cancelled_while_the_last_results_are_recorded_begins_nothing_more(tmp_path: Any) -> None:
    db, recording = SqliteDb(tmp_path / "s.db"), Work()
    commit = db.commit

    def slow(effect: Any) -> None:
        if effect.tasks and not recording.times:
            recording()
        commit(effect)

    db.commit = slow  # type: ignore[method-assign]

    async def quick(state: State) -> dict[str, Any]:
        return {"path": ["quick"]}

    async def late(state: State) -> dict[str, Any]:
        await begun(recording)
        return {"path": ["late"]}

    graph = fan_out(db, quick, late)

    async def leave() -> None:
        call = asyncio.ensure_future(graph.ainvoke({}, session_id="s"))
        await begun(recording)
        while len(asyncio.all_tasks()) > 3:  # this one, the call, and what records
            await asyncio.sleep(0)
        for _ in range(10):  # and the call has heard of the others' end
            await asyncio.sleep(0)
        call.cancel()
        asyncio.get_running_loop().call_soon(recording.may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(leave())
    snapshot = graph.get_state("s")
    assert (snapshot.status, snapshot.values["path"], snapshot.next) == ("cancelled", ["quick", "late"], ("after",))
    db.close()


def test_a_caller_that_is_cancelled_while_it_leaves_a_stream_hears_of_it(db: Any) -> None:
    async def quick(state: State) -> dict[str, Any]:
        return {"path": ["quick"]}

    async def main() -> None:
        clean_up = CleaningUp()

        async def slow(state: State) -> None:
            await clean_up()

        builder = StateGraph(State).add_node(quick).add_node(slow).add_edge(START, "quick").add_edge("quick", "slow")
        graph = builder.add_edge("slow", END).compile(db=db)

        async def leave() -> None:
            async with aclosing(graph.astream({}, session_id="s")) as parts:
                assert await anext(parts) == {"quick": {"path": ["quick"]}}
                await clean_up.awaits.wait()

        leaving = asyncio.ensure_future(leave())
        await clean_up.begun.wait()
        leaving.cancel()
        asyncio.get_running_loop().call_soon(clean_up.may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(main())
    assert db.get_session("s").status == "cancelled"


def test_a_caller_that_is_cancelled_while_a_cancelled_run_comes_to_its_end_hears_of_it(db: Any) -> None:
    async def main() -> None:
        clean_up = CleaningUp()

        async def slow(state: State) -> None:
            await clean_up()

        async def stops(state: State) -> None:
            await clean_up.awaits.wait()
            raise Cancelled

        call = asyncio.ensure_future(fan_out(db, slow, stops).ainvoke({}, session_id="s"))
        await clean_up.begun.wait()
        call.cancel()
        asyncio.get_running_loop().call_soon(clean_up.may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert db.get_session("s").status == "cancelled"


def test_a_model_in_a_thread_is_heard_no_more_once_its_caller_has_left(db: Any) -> None:
    asked, may_go_on, over = threading.Event(), threading.Event(), threading.Event()

    class Slow(Model):
        def stream(self, request: Request) -> Iterator[Piece]:
            try:
                yield Token("Well")
                asked.set()
                assert may_go_on.wait(30)
                for _ in range(1000):
                    yield Token(", let me see")
                yield Reply("Well…")
            finally:
                over.set()

    told: list[str] = []
    agent = Agent(Slow(), db=db, session_id="s", on_event=lambda event: told.append(event.type))

    async def leave() -> None:
        run = asyncio.create_task(agent.arun("hi"))
        assert await asyncio.to_thread(asked.wait, 30)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        may_go_on.set()
        assert await asyncio.to_thread(over.wait, 30)

    asyncio.run(leave())
    assert told.count("token") == 1 and told[-1] == "run_cancelled"


def test_a_caller_that_is_cancelled_stops_all_graphs_that_run_side_by_side(tmp_path: Path) -> None:
    begun, end, second = threading.Semaphore(0), threading.Event(), []

    def first(state: Any) -> dict[str, Any]:
        begun.release()
        assert end.wait(30)
        return {}

    def then(state: Any) -> dict[str, Any]:
        second.append(1)
        return {}

    class Empty(TypedDict, total=False):
        n: int

    inner = StateGraph(Empty).add_node("first", first).add_node("then", then)
    inner.add_edge(START, "first").add_edge("first", "then").add_edge("then", END)
    outer = StateGraph(Empty)
    for name in "ab":
        outer.add_node(name, inner.compile()).add_edge(START, name).add_edge(name, END)
    graph = outer.compile(db=SqliteDb(tmp_path / "s.db"))

    async def leave() -> None:
        run = asyncio.ensure_future(graph.ainvoke({}, session_id="s"))
        for _ in "ab":
            await asyncio.to_thread(begun.acquire)
        run.cancel()
        await asyncio.sleep(0.05)
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(leave())
    assert second == []
    assert graph.get_state("s").status == "cancelled"
    assert graph.resume("s").status == "completed" and second == [1, 1]
