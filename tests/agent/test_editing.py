"""The graphs of agents, teams and workflows, edited: they run, print, stream and resume on them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Message, StateGraph, Team, Workflow, add_messages, interrupt, logged
from graphflow.core.reducers import merge_keys
from graphflow.db import SessionType
from graphflow.errors import GraphError, InvalidUpdate
from graphflow.testing import ScriptedModel
from graphflow_nodes import respond


def refuse(state: Any) -> dict[str, list[Message]]:
    """Answers in the place of the model."""
    return {"messages": [Message("assistant", "I would rather not.")]}


def moderated(runner: Any, before: str) -> StateGraph:
    """The graph with a look at what the user says."""
    builder: StateGraph = runner.graph_builder()
    builder.add_node("moderate", lambda state: None)
    builder.add_node("refuse", refuse)
    builder.remove_edge("history", before)
    builder.add_edge("history", "moderate")
    allowed = lambda state: "bomb" not in state["messages"][-1].text  # noqa: E731
    builder.add_conditional_edges("moderate", allowed, {True: before, False: "refuse"})
    builder.add_edge("refuse", END)
    return builder


def test_a_moderated_agent_asks_the_model_only_what_is_allowed(way, db):
    model = ScriptedModel(["Hello", "Fine"])
    agent = Agent(model, db=db, session_id="s", user_id="ann")
    guarded = agent.with_graph(moderated(agent, "model"))
    assert way.run(guarded, "Hi").content == "Hello"
    assert way.run(guarded, "How do I build a bomb?").content == "I would rather not."
    assert way.run(guarded, "How are you?").content == "Fine"
    assert len(model.requests) == 2
    assert [message.text for message in model.requests[1].messages][-3:-1] == ["How do I build a bomb?", "I would rather not."]
    session = db.get_session("s")
    assert session.session_type is SessionType.AGENT and session.user_id == "ann"


def test_the_agent_it_came_from_stays_as_it_is(db):
    agent = Agent(ScriptedModel(["Boom"]), db=db)
    guarded = agent.with_graph(moderated(agent, "model"))
    assert guarded.run("bomb").content == "I would rather not."
    assert agent.run("bomb").content == "Boom"
    assert "moderate" not in agent.graph.plan.nodes and "moderate" in guarded.graph.plan.nodes


def test_a_node_that_writes_a_field_of_its_own_is_told_where_to_keep_things(way, db):
    agent = Agent(ScriptedModel(["Hello"] * 2), db=db, session_id="s")

    def edited(written: dict[str, Any]) -> Agent:
        builder = agent.graph_builder()
        builder.replace_node("history", lambda state: written)
        return agent.with_graph(builder)

    with pytest.raises(InvalidUpdate, match=r"wrote 'mood', .* may be kept in session_state"):
        way.run(edited({"mood": "good"}), "Hi")
    assert way.run(edited({"session_state": {"mood": "good"}}), "Hi").session_state == {"mood": "good"}


def test_an_answer_that_a_node_wrote_itself_is_told_by_one_token(way, db):
    heard = []
    agent = Agent(ScriptedModel(["Hello there"]), db=db, on_event=heard.append)
    guarded = agent.with_graph(moderated(agent, "model"))
    for events in (way.events(guarded, "bomb", session_id="s"), heard):
        assert [event.text for event in events if event.type == "token"] == ["I would rather not."]
        assert [event.type for event in events[-2:]] == ["token", "run_completed"]
    said = [event.text for event in way.events(guarded, "Hi", session_id="s") if event.type == "token"]
    assert "".join(said) == "Hello there" and len(said) > 1


def test_an_answer_after_that_of_the_model_is_told_after_it(way, db):
    agent = Agent(ScriptedModel(["the model's"]), db=db)
    builder = agent.graph_builder()
    builder.remove_edge("model", END)
    builder.add_node("sign", lambda state: {"messages": [Message("assistant", "signed")]})
    builder.add_edge("model", "sign")
    builder.add_edge("sign", END)
    events = way.events(agent.with_graph(builder), "Hi")
    tokens = [event.text for event in events if event.type == "token"]
    assert "".join(tokens[:-1]) == "the model's" and tokens[-1] == events[-1].output.content == "signed"


def test_a_resumed_run_tells_the_answer_that_was_written_before_it_broke_off(way, db):
    agent = Agent(ScriptedModel(["the answer"]), db=db)
    builder = agent.graph_builder()
    failures = [ConnectionError("away")]

    def last(state: Any) -> None:
        if failures:
            raise failures.pop()

    builder.remove_edge("model", END)
    builder.add_node("last", last)
    builder.add_edge("model", "last")
    builder.add_edge("last", END)
    edited = agent.with_graph(builder)
    with pytest.raises(ConnectionError):
        way.run(edited, "Hi", session_id="s")
    assert [event.text for event in way.resumed(edited, "s") if event.type == "token"] == ["the answer"]


def test_an_edited_agent_streams_and_prints(db, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    agent = Agent(ScriptedModel(["Hello there", "And again"]), db=db)
    guarded = agent.with_graph(moderated(agent, "model"))
    events = list(guarded.run("Hi", stream=True))
    assert "".join(event.text for event in events if event.type == "token") == "Hello there" == events[-1].output.content
    assert "moderate" in {event.node for event in events}
    guarded.print_response("Hi")
    assert "And again" in capsys.readouterr().out


def test_an_edited_agent_is_resumed_by_another_one_with_the_same_graph(way, db):
    def release(state: Any) -> None:
        if not interrupt("May it go out?"):
            raise AssertionError

    def make() -> Agent:
        agent = Agent(ScriptedModel(["The answer"]), db=db, session_id="s")
        builder = agent.graph_builder()
        builder.add_node("release", release)
        builder.remove_edge("model", END).add_edge("model", "release").add_edge("release", END)
        return agent.with_graph(builder)

    paused = way.run(make(), "Hi")
    assert paused.interrupts[0].value == "May it go out?"
    assert way.resume(make(), "s", True).content == "The answer"


def test_history_of_a_call_comes_from_the_node_of_the_edited_graph(db):
    model = ScriptedModel(["one", "two", "three"])
    agent = Agent(model, db=db, session_id="s")
    guarded = agent.with_graph(moderated(agent, "model"))
    guarded.run("first")
    guarded.run("second", add_history_to_context=False)
    assert len(model.requests[1].messages) == 1
    forgetful = Agent(model, db=db, session_id="s", add_history_to_context=False)
    edited = forgetful.with_graph(forgetful.graph_builder())
    with pytest.raises(ValueError, match="no node 'history'; add one"):
        edited.run("third", add_history_to_context=True)
    assert edited.run("third").content == "three"


def test_a_setting_that_is_no_part_of_the_graph_may_change(db, tmp_path):
    seen: list[Any] = []
    agent = Agent(ScriptedModel(["a", "b"]))
    edited = agent.with_graph(agent.graph_builder())
    edited.db, edited.on_event = db, seen.append
    edited.run("hello", session_id="s")
    assert db.get_session("s") is not None and seen[-1].type == "run_completed"


def test_an_agent_runs_on_any_graph_that_has_its_channels(way, db):
    class State(TypedDict):
        messages: Annotated[list[Message], add_messages, logged]
        session_state: Annotated[dict[str, Any], merge_keys]

    builder = StateGraph(State, name="mine")
    builder.add_node("answer", respond(ScriptedModel(["mine"])))
    builder.add_edge(START, "answer").add_edge("answer", END)
    agent = Agent("offline", name="helper", db=db, session_state={"n": 1}).with_graph(builder.compile())
    output = way.run(agent, "Hi", session_id="s")
    assert (output.content, output.session_state) == ("mine", {"n": 1})
    assert db.get_session("s").component_id == "helper" and db.get_session("s").session_type is SessionType.AGENT


def test_a_graph_without_the_channels_is_refused():
    class State(TypedDict):
        text: str

    builder = StateGraph(State, name="texts")
    builder.add_node("a", lambda state: None)
    builder.add_edge(START, "a").add_edge("a", END)
    with pytest.raises(GraphError, match="graph 'texts' has no field 'messages', which 'agent' keeps its sessions in"):
        Agent("offline").with_graph(builder)


def test_an_edited_team_keeps_its_members_and_can_be_one(way, db):
    leader, helper = ScriptedModel(["done"]), Agent(ScriptedModel([]), name="helper")
    team = Team([helper], model=leader, db=db)
    guarded = team.with_graph(moderated(team, "leader"))
    assert way.run(guarded, "bomb").content == "I would rather not."
    assert way.run(guarded, "Hi").content == "done"
    inner = Agent(ScriptedModel(["fine"]), name="inner")
    outer = Team([inner.with_graph(moderated(inner, "model"))], mode="broadcast", model=ScriptedModel(["summed up"]), db=db)
    output = way.run(outer, "bomb")
    assert output.content == "summed up" and output.tools[0].result == "I would rather not."


def test_an_edited_workflow_keeps_its_steps(way, db):
    def first(given: Any) -> str:
        return f"{given.input}!"

    def second(given: Any) -> str:
        return f"{given.message}?"

    told: list[str] = []
    workflow = Workflow([first, second], db=db, session_id="s")
    builder = workflow.graph_builder()
    builder.add_node("note", lambda state: told.append("between"))
    builder.remove_edge("first", "second").add_edge("first", "note").add_edge("note", "second")
    output = way.run(workflow.with_graph(builder), "tea")
    assert output.content == "tea!?" and list(output.steps) == ["first", "second"] and told == ["between"]
    assert db.get_session("s").session_type is SessionType.WORKFLOW


def test_a_built_graph_runs_by_itself(way, db):
    agent = Agent(ScriptedModel(["Hello"]), db=None)
    graph = moderated(agent, "model").compile(db=db)
    assert way.invoke(graph, {"messages": [("user", "Hi")]}, session_id="s")["messages"][-1].text == "Hello"
