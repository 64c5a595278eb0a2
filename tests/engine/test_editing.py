"""Editing: a StateGraph made of a compiled graph, with nodes added, replaced, removed and re-routed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import pytest

from graphflow import END, START, Command, RetryPolicy, Send, StateGraph, append
from graphflow.errors import GraphError, UnknownTarget


class State(TypedDict):
    log: Annotated[list[str], append]


def saying(name: str) -> Any:
    def say(state: State) -> dict[str, list[str]]:
        return {"log": [name]}

    return say


def chain(*names: str) -> StateGraph:
    builder = StateGraph(State, name="chain")
    for name in names:
        builder.add_node(name, saying(name))
    for left, right in zip((START, *names), (*names, END), strict=True):
        builder.add_edge(left, right)
    return builder


def ran(graph: Any) -> list[str]:
    return list(graph.invoke({"log": []})["log"])


def diamond() -> StateGraph:
    """START → a → (b, c) → join → d → END."""
    builder = StateGraph(State)
    for name in "abcd":
        builder.add_node(name, saying(name))
    for left, right in [(START, "a"), ("a", "b"), ("a", "c"), (["b", "c"], "d"), ("d", END)]:
        builder.add_edge(left, right)
    return builder


def test_a_graph_made_again_of_its_parts_is_the_same(way):
    def route(state: State) -> Literal["again", "__end__"]:
        return "again" if len(state["log"]) < 3 else END

    builder = diamond()
    builder.add_node("again", saying("again"), rerunnable=True)
    builder.remove_edge("d", END)
    builder.add_conditional_edges("d", route)
    builder.add_conditional_edges("again", lambda state: [Send("b", state), Send("c", state)], ["b", "c"])
    graph = builder.compile()
    again = StateGraph.of(graph).compile()
    assert again.fingerprint == graph.fingerprint and again.draw_mermaid() == graph.draw_mermaid()
    assert way.invoke(again, {"log": []})["log"] == way.invoke(graph, {"log": []})["log"] == ["a", "b", "c", "d"]


def test_an_edit_leaves_the_graph_it_came_from_alone():
    graph = diamond().compile()
    before = graph.fingerprint
    builder = StateGraph.of(graph)
    builder.remove_node("b")
    builder.replace_node("d", saying("D"))
    assert ran(builder.compile()) == ["a", "c", "D"]
    assert graph.fingerprint == before and ran(graph) == ["a", "b", "c", "d"]


def test_a_replaced_node_keeps_its_edges_and_its_place():
    builder = diamond()
    builder.replace_node("b", saying("B"))
    assert builder.nodes == ("a", "b", "c", "d")
    assert ran(builder.compile()) == ["a", "B", "c", "d"], "tasks of one superstep are merged in the order of declaration"


def test_a_replacement_that_cannot_be_leaves_the_old_node():
    builder = chain("a", "b")
    with pytest.raises(GraphError, match="is a function, and input="):
        builder.replace_node("a", saying("A"), input=lambda state: state)
    assert builder.nodes == ("a", "b") and ran(builder.compile()) == ["a", "b"]


def test_a_removed_node_takes_its_edges_with_it():
    builder = chain("a", "b", "c")
    builder.remove_node("b")
    assert builder.edges == [(START, "a"), ("c", END)]
    builder.add_edge("a", "c")
    assert ran(builder.compile()) == ["a", "c"]


def test_a_bridged_node_is_left_out_of_edges_joins_routers_and_commands():
    builder = chain("a", "b", "c")
    assert ran(builder.remove_node("b", bridge=True).compile()) == ["a", "c"]
    joined = diamond()
    joined.add_node("e", saying("e"))
    joined.remove_edge("d", END).add_edge("d", "e").add_edge("e", END)
    assert ran(joined.remove_node("d", bridge=True).compile()) == ["a", "b", "c", "e"]
    routed = chain("a", "b", "c").remove_edge("a", "b")
    routed.add_conditional_edges("a", lambda state: True, {True: "b", False: END})
    assert ran(routed.remove_node("b", bridge=True).compile()) == ["a", "c"]
    commanded = chain("b", "c").remove_edge(START, "b").add_edge(START, "a")
    commanded.add_node("a", lambda state: Command({"log": ["a"]}, "c"), destinations=["b"])
    assert commanded.remove_node("b", bridge=True).edges == [("c", END), (START, "a")]
    assert ran(commanded.compile()) == ["a", "c"]


def test_a_run_that_waits_before_a_bridged_node_goes_on_after_it(way, db):
    graph = chain("a", "b", "c").compile(db=db, interrupt_before=["b"])
    way.invoke(graph, {"log": []}, session_id="s")
    edited = StateGraph.of(graph).remove_node("b", bridge=True).compile(db=db)
    with pytest.warns(UserWarning, match="'b'"):
        assert way.resume(edited, "s")["log"] == ["a", "c"]


def test_a_join_no_longer_waits_for_a_removed_node():
    builder = diamond().remove_node("b")
    assert ("c", "d") in builder.edges and ran(builder.compile()) == ["a", "c", "d"]


def test_a_router_that_still_goes_to_a_removed_node_says_so():
    builder = chain("a", "b", "c").remove_edge("a", "b")
    builder.add_conditional_edges("a", lambda state: "b", ["b", "c"])
    graph = builder.remove_node("b").compile()
    with pytest.raises(UnknownTarget, match="'b'"):
        graph.invoke({"log": []})


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda b: b.remove_node("aa"), "there is no node 'aa'; did you mean 'a'"),
        (lambda b: b.replace_node("z", saying("z")), "there is no node 'z'"),
        (lambda b: b.remove_edge("a", "d"), "no edge 'a' -> 'd' to remove; the edges are '__start__' -> 'a'"),
        (lambda b: b.remove_edge(["a", "b"], "d"), r"no join \['a', 'b'\] -> 'd' to remove; the joins are \['b', 'c'\] -> 'd'"),
        (lambda b: b.remove_conditional_edges("a"), "no router after 'a' to remove; nodes with routers: none"),
        (lambda b: b.remove_node("a", bridge=True), "'a' cannot be bridged: 'b', 'c' may follow it"),
        (lambda b: b.remove_node("b", bridge=True), "'b' cannot be bridged: 'd' may follow it"),
    ],
)
def test_what_is_not_there_cannot_be_edited(edit, said):
    with pytest.raises(GraphError, match=said):
        edit(diamond())


def test_an_edit_that_leaves_a_dead_end_is_refused_at_compile():
    with pytest.raises(GraphError, match="node 'b' is a dead end"):
        diamond().remove_edge(["b", "c"], "d").add_edge("c", "d").compile()
    builder = chain("a", "b").remove_edge("a", "b")
    with pytest.raises(GraphError, match="'b' is never reached"):
        builder.compile()


def test_policies_and_nested_graphs_stay(way, db):
    failures = [ConnectionError("once")]

    def flaky(state: State) -> dict[str, list[str]]:
        if failures:
            raise failures.pop()
        return {"log": ["flaky"]}

    builder = StateGraph(State, name="outer")
    builder.add_node("flaky", flaky, retry=RetryPolicy(max_attempts=2, initial=0.001))
    builder.add_node("inner", chain("x", "y").compile())
    builder.add_edge(START, "flaky").add_edge("flaky", "inner").add_edge("inner", END)
    edited = StateGraph.of(builder.compile())
    edited.add_node("last", saying("last"))
    edited.remove_edge("inner", END).add_edge("inner", "last").add_edge("last", END)
    graph = edited.compile(db=db)
    assert way.invoke(graph, {"log": []}, session_id="s")["log"] == ["flaky", "x", "y", "last"]
    assert not failures
