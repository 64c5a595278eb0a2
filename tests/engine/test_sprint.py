"""Supersteps of one node that follow each other do what supersteps one by one do, stored or not."""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from itertools import pairwise
from time import perf_counter
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphflow import END, START, Command, Context, Send, StateGraph
from graphflow.core import machine
from graphflow.core.control import Overwrite
from graphflow.core.effects import Advance, Commit
from graphflow.db import InMemoryDb
from graphflow.drive import crew
from graphflow.errors import RecursionLimit
from tests.engine.counting import Counting


class S(TypedDict, total=False):
    n: int
    last: str
    total: Annotated[int, operator.add]
    path: Annotated[list[str], operator.add]


def gives(what: str, name: str, n: int) -> Any:
    """What node ``name`` returns as step ``n`` of its tape."""
    moved = {"n": n + 1}
    match what:
        case "plain":
            return {**moved, "last": f"{name}{n}"}
        case "overwrites plain":
            return {**moved, "last": Overwrite(f"over{n}")}
        case "reduced":
            return {**moved, "total": n, "path": [name]}
        case "overwrites reduced":
            return {**moved, "path": Overwrite([name])}
        case "command":
            return Command(update=moved)
        case "sends":
            return Command(update=moved, goto=[Send("worker", {"n": n}), Send("worker", {"n": -n})])
        case "wrong type":
            return {**moved, "last": n}
        case "unknown field":
            return {**moved, "lst": ""}
        case "raises":
            raise LookupError(f"{name} at {n}")
        case "nothing":
            return {"n": n + 1}
    raise AssertionError(what)


FINE = ("plain", "overwrites plain", "reduced", "overwrites reduced", "command", "sends", "nothing")
FATAL = ("wrong type", "unknown field", "raises")
NAMES = ("a", "b", "c")


def tape_machine(tape: list[tuple[str, str]], asynchronous: bool, db: Any = None) -> Any:
    """A graph whose step ``n`` is done as ``tape[n]`` says: (node, what it gives)."""
    builder = StateGraph(S)

    def node_of(name: str) -> Any:
        def node(state: Any) -> Any:
            return gives(tape[state["n"]][1], name, state["n"])

        def node_and_context(state: Any, ctx: Any) -> Any:
            return node(state)

        async def anode(state: Any) -> Any:
            await asyncio.sleep(0)
            return node(state)

        return node_and_context if name == "c" else anode if asynchronous and name == "b" else node

    for name in NAMES:
        builder.add_node(name, node_of(name), destinations=["worker"])
        builder.add_conditional_edges(name, lambda state: tape[state["n"]][0] if state["n"] < len(tape) else END)
    builder.add_node("worker", lambda arg: {"total": arg["n"]})
    builder.add_edge("worker", END)
    builder.add_conditional_edges(START, lambda state: tape[0][0])
    return builder.compile(db=db)


def end_of(run: Any) -> Any:
    """How a run ends: values and who ran, or the error."""
    try:
        result = run()
    except Exception as error:
        return type(error), re.sub(r":\d{10,}\.", ":n.", str(error)).partition(" (session")[0]
    return result.status, result.values, list(result.metrics.get("nodes", ()))


@contextmanager
def one_by_one() -> Iterator[None]:
    """No superstep is a part of a sprint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "can_sprint", lambda machine: False)
        yield


@contextmanager
def on_an_idle_machine() -> Iterator[None]:
    """No task seems to wait for something, so that none is recorded before its siblings have ended, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "thread_time", perf_counter)
        patch.setattr(crew.Crew, "look", lambda self: None)
        patch.setattr(crew, "PATIENCE", 60.0)
        patch.setattr(crew, "COLLECTING", 60.0)
        yield


