"""Executions of a task whose node has policies: each may be given up while somebody still holds on to it."""

from __future__ import annotations

from copy import copy
from typing import Any

from graphflow.core.effects import Flow, T
from graphflow.core.flows import handed_on
from graphflow.core.plan import NodePlan
from graphflow.core.tasks import Task
from graphflow.errors import NodeTimeout


class Attempt(Task):
    """One execution of a task whose node has policies. Once it is over (failed, or out of time) it is ``closed``: whoever
    still holds its Context can change nothing any more.
    """

    __slots__ = ("closed", "seconds")

    def __init__(self, task: Task, node: NodePlan, number: int, seconds: float | None) -> None:
        for name in Task.__slots__:
            setattr(self, name, getattr(task, name))
        self.node = node
        self.input = copy(task.input)
        self.session = self.noted = None
        self.asked = self.calls = 0
        self.runs = ()
        self.attempt = number
        self.seconds = seconds
        self.closed = False

    def check_open(self) -> None:
        """Raise NodeTimeout when this execution, or one that it is inside of, was given up."""
        if self.closed:
            raise self.timed_out("; it is over, so this has no effect")
        super().check_open()

    def timed_out(self, what_now: str = "") -> NodeTimeout:
        """The error for an attempt that took too long."""
        name, seconds = self.node.name, self.seconds or 0.0
        limit = f"ran longer than its timeout of {seconds:g} seconds" if self.seconds is not None else "ended"
        return NodeTimeout(f"attempt {self.attempt} of node {name!r} {limit}{what_now}", node=name, seconds=seconds)


def fenced(flow: Flow[T], task: Task) -> Flow[T]:
    """A flow whose next effects are refused once the attempt it belongs to was given up: a thread may still be driving it."""

    def refused(effect: Any) -> Flow[Any]:
        task.check_open()
        yield from ()
        return effect

    return handed_on(flow, refused)
