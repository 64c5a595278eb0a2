"""Where a session stands: at its last checkpoint, also on SQLite, whose steps leave the row of the session alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graphflow.core.stored import TaskRow
from graphflow.db import SqliteDb
from graphflow.errors import CorruptCheckpoint, LeaseLost
from graphflow.messages import Message

from .conftest import Writer

Make = Callable[..., Writer]


def in_the_middle(session: Writer) -> Writer:
    """A whole run, and three steps of another one: the session stands at checkpoint 5."""
    session.turn("r1", count=1)
    session.begin("r2")
    for count in (2, 3, 4):
        session.step({"count": {"set": count}})
    assert session.head == 5
    return session


def row_head(db: Any) -> int:
    """What the row of the session says."""
    head: int = db._read(lambda tx: tx.execute("SELECT head FROM gf_sessions WHERE session_id = 's1'").fetchone()[0])
    return head


def change(db: Any, statement: str) -> None:
    """Do something to the database by hand."""
    db._write(lambda tx: tx.execute(statement).rowcount)


def test_a_session_in_the_middle_of_a_run_stands_at_its_last_checkpoint(writer: Make) -> None:
    session = in_the_middle(writer())
    db = session.db
    stored = session.load()
    assert (stored.head, stored.seq, stored.values["count"]) == (5, 5, 4)
    assert db.export_session("s1")["session"]["head"] == 5
    assert db.check().ok
    assert db.repair_session("s1").lost == ()
    db.fork_session("s1", session_id="s2")
    assert (writer("s2").load().head, writer("s2").load().values["count"]) == (5, 4)
    session.step({"count": {"set": 5}})
    session.end({"count": {"set": 6}})
    assert (session.load().head, row_head(db)) == (7, 7)


def test_whoever_takes_a_crashed_session_over_has_to_know_its_last_checkpoint(writer: Make) -> None:
    session = in_the_middle(writer())
    late = writer()
    late.head, late.epoch, late.log_head, late.weight = 4, session.epoch, session.log_head, session.weight
    with pytest.raises(LeaseLost, match="expected head 4, epoch 2, found head 5, epoch 2"):
        late.begin("r3")
    late.head = 5
    late.begin("r3", {"count": {"set": 9}})
    assert (late.load().head, late.load().epoch, late.load().values["count"]) == (6, 3, 9)


def test_old_checkpoints_of_a_running_session_are_pruned_from_its_last(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"count": {"set": 0}})
    for count in range(20):
        session.step({"count": {"set": count}})
    session.end()
    session.begin("r2", {"count": {"set": 100}})
    for count in range(10):
        session.step({"count": {"set": count}})
    assert session.db.prune(keep_last=15).checkpoints > 0
    assert session.load().values["count"] == 9
    assert session.db.check().ok


def test_a_step_on_a_file_leaves_the_row_of_the_session_alone(sqlite_db: SqliteDb) -> None:
    session = in_the_middle(Writer(sqlite_db))
    assert row_head(sqlite_db) == 2, "where the run began"
    session.end()
    assert row_head(sqlite_db) == 6


@pytest.mark.parametrize(
    ("what", "lost", "found"),
    [
        ("checkpoints down to where the run began", "seq >= 2", "checkpoint 2 of session 's1', its head, is missing"),
        ("what said something", "seq = 5", "checkpoint 4 of session 's1' is its last one, but message 4 came after it"),
        ("what tasks rest on", "seq = 5", "checkpoint 4 of session 's1' .* but the step of node 'node' came after it"),
    ],
)
def test_lost_last_checkpoints_of_a_running_session_are_noticed(sqlite_db: SqliteDb, what: str, lost: str, found: str) -> None:
    session = Writer(sqlite_db)
    session.turn("r1", count=1)
    session.begin("r2", messages=[Message("user", "go")])
    session.step({"count": {"set": 2}})
    session.step({"count": {"set": 3}})
    session.step({"count": {"set": 4}}, [Message("assistant", "gone")] if "said" in what else [])
    if "tasks" in what:
        session.keep(TaskRow("t", "node", "step", 1, name="a"))
    assert session.load().head == 5
    change(sqlite_db, f"DELETE FROM gf_checkpoints WHERE {lost}")
    with pytest.raises(CorruptCheckpoint, match=found):
        session.load()
    assert not sqlite_db.check().ok
    repaired = sqlite_db.repair_session("s1")
    assert repaired.head == (1 if ">=" in lost else 4) and repaired.lost
    assert sqlite_db.check().ok
    assert session.load().values["count"] == (1 if ">=" in lost else 3)


def test_a_session_whose_status_was_changed_still_stands_at_its_last_checkpoint(sqlite_db: SqliteDb) -> None:
    session = in_the_middle(Writer(sqlite_db))
    change(sqlite_db, "UPDATE gf_sessions SET status = 'completed'")
    assert (session.load().head, session.load().values["count"]) == (5, 4)
    session.begin("r3", {"count": {"set": 9}})
    assert session.load().values["count"] == 9


def test_a_step_that_comes_after_the_end_of_its_run_does_not_break_the_session(sqlite_db: SqliteDb) -> None:
    session = in_the_middle(Writer(sqlite_db))
    session.end()
    session.step({"count": {"set": 7}})
    assert (session.load().head, session.load().values["count"]) == (7, 7)
    session.begin("r3", {"count": {"set": 9}})
    assert session.load().values["count"] == 9 and sqlite_db.check().ok


def test_a_checkpoint_that_stands_where_the_next_one_belongs_is_left_alone(sqlite_db: SqliteDb) -> None:
    session = in_the_middle(Writer(sqlite_db))
    ahead = Writer(sqlite_db)
    ahead.head, ahead.epoch, ahead.log_head, ahead.run_id, ahead.weight = 5, 2, session.log_head, "r2", session.weight
    ahead.step({"count": {"set": 50}})
    with pytest.raises(LeaseLost, match="expected head 5, epoch 2, found head 6, epoch 2"):
        session.step({"count": {"set": 5}})
    assert session.load().values["count"] == 50
