"""StateGraph: what users declare. ``compile`` turns it into an immutable Graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from graphflow import drive
from graphflow.core.checks import check, meant
from graphflow.core.control import END, START
from graphflow.core.nested import graph_node
from graphflow.core.plan import Branch, Join, NodePlan, Plan, literal_targets, lower_function, speaks_of
from graphflow.core.policies import CachePolicy, Policies, RetryPolicy, guarded, policies
from graphflow.core.schemas import node_view, part_schema
from graphflow.core.state import state_schema
from graphflow.drive.world import Emitter
from graphflow.errors import GraphError, UnknownTarget
from graphflow.graph import Graph, checked_durability

RESERVED = frozenset({START, END, "__input__", "update_state", "*"})


@dataclass(frozen=True, slots=True)
class _Node:
    action: Any
    defer: bool
    rerunnable: bool
    destinations: tuple[str, ...] | None
    mapping: dict[str, Any]
    """How a node that is a graph is bound to the state: input, output, persist."""
    policies: Policies | None


class StateGraph:
    """A graph of nodes that share a state.

    ``state`` is a TypedDict, a dataclass or a pydantic model; each field is a channel (see ``graphflow.core.state``).
    ``input_schema`` and ``output_schema`` are such classes of some of its fields: what an input may have, and what a result
    shows. Fields that neither names are private to the graph's nodes. ``context_schema`` is what ``context=`` of a run has to
    be: a dict is checked against it and comes to the nodes as the dataclass or model.
    Declare nodes and edges in any order, then ``compile()``. Raises GraphError for what can be known at once, the rest at
    compile.
    """

    def __init__(
        self,
        state: type[Any],
        *,
        input_schema: type[Any] | None = None,
        output_schema: type[Any] | None = None,
        context_schema: type[Any] | None = None,
        name: str | None = None,
    ) -> None:
        self.schema = state_schema(state)
        self.name = name
        self._kinds: dict[str, Any] = {}
        if input_schema is not None:
            self._kinds["input_schema"] = part_schema(input_schema, self.schema, "input_schema")
        if output_schema is not None:
            self._kinds["output_schema"] = part_schema(output_schema, self.schema, "output_schema")
        if context_schema is not None:
            state_schema(context_schema)
            self._kinds["context_schema"] = context_schema
        self._nodes: dict[str, _Node] = {}
        self._edges: dict[str, list[str]] = {}
        self._branches: dict[str, list[Branch]] = {}
        self._joins: list[Join] = []

    def add_node(
        self,
        node: str | Callable[..., Any] | Graph,
        action: Callable[..., Any] | Graph | None = None,
        *,
        retry: RetryPolicy | Sequence[RetryPolicy] | None = None,
        timeout: float | None = None,
        cache: CachePolicy | None = None,
        on_error: Callable[..., Any] | None = None,
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
        Commands may go to. A state parameter that is annotated with a smaller class of the state's fields is given those only.

        ``retry``: a RetryPolicy, or a list of which the first that fits an error decides; without it nothing is tried again.
        ``timeout``: seconds for each attempt, what it asks of models included; then NodeTimeout. An async node is cancelled.
        A plain def runs in a thread of its own, which nobody can stop: it goes on until it returns, but its ``ctx`` is closed
        (``step``, ``write`` and ``interrupt`` raise in it), what it returns is dropped, and a retry may run beside it.
        ``on_error``: ``handler(state, error)``, def or async def, is called when the retries are used up; error has ``node``,
        ``exception`` and ``attempt``; what it returns (an update or a Command) is the node's result. Questions and
        cancellations never reach it, nor does an update that does not fit the state. ``cache``: a CachePolicy.

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
        _check_list(destinations, f"destinations= of node {node!r}")
        names = tuple(destinations) if destinations is not None else _declared(action, on_error)
        told = None
        if retry is not None or timeout is not None or cache is not None or on_error is not None:
            told = policies(node, retry, timeout, cache, on_error)
        self._nodes[node] = _Node(action, defer, rerunnable, names, mapping, told)
        return self

    def add_edge(self, source: str | Sequence[str], target: str) -> StateGraph:
        """After ``source`` comes ``target``. A list of sources is a join: the target runs once all of them have run."""
        if source == END:
            raise GraphError(f"an edge cannot leave END; let {target!r} follow the node before it")
        if not isinstance(target, str):
            raise GraphError(f"an edge leads to one node, not to {target!r}; call add_edge once for each of several")
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
        if source == END:
            raise GraphError(f"a router cannot leave END; ask {label!r} after the node before it")
        _check_list(targets, f"targets= of the router {label!r} of node {source!r}")
        if targets is not None and not targets:
            raise GraphError(f"targets= of the router {label!r} of node {source!r} is empty; name where it may go")
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
        interrupt_before: Sequence[str] = (),
        interrupt_after: Sequence[str] = (),
        durability: Literal["sync", "exit"] = "sync",
        on_event: Emitter | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> Graph:
        """Check the graph and make it runnable. Raises GraphError naming the node and the repair.

        ``db`` keeps the sessions (SqliteDb, InMemoryDb, …); without it a run lives as long as its call. ``on_event`` is
        called with every Event of every run (tracing). ``aliases`` maps old names of nodes and state fields to new ones,
        for sessions stored under the old.

        ``interrupt_before`` and ``interrupt_after`` name nodes ("*": all) at which a run pauses: its status is ``paused``,
        ``get_state`` shows what is next, ``resume(session_id)`` goes past it. The pause is stored with the superstep
        that leads to it, and going past it with the resume, so both survive a crash. After a run's last node there is
        nothing to hold back.

        ``durability``: "sync" commits each superstep before the next begins. "exit" commits once, when a run ends, pauses or
        fails; for runs that may as well be lost, because everything since the call is, the input too, if the process dies,
        and if another run moves the session meanwhile (LeaseLost). Nothing holds the session against other processes.
        """
        plan = self.plan(name)
        if aliases:
            plan = _with_aliases(plan, aliases)
        if interrupt_before or interrupt_after:
            before, after = (_named(plan, names) for names in (interrupt_before, interrupt_after))
            plan = replace(plan, interrupt_before=before, interrupt_after=after, pauses=True)
        check(plan)
        return Graph(replace(plan, durability=checked_durability(durability)), db=db, on_event=on_event)

    def plan(self, name: str | None = None, **kinds: Any) -> Plan:
        """The lowered form, unchecked. ``kinds`` are further fields of Plan."""
        for source in (*self._edges, *self._branches):
            if source != START and source not in self._nodes:
                hint = meant(source, self._nodes)
                raise UnknownTarget(f"an edge leaves {source!r}, which is not a node; {hint} (or add_node({source!r}, …))")
        kinds = {**self._kinds, **kinds}
        nodes = {label: self._lower(label, node, at) for at, (label, node) in enumerate(self._nodes.items())}
        entry = NodePlan(START, lower_function(_nothing, START), -1, self.schema, *self._ways(START))
        defers, reruns = (any(getattr(node, what) for node in self._nodes.values()) for what in ("defer", "rerunnable"))
        label = name or self.name or "graph"
        return Plan(label, self.schema, nodes, entry, tuple(self._joins), defers, reruns, **kinds)

    def _lower(self, label: str, node: _Node, index: int) -> NodePlan:
        graph: Plan | None
        if isinstance(node.action, Graph):
            graph = node.action.plan
            action = graph_node(graph, self.schema, label, **node.mapping)
            free = any(speaks_of(inner.function.own.call, "PARENT") for inner in graph.nodes.values())
        else:
            graph = getattr(node.action, "__graphflow_graph__", None)
            action, free = node.action, speaks_of(node.action, "Command")
        function = lower_function(action, f"node {label!r}")
        if node.policies is not None:
            cache = node.policies.cache
            results = None if cache is None else drive.cache.ResultCache(cache.max_size, cache.ttl)
            function = guarded(function, node.policies, results)
            free = free or (node.policies.on_error is not None and speaks_of(node.policies.on_error.call, "Command"))
        return NodePlan(
            label,
            function,
            index,
            node_view(node.action, self.schema),
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


def _named(plan: Plan, names: Sequence[str]) -> frozenset[str]:
    """The nodes that ``interrupt_before=`` or ``interrupt_after=`` names."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    if "*" in listed:
        return frozenset(plan.nodes)
    for name in listed:
        if name not in plan.nodes:
            raise UnknownTarget(
                f"interrupt_before= or interrupt_after= names {name!r}, which is not a node; {meant(name, plan.nodes)}"
            )
    return frozenset(listed)


