"""Transactions that meet on PostgreSQL: whoever comes second waits, and then sees what the first has written."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from graphflow.db import PostgresDb
from graphflow.errors import LeaseLost
from graphflow.messages import ImagePart, Message
from tests.postgres import Server

from .conftest import Writer

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURE = Message("user", [ImagePart(data=b"picture")])


class Meeting:
    """A transaction that stops half-way, while another one comes to wait for it."""

    def __init__(self, db: PostgresDb, server: Server, threads: ThreadPoolExecutor) -> None:
        self.db, self._server, self._threads = db, server, threads

    def between(self, commit: Callable[[], Any], statement: str, rival: Callable[[], Any]) -> tuple[Future[Any], Future[Any]]:
        """Stop ``commit`` after it has executed ``statement``, and let it go on when ``rival`` waits."""
        pool = self.db._ready()
        connection: Any = pool._idle[-1]  # the one that is used next
        reached, go_on = threading.Event(), threading.Event()
        execute = connection.tx.execute

        def stopping(text: str, *parameters: Any) -> Any:
            cursor = execute(text, *parameters)
            if text == statement:
                reached.set()
                assert go_on.wait(60)
            return cursor

        connection.tx.execute = stopping
        try:
            first = self._threads.submit(commit)
            assert reached.wait(20), "the statement was not executed"
            connection.tx.execute = execute
            second = self._threads.submit(rival)
            deadline = time.monotonic() + 20
            while not self._is_waiting():
                assert not second.done() and time.monotonic() < deadline, "the second transaction did not wait"
                time.sleep(0.005)
        finally:
            go_on.set()
        wait([first, second], 60)
        return first, second

    def _is_waiting(self) -> bool:
        return bool(self._server.ask("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.fixture
def meeting(postgres_db: PostgresDb, postgres_server: Server) -> Iterator[Meeting]:
    """Two transactions on one database."""
    with ThreadPoolExecutor(2) as threads:
        yield Meeting(postgres_db, postgres_server, threads)


@pytest.fixture
def writer(postgres_db: PostgresDb) -> Callable[..., Writer]:
    """Makes writers on that database."""
    return lambda session_id="s1": Writer(postgres_db, session_id)


def test_of_two_steps_at_the_same_time_one_is_lost(meeting: Meeting, writer: Any) -> None:
    one, other = writer(), writer()
    one.begin("r1")
    other.head, other.epoch, other.run_id = one.head, one.epoch, one.run_id
    statement = meeting.db._statements().give_up
    ending = partial(one.end, messages=[PICTURE])  # a picture takes statements of its own
    first, second = meeting.between(ending, statement, lambda: other.step({"count": {"set": 2}}))
    first.result()
    with pytest.raises(LeaseLost):
        second.result()
    assert one.load().seq == 1 and "count" not in one.load().values


def test_a_session_is_not_taken_over_while_its_nested_graph_commits(meeting: Meeting, writer: Any) -> None:
    """The fencing number is checked and the rows are written as one: nothing of the old run comes after the new one began."""
    root, nested, rival = writer(), writer(), writer()
    root.begin("r1")
    nested.run_id, nested.epoch = "r1", root.epoch
    rival.head, rival.epoch, rival.log_head = root.head, root.epoch, root.log_head
    statement = meeting.db._statements().fenced
    first, second = meeting.between(
        lambda: nested.step({"count": {"set": 1}}, ns="inner"), statement, lambda: rival.begin("r2")
    )
    first.result()
    second.result()
    with pytest.raises(LeaseLost):
        nested.step({"count": {"set": 2}}, ns="inner")
    assert meeting.db.check().ok


def test_a_session_deleted_while_a_step_commits_leaves_nothing_behind(meeting: Meeting, writer: Any) -> None:
    session = writer()
    session.begin("r1")
    statement = meeting.db._statements().give_up
    first, second = meeting.between(lambda: session.end(messages=[PICTURE]), statement, lambda: meeting.db.delete_session("s1"))
    first.result()
    assert second.result() is True
    report = meeting.db.check()
    assert report.ok and report.checked == 0


def test_a_step_that_comes_while_its_session_is_deleted_writes_nothing(meeting: Meeting, writer: Any) -> None:
    session = writer()
    session.begin("r1")
    statement = meeting.db._statements().hold
    first, second = meeting.between(
        lambda: meeting.db.delete_session("s1"), statement, lambda: session.step({"count": {"set": 1}})
    )
    assert first.result() is True
    with pytest.raises(LeaseLost, match="session 's1' was deleted while a run of it went on"):
        second.result()
    assert meeting.db.check().ok


def test_a_fork_while_a_step_commits_has_all_of_it(meeting: Meeting, writer: Any) -> None:
    session = writer()
    session.begin("r1")
    statement = meeting.db._statements().give_up
    first, second = meeting.between(
        lambda: session.end({"count": {"set": 1}}, [PICTURE]),
        statement,
        lambda: meeting.db.fork_session("s1", session_id="s2"),
    )
    first.result()
    second.result()
    assert writer("s2").load().seq == 1 and len(meeting.db.get_messages("s2")) == 1
    assert meeting.db.check().ok


@pytest.mark.parametrize("order", ["deleted while used", "used while deleted"])
def test_a_picture_that_another_session_is_just_given_is_not_deleted(meeting: Meeting, writer: Any, order: str) -> None:
    owner, other = writer("owner"), writer("other")
    owner.begin("r1", messages=[PICTURE])
    sql = meeting.db._statements()

    def give() -> None:
        other.begin("r2", messages=[PICTURE])

    def delete() -> None:
        meeting.db.delete_session("owner")

    steps = (give, sql.insert_media, delete) if order == "deleted while used" else (delete, sql.delete_session[0], give)
    for future in meeting.between(*steps):
        future.result()
    assert meeting.db.get_messages("other")[0].content == PICTURE.content
    assert meeting.db.check().ok


def test_processes_on_one_session_follow_each_other_and_nothing_is_lost(
    postgres_db: PostgresDb, postgres_server: Server
) -> None:
    code = """
import sys
from graphflow import Agent
from graphflow.db import PostgresDb
from graphflow.testing import ScriptedModel
agent = Agent(ScriptedModel(["answer"] * 5), db=PostgresDb(sys.argv[1]), session_id="s1")
for turn in range(5):
    agent.run(f"{sys.argv[2]}-{turn}")
agent.db.close()
"""
    url = postgres_server.url_within(postgres_db._read(lambda tx: tx.one("SELECT current_schema()", {}))[0])  # type: ignore[index]
    command = [sys.executable, "-W", "error", "-c", code, url]
    pipes: dict[str, Any] = {"cwd": REPOSITORY, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen([*command, str(number)], **pipes) for number in range(4)]
    for process in processes:
        text, _ = process.communicate(timeout=100)
        assert process.returncode == 0, text
    asked = [message.text for message in postgres_db.get_messages("s1") if message.role == "user"]
    assert sorted(asked) == sorted(f"{number}-{turn}" for number in range(4) for turn in range(5))
    assert {run.status for run in postgres_db.get_runs("s1")} == {"completed"}
    assert postgres_db.check().ok
