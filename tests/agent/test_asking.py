"""What is asked of sessions outside of a run: history, state, summary, memories, forks; plainly and for asyncio."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphflow import END, START, Agent, Message, RunStatus, StateGraph, Workflow, add_messages, logged, merge
from graphflow.errors import NoDatabase, SessionNotFound
from graphflow.testing import ScriptedModel
from tests.conftest import Way

QUESTIONS = ("get_chat_history", "get_session_state", "get_session_summary", "fork")


def chat(db: Any, **settings: Any) -> Agent:
    return Agent(ScriptedModel(["one", "two", "three", "four"]), db=db, **settings)


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def test_everything_that_is_stored_of_a_session_can_be_asked_for(way: Way, db: Any) -> None:
    agent = chat(db, session_id="s", user_id="ann", session_state={"n": 1})
    agent.run("hello")
    db.add_user_memory("ann", "likes tea")
    assert texts(way.get_chat_history(agent)) == ["hello", "one"]
    assert way.get_session_state(agent) == {"n": 1}
    assert way.get_session_summary(agent) is None
    assert way.summarize(agent) == way.get_session_summary(agent) == "two"
    assert [each.memory for each in way.get_user_memories(agent)] == ["likes tea"]


def test_a_fork_names_the_new_session_and_stops_at_a_checkpoint(way: Way, db: Any) -> None:
    agent = chat(db, session_id="s")
    agent.run("hello")
    first = agent.graph.get_state("s").seq
    agent.run("again")
    assert way.fork(agent, "s", at=first, session_id="copy") == "copy"
    assert texts(agent.get_chat_history("copy")) == ["hello", "one"]
    assert texts(agent.get_chat_history(way.fork(agent))) == ["hello", "one", "again", "two"], "its own session, all of it"
    with pytest.raises(ValueError, match="there is a session 'copy' already"):
        way.fork(agent, session_id="copy")


def test_a_fork_in_the_middle_of_a_run_goes_on_or_takes_another_question(way: Way, db: Any) -> None:
    agent = chat(db, session_id="s")
    agent.run("hello")
    for_resume, for_question = way.fork(agent, "s", at=0), way.fork(agent, "s", at=0)
    assert [run.status for run in db.get_runs(for_resume)] == [RunStatus.PAUSED]
    assert isinstance(db.get_runs(for_resume)[0].status, RunStatus)
    model = ScriptedModel(["resumed", "answered"])
    other = Agent(model, db=db)
    assert way.resume(other, for_resume).content == "resumed"
    assert way.run(other, "and now?", session_id=for_question).content == "answered"
    assert texts(model.requests[-1].messages) == ["hello", "and now?"]


def test_a_workflow_is_asked_like_an_agent(way: Way, db: Any) -> None:
    workflow = Workflow([lambda step: "done"], db=db, session_id="w", session_state={"n": 1})
    workflow.run("go")
    assert texts(way.get_chat_history(workflow))[0] == "go" and way.get_session_state(workflow) == {"n": 1}
    assert way.get_session_state(workflow, way.fork(workflow, session_id="copy")) == {"n": 1}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_cannot_be_answered_is_said(way: Way, db: Any, question: str) -> None:
    with pytest.raises(NoDatabase, match="give db="):
        getattr(way, question)(Agent("offline"))
    with pytest.raises(ValueError, match="which session"):
        getattr(way, question)(chat(db))
    with pytest.raises(SessionNotFound, match="'nowhere'"):
        getattr(way, question)(chat(db), "nowhere")


class Talk(BaseModel):
    messages: Annotated[list[Message], add_messages, logged] = []
    session_state: Annotated[dict[str, Any], merge] = {}


def test_the_state_of_a_session_is_a_dict_whatever_form_the_graph_declares(way: Way, db: Any) -> None:
    def note(state: Talk) -> dict[str, Any]:
        return {"session_state": {"asked": len(state.messages)}, "messages": [Message("assistant", "noted")]}

    graph = StateGraph(Talk).add_node(note).add_edge(START, "note").add_edge("note", END)
    agent = chat(db, session_id="s").with_graph(graph)
    agent.run("hello")
    assert way.get_session_state(agent) == {"asked": 1}
