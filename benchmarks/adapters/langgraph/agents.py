"""langgraph's prebuilt agent."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.prebuilt import create_react_agent

from benchmarks.adapters.langgraph.model import Scripted
from benchmarks.adapters.langgraph.stores import saver_on
from benchmarks.store import Store
from benchmarks.work import ANSWER, Mode, get_weather, wait

warnings.simplefilter("ignore")  # create_react_agent is about to move


def agents(store: Store, mode: Mode, tools: bool) -> Callable[[], tuple[Any, Callable[[str, str], Any]]]:
    """Agents that share a model and a checkpointer."""
    model, given = Scripted(answer=lambda messages: AIMessage(ANSWER)), [tool(get_weather)] if tools else []
    saver = saver_on(store, mode)

    def make() -> tuple[Any, Callable[[str, str], Any]]:
        app = create_react_agent(model, given, checkpointer=saver)

        def ask(question: str, session: str) -> Any:
            call: Any = {"messages": [("user", question)]}, {"configurable": {"thread_id": session}}
            return wait(app.ainvoke(*call)) if mode == "async" else app.invoke(*call)

        return app, ask

    return make


def made(tools: bool) -> Callable[[], Any]:
    """Makes agents that nobody asks anything."""
    model, given = Scripted(answer=lambda messages: AIMessage(ANSWER)), [tool(get_weather)] if tools else []
    return lambda: create_react_agent(model, given)
