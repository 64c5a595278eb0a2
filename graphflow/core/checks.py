"""What a graph must not be, found at compile with networkx."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from graphflow.core.control import END, START
from graphflow.core.plan import Plan
from graphflow.errors import GraphError, UnknownTarget


def check(plan: Plan) -> None:
    """Refuse a graph that cannot work. The message names the node and the repair.

    Rejected: no entry · an edge, join, branch or declared destination to an unknown node · an edge out of END or into START ·
    a node no path from START reaches · a dead end (a node without outgoing edges: a run ends where an edge to END says so) · a
    cycle with no way out. A node that speaks of ``Command`` without ``destinations=`` may go anywhere.
    """
    _check_targets(plan)
    if not plan.entry.edges and not plan.entry.branches:
        first = next(iter(plan.nodes), "first_node")
        raise GraphError(f"graph {plan.name!r} has no entry: add_edge(START, {first!r})")
    _check_ways(plan)


def unknown(name: object, known: Iterable[str], where: str) -> UnknownTarget:
    """The error for a target that does not exist, with the nearest name."""
    names = [node for node in known if node != START]
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the nodes are {', '.join(map(repr, names)) or 'none'} (and END)"
    return UnknownTarget(f"{where} goes to {name!r}, which is not a node; {hint}")


def _check_targets(plan: Plan) -> None:
    known = {*plan.nodes, END}
    for source in (plan.entry, *plan.nodes.values()):
        declared = [(target, f"the edge from {source.name!r}") for target in source.edges]
        for branch in source.branches:
            declared += [(t, f"the router {branch.name!r} of {source.name!r}") for t in (branch.targets or {}).values()]
        declared += [(target, f"destinations= of {source.name!r}") for target in source.destinations or ()]
        for target, where in declared:
            if target == START:
                raise GraphError(
                    f"{where} goes to START; a run enters there, so let it go to a node (or loop back to the first one)"
                )
            if target not in known:
                raise unknown(target, plan.nodes, where)
    for join in plan.joins:
        for source_name in join.sources:
            if source_name not in plan.nodes:
                raise unknown(source_name, plan.nodes, f"the join into {join.target!r} waits for a source; it")
        if join.target not in known:
            raise unknown(join.target, plan.nodes, f"the join of {', '.join(map(repr, join.sources))}")


def _check_ways(plan: Plan) -> None:
    import networkx as nx  # noqa: PLC0415  # 100 ms that a run does not need

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from((START, *plan.nodes, END))
    for source in (START, *plan.nodes):
        graph.add_edges_from((source, target) for target in plan.next_of(source))
    anywhere = {name for name, node in plan.nodes.items() if node.free}
    reachable = nx.descendants(graph, START)
    if not anywhere & reachable and not any(branch.targets is None for branch in plan.entry.branches):
        for name in plan.nodes:
            if name not in reachable:
                raise GraphError(
                    f"node {name!r} is never reached: no path leads to it from START; add an edge to it, name it in "
                    "the targets= of a router or the destinations= of a node that sends to it, or remove it"
                )
    finishing = nx.ancestors(graph, END) | anywhere
    for name in anywhere:
        finishing |= nx.ancestors(graph, name)
    for name in plan.nodes:
        if name not in finishing and graph.out_degree(name) == 0:
            raise GraphError(
                f"node {name!r} is a dead end: add_edge({name!r}, END) if the run may end there, an edge to another node, or "
                "destinations= if it goes on by a Command"
            )
    stuck = next((name for name in plan.nodes if name not in finishing), None)
    if stuck is not None:
        raise GraphError(
            f"node {stuck!r} cannot reach END: {_cycle(nx, graph, stuck)} has no way out; "
            "add a conditional edge that can return END"
        )


def _cycle(nx: object, graph: object, name: str) -> str:
    try:
        edges = nx.find_cycle(graph, name)  # type: ignore[attr-defined]
    except nx.NetworkXNoCycle:  # type: ignore[attr-defined]
        return f"what follows {name!r}"
    return "the cycle " + " -> ".join([*(repr(edge[0]) for edge in edges), repr(edges[-1][1])])
