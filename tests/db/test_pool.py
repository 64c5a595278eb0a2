"""Connections to PostgreSQL: given back whatever happens, never held while others work, dropped when they are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

import psycopg
import pytest

from graphflow import END, START, StateGraph
from graphflow.db import PostgresDb
from graphflow.errors import CorruptCheckpoint, DatabaseFailed, LeaseLost
from tests.forking import fork
from tests.postgres import Server

from .conftest import Writer, fork_while_writing

REPOSITORY = Path(__file__).resolve().parents[2]


class Served:
    """A database, and how its server sees its connections."""

    def __init__(self, server: Server, schema: str, **options: Any) -> None:
        self.server = server
        self.schema = schema
        self.db = PostgresDb(f"{server.url_within(schema)}&application_name={schema}", **options)

    def states(self) -> list[str]:
        """What the connections are doing."""
        found = self.server.ask("SELECT state FROM pg_stat_activity WHERE application_name = %s", self.schema)
        return [state for (state,) in found]

    def come_to(self, expected: list[str]) -> bool:
        """Whether the connections are soon in these states: a server takes a moment to notice that one is closed."""
        deadline = time.monotonic() + 20
        while self.states() != expected and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.states() == expected

    def end(self) -> None:
        """The server hangs up on all connections."""
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
        self.server.ask(query, self.schema)


@pytest.fixture
def served(postgres_server: Server) -> Iterator[Served]:
    """With one connection, so that one that is not given back is missed."""
    with postgres_server.schema() as name:
        made = Served(postgres_server, name, pool_size=1, busy_timeout=5)
        yield made
        made.db.close()


def raising(error: Exception) -> Any:
    def work(tx: Any) -> None:
        tx.execute("SELECT 1")
        raise error

    return work


def test_no_connection_is_held_while_a_node_runs(served: Served) -> None:
    """The node itself uses the one connection."""

    class State(TypedDict):
        seen: list[str]
        status: str

    def look(state: State) -> dict[str, Any]:
        session = served.db.get_session("s1")
        assert session is not None
        return {"seen": served.states(), "status": session.status}

    graph = StateGraph(State).add_node("look", look).add_edge(START, "look").add_edge("look", END).compile(db=served.db)
    assert graph.invoke({}, session_id="s1").value == {"seen": ["idle"], "status": "running"}


def test_a_connection_is_given_back_after_every_kind_of_error(served: Served) -> None:
    db = served.db
    session = Writer(db)
    session.begin("r1")
    late = Writer(db)
    late.head, late.epoch, late.run_id = 0, 7, "r1"
    with pytest.raises(LeaseLost):
        late.step({"count": {"set": 1}})
    with pytest.raises(KeyError):
        db._write(raising(KeyError("mine")))
    with pytest.raises(KeyError):
        db._read(raising(KeyError("mine")))
    with pytest.raises(psycopg.errors.UndefinedColumn, match="nothing of it was written"):
        db._write(lambda tx: tx.execute("UPDATE gf_sessions SET nothing = 1"))
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        db._read(lambda tx: tx.execute("UPDATE gf_sessions SET head = 1"))
    with pytest.raises(CorruptCheckpoint, match="stands where none should be"):
        db._write(lambda tx: tx.execute("INSERT INTO gf_checkpoints SELECT * FROM gf_checkpoints"))
    assert served.come_to(["idle"])
    session.step({"count": {"set": 2}})
    assert session.load().values["count"] == 2


def test_a_transaction_that_failed_unnoticed_is_not_taken_for_committed(served: Served) -> None:
    def work(tx: Any) -> None:
        tx.execute("UPDATE gf_sessions SET name = 'lost'")
        with pytest.raises(psycopg.Error):
            tx.execute("nonsense")

    Writer(served.db).turn("r1")
    with pytest.raises(RuntimeError, match="nothing of it was written"):
        served.db._write(work)
    assert served.db.get_sessions()[0].name is None


def test_more_threads_than_connections_take_turns(postgres_server: Server) -> None:
    with postgres_server.schema() as name:
        served = Served(postgres_server, name, pool_size=2)
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(lambda n: Writer(served.db, f"s{n}").turn(f"r{n}"), range(48)))
        assert served.come_to(["idle"] * 2)
        assert served.db.count_sessions() == 48 and served.db.check().ok
        served.db.close()
        assert served.come_to([])


def test_waiting_for_a_connection_ends_with_a_name_for_what_to_change(postgres_server: Server) -> None:
    with postgres_server.schema() as name:
        db = PostgresDb(postgres_server.url_within(name), pool_size=1, busy_timeout=0.2, retry_timeout=0.0)
        with pytest.raises(DatabaseFailed, match=r"all 1 connections .* 0\.2 seconds; give a larger pool_size="):
            db._write(lambda tx: db.get_sessions())
        assert db.get_sessions() == []
        db.close()


def test_a_statement_takes_no_longer_than_its_timeout(postgres_server: Server) -> None:
    with postgres_server.schema() as name:
        served = Served(postgres_server, name, statement_timeout=0.2)
        started = time.monotonic()
        with pytest.raises(DatabaseFailed, match="statement timeout"):
            served.db._write(lambda tx: tx.execute("SELECT pg_sleep(30)"))
        assert time.monotonic() - started < 10
        assert served.come_to(["idle"])
        served.db.close()


def test_closing_while_a_thread_is_at_work_lets_it_finish(served: Served) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def work(tx: Any) -> None:
        inside.set()
        assert go_on.wait(30)
        tx.execute("UPDATE gf_sessions SET status = 'finished'")

    Writer(served.db).turn("r1")
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(served.db._write, work)
        assert inside.wait(30)
        served.db.close()
        go_on.set()
        future.result(30)
    assert served.come_to([])
    assert served.db.get_sessions()[0].status == "finished"


# --- lost connections ------------------------------------------------------------------------------------------------------


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(served: Served) -> None:
    session = Writer(served.db)
    session.begin("r1")
    served.end()
    session.step({"count": {"set": 1}})
    served.end()
    assert session.load().values["count"] == 1
    assert served.come_to(["idle"])


def test_a_connection_lost_in_a_transaction_is_an_error_that_says_nothing_was_written(served: Served) -> None:
    def work(tx: Any) -> None:
        tx.execute("UPDATE gf_sessions SET name = 'lost'")
        served.end()
        tx.execute("SELECT 1")

    Writer(served.db).turn("r1")
    with pytest.raises(DatabaseFailed, match="nothing of it was written") as caught:
        served.db._write_once(work)
    assert caught.value.transient and caught.value.written is False
    assert served.db.get_sessions()[0].name is None


@pytest.mark.parametrize("plain", [True, False])
def test_a_connection_lost_in_every_commit_is_an_error_that_leaves_open_what_was_written(served: Served, plain: bool) -> None:
    """The server hangs up when the transaction is about to be committed: a trigger ends its own connection."""
    session = Writer(served.db)
    session.begin("r1")
    code = "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END"
    name = served.schema
    served.server.ask(f"CREATE FUNCTION {name}.hang_up() RETURNS trigger LANGUAGE plpgsql AS '{code}'")
    served.server.ask(
        f"CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON {name}.gf_checkpoints DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION {name}.hang_up()"
    )
    served.db.retry_timeout = 0.3
    with pytest.raises(DatabaseFailed, match="may be written or not") as caught:
        session.step({"count": {"set": 1}}) if plain else session.end()
    assert caught.value.written is None and "tried again for 0.2" in caught.value.__notes__[0]
    served.server.ask(f"DROP TRIGGER hang_up ON {name}.gf_checkpoints")
    assert session.load().seq == 0
    assert served.db.check().ok


def test_a_process_that_stalls_in_a_transaction_is_cut_off_when_its_lease_has_run_out(postgres_server: Server) -> None:
    with postgres_server.schema() as name:
        url = postgres_server.url_within(name)
        stalled, other = PostgresDb(url, lease_ttl=0.3), PostgresDb(url)
        Writer(other).turn("r1")
        waited: list[float] = []

        def work(tx: Any) -> None:
            tx.execute("UPDATE gf_sessions SET name = 'stalled'")
            started = time.monotonic()
            other.rename_session("s1", "other")
            waited.append(time.monotonic() - started)

        with pytest.raises(DatabaseFailed, match="idle-in-transaction"):
            stalled._write_once(work)
        assert 0.1 < waited[0] < 10
        assert other.get_sessions()[0].name == "other"
        stalled.close()
        other.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(served: Served) -> None:
    session = Writer(served.db)
    session.begin("r1", {"notes": {"append": ["parent"]}})
    assert fork(lambda: session.step({"notes": {"append": ["child"]}})).join() == 0
    session.head += 1
    session.values["notes"] = ["parent", "child"]
    session.step({"notes": {"append": ["parent again"]}})
    assert session.load().values["notes"] == ["parent", "child", "parent again"]
    assert served.come_to(["idle"]), "the parent's connection is as it was, the child's is gone"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_while_another_thread_writes_leaves_the_child_able_to_write(postgres_db: PostgresDb) -> None:
    fork_while_writing(postgres_db)
    assert postgres_db.count_sessions() == 5 and postgres_db.check().ok


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copied on this system")
def test_a_killed_process_holds_nothing_through_the_children_it_forked(served: Served) -> None:
    """The server learns of the kill at once, though a child has a copy of the socket; else it would wait for lease_ttl."""
    code = """
