"""The steps of a workflow under names of their own, and lists of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from graphflow.errors import GraphError
from graphflow.graph import Graph
from graphflow.run import Runner
from graphflow.workflow.steps import Group, Parallel, Step


def named(steps: Sequence[Any], taken: set[str]) -> list[Step | Group]:
    """The steps in their final form: each a Step or a group under a name of its own.

    What has no name is given one. Raises GraphError for a name that two steps have.
    """
    return [_named(step, taken) for step in steps]


def _named(step: Any, taken: set[str]) -> Step | Group:
    if isinstance(step, Step):
        _take(step.name, taken)
        return step
    if not isinstance(step, Group):
        name, own = _own_name(step)
        return Step(_take(name, taken) if own else _numbered(name, taken), step)
    made = copy(step)
    made.name = _take(step.name, taken) if step.name is not None else _numbered(step.label(), taken)
    for slot in ("branches", "choices", "steps", "else_steps"):
        if hasattr(step, slot):
            setattr(made, slot, named(getattr(step, slot), taken))
    return made


def _own_name(what: Any) -> tuple[str, bool]:
    """What a step is called that was not given a name, and whether that is a name that somebody chose."""
    given = getattr(what, "name", None)
    if isinstance(what, Runner | Graph):
        kind = type(what).__name__.lower()
        return (given, True) if given and given != "graph" else (kind, False)
    if not callable(what):
        raise GraphError(
            f"a step is {what!r}: give a function, an Agent, a Team, a Graph, a Workflow, or Step(name, what) around one"
        )
    inner = getattr(what, "func", what)
    name = getattr(inner, "__name__", type(inner).__name__)
    return (name, True) if name.isidentifier() else ("step", False)


def _take(name: str, taken: set[str]) -> str:
    if name in taken:
        raise GraphError(f"two steps are called {name!r}; give one of them another name: Step('another name', …)")
    taken.add(name)
    return name


def _numbered(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return _take(free, taken)


def leaves(step: Step | Group) -> list[str]:
    """The names of all that leaves an output in it: its steps and those of its groups, and each Parallel."""
    if isinstance(step, Step):
        return [step.name]
    names = [name for part in step.parts() for name in leaves(part)]
    return [*names, str(step.name)] if isinstance(step, Parallel) else names


def everything(steps: Sequence[Step | Group]) -> Iterator[str]:
    """The names of the steps and of the groups among them, each group after its parts."""
    for step in steps:
        if isinstance(step, Group):
            yield from everything(step.parts())
        yield str(step.name)


def works(steps: Sequence[Step | Group]) -> Iterator[Any]:
    """What the steps, and those of groups among them, run."""
    for step in steps:
        if isinstance(step, Step):
            yield step.what
        else:
            yield from works(step.parts())
