"""StateGraph: what users declare. ``compile`` turns it into an immutable Graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from graphflow import drive
from graphflow.core import options
from graphflow.core.checks import check, meant, named_nodes, with_aliases
from graphflow.core.control import END, START
from graphflow.core.ids import exact
from graphflow.core.nested import graph_node
from graphflow.core.plan import AS_A_ROUTER, Branch, Join, NodePlan, Plan, literal_targets, lower_function, speaks_of
from graphflow.core.policies import CachePolicy, RetryPolicy, guarded, policies
from graphflow.core.schemas import node_view, part_schema
from graphflow.core.state import check_defaults, state_schema
from graphflow.db.base import Db
from graphflow.declaring import (
    DeclaredNode,
    check_list,
    declared_destinations,
    from_compiled,
    graph_of,
    no_other_settings,
    parted_from,
    without,
)
from graphflow.drive.world import Emitter
from graphflow.errors import GraphError, UnknownTarget
from graphflow.graph import Graph, checked_durability

RESERVED = frozenset({START, END, "__input__", "update_state", "*"})


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
        check_defaults(self.schema)
        self.name = options.text("name", name, none="none")
        self._kinds: dict[str, Any] = {}
        if input_schema is not None:
            self._kinds["input_schema"] = part = part_schema(input_schema, self.schema, "input_schema")
            check_defaults(part)
        if output_schema is not None:
            self._kinds["output_schema"] = part_schema(output_schema, self.schema, "output_schema")
        if context_schema is not None:
            state_schema(context_schema)
            self._kinds["context_schema"] = context_schema
        self._nodes: dict[str, DeclaredNode] = {}
        self._edges: dict[str, list[str]] = {}
        self._branches: dict[str, list[Branch]] = {}
        self._joins: list[Join] = []

    @classmethod
    def of(cls, graph: Graph) -> StateGraph:
        """What a compiled graph holds, as a StateGraph to be edited and compiled again; the graph itself stays as it is.

        Nodes keep their settings (policies, the graphs they are), routers their targets, and sessions their kind. What
        ``compile`` was told (db, interrupts, durability, on_event, debug) has to be told again.
        """
        plan = graph.plan
        made = cls.__new__(cls)
        made.schema, made.name = plan.schema, plan.name
        kinds = ("input_schema", "output_schema", "context_schema", "session_type", "on_unfinished", "aliases")
        made._kinds = {name: getattr(plan, name) for name in kinds}
        made._nodes = {label: from_compiled(node) for label, node in plan.nodes.items()}
        ways = {START: plan.entry, **plan.nodes}
        made._edges = {label: list(node.edges) for label, node in ways.items() if node.edges}
        made._branches = {label: list(node.branches) for label, node in ways.items() if node.branches}
        made._joins = list(plan.joins)
        return made

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order they were added."""
        return tuple(self._nodes)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Who may follow whom, as (source, target): edges, then joins, then the declared targets of routers."""
        found = [(source, target) for source, targets in self._edges.items() for target in targets]
        found += [(source, join.target) for join in self._joins for source in join.sources]
        for source, branches in self._branches.items():
            found += [(source, target) for branch in branches for target in (branch.targets or {}).values()]
        return list(dict.fromkeys(found))

    @no_other_settings
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
        of the fields it changes, a Command, None, or a list of these. What a def gives that has to be awaited (a decorator's,
        around an async def) is awaited. ``defer``: runs when nothing else is left. ``rerunnable``: only reads, so its result
        need not be stored on its own and it may run again after a crash. ``destinations``: the nodes its Commands may go to. A
        state parameter that is annotated with a smaller class of the state's fields is given those only.

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
        its graph. Raises GraphError for what cannot be a node, ValueError for an option that cannot be.
        """
        if not isinstance(node, str):
            action, node = node, node.name if isinstance(node, Graph) else getattr(node, "__name__", type(node).__name__)
        node = exact(node)
        if node in RESERVED or not node or node.startswith("__"):
            raise GraphError(f"node name {node!r} is reserved; choose another")
        if "\0" in node or any("\ud800" <= letter <= "\udfff" for letter in node):
            raise GraphError(f"node name {node!r} has characters that no database takes; choose another")
        if node in self._nodes:
            raise GraphError(f"there is a node {node!r} already; give this one another name")
        if action is None:
            raise GraphError(f"node {node!r} has no function; write add_node({node!r}, function)")
        for option, chosen in (("defer", defer), ("rerunnable", rerunnable), ("persist", persist)):
            options.flag(option, chosen, of=f"node {node!r}")
        action = graph_of(action)
        if isinstance(action, StateGraph):
            raise GraphError(f"node {node!r} is a StateGraph that is not compiled; write add_node({node!r}, builder.compile())")
        for option, mapper in (("input", input), ("output", output)):
            options.plain_function(option, mapper, "a function of the state", none="the fields of both", of=f"node {node!r}")
        mapping = {"input": input, "output": output, "persist": persist}
        if not isinstance(action, Graph):
            given = [name for name, value in mapping.items() if value]
            if given:
                raise GraphError(f"node {node!r} is a function, and {given[0]}= is for a node that is a Graph")
        check_list(destinations, f"destinations= of node {node!r}")
        options.texts("destinations", destinations, none="what its annotations say", of=f"node {node!r}")
        names = tuple(destinations) if destinations is not None else declared_destinations(action, on_error)
        told = None
        if retry is not None or timeout is not None or cache is not None or on_error is not None:
            told = policies(node, retry, timeout, cache, on_error)
        self._nodes[node] = DeclaredNode(action, defer, rerunnable, names, mapping, told)
        return self

    # --- editing -----------------------------------------------------------------------------------------------------------

    def replace_node(self, name: str, action: Callable[..., Any] | Graph, **settings: Any) -> StateGraph:
        """Give a node another action; its place and the edges to and from it stay. ``settings`` are those of ``add_node``: the
        old node's (a retry, ``rerunnable``) are not kept. Raises GraphError for an unknown node.
        """
        self._known(name)
        before = list(self._nodes)
        old = self._nodes.pop(name)
        try:
            self.add_node(name, action, **settings)
        except BaseException:
            self._nodes[name] = old
            raise
        finally:
            self._nodes = {label: self._nodes[label] for label in before}
        return self

    def remove_node(self, name: str, *, bridge: bool = False) -> StateGraph:
        """Remove a node with the edges to and from it. Routers lose it as a target (one that goes there all the same is an
        UnknownTarget in the run), joins no longer wait for it.

        ``bridge``: what led to it leads to what follows it, which has to be one node (or END) by one edge. Raises GraphError
        for an unknown node, and when it cannot be bridged.
        """
        self._known(name)
        heir = self._heir(name) if bridge else None
        if heir is not None:  # a run that was cut off before it goes on with what follows
            self._kinds["aliases"] = {**self._kinds.get("aliases", {}), name: heir}
        for source, targets in self._edges.items():
            renamed = (heir if target == name else target for target in targets)
            self._edges[source] = list(dict.fromkeys(target for target in renamed if target is not None))
        for source, branches in self._branches.items():
            self._branches[source] = [left for branch in branches if (left := without(branch, name, heir)) is not None]
        joins, self._joins = self._joins, []
        for join in joins:
            target = heir if join.target == name else join.target
            sources = [source for source in join.sources if source != name]
            if sources and target is not None:
                self.add_edge(sources, target)
        for table in (self._nodes, self._edges, self._branches):
            table.pop(name, None)
        self._edges = {source: targets for source, targets in self._edges.items() if targets}
        self._branches = {source: branches for source, branches in self._branches.items() if branches}
        self._nodes = {label: parted_from(node, name, heir) for label, node in self._nodes.items()}
        return self

    def remove_edge(self, source: str | Sequence[str], target: str) -> StateGraph:
        """Remove an edge that ``add_edge`` with the same arguments adds. Raises GraphError when there is none."""
        if isinstance(source, str):
            if target not in self._edges.get(source, ()):
                there = ", ".join(f"{left!r} -> {right!r}" for left, right in self.edges) or "none"
                raise GraphError(f"there is no edge {source!r} -> {target!r} to remove; the edges are {there}")
            self._edges[source].remove(target)
            if not self._edges[source]:
                del self._edges[source]
            return self
        key = Join(tuple(dict.fromkeys(source)), target).key
        if key not in {join.key for join in self._joins}:
            there = ", ".join(f"{list(join.sources)} -> {join.target!r}" for join in self._joins) or "none"
            raise GraphError(f"there is no join {list(source)} -> {target!r} to remove; the joins are {there}")
        self._joins = [join for join in self._joins if join.key != key]
        return self

    def remove_conditional_edges(self, source: str) -> StateGraph:
        """Remove the routers that are asked after ``source``. Raises GraphError when there is none."""
        if source not in self._branches:
            there = ", ".join(map(repr, self._branches)) or "none"
            raise GraphError(f"there is no router after {source!r} to remove; nodes with routers: {there}")
        del self._branches[source]
        return self

    def _known(self, name: str) -> None:
        if name not in self._nodes:
            raise GraphError(f"there is no node {name!r}; {meant(name, self._nodes)}")

    def _heir(self, name: str) -> str:
        ways = [target for source, target in self.edges if source == name]
        if len(ways) != 1 or ways != self._edges.get(name) or ways == [name]:
            raise GraphError(
                f"node {name!r} cannot be bridged: {', '.join(map(repr, ways)) or 'nothing'} may follow it, and it has to be "
                "one node by one edge; remove_node(…) without bridge=True and add the edges that should be there"
            )
        return ways[0]

    # --- edges -------------------------------------------------------------------------------------------------------------

    def add_edge(self, source: str | Sequence[str], target: str) -> StateGraph:
        """After ``source`` comes ``target``. A list of sources is a join: the target runs once all of them have run."""
        if source == END:
            raise GraphError(f"an edge cannot leave END; let {target!r} follow the node before it")
        if not isinstance(target, str):
            raise GraphError(f"an edge leads to one node, not to {target!r}; call add_edge once for each of several")
        target = exact(target)
        if isinstance(source, str):
            targets = self._edges.setdefault(exact(source), [])
            if target not in targets:
                targets.append(target)
            return self
        sources = tuple(dict.fromkeys(map(exact, source)))
        if not sources:
            raise GraphError(f"the join into {target!r} has no sources; name the nodes it waits for")
        if len(sources) == 1:
            return self.add_edge(sources[0], target)
        join = Join(sources, target)
        if join.key not in {known.key for known in self._joins}:
            self._joins.append(join)
        return self

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
        check_list(targets, f"targets= of the router {label!r} of node {source!r}")
        if targets is not None and not targets:
            raise GraphError(f"targets= of the router {label!r} of node {source!r} is empty; name where it may go")
        if targets is None:
            targets = literal_targets(router)
        pairs = targets.items() if isinstance(targets, Mapping) else [(name, name) for name in targets or ()]
        table = None if targets is None else {result: exact(name) for result, name in pairs}
        function = lower_function(router, f"the router {label!r} of node {source!r}", AS_A_ROUTER)
        self._branches.setdefault(exact(source), []).append(Branch(function, table, label))
        return self

    @no_other_settings
    def compile(
        self,
        db: Db | None = None,
        name: str | None = None,
        *,
        interrupt_before: Sequence[str] = (),
        interrupt_after: Sequence[str] = (),
        durability: Literal["sync", "exit"] = "sync",
        on_event: Emitter | None = None,
        aliases: Mapping[str, str] | None = None,
        debug: bool = False,
    ) -> Graph:
        """Check the graph and make it runnable. Raises GraphError naming the node and the repair, ValueError naming an option.

        ``db`` keeps the sessions (SqliteDb, InMemoryDb, …); without it a run lives as long as its call. ``on_event`` is
        called with every Event of every run (tracing). ``aliases`` maps old names of nodes and state fields to new ones,
        for sessions stored under the old.

        ``interrupt_before`` and ``interrupt_after`` name nodes ("*": all) at which a run pauses: its status is ``paused``,
        ``get_state`` shows what is next, ``resume(session_id)`` goes past it. The pause is stored with the superstep
        that leads to it, and going past it with the resume, so both survive a crash. After a run's last node there is
        nothing to hold back.

        ``durability``: "sync" commits each superstep before the next begins. "exit" commits once, when a run ends, pauses or
        fails; for runs that may as well be lost, because everything since the call is, the input too, if the process dies,
        and if others move, prune or delete the session meanwhile (LeaseLost). Nothing holds the session against other
        processes. Of the graphs inside, those that pause or fail are stored, so that they go on inside, and those that keep
        their state. With an idempotency_key the call itself is committed at once, so that others with the key find it.

        ``debug``: nodes, those of graphs inside and tools among them, are given copies of all that is in the state (but not of
        ``untracked`` fields), or of the argument of a Send. One that changes these in place, instead of returning what changed,
        is a ChangedInPlace that names it and the path of what it changed; what it returned is not taken. When it raises
        something, that has a note of it. It takes the time and the memory for a copy of the state at each node.
        """
        plan = self.plan(options.text("name", name, none="that of the StateGraph"))
        if aliases is not None:
            plan = with_aliases(plan, aliases)
        told = {"interrupt_before": interrupt_before, "interrupt_after": interrupt_after}
        before, after = (named_nodes(plan, what, names) for what, names in told.items())
        if before or after:
            plan = replace(plan, interrupt_before=before, interrupt_after=after, pauses=True)
        options.flag("debug", debug)
        check(plan)
        return Graph(replace(plan, durability=checked_durability(durability), debug=debug), db=db, on_event=on_event)

    def plan(self, name: str | None = None, **kinds: Any) -> Plan:
        """The lowered form, unchecked. ``kinds`` are further fields of Plan."""
        for source in (*self._edges, *self._branches):
            if source != START and source not in self._nodes:
                hint = meant(source, self._nodes)
                raise UnknownTarget(f"an edge leaves {source!r}, which is not a node; {hint} (or add_node({source!r}, …))")
        kinds = {**self._kinds, **kinds}
        if kinds.get("aliases"):
            known = self._nodes
            kinds["aliases"] = {old: new for old, new in kinds["aliases"].items() if new in known and old not in known}
        nodes = {label: self._lower(label, node, at) for at, (label, node) in enumerate(self._nodes.items())}
        ways = self._ways(START)
        entry = NodePlan(START, lower_function(_nothing, START), -1, self.schema, *ways, self._after(*ways))
        kinds["defers"] = any(node.defer for node in nodes.values())
        kinds["reruns"] = any(node.rerunnable for node in nodes.values())
        kinds["awaits"] = any(branch.router.awaits for node in (entry, *nodes.values()) for branch in node.branches)
        return Plan(name or self.name or "graph", self.schema, nodes, entry, tuple(self._joins), **kinds)

    def _lower(self, label: str, node: DeclaredNode, index: int) -> NodePlan:
        graph: Plan | None
        edges, branches, joins = self._ways(label)
        if node.compiled is not None:
            ways: dict[str, Any] = {"edges": edges, "branches": branches, "joins": joins, "destinations": node.destinations}
            after = self._after(edges, branches, joins)
            return replace(node.compiled, index=index, after=after, **ways)
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
            edges,
            branches,
            joins,
            self._after(edges, branches, joins),
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

    def _after(self, edges: Sequence[str], branches: Sequence[Branch], joins: Sequence[Join]) -> tuple[str, ...] | None:
        """The one node that an edge leads to, or none; None when there are other ways, or one that waits for others."""
        if branches or joins:
            return None
        targets = tuple(target for target in edges if target != END)
        deferred = any(target in self._nodes and self._nodes[target].defer for target in targets)
        return None if deferred or len(targets) > 1 else targets


def _nothing(state: Any) -> None:
    return None


def compiled(graph: StateGraph | Graph) -> Graph:
    """The graph itself, or what a StateGraph compiles to. Raises GraphError."""
    return graph.compile() if isinstance(graph, StateGraph) else graph
