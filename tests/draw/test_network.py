"""``to_networkx``: everything that is known of a graph's nodes and edges, as attributes."""

from __future__ import annotations

import json
from collections.abc import Callable

import networkx as nx

from graphflow import END, START, Agent, Command, RetryPolicy, StateGraph
from graphflow.core.plan import Plan
from graphflow.draw import draw_json, to_networkx


def test_nodes_have_kind_defer_and_rerunnable(build: Callable[..., StateGraph]) -> None:
    made = build("a").add_node("b", lambda state: None, defer=True, rerunnable=True).add_edge("a", "b").add_edge("b", END)
    assert dict(made.compile().to_networkx().nodes(data=True)) == {
        START: {"kind": "start", "defer": False, "rerunnable": False},
        "a": {"kind": "node", "defer": False, "rerunnable": False},
        "b": {"kind": "node", "defer": True, "rerunnable": True},
        END: {"kind": "end", "defer": False, "rerunnable": False},
    }


def test_ready_made_nodes_are_flows() -> None:
    kinds = {name: kind for name, kind in Agent("offline").graph.to_networkx().nodes(data="kind") if kind == "flow"}
    assert kinds == {"history": "flow", "model": "flow"}


def test_edges_have_kind_and_label(build: Callable[..., StateGraph]) -> None:
    made = build("a", "b", "c", "d").add_edge(START, "b").add_edge(["a", "b"], "c")
    made.add_conditional_edges("c", lambda state: True, {True: "d", False: END, "stop": END}).add_edge("d", "d")
    made.add_node("e", lambda state: None, destinations=["a"]).add_edge("c", "e")
    edges = list(to_networkx(made.plan()).edges(data=True))
    join = {"kind": "join", "label": "", "join": "a+b>c"}
    for edge in [
        (START, "a", {"kind": "edge", "label": ""}),
        ("a", "c", join),
        ("b", "c", join),
        ("c", "d", {"kind": "branch", "label": "True"}),
        ("c", END, {"kind": "branch", "label": "False / stop"}),
        ("d", "d", {"kind": "edge", "label": ""}),
        ("e", "a", {"kind": "command", "label": ""}),
    ]:
        assert edges.count(edge) == 1
    assert len(edges) == 9


def test_an_edge_and_a_branch_to_one_target_are_two_edges(build: Callable[..., StateGraph]) -> None:
    made = build("a", "b").add_edge("a", "b").add_conditional_edges("a", lambda state: "b", ["b"]).add_edge("b", END)
    assert sorted(kind for _, _, kind in made.compile().to_networkx().out_edges("a", data="kind")) == ["branch", "edge"]


def test_undeclared_ways_lead_to_all_they_may_reach(build: Callable[..., StateGraph]) -> None:
    def roam(state: dict[str, object]) -> Command:
        return Command(goto="a")

    made = build("a")
    for name in "bcdef":
        made.add_node(name, roam)
    made.add_edge("a", "b")
    graph = made.compile().to_networkx()
    assert set(graph.successors("c")) == {"a", "b", "d", "e", "f", END}


def test_a_nested_graph_is_a_graph_of_its_own(deep: Plan) -> None:
    graph = to_networkx(deep)
    assert graph.nodes["team"]["kind"] == "graph"
    middle = graph.nodes["team"]["graph"]
    assert list(middle.nodes["search"]["graph"].nodes) == [START, "find", "rank", END]
    assert nx.has_path(middle, START, END)


def test_json_can_be_read_back(deep: Plan) -> None:
    data = json.loads(draw_json(deep))
    again = nx.node_link_graph(data, edges="edges")
    graph = to_networkx(deep)
    assert list(again.edges(keys=True, data=True)) == list(graph.edges(keys=True, data=True))
    assert {node["id"] for node in data["nodes"]} == set(graph)
    (team,) = (node for node in data["nodes"] if node["id"] == "team")
    assert [edge["label"] for edge in team["graph"]["edges"] if edge["source"] == "search"] == ["again", "fine"]


def test_a_node_is_of_its_own_kind_with_policies_around_it(build: Callable[..., StateGraph]) -> None:
    made = build("a").add_node("b", lambda state: None, retry=RetryPolicy()).add_edge("a", "b").add_edge("b", END)
    assert made.compile().to_networkx().nodes["b"]["kind"] == "node"
