"""What can be asked of the sessions of an agent, team or workflow outside of a run. Each question is one flow; a method and its
``a…`` twin only differ in the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphflow import drive
from graphflow.core.ids import check_id, check_user
from graphflow.errors import NoDatabase
from graphflow.lazy import deferred

if TYPE_CHECKING:
    from graphflow.core.effects import Flow, T
    from graphflow.core.memories import UserMemory
    from graphflow.core.stored import Stored
    from graphflow.db.base import Db
    from graphflow.drive.world import World
    from graphflow.graph import Graph
    from graphflow.messages import Message

known = deferred("graphflow.core.memories")
sessions = deferred("graphflow.core.sessions")
worlds = deferred("graphflow.drive.world")

EVERY_MEMORY = 2**62
"""More memories than anybody has."""


class Asked:
    """Questions about stored sessions. ``session_id`` and ``user_id`` of a call take the place of the object's own.

    All need a ``db`` (else NoDatabase). Those about a session raise SessionNotFound, and NotOwner when it is another user's.
    """

    __slots__ = ()

    db: Db | None
    session_id: str | None
    user_id: str | None

    @property
    def graph(self) -> Graph:
        """The graph it compiles to."""
        raise NotImplementedError

    def get_chat_history(self, session_id: str | None = None, *, user_id: str | None = None) -> list[Message]:
        """All messages of the session, oldest first. Raises SessionNotFound, NotOwner."""
        return drive.sync.run(*self._stored(self._messages(session_id, user_id)))

    async def aget_chat_history(self, session_id: str | None = None, *, user_id: str | None = None) -> list[Message]:
        """``get_chat_history`` for asyncio."""
        return await drive.aio.run(*self._stored(self._messages(session_id, user_id)))

    def get_session_state(self, session_id: str | None = None, *, user_id: str | None = None) -> dict[str, Any]:
        """The session's dict as it is stored. Raises SessionNotFound, NotOwner."""
        return drive.sync.run(*self._stored(self._state(session_id, user_id)))

    async def aget_session_state(self, session_id: str | None = None, *, user_id: str | None = None) -> dict[str, Any]:
        """``get_session_state`` for asyncio."""
        return await drive.aio.run(*self._stored(self._state(session_id, user_id)))

    def get_session_summary(self, session_id: str | None = None, *, user_id: str | None = None) -> str | None:
        """The latest summary of the session; None when there is none yet. Raises SessionNotFound, NotOwner."""
        return drive.sync.run(*self._stored(self._summary(session_id, user_id)))

    async def aget_session_summary(self, session_id: str | None = None, *, user_id: str | None = None) -> str | None:
        """``get_session_summary`` for asyncio."""
        return await drive.aio.run(*self._stored(self._summary(session_id, user_id)))

    def get_user_memories(self, user_id: str | None = None) -> list[UserMemory]:
        """What is known about a user, in the order it was last changed. Raises ValueError when no user is named."""
        return drive.sync.run(*self._stored(self._memories(user_id)))

    async def aget_user_memories(self, user_id: str | None = None) -> list[UserMemory]:
        """``get_user_memories`` for asyncio."""
        return await drive.aio.run(*self._stored(self._memories(user_id)))

    def fork(
        self,
        source: str | None = None,
        /,
        at: int | None = None,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
    ) -> str:
        """A new session with the past of session ``source`` (None: the object's own) up to checkpoint ``at`` (None: all of it);
        returns its id.

        ``session_id`` is the new session's id (None: one is made). The source is untouched. Raises SessionNotFound, NotOwner,
        and ValueError when the new id is taken.
        """
        return drive.sync.run(*self._stored(self._forked(source, at, session_id, user_id)))

    async def afork(
        self,
        source: str | None = None,
        /,
        at: int | None = None,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
    ) -> str:
        """``fork`` for asyncio."""
        return await drive.aio.run(*self._stored(self._forked(source, at, session_id, user_id)))

    # --- the flows behind them -------------------------------------------------------------------------------------------

    def _messages(self, session_id: str | None, user_id: str | None) -> Flow[list[Message]]:
        messages: list[Message] = yield from sessions.get_messages(self._session(session_id), self._user(user_id))
        return messages

    def _state(self, session_id: str | None, user_id: str | None) -> Flow[dict[str, Any]]:
        stored: Stored = yield from sessions.existing(
            self.graph.plan, check_id(self._session(session_id), "session_id"), self._user(user_id)
        )
        return dict(stored.values.get("session_state") or {})

    def _summary(self, session_id: str | None, user_id: str | None) -> Flow[str | None]:
        summary: str | None = yield from sessions.get_summary(self._session(session_id), self._user(user_id))
        return summary

    def _memories(self, user_id: str | None) -> Flow[list[UserMemory]]:
        chosen = self._user(user_id)
        if chosen is None:
            raise ValueError("whose memories? give user_id=, here or when the object is made")
        memories: list[UserMemory] = yield known.ReadMemories(chosen, "", EVERY_MEMORY, EVERY_MEMORY)
        return memories

    def _forked(self, source: str | None, at: int | None, session_id: str | None, user_id: str | None) -> Flow[str]:
        new: str = yield from sessions.fork(self._session(source), self._user(user_id), at, session_id)
        return new

    def _session(self, session_id: str | None) -> str:
        chosen = self.session_id if session_id is None else session_id
        if chosen is None:
            raise ValueError("which session? give its id, here or when the object is made (session_id=)")
        return chosen

    def _user(self, user_id: str | None) -> str | None:
        """The user of a call: its own, else that of the object. An empty id is no "nobody": raises InvalidId."""
        return check_user(self.user_id if user_id is None else user_id)

    def _stored(self, flow: Flow[T]) -> tuple[Flow[T], World]:
        """A flow that reads or writes the database, and its surroundings."""
        return flow, worlds.World(self._need_db())

    def _need_db(self) -> Db:
        if self.db is None:
            raise NoDatabase("nothing is stored without a database; give db=SqliteDb(…)")
        return self.db
