"""What work may take, in things that can be counted: a guard against becoming slower that measures no time.

Whoever makes something cheaper lowers the numbers here; whoever has to make something dearer raises them, and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, cycle, repeat
from pathlib import Path
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Agent, StateGraph
from graphflow.db import InMemoryDb, SqliteDb, leases
from graphflow.messages import ToolCall
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from tests.guards.counting import Counts, calls_of, counted

TEXT = "x" * 500
"""What is said, each way."""
STEPS = 40
SNAPSHOTS = 12
"""Turns in which each distance to the last snapshot comes up: what loading calls depends on it."""
_numbers = count()

# All is exact but two: bytes may be fewer, because measured times have a digit more or less, and calls, because Python's
# versions differ; of these there is room for a twentieth. What a driver of PostgreSQL calls depends on how it was built, and
# is not counted.
# fmt: off
EXPECTED: dict[tuple[str, str], Counts] = {
    #                             transactions | of these writing | statements | round trips | rows | bytes | calls
    ("step", "nothing"):             Counts( 0,                 0,           0,            0,     0,      0,      40),
    ("step", "memory"):              Counts( 1,                 1,           1,            0,     1,     80,     101),
    ("step", "sqlite"):              Counts( 1,                 1,           1,            0,     1,     80,     102),
    ("step", "postgres"):            Counts( 1,                 1,           1,            1,     1,     80,       0),
    ("turn", "nothing"):             Counts( 0,                 0,           0,            0,     0,      0,     238),
    ("turn", "memory"):              Counts( 2,                 2,           8,            0,     5,  1_480,     685),
    ("turn", "sqlite"):              Counts( 2,                 2,           9,            0,     5,  1_480,     726),
    ("turn", "postgres"):            Counts( 2,                 2,           2,            2,     5,  1_490,       0),
    ("first turn", "nothing"):       Counts( 0,                 0,           0,            0,     0,      0,     238),
    ("first turn", "memory"):        Counts( 3,                 2,          10,            0,     6,  1_580,     686),
    ("first turn", "sqlite"):        Counts( 3,                 2,          10,            0,     6,  1_580,     723),
    ("first turn", "postgres"):      Counts( 4,                 2,           4,            4,     6,  1_580,       0),
    ("look", "memory"):              Counts( 2,                 0,           5,            0,     0,      0,     434),
    ("look", "sqlite"):              Counts( 2,                 0,           5,            0,     0,      0,     436),
    ("look", "postgres"):            Counts( 4,                 0,           4,            4,     0,      0,       0),
    ("turn with a tool", "nothing"): Counts( 0,                 0,           0,            0,     0,      0,     506),
    ("turn with a tool", "memory"):  Counts( 4,                 4,          12,            0,     9,  1_990,   1_516),
    ("turn with a tool", "sqlite"):  Counts( 4,                 4,          13,            0,     9,  1_990,   1_566),
    ("turn with a tool", "postgres"):Counts( 4,                 4,           4,            4,     9,  2_000,       0),
}
# fmt: on


class Counter(TypedDict):
    """The state of loops."""

    count: int
    stop: int


def new_session(db: Any) -> str | None:
    """The name of a session that is not there yet; without a database none is."""
    return None if db is None else f"session-{next(_numbers)}"


def loop(db: Any, steps: int) -> Callable[[], Any]:
    """A run of so many steps."""
    builder = StateGraph(Counter).add_node("node", lambda state: {"count": state["count"] + 1}).add_edge(START, "node")
    builder.add_conditional_edges("node", lambda state: END if state["count"] >= state["stop"] else "node", ["node", END])
    graph = builder.compile(db=db)
    return lambda: graph.invoke({"count": 0, "stop": steps}, session_id=new_session(db))


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"It is sunny in {city}"


def turn(db: Any, replies: Any = TEXT, session: str | None = "chat", way: str = "sync") -> Callable[[], Any]:
    """A turn of a conversation of more than three; in a new session where none is named."""
    answers = repeat(replies) if isinstance(replies, str) else cycle(replies)
    agent = Agent(ScriptedModel(answers), db=db, tools=[] if isinstance(replies, str) else [get_weather])

    def ask() -> Any:
        name = None if db is None else session or new_session(db)
        if way == "async":
            return asyncio.run(agent.arun(TEXT, session_id=name, user_id="user"))
        return agent.run(TEXT, session_id=name, user_id="user")

    for _ in range(5):
        ask()
    return ask


def look(db: Any) -> Callable[[], Any]:
    """What another process reads before it goes on with a conversation."""
    turn(db)
    graph = Agent(ScriptedModel([]), db=db).graph
    return lambda: (graph.get_state("chat", user_id="user"), db.get_messages("chat", last_runs=3))


WORK: dict[str, Callable[[Any], Counts]] = {
    "step": lambda db: counted(loop(db, 2 * STEPS), db).per_unit(counted(loop(db, STEPS), db), STEPS),
    "turn": lambda db: counted(turn(db), db),
    "look": lambda db: counted(look(db), db),
    "first turn": lambda db: counted(turn(db, session=None), db),
    "turn with a tool": lambda db: counted(
        turn(db, [Reply(tool_calls=[ToolCall("call", "get_weather", {"city": "Oslo"})]), Reply(TEXT)]), db
    ),
}


@pytest.fixture
def databases(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Any]]:
    """Opens the database of a name: "nothing", "memory", "sqlite" or "postgres". Its leases are left alone while we count."""
    opened: list[Any] = []
    monkeypatch.setattr(leases, "LOOK_EVERY", 3600.0)
    # A thread that an earlier test left would end in a second, and a turn that has to start another calls 29 functions more.
    monkeypatch.setattr(leases, "_keeper", leases.Keeper())

    def open_db(name: str) -> Any:
        if name == "nothing":
            return None
        if name == "postgres":
            db = request.getfixturevalue("postgres_db")
        else:
            db = InMemoryDb() if name == "memory" else SqliteDb(tmp_path / "sessions.db", synchronous="normal")
        db.lease_ttl = 3600.0
        opened.append(db)
        return db

    yield open_db
    for db in opened:
        db.close()


@pytest.mark.parametrize(("what", "where"), EXPECTED)
def test_work_takes_what_it_took(what: str, where: str, databases: Callable[[str], Any]) -> None:
    found, expected = WORK[what](databases(where)), EXPECTED[what, where]
    assert replace(found, bytes=0, calls=0) == replace(expected, bytes=0, calls=0)
    assert found.bytes <= expected.bytes
    assert found.calls <= expected.calls or where == "postgres"


@pytest.mark.parametrize("where", ["memory", "sqlite", "postgres"])
def test_a_turn_takes_the_same_however_long_the_conversation_is(where: str, databases: Callable[[str], Any]) -> None:
    db = databases(where)
    ask = turn(db)
    early, most_early = counted(ask, db), max(calls_of(ask) for _ in range(SNAPSHOTS))
    for _ in range(100):
        ask()
    late, most_late = counted(ask, db), max(calls_of(ask) for _ in range(SNAPSHOTS))
    assert replace(late, bytes=0, calls=0) == replace(early, bytes=0, calls=0)
    assert late.bytes <= early.bytes + 50, "numbers that count messages have a digit more, nothing else"
    assert most_late <= 1.01 * most_early, "threads that meet make a call or two more; one a turn were a hundred by now"


@pytest.mark.parametrize("where", ["memory", "sqlite", "postgres"])
def test_asyncio_asks_the_database_for_the_same(where: str, databases: Callable[[str], Any]) -> None:
    db = databases(where)
    sync, asynchronous = (counted(turn(db, session=f"chat-{way}", way=way), db) for way in ("sync", "async"))
    assert replace(asynchronous, bytes=0, calls=0) == replace(sync, bytes=0, calls=0)
