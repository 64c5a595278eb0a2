"""Cancelling: a run stops at a border or where it awaits a model, and can be resumed; on_busy="cancel"; crashed runs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Context, RetryPolicy, Send, StateGraph, ToolCall, append, interrupt
from graphflow.core.control import Cancelled
from graphflow.core.effects import Advance, Ask, Commit
from graphflow.core.plan import flow
from graphflow.db import SqliteDb
from graphflow.db.turns import session_queue
from graphflow.drive import aio
from graphflow.errors import DatabaseFailed, NoDatabase, NotOwner, SessionBusy, SessionNotFound
from graphflow.models.base import AsyncModel, Reply, Request
from graphflow.testing import ScriptedModel
from tests.conftest import Way


class State(TypedDict):
    path: Annotated[list[str], append]


class Gate:
    """A node that says when it has begun, and goes on when it may."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.seen: list[bool] = []

    def __call__(self, state: State, ctx: Context) -> dict[str, Any]:
        self.begun.set()
        assert self.may_go_on.wait(30)
        self.seen.append(ctx.cancelled)
        return {"path": ["gate"]}


class Running:
    """A call in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(work,))
        self.thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except BaseException as error:
            self.error = error

    def end(self) -> Any:
        self.thread.join(30)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.result


def gated(db: Any, **options: Any) -> tuple[Any, Gate]:
    gate = Gate()
    builder = StateGraph(State).add_node("gate", gate).add_node("after", lambda state: {"path": ["after"]})
    builder.add_edge(START, "gate").add_edge("gate", "after").add_edge("after", END)
    return builder.compile(db=db, **options), gate


def run_id_of(db: Any, session_id: str = "s") -> str:
    run_id: str = db.get_runs(session_id)[-1].run_id
    return run_id


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- cancel ----------------------------------------------------------------------------------------------------------------


def test_a_cancelled_run_stops_at_the_border_stored_and_can_be_resumed(way: Way, db: Any) -> None:
    graph, gate = gated(db)
    running = Running(lambda: way.invoke(graph, {}, session_id="s"))
    assert gate.begun.wait(30)
    assert way.cancel(graph, run_id_of(db)) is True
    gate.may_go_on.set()
    result = running.end()
    assert (result.status, result["path"], gate.seen) == ("cancelled", ["gate"], [True])
    snapshot = graph.get_state("s")
    assert (snapshot.status, snapshot.next, snapshot.values["path"]) == ("cancelled", ("after",), ["gate"])
    assert db.get_session("s").status == db.get_runs("s")[0].status == "cancelled"
    resumed = way.resume(graph, "s")
    assert (resumed.status, resumed["path"], resumed.run_id) == ("completed", ["gate", "after"], result.run_id)


def test_cancelling_what_has_ended_does_nothing_and_says_so(way: Way, db: Any) -> None:
    graph, gate = gated(db)
    gate.may_go_on.set()
    result = graph.invoke({}, session_id="s")
    assert way.cancel(graph, result.run_id) is False
    assert graph.get_state("s").status == "completed"
    with pytest.raises(SessionNotFound, match="no run 'unknown'"):
        way.cancel(graph, "unknown")


def test_cancelling_needs_the_owner_and_a_database(way: Way, db: Any) -> None:
    graph, gate = gated(db)
    running = Running(lambda: graph.invoke({}, session_id="s", user_id="mark"))
    assert gate.begun.wait(30)
    for user in ("john", None):
        with pytest.raises(NotOwner):
            way.cancel(graph, run_id_of(db), user_id=user)
    assert way.cancel(graph, run_id_of(db), user_id="mark") is True
    gate.may_go_on.set()
    assert running.end().status == "cancelled"
    with pytest.raises(NoDatabase):
        gated(None)[0].cancel("r")


def test_a_paused_run_is_closed_and_its_question_can_still_be_answered(way: Way, db: Any) -> None:
    def ask(state: State) -> dict[str, Any]:
        return {"path": [interrupt("well?")]}

    graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile(db=db)
    paused = graph.invoke({}, session_id="s")
    assert paused.status == "paused" and way.cancel(graph, paused.run_id) is True
    assert db.get_runs("s")[0].status == graph.get_state("s").status == "cancelled"
    assert way.cancel(graph, paused.run_id) is False
    assert way.resume(graph, "s", "yes")["path"] == ["yes"]


class Slow(AsyncModel):
    """Begins to answer, and never ends."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.left = threading.Event()

    async def arespond(self, request: Request) -> Reply:
        self.asked.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return Reply("late")

    async def astream(self, request: Request) -> Any:
        yield await self.arespond(request)

    def respond(self, request: Request) -> Reply:
        raise AssertionError("it is asked by asyncio")

    def stream(self, request: Request) -> Any:
        raise AssertionError("it is asked by asyncio")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_awaiting_model_is_left_at_once(db: Any, streamed: bool) -> None:
    model = Slow()
    agent = Agent(model, db=db, session_id="s")

    async def talk() -> Any:
        if not streamed:
            return await agent.arun("hello")
        return [event async for event in agent.arun("hello", stream=True)][-1]

    running = Running(lambda: asyncio.run(talk()))
    assert model.asked.wait(30)
    assert agent.cancel(run_id_of(db)) is True
    last = running.end()
    assert model.left.is_set()
    if streamed:
        assert last.type == "run_cancelled"
        last = last.output
    assert last.status == "cancelled" and [message.text for message in last.messages] == ["hello"]
    agent.model = ScriptedModel(["here it is"])
    assert agent.resume().content == "here it is"


