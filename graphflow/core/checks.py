"""What a graph must not be, found at compile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphflow.core import options
from graphflow.core.control import END, START
from graphflow.core.hints import hint
from graphflow.core.plan import Plan
from graphflow.errors import GraphError, UnknownTarget

MOST_NAMES = 12
"""How many names an error lists."""


def check(plan: Plan) -> None:
    """Refuse a graph that cannot work. The message names the node and the repair.

    Rejected: no entry · an edge, join, branch or declared destination to an unknown node, or to START · a join that waits for
    what is no node · a node no path from START reaches · a dead end (a node without outgoing edges: a run ends where an edge
    to END says so) · a cycle with no way out. A node that speaks of ``Command`` without ``destinations=`` and a router without
    targets may go anywhere. (What can be known of one declaration alone, such as a reserved name, is refused where it is made.)
    """
    _check_targets(plan)
    if not plan.entry.edges and not plan.entry.branches:
        first = next(iter(plan.nodes), "first_node")
        raise GraphError(f"graph {plan.name!r} has no entry: add_edge(START, {first!r})")
    _check_ways(plan)


def unknown(name: object, known: Iterable[str], where: str) -> UnknownTarget:
    """The error for a target that does not exist, with the nearest name."""
    return UnknownTarget(f"{where} goes to {name!r}, which is not a node; {meant(name, known, 'and END')}")


def meant(name: object, known: Iterable[object], besides: str = "", what: str = "nodes") -> str:
    """What a name that does not exist was probably meant to be, or which names there are."""
    names = [str(each) for each in known if each != START]
    listed = ", ".join(map(repr, names[:MOST_NAMES])) or "none"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return hint(name, names, f"the {what} are {listed}{more}{besides and f' ({besides})'}")


def _check_targets(plan: Plan) -> None:
    known = {*plan.nodes, END}
    for source in (plan.entry, *plan.nodes.values()):
        for target in source.edges:
            if target not in known:
                raise _wrong(plan, target, f"the edge from {source.name!r}")
        for branch in source.branches:
            for target in (branch.targets or {}).values():
                if target not in known:
                    raise _wrong(plan, target, f"the router {branch.name!r} of {source.name!r}")
        for target in source.destinations or ():
            if target not in known:
                wrong = _wrong(plan, target, f"destinations= of {source.name!r}")
                wrong.add_note("what a Command with graph=Command.PARENT goes to is left out of destinations= and annotations")
                raise wrong
    for join in plan.joins:
        for name in join.sources:
            if name not in plan.nodes:
                raise UnknownTarget(f"the join into {join.target!r} waits for {name!r}, which {_no_source(name, plan)}")
        if join.target not in known:
            raise _wrong(plan, join.target, f"the join of {', '.join(map(repr, join.sources))}")


def _wrong(plan: Plan, target: object, where: str) -> GraphError:
    if target == START:
        return GraphError(f"{where} goes to START; a run enters there, so let it go to a node (or loop back to the first one)")
    return unknown(target, plan.nodes, where)


def _no_source(name: str, plan: Plan) -> str:
    if name in (START, END):
        return f"no node stands for: a join waits for nodes that have run; leave {'START' if name == START else 'END'} out"
    return f"is not a node; {meant(name, plan.nodes)}"


def _check_ways(plan: Plan) -> None:
    ways = {source: plan.next_of(source) for source in (START, *plan.nodes)}
    back: dict[str, list[str]] = {}
    for source, targets in ways.items():
        for target in targets:
            back.setdefault(target, []).append(source)
    anywhere = {name for name, node in plan.nodes.items() if node.free}
    reached = _walk({START}, ways)
    for name in plan.nodes if not anywhere & reached else ():
        if name not in reached:
            raise GraphError(
                f"node {name!r} is never reached: no path leads to it from START; add an edge to it, name it in "
                "the targets= of a router or the destinations= of a node that sends to it, or remove it"
            )
    finishing = _walk({END} | anywhere, back)
    stuck = [name for name in plan.nodes if name not in finishing]
    for name in stuck:
        if not ways[name]:
            raise GraphError(
                f"node {name!r} is a dead end: add_edge({name!r}, END) if the run may end there, an edge to another node, or "
                "destinations= if it goes on by a Command"
            )
    if stuck:
        raise GraphError(
            f"node {stuck[0]!r} cannot reach END: {_cycle(ways, stuck[0])} has no way out; "
            "add a conditional edge that can return END"
        )


def _walk(starts: set[str], ways: Mapping[str, Iterable[str]]) -> set[str]:
    """All that can be reached. Written out because networkx, which does it too, takes 100 ms to load."""
    found, pending = set(starts), list(starts)
    while pending:
        for target in ways.get(pending.pop(), ()):
            if target not in found:
                found.add(target)
                pending.append(target)
    return found


def _cycle(ways: Mapping[str, Iterable[str]], name: str) -> str:
    import networkx as nx  # noqa: PLC0415  # a graph that works does not need it

    graph: nx.DiGraph[str] = nx.DiGraph((source, target) for source, targets in ways.items() for target in targets)
    edges = nx.find_cycle(graph, name)
    return "the cycle " + " -> ".join([*(repr(edge[0]) for edge in edges), repr(edges[-1][1])])


# --- names that compile is given --------------------------------------------------------------------------------------------


def named_nodes(plan: Plan, what: str, names: Sequence[str]) -> frozenset[str]:
    """The nodes that ``interrupt_before=`` or ``interrupt_after=`` names."""
    listed = (names,) if isinstance(names, str) else tuple(options.texts(what, names))
    if "*" in listed:
        return frozenset(plan.nodes)
    for name in listed:
        if name not in plan.nodes:
            raise UnknownTarget(f"{what}= names {name!r}, which is not a node; {meant(name, plan.nodes)}")
    return frozenset(listed)


def with_aliases(plan: Plan, aliases: Mapping[str, str]) -> Plan:
    """The plan with old names of nodes and fields. Raises GraphError for a new name that is neither."""
    for old, new in options.keyed("aliases", aliases).items():
        if new not in plan.nodes and new not in plan.schema.channels:
            near = meant(new, [*plan.nodes, *plan.schema.channels], "map old names to new ones", "nodes and fields")
            raise GraphError(f"aliases={{{old!r}: {new!r}}}: there is no node and no field {new!r}; {near}")
        if old in plan.nodes and new in plan.nodes:
            raise GraphError(
                f"aliases={{{old!r}: {new!r}}}: {old!r} is a node, and what waits there would be taken for what {new!r} is to "
                "do; give one of the two another name, or leave the alias out"
            )
    fields = {old: new for old, new in aliases.items() if new in plan.schema.channels and old not in plan.schema.channels}
    nodes = {old: new for old, new in aliases.items() if new in plan.nodes}
    schema = replace(plan.schema, aliases=fields) if fields else plan.schema
    return replace(plan, aliases={**plan.aliases, **nodes}, schema=schema)
