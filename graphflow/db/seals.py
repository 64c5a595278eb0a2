"""Seals: the checksums of what a session is and whose, of when it was used, of what a run began with, of a memory.

Older rows have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from graphflow.db.rows import digest
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction

SESSION_SEALED: Final = ("session_id", "session_type", "user_id", "component_id", "name", "metadata", "created_at")
RUN_SEALED: Final = (
    *("run_id", "ns", "parent_run_id", "component_id", "user_id", "first_message", "first_seq"),
    *("fingerprint", "idempotency_key", "created_at"),
)

MEMORY_SEALED: Final = (
    *("memory_id", "user_id", "memory", "topics", "version", "run_id", "message_id", "created_at", "updated_at"),
)


def session_seal(fields: Mapping[str, Any]) -> bytes:
    """The seal of a session with these columns; what is not there is nothing."""
    return digest("session", *map(fields.get, SESSION_SEALED))


def time_seal(session_id: str, updated_at: int) -> bytes:
    """The seal of when a session was last used: apart from the other, which a run that goes on with it leaves alone."""
    return digest(f"used\x1f{session_id}\x1f{updated_at}")[:8]


def run_seal(fields: Mapping[str, Any]) -> bytes:
    """The seal of a run with these columns."""
    return digest("began", *map(fields.get, RUN_SEALED))[:8]


def memory_seal(fields: Mapping[str, Any]) -> bytes:
    """The seal of a memory with these columns."""
    return digest("noted", *map(fields.get, MEMORY_SEALED))


def broken(session_id: str, run_id: str | None = None) -> CorruptCheckpoint:
    """The error for a row that was changed."""
    what = f"session {session_id!r}" if run_id is None else f"run {run_id!r} of session {session_id!r}"
    return CorruptCheckpoint(f"what {what} is, and whose, does not match its checksum; bring the row back from a backup")


def check_seal(seal: bytes | None, **fields: Any) -> None:
    """Raise CorruptCheckpoint when the columns of a session do not match its seal, if it has one."""
    if seal is not None and session_seal(fields) != seal:
        raise broken(fields["session_id"])


def check_time(seal: bytes | None, session_id: str, updated_at: int) -> None:
    """Raise CorruptCheckpoint when a session was not used last when its row says so, if it has that sealed."""
    if seal is not None and time_seal(session_id, updated_at) != seal:
        raise CorruptCheckpoint(
            f"when session {session_id!r} was last used does not match its checksum; bring the row back from a backup, "
            "or go on with the session, which writes it anew"
        )


def seal_taken(tx: Transaction, row: Row, adopted_by: str | None) -> None:
    """Check the session that a run has just taken, and seal it again when the run's user has become its owner.

    ``row``: the ordinal, the sealed columns and the seal.
    """
    ordinal, *values, seal = row
    fields = dict(zip(SESSION_SEALED, values, strict=True))
    made = session_seal(fields)
    if seal == made:
        return
    if seal is not None and (adopted_by is None or session_seal({**fields, "user_id": None}) != seal):
        raise broken(fields["session_id"])
    tx.execute(tx.sql.seal_session, {"session": ordinal, "new_seal": made})
