"""What only PostgresDb does: URLs, schemas, a pool of connections that are lost and forked."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphflow.db import InMemoryDb, PostgresDb, migrations
from graphflow.errors import DatabaseFailed, SchemaTooNew
from graphflow.messages import ImagePart, Message
from tests.postgres import PASSWORD, Server

from .conftest import Writer

REPOSITORY = Path(__file__).resolve().parents[2]
NOWHERE = "postgresql://ai:secret@127.0.0.1:1/ai"


@pytest.fixture
def schema(postgres_server: Server) -> Iterator[str]:
    """The name of an empty schema."""
    with postgres_server.schema() as name:
        yield name


def python(code: str, *args: object, **pipes: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **pipes)


def output(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    return text.strip()


# --- URLs ------------------------------------------------------------------------------------------------------------------


def test_constructing_connects_to_nothing_and_loads_no_driver() -> None:
    code = "import sys; from graphflow.db import PostgresDb; PostgresDb(sys.argv[1]); print('psycopg' in sys.modules)"
    assert output(python(code, NOWHERE)) == "False"


@pytest.mark.parametrize("begin", ["postgresql://", "postgresql+psycopg://", "postgres://"])
def test_every_way_to_write_the_url_leads_to_the_same_database(postgres_server: Server, schema: str, begin: str) -> None:
    rest = postgres_server.url.partition("://")[2]
    db = PostgresDb(begin + rest, schema)
    assert db.get_sessions() == []
    assert db.identity == PostgresDb("postgresql+psycopg://" + rest, schema).identity
    assert db.identity != PostgresDb(begin + rest, "other").identity
    db.close()


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("mysql://ai:secret@localhost/ai", {}, "mysql://, but"),
        ("postgresql+asyncpg://ai:secret@localhost/ai", {}, "asyncpg"),
        ("ai:secret@localhost", {}, "cannot be read"),
        ("postgresql://ai:secret@localhost:port/ai", {}, "cannot be read"),
        (NOWHERE, {"pool_size": 0}, "pool_size=0"),
        (NOWHERE, {"statement_timeout": 0}, "statement_timeout=0"),
        (NOWHERE, {"lease_ttl": 0}, "lease_ttl=0"),
        (NOWHERE, {"schema": ""}, "schema=''"),
        (NOWHERE, {"schema": 'a"; DROP SCHEMA public'}, "letters, digits"),
        (NOWHERE, {"schema": "pg_own"}, "pg_own"),
        (NOWHERE, {"schema": "ä" * 32}, "63 bytes"),
    ],
)
def test_bad_options_are_errors_without_the_password(url: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        PostgresDb(url, **options)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_password_of_any_characters_is_understood_and_shown_nowhere(postgres_server: Server, schema: str) -> None:
    url = postgres_server.url_over_network()
    if url is None:
        pytest.skip("the password of the server at hand is not known")
    db = PostgresDb(url, schema)
    assert db.get_sessions() == []
    shown = [repr(db), str(db), db.identity, repr(db._pool._settings)]  # type: ignore[union-attr]
    db.close()
    for changed in ({"password": PASSWORD + "?"}, {"host": "127.0.0.1", "port": 1}, {"database": "missing"}):
        wrong = PostgresDb(postgres_server.url_over_network(**changed), schema)  # type: ignore[arg-type]
        with pytest.raises(DatabaseFailed, match="no connection to postgresql://127") as caught:
            wrong.get_sessions()
        shown.append("".join(traceback.format_exception(caught.value)))
    assert not [text for text in shown if "cake" in text]


def test_what_stands_behind_the_question_mark_goes_to_libpq(postgres_server: Server, schema: str) -> None:
    db = PostgresDb(postgres_server.url_within(schema) + "&application_name=my-app", statement_timeout=None, lease_ttl=7)
    names = ("application_name", "search_path", "statement_timeout", "idle_in_transaction_session_timeout", "client_encoding")
    found = db._read(lambda tx: [tx.one(f"SHOW {name}", {})[0] for name in names])  # type: ignore[index]
    assert found == ["my-app", schema, "0", "7s", "UTF8"]
    db.close()


# --- schemas ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "-Mixed_Case", "_größe"])
def test_everything_is_in_the_schema_and_found_there_only(postgres_server: Server, schema: str, suffix: str) -> None:
    """The search_path leads nowhere: a statement that forgot the schema would fail."""
    name = schema + suffix
    url = postgres_server.url_within("nowhere")
    db, other = PostgresDb(url, name), PostgresDb(postgres_server.url_within(schema))
    try:
        use(db)
        assert other.count_sessions() == 0
        tables = postgres_server.ask("SELECT tablename FROM pg_tables WHERE schemaname = %s", name)
        assert {"gf_sessions", "gf_checkpoints", "gf_messages", "gf_runs"} <= {table for (table,) in tables}
    finally:
        db.close()
        other.close()
        if suffix:
            postgres_server.ask(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


def use(db: PostgresDb) -> None:
    """Call what users and machines call."""
    session = Writer(db, user_id="ann")
    session.turn("r1")
    session.begin("r2", messages=[Message("user", [ImagePart(data=b"...")])])
    session.step({"count": {"set": 1}})
    session.end()
    assert session.load(with_log=True).values["count"] == 1
    assert [run.status for run in db.get_runs("s1", include_members=True)] == ["completed"] * 2
    assert len(db.get_messages("s1", last_runs=1)) == 1 and len(db.get_run_messages("r1")) == 2
    assert db.get_run("r1") is not None and db.get_session_summary("s1") is None
    assert db.get_sessions(user_id="ann", sort_by="name", sort_order="asc")[0].session_id == "s1"
    db.rename_session("s1", "tea")
    db.fork_session("s1", session_id="s2")
    db.import_session(db.export_session("s2"), session_id="s3")
    db.renew_leases([], [("s1", 1)])
    assert db.count_sessions() == 3 and db.check().ok
    assert db.delete_session("s3") and db.delete_user("ann") == 2
    assert db.check().checked == 0


def test_a_role_that_may_make_nothing_uses_what_is_there(postgres_server: Server, schema: str) -> None:
    owner = PostgresDb(postgres_server.url, schema)
    Writer(owner).turn("r1")
    owner.close()
    role = f"{schema}_reader"
    postgres_server.ask(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role}")
    postgres_server.ask(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
    postgres_server.ask(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
    try:
        db = PostgresDb(postgres_server.url + f"&options=-c role={role}", schema)
        Writer(db, "s2").turn("r2")
        assert db.count_sessions() == 2
        db.close()
    finally:
        postgres_server.ask(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_eight_processes_make_the_schema_at_once(postgres_server: Server, schema: str) -> None:
    code = """
