"""Abandoned runs: a new run closes the one that was not finished, and keeps what had been done in it."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace

from graphflow.core.calls import CallOptions
from graphflow.core.effects import CloseRun
from graphflow.core.excerpts import error_text
from graphflow.core.ledger import Ledger, joined_deltas
from graphflow.core.plan import Plan
from graphflow.core.reducers import Delta
from graphflow.core.sessions import pending_questions, pending_tasks
from graphflow.core.stored import LogEntry, SideWrite, Stored
from graphflow.core.tasks import RunInfo
from graphflow.errors import UnfinishedRun


@dataclass(slots=True)
class Left:
    """What an abandoned run leaves to the commit that closes it."""

    closed: list[CloseRun] = field(default_factory=list)
    delta: Delta = field(default_factory=dict)
    """What it changed in fields that live as long as the session."""
    side: list[SideWrite] = field(default_factory=list)


def leave_behind(plan: Plan, stored: Stored, call: CallOptions) -> Left:
    """Close the session's run, if it was not finished; ``stored`` is then as if its last superstep had ended with the nodes
    that had finished while others had not: what they did, such as paying somebody, was done.

    Raises UnfinishedRun when it is not to be left behind.
    """
    run = stored.run
    if run is None or run.status not in ("running", "paused"):
        return Left()
    if (call.on_unfinished or plan.on_unfinished) != "abandon":
        what = _paused_at(stored) if run.status == "paused" else "was not finished (it crashed, or is still running)"
        raise UnfinishedRun(
            f"run {run.run_id!r} of session {stored.session_id!r} {what}; go on with resume({stored.session_id!r}), "
            "or give on_unfinished='abandon' to leave it behind"
        )
    delta, said, side = _finish(plan, stored)
    return Left([CloseRun(run.run_id, "abandoned", stored.log_head, metrics=run.metrics, said=said)], delta, side)


def _paused_at(stored: Stored) -> str:
    if pending_questions(stored):
        return "is paused at a question"
    return f"is paused before {', '.join(dict.fromkeys(repr(task.node) for task in pending_tasks(stored)))}"


def _finish(plan: Plan, stored: Stored) -> tuple[Delta, list[LogEntry], list[SideWrite]]:
    """Apply the results there are, one by one, since nobody can mend now what does not go together; warns of those that do not
    go with the state at all.
    """
    results = {row.task_id: row.value for row in stored.tasks if row.kind == "result"}
    deltas: list[Delta] = []
    said: list[LogEntry] = []
    side: list[SideWrite] = []
    if results:
        assert stored.run is not None
        ledger = Ledger(plan.schema, RunInfo(stored.run.run_id))
        ledger.adopt(stored)
        for task in pending_tasks(stored):
            if task.id not in results:
                continue
            try:
                delta, entries = ledger.merge([(replace(plan.entry, name=task.node), results[task.id])])
            except Exception as error:  # of a reducer, too: the session is not to be stuck for good
                _warn_of_lost(task.node, stored.session_id, error)
                continue
            deltas.append(delta)
            said += entries
            side += ledger.side
        stored.values, stored.ranges, stored.log_head = ledger.values, ledger.ranges, ledger.log_head
    lasting = [{name: op for name, op in delta.items() if name not in plan.schema.fresh} for delta in deltas]
    return joined_deltas(lasting, stored.values) if lasting else {}, said, side


def _warn_of_lost(node: str, session_id: str, error: Exception) -> None:
    with suppress(Warning):  # where warnings are errors, this one is not to keep the next run from beginning
        warnings.warn(
            f"node {node!r} of session {session_id!r} had finished in the run that is abandoned now; what it gave is left out, "
            f"since it does not go with the state: {error_text(error)}",
            RuntimeWarning,
            stacklevel=2,
        )
