"""StateGraph: what users declare. ``compile`` turns it into an immutable Graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from graphflow.core.checks import check
from graphflow.core.control import END, START
from graphflow.core.nested import graph_node
from graphflow.core.plan import Branch, Join, NodePlan, Plan, literal_targets, lower_function, speaks_of
from graphflow.core.state import state_schema
from graphflow.drive.world import Emitter
from graphflow.errors import GraphError
from graphflow.graph import Graph

RESERVED = frozenset({START, END, "__input__", "update_state", "*"})


@dataclass(frozen=True, slots=True)
class _Node:
    action: Any
    defer: bool
    rerunnable: bool
    destinations: tuple[str, ...] | None
    mapping: dict[str, Any]
    """How a node that is a graph is bound to the state: input, output, persist."""


class StateGraph:
    """A graph of nodes that share a state.

    ``state`` is a TypedDict, a dataclass or a pydantic model; each field is a channel (see ``graphflow.core.state``).
    Declare nodes and edges in any order, then ``compile()``. Raises GraphError for what can be known at once, the rest at
    compile.
    """

    def __init__(self, state: type[Any], *, name: str | None = None) -> None:
        self.schema = state_schema(state)
        self.name = name
        self._nodes: dict[str, _Node] = {}
        self._edges: dict[str, list[str]] = {}
        self._branches: dict[str, list[Branch]] = {}
        self._joins: list[Join] = []

    def add_node(
        self,
        node: str | Callable[..., Any] | Graph,
        action: Callable[..., Any] | Graph | None = None,
        *,
        defer: bool = False,
        rerunnable: bool = False,
        destinations: Sequence[str] | None = None,
        input: Callable[[Any], Any] | None = None,
        output: Callable[[Any], Any] | None = None,
        persist: bool = False,
    ) -> StateGraph:
        """Add a node: ``add_node("name", function)``, or ``add_node(function)`` to take the function's own name.

        The function takes the state and, if it has a second parameter, a Context; it is def or async def and returns a dict
        of the fields it changes, a Command, or None. ``defer``: runs when nothing else is left. ``rerunnable``: only reads,
        so its result need not be stored on its own and it may run again after a crash. ``destinations``: the nodes its
        Commands may go to.

        A Graph is a node, too. It runs with its own checkpoints under the session of the graph around it, and after a crash
        or a question it goes on inside. It gets the fields that both states have and gives back what it changed in them, or
        added to them; ``input=`` (a function from this state to what it starts with) and ``output=`` (from its state to an
        update) map other fields. It starts afresh each time, unless ``persist``. Its own db is not used. An Agent stands for
        its graph.
        """
        if not isinstance(node, str):
            action, node = node, node.name if isinstance(node, Graph) else getattr(node, "__name__", type(node).__name__)
        if node in RESERVED or not node or node.startswith("__"):
            raise GraphError(f"node name {node!r} is reserved; choose another")
        if "\0" in node or any("\ud800" <= letter <= "\udfff" for letter in node):
            raise GraphError(f"node name {node!r} has characters that no database takes; choose another")
        if node in self._nodes:
            raise GraphError(f"there is a node {node!r} already; give this one another name")
        if action is None:
            raise GraphError(f"node {node!r} has no function; write add_node({node!r}, function)")
        action = _graph_of(action)
        mapping = {"input": input, "output": output, "persist": persist}
        if not isinstance(action, Graph):
            given = [name for name, value in mapping.items() if value]
            if given:
                raise GraphError(f"node {node!r} is a function, and {given[0]}= is for a node that is a Graph")
        names = tuple(destinations) if destinations is not None else literal_targets(action)
        self._nodes[node] = _Node(action, defer, rerunnable, names, mapping)
        return self

    def add_edge(self, source: str | Sequence[str], target: str) -> StateGraph:
        """After ``source`` comes ``target``. A list of sources is a join: the target runs once all of them have run."""
        if source == END:
            raise GraphError(f"an edge cannot leave END; let {target!r} follow the node before it")
        if isinstance(source, str):
            targets = self._edges.setdefault(source, [])
            if target not in targets:
                targets.append(target)
            return self
        sources = tuple(dict.fromkeys(source))
        if len(sources) < 2:
            return self.add_edge(sources[0], target) if sources else self._empty_join(target)
        join = Join(sources, target)
        if join.key not in {known.key for known in self._joins}:
            self._joins.append(join)
        return self

    def _empty_join(self, target: str) -> StateGraph:
        raise GraphError(f"the join into {target!r} has no sources; name the nodes it waits for")

    def add_sequence(self, nodes: Sequence[Callable[..., Any] | tuple[str, Callable[..., Any]]]) -> StateGraph:
        """Add nodes (functions, or (name, function) pairs) and an edge from each to the next."""
        names: list[str] = []
        for item in nodes:
            name, action = item if isinstance(item, tuple) else (getattr(item, "__name__", type(item).__name__), item)
            self.add_node(name, action)
            names.append(name)
        for left, right in pairwise(names):
            self.add_edge(left, right)
        return self

    def add_conditional_edges(
        self, source: str, router: Callable[..., Any], targets: Mapping[Any, str] | Sequence[str] | None = None
    ) -> StateGraph:
        """After ``source``, ask ``router(state)`` where to go: a node name, END, a Send, or a list of these (``[]``
        ends the branch).

        ``targets`` lists the names it may return, or maps its results to names; a ``-> Literal[...]`` annotation does the same.
        Without either it may go to any node. A router should be quick and pure: it is called once per superstep, with the state
        after it.
        """
        label = getattr(router, "__name__", type(router).__name__)
        if targets is None:
            targets = literal_targets(router)
        table = dict(targets) if isinstance(targets, Mapping) else None if targets is None else {name: name for name in targets}
        function = lower_function(router, f"the router {label!r} of node {source!r}")
        self._branches.setdefault(source, []).append(Branch(function, table, label))
        return self

    def compile(
        self,
        db: Any = None,
        name: str | None = None,
        *,
        on_event: Emitter | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> Graph:
        """Check the graph and make it runnable. Raises GraphError naming the node and the repair.

        ``db`` keeps the sessions (SqliteDb, InMemoryDb, …); without it a run lives as long as its call. ``on_event`` is
        called with every Event of every run (tracing). ``aliases`` maps old node names to new ones for runs stored under
        the old.
        """
        plan = self.plan(name)
        plan = replace(plan, aliases=dict(aliases or {}))
        check(plan)
        return Graph(plan, db=db, on_event=on_event)

    def plan(self, name: str | None = None, **kinds: Any) -> Plan:
        """The lowered form, unchecked. ``kinds`` are further fields of Plan."""
        for source in (*self._edges, *self._branches):
            if source != START and source not in self._nodes:
                raise GraphError(f"an edge leaves {source!r}, which is not a node; add_node({source!r}, …) or mend the name")
        nodes = {label: self._lower(label, node, at) for at, (label, node) in enumerate(self._nodes.items())}
        entry = NodePlan(START, lower_function(_nothing, START), -1, *self._ways(START))
        defers, reruns = (any(getattr(node, what) for node in self._nodes.values()) for what in ("defer", "rerunnable"))
        label = name or self.name or "graph"
        return Plan(label, self.schema, nodes, entry, tuple(self._joins), defers, reruns, **kinds)

    def _lower(self, label: str, node: _Node, index: int) -> NodePlan:
        graph = node.action.plan if isinstance(node.action, Graph) else None
        if graph is None:
            action, free = node.action, speaks_of(node.action, "Command")
        else:
            action = graph_node(graph, self.schema, label, **node.mapping)
            free = any(speaks_of(inner.function.call, "PARENT") for inner in graph.nodes.values())
        return NodePlan(
            label,
            lower_function(action, f"node {label!r}"),
            index,
            *self._ways(label),
            defer=node.defer,
            rerunnable=node.rerunnable,
            destinations=node.destinations,
            free=free and node.destinations is None,
            graph=graph,
            persist=node.mapping["persist"],
        )

    def _ways(self, label: str) -> tuple[tuple[str, ...], tuple[Branch, ...], tuple[Join, ...]]:
        joins = tuple(join for join in self._joins if label in join.sources) if self._joins else ()
        return tuple(self._edges.get(label, ())), tuple(self._branches.get(label, ())), joins


def _graph_of(action: Any) -> Any:
    """The graph of what compiles to one, such as an Agent; anything else as it is."""
    graph = None if callable(action) else getattr(action, "graph", None)
    return graph if isinstance(graph, Graph) else action


def _nothing(state: Any) -> None:
    return None
