"""The work that is done in all libraries alike: next to nothing, so that what is measured is everything around it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypedDict, TypeVar

T = TypeVar("T")
Mode = Literal["sync", "async"]
QUESTION, ANSWER = "Weather?", "It is sunny."
MEMBERS, STEPS = ("east", "west"), 5


class Count(TypedDict):
    """The state of loops and chains that keep nothing."""

    count: int


class Loaded(TypedDict):
    """The state of durable loops: how far it is, where it stops, and something that only lies there."""

    count: int
    stop: int
    payload: str


def bump(state: Any) -> dict[str, int]:
    """A step."""
    return {"count": state["count"] + 1}


async def abump(state: Any) -> dict[str, int]:
    """A step, for asyncio."""
    return {"count": state["count"] + 1}


def branch(item: Any) -> dict[str, list[int]]:
    """A branch of a fan-out."""
    return {"results": [item["value"] + 1]}


async def abranch(item: Any) -> dict[str, list[int]]:
    """A branch, for asyncio."""
    return {"results": [item["value"] + 1]}


def start(state: Any) -> dict[str, Any]:
    """Where a fan-out begins."""
    return {}


def join(state: Any) -> dict[str, int]:
    """Where its branches meet."""
    return {"total": len(state["results"])}


def get_weather(city: str) -> str:
    """Use this to get weather information."""
    return f"It is sunny in {city}"


def step(text: str) -> str:
    """A step of a workflow."""
    return f"{text}!"


_loops: list[asyncio.AbstractEventLoop] = []


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns, on the one event loop that this process keeps."""
    if not _loops:
        _loops.append(asyncio.new_event_loop())
    return _loops[0].run_until_complete(coroutine)
