"""What others need of a database: ``Store``, the small protocol of the drivers, and ``Db``, what users call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from graphflow.core.effects import (
    Advance,
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

if TYPE_CHECKING:
    from graphflow.db.records import CheckReport, RunRecord, Session, SessionType
    from graphflow.db.retention import PruneReport


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

    def commit(self, effect: Commit | Advance) -> None:
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


class Db(Store, Protocol):
    """A database that sessions are kept in: ``SqliteDb``, ``PostgresDb``, ``InMemoryDb``, or what does the same.

    With ``user_id``, only what is that user's is there; without, whoever calls is an administrator. Each method is told of in
    full where it is written, ``graphflow.db.usersessions`` and ``graphflow.db.usermemories``.
    """

    # --- sessions ----------------------------------------------------------------------------------------------------------

    def get_session(self, session_id: str, *, user_id: str | None = None) -> Session | None:
        """One session, or None."""

    def get_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        name: str | None = None,
        limit: int | None = 20,
        page: int = 1,
        sort_by: str = "created_at",
        sort_order: str = "desc",
    ) -> list[Session]:
        """The sessions that fit, a page of them."""

    def count_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        name: str | None = None,
    ) -> int:
        """How many sessions fit."""

    def rename_session(self, id: str, name: str | None, *, user_id: str | None = None) -> None:
        """Give a session a name. Raises SessionNotFound, NotOwner."""

    def delete_session(self, id: str, *, user_id: str | None = None) -> bool:
        """Delete a session with all in it; whether there was one. Raises NotOwner."""

    def delete_user(self, user_id: str) -> int:
        """Delete everything that belongs to a user; how many sessions that were."""

    def fork_session(self, id: str, at: int | None = None, session_id: str | None = None, *, user_id: str | None = None) -> str:
        """Copy a session up to a checkpoint; the new id. Raises SessionNotFound, NotOwner, ValueError."""

    def export_session(self, id: str, *, user_id: str | None = None) -> dict[str, Any]:
        """A session as JSON's own types. Raises SessionNotFound, NotOwner."""

    def import_session(self, exported: dict[str, Any], *, session_id: str | None = None) -> str:
        """Store what was exported; the id."""

    # --- runs and messages -------------------------------------------------------------------------------------------------

    def get_runs(
        self, session_id: str, *, include_members: bool = False, limit: int | None = None, user_id: str | None = None
    ) -> list[RunRecord]:
        """The runs of a session, oldest first."""

    def get_run(self, run_id: str, *, user_id: str | None = None) -> RunRecord | None:
        """One run, or None."""

    def get_messages(
        self,
        session_id: str,
        *,
        last_runs: int | None = None,
        limit: int | None = None,
        include_members: bool = False,
        user_id: str | None = None,
    ) -> list[Message]:
        """The messages of a session, oldest first."""

    # --- memories ----------------------------------------------------------------------------------------------------------

    def get_user_memories(self, user_id: str, *, limit: int | None = None) -> list[UserMemory]:
        """What is known about a user."""

    def search_user_memories(
        self, user_id: str, query: str, limit: int = 10, *, topics: Sequence[str] | None = None
    ) -> list[UserMemory]:
        """The memories of a user that fit best, the best first."""

    def add_user_memory(self, user_id: str, memory: str, topics: Sequence[str] = ()) -> str:
        """Store a fact about a user, once; its id."""

    def delete_user_memory(self, memory_id: str, *, user_id: str) -> bool:
        """Forget one; whether there was one."""

    def clear_user_memories(self, user_id: str) -> int:
        """Forget all of a user's; how many there were."""

    # --- the whole of it ---------------------------------------------------------------------------------------------------

    def prune(
        self,
        *,
        keep_last: int | None = None,
        older_than: timedelta | float | datetime | None = None,
        user_id: str | None = None,
        delete_sessions: bool = False,
    ) -> PruneReport:
        """Delete old checkpoints."""

    def check(self) -> CheckReport:
        """Verify everything that is stored."""

    def close(self) -> None:
        """Close all connections. Using the object again opens new ones."""


PERFORMED: dict[type[Any], str] = {
    Load: "load",
    LoadMany: "load_many",
    ReadHistory: "read_history",
    ReadMessages: "read_messages",
    ReadGraph: "read_graph",
    ForkSession: "fork",
    CancelRun: "cancel_run",
    FindKey: "find_key",
    ReadSummary: "read_summary",
    ReadMemories: "read_memories",
}
"""The store's method for each effect but commits, which the driver has to see to their end."""