def test_siblings_that_finished_beside_a_model_that_was_left_do_not_run_again(db: Any) -> None:
    model, times = Slow(), []

    async def quick(item: int) -> dict[str, Any]:
        times.append(item)
        return {"path": [str(item)]}

    @flow
    def slow(item: int) -> Any:
        reply = yield Ask(
            model if len(times) < 5 or not model.left.is_set() else ScriptedModel(["answer"]), Request([], (), None)
        )
        return {"path": [reply.content]}

    sends = [*(Send("quick", n) for n in range(5)), Send("slow", 5)]
    builder = StateGraph(State).add_node("quick", quick).add_node("slow", slow).add_edge("quick", END).add_edge("slow", END)
    graph = builder.add_conditional_edges(START, lambda state: sends, ["quick", "slow"]).compile(db=db)
    running = Running(lambda: asyncio.run(graph.ainvoke({}, session_id="s")))
    assert model.asked.wait(30)
    until(lambda: len(times) == 5)
    assert graph.cancel(run_id_of(db)) is True
    assert running.end().status == "cancelled"
    assert graph.resume("s")["path"] == ["0", "1", "2", "3", "4", "answer"]
    assert sorted(times) == [0, 1, 2, 3, 4]


class Gated:
    """A database whose commits of finished tasks wait, once, for the run to be stopped."""

    def __init__(self, db: Any) -> None:
        self.db, self.begun, self.stopped = db, threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def commit(self, effect: Commit) -> None:
        if effect.tasks and not self.begun.is_set():
            self.begun.set()
            assert self.stopped.wait(30)
            time.sleep(0.2)
        self.db.commit(effect)


