"""Agents: conversations, tools, structured output, streaming, ids, session_state, media."""

from __future__ import annotations

import asyncio
import functools
import threading
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel

from graphflow import END, Agent, Command, Context, HistoryPolicy, Message, RunStatus, Team, ToolCall, tool
from graphflow.core.control import Cancelled
from graphflow.db import InMemoryDb, SqliteDb
from graphflow.errors import (
    GraphChanged,
    GraphError,
    InvalidAnswer,
    InvalidId,
    InvalidUpdate,
    ModelError,
    NoDatabase,
    NotOwner,
)
from graphflow.messages import FilePart, ImagePart, TextPart
from graphflow.models import OfflineModel
from graphflow.models.base import AsyncModel, Reply, Usage
from graphflow.testing import ScriptedModel
from graphflow.tools import as_tool


def texts(request: Any) -> list[str]:
    """What a model was asked, without the system message."""
    return [message.text for message in request.messages if message.role != "system"]


def calls(*wanted: tuple[str, dict[str, Any]]) -> Reply:
    return Reply(tool_calls=[ToolCall(f"call-{n}", name, arguments) for n, (name, arguments) in enumerate(wanted)])


# --- history and sessions ----------------------------------------------------------------------------------------------


def test_the_second_request_holds_the_first_exchange(way, db):
    model = ScriptedModel(["Hello Alice", "Alice"])
    agent = Agent(model, db=db, session_id="user_123_session", add_history_to_context=True)
    way.run(agent, "Hi, my name is Alice")
    assert way.run(agent, "What's my name?").content == "Alice"
    assert texts(model.requests[1]) == ["Hi, my name is Alice", "Hello Alice", "What's my name?"]


def test_a_conversation_goes_on_in_another_process(way, tmp_path):
    path = str(tmp_path / "s.db")
    first = SqliteDb(db_file=path)
    way.run(Agent(OfflineModel(), db=first, session_id="s"), "Hi, my name is Alice")
    first.close()
    second = SqliteDb(db_file=path)
    assert "Alice" in way.run(Agent(OfflineModel(), db=second, session_id="s"), "What's my name?").content
    second.close()


def test_history_is_that_of_the_last_runs(way, db):
    model = ScriptedModel([f"a{i}" for i in range(7)])
    agent = Agent(model, db=db, session_id="s", num_history_runs=2)
    for i in range(5):
        way.run(agent, f"q{i}")
    assert texts(model.requests[4]) == ["q2", "a2", "q3", "a3", "q4"]
    way.run(agent, "q5", num_history_runs=1)
    assert texts(model.requests[5]) == ["q4", "a4", "q5"]
    way.run(agent, "q6", num_history_runs=None)
    assert len(texts(model.requests[6])) == 13


def test_a_history_policy_may_count_messages(way, db):
    model = ScriptedModel([f"a{i}" for i in range(4)])
    agent = Agent(model, db=db, session_id="s", history=HistoryPolicy(runs=None, messages=3))
    for i in range(4):
        way.run(agent, f"q{i}")
    assert texts(model.requests[3]) == ["a1", "q2", "a2", "q3"]


def test_history_switched_off_stores_everything_and_shows_nothing(way, db):
    model = ScriptedModel(["a0", "a1", "a2"])
    agent = Agent(model, db=db, session_id="s", add_history_to_context=False)
    way.run(agent, "q0")
    way.run(agent, "q1")
    assert texts(model.requests[1]) == ["q1"]
    assert [m.text for m in agent.get_chat_history()] == ["q0", "a0", "q1", "a1"]
    way.run(agent, "q2", add_history_to_context=True)
    assert texts(model.requests[2]) == ["q0", "a0", "q1", "a1", "q2"]
    assert "history" not in agent.graph.plan.nodes


def test_history_may_be_left_out_of_one_call(way, db):
    model = ScriptedModel(["a0", "a1"])
    agent = Agent(model, db=db, session_id="s")
    way.run(agent, "q0")
    way.run(agent, "q1", add_history_to_context=False)
    assert texts(model.requests[1]) == ["q1"]


def test_tool_calls_stay_with_their_answers_in_the_history(way, db):
    def look(what: str) -> str:
        return f"seen {what}"

    model = ScriptedModel([calls(("look", {"what": "x"})), "done", "ok"])
    agent = Agent(model, db=db, session_id="s", tools=[look], history=HistoryPolicy(runs=None, messages=2))
    way.run(agent, "q0")
    way.run(agent, "q1")
    assert texts(model.requests[2]) == ["done", "q1"], "a tool message without its call is left out"


def test_session_id_is_that_of_the_call_else_the_agents_else_new_and_never_kept(way, db):
    agent = Agent(ScriptedModel(["a"] * 4), db=db)
    first, second = way.run(agent, "q"), way.run(agent, "q")
    assert first.session_id != second.session_id
    assert agent.session_id is None
    assert way.run(agent, "q", session_id="mine").session_id == "mine"
    assert way.run(Agent(ScriptedModel(["a"]), db=db, session_id="own"), "q").session_id == "own"


def test_an_agent_without_a_database_answers_and_stores_nothing(way):
    model = ScriptedModel(["a", "b"])
    agent = Agent(model)
    assert way.run(agent, "q").session_id
    way.run(agent, "r", session_id="same")
    assert texts(model.requests[1]) == ["r"]
    with pytest.raises(NoDatabase):
        agent.get_chat_history("same")
    with pytest.raises(InvalidId):
        way.run(agent, "q", session_id="\n")


def test_somebody_elses_session_is_refused_and_the_model_is_not_asked(way, db):
    model = ScriptedModel(["a", "b"])
    agent = Agent(model, db=db)
    way.run(agent, "secret", session_id="s", user_id="anna")
    for other in ("ben", None):
        with pytest.raises(NotOwner):
            way.run(agent, "tell me", session_id="s", user_id=other)
    assert len(model.requests) == 1
    assert [m.text for m in agent.get_chat_history("s", user_id="anna")] == ["secret", "a"]


def test_an_empty_message_is_stored_like_any_other(way, db):
    agent = Agent(ScriptedModel([""]), db=db, session_id="s")
    assert way.run(agent, "").content == ""
    assert [m.text for m in agent.get_chat_history()] == ["", ""]