def told(graph: Any, input: Any, **options: Any) -> list[Any]:
    """What a run tells, its own ids and times left out, and how it ends."""
    events: list[Any] = []

    def run() -> Any:
        for event in graph.stream(input, stream_mode="events", **options):
            about = {key: event.data[key] for key in ("input", "update", "values", "next", "seq") if key in event.data}
            events.append((event.type, event.node, about))
        return event.data["output"]

    end = end_of(run)
    return [*events, end]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tape=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(FINE)), min_size=1, max_size=12),
    fatal=st.none() | st.sampled_from(FATAL),
    limit=st.sampled_from((3, 1000)),
)
def test_stored_or_not_it_ends_as_one_by_one_and_tells_the_same(tape, fatal, limit):
    if fatal is not None:
        tape = [*tape, ("a", fatal)]
    input = {"n": 0}
    with one_by_one():
        *events, end = told(tape_machine(tape, False), input, recursion_limit=limit)
    alone = end_of(lambda: tape_machine(tape, False).invoke(input, recursion_limit=limit))
    assert end_of(lambda: asyncio.run(tape_machine(tape, True).ainvoke(input, recursion_limit=limit))) == alone
    assert told(tape_machine(tape, False), input, recursion_limit=limit) == [*events, end]
    assert end == alone
    db = InMemoryDb()
    stored = tape_machine(tape, False, db)
    assert end_of(lambda: stored.invoke(input, session_id="s", recursion_limit=limit)) == alone
    assert told(stored, input, session_id="t", recursion_limit=limit) == [*events, end]
    db.close()


def tape_inside(tape: list[tuple[str, str]], ran: list[str], db: Any, inside: bool) -> Any:
    """A graph (with one inside) whose steps are done as the tape says; "router raises" and "steps" are theirs, too."""
    inner = StateGraph(S)

    def node_of(name: str) -> Any:
        def node(state: Any, ctx: Context) -> Any:
            ran.append(f"{name}{state['n']}")
            what = tape[state["n"]][1]
            if what == "steps":
                return {"n": state["n"] + 1, "last": ctx.step("step", lambda: ran.append("step") or f"step{state['n']}")}
            return gives("plain" if what == "router raises" else what, name, state["n"])

        return node

    def router(state: Any) -> Any:
        if tape[state["n"] - 1][1] == "router raises":
            raise LookupError("no way")
        return tape[state["n"]][0] if state["n"] < len(tape) else END

    for name in NAMES:
        inner.add_node(name, node_of(name), destinations=["worker"])
        inner.add_conditional_edges(name, router)
    inner.add_node("worker", lambda arg: {"total": arg["n"]})
    inner.add_edge("worker", END)
    inner.add_conditional_edges(START, lambda state: tape[0][0])
    if not inside:
        return inner.compile(db=db)
    outer = StateGraph(S).add_node("inside", inner.compile()).add_edge(START, "inside").add_edge("inside", END)
    return outer.compile(db=db)


def told_of(commit: Commit | Advance) -> tuple[Any, ...]:
    delta = commit.checkpoint and commit.checkpoint.delta
    return (delta, len(commit.tasks), commit.status) if isinstance(commit, Commit) else (delta,)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tape=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((*FINE, "steps"))), min_size=1, max_size=8),
    fatal=st.none() | st.sampled_from((*FATAL, "router raises")),
    limit=st.sampled_from((3, 1000)),
    durability=st.sampled_from(("sync", "exit")),
    inside=st.booleans(),
)
def test_it_commits_what_it_does_one_by_one(tape, fatal, limit, durability, inside):
    """Also what it leaves when it fails, and what runs again then."""
    ends = []
    for way in (nullcontext, one_by_one):
        with on_an_idle_machine(), way(), closing(InMemoryDb()) as memory:
            db = Counting(memory)
            ran: list[str] = []
            mended = [*tape] if fatal is None else [*tape, ("a", fatal)]
            graph = tape_inside(mended, ran, db, inside)
            run = told(graph, {"n": 0}, session_id="s", recursion_limit=limit, durability=durability)
            left = graph.get_state("s")
            if fatal is not None:
                mended[-1] = ("a", "plain")
            again = end_of(lambda graph=graph: graph.resume("s"))
            commits = [told_of(commit) for commit in db.commits]
            ends.append((run, left.next, left.status, left.values, again, ran, db.spaces, commits))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("order", ["k", "ak", "ka", "aka", "kk"])
