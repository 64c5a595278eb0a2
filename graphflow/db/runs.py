"""Runs as such: one is asked to stop, one is found by its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.core.effects import CancelRun, FindKey, KeyedRun, Standing
from graphflow.db.jsontext import loads
from graphflow.db.loading import IsRun
from graphflow.db.rows import input_digest
from graphflow.errors import NotOwner, SessionNotFound

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def cancel(tx: Transaction, effect: CancelRun, now: int, is_run: IsRun) -> Standing:
    """Ask a run to stop, if somebody runs it."""
    row = tx.one(tx.sql.run_standing, {"run_id": effect.run_id, "user_id": effect.user_id})
    if row is None:
        raise SessionNotFound(f"there is no run {effect.run_id!r} in this database")
    session_id, status, owner, left, may = row
    if not may:
        raise NotOwner(f"run {effect.run_id!r} belongs to a session of another user; nothing was changed")
    if status == "paused" or (status == "running" and not is_run(session_id, owner, left)):
        return Standing(session_id, "idle")
    asked = status == "running" and tx.one(tx.sql.request_cancel, {"run_id": effect.run_id, "now": now}) is not None
    return Standing(session_id, "asked" if asked else "ended")


def find_key(tx: Transaction, effect: FindKey) -> KeyedRun | None:
    """The run that an idempotency key has begun."""
    params = {"component_id": effect.component_id, "user_id": effect.user_id, "idempotency_key": effect.key}
    row = tx.one(tx.sql.run_of_key, params)
    if row is None:
        return None
    run_id, session_id, status, input, last_seq, metrics = row
    same = input == input_digest(effect.input, effect.schema)
    return KeyedRun(run_id, session_id, status, last_seq, {} if metrics is None else loads(metrics), same)