import os, signal, sys
from graphflow.db import PostgresDb
db = PostgresDb(sys.argv[1], lease_ttl=600)
db.get_sessions()
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
def work(tx):
    tx.execute("UPDATE gf_sessions SET name = 'killed'")
    os.kill(os.getpid(), signal.SIGKILL)
db._write(work)
"""
    Writer(served.db).turn("r1")
    url = served.server.url_within(served.schema)
    with subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.wait(60) == -signal.SIGKILL
        started = time.monotonic()
        assert served.db.get_sessions()[0].name is None
        served.db.rename_session("s1", "free")
        assert time.monotonic() - started < 10


def test_a_server_that_vanishes_while_it_is_asked_is_given_up_after_a_minute(served: Served) -> None:
    """Also where something waits to be acknowledged, when keepalives are not sent; what the URL says counts more."""
    told: list[Any] = []

    def noting(db: PostgresDb) -> None:
        db.count_sessions()
        assert db._pool is not None
        (connection,) = db._pool._all
        told.append(connection._driver.info.get_parameters().get("tcp_user_timeout"))

    noting(served.db)
    other = PostgresDb(f"{served.server.url_within(served.schema)}&tcp_user_timeout=5000")
    noting(other)
    other.close()
    assert told == ["60000", "5000"]