@pytest.mark.parametrize("nothing", [[], (), Message("user", []), [Message("user", "q"), Message("user", [])]])
def test_an_input_that_says_nothing_is_refused_when_it_is_given(way, db, nothing):
    model = ScriptedModel(["a"])
    agent = Agent(model, db=db, session_id="s")
    with pytest.raises(InvalidUpdate, match="empty list"):
        way.run(agent, nothing)
    assert model.requests == [] and db.get_session("s") is None


def test_many_threads_may_share_one_agent(db):
    agent = Agent(ScriptedModel([lambda request: request.messages[-1].text.upper()] * 40), db=db)
    outputs: dict[str, str] = {}

    def talk(name: str) -> None:
        for i in range(5):
            outputs[f"{name}{i}"] = agent.run(f"{name}{i}", session_id=name).content

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {f"{n}{i}": f"{n}{i}".upper() for n in "abcdefgh" for i in range(5)}
    assert [m.text for m in agent.get_chat_history("c")][::2] == [f"c{i}" for i in range(5)]


def test_parallel_runs_on_one_session_follow_each_other(db):
    agent = Agent(ScriptedModel([lambda request: f"re {request.messages[-1].text}"] * 20), db=db, session_id="s")

    async def all_at_once() -> None:
        await asyncio.gather(*(agent.arun(f"q{i}") for i in range(20)))

    asyncio.run(all_at_once())
    log = [m.text for m in agent.get_chat_history()]
    assert sorted(log[::2]) == sorted(f"q{i}" for i in range(20))
    assert log[1::2] == [f"re {q}" for q in log[::2]]


# --- failures ----------------------------------------------------------------------------------------------------------


def test_a_failing_model_raises_and_the_input_is_not_lost(way, db):
    agent = Agent(ScriptedModel([ModelError("down"), "up again"]), db=db, session_id="s")
    with pytest.raises(ModelError, match="down"):
        way.run(agent, "important")
    assert db.get_runs("s")[0].status == "error"
    assert [m.text for m in agent.get_chat_history()] == ["important"]
    output = way.resume(agent, "s")
    assert (output.content, output.status) == ("up again", RunStatus.COMPLETED)


def test_new_input_after_a_crash_leaves_the_crashed_run_behind_but_keeps_its_message(way, db):
    class Dies(BaseException):
        pass

    def die(request: Any) -> str:
        raise Dies

    model = ScriptedModel([die, "hello again"])
    agent = Agent(model, db=db, session_id="s")
    with pytest.raises(Dies):
        way.run(agent, "q0", on_unfinished="abandon")
    way.run(agent, "q1")
    assert [m.text for m in agent.get_chat_history()] == ["q0", "q1", "hello again"]


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match="sesion_id"):
        Agent(ScriptedModel(["a"])).run("q", sesion_id="s")  # type: ignore[call-arg]


