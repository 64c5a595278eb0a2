"""agno's conversations; a history of three runs is its default."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from agno.agent import Agent
from agno.db.base import SessionType

from benchmarks.adapters.agno.model import Scripted
from benchmarks.adapters.agno.stores import db_on
from benchmarks.amounts import CONTEXT
from benchmarks.conversation import SESSION, USER
from benchmarks.store import Store


class Chat:
    """An agent on a database."""

    def __init__(self, store: Store, answers: Iterator[str]) -> None:
        self._db = db_on(store)
        runs = CONTEXT // 2
        self._agent = Agent(
            model=Scripted(answers), db=self._db, add_history_to_context=True, num_history_runs=runs, telemetry=False
        )
        self._db.get_session(session_id="none", session_type=SessionType.AGENT)  # opens it

    def turn(self, question: str, session: str = SESSION) -> Any:
        """One question and its answer."""
        return self._agent.run(question, session_id=session, user_id=USER)

    def needed(self) -> int:
        """The session with its last runs."""
        session = self._db.get_session(session_id=SESSION, session_type=SessionType.AGENT, runs_limit=CONTEXT // 2)
        return sum(len(run.messages) for run in session.runs)

    def all(self) -> int:
        """The whole conversation."""
        return len(self._agent.get_chat_history(session_id=SESSION))


async def service(store: Store, pool: int, answers: Iterator[str]) -> Callable[[str, str], Awaitable[Any]]:
    """An agent that serves many sessions at once."""
    agent = Agent(
        model=Scripted(answers),
        db=db_on(store, "async", pool),
        add_history_to_context=True,
        num_history_runs=CONTEXT // 2,
        telemetry=False,
    )

    async def turn(session: str, question: str) -> Any:
        return await agent.arun(question, session_id=session, user_id=USER)

    return turn
