"""openai-agents' agents."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from agents import Agent, Runner, SQLiteSession, function_tool

from benchmarks.adapters.openai_agents.model import Scripted
from benchmarks.store import Store
from benchmarks.work import ANSWER, Mode, get_weather, wait


def agents(store: Store, mode: Mode, tools: bool) -> Callable[[], tuple[Any, Callable[[str, str], Any]]]:
    """Agents that share a model and a file; each session has a connection of its own."""
    make_agent = made(tools)

    def make() -> tuple[Any, Callable[[str, str], Any]]:
        agent = make_agent()

        def ask(question: str, name: str) -> Any:
            session = SQLiteSession(name, str(store.file)) if store.kind == "sqlite" else None
            answer = wait(Runner.run(agent, question, session=session))
            if session is not None:
                session.close()
            return answer

        return agent, ask

    return make


def made(tools: bool) -> Callable[[], Any]:
    """Makes agents that nobody asks anything."""
    model, given = Scripted(repeat(ANSWER)), [function_tool(get_weather)] if tools else []
    return lambda: Agent(name="weather", model=model, tools=given)
