"""Ids and names that are members of an Enum of texts: they stand for what they are, not for what they are shown as."""

from __future__ import annotations

import enum
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Agent, Command, Context, Send, StateGraph, Workflow
from graphflow.workflow import Step

TEXTS = {"ALICE": "alice", "SESSION": "chat", "KEY": "order-7", "FIRST": "first", "SECOND": "second", "STEP": "lookup"}
Mixed = enum.Enum("Mixed", TEXTS, type=str)
"""Its members are shown, and formatted, as ``Mixed.ALICE``."""
Plain = enum.StrEnum("Plain", TEXTS)
"""Its members are shown as their texts."""


class State(TypedDict, total=False):
    n: int
    fail: bool


@pytest.fixture(params=[Mixed, Plain])
def names(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_session_and_its_user_are_the_same_by_text_and_by_member(db: Any, names: Any) -> None:
    first = Agent("offline", name=names.FIRST, db=db)
    first.run("hello", session_id=names.SESSION, user_id=names.ALICE, idempotency_key=names.KEY)
    again = Agent("offline", name="first", db=db).run("hello", session_id="chat", user_id="alice", idempotency_key="order-7")
    assert (type(again.session_id), again.session_id) == (str, "chat")
    Agent("offline", name="first", db=db).run("bye", session_id="chat", user_id="alice")
    first.run("well", session_id=names.SESSION, user_id=names.ALICE)
    [session] = db.get_sessions(user_id=names.ALICE, component_id=names.FIRST)
    assert (session.session_id, session.user_id, session.component_id) == ("chat", "alice", "first")
    assert [message.text for message in db.get_messages(names.SESSION, user_id=names.ALICE)][::2] == ["hello", "bye", "well"]
    db.add_user_memory(names.ALICE, "likes tea")
    assert [memory.memory for memory in db.get_user_memories("alice")] == ["likes tea"]
    db.rename_session(names.SESSION, names.SECOND, user_id=names.ALICE)
    assert db.check().ok and db.delete_session(names.SESSION, user_id=names.ALICE)


def graph(db: Any, names: Any) -> Any:
    def first(state: State, ctx: Context) -> Any:
        n = ctx.step(names.STEP, lambda: state["n"] + 1)
        if state.get("fail"):
            raise ValueError("not yet")
        return Command({"n": n}, goto=names.SECOND)

    builder = StateGraph(State).add_node(names.FIRST, first, destinations=[names.SECOND])
    builder.add_node(names.SECOND, lambda state: {"n": state["n"] * 10}).add_edge(START, names.FIRST)
    builder.add_conditional_edges(
        names.SECOND, lambda state: names.FIRST if state["n"] < 100 else END, {names.FIRST: names.FIRST, END: END}
    )
    return builder.compile(db=db, name=names.ALICE, interrupt_before=[names.SECOND])


def test_nodes_steps_and_targets_are_stored_by_their_texts(db: Any, names: Any) -> None:
    with pytest.raises(ValueError, match="not yet"):
        graph(db, names).invoke({"n": 0, "fail": True}, session_id=names.SESSION)
    graph(db, names).update_state(names.SESSION, {"fail": False})
    assert graph(db, names).resume(names.SESSION).status == "paused"
    state = graph(db, names).get_state("chat")
    assert state.next == ("second",) and {type(name) for name in state.next} == {str}
    result = graph(db, names).resume("chat")
    while result.status == "paused":
        result = graph(db, names).resume("chat")
    assert result.values["n"] == 110 and {type(name) for name in result.metrics["nodes"]} == {str}
    assert db.check().ok


def test_a_send_may_name_its_node_by_a_member(db: Any, names: Any) -> None:
    builder = StateGraph(State).add_node(names.FIRST, lambda state: {"n": state["n"] + 1}).add_edge(names.FIRST, END)
    builder.add_conditional_edges(START, lambda state: [Send(names.FIRST, {"n": 41})], [names.FIRST])
    assert builder.compile(db=db).invoke({"n": 0}, session_id=names.SESSION).values["n"] == 42
    assert db.check().ok


def test_steps_of_a_workflow_are_called_by_their_texts(db: Any, names: Any) -> None:
    workflow = Workflow([Step(names.FIRST, lambda given: "done")], name=names.ALICE, db=db)
    assert workflow.run("go", session_id="w").content == "done"
    assert list(workflow.graph.plan.nodes) == ["first"] and db.check().ok
    assert [run.component_id for run in db.get_runs("w")] == ["alice"]