@pytest.mark.parametrize("stop", [Cancelled, KeyboardInterrupt])
def test_a_sibling_that_finished_while_another_was_recorded_is_kept_when_the_run_stops(db: Any, stop: Any) -> None:
    gated_db, times, second = Gated(db), [], threading.Event()

    def node(item: int) -> dict[str, Any]:
        times.append(item)
        if item == 1:
            assert gated_db.begun.wait(30)
            second.set()
        if item == 2 and not gated_db.stopped.is_set():
            assert second.wait(30)
            time.sleep(0.2)
            gated_db.stopped.set()
            raise stop
        return {"path": [str(item)]}

    builder = StateGraph(State).add_node("node", node).add_edge("node", END)
    builder.add_conditional_edges(START, lambda state: [Send("node", n) for n in range(3)], ["node"])
    graph = builder.compile(db=gated_db)
    with pytest.raises(stop):
        graph.invoke({}, session_id="s")
    assert graph.get_state("s").status == "cancelled"
    assert graph.resume("s")["path"] == ["0", "1", "2"]
    assert sorted(times) == [0, 1, 2, 2]


def test_a_streamed_run_that_is_cancelled_ends_its_stream_with_the_result(way: Way, db: Any) -> None:
    graph, gate = gated(db)
    running = Running(lambda: way.stream(graph, {}, session_id="s", stream_mode="events"))
    assert gate.begun.wait(30)
    graph.cancel(run_id_of(db))
    gate.may_go_on.set()
    events = running.end()
    assert [event.type for event in events if event.type.startswith("run_")] == ["run_started", "run_cancelled"]
    assert events[-1].output.status == "cancelled" and events[-1].output["path"] == ["gate"]


def test_a_nested_graph_is_cancelled_inside_and_resumed_inside(way: Way, db: Any) -> None:
    inner, gate = gated(None)
    builder = StateGraph(State).add_node("before", lambda state: {"path": ["before"]}).add_node("inner", inner)
    outer = builder.add_edge(START, "before").add_edge("before", "inner").add_edge("inner", END).compile(db=db)
    running = Running(lambda: way.invoke(outer, {}, session_id="s"))
    assert gate.begun.wait(30)
    assert outer.cancel(run_id_of(db)) is True
    gate.may_go_on.set()
    assert running.end().status == "cancelled"
    assert way.resume(outer, "s")["path"] == ["before", "gate", "after"]
    assert len(gate.seen) == 1, "the finished node inside did not run again"


def last_node(node: Any, db: Any, **options: Any) -> Any:
    return StateGraph(State).add_node("last", node).add_edge(START, "last").add_edge("last", END).compile(db=db, **options)


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_run_that_is_cancelled_in_its_last_step_ends_as_cancelled_with_that_step(way: Way, db: Any, durability: Any) -> None:
    gate = Gate()
    graph = last_node(gate, db)
    call = {"idempotency_key": "k", "durability": durability}  # with a key, a run that is stored at its end is found before it
    running = Running(lambda: way.invoke(graph, {}, session_id="s", **call))
    assert gate.begun.wait(30)
    assert way.cancel(graph, run_id_of(db)) is True
    gate.may_go_on.set()
    result = running.end()
    assert (result.status, result["path"]) == ("cancelled", ["gate"])
    assert graph.get_state("s").status == db.get_runs("s")[0].status == "cancelled"
    resumed = way.resume(graph, "s")
    assert (resumed.status, resumed["path"], len(gate.seen)) == ("completed", ["gate"], 1)
    assert graph.get_state("s").status == db.get_runs("s")[0].status == "completed"
    assert way.cancel(graph, result.run_id) is False


class Waiting:
    """An async node that awaits for ever, until it is told not to."""

    def __init__(self, polite: bool = False) -> None:
        self.begun, self.left = threading.Event(), threading.Event()
        self.polite = polite
        self.times = 0

    async def __call__(self, state: State, ctx: Context) -> dict[str, Any]:
        self.times += 1
        self.begun.set()
        try:
            while self.times == 1 and not (self.polite and ctx.cancelled):
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return {"path": ["waited"]}