def _with_aliases(plan: Plan, aliases: Mapping[str, str]) -> Plan:
    """The plan with old names of nodes and fields. Raises GraphError for a new name that is neither."""
    for old, new in aliases.items():
        if new not in plan.nodes and new not in plan.schema.channels:
            hint = meant(new, [*plan.nodes, *plan.schema.channels], "map old names to new ones", "nodes and fields")
            raise GraphError(f"aliases={{{old!r}: {new!r}}}: there is no node and no field {new!r}; {hint}")
    fields = {old: new for old, new in aliases.items() if new in plan.schema.channels and old not in plan.schema.channels}
    nodes = {old: new for old, new in aliases.items() if new in plan.nodes}
    return replace(plan, aliases=nodes, schema=replace(plan.schema, aliases=fields) if fields else plan.schema)


def _declared(action: Any, on_error: Any) -> tuple[str, ...] | None:
    """Where the annotations of a node and its on_error say that Commands go; None when one that may send them says nothing."""
    if on_error is None:
        return literal_targets(action)
    named: list[str] = []
    for function in (action, on_error):
        targets = literal_targets(function)
        if targets is None and (isinstance(function, Graph) or speaks_of(function, "Command")):
            return None
        named += targets or ()
    return tuple(dict.fromkeys(named)) or None


def _check_list(names: Any, what: str) -> None:
    """Refuse a lone text, whose letters would be taken for names."""
    if isinstance(names, str):
        raise GraphError(f"{what} is the text {names!r}; give a list: [{names!r}]")


def _nothing(state: Any) -> None:
    return None
