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
    """Where sessions are kept. Every method is one transaction and may be called from any thread.

    ``leave`` is told when a run of a session has ended in this process, however it ended. ``blocking`` says whether calls
    may wait for a disk or a network: if so, asyncio runs them in threads. ``identity`` is equal for stores that keep the
    same sessions, so that runs in one process queue up across them.
    """

    blocking: bool
    identity: str
    busy_timeout: float

    def load(self, effect: Load) -> Stored | None: ...

    def load_many(self, effect: LoadMany) -> list[Stored]: ...

    def commit(self, effect: Commit) -> None: ...

    def read_history(self, effect: ReadHistory) -> list[Message]: ...

    def read_messages(self, effect: ReadMessages) -> list[Message]: ...

    def read_graph(self, effect: ReadGraph) -> str | None: ...

    def fork(self, effect: ForkSession) -> str: ...

    def cancel_run(self, effect: CancelRun) -> Standing: ...

    def find_key(self, effect: FindKey) -> KeyedRun | None: ...

    def read_summary(self, effect: ReadSummary) -> Summary | None: ...

    def read_memories(self, effect: ReadMemories) -> list[UserMemory]: ...

    def leave(self, session_id: str) -> None: ...


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
