"""Workflows as members of teams: the task is the input, the content is the answer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from graphflow import Agent, Message, RunStatus, Team, Workflow
from graphflow.errors import ModelError
from graphflow.messages import ImagePart, TextPart, ToolCall
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from graphflow.workflow import Step, StepInput
from tests.team.conftest import calls, delegates, echo, system, texts


def collect(step: StepInput) -> str:
    return f"facts about {step.input}"


def article(*steps: Any, **settings: Any) -> Workflow:
    return Workflow([collect, *steps], name="article", **settings)


def test_a_workflow_is_a_member_whose_input_is_the_task(way, db):
    writer = echo("wrote: ")
    leader = ScriptedModel([delegates(article="tea"), "done"])
    output = way.run(Team([article(Agent(writer, name="write"))], model=leader, db=db, session_id="s"), "q")
    assert (output.content, output.tools[0].result) == ("done", "wrote: facts about tea")
    assert "- article: steps: collect, write" in system(leader.requests[0])
    assert {run.ns for run in db.get_runs("s", include_members=True)} == {"", "article", "article/write"}
    own = [message.text for message in db.get_messages("s", include_members=True)]
    assert own[-4:] == ["tea", "wrote: facts about tea", "wrote: facts about tea", "done"]
    assert db.check().ok


def test_agents_of_a_member_workflow_without_a_model_ask_the_teams(way):
    model = ScriptedModel([delegates(article="tea"), "written", "done"])
    assert way.run(Team([article(Agent(name="write"))], model=model), "q").content == "done"
    assert texts(model.requests[1]) == ["facts about tea"]


def test_a_content_that_is_no_text_is_read_as_json(way):
    def count(step: StepInput) -> dict[str, int]:
        return {"letters": len(step.input)}

    team = Team([Workflow([count], name="count")], model=ScriptedModel([delegates(count="tea"), "done"]))
    assert way.run(team, "q").tools[0].result == '{"letters":3}'


def test_the_content_of_a_routed_workflow_is_the_answer_and_is_streamed_as_that(way, db):
    team = Team([article()], mode="route", model=ScriptedModel([delegates(article="tea")]), db=db)
    *events, last = way.events(team, "q")
    assert last.output.content == "facts about tea"
    assert "".join(event.text for event in events if event.type == "token" and not event.ns) == "facts about tea"
    assert [event.data["member"] for event in events if event.type == "token"] == ["article"]


def test_a_workflow_works_on_a_task_of_the_list(way, db):
    leader = ScriptedModel(
        [
            calls(
                ("create_task", {"title": "tea", "description": "green"}),
                ("execute_task", {"task_id": "1", "member_id": "article"}),
            ),
            calls(("finish", {"result": "finished"})),
        ]
    )
    output = way.run(Team([article()], mode="tasks", model=leader, db=db), "q")
    assert (output.content, output.tools[1].result) == ("finished", "facts about tea\n\ngreen")


def test_a_broadcast_is_the_input_of_a_member_workflow(way):
    output = way.run(Team([article()], mode="broadcast", model=ScriptedModel(["summed up"])), "tea")
    assert output.tools[0].result == "facts about tea"


def test_a_broadcast_conversation_reaches_the_agents_of_a_member_workflow(way, db):
    writer = echo()
    team = Team([Workflow([Agent(writer, name="write")])], mode="broadcast", model=ScriptedModel(["ok"]), db=db)
    way.run(team, [Message("user", "I live in Oslo"), Message("assistant", "Noted"), Message("user", "Where?")])
    assert texts(writer.requests[0]) == ["I live in Oslo", "Noted", "Where?"]


def test_pictures_of_the_user_are_part_of_the_input(way, db):
    seen: list[Any] = []
    image = ImagePart(data=b"png")
    look = Workflow([lambda step: seen.append(step.input) or "a cat"], name="look")
    way.run(Team([look], model=ScriptedModel([delegates(look="what is it?"), "ok"]), db=db), ["Look", image])
    assert seen == [Message("user", [TextPart(text="what is it?"), image])]


def test_a_member_workflow_goes_on_at_the_step_that_failed(way, db):
    collected: list[str] = []

    def gather(step: StepInput) -> str:
        collected.append(step.input)
        return "facts"

    writer = ScriptedModel([ModelError("down"), "written"])
    leader = ScriptedModel([delegates(article="tea"), "done"])

    def team() -> Team:  # as another process would make it
        return Team([Workflow([gather, Agent(writer, name="write")], name="article")], model=leader, db=db, session_id="s")

    with pytest.raises(ModelError, match="down"):
        way.run(team(), "q")
    output = way.resume(team(), "s")
    assert (output.tools[0].result, collected, len(leader.requests)) == ("written", ["tea"], 2)
    assert db.check().ok


def test_a_review_in_a_member_workflow_pauses_the_team(way, db):
    leader = ScriptedModel([delegates(article="tea"), "done"])
    team = Team([Workflow([Step("draft", collect, review=True)], name="article")], model=leader, db=db, session_id="s")
    paused = way.run(team, "q")
    assert (paused.status, paused.interrupts[0].value["content"]) == (RunStatus.PAUSED, "facts about tea")
    assert way.resume(team, "s", True).content == "done"


def test_a_member_workflow_has_a_history_of_its_own(way, db):
    told: list[Any] = []
    diary = Workflow(
        [lambda step: told.append([run.input for run in step.workflow_session.history]) or "ok"],
        name="diary",
        add_workflow_history=True,
    )
    leader = ScriptedModel([delegates(diary="one"), "x", delegates(diary="two"), "y"])
    team = Team([diary], model=leader, db=db, session_id="s")
    way.run(team, "q")
    way.run(team, "r")
    assert told == [[], ["one"]]


def test_a_workflow_that_wants_an_object_cannot_be_a_member():
    class Order(BaseModel):
        item: str

    with pytest.raises(ValueError, match="give a Workflow without input_schema"):
        Team([article(input_schema=Order)], model="offline")
    Team([article(input_schema=str)], model="offline")


def test_the_answer_of_a_member_that_knows_no_schema_is_checked_before_the_run_is_completed(way, db):
    class Answer(BaseModel):
        x: int

    asks = Reply(tool_calls=[ToolCall("1", "delegate_task_to_member", {"member_id": "wf", "task": "go"})])

    def team(session_id: str) -> Team:
        flow = Workflow([lambda given: "hello"], name="wf")
        return Team([flow], mode="route", model=ScriptedModel([asks]), output_schema=Answer, db=db, session_id=session_id)

    with pytest.raises(ModelError):
        way.run(team("s"), "x")
    assert [run.status for run in db.get_runs("s")] == ["error"]
    told: list[str] = []
    failing = team("t")
    failing.on_event = lambda event: told.append(event.type)
    with pytest.raises(ModelError):
        way.events(failing, "x")
    assert told[-1] == "run_failed"
