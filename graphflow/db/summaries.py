"""Summaries of sessions: each tells the conversation up to a row of its message log."""

from __future__ import annotations

from typing import Any

from graphflow.core.effects import SummaryWrite
from graphflow.db.jsontext import dumps
from graphflow.db.rows import digest


def summary_row(session_id: str, write: SummaryWrite, now: int) -> dict[str, Any]:
    """The row of a summary, without what only its transaction knows."""
    body = dumps({"text": write.text, "topics": list(write.topics)} if write.topics else write.text)
    checksum = digest("summary", session_id, write.ns, write.upto_seq, body)
    return {"ns": write.ns, "upto_seq": write.upto_seq, "body": body, "sha256": checksum, "created_at": now}
