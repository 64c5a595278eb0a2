"""Snapshot: a session at one of its checkpoints, as users see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from graphflow.core import sessions
from graphflow.core.control import Interrupt
from graphflow.core.effects import Flow
from graphflow.core.plan import Plan
from graphflow.core.stored import Stored


@dataclass(frozen=True, slots=True)
class PendingTask:
    """A task of the next superstep. ``state`` is "pending", "done" (kept while a sibling is not) or "waiting" (for answers to
    ``interrupts``).
    """

    id: str
    node: str
    state: str
    interrupts: tuple[Interrupt, ...] = ()
    ns: str | None = None
    """The namespace of the nested graph that the task runs: ``get_state(session_id, ns=…)`` shows it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one of its checkpoints."""

    values: Any
    next: tuple[str, ...]
    """The nodes that run next."""
    seq: int
    run_id: str | None
    created_at: datetime
    interrupts: tuple[Interrupt, ...]
    tasks: tuple[PendingTask, ...]
    status: str
    """running, paused (it waits for answers to ``interrupts``, or without any for ``resume`` to run what is ``next``),
    completed, error, cancelled, or crashed: unfinished, and nobody runs it any more."""


def shown(plan: Plan, flow: Flow[Stored]) -> Flow[Snapshot]:
    """A session as users see it."""
    stored = yield from flow
    return _snapshot(plan, stored)


def all_shown(plan: Plan, flow: Flow[list[Stored]]) -> Flow[list[Snapshot]]:
    """A session at each of its checkpoints as users see it."""
    history = yield from flow
    return [_snapshot(plan, stored) for stored in history]


def _snapshot(plan: Plan, stored: Stored) -> Snapshot:
    """What users see of a stored checkpoint."""
    tasks = sessions.pending_tasks(stored)
    return Snapshot(
        values=plan.schema.shown(stored.values),
        next=tuple(task.node for task in tasks),
        seq=stored.seq,
        run_id=stored.run.run_id if stored.run is not None else None,
        created_at=datetime.fromtimestamp(stored.created_at, UTC),
        interrupts=tuple(question for task in tasks for question in task.interrupts),
        tasks=tuple(PendingTask(task.id, task.node, task.state, task.interrupts, _inside(plan, task)) for task in tasks),
        status=stored.status,
    )


def _inside(plan: Plan, task: sessions.StoredTask) -> str | None:
    node = plan.nodes.get(task.node)
    return None if node is None or node.graph is None else task.paths[node.persist]