@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"retry": RetryPolicy()}])
@pytest.mark.parametrize("beside", [False, True])
def test_an_async_node_that_awaits_is_left_and_runs_again(
    way: Way, db: Any, options: Any, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "PATIENCE", 0.05)
    node = Waiting()
    builder = StateGraph(State).add_node("last", node, **options).add_edge(START, "last").add_edge("last", END)
    if beside:
        builder.add_node("beside", lambda state: {"path": ["beside"]}).add_edge(START, "beside").add_edge("beside", END)
    graph = builder.compile(db=db)
    running = Running(lambda: way.invoke(graph, {}, session_id="s"))
    assert node.begun.wait(30)
    assert way.cancel(graph, run_id_of(db)) is True
    assert running.end().status == "cancelled" and node.left.is_set()
    assert graph.get_state("s").status == "cancelled"
    assert way.resume(graph, "s")["path"] == ["waited", "beside"][: 1 + beside]


def test_an_async_node_that_looks_may_return_what_it_has(way: Way, db: Any) -> None:
    node = Waiting(polite=True)
    graph = last_node(node, db)
    running = Running(lambda: way.invoke(graph, {}, session_id="s"))
    assert node.begun.wait(30)
    graph.cancel(run_id_of(db))
    result = running.end()
    assert (result.status, result["path"], node.left.is_set()) == ("cancelled", ["waited"], False)


def test_an_async_tool_that_awaits_is_left(way: Way, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "PATIENCE", 0.05)
    begun = threading.Event()

    async def look_up() -> str:
        """Look it up."""
        begun.set()
        await asyncio.sleep(60)
        return "found"

    replies = [Reply(tool_calls=[ToolCall("1", "look_up", {})]), "done"]
    agent = Agent(ScriptedModel(replies), tools=[look_up], db=db, session_id="s")
    running = Running(lambda: way.run(agent, "hello"))
    assert begun.wait(30)
    assert agent.cancel(run_id_of(db)) is True
    assert running.end().status == "cancelled"


@pytest.mark.parametrize("where", ["in a node", "before a node"])
def test_a_run_that_is_cancelled_while_it_comes_to_a_pause_ends_as_cancelled(way: Way, db: Any, where: str) -> None:
    gate = Gate()

    def ask(state: State, ctx: Context) -> dict[str, Any]:
        gate(state, ctx)
        return {"path": [interrupt("well?") if where == "in a node" else "gate"]}

    builder = StateGraph(State).add_node("ask", ask).add_node("after", lambda state: {"path": ["after"]})
    builder.add_edge(START, "ask").add_edge("ask", "after").add_edge("after", END)
    graph = builder.compile(db=db, interrupt_before=["after"] if where == "before a node" else [])
    running = Running(lambda: way.invoke(graph, {}, session_id="s"))
    assert gate.begun.wait(30)
    assert graph.cancel(run_id_of(db)) is True
    gate.may_go_on.set()
    assert running.end().status == graph.get_state("s").status == "cancelled"
    if where == "before a node":
        assert way.resume(graph, "s").status == "paused", "nobody has gone past the pause"
    resumed = way.resume(graph, "s", "yes") if where == "in a node" else way.resume(graph, "s")
    assert resumed.status == "completed" and resumed["path"][-1] == "after"


# --- on_busy ---------------------------------------------------------------------------------------------------------------


def test_the_run_that_is_in_the_way_is_cancelled_and_ours_comes_next(way: Way, db: Any) -> None:
    graph, gate = gated(db, name="g")
    first = Running(lambda: graph.invoke({}, session_id="s"))
    assert gate.begun.wait(30)
    waiting = Running(lambda: graph.invoke({"path": ["waiting"]}, session_id="s", on_unfinished="abandon"))
    until(lambda: session_queue().waiting(db.identity, "s") == 1)
    urgent = Running(lambda: way.invoke(graph, {"path": ["urgent"]}, session_id="s", on_busy="cancel"))
    until(lambda: session_queue().waiting(db.identity, "s") == 2)
    gate.may_go_on.set()
    assert first.end().status == "cancelled"
    assert urgent.end()["path"][:3] == ["gate", "urgent", "gate"]
    waiting.end()
    assert [run.status for run in db.get_runs("s")] == ["cancelled", "completed", "completed"]


