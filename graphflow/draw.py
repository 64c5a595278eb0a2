"""Pictures of graphs, as text that other programs draw."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphflow.core.control import END, START
from graphflow.core.plan import Branch, Join, NodePlan, Plan

_RESERVED = frozenset(
    {
        *("accdescr", "acctitle", "call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph"),
        *("href", "interpolate", "linkstyle", "style", "subgraph"),
    }
)
"""Words that mean something else to Mermaid where a node's id stands."""


@dataclass(frozen=True, slots=True)
class _Edge:
    source: str
    target: str
    label: str = ""
    dashed: bool = False


def draw_mermaid(plan: Plan) -> str:
    """The graph as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html), top down.

    Solid arrows are always taken. Dashed ones are chosen at run time: by a router (a Send's target among them) or by a Command;
    the label is the router's result where that is not the node's own name. A router or a Command that declares no targets may
    reach any node, and is drawn so. A circle marked "all" is a join: what follows it waits for all that lead to it.
    """
    edges = list(_edges(plan))
    joins = list(dict.fromkeys(map(_circle, plan.joins)))
    ids = {START: "start", END: "finish"}
    ids |= {name: _id(name, index) for index, name in enumerate(plan.nodes)}
    ids |= {circle: f"join_{index}" for index, circle in enumerate(joins)}
    lines = ["flowchart TD", '    start(["START"])']
    lines += [f'    {ids[name]}["{_escaped(name)}"]' for name in plan.nodes]
    lines += [f'    {ids[circle]}(("all"))' for circle in joins]
    lines += ['    finish(["END"])'] if any(edge.target == END for edge in edges) else []
    lines += [f"    {ids[edge.source]} {_arrow(edge)} {ids[edge.target]}" for edge in edges]
    return "\n".join(lines) + "\n"


# --- edges -----------------------------------------------------------------------------------------------------------------


def _edges(plan: Plan) -> Iterator[_Edge]:
    """Every edge of the picture, in the order of declaration, each once."""
    declared: dict[_Edge, None] = {}
    for node in (plan.entry, *plan.nodes.values()):
        declared |= dict.fromkeys(_Edge(node.name, target) for target in node.edges)
        for branch in node.branches:
            declared |= dict.fromkeys(_choices(plan, node, branch))
        declared |= dict.fromkeys(_Edge(node.name, target, dashed=True) for target in node.destinations or ())
    for join in plan.joins:
        declared |= dict.fromkeys(_Edge(source, _circle(join)) for source in join.sources)
        declared[_Edge(_circle(join), join.target)] = None
    yield from declared
    yield from _anywhere(plan, declared)


def _circle(join: Join) -> str:
    """What stands for a join among the names of nodes, none of which can be like it."""
    return f"__join__{join.key}"


def _choices(plan: Plan, node: NodePlan, branch: Branch) -> Iterator[_Edge]:
    """The dashed edges of a router, one for each target, with all results that stand for it."""
    if branch.targets is None:
        yield from (_Edge(node.name, target, dashed=True) for target in (*plan.nodes, END))
        return
    results: dict[str, list[str]] = {}
    for result, target in branch.targets.items():
        results.setdefault(target, []).append(str(result))
    for target, names in results.items():
        yield _Edge(node.name, target, "" if names == [target] else " / ".join(map(_spoken, names)), dashed=True)


def _spoken(result: str) -> str:
    return {START: "START", END: "END"}.get(result, result)


def _anywhere(plan: Plan, declared: Iterable[_Edge]) -> Iterator[_Edge]:
    """Where Commands that declare nothing may go: of a node without edges, anywhere; else to what no edge leads to."""
    reached = {edge.target for edge in declared}
    leaving = {edge.source for edge in declared}
    for name in (node.name for node in plan.nodes.values() if node.free):
        targets = [target for target in plan.nodes if target not in reached] if name in leaving else [*plan.nodes, END]
        yield from (_Edge(name, target, dashed=True) for target in targets if target != name)


# --- Mermaid's own language --------------------------------------------------------------------------------------------------


def _id(name: str, index: int) -> str:
    """The node's name where Mermaid can read it as an id, else a number."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None and name.lower() not in _RESERVED
    taken = name in ("start", "finish") or re.fullmatch(r"(?:join|node)_\d+", name) is not None
    return name if plain and not taken else f"node_{index}"


def _escaped(text: str) -> str:
    """Text for between double quotes: what Mermaid or HTML would read as more than a letter becomes a character code."""
    return "".join(c if c.isalnum() or c in " _-.,()/?!'+*=" else f"#{ord(c)};" for c in text)


def _arrow(edge: _Edge) -> str:
    line = "-.->" if edge.dashed else "-->"
    return f'{line}|"{_escaped(edge.label)}"|' if edge.label else line
