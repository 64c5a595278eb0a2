"""Runs of nested graphs that have a message log of their own: appended whole, by the superstep that their task belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphflow.core.effects import Commit
from graphflow.core.stored import RunWrite
from graphflow.db.rows import closing, encode_entry, message_checksum, new_run
from graphflow.db.seals import run_seal
from graphflow.db.tags import Media

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


class NestedRun:
    """One run, made ready before the transaction that gives its messages their places in the log."""

    __slots__ = ("bodies", "effect", "made", "now")

    def __init__(self, effect: Commit, made: RunWrite, now: int, media: Media) -> None:
        self.effect = effect
        self.made = made
        self.now = now
        # A message without an id of its own gets that of its run and row: its body is the same whichever row that is.
        self.bodies = [
            encode_entry(message if message.id is not None else message.with_id(f"{made.run_id}-0"), 0, made.run_id, media)
            for message in made.messages
        ]

    def write(self, tx: Transaction, session: int) -> None:
        """Append it, if it is not there. The session's row is held, so nobody else appends meanwhile."""
        made, session_id = self.made, self.effect.session_id
        last = tx.one(tx.sql.last_message, {"session": session, "ns": made.ns})
        first = (last[0] or 0) + 1 if last is not None else 1
        inserted = tx.inserted(tx.sql.insert_run, new_run(self._opened(session, first)))
        if inserted is None:
            return
        for seq, (role, body) in enumerate(self.bodies, first):
            sealed = message_checksum(session_id, made.ns, seq, made.run_id, role, body)
            tx.execute(tx.sql.insert_message, (session, made.ns, seq, inserted, role, body, sealed))
        ended = closing(made.run_id, "completed", first + len(self.bodies) - 1, None, self.now)
        tx.execute(tx.sql.close_run, (*ended, session))

    def _opened(self, session: int, first: int) -> dict[str, Any]:
        made = self.made
        fields = {
            "run_id": made.run_id,
            "session": session,
            "ns": made.ns,
            "status": "running",
            "parent_run_id": made.parent_run_id,
            "component_id": made.component_id,
            "user_id": None,
            "first_message": first,
            "first_seq": None,
            "fingerprint": None,
            "idempotency_key": None,
            "input": None,
            "created_at": self.now,
        }
        return {**fields, "seal": run_seal(fields)}
