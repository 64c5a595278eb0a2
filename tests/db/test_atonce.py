"""Commits of one statement on PostgreSQL: what they write is what many statements write, and nothing where they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from graphflow import Agent
from graphflow.db import PostgresDb, SqliteDb
from graphflow.errors import CorruptCheckpoint, LeaseLost, SessionBusy
from graphflow.messages import Message
from graphflow.testing import ScriptedModel
from tests.postgres import Server

from .conftest import Writer


@contextmanager
def executed(db: PostgresDb) -> Iterator[list[str]]:
    """What is executed meanwhile, by the names of the statements."""
    sql = db._statements()
    names = {value: name for name, value in vars(sql).items() if isinstance(value, str)}
    seen: list[str] = []
    connection: Any = db._ready()._idle[-1]  # the one that is used next
    execute = connection.tx.execute

    def noting(text: str, *parameters: Any) -> Any:
        seen.append(names.get(text, text.split(" ", 1)[0]))
        return execute(text, *parameters)

    connection.tx.execute = noting
    try:
        yield seen
    finally:
        connection.tx.execute = execute


@pytest.fixture
def postgres_db(postgres_server: Server) -> Iterator[PostgresDb]:
    """A database whose statements all go over one connection."""
    with postgres_server.schema() as name:
        made = PostgresDb(postgres_server.url_within(name), pool_size=1)
        yield made
        made.close()


def test_a_turn_is_five_statements_and_the_next_one_two(postgres_db: PostgresDb) -> None:
    agent = Agent(ScriptedModel(["hello"] * 5), db=postgres_db, session_id="s")
    for _ in range(3):
        agent.run("hi")
    postgres_db._recent.drop("s")
    with executed(postgres_db) as seen:
        agent.run("hi")
        agent.run("hi")
    assert seen == ["load_finished", "begin", "last_runs", "log_range", "end", "begin", "end"]


def test_the_first_turn_of_a_session_is_four_statements(postgres_db: PostgresDb) -> None:
    agent = Agent(ScriptedModel(["hello"] * 2), db=postgres_db)
    agent.run("hi", session_id="s1")  # what the graph looks like is stored with the first run
    with executed(postgres_db) as seen:
        agent.run("hi", session_id="s2")
    assert seen == ["load_finished", "find_session", "found", "end"]
    assert postgres_db.check().ok


def test_where_a_session_with_little_state_stands_is_one_row_and_with_more_a_chain(postgres_db: PostgresDb) -> None:
    little, more = Writer(postgres_db, "little"), Writer(postgres_db, "more")
    for number in range(3):
        little.turn(f"l{number}", count=number)
        more.turn(f"m{number}", anything="x" * 400, count=number)
    with executed(postgres_db) as seen:
        assert little.load().values["count"] == 2
        loaded = more.load(with_log=True)
    assert (loaded.values["anything"], loaded.values["count"], len(loaded.values["messages"])) == ("x" * 400, 2, 2)
    assert seen == ["load_finished", "load_finished", "chain", "log_range"]
    assert little.weight.snapshot_seq == little.head and more.weight.snapshot_seq < more.head
    for session in (little, more):
        stored = session.load()
        assert (stored.weight, stored.weight.texts) == (session.weight, session.weight.texts)


def test_a_lost_or_changed_row_of_the_chain_is_noticed(postgres_db: PostgresDb) -> None:
    session = Writer(postgres_db)
    session.turn("r1", anything="x" * 400)
    postgres_db._write(lambda tx: tx.execute("UPDATE gf_checkpoints SET created_at = created_at + 1 WHERE seq = 0"))
    with pytest.raises(CorruptCheckpoint, match="checkpoint 0 of session 's1' does not match its checksum"):
        session.load()
    postgres_db._write(lambda tx: tx.execute("DELETE FROM gf_checkpoints WHERE seq = 0"))
    with pytest.raises(CorruptCheckpoint, match="checkpoint 0 of session 's1' is missing"):
        session.load()


def test_a_step_with_messages_is_one_statement_too(postgres_db: PostgresDb) -> None:
    session = Writer(postgres_db)
    session.begin("r1")
    with executed(postgres_db) as seen:
        session.step({"count": {"set": 1}})
        session.step({"count": {"set": 2}}, [Message("assistant", "a"), Message("user", "b")])
    assert seen == ["step", "say"]
    assert [message.text for message in postgres_db.get_messages("s1")] == ["a", "b"]
    assert session.load().values["count"] == 2


def rows(db: Any) -> dict[str, Any]:
    """Everything stored, without what differs from run to run: times, checksums, who holds what."""
    different = {"created_at", "updated_at", "ended_at", "sha256", "seal", "time_seal", "lease_owner", "lease_until", "metrics"}

    def work(tx: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for table, columns in tx.sql.columns.items():
            if table != "gf_media":
                statement = f"SELECT * FROM {table}"
                kept = [place for place, name in enumerate(columns) if name not in different]
                found[table] = sorted(repr([row[place] for place in kept]) for row in tx.all(statement, {}))
        return found

    return db._read(work)


def talk(db: Any) -> None:
    """Two runs with every kind of commit."""
    session = Writer(db, user_id="ann")
    session.turn("r1", "hello", "hi", count=1)
    session.begin("r2", {"anything": {"set": "ä"}}, [Message("user", "line\n'; --")])
    session.step({"count": {"set": 2}})
    session.step({"notes": {"append": ["n"]}}, [Message("assistant", "one"), Message("assistant", "two")])
    session.end(messages=[Message("assistant", "bye")])


def test_it_writes_what_the_many_statements_write(postgres_db: PostgresDb, sqlite_db: SqliteDb) -> None:
    sqlite_db._light = postgres_db._light
    assert postgres_db._light
    talk(postgres_db)
    talk(sqlite_db)
    assert rows(postgres_db) == rows(sqlite_db)
    assert postgres_db.check().ok


def test_where_the_session_stands_elsewhere_nothing_is_written(postgres_db: PostgresDb) -> None:
    session = Writer(postgres_db)
    session.turn("r1")
    before = rows(postgres_db)
    late = Writer(postgres_db)
    late.head, late.epoch, late.log_head, late.weight = 0, 1, session.log_head, session.weight
    for attempt in (lambda: late.begin("r2", messages=[Message("user", "x")]), lambda: late.end(status="error")):
        with pytest.raises(LeaseLost):
            attempt()
        late.head, late.epoch = 0, 1
    assert rows(postgres_db) == before


def test_a_session_that_is_there_meanwhile_and_a_run_id_that_is_taken_are_refused(postgres_db: PostgresDb) -> None:
    Writer(postgres_db).turn("r1")
    before = rows(postgres_db)
    with pytest.raises(LeaseLost, match="expected that it did not exist"):
        Writer(postgres_db).begin("r2")
    with pytest.raises(ValueError, match="there is a run 'r1' already"):
        Writer(postgres_db, "s2").begin("r1")
    assert rows(postgres_db) == before


def test_a_run_id_that_is_taken_and_a_session_that_is_held_are_refused(postgres_db: PostgresDb) -> None:
    session = Writer(postgres_db)
    session.turn("r1")
    before = rows(postgres_db)
    with pytest.raises(ValueError, match="there is a run 'r1' already"):
        session.begin("r1")
    postgres_db._write(lambda tx: tx.execute("UPDATE gf_sessions SET lease_owner = 'elsewhere:1:1:x', lease_until = 9e15"))
    with pytest.raises(SessionBusy):
        session.begin("r2")
    assert rows(postgres_db) == before


def test_a_session_without_an_owner_is_adopted_by_the_first_user(postgres_db: PostgresDb) -> None:
    session = Writer(postgres_db)
    session.turn("r1")
    session.user_id = "ann"
    session.turn("r2")
    stored = postgres_db.get_session("s1", user_id="ann")
    assert stored is not None and stored.user_id == "ann"


def test_a_session_whose_row_was_changed_is_refused_before_anything_is_written(postgres_db: PostgresDb) -> None:
    agent = Agent(ScriptedModel(["hello"] * 2), db=postgres_db, session_id="s")
    agent.run("hi")
    postgres_db._write(lambda tx: tx.execute("UPDATE gf_sessions SET component_id = 'other'"))
    before = rows(postgres_db)
    postgres_db._recent.drop("s")
    with pytest.raises(CorruptCheckpoint, match="does not match its checksum"):
        agent.run("hi")
    assert rows(postgres_db) == before


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize(
    ("statement", "ns"),
    [
        ("load_finished", ""),
        ("last_runs", ""),
        ("log_of_runs", ""),
        *((name, ns) for name in ("last_runs_inside", "log_range", "log_since") for ns in ("", "inner:7.0")),
    ],
)
def test_it_is_read_by_keys_whatever_the_planner_knows_of_the_tables(
    postgres_db: PostgresDb, statement: str, ns: str, analysed: bool
) -> None:
    """Without statistics a planner takes every table for a small one, and any way through it for as good as another."""
    session = Writer(postgres_db)
    for number in range(300):
        session.turn(f"r{number}")
    if ns:
        postgres_db._write(lambda tx: said_again_inside(tx, ns))
    if analysed:
        postgres_db._write(lambda tx: tx.execute("ANALYZE"))
    values = {"session_id": "s1", "session": 1, "user_id": None, "ns": ns, "low": 591, "before": 601, "high": 600, "count": 5}
    text = getattr(postgres_db._statements(), statement)

    (plan,) = postgres_db._read(lambda tx: tx.one(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", values))
    assert plan[0]["Plan"]["Actual Rows"] > 0
    assert touched(plan[0]["Plan"]) < 100


def said_again_inside(tx: Any, ns: str) -> None:
    """The runs and the log of the outermost graph once more, as those of a nested one."""
    tx.execute(
        "INSERT INTO gf_runs (run_id, session, ns, number, status, first_message, created_at) "
        "SELECT 'in-' || run_id, session, %(ns)s, number, status, first_message, created_at FROM gf_runs",
        {"ns": ns},
    )
    tx.execute(
        "INSERT INTO gf_messages (session, ns, seq, run, role, body, sha256) "
        "SELECT m.session, inner_run.ns, seq, inner_run.ordinal, role, body, m.sha256 FROM gf_messages m "
        "JOIN gf_runs r ON r.ordinal = m.run JOIN gf_runs inner_run ON inner_run.run_id = 'in-' || r.run_id"
    )


def touched(plan: dict[str, Any]) -> int:
    """The rows that the nodes of a plan gave, or looked at in vain."""
    rows = plan["Actual Rows"] + sum(rows for name, rows in plan.items() if name.startswith("Rows Removed"))
    return int(rows * plan["Actual Loops"]) + sum(map(touched, plan.get("Plans", ())))
