"""What only a file can show: processes, forks, size, laziness."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from graphflow import Agent
from graphflow.db import SqliteDb, migrations
from graphflow.db.sqlite import WAL_PAGES
from graphflow.errors import DatabaseFailed, SchemaTooNew
from graphflow.messages import Message
from graphflow.testing import ScriptedModel
from tests.forking import fork

from .conftest import Writer, fork_while_writing

REPOSITORY = Path(__file__).resolve().parents[2]


def python(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    return text.strip()


def test_constructing_touches_nothing_and_imports_no_sqlalchemy(tmp_path: Path) -> None:
    code = """
import sys
from graphflow.db import SqliteDb
db = SqliteDb(sys.argv[1])
print("sqlalchemy" in sys.modules)
"""
    assert output(python(code, tmp_path / "new.db")) == "False"
    assert not (tmp_path / "new.db").exists()


def test_importing_the_package_loads_no_database(tmp_path: Path) -> None:
    code = "import sys, graphflow.db; print([m for m in ('sqlite3', 'sqlalchemy', 'graphflow.db.sql') if m in sys.modules])"
    assert output(python(code)) == "[]"


def test_eight_processes_make_the_tables_at_once(tmp_path: Path) -> None:
    code = """
import sys
from graphflow.db import SqliteDb
print("ready", flush=True)
sys.stdin.readline()
db = SqliteDb(sys.argv[1])
assert db.get_sessions() == []
assert db.check().ok
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "new.db")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, cwd=REPOSITORY, **pipes) for _ in range(8)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 0, text
    rows = sqlite3.connect(tmp_path / "new.db")
    versions = [(number,) for number in migrations.MIGRATIONS]
    assert rows.execute("SELECT version FROM gf_schema ORDER BY version").fetchall() == versions
    rows.close()


def test_a_schema_newer_than_the_library_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    db = SqliteDb(path)
    Writer(db).turn("r1")
    db.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO gf_schema VALUES (99, 0)")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaTooNew, match="schema version 99"):
        SqliteDb(path).get_sessions()
    with pytest.raises(SchemaTooNew):
        Writer(SqliteDb(path)).begin("r2")


def test_a_migration_is_applied_once(sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch) -> None:
    Writer(sqlite_db).turn("r1")
    sqlite_db.close()
    applied: list[int] = []
    new = migrations.VERSION + 1
    monkeypatch.setitem(migrations.MIGRATIONS, new, lambda tx: applied.append(new))
    monkeypatch.setattr(migrations, "VERSION", new)
    for _ in range(2):
        assert len(sqlite_db.get_messages("s1")) == 2
        sqlite_db.close()
    assert applied == [new]


def test_a_plain_chat_turn_takes_less_than_1820_bytes(sqlite_db: SqliteDb) -> None:
    session = Writer(sqlite_db, "user_123_session", user_id="mark@example.com")
    sizes = {}
    for n in range(401):
        session.begin(f"{n:016}", messages=[Message("user", "x" * 500)])
        session.end(
            {"count": {"set": n}},
            [Message("assistant", "y" * 500)],
            metrics={"seconds": 0.012345, "nodes": {"model": 0.012345}},
        )
        if n in (0, 400):
            sqlite_db.close()
            sizes[n] = os.path.getsize(sqlite_db.db_file)
    assert (sizes[400] - sizes[0]) / 400 < 1820


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(sqlite_db: SqliteDb) -> None:
    session = Writer(sqlite_db)
    session.begin("r1", {"notes": {"append": ["parent"]}})
    assert fork(lambda: session.step({"notes": {"append": ["child"]}})).join() == 0
    session.head += 1
    session.values["notes"] = ["parent", "child"]
    session.step({"notes": {"append": ["parent again"]}})
    assert session.load().values["notes"] == ["parent", "child", "parent again"]
    assert sqlite_db.check().ok


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_while_another_thread_writes_leaves_the_child_able_to_write(sqlite_db: SqliteDb) -> None:
    Writer(sqlite_db, "other").begin("r0")
    fork_while_writing(sqlite_db)
    assert sqlite_db.count_sessions() == 6