def test_a_run_that_was_refused_leaves_the_lease_of_the_running_one(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    graph, gate = gated(db)
    running = Running(lambda: graph.invoke({}, session_id="s"))
    assert gate.begun.wait(30)
    with pytest.raises(SessionBusy, match=r"does not wait.*give on_busy='wait', or 'cancel'") as caught:
        graph.invoke({}, session_id="s", on_busy="reject")
    assert "busy_timeout" not in str(caught.value)
    time.sleep(0.3)  # the keeper would have ended the lease by now
    assert db.get_session("s").status == "running"  # type: ignore[union-attr]
    gate.may_go_on.set()
    assert running.end().status == "completed"
    db.close()


# --- crashed ---------------------------------------------------------------------------------------------------------------


def failing(db: Any) -> Any:
    """The database, which cannot store how a run ends, as if the process were gone."""
    commit = db.commit

    def refuse(effect: Commit | Advance) -> None:
        if isinstance(effect, Commit) and effect.closed and not effect.take_over:
            raise DatabaseFailed("gone", transient=True)
        commit(effect)

    db.commit = refuse
    return lambda: setattr(db, "commit", commit)


def test_a_run_that_nobody_runs_any_more_is_shown_as_crashed_everywhere(way: Way, db: Any) -> None:
    graph, gate = gated(db)
    gate.may_go_on.set()
    mend = failing(db)
    with pytest.raises(DatabaseFailed):
        way.invoke(graph, {}, session_id="s")
    mend()
    until(lambda: graph.get_state("s").status != "running")
    shown = (graph.get_state("s"), graph.get_state_history("s")[0], db.get_session("s"), db.get_sessions()[0])
    assert [one.status for one in (*shown, db.get_runs("s")[0], db.get_run(run_id_of(db)))] == ["crashed"] * 6
    assert way.resume(graph, "s").status == "completed"
    assert db.get_runs("s")[0].status == "completed" and gate.seen == [False]


def test_a_crashed_run_can_be_cancelled(way: Way, db: Any) -> None:
    graph, gate = gated(db)
    gate.may_go_on.set()
    mend = failing(db)
    with pytest.raises(DatabaseFailed):
        graph.invoke({}, session_id="s")
    mend()
    until(lambda: db.get_runs("s")[0].status == "crashed")
    assert way.cancel(graph, run_id_of(db)) is True
    assert db.get_runs("s")[0].status == "cancelled"


ANSWERS = """
import sys
from typing import TypedDict
from graphflow import END, START, StateGraph, interrupt
from graphflow.db import SqliteDb

class State(TypedDict, total=False):
    path: str

def ask(state):
    return {"path": interrupt("how many?")}

graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
graph = graph.compile(db=SqliteDb(sys.argv[1]))
if __name__ == "__main__":
    assert graph.resume("s", "5").status == "completed"
"""


def test_a_run_that_another_process_completes_meanwhile_is_not_cancelled(way: Way, tmp_path: Path) -> None:
    program, file = tmp_path / "answers.py", tmp_path / "s.db"
    program.write_text(ANSWERS)

    class Overtaken(SqliteDb):
        def cancel_run(self, effect: Any) -> Any:
            standing = super().cancel_run(effect)
            if effect.have_turn:
                subprocess.run([sys.executable, str(program), str(file)], check=True)
            return standing

    class State(TypedDict, total=False):
        path: str

    def ask(state: Any) -> Any:
        return {"path": interrupt("how many?")}

    db = Overtaken(file)
    graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile(db=db)
    run_id = way.invoke(graph, {}, session_id="s").run_id
    assert way.cancel(graph, run_id) is False
    assert (db.get_run(run_id).status, db.get_session("s").status) == ("completed", "completed")
    assert graph.get_state("s").values["path"] == "5"
    db.close()
