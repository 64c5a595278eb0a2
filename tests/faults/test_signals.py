"""The handler of a signal raises (Ctrl-C, an alarm, a limit of time) at whatever moment: the database goes on working.

Python calls handlers when a function begins and after a call of one that is written in C, so that is where it is raised here,
once in a run. Not promised: the same when a second one comes while the first is being dealt with.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypedDict

import pytest

import graphflow
from graphflow import END, START, StateGraph, append
from graphflow.core.control import current_task
from graphflow.db import InMemoryDb, PostgresDb, SqliteDb
from graphflow.db.turns import session_queue
from tests import postgres

FOLDER = str(Path(graphflow.__file__).parent)


class Walk(TypedDict):
    """The state: which nodes have run."""

    path: Annotated[list[str], append]


class Signal:
    """Is raised in this thread at the so-many-th moment within the library; ``came`` says whether there was one."""

    def __init__(self, moment: int) -> None:
        self._left = moment
        self.came = False

    def during(self, call: Callable[[], Any]) -> None:
        """Make a call that it breaks off."""
        sys.setprofile(self._see)
        try:
            call()
        except KeyboardInterrupt:
            assert self.came
        finally:
            sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(FOLDER):
            self._left -= 1
            if self._left < 0:
                sys.setprofile(None)
                self.came = True
                raise KeyboardInterrupt


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def narrow_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Every database, with nothing to spare: one connection, and no patience for a second."""
    if request.param == "memory":
        made: Any = InMemoryDb()
    elif request.param == "sqlite":
        made = SqliteDb(tmp_path / "sessions.db", synchronous="normal")
    else:
        server: postgres.Server = request.getfixturevalue("postgres_server")
        with server.schema() as name:
            made = PostgresDb(server.url_within(name), pool_size=1, busy_timeout=10)
            yield made
            made.close()
        return
    yield made
    made.close()


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # psycopg tells of a connection that was dropped as it was made
def test_a_signal_at_whatever_moment_of_a_run_breaks_neither_its_session_nor_the_database(narrow_db: Any) -> None:
    builder = StateGraph(Walk).add_node("one", lambda state: {"path": ["one"]}).add_edge(START, "one").add_edge("one", END)
    graph = builder.compile(db=narrow_db)
    graph.invoke({}, session_id="before")
    for moment in count():
        session = f"s{moment}"
        signal = Signal(moment)
        signal.during(lambda: graph.invoke({}, session_id=session))  # noqa: B023
        assert current_task.get() is None, moment
        assert not session_queue().is_used(narrow_db.identity, session), moment
        known = narrow_db.get_session(session) is not None
        again = graph.resume(session, on_busy="reject") if known else graph.invoke({}, session_id=session, on_busy="reject")
        assert again["path"] == ["one"], moment
        if not signal.came:
            break
    assert moment > 100
    until(lambda: not hasattr(narrow_db, "_pool") or narrow_db._pool._places.qsize() == 1)
    assert narrow_db.check().ok
    gc.collect()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_transaction_that_a_second_signal_left_open_is_taken_back_before_the_next(kind: str, tmp_path: Path) -> None:
    db: Any = InMemoryDb() if kind == "memory" else SqliteDb(tmp_path / "sessions.db")
    builder = StateGraph(Walk).add_node("one", lambda state: {"path": ["one"]}).add_node("two", left_open(db))
    graph = builder.add_edge(START, "one").add_edge("one", "two").add_edge("two", END).compile(db=db)
    assert graph.invoke({}, session_id="s")["path"] == ["one", "two"]
    assert graph.get_state("s").values["path"] == ["one", "two"], "the session is still there"
    assert db.check().ok
    db.close()


def left_open(db: Any) -> Callable[[Any], Any]:
    """A node that leaves a transaction open, with something in it."""

    def node(state: Any) -> dict[str, Any]:
        tx = db._open.writer if isinstance(db, SqliteDb) else db._tx
        tx.execute("BEGIN")
        tx.execute("DELETE FROM gf_sessions")
        return {"path": ["two"]}

    return node


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
