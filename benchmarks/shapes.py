"""The shapes of langgraph's own benchmark, in our own words: what their nodes do, the same functions in both libraries.

A chain of nodes that do nothing; a fan-out to a nested graph; an agent that calls a tool again and again with long texts; a
state of fifteen fields, moved around in a loop until there are many messages, declared in three ways.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, Field

# --- chain ---------------------------------------------------------------------------------------------------------------


class Nothing(TypedDict, total=False):
    """The state of the chain."""

    messages: list[str]


def nothing(state: Any) -> dict[str, Any]:
    """A node that does nothing."""
    return {}


async def anothing(state: Any) -> dict[str, Any]:
    """A node that does nothing, for asyncio."""
    return {}


# --- fan-out to a nested graph -------------------------------------------------------------------------------------------

SUBJECT = "".join(random.Random("subject").choices("abcdefghijklmnopqrstuvwxyz", k=1_000))
ROUNDS = 10


class Verses(TypedDict, total=False):
    """The outer state."""

    subjects: list[str]
    verses: Annotated[list[str], operator.add]


class Verse(TypedDict, total=False):
    """The state of the nested graph."""

    subject: str
    verses: list[str]


def edit(state: Any) -> dict[str, Any]:
    """Where the nested graph begins."""
    return {"subject": f"{state['subject']}, edited"}


def generate(state: Any) -> dict[str, Any]:
    """Its second node."""
    return {"verses": [f"about {state['subject']}"]}


def polish(state: Any) -> dict[str, Any]:
    """Its third node, which runs ROUNDS times."""
    return {"verses": [f"{state['verses'][0]} !"]}


async def aedit(state: Any) -> dict[str, Any]:
    """``edit`` for asyncio."""
    return edit(state)


async def agenerate(state: Any) -> dict[str, Any]:
    """``generate`` for asyncio."""
    return generate(state)


async def apolish(state: Any) -> dict[str, Any]:
    """``polish`` for asyncio."""
    return polish(state)


def is_polished(state: Any) -> bool:
    """Whether the third node has run often enough."""
    return bool(state["verses"][0].endswith(" !" * ROUNDS))


# --- an agent and its tool -----------------------------------------------------------------------------------------------

QUERY = "0123456789abcdef-0123456789abcdef-01" * 100
"""3.6 KB."""
FINAL = "answer" * 100
_ids = count()


def search(query: str) -> str:
    """Searches, and finds ten times as much as it was asked."""
    return f"result for {query}" * 10


def call_id() -> str:
    """The id of a tool call, unlike every other."""
    return f"call-{next(_ids)}"


# --- a wide state --------------------------------------------------------------------------------------------------------

Row = dict[str, Any]
WIDE = {"25x300": (5, 5), "15x600": (3, 5), "9x1200": (3, 3)}
"""By the names of sizes: rows of the input, and dicts in each."""


def first(old: str, new: str) -> str:
    """Keeps what was there first."""
    return old or new


def newest(old: Row | None, new: Row | None) -> Row | None:
    """Keeps what came last."""
    return new


def newest_if_any(old: Row | None, new: Row | None) -> Row | None:
    """Keeps what came last and is something."""
    return new if new else old


class WideDict(TypedDict, total=False):
    """The wide state as a TypedDict."""

    messages: Annotated[list[Any], operator.add]
    events: Annotated[list[Any], operator.add]
    medium: Annotated[str, first]
    reply: Annotated[Row | None, newest]
    topic: Annotated[Row | None, newest_if_any]
    rules: list[Any] | None
    documents: list[Any] | None
    categories: Annotated[list[Any], operator.add]
    responses: Annotated[list[Any], operator.add]
    customer: Annotated[Row | None, newest_if_any]
    account: Annotated[Row | None, newest_if_any]
    thread: Annotated[str, first]
    people: Annotated[Row, operator.or_]
    bot: str
    notified: Annotated[Row, operator.or_]


@dataclass(kw_only=True)
class WideDataclass:
    """The wide state as a dataclass."""

    messages: Annotated[list[Any], operator.add] = field(default_factory=list)
    events: Annotated[list[Any], operator.add] = field(default_factory=list)
    medium: Annotated[str, first] = ""
    reply: Annotated[Row | None, newest] = None
    topic: Annotated[Row | None, newest_if_any] = None
    rules: list[Any] | None = None
    documents: list[Any] | None = None
    categories: Annotated[list[Any], operator.add] = field(default_factory=list)
    responses: Annotated[list[Any], operator.add] = field(default_factory=list)
    customer: Annotated[Row | None, newest_if_any] = None
    account: Annotated[Row | None, newest_if_any] = None
    thread: Annotated[str, first] = ""
    people: Annotated[Row, operator.or_] = field(default_factory=dict)
    bot: str = ""
    notified: Annotated[Row, operator.or_] = field(default_factory=dict)


class WidePydantic(BaseModel):
    """The wide state as a pydantic model."""

    messages: Annotated[list[Any], operator.add] = Field(default_factory=list)
    events: Annotated[list[Any], operator.add] = Field(default_factory=list)
    medium: Annotated[str, first] = ""
    reply: Annotated[Row | None, newest] = None
    topic: Annotated[Row | None, newest_if_any] = None
    rules: list[Any] | None = None
    documents: list[Any] | None = None
    categories: Annotated[list[Any], operator.add] = Field(default_factory=list)
    responses: Annotated[list[Any], operator.add] = Field(default_factory=list)
    customer: Annotated[Row | None, newest_if_any] = None
    account: Annotated[Row | None, newest_if_any] = None
    thread: Annotated[str, first] = ""
    people: Annotated[Row, operator.or_] = Field(default_factory=dict)
    bot: str = ""
    notified: Annotated[Row, operator.or_] = Field(default_factory=dict)


FORMS: dict[str, type[Any]] = {"typeddict": WideDict, "dataclass": WideDataclass, "pydantic": WidePydantic}
LISTS = frozenset({"messages", "events", "rules", "documents", "categories", "responses"})
ROWS = frozenset({"reply", "topic", "customer", "account", "people", "notified"})
MOVES = {
    "one": ("messages", ("events", "medium")),
    "two": ("events", ("reply", "topic")),
    "three": ("reply", ("rules",)),
    "four": ("events", ("categories", "responses", "documents")),
    "five": ("categories", ("customer", "account", "thread", "people", "bot", "notified")),
    "six": ("responses", ("messages",)),
}
"""By the names of nodes: the field each reads, and those it writes what it read to. Three and four run side by side."""
EDGES: tuple[tuple[str | tuple[str, ...], str], ...] = (
    *(("one", "two"), ("two", "three"), ("two", "four")),
    *((("three", "four"), "five"), ("five", "six")),
)


def value_of(state: Any, name: str) -> Any:
    """A field of the state, whatever form it has."""
    return state.get(name) if isinstance(state, dict) else getattr(state, name)


def move(read: str, write: Sequence[str], letters: int, state: Any) -> dict[str, Any]:
    """A node of the wide graph: what it reads goes on as a list, as its last row, or as so many letters."""
    value = value_of(state, read)
    rows = value if isinstance(value, list) else [value]
    return {name: rows if name in LISTS else rows[-1] if name in ROWS else "x" * letters for name in write}


async def amove(read: str, write: Sequence[str], letters: int, state: Any) -> dict[str, Any]:
    """``move`` for asyncio."""
    return move(read, write, letters, state)


def mover(name: str, letters: int, asynchronous: bool) -> Any:
    """The node of that name."""
    return partial(amove if asynchronous else move, *MOVES[name], letters)


def wide_input(size: str) -> dict[str, Any]:
    """What it begins with."""
    rows, dicts = WIDE[size]
    cells = ["hi?" * 10, True, 1, 6327816386138, None] * 5
    return {"messages": [{str(row) * 10: {str(at) * 10: cells for at in range(dicts)} for row in range(rows)}]}


def enough_of(size: str) -> int:
    """Messages above which it ends, and letters of its texts."""
    return int(size.split("x")[1])
