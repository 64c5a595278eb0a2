"""What a call with an idempotency key is given when the key has begun a run before."""

from __future__ import annotations

from graphflow.core.calls import CallOptions, Ended
from graphflow.core.effects import Flow, KeyedRun
from graphflow.core.plan import Plan
from graphflow.core.sessions import existing, questions_in_order, results_in_order
from graphflow.core.stored import Stored
from graphflow.errors import KeyReused, UnfinishedRun


def check_key(found: KeyedRun, key: str, session_id: str | None) -> None:
    """Raise KeyReused when the key stands for something else than what is asked for now."""
    if not found.same_input:
        raise KeyReused(
            f"idempotency_key={key!r} has begun run {found.run_id!r} with another input; a key is good for one input: "
            "give each request its own key"
        )
    if session_id is not None and session_id != found.session_id:
        raise KeyReused(
            f"idempotency_key={key!r} has begun run {found.run_id!r} in session {found.session_id!r}, not in {session_id!r}; "
            "give that session's id, none, or another key"
        )


def check_resumable(found: KeyedRun, key: str, stored: Stored) -> None:
    """Raise UnfinishedRun when the key's run did not finish and never will: its session has gone on without it."""
    if stored.run is None or stored.run.run_id != found.run_id:
        raise UnfinishedRun(
            f"run {found.run_id!r} of idempotency_key={key!r} ended as {found.status!r}, and session {found.session_id!r} has "
            "gone on since, so it cannot be resumed; give another key to ask again"
        )


def stored_end(plan: Plan, call: CallOptions, found: KeyedRun) -> Flow[Ended]:
    """How the key's run ended, and the state it left then."""
    call.replayed = True
    at = found.last_seq if found.status == "completed" else None
    stored = yield from existing(plan, found.session_id, call.user_id, at=at, with_log=True)
    questions = tuple(questions_in_order(stored)) if found.status == "paused" else ()
    unmerged = results_in_order(stored) if found.status == "paused" else ()
    return Ended(found.status, stored.values, questions, found.session_id, found.run_id, stored.seq, found.metrics, unmerged)
