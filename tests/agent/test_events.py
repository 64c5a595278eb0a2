"""One vocabulary of events for agents, teams and workflows: each type really occurs, with its fields, in a run of its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graphflow import Agent, Context, MemoryPolicy, RetryPolicy, SummaryPolicy, Team, ToolCall, Workflow, tool
from graphflow.db import InMemoryDb
from graphflow.models.base import AsyncModel, Reply, Request, Token
from graphflow.run import RunOutput, RunStatus
from graphflow.testing import ScriptedModel
from graphflow.workflow import Step

Class = type
DELEGATE = "delegate_task_to_member"


def calls(*wanted: tuple[str, dict[str, Any]]) -> Reply:
    return Reply(tool_calls=[ToolCall(f"call-{n}", name, arguments) for n, (name, arguments) in enumerate(wanted)])


class Thinker(AsyncModel):
    """Thinks aloud before it answers."""

    id = "thinker"

    def respond(self, request: Request) -> Reply:
        return Reply("an answer", reasoning="let me see")

    def stream(self, request: Request) -> Any:
        yield Token("let me see", reasoning=True)
        yield Token("an answer")
        yield self.respond(request)

    async def arespond(self, request: Request) -> Reply:
        return self.respond(request)

    async def astream(self, request: Request) -> Any:
        for piece in self.stream(request):
            yield piece


def look(place: str) -> str:
    """Look."""
    if place == "nowhere":
        raise LookupError("there is nothing")
    return f"{place} is nice"


@tool(requires_confirmation=True)
def book(place: str) -> str:
    """Book."""
    return place


def thinking(db: Any) -> Agent:
    return Agent(Thinker(), db=db)


def with_tools(db: Any) -> Agent:
    return Agent(
        ScriptedModel([calls(("look", {"place": "Oslo"}), ("look", {"place": "nowhere"})), "done"]), tools=[look], db=db
    )


def asking(db: Any) -> Agent:
    return Agent(ScriptedModel([calls(("book", {"place": "Oslo"}))]), tools=[book], db=db)


def failing(db: Any) -> Agent:
    return Agent(ScriptedModel([ConnectionError("away")]), db=db)


def remembering(db: Any) -> Agent:
    keeper = ScriptedModel(lambda request: '{"add": [{"memory": "Likes tea"}]}' for _ in range(3))
    policy = SummaryPolicy(model=ScriptedModel(["They talked about tea"] * 3), after_messages=1, keep_last=0)
    settings: dict[str, Any] = {"update_memory_on_run": True, "memory": MemoryPolicy(model=keeper)}
    return Agent("offline", db=db, user_id="ann", enable_session_summaries=True, summary=policy, **settings)


def led(db: Any) -> Team:
    member = Agent(ScriptedModel(["from the member"]), name="ann")
    return Team([member], model=ScriptedModel([calls((DELEGATE, {"member_id": "ann", "task": "go"})), "all in all"]), db=db)


def stepping(db: Any) -> Workflow:
    failures = [ConnectionError("once")]

    def first(given: Any, ctx: Context) -> str:
        if failures:
            raise failures.pop()
        ctx.write({"half": "way"})
        return "one"

    return Workflow([Step("first", first, retry=RetryPolicy(max_attempts=2, initial=0.001))], db=db)


VOCABULARY: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "run_started": (thinking, {"values": dict}),
    "node_started": (thinking, {"task_id": str, "input": dict}),
    "node_completed": (thinking, {"task_id": str, "update": dict, "seconds": float}),
    "checkpoint": (thinking, {"values": dict, "seq": int, "stored": bool}),
    "token": (thinking, {"text": str, "attempt": int}),
    "reasoning": (thinking, {"text": str, "attempt": int}),
    "tool_started": (with_tools, {"tool": "look", "arguments": dict, "tool_call_id": str}),
    "tool_completed": (with_tools, {"tool": "look", "arguments": dict, "tool_call_id": "call-0", "result": "Oslo is nice"}),
    "tool_failed": (with_tools, {"tool": "look", "arguments": dict, "tool_call_id": "call-1", "result": str}),
    "member_started": (led, {"member": "ann", "task": "go", "inside": "ann:1.0"}),
    "member_completed": (led, {"member": "ann", "content": "from the member", "inside": "ann:1.0"}),
    "step_started": (stepping, {"name": "first", "within": tuple, "iteration": None}),
    "step_completed": (stepping, {"name": "first", "within": tuple, "iteration": None, "content": "one", "error": None}),
    "custom": (stepping, {"data": {"half": "way"}}),
    "attempt_restarted": (stepping, {"attempt": int}),
    "memory_updated": (remembering, {"action": "added", "memory": "Likes tea", "topics": tuple, "memory_id": str}),
    "summary_updated": (remembering, {"summary": "They talked about tea", "topics": tuple, "upto_seq": int}),
    "interrupted": (asking, {"output": RunOutput, "interrupts": tuple}),
    "run_completed": (thinking, {"output": RunOutput, "interrupts": ()}),
    "run_failed": (failing, {"error": ConnectionError}),
}


def all_events(way: Any, runner: Any) -> list[Any]:
    """Those of a whole run, through ``on_event``, also of one that fails."""
    seen: list[Any] = []
    runner.on_event = seen.append
    try:
        way.events(runner, "I like tea", session_id="s")
    except ConnectionError:
        assert runner.graph.get_state("s", user_id=runner.user_id).status == "error"
    return seen


@pytest.mark.parametrize("type", VOCABULARY)
def test_an_event_of_this_type_occurs_with_its_fields(type, way, db):
    make, fields = VOCABULARY[type]
    found = [event for event in all_events(way, make(db)) if event.type == type]
    assert found, f"no {type} event"
    event = found[0]
    for name, wanted in fields.items():
        value = event.data[name] if name == "data" else getattr(event, name)
        assert isinstance(value, wanted) if isinstance(wanted, Class) else value == wanted, (name, value)


@pytest.mark.parametrize("make", [thinking, with_tools, asking, failing, remembering, led, stepping])
def test_every_event_says_where_it_is_from(make, way, db):
    events = all_events(way, make(db))
    run_ids = {event.run_id for event in events}
    assert len(run_ids) == 1 and "" not in run_ids
    assert {event.session_id for event in events} == {"s"}
    assert all(isinstance(event.node, str) and isinstance(event.ns, str) for event in events)
    about_the_run = {"run_started", "checkpoint", "interrupted", "run_completed", "run_failed", "run_cancelled"}
    assert {event.type for event in events if not event.node} <= about_the_run
    assert {event.type for event in events} <= {*VOCABULARY, "run_cancelled"}


@pytest.mark.parametrize(
    ("make", "status"), [(thinking, RunStatus.COMPLETED), (led, RunStatus.COMPLETED), (asking, RunStatus.PAUSED)]
)
def test_the_last_event_carries_what_run_returns(make, status, way, db):
    last = way.events(make(db), "Hello", session_id="s")[-1]
    assert isinstance(last.output, RunOutput)
    assert (last.output.status, last.output.run_id, last.output.session_id) == (status, last.run_id, "s")


@pytest.mark.parametrize("make", [thinking, with_tools, led, stepping])
def test_the_tokens_of_the_top_level_are_the_content(make, way, db):
    events = way.events(make(db), "Hello", session_id="s")
    assert "".join(event.text for event in events if event.type == "token" and not event.ns) == events[-1].output.content


def test_the_last_event_of_a_cancelled_run_carries_its_output(way, db):
    def stop(request: Request) -> Reply:
        agent.cancel(seen[0].run_id)
        return calls(("look", {"place": "Oslo"}))

    seen: list[Any] = []
    agent = Agent(ScriptedModel([stop]), tools=[look], db=db, on_event=seen.append)
    last = way.events(agent, "Hello", session_id="s")[-1]
    assert last.type == "run_cancelled" and last.output.status is RunStatus.CANCELLED


def test_a_failed_run_tells_its_error_last_and_then_raises_it(way, db):
    seen: list[Any] = []
    agent = failing(db)
    agent.on_event = seen.append
    with pytest.raises(ConnectionError) as raised:
        way.events(agent, "Hello", session_id="s")
    assert seen[-1].type == "run_failed" and seen[-1].error is raised.value


def test_a_resumed_run_streams_in_the_same_words(way, db):
    agent = asking(db)
    way.run(agent, "Book Oslo", session_id="s")
    agent.model = ScriptedModel(["It is booked"])
    events = way.resumed(agent, "s", True)
    types = [event.type for event in events]
    assert types[0] == "run_started" or "tool_completed" in types
    assert events[-1].type == "run_completed" and events[-1].output.content == "It is booked"
    assert "".join(event.text for event in events if event.type == "token" and not event.ns) == "It is booked"


def test_the_last_event_of_a_run_that_fails_tells_what_it_left(way: Any) -> None:
    agent = Agent(ScriptedModel([ConnectionError("the model is away")]), db=InMemoryDb())
    seen: list[Any] = []
    agent.on_event = seen.append
    with pytest.raises(ConnectionError):
        way.run(agent, "hello", session_id="s")
    assert seen[-1].type == "run_failed"
    assert (seen[-1].output.status, seen[-1].output.session_id) == ("error", "s")
    assert [message.text for message in seen[-1].output.messages] == ["hello"]
