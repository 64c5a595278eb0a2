"""Summaries of sessions: each tells the conversation up to a row of its message log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphflow.core.memories import Summary
from graphflow.core.stored import SummaryWrite
from graphflow.db.jsontext import dumps, loads
from graphflow.db.rows import checksum, matches
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def summary_row(session_id: str, write: SummaryWrite, now: int) -> dict[str, Any]:
    """The row of a summary, without what only its transaction knows."""
    body = dumps({"text": write.text, "topics": list(write.topics)} if write.topics else write.text)
    sealed = checksum("summary", session_id, write.ns, write.upto_seq, body)
    return {"ns": write.ns, "upto_seq": write.upto_seq, "body": body, "sha256": sealed, "created_at": now}


def latest(tx: Transaction, session_id: str, ns: str = "", *, user_id: str | None = None) -> Summary | None:
    """The latest summary of a session, if it is not another user's. Raises CorruptCheckpoint."""
    row = tx.one(tx.sql.latest_summary, {"session_id": session_id, "ns": ns, "user_id": user_id})
    if row is None:
        return None
    upto_seq, body, stored = row
    if not matches(stored, "summary", session_id, ns, upto_seq, body):
        raise CorruptCheckpoint(f"the summary of session {session_id!r} up to message {upto_seq} does not match its checksum")
    value = loads(body)
    if isinstance(value, str):
        return Summary(value, upto_seq)
    return Summary(value["text"], upto_seq, tuple(value["topics"]))
