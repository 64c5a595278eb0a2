"""The least an agent can be: somewhere to put what it was given; and the least a run can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from benchmarks.adapters.limit.chat import Chat
from benchmarks.store import Store
from benchmarks.work import ANSWER, Mode, get_weather


@dataclass(slots=True)
class Settings:
    """What an agent was given."""

    model: Any
    tools: list[Any]
    instructions: str | None = None
    name: str | None = None


def made(tools: bool) -> Callable[[], Any]:
    """Makes agents that nobody asks anything."""
    model = object()
    return lambda: Settings(model, [get_weather] if tools else [])


def agents(store: Store, mode: Mode, tools: bool) -> Callable[[], tuple[Any, Callable[[str, str], Any]]]:
    """Calls the model's function; on a store, a turn of the conversation's limit."""
    chat = None if store.kind == "none" else Chat(store, repeat(ANSWER))

    def respond(question: str, session: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": question}, {"role": "assistant", "content": ANSWER}]

    return lambda: (Settings(respond, [get_weather] if tools else []), respond if chat is None else chat.turn)
