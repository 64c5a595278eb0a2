"""The lowered, immutable form of a graph: what the machine runs.

A user's functions are looked at once, here: whether they are def, async def or a flow, and whether they take a Context.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args, get_origin

from graphflow.core.annotations import annotation
from graphflow.core.control import END, START, Command
from graphflow.core.ids import digest
from graphflow.core.schemas import PartSchema
from graphflow.core.state import StateSchema
from graphflow.errors import GraphError

NodeKind = Literal["sync", "async", "flow"]
F = typing.TypeVar("F", bound=Callable[..., Any])


def flow(fn: F) -> F:
    """Mark a generator function as a flow node: it yields effects (``Ask``, ``Call``, ``ReadHistory`` …) and returns
    its update.

    This is how ready-made nodes are written, so that each exists once for sync and async.
    """
    fn.__graphflow_flow__ = True  # type: ignore[attr-defined]
    return fn


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A user's function as the machine calls it."""

    call: Callable[..., Any]
    kind: NodeKind
    wants_context: bool
    awaits: bool = False
    """Whether it is an async def, or a flow around one: many of them need no threads."""
    inner: Function | None = None
    """The function that was declared, where policies are around it."""

    @property
    def own(self) -> Function:
        """The function as it was declared."""
        return self.inner or self


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A conditional edge: a router, and the names its results stand for (None: any node)."""

    router: Function
    targets: Mapping[Any, str] | None
    name: str


_IN_KEYS = {"+": "%2B", ">": "%3E", "%": "%25"}
"""How names write what stands between them in the key of a join."""


def _in_key(name: str) -> str:
    return "".join(_IN_KEYS.get(char, char) for char in name)


def _out_of_key(text: str) -> str:
    for char, code in _IN_KEYS.items():
        text = text.replace(code, char)
    return text


@dataclass(frozen=True, eq=False)
class Join:
    """``add_edge([a, b], c)``: c runs when all sources have run."""

    sources: tuple[str, ...]
    target: str

    @functools.cached_property
    def key(self) -> str:
        """What a checkpoint calls this join."""
        return f"{'+'.join(sorted(map(_in_key, self.sources)))}>{_in_key(self.target)}"

    @classmethod
    def of(cls, key: str) -> Join:
        """The join that a checkpoint calls so."""
        sources, _, target = key.partition(">")
        return cls(tuple(map(_out_of_key, sources.split("+"))), _out_of_key(target))


@dataclass(frozen=True, slots=True, eq=False)
class NodePlan:
    """A node as the machine runs it."""

    name: str
    function: Function
    index: int
    """Place in the order of declaration, which is the order of parallel tasks."""
    schema: StateSchema
    """What it sees of the state: all of it, or the part that the class its first parameter is annotated with names."""
    edges: tuple[str, ...] = ()
    branches: tuple[Branch, ...] = ()
    joins: tuple[Join, ...] = ()
    """The joins this node is a source of."""
    after: tuple[str, ...] | None = None
    """What comes next whatever the node gives, where at most one edge says so; None: ``core.routing`` finds out."""
    defer: bool = False
    rerunnable: bool = False
    destinations: tuple[str, ...] | None = None
    """The nodes a Command of this node may go to, when declared."""
    free: bool = False
    """Whether its Commands may go anywhere (it speaks of Command and declares no destinations)."""
    graph: Plan | None = None
    """The graph that this node is."""
    persist: bool = False
    """Whether that graph keeps its state between calls."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A compiled graph. Nothing in it changes after it was made, so any number of threads may run it."""

    name: str
    schema: StateSchema
    nodes: Mapping[str, NodePlan]
    entry: NodePlan
    """START as a node that does nothing: its edges and branches are how a run begins."""
    joins: tuple[Join, ...] = ()
    defers: bool = False
    """Whether any node is deferred."""
    awaits: bool = False
    """Whether any router is async, so that they have to be asked before ``route``."""
    reruns: bool = False
    """Whether any node is rerunnable."""
    interrupt_before: frozenset[str] = frozenset()
    """Nodes before which a run pauses."""
    interrupt_after: frozenset[str] = frozenset()
    """Nodes after which a run pauses, if anything comes next."""
    pauses: bool = False
    """Whether there are any of these two."""
    input_schema: PartSchema | None = None
    """The fields that an input may have; None: all of the state."""
    output_schema: PartSchema | None = None
    """The fields that a result has; None: all of the state."""
    context_schema: type[Any] | None = None
    """What the context of a run has to be; None: anything."""
    durability: Literal["sync", "exit"] = "sync"
    session_type: str = "graph"
    on_unfinished: Literal["raise", "abandon"] = "raise"
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Old node names and what they are called now, for runs stored under the old ones."""
    debug: bool = False
    """Whether nodes are watched, so that none changes in place what it was given."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """What a stored run needs to fit: nodes, edges, channel types and reducers, as 16 hex digits."""
        return digest(self.outline, 8)

    @functools.cached_property
    def outline(self) -> str:
        """The facts behind the fingerprint, stored once, so that a graph that changed can be told what has changed."""
        return "\n".join(description(self))

    def next_of(self, node: str) -> tuple[str, ...]:
        """Static and declared conditional targets of a node, for checks and pictures."""
        plan = self.entry if node == START else self.nodes[node]
        if not (plan.branches or plan.destinations or plan.joins):
            return plan.edges
        targets = list(plan.edges)
        for branch in plan.branches:
            targets += branch.targets.values() if branch.targets is not None else [*self.nodes, END]
        targets += plan.destinations or ()
        targets += [join.target for join in plan.joins]
        return tuple(dict.fromkeys(targets))


# --- user functions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """What functions of a kind are called with and what they return, in the words of errors about them."""

    called: str
    gives: str
    least: int = 1
    """Arguments that it has to take."""
    most: int = 2
    """Arguments that it may ask for."""


_AS_A_NODE = Usage("a node is called with (state) or (state, ctx)", gives="update")
AS_A_ROUTER = Usage("a router is called with (state)", gives="targets", most=1)
AS_A_HANDLER = Usage("it is called with (state, error)", gives="update", least=2)


def lower_function(fn: Any, what: str, usage: Usage = _AS_A_NODE) -> Function:
    """Tell a user's callable apart, once. Raises GraphError for generators and for what cannot be called."""
    code = getattr(fn, "__code__", None)
    if getattr(fn, "__graphflow_flow__", False):
        return Function(fn, "flow", _takes_context(fn))
    if type(fn) is types.FunctionType and code is not None:
        flags = code.co_flags
        _check_arity(fn, what, usage)
        if flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
            raise _generator(what, usage)
        awaits = bool(flags & inspect.CO_COROUTINE)
        takes_two = code.co_argcount > 1 or flags & inspect.CO_VARARGS > 0
        return Function(fn, "async" if awaits else "sync", takes_two and _takes_context(fn), awaits)
    if not callable(fn):
        raise GraphError(f"{what} is {fn!r}, which cannot be called; give a function, def or async def")
    inner = fn.func if isinstance(fn, functools.partial) else fn
    target = inner if inspect.isroutine(inner) or isinstance(inner, type) else type(inner).__call__
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise _generator(what, usage)
    awaits = inspect.iscoroutinefunction(target)
    return Function(fn, "async" if awaits else "sync", _takes_context(fn), awaits)


