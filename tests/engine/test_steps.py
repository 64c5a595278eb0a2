"""Recorded steps: what is computed once, however often a node runs."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Message, RetryPolicy, Send, StateGraph, append, interrupt, untracked
from graphflow.core.effects import Ask
from graphflow.core.plan import flow
from graphflow.errors import InvalidUpdate, SerializationError, StepError
from graphflow.models.base import Request
from graphflow.testing import ScriptedModel


class S(TypedDict):
    path: Annotated[list[Any], append]
    topic: str
    secret: Annotated[str, untracked]


class Counted:
    """A function that counts its calls."""

    def __init__(self, value: Any = "made") -> None:
        self.value, self.calls = value, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.value


def graph_of(db, *nodes, state=S, **compiled):
    builder = StateGraph(state)
    names = [f"n{i}" for i in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        builder.add_node(name, node)
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    return builder.compile(db=db, **compiled)


@pytest.mark.parametrize(
    "value", ["made", "", 0, False, None, [], {}, (1, 2), Decimal("1.10"), datetime(2030, 1, 1, tzinfo=UTC)], ids=repr
)
def test_a_step_is_not_computed_again_after_a_question(way, db, value):
    make = Counted(value)

    def node(state, ctx):
        made = ctx.step("make", make)
        return {"path": [made, interrupt("go on?")]}

    graph = graph_of(db, node)
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    result = way.resume(graph, "s", "yes")
    assert result["path"] == [value, "yes"] and type(result["path"][0]) is type(value)
    assert make.calls == 1


def test_async_steps_too(way, db):
    calls = []

    async def fetch(topic):
        await asyncio.sleep(0)
        calls.append(topic)
        return topic.upper()

    async def node(state, ctx):
        one = await ctx.astep("fetch", fetch, "tea")
        two = await ctx.astep("plain", str.upper, "coffee")
        three = await ctx.astep("lambda", lambda: fetch("water"))
        return {"path": [one, two, three, interrupt("go on?")]}

    graph = graph_of(db, node)
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", "yes")["path"] == ["TEA", "COFFEE", "WATER", "yes"]
    assert calls == ["tea", "water"]


def test_a_sync_node_may_record_what_an_async_function_gives(way, db):
    async def fetch(topic):
        return topic.upper()

    graph = graph_of(db, lambda state, ctx: {"topic": ctx.step("fetch", fetch, topic="tea")})
    assert way.invoke(graph, {}, session_id="s")["topic"] == "TEA"


def test_flow_nodes_record_steps_and_whole_flows(way, db):
    model, make = ScriptedModel(["one", "never"]), Counted(7)

    @flow
    def asking(text):
        reply = yield Ask(model, Request([Message("user", text)]))
        return reply.content

    @flow
    def node(state, ctx):
        asked = yield from ctx.recorded("ask", asking, "hi")
        made = yield from ctx.recorded("make", make)
        return {"path": [asked, made, interrupt("go on?")]}

    graph = graph_of(db, node)
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", "yes")["path"] == ["one", 7, "yes"]
    assert len(model.requests) == 1 and make.calls == 1


def test_uses_of_one_name_are_told_apart_by_their_order(way, db):
    calls = []

    def make(n):
        calls.append(n)
        return n * n

    def node(state, ctx):
        return {"path": [*(ctx.step("square", make, n) for n in range(4)), interrupt("go on?")]}

    graph = graph_of(db, node)
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", "yes")["path"] == [0, 1, 4, 9, "yes"]
    assert calls == [0, 1, 2, 3]


def test_a_step_is_stored_before_it_returns(way, db):
    seen = []

    def node(state, ctx):
        ctx.step("make", lambda: "kept")
        other = graph_of(db, node)
        seen.append(other.get_state("s").tasks[0].state)
        raise ZeroDivisionError

    def second(state, ctx):
        return {"path": [ctx.step("make", Counted("computed again"))]}

    with pytest.raises(ZeroDivisionError):
        way.invoke(graph_of(db, node), {}, session_id="s")
    assert seen == ["pending"]
    assert way.resume(graph_of(db, second), "s")["path"] == ["kept"]


def test_a_step_survives_an_error_and_another_node_object(way, db):
    make, broken = Counted(), [True]

    def node(state, ctx):
        made = ctx.step("make", make)
        if broken:
            raise ZeroDivisionError
        return {"path": [made]}

    graph = graph_of(db, node)
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {}, session_id="s")
    broken.clear()
    assert way.resume(graph, "s")["path"] == ["made"]
    assert make.calls == 1


@pytest.mark.parametrize("stored", [True, False])
def test_a_step_is_kept_between_the_attempts_of_a_node(way, db, stored):
    make, seen = Counted([1]), []

    def node(state, ctx):
        made = ctx.step("make", make)
        seen.append(list(made))
        made.append("spoilt by an attempt")
        if ctx.attempt < 3:
            raise ConnectionError
        return {"path": [ctx.attempt]}

    builder = StateGraph(S)
    builder.add_node("n", node, retry=RetryPolicy(initial=0, jitter=False))
    builder.add_edge(START, "n")
    builder.add_edge("n", END)
    graph = builder.compile(db=db if stored else None)
    assert way.invoke(graph, {}, **({"session_id": "s"} if stored else {}))["path"] == [3]
    assert make.calls == 1 and seen == [[1]] * 3


def test_a_step_in_flight_runs_again_with_the_same_key(way, db):
    keys = []

    def node(state, ctx):
        def charge():
            keys.append(ctx.task_key)
            if len(keys) == 1:
                raise ZeroDivisionError("the process went away in the middle")
            return "charged"

        return {"path": [ctx.step("charge", charge)]}

    graph = graph_of(db, node)
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s")["path"] == ["charged"]
    assert len(keys) == 2 and len(set(keys)) == 1


def test_what_a_step_raises_comes_out_and_counts_as_a_use(way, db):
    tried = []

    def get(url):
        tried.append(url)
        if url == "bad":
            raise KeyError(url)
        return f"page {url}"

    def node(state, ctx):
        pages = []
        for url in ("bad", "good"):
            try:
                pages.append(ctx.step("get", get, url))
            except KeyError:
                pages.append("missing")
        return {"path": [*pages, interrupt("go on?")]}

    graph = graph_of(db, node)
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", "yes")["path"] == ["missing", "page good", "yes"]
    assert tried == ["bad", "good", "bad"]


def test_steps_of_parallel_tasks_are_their_own(way, db):
    calls, broken = [], [True]

    def work(n, ctx):
        made = ctx.step("make", lambda: calls.append(n) or n * 10)
        if broken and n == 2:
            raise ZeroDivisionError
        return {"path": [made]}

    builder = StateGraph(S)
    builder.add_node("fan", lambda state: None)
    builder.add_node("work", work)
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("work", n) for n in range(4)], ["work"])
    builder.add_edge("work", END)
    graph = builder.compile(db=db)
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {}, session_id="s")
    broken.clear()
    assert way.resume(graph, "s")["path"] == [0, 10, 20, 30]
    assert sorted(calls) == [0, 1, 2, 3]


def test_steps_of_a_later_superstep_are_new(way, db):
    make = Counted()

    def node(state, ctx):
        return {"path": [ctx.step("make", make)]}

    assert way.invoke(graph_of(db, node, node, node), {}, session_id="s")["path"] == ["made"] * 3
    assert make.calls == 3


def test_steps_of_different_names_may_run_at_the_same_time(way, db):
    meet = threading.Barrier(3)

    def work(name):
        meet.wait(20)
        return name

    async def node(state, ctx):
        names = ["a", "b", "c"]
        return {"path": await asyncio.gather(*(ctx.astep(name, work, name) for name in names))}

    assert way.invoke(graph_of(db, node), {}, session_id="s")["path"] == ["a", "b", "c"]


def test_one_name_at_the_same_time_is_an_error(way, db):
    async def slow():
        await asyncio.sleep(0.05)

    async def node(state, ctx):
        await asyncio.gather(ctx.astep("same", slow), ctx.astep("same", slow))

    with pytest.raises(StepError, match=r"'n0'.*'same'"):
        way.invoke(graph_of(db, node), {}, session_id="s")


def test_a_question_inside_a_step_is_an_error(way, db):
    def node(state, ctx):
        return {"path": [ctx.step("ask", interrupt, "in here?")]}

    async def anode(state, ctx):
        async def ask():
            return interrupt("in here?")

        return {"path": [await ctx.astep("ask", ask)]}

    for name, one in (("sync", node), ("async", anode)):
        with pytest.raises(StepError, match=r"'n0'.*'ask'"):
            way.invoke(graph_of(db, one), {}, session_id=name)


def test_a_step_inside_a_step_of_the_same_task_is_an_error(way, db):
    def node(state, ctx):
        return {"path": [ctx.step("outer", lambda: ctx.step("inner", lambda: 1))]}

    with pytest.raises(StepError, match=r"'inner'.*'outer'"):
        way.invoke(graph_of(db, node), {}, session_id="s")


def test_a_step_may_run_a_graph_of_its_own_that_asks(way, db):
    inner = graph_of(db, lambda state: {"topic": interrupt("inside?")})

    def node(state, ctx):
        result = ctx.step("inner", lambda: inner.invoke({}, session_id=f"inner {ctx.task_key}").status)
        return {"path": [result, interrupt("outside?")]}

    graph = graph_of(db, node)
    assert way.invoke(graph, {}, session_id="s").interrupts[0].value == "outside?"
    assert way.resume(graph, "s", "yes")["path"] == ["paused", "yes"]


def test_a_result_that_cannot_come_back_equal_names_step_and_node(way, db):
    class Mine:
        pass

    with pytest.raises(SerializationError, match=r"step 'client' of node 'n0'"):
        way.invoke(graph_of(db, lambda state, ctx: {"path": [ctx.step("client", Mine) and 1]}), {}, session_id="s")


def test_without_a_database_a_step_may_give_anything(way):
    lock = threading.Lock()

    def node(state, ctx):
        return {"path": [ctx.step("lock", lambda: lock) is lock]}

    assert way.invoke(graph_of(None, node), {})["path"] == [True]


@pytest.mark.parametrize("name", ["", 3, "line\nbreak"])
def test_a_name_has_to_be_a_printable_text(way, name):
    with pytest.raises(ValueError, match="'n0'"):
        way.invoke(graph_of(None, lambda state, ctx: ctx.step(name, int) and None), {})


def test_what_rides_is_stored_before_a_step_is_recorded(way, db):
    seen = []

    def step():
        seen.append("computed")

    def look(state, ctx):
        ctx.step("make", step)
        stored = graph.get_state("s")
        seen.append((stored.values["topic"], stored.next))
        return {"path": ["done"]}

    builder = StateGraph(S)
    builder.add_node("read", lambda state: {"topic": "tea", "secret": "s3cret"}, rerunnable=True)
    builder.add_node("look", look)
    builder.add_edge(START, "read")
    builder.add_edge("read", "look")
    builder.add_edge("look", END)
    graph = builder.compile(db=db)
    result = way.invoke(graph, {}, session_id="s")
    assert seen == ["computed", ("tea", ("look",))]
    assert result["path"] == ["done"] and way.get_state(graph, "s").values["path"] == ["done"]


def test_many_steps_at_once_after_something_that_rides(way, db):
    async def node(state, ctx):
        await asyncio.gather(*(ctx.astep(f"s{n}", lambda n=n: n) for n in range(8)))
        return {"path": ["done"]}

    builder = StateGraph(S)
    builder.add_node("read", lambda state: {"topic": "tea"}, rerunnable=True)
    builder.add_node("node", node)
    builder.add_edge(START, "read")
    builder.add_edge("read", "node")
    builder.add_edge("node", END)
    assert way.invoke(builder.compile(db=db), {}, session_id="s")["path"] == ["done"]


def test_results_that_cannot_be_merged_are_made_anew_from_their_steps(way, db):
    make, value = Counted(), ["x"]

    def one(state, ctx):
        ctx.step("make", make)
        return {"topic": "one"}

    def two(state, ctx):
        ctx.step("make", make)
        return {"topic": "two"} if value else None

    builder = StateGraph(S)
    for name, node in (("one", one), ("two", two)):
        builder.add_node(name, node)
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db)
    with pytest.raises(InvalidUpdate):
        way.invoke(graph, {}, session_id="s")
    value.clear()
    assert way.resume(graph, "s")["topic"] == "one"
    assert make.calls == 2


def test_a_cancelled_step_that_was_being_stored_is_stored(db):
    make = Counted()

    async def node(state, ctx):
        await ctx.astep("make", make)
        await asyncio.sleep(0 if make.value == "second" else 30)
        return {"path": ["done"]}

    graph = graph_of(db, node)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(graph.ainvoke({}, session_id="s"), 0.5)
        make.value = "second"
        return await graph.aresume("s")

    assert asyncio.run(main())["path"] == ["done"]
    assert make.calls == 1


@pytest.mark.parametrize("durability", [None, "exit"])
def test_a_late_step_of_an_attempt_that_was_given_up_has_nothing_forgotten(way, db, durability):
    late, recorded, paid = threading.Event(), threading.Event(), Counted()

    def slow(state, ctx):
        try:
            ctx.step("late", lambda: recorded.wait(30))
        finally:
            late.set()

    def pay(state, ctx):
        ctx.step("pay", paid)
        recorded.set()
        assert late.wait(30)
        if ctx.attempt == 1:
            raise ConnectionError("gone")
        return {"path": ["paid"]}

    builder = StateGraph(S).add_node("slow", slow, timeout=0.1, on_error=lambda state, error: {"path": ["given up"]})
    builder.add_node("pay", pay, retry=RetryPolicy(initial=0.0, jitter=False))
    builder.add_edge(START, "slow").add_edge("slow", "pay").add_edge("pay", END)
    graph = builder.compile() if durability is None else builder.compile(db=db, durability=durability)
    assert way.invoke(graph, {})["path"] == ["given up", "paid"]
    assert paid.calls == 1
