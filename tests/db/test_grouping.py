"""Threads that write to one file share transactions: each returns when its own is committed, and none fails for another."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from graphflow.db import SqliteDb, grouping, sqlite
from graphflow.db.grouping import LARGEST_GROUP, Request, WriteLine
from graphflow.db.transactions import Transaction
from graphflow.errors import CorruptCheckpoint, DatabaseFailed, LeaseLost

from .conftest import Writer


class Watched(SqliteDb):
    """Keeps the transactions of its writer, and holds them up until it is told to go on."""

    def watch(self) -> None:
        self.get_sessions()
        self._write(lambda tx: None)
        tx = self._open.writer
        assert tx is not None
        self.begun, execute = 0, tx.execute

        def watching(text: str, *parameters: Any) -> Any:
            self.begun += text == "BEGIN IMMEDIATE"
            return execute(text, *parameters)

        tx.execute = watching

    def hold(self) -> Callable[[], None]:
        """Write, and take long. Returns what lets it end."""
        inside, go_on = threading.Event(), threading.Event()

        def work(tx: Any) -> None:
            inside.set()
            assert go_on.wait(30)

        thread = threading.Thread(target=self._write, args=(work,))
        thread.start()
        assert inside.wait(30)

        def release() -> None:
            go_on.set()
            thread.join()

        return release

    def until_waiting(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(self._open.line.waiting) < count:
            assert time.monotonic() < deadline
            time.sleep(0.002)


@pytest.fixture
def db(tmp_path: Path) -> Any:
    made = Watched(tmp_path / "s.db")
    made.watch()
    yield made
    made.close()


def names(db: SqliteDb) -> set[str]:
    """What another connection sees, so what is committed."""
    with closing(sqlite3.connect(db.db_file)) as connection:
        return {row[0] for row in connection.execute("SELECT session_id FROM gf_sessions")}


def test_what_waits_is_committed_together_and_seen_when_its_thread_goes_on(db: Watched) -> None:
    def turn(n: int) -> bool:
        session = Writer(db, f"s{n}")
        session.begin(f"r{n}")
        return f"s{n}" in names(db)

    release = db.hold()
    before = db.begun
    with ThreadPoolExecutor(20) as threads:
        futures = [threads.submit(turn, n) for n in range(20)]
        db.until_waiting(20)
        release()
        assert all(future.result(30) for future in futures)
    assert db.begun - before == 1, "one transaction for all twenty"
    assert db.check().ok


def test_one_that_fails_fails_alone(db: Watched) -> None:
    sessions = [Writer(db, f"s{n}") for n in range(8)]
    for n, session in enumerate(sessions):
        session.begin(f"r{n}")
    sessions[3].epoch = 9  # it was fenced off

    def fail(tx: Any) -> None:
        tx.execute("UPDATE gf_sessions SET name = 'half'")
        tx.execute("INSERT INTO gf_checkpoints SELECT * FROM gf_checkpoints")

    release = db.hold()
    with ThreadPoolExecutor(20) as threads:
        steps = [threads.submit(session.step, {"count": {"set": 1}}) for session in sessions]
        broken = threads.submit(db._write, fail)
        db.until_waiting(9)
        release()
        errors = [step.exception(30) for step in steps]
    assert [type(error) for error in errors] == [type(None)] * 3 + [LeaseLost] + [type(None)] * 4
    assert isinstance(broken.exception(), CorruptCheckpoint)
    assert {session.name for session in db.get_sessions()} == {None}, "what it had written is taken back"
    for n, session in enumerate(sessions):
        assert session.load().seq == (0 if n == 3 else 1)
    assert db.check().ok


def test_when_a_transaction_cannot_be_committed_each_is_done_alone(db: Watched) -> None:
    tx = db._open.writer
    assert tx is not None
    execute, failed = tx.execute, []

    def failing(text: str, *parameters: Any) -> Any:
        if text == "COMMIT" and waiting.is_set() and not failed:
            failed.append(1)
            raise sqlite3.OperationalError("disk I/O error")
        return execute(text, *parameters)

    waiting = threading.Event()
    release = db.hold()
    tx.execute = failing
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(Writer(db, f"s{n}").begin, f"r{n}") for n in range(8)]
        db.until_waiting(8)
        tx.execute = execute
        release()
        tx.execute = failing
        waiting.set()
        for future in futures:
            future.result(30)
    assert names(db) == {f"s{n}" for n in range(8)} and db.check().ok


def test_a_leader_that_is_interrupted_leaves_the_others_to_the_next(db: Watched) -> None:
    class Stopped(BaseException):
        pass

    def stop(tx: Any) -> None:
        raise Stopped

    release = db.hold()
    with ThreadPoolExecutor(9) as threads:
        interrupted = threads.submit(db._write, stop)
        db.until_waiting(1)
        futures = [threads.submit(Writer(db, f"s{n}").begin, f"r{n}") for n in range(8)]
        db.until_waiting(9)
        release()
        for future in futures:
            future.result(30)
        assert isinstance(interrupted.exception(30), Stopped)
    assert names(db) == {f"s{n}" for n in range(8)}


class Interrupted(BaseException):
    """What the handler of a signal raises."""


class Interrupting:
    """Raises in this thread after so many calls and returns within a file: what happens after them is where signals come in."""

    def __init__(self, file: str, after: int) -> None:
        self._file, self._left = file, after
        self.done = False

    def __enter__(self) -> Interrupting:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename == self._file:
            self._left -= 1
            if self._left < 0:
                sys.setprofile(None)
                self.done = True
                raise Interrupted


def one_by_one(group: Any) -> None:
    """Do the work of all that are written together."""
    for request in group:
        request.attempt(lambda work: work(None))


@pytest.mark.parametrize("place", [0, 1])
def test_who_is_interrupted_at_whatever_moment_holds_nobody_up(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first in line, who leads, and as the second, whose work is done by another thread."""
    monkeypatch.setattr(grouping, "LOOK_EVERY", 0.01)
    for moment in count():
        line, done = WriteLine(), []
        interrupting = Interrupting(grouping.__file__, moment)

        def write(name: str, line: WriteLine = line, done: list[str] = done) -> None:
            line.outcome(lambda _: done.append(name), one_by_one)

        def interrupted(write: Any = write, interrupting: Interrupting = interrupting) -> None:
            with interrupting:
                write("interrupted")

        with ThreadPoolExecutor(3) as threads:
            with line.kept_out():
                futures = []
                for n in range(3):
                    futures.append(threads.submit(interrupted) if n == place else threads.submit(write, f"other {n}"))
                    while len(line.waiting) <= sum(not future.done() for future in futures) - 1:
                        time.sleep(0.0005)
            errors = [type(future.exception(30)) for future in futures]
        assert [error for n, error in enumerate(errors) if n != place if error not in (type(None), DatabaseFailed)] == []
        assert errors[place] is (Interrupted if interrupting.done else type(None))
        assert len(done) == len(set(done)) and sum(name.startswith("other") for name in done) == 2, moment
        assert line.waiting == [] and not line.lock.locked()
        assert line.is_free()
        if not interrupting.done:
            return


