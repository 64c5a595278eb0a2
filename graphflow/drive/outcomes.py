"""What becomes of a task that raises."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from graphflow.core.control import Left, Parted, Suspended
from graphflow.core.tasks import Outcome, Task


def outcome_of(error: BaseException, task: Task, started: float, usage: Sequence[Any]) -> Outcome | None:
    """The outcome of a task that failed, asked something (also out of its own TaskGroup), or whose inner graph says where to
    go, after it had used tokens (``usage``). None for what is none of these, such as Ctrl-C: that is to be raised again.
    """
    seconds, used = perf_counter() - started, usage[0] if usage else None
    stop = _inside(error) if isinstance(error, BaseExceptionGroup) else error
    if isinstance(stop, Suspended):
        return Outcome(task, interrupts=stop.interrupts, nested=stop.nested, seconds=seconds, usage=used)
    if isinstance(stop, Left):
        return Outcome(task, stop.commands, seconds, used)
    if isinstance(error, Exception):
        return Outcome(task, error=_noted(task, error), seconds=seconds, usage=used)
    return None


def _inside(group: BaseExceptionGroup[Any]) -> BaseException | None:
    """The first question in a group."""
    match: BaseException | None = group.subgroup(Parted)
    while isinstance(match, BaseExceptionGroup):
        match = match.exceptions[0]
    return match


def _noted(task: Task, error: Exception) -> Exception:
    """The error, with a note that says where. StopIteration cannot pass through generators, so it is wrapped."""
    if isinstance(error, StopIteration):
        wrapped = RuntimeError(f"node {task.node.name!r} raised StopIteration")
        wrapped.__cause__ = error
        error = wrapped
    if not hasattr(error, "__notes__"):
        error.add_note(f"raised in node {task.node.name!r}")
    return error