def test_a_reader_does_not_wait_for_a_writer(sqlite_db: SqliteDb) -> None:
    Writer(sqlite_db).turn("r1")
    seen = sqlite_db._write(lambda tx: len(sqlite_db.get_messages("s1")))
    assert seen == 2


def test_two_objects_on_one_file_are_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    names = ["real.db", tmp_path / "real.db", "./real.db", "link.db"]
    assert len({SqliteDb(name).identity for name in names}) == 1
    assert SqliteDb("other.db").identity != SqliteDb("real.db").identity


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"db_file": ":memory:"}, "InMemoryDb"),
        ({"db_file": "postgresql://ai:secret@localhost/ai"}, "^db_file= is an address, not a file; .*PostgresDb"),
        ({"db_file": ""}, "InMemoryDb"),
        ({"synchronous": "off"}, "synchronous='off'"),
        ({"lease_ttl": 0}, "lease_ttl=0"),
        ({"busy_timeout": -1}, "busy_timeout=-1"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SqliteDb(**options)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFailed, match="its folder has to exist"):
        SqliteDb(tmp_path / "no" / "such.db").get_sessions()


@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1)])
def test_every_connection_has_the_chosen_durability(tmp_path: Path, synchronous: Any, number: int) -> None:
    db = SqliteDb(tmp_path / "x.db", synchronous=synchronous)
    Writer(db).turn("r1")
    db.get_sessions()
    for connection in db._open.all:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == number
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    db.close()


def test_closing_leaves_a_connection_alone_that_another_thread_writes_with(tmp_path: Path) -> None:
    code = """
import sys, threading, time
from graphflow.db import SqliteDb
db = SqliteDb(sys.argv[1], synchronous="normal")
ends, done = time.monotonic() + 1.5, [0, 0]

def write(n):
    while time.monotonic() < ends:
        db.add_user_memory("u", f"fact {n} {done[n]}")
        done[n] += 1

writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
for thread in writers:
    thread.start()
while time.monotonic() < ends:
    db.close()
    time.sleep(0.0002)
for thread in writers:
    thread.join()
print(min(done) > 0 and len(db.get_user_memories("u")) == sum(done))
"""
    assert output(python(code, tmp_path / "s.db")) == "True"


def test_closing_leaves_a_connection_alone_that_another_thread_reads_with(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    Writer(db).turn("r1")
    reading, closed = threading.Event(), threading.Event()
    found: list[Any] = []

    def work(tx: Any) -> None:
        reading.set()
        assert closed.wait(10)
        found.extend(tx.all("SELECT run_id FROM gf_runs", {}))

    reader = threading.Thread(target=db._read, args=(work,))
    reader.start()
    assert reading.wait(10)
    opened = db._open
    db.close()
    closed.set()
    reader.join(10)
    assert found == [("r1",)]
    assert not opened.all, "it is closed when it is given back"
    assert db.count_sessions() == 1
    db.close()


def test_a_run_may_begin_while_another_thread_closes_the_database(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "sessions.db")
    agent = Agent(ScriptedModel(["one", "two"]), db=db)
    agent.run("hello", session_id="s")
    line, real = db._open.line, db._open.line.lock

    class Lock:
        """When it is first asked for, the other thread closes."""

        closes = True

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, *_: object) -> None:
            real.release()

        def acquire(self, **how: Any) -> bool:
            if self.closes:
                self.closes = False
                db.close()
            return real.acquire(**how)

        release, locked = real.release, real.locked

    line.lock = Lock()  # type: ignore[assignment]
    assert agent.run("again", session_id="s").content == "two"
    assert [message.text for message in db.get_messages("s")] == ["hello", "one", "again", "two"]


def test_the_write_ahead_log_is_written_over_once_it_is_full(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    for opened in ("at first", "after it was closed"):
        for n in range(2 * WAL_PAGES["full"]):
            db.add_user_memory("ann", f"fact {n} {opened}")
        log = (tmp_path / "s.db-wal").stat().st_size
        assert log < 1.5 * WAL_PAGES["full"] * 4_096, opened
        db.close()
