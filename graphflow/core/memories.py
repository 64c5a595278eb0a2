"""What is known of a conversation and of a user, as flows read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said in a session up to row ``upto_seq`` of its message log."""

    text: str
    upto_seq: int
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserMemory:
    """A fact about a user. Times are aware, in UTC; ``run_id`` and ``message_id`` tell where it was said, if in a run."""

    memory_id: str
    memory: str
    topics: tuple[str, ...]
    user_id: str
    run_id: str | None
    created_at: datetime
    updated_at: datetime
    message_id: str | None = field(default=None, repr=False)
    version: int = field(default=1, repr=False)
    """1 for a new memory, one more with each change."""


@dataclass(slots=True, eq=False)
class ReadSummary:
    """The latest summary of a session. Outcome: Summary, or None when there is none.

    With ``check`` it is read for somebody from outside the run: raises SessionNotFound, and NotOwner when the session has an
    owner and ``user_id`` is not theirs.
    """

    session_id: str
    ns: str = ""
    user_id: str | None = None
    check: bool = False


@dataclass(slots=True, eq=False)
class ReadMemories:
    """Memories of a user. Outcome: list of UserMemory: all of them, oldest first, when there are at most ``all_upto``;
    else those that fit ``query`` best, filled up to ``limit`` with the newest.
    """

    user_id: str
    query: str
    limit: int
    all_upto: int
