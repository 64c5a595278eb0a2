"""Processes that are copied: what each child has of its own, and that nothing is copied, or left, half-way."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from graphflow.db import InMemoryDb, SqliteDb, forks, leases, turns
from tests.db.conftest import Writer
from tests.forking import fork

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copied on this system"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def at_once(work: Callable[[], Any]) -> list[Any]:
    """What two threads get that begin together."""
    found: list[Any] = []
    begin = threading.Barrier(2)

    def look() -> None:
        begin.wait()
        found.append(work())

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


MAKERS = {"lines": (turns, "SessionQueue", turns.session_queue), "keeper": (leases, "Keeper", leases.keeper)}


@pytest.mark.parametrize("what", [*MAKERS, "name"])
def test_two_threads_of_a_child_share_what_it_has_once(what: str) -> None:
    module, maker, asked = {**MAKERS, "name": (leases, "_name", leases.process_name)}[what]
    asked()  # in the parent, so that the child has something to make anew
    made: list[Any] = []
    meet = threading.Barrier(2)

    def slowly(original: Callable[[], Any]) -> Callable[[], Any]:
        def make() -> Any:
            with suppress(threading.BrokenBarrierError):  # nobody else makes one
                meet.wait(0.5)
            made.append(original())
            return made[-1]

        return make

    def child() -> None:
        setattr(module, maker, slowly(getattr(module, maker)))
        first, second = at_once(asked)
        assert first is second and len(made) <= 1

    assert fork(child).join() == 0


def test_a_child_has_another_name_than_its_parent_and_keeps_it() -> None:
    mine = leases.process_name()

    def child() -> None:
        assert leases.process_name() != mine and leases.process_name() == leases.process_name()

    assert fork(child).join() == 0
    assert leases.process_name() == mine


class Hindered(InMemoryDb):
    """Does something else while it is being held."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def _before_fork(self) -> None:
        super()._before_fork()
        self.meanwhile()


def test_a_database_that_is_made_during_a_fork_is_let_be(sqlite_db: SqliteDb) -> None:
    made: list[InMemoryDb] = []
    thread = threading.Thread(target=lambda: made.extend(InMemoryDb() for _ in range(20)))

    def meanwhile() -> None:
        thread.start()
        thread.join(0.2)

    hindered = Hindered(meanwhile)
    Writer(sqlite_db).turn("r1")
    assert fork(lambda: Writer(sqlite_db, "child").turn("r2")).join() == 0
    thread.join()
    assert [db.count_sessions() for db in (*made, hindered)] == [0] * 21
    assert sqlite_db.count_sessions() == 2


def test_a_database_that_was_refused_is_no_part_of_a_fork(sqlite_db: SqliteDb) -> None:
    with pytest.raises(ValueError) as refused:
        SqliteDb(":memory:")
    assert fork(lambda: Writer(sqlite_db, "child").turn("r1")).join() == 0
    assert refused.value and sqlite_db.count_sessions() == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_database_that_cannot_be_held_keeps_no_other_from_it(sqlite_db: SqliteDb) -> None:
    def fail() -> None:
        raise OSError("it cannot be held")

    broken = [Hindered(fail) for _ in range(3)]
    assert fork(lambda: Writer(sqlite_db, "child").turn("r1")).join() == 0
    assert not forks.databases._held and not forks.databases._lock.locked()
    assert sqlite_db.count_sessions() == 1
    for db in broken:
        forks.databases._all.discard(db)
        db._lock.release()


def test_a_database_that_is_closed_during_a_fork_goes_on(sqlite_db: SqliteDb) -> None:
    Writer(sqlite_db).turn("r1")
    closing = Hindered(sqlite_db._begin_anew)  # what close() does when a write takes too long
    assert fork(lambda: Writer(sqlite_db, "child").turn("r2")).join() == 0
    assert sqlite_db.count_sessions() == 2 and closing.count_sessions() == 0


def test_a_child_and_its_parent_close_each_its_own() -> None:
    db = InMemoryDb()
    Writer(db).turn("r1")

    def child() -> None:
        Writer(db, "child").turn("r2")
        assert db.count_sessions() == 2
        db.close()
        assert db.count_sessions() == 0

    assert fork(child).join() == 0
    assert db.count_sessions() == 1
    db.close()
