"""Calls that would wait for themselves: a run on a session, made by what the run that has the session cannot do without."""

from __future__ import annotations

import asyncio
from threading import current_thread, get_ident
from typing import Final

from graphflow.core.control import current_task
from graphflow.db.turns import Ticket, session_queue
from graphflow.errors import SessionBusy

NODE: Final = "graphflow-node"
"""What the asyncio tasks are called that run nothing but a node: beside others, or for a plain call."""


def refuse(ticket: Ticket) -> None:
    """Raise SessionBusy if the run that has the turn waits for this plain call, or for the loop that the call would hold up."""
    first = session_queue().first(ticket)
    if first is None:
        return
    in_its_thread = first.thread == get_ident()
    if in_its_thread and first.task is not None:
        raise SessionBusy(
            f"session {ticket.key[1]!r} is held by a run that goes on in the event loop of this thread, which a plain call "
            "holds up; await the method of the same name with an a in front (arun, ainvoke …)"
        )
    if in_its_thread or (_of_the_same_session(ticket) and current_thread().name.startswith("graphflow")):
        raise _waits_for_itself(ticket)


def refuse_async(ticket: Ticket) -> None:
    """Raise SessionBusy if the run that has the turn waits for the asyncio task that makes this call."""
    first, caller = session_queue().first(ticket), asyncio.current_task()
    if first is None or caller is None:
        return
    if first.task == id(caller) or (_of_the_same_session(ticket) and caller.get_name() == NODE):
        raise _waits_for_itself(ticket)


def _of_the_same_session(ticket: Ticket) -> bool:
    """Whether this is done for a node of a run on the session."""
    task = current_task.get()
    return task is not None and task.run.db is not None and (task.run.db.identity, task.run.session_id) == ticket.key


def _waits_for_itself(ticket: Ticket) -> SessionBusy:
    return SessionBusy(
        f"session {ticket.key[1]!r} is held by the run that makes this call, from a node, a tool or a listener, and that run "
        "cannot end before the call does; use another session, or make the call when the run is over"
    )
