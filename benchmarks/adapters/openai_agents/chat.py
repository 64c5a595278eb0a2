"""openai-agents' conversations: an agent with a session in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents import Agent, Runner, SQLiteSession
from agents.memory import SessionSettings

from benchmarks.adapters.openai_agents.model import Scripted
from benchmarks.amounts import CONTEXT
from benchmarks.conversation import SESSION
from benchmarks.store import Store
from benchmarks.work import wait


class Chat:
    """An agent and one open session; other sessions are opened for their turn."""

    def __init__(self, store: Store, answers: Iterator[str]) -> None:
        self._file = str(store.file)
        self._settings = SessionSettings(limit=CONTEXT)
        self._session = SQLiteSession(SESSION, self._file, session_settings=self._settings)
        self._agent = Agent(name="chat", model=Scripted(answers))

    def turn(self, question: str, session: str = SESSION) -> Any:
        """One question and its answer."""
        kept = self._session
        if session != SESSION:
            kept = SQLiteSession(session, self._file, session_settings=self._settings)
        answer = wait(Runner.run(self._agent, question, session=kept))
        if kept is not self._session:
            kept.close()
        return answer

    def needed(self) -> int:
        """The last messages."""
        return len(wait(self._session.get_items(limit=CONTEXT)))

    def all(self) -> int:
        """All of them."""
        return len(wait(self._session.get_items(limit=10**9)))
