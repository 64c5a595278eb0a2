"""A team that works through a list of tasks."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import BaseModel

from graphflow import Agent, Message, Reply, Team, ToolCall
from graphflow.errors import ModelError
from graphflow.testing import ScriptedModel
from tests.team.conftest import calls, delegates, echo


def create(title: str, *depends_on: str, description: str = "") -> tuple[str, dict[str, Any]]:
    return "create_task", {"title": title, "description": description, "depends_on": list(depends_on)}


def execute(task_id: str, member_id: str = "a") -> tuple[str, dict[str, Any]]:
    return "execute_task", {"task_id": task_id, "member_id": member_id}


def execute_all(*pairs: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    return "execute_tasks", {"assignments": [{"task_id": task, "member_id": member} for task, member in pairs]}


def finish(result: str) -> tuple[str, dict[str, Any]]:
    return "finish", {"result": result}


def answers(request: Any) -> list[str]:
    """The tool messages at the end of a request."""
    found: list[str] = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        found.insert(0, message.text)
    return found


def team_of(leader: Any, **options: Any) -> Team:
    members = {"a": Agent(echo("a did "), name="a"), "b": Agent(echo("b did "), name="b")}
    return Team([members["a"], members["b"]], mode="tasks", model=leader, **options)


def test_tasks_are_made_done_and_finished(way, db):
    leader = ScriptedModel(
        [
            calls(create("collect"), create("write", "task-1", description="Two lines.")),
            calls(execute("task-1", "a")),
            calls(("list_tasks", {}), execute("task-2", "b")),
            calls(finish("The text")),
        ]
    )
    output = way.run(team_of(leader, db=db, session_id="s"), "A text, please")
    assert output.content == "The text"
    assert answers(leader.requests[1]) == ["Created task-1: collect", "Created task-2: write"]
    assert answers(leader.requests[2]) == ["a did collect"]
    listed, done = answers(leader.requests[3])
    assert listed == "task-1 [done by a] collect\ntask-2 [open, after task-1] write"
    assert done == (
        "b did write\n\nTwo lines.\n\nWhat other members of the team said so far:\n- a (asked: collect): a did collect"
    )
    assert db.check().ok


def test_tasks_executed_together_run_at_the_same_time(way, db):
    meeting = threading.Barrier(2, timeout=20)

    def meet(request: Any) -> str:
        meeting.wait()
        return f"met over {request.messages[-1].text}"

    members = [Agent(ScriptedModel([meet]), name=name) for name in ("a", "b")]
    leader = ScriptedModel(
        [calls(create("x"), create("y"), execute_all(("task-1", "a"), ("task-2", "b"))), calls(finish("done"))]
    )
    team = Team(members, mode="tasks", model=leader, db=db, session_id="s")
    assert way.run(team, "q").content == "done"
    assert answers(leader.requests[1]) == [
        "Created task-1: x",
        "Created task-2: y",
        "task-1, by a: met over x\n\ntask-2, by b: met over y",
    ]


def test_two_executions_of_one_message_run_in_parallel_by_one_member(way, db):
    leader = ScriptedModel([calls(create("x"), create("y")), calls(execute("task-1"), execute("task-2")), calls(finish("ok"))])
    way.run(team_of(leader, db=db), "q")
    assert answers(leader.requests[2]) == ["a did x", "a did y"]


def test_a_task_waits_for_what_it_depends_on(way, db):
    leader = ScriptedModel(
        [
            calls(create("x"), create("y", "task-1")),
            calls(execute("task-2")),
            calls(execute_all(("task-1", "a"), ("task-2", "b"))),
            calls(execute("task-1"), execute("task-2")),
            calls(execute("task-1")),
            calls(finish("ok")),
        ]
    )
    way.run(team_of(leader, db=db), "q")
    assert answers(leader.requests[2]) == ["task-2 depends on task-1 (open); have that done first."]
    assert answers(leader.requests[3]) == [
        "task-2 depends on task-1 (open); have that done first.\nNone of these tasks was started."
    ]
    assert sorted(answers(leader.requests[4])) == ["a did x", "task-2 depends on task-1 (running); have that done first."]
    assert answers(leader.requests[5]) == ["task-1 is done; create another task for more work."]


def test_mistakes_are_messages_the_leader_sees(way, db):
    leader = ScriptedModel(
        [
            calls(create("x", "task-9"), execute("task-7"), ("create_task", {}), ("nonsense", {}), ("list_tasks", {})),
            calls(create("x"), execute("task-1", "nobody"), execute_all(), execute_all(("task-1", "a"), ("1", "b"))),
            calls(finish("too early"), ("list_tasks", {})),
            calls(finish("ok")),
        ]
    )
    output = way.run(team_of(leader, db=db), "q")
    assert output.content == "ok"
    said = answers(leader.requests[1])
    assert "Not created: there is no task 'task-9' to depend on. The tasks are: none." in said
    assert "There is no task 'task-7'. The tasks are: none." in said
    assert any("title: Field required" in text for text in said)
    assert any("There is no tool 'nonsense'. The tools are: create_task" in text for text in said)
    assert "There are no tasks yet." in said
    assert answers(leader.requests[2]) == [
        "Created task-1: x",
        "There is no member 'nobody'. The members are: a, b.",
        "There is nothing to execute.",
        "The same task is in the list twice.\nNone of these tasks was started.",
    ]
    assert answers(leader.requests[3])[0].startswith("Not finished: call finish alone")


def test_tasks_are_meant_by_number_and_title_too(way):
    leader = ScriptedModel(
        [
            calls(("create_task", {"title": "First"}), ("create_task", {"title": "Second", "depends_on": [1]})),
            calls(("execute_task", {"task_id": 1, "member_id": "A"})),
            calls(("execute_tasks", {"tasks": [{"task_id": "second", "member_id": "b"}]})),
            calls(finish("ok")),
        ]
    )
    way.run(team_of(leader), "q")
    assert answers(leader.requests[2]) == ["a did First"]
    assert answers(leader.requests[3])[0].startswith("task-2, by b: b did Second")


def test_the_list_is_that_of_one_run_and_is_stored(way, db):
    leader = ScriptedModel([calls(create("x")), calls(finish("1")), calls(("list_tasks", {})), calls(create("y")), "2"])
    team = team_of(leader, db=db, session_id="s")
    way.run(team, "q")
    assert team.graph.get_state("s").values["tasks"]["task-1"].title == "x"
    assert way.run(team, "r").content == "2"
    assert answers(leader.requests[3]) == ["There are no tasks yet."]
    assert answers(leader.requests[4]) == ["Created task-1: y"]


def test_interactions_are_shared_beyond_dependencies_when_asked_for(way):
    leader = ScriptedModel([calls(create("x"), create("y")), calls(execute("1", "a")), calls(execute("2", "b")), "ok"])
    way.run(team_of(leader, share_member_interactions=True), "q")
    assert answers(leader.requests[3])[0].endswith("so far:\n- a (asked: x): a did x")


def test_a_leader_that_goes_on_and_on_has_to_answer(way):
    leader = ScriptedModel([calls(("list_tasks", {}))] * 3 + ["enough"])
    assert way.run(team_of(leader, max_iterations=3), "q").content == "enough"
    assert leader.requests[2].tools and not leader.requests[3].tools
    stubborn = ScriptedModel([calls(("list_tasks", {}))] * 4)
    with pytest.raises(ModelError, match=r"the model was asked 3 times, its limit, .* a higher max_iterations="):
        way.run(team_of(stubborn, max_iterations=3), "q")


def test_what_a_conversation_holds_already_is_no_turn_of_the_leader(way):
    leader = ScriptedModel([calls(("list_tasks", {})), "enough"])
    before = [Message("user", "Hello"), Message("assistant", "Hello!"), Message("user", "A text, please")]
    assert way.run(team_of(leader, max_iterations=1), before).content == "enough"
    assert [bool(request.tools) for request in leader.requests] == [True, False]


def test_calls_that_share_an_id_are_all_carried_out(way, db):
    same = [ToolCall("c", name, arguments) for name, arguments in (execute("1", "a"), execute("9"), ("list_tasks", {}))]
    leader = ScriptedModel([calls(create("collect")), Reply(tool_calls=same), calls(finish("The text"))])
    output = way.run(team_of(leader, db=db, session_id="s"), "A text, please")
    assert [execution.result for execution in output.tools[1:4]] == [
        "a did collect",
        "There is no task '9'. The tasks are: task-1.",
        "task-1 [running by a] collect",
    ]
    assert len({execution.id for execution in output.tools[1:4]}) == 3


def test_a_leader_may_use_tools_beside_the_list(way, db):
    def clock() -> str:
        """The time."""
        return "noon"

    leader = ScriptedModel([calls(create("x"), ("clock", {}), execute("1")), calls(("clock", {})), calls(finish("ok"))])
    way.run(team_of(leader, tools=[clock], db=db), "q")
    assert sorted(answers(leader.requests[1])) == ["Created task-1: x", "a did x", "noon"]
    assert answers(leader.requests[2]) == ["noon"]


class Sum(BaseModel):
    total: int


def test_the_result_has_the_schema_that_is_asked_for(way):
    leader = ScriptedModel([calls(finish("five")), calls(finish('{"total": 5}'))])
    assert way.run(team_of(leader, output_schema=Sum), "q").content == Sum(total=5)
    assert "Not finished: the model's answer is not a Sum" in answers(leader.requests[1])[0]


def test_a_crash_in_a_task_goes_on_with_that_task(way, db):
    finished = ScriptedModel(["kept"])
    fails = ScriptedModel([ModelError("down"), "mended"])
    leader = ScriptedModel([calls(create("x"), create("y"), execute_all(("1", "a"), ("2", "b"))), calls(finish("ok"))])
    team = Team([Agent(finished, name="a"), Agent(fails, name="b")], mode="tasks", model=leader, db=db, session_id="s")
    with pytest.raises(ModelError):
        way.run(team, "q")
    assert way.resume(team, "s").content == "ok"
    assert answers(leader.requests[1])[2] == "task-1, by a: kept\n\ntask-2, by b: mended"
    assert len(finished.requests) == 1
    assert db.check().ok


def test_a_tasks_team_may_be_routed_to(way, db):
    inner = team_of(ScriptedModel([calls(create("x"), execute("1")), calls(finish("inner result"))]), name="inner")
    team = Team([inner], mode="route", model=ScriptedModel([delegates(inner="go")]), db=db, session_id="s")
    events = way.events(team, "q")
    assert events[-1].output.content == "inner result"
    assert "".join(event.text for event in events if event.type == "token" and event.ns == "") == "inner result"
