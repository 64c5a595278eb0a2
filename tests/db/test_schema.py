"""Databases of earlier versions open, go on and are upgraded; newer ones are refused; eight processes do it at once."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graphflow.db import InMemoryDb, PostgresDb, SqliteDb, migrations
from graphflow.errors import SchemaTooNew
from graphflow.messages import ImagePart
from tests.db.fixtures import program
from tests.faults.scale import rounds
from tests.postgres import Server

from .conftest import Writer

FIXTURES = Path(program.__file__).parent
VERSIONS = sorted(int(path.stem.removeprefix("schema-")) for path in FIXTURES.glob("schema-*.sqlite"))
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[(kind, version) for version in VERSIONS for kind in ("sqlite", "postgres")], ids=str)
def old_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A database as an earlier version left it."""
    kind, version = request.param
    if kind == "sqlite":
        shutil.copy(FIXTURES / f"schema-{version}.sqlite", tmp_path / "old.db")
        db: Any = SqliteDb(tmp_path / "old.db")
        yield db
        db.close()
        return
    server = request.getfixturevalue("postgres_server")
    with server.schema() as schema:
        server.ask(f'SET search_path = "{schema}"')
        for statement in (FIXTURES / f"schema-{version}.sql").read_text("utf-8").rstrip(";\n").split(";\n"):
            server.ask(statement)
        server.ask("RESET search_path")
        db = PostgresDb(server.url_within(schema))
        yield db
        db.close()


def test_the_first_schema_is_kept_for_both_databases() -> None:
    assert VERSIONS[0] == 1
    for version in VERSIONS:
        assert (FIXTURES / f"schema-{version}.sql").exists()


def test_an_old_database_is_read_whole(old_db: Any) -> None:
    assert old_db.schema_status().version < migrations.VERSION
    assert {s.session_id: s.status for s in old_db.get_sessions()} == {
        "chat": "error",
        "failed": "error",
        "paused": "paused",
        "done": "completed",
        "crashed": "crashed",
    }
    assert old_db.schema_status().version == old_db.schema_status().latest == migrations.VERSION
    picture = old_db.get_messages("chat")[0].content[1]
    assert isinstance(picture, ImagePart) and picture.data == program.PICTURE
    assert [run.status for run in old_db.get_runs("chat")] == ["completed", "completed", "error"]
    state = program.order_graph(old_db).get_state("done").values
    assert state["log"] == program.FINAL_LOG and state["when"] == program.WHEN and state["marks"]["box"] == ("large", {1, 2})
    assert len(program.order_graph(old_db).get_state_history("done")) == 23
    assert old_db.check().ok


def test_what_was_unfinished_in_an_old_database_is_finished(old_db: Any) -> None:
    graph = program.order_graph(old_db)
    assert graph.resume("paused", "bob", user_id="ann")["log"] == program.FINAL_LOG
    for session_id in ("crashed", "failed"):
        assert graph.resume(session_id).status == "paused"
        assert graph.resume(session_id, "bob")["log"] == program.FINAL_LOG
    agent = program.assistant(old_db, ["I am back.", "Sunny, I said."])
    assert agent.resume().content == "I am back."
    assert agent.run("And now?").content == "Sunny, I said."
    assert old_db.get_session_state("chat") == {"asked": ["Oslo"]}
    assert old_db.check().ok


def test_what_is_new_works_on_an_old_database(old_db: Any) -> None:
    before = old_db.get_messages("chat")
    assert old_db.prune(keep_last=2).checkpoints > 20
    copy = old_db.import_session(old_db.export_session("done"), session_id="copy")
    assert old_db.fork_session(copy) and old_db.get_messages("chat") == before
    old_db.rename_session("chat", "An old chat")
    assert old_db.get_session("chat", user_id="ann").name == "An old chat"
    assert program.order_graph(old_db).resume("paused", "bob", user_id="ann")["log"][-1] == "sent"
    assert old_db.check().ok


def test_upgrading_is_done_once_and_by_hand_if_one_likes(old_db: Any) -> None:
    assert old_db.upgrade() == migrations.VERSION
    applied = old_db._read(lambda tx: tx.all("SELECT version, applied_at FROM gf_schema ORDER BY version", {}))
    assert [version for version, _ in applied] == list(migrations.MIGRATIONS)
    old_db.close()
    assert old_db.upgrade() == migrations.VERSION
    assert old_db._read(lambda tx: tx.all("SELECT version, applied_at FROM gf_schema ORDER BY version", {})) == applied


def test_an_upgraded_database_has_what_a_new_one_has(old_db: Any, request: pytest.FixtureRequest) -> None:
    old_db.upgrade()
    fresh = request.getfixturevalue("sqlite_db" if isinstance(old_db, SqliteDb) else "postgres_db")
    fresh.upgrade()
    assert columns(old_db) == columns(fresh)


def columns(db: Any) -> dict[str, set[str]]:
    def work(tx: Any) -> dict[str, set[str]]:
        return {empty: {column[0] for column in tx.execute(empty).description} for _, empty, _ in tx.sql.create_tables}

    return db._read(work)


