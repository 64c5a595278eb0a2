"""Graphs inside a run that is committed at its end: they are stored where the run has to be, and otherwise leave nothing."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, RetryPolicy, Send, StateGraph, append, interrupt
from tests.engine.counting import Counting

AT_ONCE = RetryPolicy(initial=0, jitter=False, max_attempts=2, retry_on=ZeroDivisionError)


class S(TypedDict):
    path: Annotated[list[Any], append]


def chain(db, *nodes, **compiled):
    """Nodes a, b, c … in a row: functions, graphs, words to say, or pairs of one of these and what ``add_node`` is told."""
    builder = StateGraph(S)
    names = "abcdef"[: len(nodes)]
    for name, node in zip(names, nodes, strict=True):
        node, told = node if isinstance(node, tuple) else (node, {})
        builder.add_node(name, say(node) if isinstance(node, str) else node, **told)
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    return builder.compile(db=db, **compiled)


def say(word):
    return lambda state: {"path": [word]}


@pytest.fixture
def counting(db):
    return Counting(db)


def test_a_run_with_graphs_inside_is_one_commit(way, counting):
    graph = chain(counting, "a", chain(None, "b", chain(None, "c", "d"), "e"), "f", durability="exit")
    assert way.invoke(graph, {}, session_id="s")["path"] == list("abcdef")
    assert counting.spaces == [0]
    assert graph.get_state("s").values["path"] == list("abcdef") and counting.check().ok


def test_many_graphs_at_once_are_one_commit(way, counting):
    builder = StateGraph(S).add_node("each", chain(None, "x", "y")).add_edge("each", END)
    builder.add_conditional_edges(START, lambda state: [Send("each", {"path": []}) for _ in range(20)], ["each"])
    graph = builder.compile(db=counting, durability="exit")
    assert way.invoke(graph, {}, session_id="s")["path"] == ["x", "y"] * 20
    assert counting.spaces == [0]


def test_a_question_deep_inside_has_what_is_around_it_stored_first(way, counting):
    calls = []

    def ask(state, ctx):
        ctx.step("look", lambda: calls.append("look"))
        calls.append("ask")
        return {"path": [interrupt("well?")]}

    def say_once(state):
        calls.append("b")
        return {"path": ["b"]}

    graph = chain(counting, "a", chain(None, say_once, chain(None, "c", ask), "e"), "f", durability="exit")
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert counting.spaces[:3] == [0, 1, 2] and 0 not in counting.spaces[1:-1]
    assert way.resume(graph, "s", "d")["path"] == list("abcdef")
    assert calls == ["b", "look", "ask", "ask"]
    assert counting.check().ok and [run.status for run in counting.get_runs("s")] == ["completed"]


def test_siblings_that_ask_and_siblings_that_are_done(way, db):
    calls = []

    def maybe(state):
        calls.append(state["path"][0])
        return {"path": [interrupt(state["path"][0]) if state["path"][0] % 2 else "even"]}

    builder = StateGraph(S).add_node("each", chain(None, maybe, "end")).add_edge("each", END)
    builder.add_conditional_edges(START, lambda state: [Send("each", {"path": [n]}) for n in range(6)], ["each"])
    graph = builder.compile(db=db, durability="exit")
    result = way.invoke(graph, {}, session_id="s")
    assert result.status == "paused" and sorted(i.value for i in result.interrupts) == [1, 3, 5]
    answers = {i.id: f"odd {i.value}" for i in result.interrupts}
    path = way.resume(graph, "s", answers=answers)["path"]
    assert [step for step in path if step != "end"] == ["even", "odd 1", "even", "odd 3", "even", "odd 5"]
    assert sorted(calls) == [0, 1, 1, 2, 3, 3, 4, 5, 5] and db.check().ok


def broken_once(calls):
    def node(state):
        calls.append("try")
        if len(calls) == 1:
            raise ZeroDivisionError
        return {"path": ["mended"]}

    return node


def test_a_failure_inside_is_gone_on_from_inside(way, counting):
    calls, before = [], []
    inner = chain(None, lambda state: before.append(1) or {"path": ["b"]}, broken_once(calls), "d")
    graph = chain(counting, "a", inner, "e", durability="exit")
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {}, session_id="s")
    assert counting.get_session("s").status == "error" and counting.spaces[:2] == [0, 1]
    assert way.resume(graph, "s")["path"] == ["a", "b", "mended", "d", "e"]
    assert before == [1] and counting.check().ok


def test_a_retry_goes_on_inside_and_the_end_is_stored_as_well(way, counting):
    calls, before = [], []
    inner = chain(None, lambda state: before.append(1) or {"path": ["b"]}, broken_once(calls), "d")
    graph = chain(counting, "a", (inner, {"retry": AT_ONCE}), "e", durability="exit")
    assert way.invoke(graph, {}, session_id="s")["path"] == ["a", "b", "mended", "d", "e"]
    assert before == [1] and counting.spaces == [0, 1, 1, 0] and counting.check().ok


def test_a_graph_that_keeps_its_state_is_stored_at_its_end(way, counting):
    seen = []
    inner = chain(None, lambda state: seen.append(list(state["path"])) or {"path": ["x"]}, "y")
    given = {"input": lambda state: {}, "output": lambda state: {"path": ["done"]}, "persist": True}
    graph = chain(counting, "a", (inner, given), durability="exit")
    for _ in range(2):
        way.invoke(graph, {}, session_id="s")
    assert seen == [[], ["x", "y"]]
    assert counting.spaces == [0, 1, 0] * 2 and counting.check().ok


def test_a_pause_before_a_node_inside_is_gone_past(way, db):
    inner = chain(None, "b", "c", interrupt_before=["b"])
    graph = chain(db, "a", inner, "d", durability="exit")
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert way.resume(graph, "s")["path"] == list("abcd") and db.check().ok


def test_what_is_stored_of_a_graph_inside_is_told_as_it_is(way, db):
    for durability, stored in (("exit", False), ("sync", True)):
        graph = chain(db, "a", chain(None, "b", "c"), durability=durability)
        events = way.stream(graph, {}, session_id=durability, stream_mode="events")
        inside = [event.data["stored"] for event in events if event.type == "checkpoint" and event.ns]
        assert inside == [stored, stored]
