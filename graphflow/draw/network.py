"""A graph as networkx has it, for questions no picture answers. The only place of the pictures that knows networkx."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from graphflow.core.control import END, START
from graphflow.core.plan import Plan
from graphflow.draw.picture import kind_of
from graphflow.draw.ways import ways_of

if TYPE_CHECKING:
    import networkx

    Network = networkx.MultiDiGraph[str]


def to_networkx(plan: Plan) -> Network:
    """The graph as a ``networkx.MultiDiGraph`` whose nodes are the names, with START and END.

    Nodes have ``kind`` (start, end, node, flow: ready-made, graph: nested), ``defer``, ``rerunnable``, and a nested one
    ``graph``, its own MultiDiGraph. Edges have ``kind`` (edge, branch, join, command), ``label`` (the results of the router
    that stand for the target, "" where they are its name), and those of a join ``join``, the same text for all its sources.
    A router or Command that declares no targets has an edge to each node it may reach.
    """
    graph: Network = _library().MultiDiGraph(name=plan.name)
    graph.add_node(START, kind="start", defer=False, rerunnable=False)
    for node in plan.nodes.values():
        graph.add_node(node.name, kind=kind_of(node), defer=node.defer, rerunnable=node.rerunnable)
        if node.graph is not None:
            graph.nodes[node.name]["graph"] = to_networkx(node.graph)
    graph.add_node(END, kind="end", defer=False, rerunnable=False)
    for way in ways_of(plan):
        more = {"join": way.join} if way.kind == "join" else {}
        graph.add_edge(way.source, way.target, kind=way.kind, label=way.label, **more)
    return graph


def draw_json(plan: Plan) -> str:
    """The networkx graph as JSON in node-link form (``networkx.node_link_graph(..., edges="edges")`` reads it)."""
    return json.dumps(_linked(to_networkx(plan)), indent=2, ensure_ascii=False) + "\n"


def _linked(graph: Network) -> dict[str, Any]:
    data: dict[str, Any] = _library().node_link_data(graph, edges="edges")
    data["nodes"] = [{**node, "graph": _linked(node["graph"])} if "graph" in node else node for node in data["nodes"]]
    return data


def ranks(keys: Iterable[str], pairs: Iterable[tuple[str, str]]) -> tuple[Mapping[str, int], set[tuple[str, str]]]:
    """The layer of each node, such that lines lead downwards, and the pairs that lead back up (or to their own node).

    A pair leads back where a depth-first walk from the first key finds it closing a cycle; what is left has no cycles,
    and its topological generations are the layers.
    """
    nx = _library()
    graph = nx.DiGraph()
    graph.add_nodes_from(keys)
    graph.add_edges_from(pairs)
    left = {key: order for order, key in enumerate(nx.dfs_postorder_nodes(graph))}
    back = {(source, target) for source, target in graph.edges if left[source] <= left[target]}
    graph.remove_edges_from(back)
    return {key: rank for rank, layer in enumerate(nx.topological_generations(graph)) for key in layer}, back


def _library() -> ModuleType:
    import networkx  # noqa: PLC0415  # 100 ms that a run does not need

    return networkx
