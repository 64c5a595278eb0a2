"""Events of a team: who speaks, where, and that the tokens of the top level are the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, TypedDict

import pytest

from graphflow import END, START, Agent, MemoryPolicy, Message, StateGraph, Team, add_messages, logged
from graphflow.testing import ScriptedModel
from tests.team.conftest import calls, delegates, echo


def spoken(events, ns=""):
    """The tokens of a namespace, joined."""
    return "".join(event.text for event in events if event.type == "token" and event.ns == ns)


def test_members_are_told_to_start_and_to_end(way, db):
    team = Team([Agent(echo("re "), name="a")], model=ScriptedModel([delegates(a="go on"), "it is done"]), db=db)
    events = way.events(team, "q")
    (started,) = [event for event in events if event.type == "member_started"]
    (completed,) = [event for event in events if event.type == "member_completed"]
    assert (started.member, started.task, started.node, started.ns) == ("a", "go on", "a", "")
    assert (completed.member, completed.content) == ("a", "re go on")
    assert events.index(started) < events.index(completed)


def test_tokens_of_members_carry_their_name_and_namespace(way, db):
    leader = ScriptedModel([delegates(a="one", b="two"), "the answer of all"])
    team = Team([Agent(echo("A "), name="a"), Agent(echo("B "), name="b")], model=leader, db=db)
    events = way.events(team, "q")
    by_member = {}
    for event in events:
        if event.type == "token" and event.ns:
            by_member[event.member, event.ns] = by_member.get((event.member, event.ns), "") + event.text
    assert by_member == {("a", "a:1.0"): "A one", ("b", "b:1.1"): "B two"}
    assert spoken(events) == events[-1].output.content == "the answer of all"
    assert all("member" not in event.data for event in events if event.type == "token" and not event.ns)


@pytest.mark.parametrize("inside", [False, True], ids=["a team", "in a graph"])
def test_a_member_that_answers_for_its_team_is_told_once_among_messages(way, db, inside):
    members = [Agent(ScriptedModel(["it is", "it is"]), name="a"), Agent(echo(), name="b")]
    graph = Team(members, model=ScriptedModel([delegates(a="q")] * 2), mode="route", db=db).graph
    if inside:

        class Chat(TypedDict):
            messages: Annotated[list[Message], add_messages]

        graph = StateGraph(Chat).add_node("team", graph).add_edge(START, "team").add_edge("team", END).compile(db=db)
    for _ in range(2):
        parts = way.stream(graph, {"messages": [("user", "q")]}, session_id="s", stream_mode="messages")
        told = [part if isinstance(part, str) else part.text for part, _ in parts]
        assert "".join(told).count("it is") == 1


def answered(events):
    """The tokens of the top level; the first one after a node was started or an attempt anew begins a new reply."""
    said, begins = "", True
    for event in events:
        if event.type in ("node_started", "attempt_restarted"):
            begins = True
        elif event.type == "token" and not event.ns:
            said, begins = event.text if begins else said + event.text, False
    return said


@pytest.mark.parametrize(
    ("mode", "calling", "answer"),
    [
        ("coordinate", delegates(a="it"), "all is done"),
        ("coordinate", calls(("look", {})), "all is done"),
        ("route", delegates(a="it"), "re it"),
        ("broadcast", calls(("look", {})), "all is done"),
        ("tasks", calls(("create_task", {"title": "it"}), ("finish", {"result": "all is done"})), "all is done"),
    ],
)
def test_what_a_leader_says_before_it_calls_is_streamed_and_no_part_of_the_answer(way, db, mode, calling, answer):
    def look() -> str:
        """Look."""
        return "seen"

    model = ScriptedModel([replace(calling, content="Let me ask first."), "all is done"])
    team = Team([Agent(echo("re "), name="a")], mode=mode, model=model, tools=[look], db=db)
    events = way.events(team, "q")
    assert spoken(events).startswith("Let me ask first.")
    assert answered(events) == events[-1].output.content == answer


def test_a_member_that_speaks_for_the_team_may_call_tools_too(way, db):
    def look() -> str:
        """Look."""
        return "seen"

    member = Agent(ScriptedModel([replace(calls(("look", {})), content="Let me look."), "it is seen"]), name="a", tools=[look])
    team = Team([member], mode="route", model=ScriptedModel([delegates(a="it")]), db=db)
    team.update_memory_on_run, team.user_id, team.memory = True, "ann", MemoryPolicy(model=ScriptedModel(["nothing"]))
    events = way.events(team, "q")
    assert spoken(events) == "Let me look.it is seen"
    assert answered(events) == events[-1].output.content == "it is seen"


def test_a_member_without_tools_that_calls_some_still_answers_for_the_team(way, db):
    member = Agent(ScriptedModel([replace(calls(("look", {})), content="Let me look."), "I cannot look"]), name="a")
    team = Team([member], mode="route", model=ScriptedModel([delegates(a="it")]), db=db)
    events = way.events(team, "q")
    (taken_back,) = [event for event in events if event.type == "attempt_restarted"]
    assert (taken_back.ns, taken_back.member) == ("", "a"), "where its tokens are"
    assert answered(events) == events[-1].output.content == "I cannot look"


def test_in_route_mode_the_members_tokens_are_the_top_levels(way, db):
    team = Team([Agent(echo("the answer to "), name="a")], mode="route", model=ScriptedModel([delegates(a="it all")]), db=db)
    events = way.events(team, "q")
    tokens = [event for event in events if event.type == "token"]
    assert len(tokens) > 2
    assert {(event.ns, event.member) for event in tokens} == {("", "a")}
    assert spoken(events) == events[-1].output.content == "the answer to it all"


def test_a_member_without_a_model_that_is_routed_to_is_told_by_one_token(way, db):
    class Talk(TypedDict):
        messages: Annotated[list[Message], add_messages, logged]

    builder = StateGraph(Talk, name="clock")
    builder.add_node("tell", lambda talk: {"messages": [Message("assistant", "it is noon")]})
    builder.add_edge(START, "tell")
    builder.add_edge("tell", END)
    team = Team([builder.compile()], mode="route", model=ScriptedModel([delegates(clock="the time")]), db=db)
    events = way.events(team, "q")
    assert spoken(events) == events[-1].output.content == "it is noon"


def test_a_route_inside_a_route_speaks_at_the_top(way, db):
    inner = Team([Agent(echo("deep "), name="leaf")], mode="route", model=ScriptedModel([delegates(leaf="x")]), name="inner")
    team = Team([inner], mode="route", model=ScriptedModel([delegates(inner="y")]), db=db)
    events = way.events(team, "q")
    assert spoken(events) == events[-1].output.content == "deep x"
    assert [(event.member, event.ns) for event in events if event.type == "member_started"] == [
        ("inner", ""),
        ("leaf", "inner:1.0"),
    ]


def test_of_a_coordinating_team_that_is_routed_to_only_its_leader_speaks_at_the_top(way, db):
    inner = Team([Agent(echo("leaf "), name="leaf")], model=ScriptedModel([delegates(leaf="x"), "inner says"]), name="inner")
    team = Team([inner], mode="route", model=ScriptedModel([delegates(inner="y")]), db=db)
    events = way.events(team, "q")
    assert spoken(events) == events[-1].output.content == "inner says"
    assert [event.member for event in events if event.type == "token" and event.ns] == ["leaf", "leaf"]


@pytest.mark.parametrize("mode", ["broadcast", "tasks"])
def test_the_top_levels_tokens_are_the_content_in_every_mode(way, db, mode):
    replies = ["the sum of it"] if mode == "broadcast" else [calls(("finish", {"result": "the sum of it"}))]
    events = way.events(Team([Agent(echo("re "))], mode=mode, model=ScriptedModel(replies), db=db), "q")
    assert spoken(events) == events[-1].output.content == "the sum of it"


def test_what_members_say_is_not_printed_as_the_answer(db, capsys):
    team = Team([Agent(echo("whispered "), name="a")], model=ScriptedModel([delegates(a="x"), "said aloud"]), db=db)
    team.print_response("q")
    out = capsys.readouterr().out
    assert "said aloud" in out and "whispered" not in out.split("Response")[-1]