def test_without_a_model_the_error_names_the_three_ways_out(monkeypatch):
    for name in ("OPENAI_API_KEY", "GRAPHFLOW_MODEL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError) as caught:
        Agent().run("q")
    assert all(way_out in str(caught.value) for way_out in ("OPENAI_API_KEY", "model=", "GRAPHFLOW_MODEL=offline"))
    monkeypatch.setenv("GRAPHFLOW_MODEL", "offline")
    assert Agent().run("hello").content


# --- instructions and tools --------------------------------------------------------------------------------------------


def test_instructions_are_the_one_system_message(way):
    model = ScriptedModel(["a", "b", "c"])
    way.run(Agent(model, instructions="Be kind"), "q")
    way.run(Agent(model, instructions=["Be kind", "Be brief"]), "q")
    way.run(Agent(model, instructions=lambda ctx: f"Help {ctx.user_id}", user_id="anna"), "q")
    assert [[m.text for m in request.messages if m.role == "system"] for request in model.requests] == [
        ["Be kind"],
        ["Be kind\nBe brief"],
        ["Help anna"],
    ]


def test_instructions_may_be_awaited_and_may_be_lines(way, db):
    async def later(ctx: Context) -> list[str]:
        return ["Be kind", f"Help {ctx.user_id}"]

    model = ScriptedModel([*"abcd", "led", "asked"])
    for instructions in (later, lambda ctx: later(ctx), lambda ctx: ["Be kind", f"Help {ctx.user_id}"], lambda ctx: None):
        way.run(Agent(model, instructions=instructions, user_id="anna", db=db), "q")
    told = ["Be kind\nHelp anna"]
    assert [[m.text for m in request.messages if m.role == "system"] for request in model.requests] == [told] * 3 + [[]]
    way.run(Team([Agent(model, name="member")], model=model, instructions=later, user_id="anna", db=db), "q")
    assert model.requests[4].messages[0].text.startswith("Be kind\nHelp anna\n\nYou lead a team.")


def test_instructions_that_give_no_text_are_an_error_that_names_them(way):
    agent = Agent(ScriptedModel([]), instructions=lambda ctx: 7)
    with pytest.raises(GraphError, match="the function that is instructions= of node 'model' gave 7: return a text"):
        way.run(agent, "q")


def test_tools_run_sync_and_async_and_their_results_reach_the_model_in_order(way, db):
    def add(a: int, b: int) -> int:
        """Add two numbers.

        Args:
            a: the first
        """
        return a + b

    async def greet(name: str) -> dict[str, str]:
        return {"hello": name}

    model = ScriptedModel([calls(("add", {"a": 1, "b": 2}), ("greet", {"name": "Anna"})), "fine"])
    output = way.run(Agent(model, tools=[add, greet], db=db), "q")
    assert output.content == "fine"
    assert [(t.name, t.result) for t in output.tools] == [("add", "3"), ("greet", '{"hello":"Anna"}')]
    spec = model.requests[0].tools[0]
    assert (spec.name, spec.description) == ("add", "Add two numbers.")
    assert spec.parameters["properties"]["a"] == {"type": "integer", "description": "the first"}
    assert [(m.tool_call_id, m.text) for m in model.requests[1].messages if m.role == "tool"] == [
        ("call-0", "3"),
        ("call-1", '{"hello":"Anna"}'),
    ]


def test_what_a_plain_tool_gives_is_awaited_where_it_has_to_be(way):
    async def fetch(name: str) -> str:
        return f"hello {name}"

    @functools.wraps(fetch)
    def timed(name: str) -> Any:
        return fetch(name)

    model = ScriptedModel([calls(("fetch", {"name": "Anna"})), "fine"])
    assert [t.result for t in way.run(Agent(model, tools=[timed]), "q").tools] == ["hello Anna"]


def test_parallel_tool_calls_really_run_at_the_same_time(way):
    barrier = threading.Barrier(3, timeout=10)

    def meet(n: int) -> str:
        barrier.wait()
        return "met"

    model = ScriptedModel([calls(*(("meet", {"n": n}) for n in range(3))), "done"])
    assert [t.result for t in way.run(Agent(model, tools=[meet]), "q").tools] == ["met"] * 3


@pytest.mark.parametrize("on_tool_error", ["message", "raise"])
def test_a_tool_that_returns_a_command_is_refused_and_not_shown_to_the_model(way, db, on_tool_error):
    def hand_over() -> Any:
        return Command(update={"name": "Ann"}, goto="other")

    model = ScriptedModel([calls(("hand_over", {})), "never"])
    agent = Agent(model, tools=[hand_over], db=db, session_id="s", on_tool_error=on_tool_error)
    with pytest.raises(GraphError, match=r"tool 'hand_over' returned a Command.*ctx\.session_state.*after 'tools'"):
        way.run(agent, "hi")
    assert len(model.requests) == 1


def test_a_tool_that_raises_becomes_a_message_the_model_sees(way, db):
    def broken() -> str:
        raise OSError("disk on fire")

    model = ScriptedModel([calls(("broken", {})), "sorry"])
    output = way.run(Agent(model, tools=[broken], db=db), "q")
    assert output.content == "sorry"
    assert "OSError: disk on fire" in (output.tools[0].result or "")
    strict = Agent(ScriptedModel([calls(("broken", {})), "never"]), tools=[broken], db=db, on_tool_error="raise")
    with pytest.raises(OSError, match="disk on fire"):
        way.run(strict, "q")


def test_unknown_tools_and_wrong_arguments_are_told_to_the_model(way):
    def add(a: int, b: int) -> int:
        return a + b

    model = ScriptedModel([calls(("sub", {}), ("add", {"a": "x", "b": 1}), ("add", {"a": 1})), "ok"])
    results = [t.result or "" for t in way.run(Agent(model, tools=[add]), "q").tools]
    assert "no tool 'sub'" in results[0] and "add" in results[0]
    assert "a" in results[1] and "integer" in results[1]
    assert "b" in results[2]


def test_a_finished_tool_call_is_not_repeated_when_another_one_fails(way, db):
    counted: list[str] = []
    broken = [True]

    def count(n: int) -> str:
        counted.append(f"count{n}")
        return "counted"

    def fail() -> str:
        if broken[0]:
            raise RuntimeError("no")
        return "worked"

    model = ScriptedModel([calls(("count", {"n": 1}), ("fail", {}), ("count", {"n": 2})), "all done"])
    agent = Agent(model, tools=[count, fail], db=db, session_id="s", on_tool_error="raise")
    with pytest.raises(RuntimeError):
        way.run(agent, "q")
    broken[0] = False
    output = way.resume(agent, "s")
    assert [t.result for t in output.tools] == ["counted", "worked", "counted"]
    assert sorted(counted) == ["count1", "count2"]
    assert len(model.requests) == 2, "the model is not asked again for what it has answered"


def test_the_tool_call_limit_makes_the_model_answer(way):
    def again() -> str:
        return "again"

    model = ScriptedModel([*[calls(("again", {}))] * 3, "enough"])
    output = way.run(Agent(model, tools=[again], tool_call_limit=3), "q")
    assert output.content == "enough"
    assert [bool(request.tools) for request in model.requests] == [True, True, True, False]


def test_the_tool_call_limit_holds_for_parallel_calls_and_for_a_model_that_goes_on(way):
    made: list[int] = []

    def again(n: int = 0) -> str:
        made.append(n)
        return "again"

    many = calls(*(("again", {"n": n}) for n in range(8)))
    output = way.run(Agent(ScriptedModel([many, "enough"]), tools=[again], tool_call_limit=2), "q")
    assert sorted(made) == [0, 1] and output.content == "enough"
    stubborn = ScriptedModel([many] * 50)
    with pytest.raises(ModelError, match="tool_call_limit"):
        way.run(Agent(stubborn, tools=[again], tool_call_limit=2), "q")
    assert len(stubborn.requests) == 2


def test_a_model_without_tools_that_calls_some_is_told_so_and_answers(way, db):
    calling = Reply("Let me look.", [ToolCall("1", "look", {"what": "x"}), ToolCall("2", "find", {})])
    model = ScriptedModel([calling, "I cannot look."] * 2)
    agent = Agent(model, db=db, session_id="s")
    output = way.run(agent, "q")
    assert (output.status, output.content) == ("completed", "I cannot look.")
    refusals = ["There is no tool 'look'. The tools are: none.", "There is no tool 'find'. The tools are: none."]
    assert [(execution.name, execution.result) for execution in output.tools] == [("look", refusals[0]), ("find", refusals[1])]
    assert texts(model.requests[1]) == ["q", "Let me look.", *refusals]
    assert [m.text for m in agent.get_chat_history()] == ["q", "Let me look.", *refusals, "I cannot look."]
    events = way.events(agent, "again")
    assert [event.tool for event in events if event.type == "tool_failed"] == ["look", "find"]
    taken_back = [event.type for event in events].index("attempt_restarted")
    assert "".join(event.text for event in events[taken_back:] if event.type == "token") == "I cannot look."
    assert [message.text for message in events[-1].output.messages][1:] == ["Let me look.", *refusals, "I cannot look."]


def test_the_tool_call_limit_holds_for_a_model_without_tools(way):
    stubborn = ScriptedModel([calls(("look", {}))] * 50)
    with pytest.raises(ModelError, match="made 3 tool calls, its limit"):
        way.run(Agent(stubborn, tool_call_limit=3), "q")
    assert len(stubborn.requests) == 4
    assert way.run(Agent(ScriptedModel([Reply("enough", calls(("look", {})).tool_calls)]), tool_call_limit=0), "q").tools == ()


def test_what_a_conversation_holds_already_is_not_counted_among_the_calls_of_the_run(way):
    def again() -> str:
        return "again"

    earlier = calls(("again", {}))
    before = [
        Message("user", "once"),
        Message("assistant", "", tool_calls=earlier.tool_calls),
        Message("tool", "again", name="again", tool_call_id="call-0"),
        Message("user", "and again"),
    ]
    model = ScriptedModel([earlier, "enough"])
    output = way.run(Agent(model, tools=[again], tool_call_limit=1), before)
    assert [execution.result for execution in output.tools] == ["again", "again"]
    assert [bool(request.tools) for request in model.requests] == [True, False]


def test_a_list_of_tools_that_is_changed_counts_from_the_next_run_on(way):
    def add(a: int, b: int) -> int:
        return a + b

    def double(a: int) -> int:
        return 2 * a

    tools = [add]
    agent = Agent(ScriptedModel(["a"] * 4), tools=tools)
    graph = agent.graph
    assert agent.graph is graph
    way.run(agent, "q")
    agent.tools.append(double)
    way.run(agent, "q")
    tools[0] = as_tool(add)
    way.run(agent, "q")
    tools.clear()
    way.run(agent, "q")
    names = [[spec.name for spec in request.tools] for request in agent.model.requests]
    assert names == [["add"], ["add", "double"], ["add", "double"], []]
    agent.tools.append("double")
    with pytest.raises(ValueError, match="give a list of functions or @tools"):
        way.run(agent, "q")


def test_a_changed_setting_of_an_agent_counts_from_its_next_run(way):
    model = ScriptedModel(["a", "b"])
    agent = Agent(model, instructions="old")
    way.run(agent, "q")
    agent.instructions = "new"
    way.run(agent, "q")
    assert [request.messages[0].text for request in model.requests] == ["old", "new"]


def test_tools_share_the_sessions_state_and_its_changes_are_stored(way, db):
    def put(item: str, ctx: Context) -> str:
        ctx.session_state["cart"].append(item)
        return f"{len(ctx.session_state['cart'])} items"

    model = ScriptedModel([calls(("put", {"item": "tea"})), "ok", calls(("put", {"item": "milk"})), "ok"])
    agent = Agent(model, tools=[put], db=db, session_id="s", session_state={"cart": []})
    assert way.run(agent, "tea").session_state == {"cart": ["tea"]}
    assert way.run(agent, "milk").session_state == {"cart": ["tea", "milk"]}
    assert agent.get_session_state() == {"cart": ["tea", "milk"]}


def test_what_a_failing_tool_changed_in_the_session_state_is_dropped(way, db):
    def pay(amount: int, ctx: Context) -> str:
        ctx.session_state["balance"] -= amount
        ctx.session_state["paid"].append(amount)
        if amount > 10:
            raise ValueError("too much")
        return "paid"

    model = ScriptedModel([calls(("pay", {"amount": 50}), ("pay", {"amount": 5})), "done"])
    agent = Agent(model, tools=[pay], db=db, session_id="s", session_state={"balance": 100, "paid": []})
    output = way.run(agent, "q")
    assert [execution.result for execution in output.tools] == ["The tool failed: ValueError: too much", "paid"]
    assert output.session_state == agent.get_session_state() == {"balance": 95, "paid": [5]}


def test_session_state_of_the_call_wins_over_the_stored_and_that_over_the_default(way, db):
    agent = Agent(ScriptedModel(["a"] * 3), db=db, session_id="s", session_state={"x": "default", "y": "default"})
    assert way.run(agent, "q", session_state={"x": "call"}).session_state == {"x": "call", "y": "default"}
    assert way.run(agent, "q").session_state == {"x": "call", "y": "default"}
    other = Agent(ScriptedModel(["a"]), db=db, session_id="s", session_state={"x": "new default", "z": "new"})
    assert way.run(other, "q").session_state == {"x": "call", "y": "default", "z": "new"}


# --- questions to people -----------------------------------------------------------------------------------------------


def test_a_tool_that_needs_confirmation_waits_for_it(way, db):
    paid: list[int] = []

    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        paid.append(amount)
        return "paid"

    model = ScriptedModel([calls(("pay", {"amount": 5}), ("pay", {"amount": 7})), "done"])
    agent = Agent(model, tools=[pay], db=db, session_id="s")
    output = way.run(agent, "q")
    assert output.status == RunStatus.PAUSED and paid == []
    first, second = output.interrupts
    assert first.value["arguments"] == {"amount": 5}
    output = way.resume(agent, "s", answers={first.id: True})
    assert output.status == RunStatus.PAUSED and [call.result for call in output.tools] == ["paid", None]
    assert [call.result for call in way.resume(agent, "s").tools] == ["paid", None]
    output = way.resume(agent, "s", answers={second.id: "too expensive"})
    assert (output.content, paid) == ("done", [5])
    assert "too expensive" in (output.tools[1].result or "")


def test_a_request_that_comes_again_sees_what_is_finished_of_a_paused_run(way, db):
    def look() -> str:
        return "seen"

    @tool(requires_confirmation=True)
    def pay() -> str:
        return "paid"

    model = ScriptedModel([calls(("look", {}), ("pay", {}), ("look", {}))])
    agent = Agent(model, tools=[look, pay], db=db, session_id="s")
    first, again = (way.run(agent, "q", idempotency_key="k") for _ in range(2))
    assert [call.result for call in first.tools] == [call.result for call in again.tools] == ["seen", None, "seen"]


def test_one_answer_to_several_questions_is_told_what_each_asks_in_the_order_of_the_calls(way, db):
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        return "paid"

    wanted = calls(*(("pay", {"amount": amount}) for amount in range(9)))
    agent = Agent(ScriptedModel([wanted]), tools=[pay], db=db, session_id="s")
    output = way.run(agent, "q")
    assert [question.value["tool_call_id"] for question in output.interrupts] == [call.id for call in output.tools]
    with pytest.raises(InvalidAnswer, match="session 's' has 9 pending questions; answer them by id") as told:
        way.resume(agent, "s", True)
    listed = str(told.value).partition("answers={id: …}: ")[2].split("; ")
    for question, line, amount in zip(output.interrupts, listed, range(9), strict=True):
        assert line.startswith(f"{question.id!r} asks {{'tool': 'pay', 'arguments': {{'amount': {amount}}}")


def test_what_is_said_before_a_question_is_no_answer(way, db):
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        return "paid"

    model = ScriptedModel([Reply("Let me pay that.", [ToolCall("1", "pay", {"amount": 5})]), "Paid."])
    agent = Agent(model, tools=[pay], db=db, session_id="s")
    output = way.run(agent, "q")
    assert (output.status, output.content, output.messages[-1].text) == ("paused", None, "Let me pay that.")
    assert db.get_runs("s")[0].content is None
    assert way.resume(agent, "s", True).content == "Paid." == db.get_runs("s")[0].content


def test_a_run_that_was_left_behind_has_no_answer(way, db):
    @tool(external=True)
    def fetch(url: str) -> str:
        """Somebody else does it."""

    model = ScriptedModel([Reply("Let me look.", [ToolCall("1", "fetch", {"url": "u"})]), "Hello!"])
    agent = Agent(model, tools=[fetch], db=db, session_id="s")
    way.run(agent, "q")
    way.run(agent, "never mind")
    assert [(run.status, run.content) for run in db.get_runs("s")] == [("abandoned", None), ("completed", "Hello!")]


def test_a_cancelled_run_has_no_answer(way, db):
    def stop(ctx: Context) -> str:
        agent.cancel(ctx.run_id)
        return "stopping"

    model = ScriptedModel([Reply("Let me stop.", [ToolCall("1", "stop", {})]), "Done."])
    agent = Agent(model, tools=[stop], db=db, session_id="s")
    output = way.run(agent, "q")
    assert (output.status, output.content) == ("cancelled", None)
    assert db.get_runs("s")[0].content is None


def test_a_run_that_ends_with_a_tool_call_has_no_answer(way, db):
    def look(place: str) -> str:
        return f"{place} is nice"

    model = ScriptedModel([Reply("Let me look.", [ToolCall("1", "look", {"place": "Oslo"})])])
    agent = Agent(model, tools=[look], db=db, session_id="s")
    builder = agent.graph_builder()
    builder.remove_edge("tools", "model")
    builder.add_edge("tools", END)
    output = way.run(agent.with_graph(builder), "q")
    assert (output.status, output.content) == ("completed", None)
    assert db.get_runs("s")[0].content is None


def test_a_tool_executed_outside_and_one_a_person_fills_in(way, db):
    @tool(external=True)
    def fetch(url: str) -> str:
        """Somebody else does it."""
        raise AssertionError("must not be called")

    @tool(user_input=["pin"])
    def unlock(door: str, pin: int) -> str:
        return f"{door} with {pin}"

    model = ScriptedModel([calls(("fetch", {"url": "u"})), calls(("unlock", {"door": "front"})), "ok"])
    agent = Agent(model, tools=[fetch, unlock], db=db, session_id="s")
    way.run(agent, "q")
    assert way.resume(agent, "s", "the page").status == RunStatus.PAUSED
    output = way.resume(agent, "s", {"pin": 1234})
    assert [t.result for t in output.tools] == ["the page", "front with 1234"]


@pytest.mark.parametrize("settings", [{"external": True}, {"requires_confirmation": True}], ids=["external", "confirmed"])
def test_nobody_is_asked_about_a_call_with_wrong_arguments(way, db, settings):
    def pay(to: str, amount: float) -> str:
        return "paid"

    wrong, right = {"to": "ann", "amount": "lots"}, {"to": "ann", "amount": 3.0}
    model = ScriptedModel([calls(("pay", wrong)), calls(("pay", right)), "ok"])
    agent = Agent(model, tools=[tool(pay, **settings)], db=db, session_id="s")
    (question,) = way.run(agent, "q").interrupts
    assert question.value["arguments"] == right
    output = way.resume(agent, "s", True if "external" not in settings else "paid")
    assert output.content == "ok" and output.tools[0].result.startswith("wrong arguments for pay: amount")


class Page(BaseModel):
    title: str
    words: int


class Handle:
    """What JSON cannot express, and has no text of its own."""


def test_the_result_of_an_execution_outside_is_what_the_tool_says_it_returns(way, db):
    @tool(external=True)
    def fetch(url: str) -> Page | None:
        """Somebody else does it."""

    agent = Agent(ScriptedModel([calls(("fetch", {"url": "u"})), "done"]), tools=[fetch], db=db, session_id="s")
    question = way.run(agent, "q").interrupts[0]
    assert set(question.value["schema"]["$defs"]["Page"]["properties"]) == {"title", "words"}
    (question,) = way.resume(agent, "s", False).interrupts
    assert question.value["problem"] == "answer is False, which is none of what is allowed"
    output = way.resume(agent, "s", {"title": "Tea", "words": 7})
    assert (output.content, output.tools[0].result) == ("done", '{"title":"Tea","words":7}')


def test_a_tool_whose_annotation_says_nothing_takes_any_result(way, db):
    @tool(external=True)
    def fetch() -> Handle:
        return Handle()

    agent = Agent(ScriptedModel([calls(("fetch", {})), "done"]), tools=[fetch], db=db, session_id="s")
    assert "schema" not in way.run(agent, "q").interrupts[0].value
    assert way.resume(agent, "s", False).tools[0].result == "false"


def test_a_result_that_cannot_be_read_is_an_error_the_model_sees(way):
    class Table:
        def __str__(self) -> str:
            return "a | b"

    results = {"handle": Handle(), "inside": [Handle()], "table": Table(), "log": {"line": "<x at 0x1f>"}}

    def give(what: str) -> Any:
        return results[what]

    model = ScriptedModel([calls(*(("give", {"what": what}) for what in results)), "ok"])
    handle, inside, table, log = (call.result for call in way.run(Agent(model, tools=[give]), "q").tools)
    assert handle.startswith("The tool failed: TypeError: give was called, but returned an object of type Handle that cannot")
    assert "an object of type list" in inside
    assert (table, log) == ("a | b", '{"line":"<x at 0x1f>"}')


def test_an_answer_that_is_none_is_asked_for_again(way, db):
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        return "paid"

    @tool(user_input=["pin"])
    def unlock(pin: int) -> str:
        return f"unlocked with {pin}"

    model = ScriptedModel([calls(("pay", {"amount": 5})), calls(("unlock", {})), "done"])
    agent = Agent(model, tools=[pay, unlock], db=db, session_id="s")
    way.run(agent, "q")
    output = way.resume(agent, "s", 1)
    assert output.status == RunStatus.PAUSED and "1 is no answer" in output.interrupts[0].value["problem"]
    output = way.resume(agent, "s", True)
    output = way.resume(agent, "s", {"pni": 1})
    assert output.interrupts[0].value["problem"] == "pin is missing; 'pni' is not asked for; give a dict with the fields pin"
    output = way.resume(agent, "s", {"pin": 1, "door": "front"})
    assert output.interrupts[0].value["problem"] == "'door' is not asked for; give a dict with the fields pin"
    output = way.resume(agent, "s", {})
    assert output.interrupts[0].value["problem"] == "pin is missing; give a dict with the fields pin"
    output = way.resume(agent, "s", False)
    assert output.interrupts[0].value["problem"] == "False is no dict; give a dict with the fields pin"
    output = way.resume(agent, "s", {"pin": "x"})
    assert output.status == RunStatus.PAUSED
    problem = output.interrupts[0].value["problem"]
    assert problem.startswith("pin: Input should be a valid integer") and problem.endswith(", not 'x'")
    output = way.resume(agent, "s", {"pin": 7})
    assert [execution.result for execution in output.tools] == ["paid", "unlocked with 7"]


def test_what_the_model_gave_wrong_is_not_asked_of_the_person_again(way, db):
    @tool(user_input=["pin"])
    def unlock(door: int, pin: int) -> str:
        return f"unlocked {door}"

    model = ScriptedModel([calls(("unlock", {"door": "front"})), "done"])
    agent = Agent(model, tools=[unlock], db=db, session_id="s")
    way.run(agent, "q")
    output = way.resume(agent, "s", {"pin": 7})
    assert output.content == "done"
    assert output.tools[0].result.startswith("wrong arguments for unlock: door: Input should be a valid integer")


def paying(paid, **settings):
    """A tool called pay, declared with these settings, that notes what it paid."""

    @tool(**settings)
    def pay(amount: int, account: str = "main") -> str:
        paid.append(amount)
        return f"paid from {account}"

    return pay


@pytest.mark.parametrize("settings", [{}, {"external": True}, {"user_input": ["account"]}], ids=["local", "external", "input"])
@pytest.mark.parametrize("answer", [False, "too expensive"], ids=["no", "note"])
def test_what_was_declined_is_not_called_though_the_tool_stopped_asking(way, db, answer, settings):
    paid: list[int] = []
    model = ScriptedModel([calls(("pay", {"amount": 5})), "not paid"])
    way.run(Agent(model, tools=[paying(paid, requires_confirmation=True)], db=db, session_id="s"), "q")
    output = way.resume(Agent(model, tools=[paying(paid, **settings)], db=db, session_id="s"), "s", answer)
    assert (output.content, paid) == ("not paid", [])
    assert output.tools[0].result.startswith("The user declined this call.") and str(answer or "") in output.tools[0].result


def test_what_was_agreed_to_is_called_when_the_tool_stopped_asking_and_its_own_question_is_a_new_one(way, db):
    def pay(amount: int, ctx: Context) -> str:
        return f"paid from {ctx.ask('From which account?')}"

    model = ScriptedModel([calls(("pay", {"amount": 5})), "done"])
    way.run(Agent(model, tools=[tool(pay, requires_confirmation=True)], db=db, session_id="s"), "q")
    agent = Agent(model, tools=[pay], db=db, session_id="s")
    (question,) = way.resume(agent, "s", True).interrupts
    assert question.value == "From which account?"
    output = way.resume(agent, "s", "savings")
    assert (output.content, output.tools[0].result) == ("done", "paid from savings")


@pytest.mark.parametrize(
    "before, answer, now",
    [
        ({"external": True}, "paid by hand", {}),
        ({"external": True}, "paid by hand", {"requires_confirmation": True}),
        ({"user_input": ["account"]}, {"account": "savings"}, {}),
        ({"requires_confirmation": True}, True, {"external": True}),
    ],
    ids=["local", "confirmed", "no input", "external"],
)
def test_an_answer_to_what_the_tool_does_not_ask_now_calls_nothing_until_it_asks_again(way, db, before, answer, now):
    paid: list[int] = []
    model = ScriptedModel([calls(("pay", {"amount": 5})), "done"])
    agent = Agent(model, tools=[paying(paid, **before)], db=db, session_id="s")
    way.run(agent, "q")
    changed = Agent(model, tools=[paying(paid, **now)], db=db, session_id="s")
    if before.get("requires_confirmation"):
        assert way.resume(changed, "s", answer).interrupts[0].value["asks"] == "result", "who executes it was not asked yet"
    else:
        with pytest.raises(GraphChanged, match=r"tool 'pay' changed while session 's' .*let it ask for the same again"):
            way.resume(changed, "s", answer)
        assert way.resume(agent, "s").content == "done"
    assert paid == ([5] if "user_input" in before else [])


# --- structured output, parts, metrics ---------------------------------------------------------------------------------


class City(BaseModel):
    name: str
    people: int


def test_structured_output_is_an_object(way, db):
    model = ScriptedModel(['{"name": "Paris", "people": 2}', '{"name": "Rome", "people": 3}', "plain"])
    agent = Agent(model, db=db, session_id="s", output_schema=City)
    assert way.run(agent, "q").content == City(name="Paris", people=2)
    assert model.requests[0].output_schema is City
    plain = Agent(model, db=db)
    assert way.run(plain, "q", output_schema=City).content == City(name="Rome", people=3)
    assert way.run(plain, "q").content == "plain"


def test_an_answer_that_is_not_of_the_schema_is_an_error_and_can_be_asked_again(way, db):
    agent = Agent(ScriptedModel(["I think Paris", '{"name": "Paris", "people": 2}']), db=db, session_id="s", output_schema=City)
    with pytest.raises(ModelError, match="City"):
        way.run(agent, "q")
    assert way.resume(agent, "s").content == City(name="Paris", people=2)


def test_images_and_files_are_stored_once_and_come_back(way, tmp_path):
    path = tmp_path / "s.db"
    db = SqliteDb(db_file=str(path))
    model = ScriptedModel(["seen"] * 4)
    agent = Agent(model, db=db, session_id="s")
    image = bytes(range(256)) * 400
    parts = [TextPart(text="look"), ImagePart(data=image), FilePart(data=b"a,b\n1,2", media_type="text/csv", name="t.csv")]
    for _ in range(4):
        way.run(agent, parts)
    history = model.requests[3].messages
    assert next(m for m in history if m.role == "user").content == parts
    assert agent.get_chat_history()[0].content == parts
    db.close()
    assert path.stat().st_size < 3 * len(image)


def test_other_inputs_become_messages(way):
    model = ScriptedModel(["a"] * 4)
    agent = Agent(model)
    way.run(agent, [("system", "be kind"), Message("user", "hi")])
    way.run(agent, {"city": "Paris"})
    way.run(agent, City(name="Rome", people=3))
    way.run(agent, ["two", "parts"])
    assert [m.role for m in model.requests[0].messages] == ["system", "user"]
    assert [texts(r) for r in model.requests[1:]] == [['{"city":"Paris"}'], ['{"name":"Rome","people":3}'], ["two\nparts"]]


def test_metrics_count_tokens_and_seconds_by_node(way, db):
    def look() -> str:
        return "x"

    first = Reply(tool_calls=[ToolCall("c", "look", {})], usage=Usage(10, 2))
    output = way.run(Agent(ScriptedModel([first, Reply("ok", usage=Usage(20, 3))]), tools=[look], db=db, session_id="s"), "q")
    assert (output.metrics["input_tokens"], output.metrics["output_tokens"]) == (30, 5)
    assert set(output.metrics["nodes"]) == {"history", "model", "tools"}
    assert db.get_runs("s")[0].metrics["input_tokens"] == 30


# --- streaming and printing --------------------------------------------------------------------------------------------


def test_the_tokens_of_a_stream_are_the_content_and_its_last_event_the_output(way, db):
    agent = Agent(ScriptedModel(["one two three"]), db=db, session_id="s")
    events = way.events(agent, "q")
    assert "".join(event.text for event in events if event.type == "token") == "one two three"
    assert events[0].type == "run_started" and events[-1].type == "run_completed"
    assert events[-1].output.content == "one two three"
    assert {event.session_id for event in events} == {"s"} and {event.run_id for event in events} == {events[-1].output.run_id}


def test_a_call_that_waits_for_a_person_has_not_started(way, db):
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        return "paid"

    def told(events):
        return [event.type for event in events if event.type.startswith("tool_")]

    model = ScriptedModel([calls(("pay", {"amount": 5})), calls(("pay", {"amount": 7})), "done"])
    agent = Agent(model, tools=[pay], db=db, session_id="s")
    assert told(way.events(agent, "q")) == []
    assert told(way.resumed(agent, "s", True)) == ["tool_started", "tool_completed"]
    assert told(way.resumed(agent, "s", False)) == ["tool_failed"]


def test_a_call_that_cannot_be_made_never_starts(way):
    def look(what: int) -> str:
        return "seen"

    model = ScriptedModel([calls(("look", {}), ("find", {})), "ok"])
    events = way.events(Agent(model, tools=[look]), "q")
    assert [event.type for event in events if event.type.startswith("tool_")] == ["tool_failed", "tool_failed"]


def test_tools_tell_when_they_start_and_end(way):
    def look(what: str) -> str:
        if what == "bad":
            raise ValueError("blind")
        return "seen"

    model = ScriptedModel([calls(("look", {"what": "good"}), ("look", {"what": "bad"})), "ok"])
    events = way.events(Agent(model, tools=[look]), "q")
    told = sorted((event.type, event.arguments["what"]) for event in events if event.type.startswith("tool_"))
    assert told == [("tool_completed", "good"), ("tool_failed", "bad"), ("tool_started", "bad"), ("tool_started", "good")]


def test_a_stream_left_early_keeps_what_was_committed_and_can_be_resumed(db):
    agent = Agent(ScriptedModel(["word " * 5000, "finally"]), db=db, session_id="s")
    stream = agent.run("q", stream=True)
    for event in stream:
        if event.type == "token":
            break
    stream.close()
    assert [m.text for m in agent.get_chat_history()] == ["q"]
    assert db.get_runs("s")[0].status == "cancelled"
    assert agent.resume("s").content == "finally"


def test_a_tool_that_ends_after_its_stream_was_left_is_stored_and_not_called_again(db):
    charged = []

    def charge(amount: int, ctx: Context) -> str:
        with suppress(Cancelled):  # raised as soon as nobody reads any more
            while not charged:
                ctx.write("working")
        charged.append(amount)
        return "charged"

    agent = Agent(ScriptedModel([calls(("charge", {"amount": 5})), "done"]), tools=[charge], db=db, session_id="s")
    stream = agent.run("q", stream=True)
    for event in stream:
        if event.type == "tool_started":
            break
    stream.close()
    assert charged == [5] and db.get_session("s").status == "cancelled"
    assert [m.text for m in agent.get_chat_history()][-1] == "charged"
    assert agent.resume("s").content == "done"
    assert charged == [5]


def test_a_cancelled_arun_keeps_what_was_committed_and_frees_the_session(db):
    started = threading.Event()

    def slow(request: Any) -> str:
        started.set()
        return "late"

    class Slow(AsyncModel):
        async def arespond(self, request: Any) -> Reply:
            started.set()
            await asyncio.sleep(60)
            return Reply("late")

        def respond(self, request: Any) -> Reply:
            return Reply("resumed")

    agent = Agent(Slow(), db=db, session_id="s")

    async def cancel() -> None:
        task = asyncio.create_task(agent.arun("q"))
        while not started.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert db.get_runs("s")[0].status == "cancelled"
    assert agent.resume("s").content == "resumed"


def test_events_of_a_resumed_run_carry_its_run_id(way, db):
    seen: list[str] = []
    agent = Agent(
        ScriptedModel([ModelError("down"), "ok"]), db=db, session_id="s", on_event=lambda event: seen.append(event.run_id)
    )
    with pytest.raises(ModelError):
        way.run(agent, "q")
    seen.clear()
    output = way.resume(agent, "s")
    assert set(seen) == {output.run_id} == {db.get_runs("s")[0].run_id}


def test_a_superstep_that_rides_is_no_checkpoint_yet(way, db):
    agent = Agent(ScriptedModel(["a"]), db=db, session_id="s")
    told = [(event.seq, event.stored) for event in way.events(agent, "q") if event.type == "checkpoint"]
    assert told == [(0, False), (1, True)]


def test_events_of_every_run_reach_on_event(way, db):
    seen: list[str] = []
    agent = Agent(ScriptedModel(["a"]), db=db, on_event=lambda event: seen.append(event.type))
    way.run(agent, "q")
    assert seen[0] == "run_started" and seen[-1] == "run_completed" and "token" in seen


def test_print_response_shows_the_answer_and_keeps_its_own_session_per_user(way, db, capsys):
    model = ScriptedModel(["Hello **Anna**", "Still Anna", "Hello Ben"])
    agent = Agent(model, db=db)
    assert way.print_response(agent, "I am Anna", user_id="anna") is None
    way.print_response(agent, "Who am I?", user_id="anna")
    way.print_response(agent, "I am Ben", user_id="ben")
    shown = capsys.readouterr().out
    assert "I am Anna" in shown and "Hello Anna" in shown
    assert texts(model.requests[1]) == ["I am Anna", "Hello **Anna**", "Who am I?"]
    assert texts(model.requests[2]) == ["I am Ben"]
    assert agent.session_id is None


def test_making_an_agent_compiles_nothing():
    assert Agent(ScriptedModel(["a"]), tools=[print])._graphs is None


@pytest.mark.parametrize("ids", [{"user_id": ""}, {"session_id": ""}], ids=["user", "session"])
def test_an_empty_id_is_refused_and_chooses_nobody_else(ids: dict[str, str]) -> None:
    agent = Agent(ScriptedModel(["hi"]), db=InMemoryDb(), user_id="ann", session_id="own")
    with pytest.raises(InvalidId):
        agent.run("hello", **ids)
    assert agent.db.count_sessions() == 0


def test_a_pair_of_role_and_text_is_a_message() -> None:
    agent = Agent(ScriptedModel(["hi"]))
    assert agent.run(("user", "hello")).messages[0].content == "hello"


def test_an_input_of_none_is_refused_with_the_way_to_go_on() -> None:
    with pytest.raises(InvalidUpdate, match="resume"):
        Agent(ScriptedModel(["hi"])).graph.invoke(None)


@pytest.mark.parametrize("input", [None, 5, [None], [("nobody", "x")], {"a": object()}])
def test_an_input_that_is_no_message_is_refused_before_anything_is_written(way, db, input):
    agent = Agent(ScriptedModel(["never"]), db=db, session_id="s")
    for run in (way.run, way.events):
        with pytest.raises(InvalidUpdate, match="the input"):
            run(agent, input)
    assert db.get_session("s") is None and not agent.model.requests


@pytest.mark.parametrize(
    "text", ['```json\n{"name": "Ann"}\n```', 'X```{"name": "Ann"}', ' ```\n{"name":\n"Ann"}\n```\n', '{"name": "Ann"}']
)
def test_structured_output_may_stand_in_a_fence(way, text):
    class Person(BaseModel):
        name: str

    agent = Agent(ScriptedModel([text]), output_schema=Person)
    if text.startswith("X"):
        with pytest.raises(ModelError, match="is not a Person"):
            way.run(agent, "who?")
    else:
        assert way.run(agent, "who?").content == Person(name="Ann")


@pytest.mark.parametrize("part", [ImagePart, FilePart])
def test_a_part_shows_something_and_tells_what_kind_of_image_it_is(part):
    with pytest.raises(ValueError, match="neither url= nor data="):
        part()
    assert ImagePart(data=b"\xff\xd8\xff\xe0").media_type == "image/jpeg"
    assert ImagePart(data=b"\xff\xd8\xff\xe0", media_type="image/x").media_type == "image/x"
    assert ImagePart(data=b"\x89PNG").media_type == ImagePart(data=b"?").media_type == "image/png"
    assert FilePart(data=b"%PDF-1.7").media_type == FilePart(data=b"x", name="a.pdf").media_type == "application/pdf"
    assert FilePart(data=b"%PDF-1.7", media_type="text/x").media_type == "text/x"
    assert FilePart(data=b"a,b", name="t.csv").media_type == "text/csv"
    assert FilePart(data=b"?").media_type == FilePart(data=b"?", name="t").media_type == "application/octet-stream"


def test_what_a_call_begins_with_is_as_it_was_when_it_was_made(db: Any) -> None:
    agent = Agent(ScriptedModel(["a"]), db=db, session_id="s", session_state={"a": 1})
    call = agent.arun("q")
    agent.session_state.update(a=99, b=2)  # type: ignore[union-attr]
    assert asyncio.run(call).session_state == {"a": 1}  # type: ignore[arg-type]


def test_what_is_done_to_a_result_reaches_neither_the_agent_nor_other_sessions(way, db):
    begun = {"cart": []}
    agent = Agent(ScriptedModel(["a", "b", "c"]), db=db, session_state=begun)
    way.run(agent, "x", session_id="one", user_id="ann").session_state["cart"].append("hers")
    assert way.run(agent, "y", session_id="two", user_id="bob").session_state == {"cart": []}
    assert agent.get_session_state("two", user_id="bob") == {"cart": []} == begun
    given = {"list": []}
    way.run(agent, "z", session_id="three", session_state=given).session_state["list"].append("theirs")
    assert given == {"list": []}


def test_a_call_cannot_bring_a_history_back_that_is_switched_off(way, db):
    for summaries in (False, True):
        model = ScriptedModel(["1", "2", "3"])
        settings = {"add_history_to_context": False, "enable_session_summaries": summaries}
        agent = Agent(model, db=db, session_id=f"s{summaries}", **settings)
        way.run(agent, "first")
        way.run(agent, "second", num_history_runs=5)
        assert [message.text for message in model.requests[1].messages if message.role != "system"] == ["second"]
        way.run(agent, "third", num_history_runs=5, add_history_to_context=True)
        assert [message.text for message in model.requests[2].messages if message.role != "system"][:2] == ["first", "1"]


def test_a_session_state_that_cannot_be_copied_is_shared_where_nothing_stores_it(way):
    client = threading.Lock()
    agent = Agent(ScriptedModel(["a"]), session_state={"client": client, "cart": []})
    output = way.run(agent, "x", session_state={"other": client})
    assert output.session_state["client"] is output.session_state["other"] is client
