"""Damage is noticed when it is read, and check() finds all of it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graphflow import Agent
from graphflow.core.control import Interrupt
from graphflow.core.effects import Load, LoadMany, ReadHistory
from graphflow.core.stored import TaskRow
from graphflow.db import SqliteDb, rows
from graphflow.db.rows import digest
from graphflow.errors import CorruptCheckpoint, SchemaTooNew
from graphflow.messages import ImagePart, Message
from graphflow.testing import ScriptedModel

from .conftest import CHAT, Writer


@pytest.fixture
def session(sqlite_db: SqliteDb) -> Writer:
    """A session with rows in every table that has a body."""
    made = Writer(sqlite_db)
    made.turn("r0", "earlier", "yes")
    made.begin("r1", {"count": {"set": 1}, "notes": {"append": ["x"]}}, [Message("user", [ImagePart(data=b"png" * 9)])])
    for n in range(60):
        made.step({"notes": {"append": [f"note {n}"]}})
    made.keep(
        TaskRow("t", "node", "step", {"a": 1}, name="fetch"),
        TaskRow("t", "node", "interrupt", Interrupt("i", "sure?", "node")),
    )
    made.begin("r2", messages=[Message("user", "more")])
    made.end(status="error", error="boom", metrics={"tokens": 3})
    made.keep(TaskRow("t", "node", "step", {"a": 1}, name="fetch"), origin=made.head)
    return made


def read_all(db: SqliteDb) -> None:
    db.load(Load("s1", None, CHAT, with_log=True))
    db.load_many(LoadMany("s1", None, CHAT))
    db.read_history(ReadHistory("s1", before=10**9))
    assert all(run.number for run in db.get_runs("s1"))


BODIES = [
    ("gf_checkpoints", "delta"),
    ("gf_checkpoints", "snapshot"),
    ("gf_checkpoints", "frontier"),
    ("gf_checkpoints", "sha256"),
    ("gf_messages", "body"),
    ("gf_messages", "sha256"),
    ("gf_tasks", "value"),
    ("gf_media", "data"),
    ("gf_runs", "error"),
    ("gf_runs", "metrics"),
]


@pytest.mark.parametrize(("table", "column"), BODIES, ids=lambda name: name)
def test_a_flipped_byte_is_noticed(session: Writer, table: str, column: str) -> None:
    db = session.db
    assert db.check().ok
    read_all(db)
    keys = {"gf_checkpoints": "session, ns, seq", "gf_tasks": "task_id, kind", "gf_media": "sha256"}.get(table, "rowid")
    where = f"WHERE {column} IS NOT NULL AND length({column}) > 2"
    order = "ORDER BY origin DESC" if table == "gf_tasks" else f"ORDER BY {keys} DESC"
    found = db._read(lambda tx: tx.all(f"SELECT CAST({column} AS BLOB), {keys} FROM {table} {where} {order} LIMIT 1", {}))
    value, *key = found[0]
    dice = random.Random(f"{table}{column}")
    for _ in range(12):
        flipped = bytearray(value)
        flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        put(db, table, column, bytes(flipped), keys, key)
        problem = db.check().problems[0]
        assert "checksum" in problem or "read" in problem or "match" in problem
        with pytest.raises(CorruptCheckpoint):
            read_all(db)
    put(db, table, column, value, keys, key)
    assert db.check().ok


def put(db: SqliteDb, table: str, column: str, value: bytes, keys: str, key: list[Any]) -> None:
    stored = "TEXT" if column not in ("sha256", "data") else "BLOB"
    where = " AND ".join(f"{name} = ?" for name in keys.split(", "))
    db._write(lambda tx: tx.execute(f"UPDATE {table} SET {column} = CAST(? AS {stored}) WHERE {where}", (value, *key)))


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM gf_checkpoints WHERE seq = 40", "checkpoint 40 of session 's1' is missing"),
        ("DELETE FROM gf_checkpoints WHERE seq = (SELECT max(seq) FROM gf_checkpoints)", "head"),
        ("DELETE FROM gf_messages WHERE seq = 2", "message 2 of session 's1' is missing"),
        ("UPDATE gf_checkpoints SET log_head = log_head + 1 WHERE seq = 30", "checkpoint 30"),
        ("UPDATE gf_checkpoints SET base = base + 1 WHERE seq = 30", "checkpoint 30"),
        ("UPDATE gf_messages SET role = 'system' WHERE seq = 1", "message 1"),
        ("UPDATE gf_tasks SET origin = origin + 1 WHERE kind = 'step'", "the step of node 'node'"),
        ("DELETE FROM gf_media", "contents"),
    ],
)
def test_missing_and_changed_rows_are_noticed(session: Writer, statement: str, problem: str) -> None:
    session.db._write(lambda tx: tx.execute(statement))
    with pytest.raises(CorruptCheckpoint, match=problem):
        read_all(session.db)
    if "gf_media" not in statement:
        report = session.db.check()
        assert any(problem in found for found in report.problems), report


def test_rows_moved_to_another_session_are_noticed(session: Writer) -> None:
    Writer(session.db, "s2").turn("other")
    session.db._write(lambda tx: tx.execute("DELETE FROM gf_messages WHERE session = 2 AND seq = 1"))
    session.db._write(lambda tx: tx.execute("UPDATE gf_messages SET session = 2 WHERE session = 1 AND seq = 1"))
    with pytest.raises(CorruptCheckpoint, match="message 1 of session 's2'"):
        session.db.get_messages("s2")


def test_the_other_sessions_of_a_damaged_database_are_still_checked(session: Writer) -> None:
    Writer(session.db, "s2").turn("other")
    session.db._write(lambda tx: tx.execute("UPDATE gf_messages SET body = CAST(x'22ff22' AS TEXT) WHERE session = 1"))
    session.db._write(lambda tx: tx.execute("UPDATE gf_messages SET body = '\"x\"' WHERE session = 2 AND seq = 1"))
    report = session.db.check()
    assert any("session 's1' cannot be read" in problem for problem in report.problems)
    assert any("message 1 of session 's2' does not match" in problem for problem in report.problems)


def test_rows_of_no_session_are_found(session: Writer) -> None:
    session.db._write(lambda tx: tx.execute("DELETE FROM gf_sessions"))
    assert any("gf_messages belong to no session" in problem for problem in session.db.check().problems)


def test_a_file_that_is_no_database_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"this is not a database, but long enough to be read as one" * 100)
    with pytest.raises(CorruptCheckpoint, match="not a database"):
        SqliteDb(path).get_sessions()


def test_a_sound_database_is_reported_as_sound(session: Writer) -> None:
    report = session.db.check()
    assert report.ok and report.problems == ()
    assert report.checked > 70


def test_a_session_whose_last_use_was_changed_is_not_deleted_as_disused(session: Writer) -> None:
    db = session.db
    assert db.prune(older_than=3600, delete_sessions=True).deleted_sessions == 0
    db._write(lambda tx: tx.execute("UPDATE gf_sessions SET updated_at = 7"))
    with pytest.raises(CorruptCheckpoint, match="when session 's1' was last used does not match its checksum"):
        db.prune(older_than=3600, delete_sessions=True)
    assert db.count_sessions() == 1


def test_going_on_with_a_session_writes_anew_when_it_was_used(session: Writer) -> None:
    db = session.db
    db._write(lambda tx: tx.execute("UPDATE gf_sessions SET updated_at = updated_at + 1"))
    with pytest.raises(CorruptCheckpoint, match="go on with the session"):
        db.get_session("s1")
    session.turn("r3")
    assert db.get_session("s1") is not None and db.check().ok


def test_a_copy_of_a_session_whose_last_use_was_changed_is_refused(session: Writer) -> None:
    session.db._write(lambda tx: tx.execute("UPDATE gf_sessions SET updated_at = updated_at + 1"))
    for copy in (session.db.export_session, session.db.fork_session):
        with pytest.raises(CorruptCheckpoint, match="last used"):
            copy("s1")


def test_a_session_of_the_first_schemas_is_sealed_by_its_next_run(db: Any) -> None:
    agent = Agent(ScriptedModel(["one", "two"]), db=db)
    agent.run("hello", session_id="s")
    db._write(lambda tx: tx.execute("UPDATE gf_sessions SET seal = NULL"))
    agent.run("again", session_id="s")
    assert db._read(lambda tx: tx.execute("SELECT seal IS NOT NULL FROM gf_sessions").fetchone()) == (True,)


def test_a_run_of_the_first_schemas_is_read_by_the_checksum_it_has(session: Writer) -> None:
    """Theirs covered neither when nor where a run ended, and was left out when there was nothing else to cover."""
    db = session.db
    runs = db.get_runs("s1")
    for run, error, metrics in (("r0", None, None), ("r2", "boom", '{"tokens":3}')):
        checksum = None if error is None else digest("run", run, "error", 3, error, metrics)
        values = (checksum, run)
        db._write(lambda tx, values=values: tx.execute("UPDATE gf_runs SET sha256 = ? WHERE run_id = ?", values))
    db._write(lambda tx: tx.execute("UPDATE gf_runs SET last_message = 3 WHERE run_id = 'r2'"))
    db._write(lambda tx: tx.execute("UPDATE gf_sessions SET time_seal = NULL"))
    assert db.check().ok and [run.status for run in db.get_runs("s1")] == [run.status for run in runs]
    db._write(lambda tx: tx.execute("UPDATE gf_runs SET error = 'bang' WHERE run_id = 'r2'"))
    with pytest.raises(CorruptCheckpoint, match="run 'r2' of session 's1' does not match its checksum"):
        db.get_runs("s1")


def test_rows_of_the_first_schemas_have_whole_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = SqliteDb(tmp_path / "old.db")
    with monkeypatch.context() as before:
        before.setattr(rows, "CHECKSUM", 32)
        old = Writer(db)
        old.turn("r0", "earlier", "yes")
        old.begin("r1", {"count": {"set": 1}}, [Message("user", "hello")])
        for n in range(80):
            old.step({"notes": {"append": [f"note {n}"]}})
        old.end()
        agent = Agent(ScriptedModel(["one", "two", "three"]), db=db)
        agent.run("hello", session_id="talk")
    lengths = "SELECT DISTINCT length(sha256) FROM gf_{} ORDER BY 1"
    tables = ("checkpoints", "messages", "runs")
    assert [db._read(lambda tx, name=name: tx.all(lengths.format(name), {})) for name in tables] == [[(32,)]] * 3
    assert db.check().ok
    read_all(db)
    archive = db.export_session("s1")
    db.fork_session("s1", session_id="fork")
    agent.run("again", session_id="talk")
    assert [message.content for message in db.get_messages("talk")] == ["hello", "one", "again", "two"]
    db.prune(keep_last=5)
    assert db.check().ok
    lengths = "SELECT DISTINCT length(sha256) FROM gf_{} ORDER BY 1"
    assert [db._read(lambda tx, name=name: tx.all(lengths.format(name), {})) for name in tables] == [[(16,), (32,)]] * 3
    db.delete_session("s1")
    db.import_session(archive)
    read_all(db)
    assert db.check().ok
    flip = "UPDATE gf_messages SET sha256 = substr(sha256, 1, {}) || x'00' WHERE session = (SELECT ordinal FROM gf_sessions "
    for length in (31, 15):  # the last byte counts as well, of the old ones and of the new
        db._write(lambda tx, length=length: tx.execute(f"{flip.format(length)} WHERE session_id = 'talk') AND seq = 1"))
        with pytest.raises(CorruptCheckpoint):
            db.get_messages("talk")
    db.close()


def test_rows_of_a_newer_library_are_not_called_damaged(session: Writer) -> None:
    """A process that has the database open while another one upgrades it."""
    db = session.db
    db._write(lambda tx: tx.execute("UPDATE gf_messages SET body = '\"x\"'"))
    with pytest.raises(CorruptCheckpoint):
        db.get_messages("s1")
    version = db.schema_status().version + 1
    db._write(lambda tx: tx.execute(tx.sql.insert_schema_version, {"version": version, "applied_at": 1}))
    for work in (lambda: db.get_messages("s1"), lambda: read_all(db), db.check, lambda: db.repair_session("s1")):
        with pytest.raises(SchemaTooNew, match="install a newer graphflow"):
            work()
    assert len(db._read(lambda tx: tx.all("SELECT * FROM gf_checkpoints", {}))) > 60, "nothing was repaired away"


def test_every_flipped_bit_in_the_file_is_noticed_or_harmless(tmp_path: Path, session: Writer) -> None:
    """Random single bits of the file: what is read is what was stored, or an error."""
    db = session.db
    expected = contents(db)
    db.close()
    original = Path(db.db_file).read_bytes()
    dice = random.Random(7)
    wrong = 0
    for n in range(60):
        flipped = bytearray(original)
        flipped[dice.randrange(4096, len(flipped))] ^= 1 << dice.randrange(8)
        path = tmp_path / f"flipped-{n}.db"
        path.write_bytes(flipped)
        damaged = SqliteDb(path)
        wrong += found_wrong(lambda damaged=damaged: contents(damaged), expected)
        damaged.close()
        path.unlink()
    assert wrong == 0


def contents(db: SqliteDb) -> Any:
    stored = db.load(Load("s1", None, CHAT, with_log=True))
    assert stored is not None
    history = db.read_history(ReadHistory("s1", before=10**9))
    return stored.values, stored.frontier, stored.log_head, stored.tasks, history


def found_wrong(read: Callable[[], Any], expected: Any) -> bool:
    try:
        return bool(read() != expected)
    except Exception:
        return False


def changed(file: Any, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def talked(file: Any, *inputs: Any, session_id: str = "s") -> None:
    with closing(SqliteDb(file)) as db:
        agent = Agent(ScriptedModel(["yes"] * len(inputs)), db=db, session_id=session_id)
        for said in inputs:
            agent.run(said)


def test_contents_that_are_lost_are_told_by_all_who_would_hand_them_on(tmp_path):
    file = tmp_path / "s.db"
    talked(file, [ImagePart(data=b"png" * 99, media_type="image/png")])
    changed(file, "DELETE FROM gf_media")
    with closing(SqliteDb(file)) as db:
        assert any("are missing" in problem for problem in db.check().problems)
        for read in (db.export_session, db.get_messages, lambda session_id: db.fork_session(session_id, session_id="copy")):
            with pytest.raises(CorruptCheckpoint, match=r"the contents with sha256 \w+ are missing"):
                read("s")
        assert db.get_session("copy") is None


def test_a_repair_tells_of_what_a_run_began_with_that_was_changed(tmp_path):
    file = tmp_path / "s.db"
    talked(file, "one", "two", "three")
    changed(file, "UPDATE gf_runs SET first_message = 1 WHERE number = 2")
    with closing(SqliteDb(file)) as db:
        assert any("began with" in lost for lost in db.repair_session("s").lost)


def test_a_damaged_session_does_not_keep_others_from_being_pruned(tmp_path):
    file = tmp_path / "s.db"
    for session_id in "abc":
        talked(file, *"123456", session_id=session_id)
    changed(file, "DELETE FROM gf_checkpoints WHERE session = 1 AND seq = 0")
    with closing(SqliteDb(file)) as db:
        with pytest.raises(CorruptCheckpoint, match="'a'") as caught:
            db.prune(keep_last=1)
        assert any("the other sessions were pruned" in note for note in caught.value.__notes__)
        graph = Agent(ScriptedModel([]), db=db).graph
        assert [len(graph.get_state_history(session_id)) for session_id in "bc"] == [1, 1]
