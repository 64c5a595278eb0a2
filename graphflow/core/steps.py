"""Recorded steps: a result inside a node that is stored before it is returned, and not computed again when the node is.

The idea is that of durable execution (Temporal's activities, absurd's ``TaskContext.step``), inside one task of a graph:
look the step up; found, give back what is stored; else compute and record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from graphflow.core.control import OpenStep, current_step
from graphflow.core.effects import Call, Flow, Keep
from graphflow.core.ids import exact
from graphflow.core.stored import TaskRow
from graphflow.core.tasks import Task
from graphflow.errors import StepError

StepKey = tuple[str, int]
"""Name and number of use of a step."""


class Uses:
    """Which names of steps one execution of a task has used."""

    __slots__ = ("counts", "open")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.open: dict[str, object] = {}
        """Names whose step is being computed."""

    def begin(self, name: str, node: str) -> int:
        """The number of this use of ``name``. Raises StepError when the name is in use."""
        mine = object()
        if self.open.setdefault(name, mine) is not mine:
            raise StepError(
                f"node {node!r} uses the step {name!r} twice at the same time, so that a later execution could not tell "
                f"their results apart; give each its own name, such as f'{name}-{{i}}'"
            )
        nth = self.counts.get(name, 0)
        self.counts[name] = nth + 1
        return nth


class StepBook:
    """The recorded steps of a run's current superstep: ``durable`` by commits of their own, or only kept in memory."""

    uses = Uses

    def __init__(self, durable: bool = False) -> None:
        self.durable = durable
        self._rows: dict[int, dict[str, dict[StepKey, TaskRow]]] = {}
        """By origin (of which one is current) and task id."""

    def add(self, origin: int, row: TaskRow) -> None:
        """Know a row of a task whose id derives from ``origin``; those of earlier supersteps are forgotten."""
        self._rows.setdefault(origin, {}).setdefault(row.task_id, {})[row.name, row.nth] = row
        for old in [known for known in self._rows if known != origin]:
            self._rows.pop(old, None)

    def find(self, task: Task, key: StepKey) -> TaskRow | None:
        """The row of a step of a task."""
        return self._rows.get(task.origin, {}).get(task.id, {}).get(key)

    def all(self, origin: int) -> list[TaskRow]:
        """Every row of the superstep."""
        return [row for rows in self._rows.get(origin, {}).values() for row in rows.values()]

    def recorded(
        self, task: Task, uses: Uses, name: str, fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]
    ) -> Flow[Any]:
        """The step's result: the recorded one, or that of ``fn``, recorded."""
        node = task.node.name
        _check(task, name, fn)
        name = exact(name)
        task.check_open()
        nth = uses.begin(name, node)
        try:
            known = self.find(task, (name, nth))
            if known is not None:
                return copied(known.value)
            value = yield from _computed(OpenStep(name, node, task.id, task.run.run_id), fn, args, kwargs)
            row = TaskRow(task.id, node, "step", copied(value), name, nth)
            if self.durable:
                if task.run.ledger is None:
                    raise StepError(f"node {node!r} computed its step {name!r} after its run was over: it cannot be recorded")
                yield Keep(task, partial(task.run.ledger.record_step, row))
            task.check_open()
            self.add(task.origin, row)
            return value
        finally:
            uses.open.pop(name, None)


def _check(task: Task, name: str, fn: Any) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"step name {name!r} in node {task.node.name!r}: give a printable text; it is stored")
    if not callable(fn):
        raise ValueError(
            f"step {name!r} in node {task.node.name!r} is given {fn!r}: give the function, and its arguments after it"
        )
    outer = current_step.get()
    if outer is not None and outer.task_id == task.id:
        raise StepError(
            f"node {task.node.name!r} uses the step {name!r} inside its step {outer.name!r}; do one after the other: a step "
            "that is given back does not run what is inside it"
        )


def _computed(step: OpenStep, fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Flow[Any]:
    outer = current_step.get()
    try:
        current_step.set(step)
        if getattr(fn, "__graphflow_flow__", False):
            return (yield from fn(*args, **kwargs))
        return (yield Call(fn, args, kwargs, inspect.iscoroutinefunction(fn)))
    finally:
        current_step.set(outer)


def copied(value: Any) -> Any:
    """A copy that nobody's later change spoils. What cannot be copied (only in memory: a client, a lock) is shared."""
    try:
        return deepcopy(value)
    except Exception:
        return value
