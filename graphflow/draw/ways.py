"""The ways of a graph: every edge, branch, join and Command that a plan declares, once each, in the order of declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from graphflow.core.control import END, START
from graphflow.core.plan import Branch, NodePlan, Plan

WayKind = Literal["edge", "branch", "join", "command"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a node to another."""

    source: str
    target: str
    kind: WayKind
    """edge: always taken · branch: chosen by a router (the target of a Send among them) · join: taken once all sources of
    the join have run · command: chosen by a Command."""
    label: str = ""
    """The results of the router that stand for the target, where they are not the target's own name."""
    join: str = ""
    """The key of the join, the same for all its sources."""
    open: bool = False
    """Whether nothing declares it: the router or the Command may go anywhere."""


def ways_of(plan: Plan) -> list[Way]:
    """Every way of the graph."""
    declared: dict[Way, None] = {}
    for node in (plan.entry, *plan.nodes.values()):
        declared |= dict.fromkeys(Way(node.name, target, "edge") for target in node.edges)
        for branch in node.branches:
            declared |= dict.fromkeys(_choices(plan, node, branch))
        declared |= dict.fromkeys(Way(node.name, target, "command") for target in node.destinations or ())
    for join in plan.joins:
        declared |= dict.fromkeys(Way(source, join.target, "join", join=join.key) for source in join.sources)
    return [*declared, *_anywhere(plan, declared)]


def spoken(name: str) -> str:
    """A name for readers: START and END without their underscores."""
    return {START: "START", END: "END"}.get(name, name)


def _choices(plan: Plan, node: NodePlan, branch: Branch) -> Iterator[Way]:
    """The ways of a router, one for each target, with all results that stand for it."""
    if branch.targets is None:
        yield from (Way(node.name, target, "branch", open=True) for target in (*plan.nodes, END))
        return
    results: dict[str, list[str]] = {}
    for result, target in branch.targets.items():
        results.setdefault(target, []).append(str(result))
    for target, names in results.items():
        yield Way(node.name, target, "branch", "" if names == [target] else " / ".join(map(spoken, names)))


def _anywhere(plan: Plan, declared: Iterable[Way]) -> Iterator[Way]:
    """Where Commands that declare nothing may go: of a node without edges, anywhere; else to what no edge leads to."""
    reached = {way.target for way in declared}
    leaving = {way.source for way in declared}
    for name in (node.name for node in plan.nodes.values() if node.free):
        targets = [target for target in plan.nodes if target not in reached] if name in leaving else [*plan.nodes, END]
        yield from (Way(name, target, "command", open=True) for target in targets if target != name)
