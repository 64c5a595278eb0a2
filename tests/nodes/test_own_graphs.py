"""Ready-made nodes in graphs of users' own: none of them needs an Agent or a Team around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphflow import END, START, Graph, Message, Send, StateGraph, ToolCall, add_messages, logged, untracked
from graphflow.errors import GraphError
from graphflow.models.base import Model, Reply
from graphflow.testing import ScriptedModel
from graphflow_nodes import (
    call_tools,
    delegate,
    delegation_tool,
    delegations,
    history,
    recall,
    remember,
    respond,
    summarize,
    unless_answered,
    wanted_calls,
    when_due,
)


class Talk(TypedDict):
    messages: Annotated[list[Message], add_messages, logged]
    history: Annotated[list[Message], untracked]
    memories: Annotated[list[str], untracked]
    summary: Annotated[str, untracked]


def said(text: str) -> dict[str, Any]:
    return {"messages": [("user", text)]}


def remembering(db: Any, model: Model, keeper: Model, summariser: Model) -> Graph:
    """A conversation that reads, answers, remembers beside that and summarises after it, wired by hand."""
    builder = StateGraph(Talk)
    builder.add_node("history", history(last_runs=None, since_summary="summary"), rerunnable=True)
    builder.add_node("recall", recall(), rerunnable=True)
    builder.add_node("answer", respond(model, instructions="Be brief."))
    builder.add_node("remember", remember(keeper))
    builder.add_node("summarize", summarize(summariser, after_messages=3, keep_last=1))
    builder.add_edge(START, "history").add_edge("history", "recall")
    builder.add_edge("recall", "answer").add_edge("recall", "remember")
    builder.add_conditional_edges("answer", when_due(wanted_calls(), after_messages=3), ["summarize", END])
    builder.add_edge("remember", END).add_edge("summarize", END)
    return builder.compile(db=db)


def test_a_graph_wired_by_hand_has_a_past_memories_and_a_summary(way: Any, db: Any) -> None:
    model, summariser = ScriptedModel(["one", "two", "three"]), ScriptedModel(["Ann said hello twice."])
    keeper = ScriptedModel(['{"add": [{"memory": "The name of the user is Ann."}]}', "{}", "{}"])
    graph = remembering(db, model, keeper, summariser)
    for text in ("I am Ann", "Hello again", "And now?"):
        assert way.invoke(graph, said(text), session_id="s", user_id="ann").status == "completed"
    first, second, third = ([message.text for message in request.messages] for request in model.requests)
    assert first == ["Be brief.", "I am Ann"]
    assert second[1:] == ["I am Ann", "one", "Hello again"] and "The name of the user is Ann." in second[0]
    assert third[1:] == ["two", "And now?"], "what the summary tells is not told again"
    assert "Ann said hello twice." in third[0] and "The name of the user is Ann." in third[0]
    assert len(summariser.requests) == 1, "no summary is made before one is due"
    assert [memory.memory for memory in db.get_user_memories("ann")] == ["The name of the user is Ann."]
    assert db.get_session_summary("s") == "Ann said hello twice."


def test_a_graph_wired_by_hand_hands_work_to_a_member(way: Any, db: Any) -> None:
    expert = ScriptedModel(["42"])
    inner = StateGraph(Talk, name="expert").add_node("answer", respond(expert))
    member = inner.add_edge(START, "answer").add_edge("answer", END).compile()
    call = ToolCall("c1", "delegate_task_to_member", {"member_id": "expert", "task": "What is six times seven?"})
    leader = ScriptedModel([Reply(tool_calls=[call]), "It is 42."])

    builder = StateGraph(Talk)
    builder.add_node("leader", respond(leader, tools=[delegation_tool(["expert"])]))
    builder.add_node("expert", delegate(member))
    builder.add_edge(START, "leader").add_edge("expert", "leader")
    builder.add_conditional_edges("leader", delegations(["expert"]), ["expert", END])
    result = way.invoke(builder.compile(db=db), said("Six times seven?"), session_id="s")

    told = [(message.role, message.text) for message in result["messages"]]
    assert told == [("user", "Six times seven?"), ("assistant", ""), ("tool", "42"), ("assistant", "It is 42.")]
    assert [message.text for message in expert.requests[0].messages] == ["What is six times seven?"]
    assert [message.text for message in db.get_messages("s")] == ["Six times seven?", "", "42", "It is 42."]
    members = db.get_runs("s", include_members=True)
    assert [(run.ns, run.status) for run in members] == [("", "completed"), ("expert", "completed")]


def test_a_graph_wired_by_hand_has_a_member_answer_and_runs_the_tools_beside_it(way: Any, db: Any) -> None:
    def ticket(of: str) -> str:
        """Open a ticket."""
        return f"ticket of {of}"

    member = StateGraph(Talk, name="expert").add_node("answer", respond(ScriptedModel(["42"])))
    call = ToolCall("c1", "delegate_task_to_member", {"member_id": "expert", "task": "Count."})
    leader = ScriptedModel([Reply(tool_calls=[call, ToolCall("c2", "ticket", {"of": "Ann"})])])
    tools = [delegation_tool(["expert"]), ticket]

    builder = StateGraph(Talk)
    builder.add_node("leader", respond(leader, tools=tools)).add_node("tools", call_tools(tools))
    builder.add_node("expert", delegate(member.add_edge(START, "answer").add_edge("answer", END).compile(), final=True))
    builder.add_edge(START, "leader").add_edge("expert", END)
    builder.add_conditional_edges("leader", delegations(["expert"], single=True), ["expert", "tools", END])
    builder.add_conditional_edges("tools", unless_answered(), ["leader", END])
    result = way.invoke(builder.compile(db=db), said("Count."), session_id="s")

    told = [(message.role, message.text) for message in result["messages"][2:]]
    assert told == [("tool", "ticket of Ann"), ("tool", "expert answers the user."), ("assistant", "42")]


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def only_answer() -> Graph:
    builder = StateGraph(Talk, name="expert").add_node("answer", respond(ScriptedModel([])))
    return builder.add_edge(START, "answer").add_edge("answer", END).compile()


@pytest.mark.parametrize(
    ("node", "router"), [(call_tools([add]), "wanted_calls"), (delegate(only_answer()), "delegations")], ids=["tools", "member"]
)
def test_a_node_for_one_call_that_an_edge_leads_to_names_the_router_it_needs(way: Any, node: Any, router: str) -> None:
    leader = ScriptedModel([Reply(tool_calls=[ToolCall("c1", "add", {"a": 1, "b": 2})])])
    builder = StateGraph(Talk).add_node("leader", respond(leader, tools=[add])).add_node("tools", node)
    builder.add_edge(START, "leader").add_edge("leader", "tools").add_edge("tools", END)
    told = rf"node 'tools' carries out one tool call, and was given a dict: each call needs a Send.*add_.*_edges\(…, {router}\("
    with pytest.raises(GraphError, match=told):
        way.invoke(builder.compile(), said("One and two?"))


@dataclass
class TalkDataclass:
    messages: Annotated[list[Message], add_messages, logged] = field(default_factory=list)
    history: Annotated[list[Message], untracked] = field(default_factory=list)


class TalkModel(BaseModel):
    messages: Annotated[list[Message], add_messages, logged] = []
    history: Annotated[list[Message], untracked] = []


CALL = ToolCall("c1", "delegate_task_to_member", {"member_id": "expert", "task": "Count."})


def test_messages_that_are_none_are_named_with_the_declaration_that_makes_them_some(way: Any) -> None:
    class Plain(TypedDict):
        messages: list

    builder = StateGraph(Plain).add_node("model", respond(ScriptedModel([]))).add_edge(START, "model").add_edge("model", END)
    with pytest.raises(GraphError, match=r"\('user', 'hi'\), which is no Message: declare .* Annotated\[list\[Message\], add_"):
        way.invoke(builder.compile(), {"messages": [("user", "hi")]})


@pytest.mark.parametrize("node", [respond, summarize, remember])
def test_a_node_that_asks_a_model_is_given_one_or_a_function_that_gives_one(node: Any) -> None:
    for text in ("offline", None):
        with pytest.raises(ValueError, match=r"a Model \(resolve_model makes one of a text\), or a function that gives one"):
            node(text)
    assert node(ScriptedModel([])) and node(lambda: ScriptedModel([]))


@pytest.mark.parametrize("form", [Talk, TalkDataclass, TalkModel])
def test_routers_read_a_state_of_any_form(form: Any) -> None:
    asks = form(messages=[Message("assistant", "", tool_calls=[CALL])], history=[])
    ends = form(messages=[Message("assistant", "Done.")], history=[Message("user", "a"), Message("assistant", "b")])
    assert wanted_calls()(asks) == [Send("tools", CALL)] and wanted_calls()(ends) == [END]
    assert delegations(["expert"])(asks) == [Send("expert", CALL)] and delegations(["expert"])(ends) == [END]
    called = form(messages=[Message("assistant", "", tool_calls=[CALL]), Message("tool", "4", tool_call_id="c1")], history=[])
    assert unless_answered()(called) == ["leader"] and unless_answered()(ends) == [END]
    due, not_due = (when_due(wanted_calls(), after_messages=most) for most in (2, 3))
    assert due(ends) == ["summarize"] and not_due(ends) == [END] and due(asks) == [Send("tools", CALL)]
