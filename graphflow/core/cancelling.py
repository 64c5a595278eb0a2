"""Cancelling a run, as a flow: one that runs somewhere is asked to stop, one that does not is closed."""

from __future__ import annotations

from typing import Any

from graphflow.core.calls import CallOptions, Patience, check_free, new_machine
from graphflow.core.effects import Acquire, CancelRun, Flow, Load, Standing
from graphflow.core.ids import check_id, check_user
from graphflow.core.plan import Plan
from graphflow.core.stored import Stored
from graphflow.errors import LeaseLost, SessionBusy


def cancel(plan: Plan, run_id: str, user_id: str | None, db: Any) -> Flow[bool]:
    """Cancel a run; whether there was anything to cancel. Raises SessionNotFound (no such run), NotOwner."""
    run_id, user_id = check_id(run_id, "run_id"), check_user(user_id)
    patience: Patience | None = None
    while True:
        standing: Standing = yield CancelRun(run_id, user_id, patience is not None)
        if standing.state != "idle":
            return standing.state == "asked"
        if patience is None:
            yield Acquire(standing.session_id)
            patience = Patience(CallOptions(standing.session_id, user_id, db=db))
            continue  # it may have been resumed, or have ended, while we waited
        try:
            return (yield from _close(plan, patience.call, run_id))
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)


def _close(plan: Plan, call: CallOptions, run_id: str) -> Flow[bool]:
    """End a run that is paused or has crashed. Its pending tasks, questions and answers stay, for ``resume``."""
    stored: Stored | None = yield Load(call.session_id or "", call.user_id, plan.schema)
    if stored is None or stored.run is None or stored.run.run_id != run_id:
        return False
    check_free(stored)
    if stored.run.status not in ("running", "paused"):
        return False  # another process has come to its end with it since
    machine = new_machine(plan, call, run_id)
    machine.ledger.adopt(stored)
    closed = (machine.ledger.closing("cancelled", machine.metrics),)
    yield machine.ledger.commit(take_over=True, user_id=call.user_id, closed=closed, status="cancelled")
    return True
