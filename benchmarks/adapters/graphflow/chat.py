"""graphflow's conversations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from benchmarks.adapters.graphflow.model import Scripted
from benchmarks.adapters.graphflow.stores import db_on
from benchmarks.amounts import CONTEXT
from benchmarks.conversation import SESSION, USER
from benchmarks.store import Store
from graphflow import Agent
from graphflow.core.effects import Load, ReadHistory
from graphflow.db import InMemoryDb


def load() -> None:
    """Import, and build, what others do when they are imported: a first turn does so here, wherever it is stored."""
    Agent(Scripted(iter("a")), db=InMemoryDb()).run("q")


class Chat:
    """An agent on a database."""

    def __init__(self, store: Store, answers: Iterator[str]) -> None:
        self._db = db_on(store)
        self._agent = Agent(Scripted(answers), db=self._db)
        self._graph = self._agent.graph  # compiled now, as langgraph's is
        self._db.count_sessions()  # opens it

    def turn(self, question: str, session: str = SESSION) -> Any:
        """One question and its answer."""
        return self._agent.run(question, session_id=session, user_id=USER)

    def copy(self, of: str, to: str) -> None:
        """A session that begins as a copy of another one."""
        self._db.fork_session(of, session_id=to, user_id=USER)

    def needed(self) -> int:
        """What a turn asks the database for before it asks the model: where the session stands, and its last messages."""
        stands = self._db.load(Load(SESSION, USER, self._graph.plan.schema))
        return len(self._db.read_history(ReadHistory(SESSION, stands.log_head + 1, last_runs=CONTEXT // 2)))

    def all(self) -> int:
        """The whole conversation."""
        return len(self._agent.get_chat_history(SESSION, user_id=USER))


async def service(store: Store, pool: int, answers: Iterator[str]) -> Callable[[str, str], Awaitable[Any]]:
    """An agent that serves many sessions at once."""
    agent = Agent(Scripted(answers), db=db_on(store, pool))

    async def turn(session: str, question: str) -> Any:
        return await agent.arun(question, session_id=session, user_id=USER)

    return turn