import sys
from graphflow.db import PostgresDb
db = PostgresDb(sys.argv[1], sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
assert db.get_sessions() == []
assert db.check().ok
db.close()
"""
    name = f"{schema}_new"
    started = [python(code, postgres_server.url, name, stdin=subprocess.PIPE) for _ in range(8)]
    try:
        for process in started:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in started:
            assert output(process) == ""
        versions = [(number,) for number in migrations.MIGRATIONS]
        assert postgres_server.ask(f"SELECT version FROM {name}.gf_schema ORDER BY version") == versions
    finally:
        postgres_server.ask(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def test_a_schema_newer_than_the_library_is_refused_and_left_alone(
    postgres_server: Server, schema: str, postgres_db: PostgresDb
) -> None:
    Writer(postgres_db).turn("r1")
    postgres_db._write(lambda tx: tx.execute("INSERT INTO gf_schema VALUES (99, 0)"))
    postgres_db.close()
    for _ in range(2):
        with pytest.raises(SchemaTooNew, match="schema version 99"):
            postgres_db.get_sessions()


def test_a_migration_is_applied_once(postgres_db: PostgresDb, monkeypatch: pytest.MonkeyPatch) -> None:
    Writer(postgres_db).turn("r1")
    postgres_db.close()
    applied: list[int] = []
    monkeypatch.setitem(migrations.MIGRATIONS, migrations.VERSION + 1, lambda tx: applied.append(1))
    monkeypatch.setattr(migrations, "VERSION", migrations.VERSION + 1)
    for _ in range(2):
        assert len(postgres_db.get_messages("s1")) == 2
        postgres_db.close()
    assert applied == [1]


# --- what the server keeps apart -------------------------------------------------------------------------------------------


def test_hot_statements_find_their_rows_by_an_index(postgres_db: PostgresDb) -> None:
    session = Writer(postgres_db)
    session.turn("r1")
    sql = postgres_db._statements()
    names = dict.fromkeys(("low", "high", "before", "count", "session", "origin"), 1)
    names["taken_under"] = 1
    names |= dict.fromkeys(("session_id", "ns", "user_id", "me", "run_id"), "x")
    statements = (sql.load_head, sql.load_nested, sql.chain, sql.load_tasks, sql.log_range, sql.last_runs, sql.find_run)
    for statement in (*statements, sql.ordinals_of_user, sql.end_lease, sql.delete_session[0]):

        def explain(tx: Any, statement: str = statement) -> list[str]:
            tx.execute("SET LOCAL enable_seqscan = off")
            return [row[0] for row in tx.all(f"EXPLAIN {statement}", names)]

        plan = postgres_db._write(explain)
        assert not [line for line in plan if "Seq Scan" in line], plan


def test_the_session_moves_to_another_kind_of_database_and_back(postgres_db: PostgresDb) -> None:
    Writer(postgres_db).turn("r1", "Grüße 🫖 \0 \ud800", anything={"deep": ["\0"]})
    elsewhere = InMemoryDb()
    elsewhere.import_session(postgres_db.export_session("s1"))
    postgres_db.import_session(elsewhere.export_session("s1"), session_id="s2")
    assert postgres_db.get_messages("s2")[0].text == "Grüße 🫖 \0 \ud800"
    assert Writer(postgres_db, "s2").load().values["anything"] == {"deep": ["\0"]}