def test_an_upgrade_that_fails_changes_nothing(old_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tx: Any) -> None:
        migrations._add_missing(tx)
        raise ConnectionError("cut")

    before = old_db.schema_status().version
    monkeypatch.setitem(migrations.MIGRATIONS, before + 1, fail)
    with pytest.raises(ConnectionError):
        old_db.upgrade()
    assert old_db.schema_status().version == before
    monkeypatch.undo()
    assert old_db.upgrade() == migrations.VERSION and old_db.check().ok


# --- newer than the library ------------------------------------------------------------------------------------------------

CALLS = {
    "get_sessions": lambda db: db.get_sessions(),
    "get_session": lambda db: db.get_session("s1"),
    "get_messages": lambda db: db.get_messages("s1"),
    "check": lambda db: db.check(),
    "prune": lambda db: db.prune(keep_last=1),
    "upgrade": lambda db: db.upgrade(),
    "delete_session": lambda db: db.delete_session("s1"),
    "export_session": lambda db: db.export_session("s1"),
    "repair_session": lambda db: db.repair_session("s1"),
    "graph": lambda db: program.order_graph(db).get_state("s1"),
    "agent": lambda db: program.assistant(db, ["hi"]).run("hello"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_schema_that_is_too_new_is_refused_everywhere(sqlite_db: SqliteDb, postgres_db: PostgresDb, call: str) -> None:
    for db in (sqlite_db, postgres_db):
        Writer(db).turn("r1")
        db._write(lambda tx: tx.execute("INSERT INTO gf_schema VALUES (99, 0)"))
        db.close()
        with pytest.raises(SchemaTooNew, match=f"schema version 99, this graphflow knows up to {migrations.VERSION}"):
            CALLS[call](db)
        status = db.schema_status()
        assert (status.version, status.usable) == (99, False) and "newer graphflow" in status.state


def test_looking_at_the_status_makes_nothing(tmp_path: Path, postgres_db: PostgresDb) -> None:
    path = tmp_path / "new.db"
    assert SqliteDb(path).schema_status().version == 0 and not path.exists()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (n)")
    assert SqliteDb(path).schema_status().version == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("other",)]
    assert postgres_db.schema_status().state == "made by the first use"
    assert postgres_db.schema_status().version == 0
    assert InMemoryDb().schema_status().version == migrations.VERSION


# --- at once ---------------------------------------------------------------------------------------------------------------

TOGETHER = """
import sys
from graphflow.db import PostgresDb, SqliteDb
from tests.db.conftest import Writer
for line in sys.stdin:
    place, schema, number = line.strip().split("|")
    db = PostgresDb(place, schema) if schema else SqliteDb(place)
    Writer(db, f"s{number}").turn(f"r{number}")
    assert len(db.get_messages(f"s{number}")) == 2
    db.close()
    print("done", flush=True)
"""


class Crowd:
    """Eight processes that do a thing at the same moment."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", TOGETHER]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.processes = [subprocess.Popen(command, cwd=REPOSITORY, **pipes) for _ in range(8)]

    def meet(self, place: str, schema: str = "") -> None:
        for number, process in enumerate(self.processes):
            process.stdin.write(f"{place}|{schema}|{number}\n")
        for process in self.processes:
            process.stdin.flush()
        for process in self.processes:
            line = process.stdout.readline()
            assert line == "done\n", line + process.stdout.read()

    def end(self) -> None:
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait(30)
            process.stdout.close()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    made = Crowd()
    yield made
    made.end()


def is_whole(db: Any) -> None:
    assert db.count_sessions() == 8 and db.check().ok and db.upgrade() == migrations.VERSION
    db.close()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("begin", ["empty", "old"])
def test_eight_processes_make_or_upgrade_a_file_at_once(crowd: Crowd, tmp_path: Path, begin: str) -> None:
    started = time.monotonic()
    for number in range(rounds(3, 50)):
        path = tmp_path / f"{number}.db"
        if begin == "old":
            shutil.copy(FIXTURES / "schema-1.sqlite", path)
            with closing(sqlite3.connect(path)) as connection, connection:
                for table in ("sessions", "runs", "checkpoints", "messages", "tasks", "media", "media_uses"):
                    connection.execute(f"DELETE FROM gf_{table}")
        crowd.meet(str(path))
        is_whole(SqliteDb(path))
    print(f"{rounds(3, 50)} rounds of 8 processes in {time.monotonic() - started:.1f} s")


@pytest.mark.timeout(1200)
def test_eight_processes_make_a_schema_at_once(crowd: Crowd, postgres_server: Server) -> None:
    started = time.monotonic()
    for _ in range(rounds(3, 50)):
        with postgres_server.schema() as name:
            postgres_server.ask(f'DROP SCHEMA "{name}"')
            crowd.meet(postgres_server.url, name)
            is_whole(PostgresDb(postgres_server.url, name))
    print(f"{rounds(3, 50)} rounds of 8 processes in {time.monotonic() - started:.1f} s")


def test_the_migrations_are_numbered_without_a_gap() -> None:
    assert list(migrations.MIGRATIONS) == list(range(1, migrations.VERSION + 1))
    assert re.search(rf"\b{migrations.VERSION}: [a-z`]", Path(migrations.__file__).read_text("utf-8"), re.M), "say what it adds"