def test_more_than_a_group_are_all_written(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    count = LARGEST_GROUP + 20
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(lambda n: Writer(db, f"s{n}").turn(f"r{n}"), range(2 * count)))
    assert db.count_sessions() == 2 * count and db.check().ok
    db.close()


class Meanwhile:
    """The lock that the line takes for moments. Before it is taken for the first time, something else is done."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.lock, self.to_do = threading.Lock(), [do]

    def __enter__(self) -> None:
        while self.to_do:
            self.to_do.pop()()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_who_finds_a_writer_that_leaves_at_that_very_moment_writes_at_once() -> None:
    line = WriteLine()
    line.lock.acquire()
    assert not line.is_free()
    line._order = Meanwhile(line.leave)  # type: ignore[assignment]
    assert line.outcome(lambda _: "written", one_by_one) == "written", "nobody is left who would call it"
    assert line.is_free()


def test_nobody_is_called_while_another_one_writes_already() -> None:
    line = WriteLine()
    line.lock.acquire()
    first = Request(print)
    line.waiting.append(first)
    line._order = Meanwhile(lambda: line.lock.acquire())  # type: ignore[assignment]
    line.leave()
    assert first.woken.locked(), "two would lead, and one of them the other's work"
    line.leave()
    assert not first.woken.locked()


def test_nobody_is_forgotten_in_line_and_no_two_write_at_once() -> None:
    line, inside, did = WriteLine(), threading.Lock(), []

    def work(name: tuple[int, int]) -> tuple[int, int]:
        assert inside.acquire(blocking=False), "two write at once"
        time.sleep(0.00001 * (name[1] % 3))
        did.append(name)
        inside.release()
        return name

    def client(number: int) -> None:
        for turn in range(200):
            name = number, turn
            if not line.is_free():
                assert line.outcome(lambda _, name=name: work(name), one_by_one) == name  # type: ignore[misc]
                continue
            try:
                with line.lock:
                    work(name)
            finally:
                line.go_on()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(16) as pool:
            for ended in [pool.submit(client, number) for number in range(16)]:
                ended.result(60)
    finally:
        sys.setswitchinterval(interval)
    assert len(did) == len(set(did)) == 16 * 200 and not line.waiting and not line.lock.locked()


def test_a_read_that_fails_and_is_interrupted_at_whatever_moment_leaves_the_next_one_alone(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    db.get_sessions()

    def fails(tx: Transaction) -> None:
        tx.all("SELECT session_id FROM gf_sessions", {})
        raise LookupError

    for moment in count():
        with suppress(LookupError, Interrupted), Interrupting(sqlite.__file__, moment) as interrupting:
            db._read_once(fails)
        assert db.get_sessions() == [], moment
        if not interrupting.done:
            break
    db.close()
