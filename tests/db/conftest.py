"""Databases to run the same promises on, and a writer that does what a machine does, without running anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from graphflow.core.control import MISSING, Send
from graphflow.core.effects import Advance, CloseRun, Commit, Load, NewCheckpoint, OpenRun
from graphflow.core.reducers import Delta, add_messages, append, apply_op, merge_keys
from graphflow.core.state import StateSchema, logged, state_schema, untracked
from graphflow.core.stored import Frontier, LogEntry, Stored, TaskRow, Weight
from graphflow.db import SqliteDb
from graphflow.db.turns import Ticket, session_queue
from graphflow.messages import Message
from tests.forking import fork


class Chat(TypedDict):
    """The state of most tests here."""

    count: int
    notes: Annotated[list[str], append]
    anything: Any
    session_state: Annotated[dict[str, Any], merge_keys]
    messages: Annotated[list[Message], add_messages, logged]
    secret: Annotated[str, untracked]


CHAT = state_schema(Chat)


class Writer:
    """A session as a machine sees it: where it stands, and how it goes on."""

    def __init__(self, db: Any, session_id: str = "s1", *, schema: StateSchema = CHAT, user_id: str | None = None) -> None:
        self.db = db
        self.session_id = session_id
        self.schema = schema
        self.user_id = user_id
        self.head, self.epoch, self.log_head = -1, 0, 0
        self.values = schema.initial()
        self.ranges: dict[str, list[tuple[int, int]]] = {}
        self.weight = Weight()
        self.run_id = ""

    def begin(self, run_id: str, delta: Delta | None = None, messages: Sequence[LogEntry] = (), **commit: Any) -> None:
        """Open a run and commit its input."""
        self.run_id = run_id
        self.ranges = {}
        if not self.db.shared:  # there are no leases: a run goes on as long as it has its turn
            TURNS.append(session_queue().join(self.db.identity, self.session_id))
        opened = OpenRun(run_id, "graph", "f" * 16, self.log_head + 1)
        options = {"opened": opened, "take_over": True, "user_id": self.user_id, "status": "running", **commit}
        self.step(delta or {}, messages, unset=self.head >= 0, **options)
        self.epoch += 1

    def step(
        self,
        delta: Delta,
        messages: Sequence[LogEntry] = (),
        *,
        next: Sequence[str | Send] = ("node",),
        unset: bool = False,
        **commit: Any,
    ) -> None:
        """Commit one superstep."""
        numbered = [m.with_id(f"{self.run_id}-{n}") if m.id is None else m for n, m in enumerate(messages, self.log_head + 1)]
        if messages or unset:
            delta = {**delta, "messages": {"unset": None} if unset else {}}
        if messages:
            added = (self.log_head + 1, self.log_head + len(messages))
            delta["messages"]["log"] = [added]
            self.ranges.setdefault("messages", []).append(added)
        self.log_head += len(messages)
        for name, op in delta.items():
            if name != "messages":
                self.values[name] = apply_op(self.values.get(name, MISSING), op)
        frontier = Frontier(self.head + 1, list(next))
        checkpoint = NewCheckpoint(
            self.head + 1, delta, frontier, self.log_head, self.schema, self.values, self.ranges, self.weight
        )
        if numbered or commit or self.weight.run is None:
            place = self.session_id, self.head, self.epoch, self.run_id
            self.db.commit(Commit(*place, checkpoint=checkpoint, messages=numbered, **commit))
        else:
            self.db.commit(Advance(self.session_id, self.epoch, checkpoint))
        self.head += 1

    def end(
        self, delta: Delta | None = None, messages: Sequence[LogEntry] = (), *, status: str = "completed", **commit: Any
    ) -> None:
        """Commit the last superstep of a run."""
        closed = [CloseRun(self.run_id, status, self.log_head + len(messages), **commit)]
        self.step(delta or {}, messages, next=(), closed=closed, status=status)

    def turn(self, run_id: str, question: str = "hello", answer: str = "hi", **delta: Any) -> None:
        """A whole run of one question and one answer."""
        self.begin(run_id, {name: {"set": value} for name, value in delta.items()}, [Message("user", question)])
        self.end(messages=[Message("assistant", answer)])

    def keep(self, *rows: TaskRow, **commit: Any) -> None:
        """Commit task rows of the superstep that is under way."""
        options = {"origin": self.head, "schema": self.schema, **commit}
        self.db.commit(Commit(self.session_id, self.head, self.epoch, self.run_id, tasks=rows, **options))

    def load(self, **options: Any) -> Stored:
        """What is stored."""
        stored = self.db.load(Load(self.session_id, self.user_id, self.schema, **options))
        assert stored is not None
        return stored


TURNS: list[Ticket] = []
"""Those that writers hold."""


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    """Writers give their turns back: the lines are those of the process, and other tests find nobody in them."""
    yield
    while TURNS:
        session_queue().leave(TURNS.pop())


@pytest.fixture
def sqlite_db(tmp_path: Path) -> Iterator[SqliteDb]:
    """A database in a file of its own."""
    made = SqliteDb(tmp_path / "sessions.db", synchronous="normal")
    yield made
    made.close()


@pytest.fixture
def writer(db: Any) -> Callable[..., Writer]:
    """Makes writers on the database under test."""
    return lambda session_id="s1", **options: Writer(db, session_id, **options)


def fork_while_writing(db: Any) -> None:
    """Fork four children that write a session each, while a thread of this process writes another; all have to end well."""
    stop = threading.Event()
    busy = Writer(db, "busy")
    busy.begin("r1")

    def work() -> None:
        while not stop.is_set():
            busy.step({"count": {"set": busy.head}})

    thread = threading.Thread(target=work)
    thread.start()
    children = [fork(partial(Writer(db, f"child-{n}").turn, f"run-{n}")) for n in range(4)]
    ends = [child.join() for child in children]
    stop.set()
    thread.join()
    assert ends == [0] * 4
