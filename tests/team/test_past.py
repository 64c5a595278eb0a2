"""Summaries and memories of teams: switched on as for agents, in every mode."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from graphflow import Agent, MemoryPolicy, SummaryPolicy, Team
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from tests.team.conftest import calls, delegates, echo, system, texts

MODES = ["coordinate", "route", "broadcast", "tasks"]


def leader_of(mode: str, turns: int) -> ScriptedModel:
    """A leader that has its one member say something in each turn, as far as its mode has it do so."""
    turn: list[Any] = {
        "coordinate": [delegates(a="work"), "answered"],
        "route": [delegates(a="work")],
        "broadcast": ["answered"],
        "tasks": [
            calls(("create_task", {"title": "work"}), ("execute_task", {"task_id": "1", "member_id": "a"})),
            calls(("finish", {"result": "answered"})),
        ],
    }[mode]
    return ScriptedModel(turn * turns)


@pytest.mark.parametrize("mode", MODES)
def test_a_team_summarises_its_session_when_that_is_due(way, db, mode):
    leader, other = leader_of(mode, 5), ScriptedModel(itertools.repeat("They worked."))
    summary = SummaryPolicy(model=other, after_messages=9, keep_last=2)
    team = Team(
        [Agent(echo(), name="a")],
        mode=mode,
        model=leader,
        db=db,
        session_id="s",
        enable_session_summaries=True,
        summary=summary,
    )
    for n in range(4):
        assert way.run(team, f"question {n}").status == "completed"
    assert team.get_session_summary() == "They worked."
    assert 1 <= len(other.requests) <= 4
    assert "question 0" in other.requests[0].messages[-1].text
    way.run(team, "question 4")
    assert "Summary of the conversation so far:\nThey worked." in system(leader.requests[-1])
    assert "question 0" not in texts(leader.requests[-1])
    assert db.check().ok


@pytest.mark.parametrize("mode", MODES)
def test_a_team_remembers_what_the_user_says_and_recalls_it_in_other_sessions(way, db, mode):
    keeper = ScriptedModel([json.dumps({"add": ["Loves pizza"]}), "{}"])
    leader = leader_of(mode, 2)
    team = Team(
        [Agent(echo(), name="a")],
        mode=mode,
        model=leader,
        db=db,
        update_memory_on_run=True,
        memory=MemoryPolicy(model=keeper),
    )
    way.run(team, "I love pizza", session_id="one", user_id="ann")
    assert [memory.memory for memory in team.get_user_memories("ann")] == ["Loves pizza"]
    way.run(team, "What do I like?", session_id="two", user_id="ann")
    assert "- Loves pizza" in system(leader.requests[-1])
    assert {"recall", "remember", "leader", "a"} <= set(team.graph.plan.nodes)
    assert db.check().ok


def test_a_leader_has_tools_about_memories(way, db):
    leader = ScriptedModel([calls(("add_memory", {"memory": "Loves tea"})), "noted"])
    team = Team([Agent(echo())], model=leader, db=db, enable_agentic_memory=True)
    assert way.run(team, "Remember that I love tea", session_id="s", user_id="ann").content == "noted"
    assert [memory.memory for memory in team.get_user_memories("ann")] == ["Loves tea"]


def test_a_member_recalls_what_is_known_of_the_user(way, db):
    db.add_user_memory("ann", "Loves pizza")
    model = ScriptedModel([Reply("a pizza")])
    member = Agent(model, name="a", enable_agentic_memory=True)
    way.run(Team([member], model=leader_of("coordinate", 1), db=db), "Dinner?", session_id="s", user_id="ann")
    assert "Loves pizza" in system(model.requests[0])


def test_a_summary_of_a_team_may_be_asked_for(way, db):
    team = Team([Agent(echo(), name="a")], model=leader_of("coordinate", 1), db=db, session_id="s")
    way.run(team, "work, please")
    team.model = ScriptedModel(["It was all work."])
    assert way.summarize(team) == "It was all work." == team.get_session_summary()


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="no setting 'enable_summaries'; did you mean 'enable_session_summaries'"):
        Team([Agent("offline")], enable_summaries=True)  # type: ignore[call-arg]


def test_a_member_takes_nothing_of_what_the_leader_says_for_words_of_the_user(way, db):
    keeper = ScriptedModel([json.dumps({"add": ["The leader wants a poem"]})])
    member = Agent(echo(), name="a", update_memory_on_run=True, memory=MemoryPolicy(model=keeper))
    with pytest.warns(UserWarning, match="the member a has update_memory_on_run=True, but .* to the Team"):
        team = Team([member], model=ScriptedModel([delegates(a="Write a poem"), "done"]), db=db)
    assert way.run(team, "Something nice, please", session_id="s", user_id="ann").content == "done"
    assert (keeper.requests, team.get_user_memories("ann")) == ([], [])


def test_a_team_that_remembers_may_have_members_that_recall(way, db):
    db.add_user_memory("ann", "Loves pizza")
    keeper, model = MemoryPolicy(model=ScriptedModel(["{}"])), echo()
    member = Agent(model, name="a", update_memory_on_run=True)
    leader = leader_of("coordinate", 1)
    team = Team([member], model=leader, db=db, update_memory_on_run=True, memory=keeper)
    way.run(team, "Dinner?", session_id="s", user_id="ann")
    assert "Loves pizza" in system(model.requests[0]) and "Loves pizza" in system(leader.requests[0])


def test_a_member_has_a_summary_of_its_own(way, db):
    model, keeper = echo("re "), ScriptedModel(itertools.repeat("What a did."))
    summary = SummaryPolicy(model=keeper, after_messages=4, keep_last=1)
    member = Agent(model, name="a", enable_session_summaries=True, summary=summary)
    team = Team([member], model=leader_of("coordinate", 5), db=db, session_id="s")
    for n in range(5):
        way.run(team, f"question {n}")
    assert "What a did." in system(model.requests[-1])
    assert team.get_session_summary() is None
