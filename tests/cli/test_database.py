"""``graphflow db`` and ``graphflow sessions prune``: what they say, what they exit with, and what they leave alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from graphflow.cli.main import app
from graphflow.db import PostgresDb, SqliteDb, migrations
from tests.db.fixtures import program
from tests.postgres import Server

OLD = Path(program.__file__).parent / "schema-1.sqlite"


def invoke(*arguments: str, said: str | None = None) -> tuple[int, str, str]:
    """Run the command in this process: exit code, stdout, stderr."""
    result = CliRunner().invoke(app, list(arguments), input=said)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A database of the first schema."""
    shutil.copy(OLD, tmp_path / "old.db")
    return str(tmp_path / "old.db")


def change(file: Any, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def test_status_and_upgrade_of_an_old_file(old: str) -> None:
    latest = migrations.VERSION
    code, out, _ = invoke("db", "status", "--db", old)
    assert code == 0 and out == f"schema version 1, this graphflow knows up to {latest}: upgraded by the first use\n"
    assert invoke("db", "upgrade", "--db", old)[:2] == (0, f"schema version 1 → {latest}\n")
    assert invoke("db", "upgrade", "--db", old)[:2] == (0, f"schema version {latest}: nothing to do\n")
    code, out, _ = invoke("db", "status", "--db", old, "--json")
    assert code == 0 and json.loads(out) == {"version": latest, "latest": latest, "state": "up to date"}


def test_upgrade_makes_a_new_file_and_status_does_not(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    code, _, err = invoke("db", "status", "--db", str(path))
    assert code == 1 and "there is no database" in err and not path.exists()
    assert invoke("db", "upgrade", "--db", str(path))[0] == 0
    assert SqliteDb(path).schema_status().version == migrations.VERSION


def test_looking_brings_no_schema_up_to_another_version(old: str) -> None:
    before = Path(old).read_bytes()
    looking = ("db", "check"), ("sessions", "list"), ("sessions", "show", "s"), ("sessions", "prune", "--keep-last", "1")
    for command in looking:
        code, out, err = invoke(*command, "--db", old)
        assert (code, out) == (1, "") and "graphflow db upgrade" in err, command
    assert Path(old).read_bytes() == before


def test_tables_are_made_in_a_database_that_has_none(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    (tmp_path / "empty.db").touch()
    for name in ("other.db", "empty.db"):
        place = str(tmp_path / name)
        code, out, _ = invoke("db", "status", "--db", place)
        assert code == 0 and out.startswith("schema version none, ") and "made by the first use" in out
        assert invoke("db", "upgrade", "--db", place)[:2] == (0, f"schema version none → {migrations.VERSION}\n")
        assert invoke("sessions", "list", "--db", place)[0] == 0


def test_a_schema_that_is_too_new_is_told_without_a_traceback(old: str) -> None:
    change(old, "INSERT INTO gf_schema VALUES (99, 0)")
    code, out, _ = invoke("db", "status", "--db", old)
    assert code == 1 and "schema version 99" in out and "install a newer graphflow" in out
    for command in (("db", "check"), ("db", "upgrade"), ("sessions", "prune", "--keep-last", "1"), ("sessions", "list")):
        code, out, err = invoke(*command, "--db", old)
        assert code == 1 and out == "" and err.startswith("graphflow: the database has schema version 99"), command


def test_check_says_that_all_is_well_or_what_is_not(stored: Path) -> None:
    code, out, _ = invoke("db", "check", "--db", str(stored))
    assert code == 0 and "rows checked, no problems" in out
    change(stored, "UPDATE gf_messages SET body = '\"other\"' WHERE seq = 2 AND session = 1")
    code, out, _ = invoke("db", "check", "--db", str(stored))
    assert code == 1 and "✗ message 2 of session 'ann-1' does not match its checksum" in out and "1 problem" in out
    code, out, _ = invoke("db", "check", "--db", str(stored), "--json")
    report = json.loads(out)
    assert code == 1 and not report["ok"] and len(report["problems"]) == 1 and report["checked"] > 5


def test_repair_asks_first_and_says_what_was_lost(stored: Path) -> None:
    change(stored, "UPDATE gf_messages SET body = '\"other\"' WHERE seq = 4 AND session = 1")
    assert invoke("db", "repair", "ann-1", "--db", str(stored), said="n\n")[0] == 1
    assert invoke("db", "check", "--db", str(stored))[0] == 1
    code, out, _ = invoke("db", "repair", "ann-1", "--db", str(stored), "--yes")
    assert code == 0 and "lost: message 4" in out and "stands at checkpoint" in out
    assert invoke("db", "check", "--db", str(stored))[0] == 0
    assert "nothing is damaged" in invoke("db", "repair", "ann-1", "--db", str(stored), "--yes")[1]


def test_repair_of_a_session_that_is_not_there_asks_nothing(stored: Path) -> None:
    code, out, err = invoke("db", "repair", "nope", "--db", str(stored), said="y\n")
    assert (code, out) == (1, "") and err.startswith("graphflow: there is no session 'nope'") and err.count("\n") == 1
    change(stored, "UPDATE gf_sessions SET name = 'other' WHERE ordinal = 1")
    assert "Take session 'ann-1' back" in invoke("db", "repair", "ann-1", "--db", str(stored), said="n\n")[2]


def test_prune_keeps_what_was_said(stored: Path) -> None:
    def messages() -> list[str]:
        db = SqliteDb(stored)
        found = [message.text for message in db.get_messages("ann-1")]
        db.close()
        return found

    before = messages()
    code, out, _ = invoke("sessions", "prune", "--keep-last", "1", "--db", str(stored), "--user", "ann")
    assert (code == 0 and out.startswith("5 checkpoints of 2 sessions pruned: ")) or "checkpoints of 2 sessions pruned" in out
    assert messages() == before and invoke("db", "check", "--db", str(stored))[0] == 0
    code, out, _ = invoke("sessions", "prune", "--older-than", "30d", "--db", str(stored))
    assert code == 0 and out.startswith("0 checkpoints of 0 sessions")


def test_a_damaged_session_keeps_no_other_from_being_pruned_or_deleted(stored: Path) -> None:
    change(stored, "UPDATE gf_checkpoints SET delta = '{}' WHERE session = 1 AND seq = 1")
    change(stored, "UPDATE gf_sessions SET updated_at = updated_at + 1 WHERE ordinal = 1")
    prune = ("sessions", "prune", "--keep-last", "1", "--older-than", "0s", "--delete-sessions", "--yes", "--db", str(stored))
    code, out, err = invoke(*prune)
    assert (code, out) == (1, "") and "does not match its checksum" in err and "deleted_sessions=2" in err


def test_prune_deletes_sessions_only_when_told_twice(stored: Path) -> None:
    prune = ("sessions", "prune", "--older-than", "0s", "--delete-sessions", "--db", str(stored))
    assert invoke(*prune, said="n\n")[0] == 1
    code, out, _ = invoke(*prune, "--yes")
    assert code == 0 and "3 sessions deleted" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --keep-last, --older-than, or both"),
        (("--older-than", "soon"), "is no age"),
        (("--older-than", "-3d"), "is no age"),
        (("--older-than", "9999999999999999999w"), "is longer than anything was kept"),
        (("--older-than", "9" * 400 + "s"), "is longer than anything was kept"),
        (("--keep-last", "1", "--delete-sessions"), "needs --older-than"),
    ],
)
def test_prune_wants_to_know_what(stored: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = invoke("sessions", "prune", *arguments, "--db", str(stored))
    assert code == 2 and message in err


def test_postgresql_is_named_by_its_url(postgres_server: Server) -> None:
    with postgres_server.schema() as schema:
        place = ("--db", postgres_server.url, "--schema", schema)
        assert "made by the first use" in invoke("db", "status", *place)[1]
        assert invoke("db", "upgrade", *place)[0] == 0
        program.talk(PostgresDb(postgres_server.url, schema))
        code, out, _ = invoke("db", "check", *place)
        assert code == 0 and "no problems" in out


def test_a_url_or_a_place_that_is_wrong_is_told(tmp_path: Path) -> None:
    assert "mysql" in invoke("db", "status", "--db", "mysql://x/y")[2]
    code, _, err = invoke("db", "status", "--db", "postgresql://ai:secret@127.0.0.1:1/ai")
    assert code == 1 and "secret" not in err and len(err.splitlines()) == 1
    assert "--schema is for PostgreSQL" in invoke("db", "status", "--schema", "x", "--db", str(tmp_path))[2]
