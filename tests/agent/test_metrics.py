"""What runs measure: an output tells of its call, the stored run of all the calls that went on with it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Context, Message, StateGraph, Team, add_messages, interrupt, tool
from graphflow.db import SqliteDb
from graphflow.errors import ModelError
from graphflow.messages import ToolCall
from graphflow.models.base import Reply, Usage
from graphflow.testing import ScriptedModel
from graphflow_nodes import respond


@tool(requires_confirmation=True)
def pay(to: str) -> str:
    """Pay."""
    return f"paid {to}"


def wants(to: str, tokens: int, number: str = "1", name: str = "pay", argument: str = "to") -> Reply:
    return Reply(tool_calls=[ToolCall(number, name, {argument: to})], usage=Usage(tokens, 1))


def says(text: str, tokens: int) -> Reply:
    return Reply(text, usage=Usage(tokens, 1))


def tokens(metrics: Any) -> tuple[int, int]:
    return metrics["input_tokens"], metrics["output_tokens"]


def test_the_metrics_of_a_stored_run_add_up_over_pauses(way: Any, db: Any) -> None:
    agent = Agent(
        ScriptedModel([wants("Ann", 100), wants("Ben", 20, "2"), says("done", 3)]), tools=[pay], db=db, session_id="s"
    )
    outputs = [way.run(agent, "q"), way.resume(agent, "s", True), way.resume(agent, "s", True)]
    assert [tokens(output.metrics) for output in outputs] == [(100, 1), (20, 1), (3, 1)]
    stored = db.get_runs("s")[0].metrics
    assert tokens(stored) == (123, 3)
    for node in ("model", "tools"):
        assert stored["nodes"][node] == pytest.approx(sum(output.metrics["nodes"][node] for output in outputs), abs=1e-5)
    assert stored["seconds"] == pytest.approx(sum(output.metrics["seconds"] for output in outputs), abs=1e-5)


def test_the_metrics_of_a_stored_run_add_up_over_errors(way: Any, db: Any) -> None:
    def look(at: str) -> str:
        return at

    model = ScriptedModel([wants("x", 100, name="look", argument="at"), ModelError("down"), says("done", 3)])
    agent = Agent(model, tools=[look], db=db, session_id="s")
    with pytest.raises(ModelError):
        way.run(agent, "q")
    assert tokens(db.get_runs("s")[0].metrics) == (100, 1)
    assert tokens(way.resume(agent, "s").metrics) == (3, 1)
    assert tokens(db.get_runs("s")[0].metrics) == (103, 2)


def test_an_answer_that_is_of_no_use_has_its_price(way: Any, db: Any) -> None:
    agent = Agent(ScriptedModel([says("what?", 100), says("5", 3)]), output_schema=int, db=db, session_id="s")
    with pytest.raises(ModelError):
        way.run(agent, "q")
    assert way.resume(agent, "s").content == 5
    assert tokens(db.get_runs("s")[0].metrics) == (103, 2)


@pytest.mark.parametrize("end", ["cancelled", "abandoned"])
def test_a_run_that_is_closed_where_it_paused_keeps_its_metrics(way: Any, db: Any, end: str) -> None:
    agent = Agent(ScriptedModel([wants("Ann", 100), says("hello", 3)]), tools=[pay], db=db, session_id="s")
    paused = way.run(agent, "q")
    if end == "cancelled":
        way.cancel(agent, paused.run_id)
    else:
        assert tokens(way.run(agent, "something else").metrics) == (3, 1)
    assert db.get_runs("s")[-1].status == end or db.get_runs("s")[0].status == end
    first = db.get_run(paused.run_id)
    assert (first.status, tokens(first.metrics)) == (end, (100, 1))


def test_what_a_member_spent_before_it_failed_or_asked_counts_once(way: Any, db: Any) -> None:
    inside = ScriptedModel([wants("Ann", 100), ModelError("down"), says("paid", 3)])
    member = Agent(inside, tools=[pay], name="clerk")
    leader = ScriptedModel(
        [Reply(tool_calls=[ToolCall("1", "delegate_task_to_member", {"member_id": "clerk", "task": "pay"})]), says("ok", 20)]
    )
    team = Team([member], model=leader, db=db, session_id="s")
    way.run(team, "q")
    assert tokens(db.get_runs("s")[0].metrics) == (100, 1)
    with pytest.raises(ModelError):
        way.resume(team, "s", True)
    way.resume(team, "s")
    assert tokens(next(run for run in db.get_runs("s") if not run.ns).metrics) == (123, 3)


class Conversation(TypedDict):
    messages: Annotated[list[Message], add_messages]


class Count(TypedDict):
    count: int


def test_a_node_may_have_any_name(tmp_path: Path, way: Any) -> None:
    for name in ("$", "a/b", "nodes", "é"):
        builder = StateGraph(Count).add_node(name, lambda state: {"count": 1})
        builder.add_node("ask", lambda state: {"count": interrupt("?")})
        builder.add_edge(START, name).add_edge(name, "ask").add_edge("ask", END)
        db = SqliteDb(tmp_path / "s.db")
        way.invoke(builder.compile(db=db), {"count": 0}, session_id=f"s {name}")
        db.close()
        db = SqliteDb(tmp_path / "s.db")
        assert way.resume(builder.compile(db=db), f"s {name}", 5)["count"] == 5
        assert db.get_runs(f"s {name}")[0].metrics["nodes"].keys() == {name, "ask"}
        assert db.check().ok
        db.close()


def test_numbers_of_any_kind_may_be_noted(db: Any, way: Any) -> None:
    class Score(float):
        pass

    def work(state: Any, ctx: Context) -> Any:
        ctx.note("score", Score(0.5))
        ctx.note("price", Decimal("0.10"))
        ctx.note("worst", float("inf"))

    graph = StateGraph(Count).add_node("work", work).add_edge(START, "work").add_edge("work", END).compile(db=db)
    way.invoke(graph, {"count": 0}, session_id="s")
    metrics = db.get_runs("s")[0].metrics
    assert (metrics["score"], metrics["price"], metrics["worst"]) == (0.5, Decimal("0.10"), float("inf"))
    assert db.check().ok


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_count_that_is_none_fails_the_asking_node_and_loses_nothing(db: Any, way: Any, durability: Any) -> None:
    model = ScriptedModel([Reply("none", usage=Usage(None, None)), "two"])  # type: ignore[arg-type]
    builder = StateGraph(Conversation).add_node("first", lambda state: {"messages": [Message("assistant", "one")]})
    builder.add_node("model", respond(model)).add_edge(START, "first").add_edge("first", "model").add_edge("model", END)
    graph = builder.compile(db=db, durability=durability)
    with pytest.raises(ModelError, match=r"usage=Usage\(input_tokens=None.*two ints") as raised:
        way.invoke(graph, {"messages": [Message("user", "q")]}, session_id="s")
    assert any("node 'model'" in note for note in raised.value.__notes__)
    messages = way.resume(graph, "s")["messages"]
    assert [message.text for message in messages] == ["q", "one", "two"]
