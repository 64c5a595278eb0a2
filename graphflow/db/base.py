"""The small protocol that drivers need of a store."""

from __future__ import annotations

from typing import Any, Protocol

from graphflow.core.effects import (
    CancelRun,
    Commit,
    FindKey,
    ForkSession,
    KeyedRun,
    Load,
    LoadMany,
    ReadGraph,
    ReadHistory,
    ReadMessages,
    Standing,
)
from graphflow.core.memories import ReadMemories, ReadSummary, Summary, UserMemory
from graphflow.core.stored import Stored
from graphflow.messages import Message


class Store(Protocol):
    """Where sessions are kept. Every method is one transaction and may be called from any thread. What each effect asks for is
    told in ``core.effects`` and ``core.memories``.

    ``leave`` is told when a run of a session has ended in this process, however it ended. ``blocking`` says whether calls
    may wait for a disk or a network: if so, asyncio runs them in threads. ``identity`` is equal for stores that keep the
    same sessions, so that runs in one process queue up across them.
    """

    blocking: bool
    identity: str
    busy_timeout: float

    def at_hand(self, effect: Any) -> Any:
        """What is asked for, if the process has it in mind and nobody has to wait for it; else None."""

    def load(self, effect: Load) -> Stored | None:
        """A session, or None when there is none. Raises NotOwner, CorruptCheckpoint, SessionNotFound."""

    def load_many(self, effect: LoadMany) -> list[Stored]:
        """A session at each of its checkpoints, newest first. Raises as ``load``."""

    def commit(self, effect: Commit) -> None:
        """Write everything the effect says, or nothing. Raises LeaseLost, SessionBusy, SerializationError, DatabaseFailed."""

    def read_history(self, effect: ReadHistory) -> list[Message]:
        """Earlier messages of a session, oldest first; (seq, Message) pairs when they are asked for ``numbered``."""

    def read_messages(self, effect: ReadMessages) -> list[Message]:
        """All messages of a session, oldest first. Raises NotOwner, SessionNotFound."""

    def read_graph(self, effect: ReadGraph) -> str | None:
        """The outline of a graph by its fingerprint; None when it is not stored."""

    def fork(self, effect: ForkSession) -> str:
        """Copy a session and return the new id. Raises NotOwner, SessionNotFound, and ValueError when the id is taken."""

    def cancel_run(self, effect: CancelRun) -> Standing:
        """Ask a run to stop, and tell how it stands. Raises NotOwner, SessionNotFound."""

    def find_key(self, effect: FindKey) -> KeyedRun | None:
        """The run that an idempotency key has begun; None when it has begun none."""

    def read_summary(self, effect: ReadSummary) -> Summary | None:
        """The latest summary of a session; None when there is none."""

    def read_memories(self, effect: ReadMemories) -> list[UserMemory]:
        """The memories of a user that fit, or all when they are few."""

    def leave(self, session_id: str) -> None:
        """A run of the session has ended in this process."""


PERFORMED: dict[type[Any], str] = {
    Load: "load",
    LoadMany: "load_many",
    Commit: "commit",
    ReadHistory: "read_history",
    ReadMessages: "read_messages",
    ReadGraph: "read_graph",
    ForkSession: "fork",
    CancelRun: "cancel_run",
    FindKey: "find_key",
    ReadSummary: "read_summary",
    ReadMemories: "read_memories",
}
"""The store's method for each effect."""
