"""What a StateGraph holds until it is compiled: nodes as they were declared, and the rules for a single declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from inspect import signature
from typing import Any, Final, ParamSpec, TypeVar

from graphflow.core import options
from graphflow.core.plan import Branch, NodePlan, literal_targets, speaks_of
from graphflow.core.policies import Policies
from graphflow.errors import GraphError
from graphflow.graph import Graph

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class DeclaredNode:
    """A node as ``add_node`` was told of it."""

    action: Any
    defer: bool
    rerunnable: bool
    destinations: tuple[str, ...] | None
    """The nodes its Commands may go to; None when nothing says so."""
    mapping: dict[str, Any]
    """How a node that is a graph is bound to the state: input, output, persist."""
    policies: Policies | None
    compiled: NodePlan | None = None
    """The node as it was compiled, for one that comes from a compiled graph."""


def from_compiled(node: NodePlan) -> DeclaredNode:
    """A node of a compiled graph, as a declaration."""
    return DeclaredNode(node.function.own.call, node.defer, node.rerunnable, node.destinations, {}, None, node)


def without(branch: Branch, name: str, heir: str | None) -> Branch | None:
    """A router that no longer goes to a node, but to its heir if it has one; None when nothing is left to go to."""
    if branch.targets is None or name not in branch.targets.values():
        return branch
    renamed = {key: heir if target == name else target for key, target in branch.targets.items()}
    targets = {key: target for key, target in renamed.items() if target is not None}
    return replace(branch, targets=targets) if targets else None


def parted_from(node: DeclaredNode, name: str, heir: str | None) -> DeclaredNode:
    """A node whose Commands no longer go to another one that was removed."""
    if node.destinations is None or name not in node.destinations:
        return node
    renamed = [heir if target == name else target for target in node.destinations]
    return replace(node, destinations=tuple(dict.fromkeys(target for target in renamed if target is not None)))


def graph_of(action: Any) -> Any:
    """The graph of what compiles to one, such as an Agent; anything else as it is."""
    graph = None if callable(action) else getattr(action, "graph", None)
    return graph if isinstance(graph, Graph) else action


def declared_destinations(action: Any, on_error: Any) -> tuple[str, ...] | None:
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


def no_other_settings(method: Callable[P, R]) -> Callable[P, R]:
    """The method, which refuses settings that it does not have by a TypeError that says what they are called here."""
    _, *known = signature(method).parameters

    @wraps(method)
    def checked(*args: P.args, **settings: P.kwargs) -> R:
        for name in settings:
            if name in _CALLED_HERE and name not in known:
                raise TypeError(f"{method.__name__} has no setting {name!r}; write {_CALLED_HERE[name]}")
        options.names(settings, known, "setting", method.__name__)
        return method(*args, **settings)

    return checked


_CALLED_HERE: Final = {
    "retry_policy": "retry=RetryPolicy(…)",
    "cache_policy": "cache=CachePolicy(…)",
    "error_handler": "on_error=handler",
    "checkpointer": "db=SqliteDb(…)",
    "cache": "add_node(…, cache=CachePolicy(…))",
}


def check_list(names: Any, what: str) -> None:
    """Refuse a lone text, whose letters would be taken for names."""
    if isinstance(names, str):
        raise GraphError(f"{what} is the text {names!r}; give a list: [{names!r}]")
