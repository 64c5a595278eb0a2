"""Workflows and their sessions: what is stored, what earlier runs tell, what it costs, what a stream says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphflow import Agent, RetryPolicy, Team
from graphflow.db import InMemoryDb, SessionType, SqliteDb
from graphflow.errors import NotOwner
from graphflow.messages import ImagePart
from graphflow.models.base import Reply, Usage
from graphflow.testing import ScriptedModel
from graphflow.workflow import Condition, EarlierRun, Loop, Parallel, Router, Step, StepInput, Steps, Workflow
from tests.conftest import Way


def shout(given: StepInput) -> str:
    return str(given.message).upper()


def test_a_session_of_a_workflow_is_one(way: Way, db: Any) -> None:
    input_data = {"topic": "tea"}
    way.run(Workflow(db=db, session_id="workflow_session"), input_data)
    session = db.get_session("workflow_session")
    assert session.session_type is SessionType.WORKFLOW and session.component_id == "workflow"
    assert [message.text for message in session.messages] == ['{"topic":"tea"}', '{"topic":"tea"}']
    way.run(Workflow([shout], name="loud", db=db), "hi", session_id="two", user_id="ann")
    assert [s.session_id for s in db.get_sessions(SessionType.WORKFLOW, user_id="ann")] == ["two"]
    assert [(m.role, m.text) for m in db.get_messages("two")] == [("user", "hi"), ("assistant", "HI")]
    (run,) = db.get_runs("two")
    assert (run.status, run.component_id, run.content) == ("completed", "loud", "HI")
    with pytest.raises(NotOwner):
        way.run(Workflow([shout], db=db), "hi", session_id="two", user_id="bob")


def test_the_session_state_lasts_from_run_to_run(way: Way, db: Any) -> None:
    def count(given: StepInput) -> int:
        state = given.workflow_session.session_state
        state["runs"] = state.get("runs", 0) + 1
        return state["runs"]

    workflow = Workflow([count], db=db, session_state={"runs": 10})
    assert [way.run(workflow, "x", session_id="s").content for _ in range(3)] == [11, 12, 13]
    assert way.run(workflow, "x", session_id="s", session_state={"runs": 0}).session_state == {"runs": 1}
    assert workflow.get_session_state("s") == {"runs": 1}


def test_settings_that_are_changed_later_count(way: Way, db: Any) -> None:
    workflow = Workflow([shout])
    way.run(workflow, "x", session_id="s")
    workflow.db, workflow.name = db, "loud"
    way.run(workflow, "x", session_id="s")
    assert db.get_session("s").component_id == "loud"


def test_a_session_can_be_forked_and_goes_on(way: Way, db: Any) -> None:
    workflow = Workflow([Step("one", shout), Step("ask", shout, review=True)], db=db)
    way.run(workflow, "x", session_id="s")
    other = workflow.fork("s")
    assert way.resume(workflow, other).status == "paused", "a fork asks its questions again"
    assert way.resume(workflow, other, True).content == "X"
    assert db.get_session("s").status == "paused"


def test_parts_of_a_message_reach_an_agent(way: Way, db: Any) -> None:
    model = ScriptedModel(["a cat"])
    picture = ImagePart(url="https://example.org/cat.png")
    way.run(Workflow([Agent(model)], db=db), ["What is this?", picture], session_id="s")
    assert model.requests[0].messages[0].content[1] == picture
    assert db.get_messages("s")[0].content[1] == picture


# --- earlier runs -----------------------------------------------------------------------------------------------------


def test_steps_are_told_earlier_runs_when_that_is_switched_on(way: Way, db: Any) -> None:
    seen: list[Any] = []

    def look(given: StepInput) -> str:
        seen.append(given.workflow_session.history)
        return f"answer to {given.input}"

    for steps in ([look], [Parallel(Steps("branch", [Step("before", shout), look]))]):
        workflow = Workflow(steps, db=db, add_workflow_history=True, num_history_runs=2)
        session = f"s{len(seen)}"
        outputs = [way.run(workflow, f"question {n}", session_id=session).messages[-1].text for n in range(4)]
        assert seen[-4:] == [tuple(EarlierRun(f"question {n}", outputs[n]) for n in range(max(0, k - 2), k)) for k in range(4)]
        way.run(workflow, "all", session_id=session, num_history_runs=None)
        assert len(seen[-1]) == 4
        way.run(workflow, "none", session_id=session, add_history_to_context=False)
        assert seen[-1] == ()
    way.run(Workflow([look], db=db), "x", session_id=session)
    assert seen[-1] == ()


def test_an_agent_of_a_step_is_not_shown_what_it_said_in_a_run_that_failed(way: Way, db: Any) -> None:
    model = ScriptedModel(["one", "two"])
    down = iter([True, False])

    def publish(given: StepInput) -> str:
        if next(down):
            raise ConnectionError("down")
        return "published"

    workflow = Workflow([Agent(model, name="writer"), publish], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "first", session_id="s")
    way.run(workflow, "second", session_id="s", on_unfinished="abandon")
    assert [message.text for message in model.requests[1].messages] == ["second"]


def test_an_agent_is_told_earlier_runs_beside_its_input(way: Way, db: Any) -> None:
    model = ScriptedModel(["one", "two"])
    agent = Agent(model, instructions="Be brief.", add_history_to_context=False)
    workflow = Workflow([Parallel(Steps("branch", [agent]))], db=db, add_workflow_history=True)
    way.run(workflow, "first", session_id="s")
    way.run(workflow, "second", session_id="s")
    assert [[message.text for message in request.messages] for request in model.requests] == [
        ["Be brief.", "first"],
        [
            'Be brief.\n\nEarlier runs of this workflow, oldest first:\n\nInput: first\nOutput: {"branch":"one"}',
            "second",
        ],
    ]


def test_the_leader_of_a_team_is_told_earlier_runs(way: Way, db: Any) -> None:
    leader = ScriptedModel(["one", "two"])
    team = Team([Agent("offline", name="ann")], model=leader, add_history_to_context=False)
    workflow = Workflow([team], db=db, add_workflow_history=True)
    way.run(workflow, "first", session_id="s")
    way.run(workflow, "second", session_id="s")
    system, asked = leader.requests[1].messages
    assert system.text.endswith("Earlier runs of this workflow, oldest first:\n\nInput: first\nOutput: one")
    assert asked.text == "second"


def test_a_prompt_with_both_histories_is_bounded(way: Way, db: Any) -> None:
    model = ScriptedModel(["an answer"] * 10)
    agent = Agent(model, name="bot", add_history_to_context=True, num_history_runs=3)
    workflow = Workflow([agent], db=db, add_workflow_history=True)
    for n in range(10):
        way.run(workflow, f"question {n}", session_id="s")
    sizes = [sum(len(message.text) for message in request.messages) for request in model.requests]
    assert sizes[1] < sizes[4] == sizes[9], "what was in the prompt of one run is not in that of the next once more"
    logged = [message.text for message in db.get_messages("s", include_members=True) if message.role == "user"]
    assert sorted(logged) == sorted([f"question {n}" for n in range(10)] * 2), "the input of each run, and that of its agent"


def test_history_is_there_after_a_crash(way: Way, db: Any) -> None:
    seen: list[Any] = []

    def look(given: StepInput) -> str:
        seen.append(given.workflow_session.history)
        if len(seen) == 2:
            raise ConnectionError("down")
        return "ok"

    steps = [Parallel(Steps("branch", [Step("before", shout), look]))]
    workflow = Workflow(steps, db=db, add_workflow_history=True)
    way.run(workflow, "one", session_id="s")
    with pytest.raises(ConnectionError):
        way.run(workflow, "two", session_id="s")
    way.resume(workflow, "s")
    assert seen[1] == seen[2] == (EarlierRun("one", '{"branch":"ok"}'),)


def test_a_run_costs_the_same_however_long_the_session_is(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db", synchronous="normal")
    steps = [shout, Parallel(Step("a", shout), Step("b", shout)), Loop(Step("c", shout), 2)]
    workflow = Workflow(steps, db=db, add_workflow_history=True)
    sizes = []
    for _ in range(60):
        workflow.run("x" * 100, session_id="s")
        with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
            total = "SELECT sum(length(delta) + coalesce(length(snapshot), 0)) FROM gf_checkpoints"
            sizes.append(connection.execute(total).fetchone()[0])
    growth = [after - before for before, after in pairwise(sizes)]
    assert sum(growth[-20:]) < 1.1 * sum(growth[9:29]), "bytes per run do not grow"
    db.close()


# --- events -----------------------------------------------------------------------------------------------------------


def told(events: list[Any], type: str) -> list[tuple[Any, ...]]:
    return [(event.name, event.within, event.iteration) for event in events if event.type == type]


def test_events_say_which_step_where_and_what_came_of_it(way: Way) -> None:
    steps = [
        Step("first", shout),
        Parallel(Step("a", shout), Steps("b", [Step("b1", shout)]), name="both"),
        Loop([Step("turn", shout)], 2, name="loop"),
        Condition(True, Step("yes", shout), name="choice"),
        Router([Step("r", shout)], lambda given: "r", name="route"),
    ]
    events = way.events(Workflow(steps), "x")
    started, completed = told(events, "step_started"), told(events, "step_completed")
    expected = [
        *(("first", (), None), ("both", (), None), ("a", ("both",), None), ("b", ("both",), None)),
        *(("b1", ("both", "b"), None), ("loop", (), 1), ("turn", ("loop",), 1), ("loop", (), 2), ("turn", ("loop",), 2)),
        *(("choice", (), None), ("yes", ("choice",), None), ("route", (), None), ("r", ("route",), None)),
    ]
    assert sorted(map(str, started)) == sorted(map(str, expected)) == sorted(map(str, completed))
    assert started[:2] == expected[:2] and started[5:] == expected[5:]
    by_name = {event.name: event for event in events if event.type == "step_completed"}
    assert by_name["first"].content == "X" and by_name["both"].content == {"a": "X", "b": "X"}
    assert by_name["choice"].chosen == "yes" and by_name["route"].chosen == ["r"]
    assert by_name["b1"].ns.startswith("b:") and by_name["first"].ns == ""


@pytest.mark.parametrize(
    ("last", "inside"),
    [
        (Step("b", shout), ["b"]),
        (Steps("pair", [Step("b", shout)]), ["b"]),
        (Parallel(Step("b", shout), name="p"), ["b", "p"]),
        (Loop(Step("b", shout), 1, name="l"), ["b", "l"]),
        (Router(Step("b", shout), lambda given: "b", name="r"), ["b", "r"]),
        (Condition(True, Step("b", shout), name="inner"), ["b", "inner"]),
        (Condition(False, Step("b", shout), name="inner"), ["inner"]),
        (Step("b", shout, review=lambda output: None), ["b"]),
    ],
)
def test_a_condition_is_completed_after_its_steps_with_their_content(way: Way, last: Any, inside: list[str]) -> None:
    steps = [Condition(True, [Step("a", shout), last], name="choice"), Step("after", shout)]
    events = way.events(Workflow(steps), "x")
    completed = [event for event in events if event.type == "step_completed"]
    assert [event.name for event in completed] == ["a", *inside, "choice", "after"]
    done = completed[-2]
    assert (done.chosen, done.within, done.attempt) == ("yes", (), 1)
    assert done.content == ({"b": "X"} if isinstance(last, Parallel) else "X") == events[-1].output.steps["choice"].content


def test_each_iteration_of_a_loop_completes_its_condition(way: Way) -> None:
    choice = Condition(lambda given: given.message == "x", Step("yes", shout), Step("no", shout), name="choice")
    events = way.events(Workflow([Loop(choice, 2, forward_output=True)]), "x")
    told = [(e.iteration, e.chosen, e.content) for e in events if e.type == "step_completed" and e.name == "choice"]
    assert told == [(1, "yes", "X"), (2, "no", "X")]


def test_events_of_a_step_tell_the_attempt(way: Way) -> None:
    calls: list[int] = []

    def flaky(given: StepInput) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("down")
        return "up"

    policy = RetryPolicy(3, initial=0.001, retry_on=ConnectionError)
    events = way.events(Workflow([Parallel(Step("flaky", flaky, retry=policy))]), "x")
    told = [(event.type, event.attempt) for event in events if event.type.startswith("step_") and event.name == "flaky"]
    assert told == [("step_started", 1), ("step_started", 2), ("step_started", 3), ("step_completed", 3)]


def test_the_last_event_carries_the_output_and_top_level_tokens_are_the_content(way: Way, db: Any) -> None:
    model = ScriptedModel([Reply("a long answer", usage=Usage(3, 4))])
    for steps in ([shout, Agent(model, name="bot")], [shout], [Condition(False, shout)], [Loop(shout, 2)], [Parallel(shout)]):
        events = way.events(Workflow(steps, db=db), "hello")
        output = events[-1].output
        assert events[0].type == "run_started" and events[-1].type == "run_completed"
        top = "".join(event.text for event in events if event.type == "token" and event.ns == "")
        assert top == output.messages[-1].text
        if steps[-1] is not shout and isinstance(steps[-1], Agent):
            inner = [event.text for event in events if event.type == "token" and event.ns]
            assert "".join(inner) == "a long answer" == output.content and len(inner) > 1
            assert (output.metrics["input_tokens"], output.metrics["output_tokens"]) == (3, 4)


def test_a_paused_stream_ends_with_the_question(way: Way, db: Any) -> None:
    events = way.events(Workflow([Step("draft", shout, review=True)], db=db), "x", session_id="s")
    assert events[-1].type == "interrupted" and events[-1].output.interrupts[0].value["step"] == "draft"


def test_a_skipped_step_is_told(way: Way) -> None:
    def fail(given: StepInput) -> None:
        raise ConnectionError("down")

    events = way.events(Workflow([Step("fail", fail, on_error="skip")]), "x")
    (completed,) = [event for event in events if event.type == "step_completed"]
    assert (completed.skipped, completed.error) == (True, "ConnectionError: down")


def test_printing_shows_the_steps_and_the_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    workflow = Workflow(
        [
            Parallel(Agent(ScriptedModel(["tea is hot"]), name="bot"), Steps("two", [Step("loud", shout)])),
            lambda given: "The end.",
        ],
        db=InMemoryDb(),
    )
    workflow.print_response("tell me")
    out = capsys.readouterr().out
    lines = [line.strip("│ \n") for line in out.splitlines()]
    at = lines.index("✓ two → TELL ME")
    assert lines[at + 1].startswith("✓ loud → TELL ME") and "✓ bot → tea is hot" in lines
    assert "The end." in out and out.count("tea is hot") == 2, "what an agent in a step says is not the answer"


def test_a_run_is_begun_once_per_key(way: Way, db: Any) -> None:
    calls: list[str] = []

    class Order(BaseModel):
        topic: str

    def work(given: StepInput) -> str:
        calls.append(given.input.topic)
        return f"done with {given.input.topic}"

    workflow = Workflow([work, shout], db=db)
    first = way.run(workflow, Order(topic="tea"), idempotency_key="k")
    again = way.run(workflow, Order(topic="tea"), idempotency_key="k")
    assert (first.content, again.content, calls) == ("DONE WITH TEA", "DONE WITH TEA", ["tea"])
    assert again.run_id == first.run_id and again.steps == first.steps
