"""Copies of paused sessions: paused at the same questions, answered independently of where they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Context, Graph, Send, StateGraph, Team, append, interrupt, tool
from graphflow.core.control import Update
from graphflow.core.stored import MemoryWrite
from graphflow.testing import ScriptedModel
from tests.conftest import Way
from tests.team.conftest import delegates, echo


class S(TypedDict):
    path: Annotated[list[Any], append]


Copy = Callable[[Any, str], str]


@pytest.fixture(params=["fork", "import"])
def copied(request: pytest.FixtureRequest, db: Any) -> Copy:
    """Both ways to a copy of a session, by the graph (or agent) that runs it."""
    if request.param == "fork":
        return lambda graph, session_id: str(graph.fork(session_id))
    return lambda graph, session_id: str(db.import_session(db.export_session(session_id), session_id=f"{session_id}-copy"))


def beside(*nodes: Any, db: Any = None, **options: Any) -> Graph:
    """A graph whose nodes all run in one superstep."""
    builder = StateGraph(S)
    for node in nodes:
        name = getattr(node, "__name__", "inner")
        builder.add_node(name, node)
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    return builder.compile(db=db, **options)


def ask(state: S) -> dict[str, Any]:
    return {"path": [interrupt("one?"), interrupt("two?")]}


def test_a_copy_is_paused_at_the_same_questions_under_ids_of_its_own(way: Way, db: Any, copied: Copy) -> None:
    graph = beside(ask, db=db)
    (question,) = way.invoke(graph, {}, session_id="s").interrupts
    copy = copied(graph, "s")
    state = way.get_state(graph, copy)
    assert (state.status, state.next, [asked.value for asked in state.interrupts]) == ("paused", ("ask",), ["one?"])
    assert state.interrupts[0].id != question.id and db.get_session(copy).status == "paused"
    assert [run.status for run in db.get_runs(copy)] == ["paused"]
    way.resume(graph, copy, answers={state.interrupts[0].id: 1})
    assert way.resume(graph, copy, 2)["path"] == [1, 2]
    assert way.get_state(graph, "s").interrupts == (question,)
    way.resume(graph, "s", 3)
    assert way.resume(graph, "s", 4)["path"] == [3, 4]
    assert db.check().ok


def test_a_copy_has_what_was_answered_recorded_and_finished_beside_the_question(way: Way, db: Any, copied: Copy) -> None:
    steps, finished = [], []

    def asks(state: S, ctx: Context) -> dict[str, Any]:
        ctx.step("work", steps.append, "worked")
        return {"path": [interrupt("one?"), interrupt("two?")]}

    def works(state: S) -> dict[str, Any]:
        finished.append("finished")
        return {"path": ["works"]}

    graph = beside(asks, works, db=db)
    way.invoke(graph, {}, session_id="s")
    assert [asked.value for asked in way.resume(graph, "s", 1).interrupts] == ["two?"]
    for session_id, answer in ((copied(graph, copied(graph, "s")), 2), ("s", 3)):
        assert [asked.value for asked in way.get_state(graph, session_id).interrupts] == ["two?"]
        assert way.resume(graph, session_id, answer)["path"] == [1, answer, "works"]
    assert (steps, finished) == (["worked"], ["finished"])


def test_a_copy_of_a_run_that_was_cancelled_does_nothing_again_that_was_done(way: Way, db: Any, copied: Copy) -> None:
    calls: list[str] = []

    def pay(state: S, ctx: Context) -> dict[str, Any]:
        ctx.step("charge", lambda: calls.append("charge"))
        return {"path": [interrupt("one?"), interrupt("two?")]}

    def sibling(state: S) -> dict[str, Any]:
        calls.append("sibling")
        return {"path": ["sibling"]}

    graph = beside(pay, sibling, db=db)
    way.invoke(graph, {}, session_id="s")
    way.cancel(graph, way.resume(graph, "s", "yes").run_id)
    copy = copied(graph, "s")
    assert way.get_state(graph, copy).status == "cancelled"
    assert [run.status for run in db.get_runs(copy)] == ["cancelled"]
    assert sorted(calls) == ["charge", "sibling"]
    assert [asked.value for asked in way.resume(graph, copy).interrupts] == ["two?"], "the first is answered"
    assert way.resume(graph, copy, "no")["path"] == ["yes", "no", "sibling"]
    assert sorted(calls) == ["charge", "sibling"]
    assert way.get_state(graph, "s").status == "cancelled"
    assert db.check().ok


def test_a_copy_has_the_questions_of_graphs_inside_and_of_many_tasks(way: Way, db: Any, copied: Copy) -> None:
    fan_out = StateGraph(S)
    fan_out.add_node("one", lambda item: {"path": [interrupt(item)]} if item % 2 else {"path": [item]})
    fan_out.add_conditional_edges(START, lambda state: [Send("one", item) for item in range(4)], ["one"])
    fan_out.add_edge("one", END)
    graph = beside(beside(fan_out.compile()), db=db)
    way.invoke(graph, {}, session_id="s")
    copy = copied(graph, "s")
    questions = {asked.value: asked.id for asked in way.get_state(graph, copy).interrupts}
    assert sorted(questions) == [1, 3]
    assert way.resume(graph, copy, answers={questions[3]: "three"}).status == "paused"
    assert way.resume(graph, copy, "one")["path"] == [0, "one", 2, "three"]
    assert len(way.get_state(graph, "s").interrupts) == 2


def test_a_copy_is_paused_where_a_graph_inside_is_held(way: Way, db: Any, copied: Copy) -> None:
    def works(state: S) -> dict[str, Any]:
        return {"path": ["works"]}

    graph = beside(beside(works, interrupt_before=["works"]), db=db)
    way.invoke(graph, {}, session_id="s")
    copy = copied(graph, "s")
    assert way.get_state(graph, copy).status == "paused"
    assert way.resume(graph, copy)["path"] == ["works"]
    assert way.get_state(graph, "s").status == "paused"


def test_members_that_finished_are_kept_in_a_copy_and_stored_once_in_each(way: Way, db: Any, copied: Copy) -> None:
    @tool(requires_confirmation=True)
    def fire() -> str:
        """Fire."""
        return "fired"

    quick = echo("Q")
    slow = Agent("offline", name="slow", tools=[fire])
    leader = ScriptedModel([delegates(quick="x", slow="please fire"), "done", "done"])
    team = Team([Agent(quick, name="quick"), slow], model=leader, db=db)
    assert way.run(team, "q", session_id="s").status == "paused"
    copy = copied(team, "s")
    for session_id in (copy, "s"):
        assert way.resume(team, session_id, True).status == "completed"
        children = [run for run in db.get_runs(session_id, include_members=True) if run.ns]
        assert sorted(run.ns for run in children) == ["quick", "slow"]
        assert {run.parent_run_id for run in children} == {run.run_id for run in db.get_runs(session_id)}
    assert len(quick.requests) == 1
    assert db.check().ok


def test_a_memory_that_waits_for_its_superstep_is_added_by_whichever_copy_comes_first(way: Way, db: Any, copied: Copy) -> None:
    def notes(state: S) -> Update:
        return Update({"path": ["noted"]}, [MemoryWrite("add", "likes tea")])

    graph = beside(ask, notes, db=db)
    way.invoke(graph, {}, session_id="s", user_id="ann")
    copy = str(graph.fork("s", user_id="ann"))
    for session_id in (copy, "s"):
        way.resume(graph, session_id, 1, user_id="ann")
        assert way.resume(graph, session_id, 2, user_id="ann")["path"] == [1, 2, "noted"]
        assert [memory.memory for memory in db.get_user_memories("ann")] == ["likes tea"]
        (memory,) = db.get_user_memories("ann")
        db.delete_user_memory(memory.memory_id, user_id="ann")
