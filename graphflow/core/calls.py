"""One call of a graph: what the caller says, how it ends, and how long it waits for a session that is busy."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from graphflow.core.audience import NOBODY, Audience
from graphflow.core.control import Cancelled, Interrupt
from graphflow.core.effects import CancelRun, Flow, Sleep
from graphflow.core.machine import Machine
from graphflow.core.ownership import everywhere
from graphflow.core.plan import Plan
from graphflow.core.spoken import Spoken
from graphflow.core.state import Values
from graphflow.core.stopping import Stop
from graphflow.core.stored import Stored, TaskResult
from graphflow.core.tasks import RunInfo
from graphflow.errors import (
    LeaseLost,
    SessionBusy,
)

RECURSION_LIMIT: Final = 1000
"""Supersteps that a run may make, when nobody says otherwise."""


@dataclass(slots=True, eq=False)
class CallOptions:
    """What a caller says besides the input."""

    session_id: str | None = None
    user_id: str | None = None
    run_id: str | None = None
    context: Any = None
    db: Any = None
    recursion_limit: int | None = None
    """None: that of the run around it, or 1,000."""
    max_concurrency: int | None = None
    on_unfinished: Literal["raise", "abandon"] | None = None
    on_busy: str = "wait"
    durability: Literal["sync", "exit"] = "sync"
    idempotency_key: str | None = None
    component_id: str | None = None
    stop: Stop = field(default_factory=Stop)
    audience: Audience = NOBODY
    """Who hears of the run."""
    broken_off: Ended | None = None
    """How the run stood when an error or a cancellation ended it."""
    replayed: bool = False
    """Whether the call is given what an earlier one with its idempotency key came to."""
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For dict channels: keys to write at the begin of a run where neither the session nor the input has them."""
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For dict channels: keys to write at the begin of a run."""
    options: Mapping[str, Any] = field(default_factory=dict)
    spoken: Spoken | None = None
    """Whether tokens told the answer, for calls whose answer has to be among what is told."""


@dataclass(slots=True, eq=False)
class Ended:
    """How a run ended, and the state it left."""

    status: str
    values: Values
    interrupts: tuple[Interrupt, ...]
    session_id: str | None
    run_id: str
    seq: int
    metrics: Mapping[str, Any]
    unmerged: Sequence[TaskResult] = ()
    """Results of tasks that finished while others of their superstep wait for answers, in the order of the tasks: they are
    stored, and not in ``values`` yet."""


def written(ended: Ended, channel: str) -> Iterator[Any]:
    """What finished tasks beside those that wait wrote to a channel, in the order of the tasks."""
    return (value for result in ended.unmerged for name, value in result.writes if name == channel)


class KeyTaken(SessionBusy):
    """Another caller began the run of our idempotency key after we looked for it. Nothing was written."""


class Patience:
    """How a run meets a session that another process holds: it polls, in growing pauses, until the database's busy_timeout.

    With ``on_busy="cancel"`` it asks the run it waits for to stop.
    """

    def __init__(self, call: CallOptions) -> None:
        self.call = call
        self.asked: str | None = None
        self.left = 0.0 if call.on_busy == "reject" else float(call.db.busy_timeout)
        self.pause = 0.01

    def wait(self, held: SessionBusy | LeaseLost, stored: Stored | None = None) -> Flow[None]:
        """Pause before the next try; raises ``held`` when there is none. ``stored`` is the session as it was found."""
        if self.left <= 0:
            raise held
        if self.call.on_busy == "cancel" and stored is not None and stored.holder is not None and stored.run is not None:
            if self.asked != stored.run.run_id:
                yield CancelRun(stored.run.run_id, self.call.user_id)
            self.asked = stored.run.run_id
        seconds = min(self.pause * random.uniform(0.5, 1.0), self.left)
        self.left -= seconds
        self.pause = min(self.pause * 1.5, 0.5)
        try:
            yield Sleep(seconds)
        except Cancelled:
            if self.call.stop.requested:
                raise held from None
            raise


def check_free(stored: Stored | None) -> None:
    """Raise SessionBusy when another process runs the session."""
    if stored is not None and stored.holder is not None:
        raise busy(stored.session_id, stored.holder)


def busy(session_id: str, holder: str) -> SessionBusy:
    """The error for a session that another process runs."""
    return SessionBusy(
        f"session {session_id!r} is being run by {holder}; wait for it (on_busy='wait' does, for the database's "
        "busy_timeout=), or use another session"
    )


def new_machine(plan: Plan, call: CallOptions, run_id: str) -> Machine:
    """A machine for one run, as the call says; nothing of the session is known to it yet."""
    info = RunInfo(
        run_id,
        session_id=call.session_id,
        user_id=call.user_id,
        context=call.context,
        db=call.db,
        audience=call.audience,
        max_concurrency=call.max_concurrency,
        stop=call.stop,
        options=call.options,
        recursion_limit=RECURSION_LIMIT if call.recursion_limit is None else call.recursion_limit,
        aliases=plan.aliases,
        durability=call.durability,
        watched=plan.debug or everywhere.asked > 0,
    )
    return Machine(plan, info)