def _check_arity(fn: types.FunctionType, what: str, usage: Usage) -> None:
    """A function takes what it is called with, whatever else it has defaults for."""
    code = fn.__code__
    required = code.co_argcount - len(fn.__defaults__ or ())
    takes_any = bool(code.co_flags & inspect.CO_VARARGS)
    missing = code.co_kwonlyargcount - len(fn.__kwdefaults__ or ())
    if required > usage.most or missing or (code.co_argcount < usage.least and not takes_any):
        raise GraphError(f"{what} takes {inspect.signature(fn)}; {usage.called}")


def _generator(what: str, usage: Usage) -> GraphError:
    return GraphError(
        f"{what} is a generator function; return the {usage.gives} instead, and use ctx.write(...) to stream data on the way"
    )


_SIGNED: Final = {"__wrapped__", "__signature__"}
"""What says that a function is called otherwise than its code says."""


def _takes_context(fn: Any) -> bool:
    """Whether the second positional parameter is there to be given (it has no default, or is called ctx)."""
    if type(fn) is types.FunctionType and not fn.__dict__.keys() & _SIGNED:
        code = fn.__code__
        names = code.co_varnames[: code.co_argcount]
        return len(names) > 1 and (len(names) - len(fn.__defaults__ or ()) > 1 or names[1] == "ctx")
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 and (positional[1].default is inspect.Parameter.empty or positional[1].name == "ctx")