def test_a_graph_inside_goes_on_step_by_step_once_something_of_it_is_stored(order, monkeypatch):
    """k keeps its state between calls, so it is stored, and what is around it before."""
    ends = []
    for sprints in (True, False):
        if not sprints:
            monkeypatch.setattr(machine, "can_sprint", lambda machine: False)
        lasting = StateGraph(S).add_node("z", lambda state: {"path": ["z"]}).add_edge(START, "z").add_edge("z", END).compile()
        inner = StateGraph(S)
        names = [f"{name}{number}" for number, name in enumerate(order)]
        for name in names:
            if name[0] == "k":
                inner.add_node(name, lasting, persist=True, output=lambda state: {"path": ["done"]})
            else:
                inner.add_node(name, lambda state, name=name: {"path": [name]})
        for left, right in pairwise([START, *names, END]):
            inner.add_edge(left, right)
        outer = StateGraph(S).add_node("inside", inner.compile()).add_edge(START, "inside").add_edge("inside", END)
        db = Counting(InMemoryDb())
        graph = outer.compile(db=db, durability="exit")
        end = end_of(lambda graph=graph: graph.invoke({}, session_id="s"))
        ends.append((end, db.spaces, [(c.checkpoint and c.checkpoint.delta, c.status) for c in db.commits]))
        assert db.check().ok
        db.close()
    assert ends[0] == ends[1]


def order_of(*edges: tuple[Any, Any], deferred: str = "", routed: tuple[str, list[str]] | None = None) -> list[str]:
    """The order in which the nodes of a graph run that nobody hears."""
    ran: list[str] = []
    builder = StateGraph(S)
    for name in ("a", "b", "c", "d"):
        builder.add_node(name, lambda state, name=name: ran.append(name) or {}, defer=name == deferred)
    builder.add_edge(START, "a")
    for source, target in edges:
        builder.add_edge(source, target)
    if routed is not None:
        builder.add_conditional_edges(routed[0], lambda state: routed[1], routed[1])
    builder.compile().invoke({})
    return ran


def test_a_deferred_node_waits_for_the_others():
    assert order_of(("a", "b"), ("a", "d"), ("b", "c"), ("c", END), ("d", END), deferred="d") == ["a", "b", "c", "d"]
    assert order_of(("b", "c"), ("c", "d"), ("d", END), deferred="d", routed=("a", ["b", "d"])) == ["a", "b", "c", "d"]


def test_a_join_is_reached_one_source_after_the_other():
    assert order_of(("a", "b"), ("b", "c"), (["a", "c"], "d"), ("d", END)) == ["a", "b", "c", "d"]


def test_several_edges_of_a_node_lead_on_at_once():
    assert order_of(("a", "c"), ("a", "b"), ("b", "d"), ("c", "d"), ("d", END)) == ["a", "b", "c", "d"]


def test_a_run_that_goes_in_circles_ends_at_its_limit():
    builder = StateGraph(S)
    builder.add_node("again", lambda state: {})
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    builder.add_conditional_edges("again", lambda state: [], [END])
    with pytest.raises(RecursionLimit, match="made 7 supersteps"):
        builder.compile().invoke({}, recursion_limit=7)


def failing(router: Any, db: Any = None, **compiled: Any) -> Any:
    """A node that notes something, and a router that raises."""

    def node(state: Any, ctx: Context) -> Any:
        ctx.note("seen", 1)
        return {"n": 1}

    builder = StateGraph(S).add_node("a", node).add_edge(START, "a").add_conditional_edges("a", router, ["a", END])
    return builder.compile(db=db, **compiled)


@pytest.mark.parametrize("compiled", [{}, {"interrupt_before": ["a"]}], ids=["together", "one by one"])
def test_a_router_that_raises_stop_iteration_is_named_and_stored_as_what_is_raised(way: Any, compiled: Any) -> None:
    db = InMemoryDb()
    graph = failing(lambda state: next(iter([])), db, **compiled)
    with pytest.raises(RuntimeError, match="the router '<lambda>' of node 'a' raised StopIteration") as caught:
        if way.invoke(graph, {"n": 0}, session_id="s").status == "paused":
            way.resume(graph, "s")
    assert isinstance(caught.value.__cause__, StopIteration)
    assert db.get_runs("s")[0].error == f"RuntimeError: {caught.value}"


def test_what_a_node_used_counts_although_its_router_raises() -> None:
    def router(state: Any) -> str:
        raise LookupError("nowhere")

    events: list[Any] = []
    with pytest.raises(LookupError, match="nowhere"):
        events.extend(failing(router).stream({"n": 0}, stream_mode="events"))
    metrics = events[-1].data["output"].metrics
    assert (events[-1].type, metrics["seen"], list(metrics["nodes"])) == ("run_failed", 1, ["a"])
