"""agno's agents."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from agno.agent import Agent

from benchmarks.adapters.agno.model import Scripted
from benchmarks.adapters.agno.stores import db_on
from benchmarks.store import Store
from benchmarks.work import ANSWER, Mode, get_weather, wait


def agents(store: Store, mode: Mode, tools: bool) -> Callable[[], tuple[Any, Callable[[str, str], Any]]]:
    """Agents that share a model and a database."""
    model, given, db = Scripted(repeat(ANSWER)), [get_weather] if tools else None, db_on(store, mode)

    def make() -> tuple[Any, Callable[[str, str], Any]]:
        agent = Agent(model=model, tools=given, db=db, telemetry=False)
        if mode == "async":
            return agent, lambda question, session: wait(agent.arun(question, session_id=session))
        return agent, lambda question, session: agent.run(question, session_id=session)

    return make


def made(tools: bool) -> Callable[[], Any]:
    """Makes agents that nobody asks anything."""
    model, given = Scripted(repeat(ANSWER)), [get_weather] if tools else None
    return lambda: Agent(model=model, tools=given)