def literal_targets(router: Any) -> tuple[str, ...] | None:
    """The names a router's ``-> Literal[...]`` (or ``Command[Literal[...]]``) annotation declares, or None."""
    if getattr(router, "__graphflow_flow__", False):
        return None
    hint = annotation(router if inspect.isroutine(router) else type(router).__call__, "return")
    names: list[str] = []
    if not _collect_literals(hint, names):
        return None
    return tuple(names) or None


def _collect_literals(hint: Any, names: list[str]) -> bool:
    """Collect the texts of a Literal, also inside unions and lists; False when the hint allows anything else."""
    if get_origin(hint) is Literal:
        names += [item for item in get_args(hint) if isinstance(item, str)]
        return True
    if get_origin(hint) in (typing.Union, types.UnionType, list, tuple, Sequence, Command):
        return all(_collect_literals(item, names) for item in get_args(hint) if item is not Ellipsis)
    return False


def speaks_of(fn: Any, name: str) -> bool:
    """Whether a function's own code names ``name``: Command, so that it may go where no edge leads, or PARENT."""
    inner = fn.func if isinstance(fn, functools.partial) else fn
    function = inner if inspect.isroutine(inner) else type(inner).__call__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    pending = [code] if code is not None else []
    while pending:
        code = pending.pop()
        if name in code.co_names or name in code.co_freevars:
            return True
        pending += [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return False


# --- fingerprint ---------------------------------------------------------------------------------------------------------


def description(plan: Plan) -> list[str]:
    """The facts behind the fingerprint, a line each, sorted: comparing two lists names what changed."""
    lines = [f"node {one_line(name)}" for name in plan.nodes]
    for name, node in plan.nodes.items():
        lines += [f"in {one_line(name)}: {line}" for line in description(node.graph)] if node.graph is not None else ()
    for source in (START, *plan.nodes):
        node = plan.entry if source == START else plan.nodes[source]
        lines += [f"edge {one_line(source)} -> {one_line(target)}" for target in node.edges]
        for branch in node.branches:
            targets = "*" if branch.targets is None else ", ".join(sorted(map(one_line, set(branch.targets.values()))))
            lines.append(f"branch {one_line(source)} -> {targets}")
    lines += [join_line(join) for join in plan.joins]
    for channel in plan.schema.channels.values():
        reducer = getattr(channel.reducer, "__qualname__", type(channel.reducer).__name__) if channel.reducer else "-"
        lines.append(f"channel {channel.name}: {_type_name(channel.type)} {reducer} {channel.lifetime}")
    return sorted(lines)


def join_line(join: Join) -> str:
    """How a description names a join."""
    return f"join {', '.join(sorted(map(one_line, join.sources)))} -> {one_line(join.target)}"


def one_line(name: str) -> str:
    """How a description names a node: in one line."""
    return name.replace("\n", "\\n")


def _type_name(hint: Any) -> str:
    if isinstance(hint, type) and not get_args(hint):
        return hint.__qualname__
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(hint).replace("typing.", ""))  # functions differ so in each process
