"""A PostgreSQL that crashes, hangs up, or is cut off while a transaction is committed: nothing is lost, nothing is doubled."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import make_url

from graphflow.db import PostgresDb
from tests import postgres
from tests.faults.conversations import Steps, Talkers
from tests.faults.proxy import AFTER, BEFORE, DURING, Proxy, between
from tests.faults.scale import rounds
from tests.faults.servers import CrashingServer, crashing_server

THREADS = 4
CRASHES, CRASHED_TURNS = rounds(2, 30), rounds(40, 1000)
TERMINATED, CUTS = rounds(10, 200), rounds(12, 200)

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def crashing() -> Iterator[CrashingServer]:
    try:
        with crashing_server() as server:
            yield server
    except postgres.Unavailable as reason:
        pytest.skip(f"no PostgreSQL to crash: {reason}")


def test_turns_go_on_while_the_server_crashes_and_comes_back(crashing: CrashingServer) -> None:
    db = PostgresDb(crashing.url)
    db.get_sessions()
    talkers = Talkers(db, THREADS, CRASHED_TURNS // THREADS)
    talkers.start()
    crashes = 0
    while talkers.go_on():
        due = crashes < CRASHES and talkers.said >= (crashes + 0.5) * CRASHED_TURNS / CRASHES
        if due:
            crashing.crash()
            time.sleep(random.uniform(0, 0.2))
            crashing.start()
            crashes += 1
        time.sleep(0.005)
    talkers.end()
    print(f"{crashes} crashes during {talkers.said} turns")
    assert crashes == CRASHES
    talkers.check()
    db.close()


def test_turns_go_on_while_connections_are_terminated(postgres_server: postgres.Server) -> None:
    with postgres_server.schema() as name:
        db = PostgresDb(f"{postgres_server.url_within(name)}&application_name={name}")
        db.get_sessions()
        talkers = Talkers(db, THREADS, rounds(25, 250))
        talkers.start()
        ended = 0
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        while talkers.go_on() and ended < TERMINATED:
            ended += postgres_server.ask(query, name)[0][0]
            time.sleep(random.uniform(0, 0.03))
        talkers.end()
        print(f"{ended} connections terminated during {talkers.said} turns")
        assert ended >= TERMINATED or talkers.said == THREADS * talkers.turns
        talkers.check()
        db.close()


def test_a_commit_whose_connection_is_cut_is_done_once(postgres_server: postgres.Server) -> None:
    """Before, during and after the server does it; plain steps of one statement, and transactions of several."""
    url = postgres_server.url_over_network()
    if url is None:
        pytest.skip("the server at hand is not reached over the network")
    own = make_url(url)
    assert own.host is not None and own.port is not None
    proxy = Proxy(own.host, own.port)
    with postgres_server.schema() as name:
        within = make_url(between(own, proxy)).update_query_dict({"options": f"-c search_path={name}", "sslmode": "disable"})
        db = PostgresDb(within, pool_size=2)
        db.get_sessions()
        proxy.chance = 0.2
        steps = Steps(db)
        finished = 0
        for number in count():
            if len(proxy.cuts) >= CUTS and {BEFORE, DURING, AFTER} <= set(proxy.cuts):
                break
            result = steps.graph.invoke({"count": 0}, session_id=f"s{number % 7}")
            assert result.status == "completed" and result["count"] == 4
            finished += 1
        proxy.chance = 0.0
        kinds = {how: proxy.cuts.count(how) for how in (BEFORE, DURING, AFTER)}
        print(f"{len(proxy.cuts)} commits cut during {finished} runs: {kinds}")
        assert set(steps.executed.values()) == {1} and len(steps.executed) == 4 * finished, "no step was done twice"
        runs = [run for number in range(min(7, finished)) for run in db.get_runs(f"s{number}")]
        assert len(runs) == finished and {run.status for run in runs} == {"completed"}
        for number in range(min(7, finished)):
            path = steps.graph.get_state(f"s{number}").values["path"]
            assert path == list("abcd") * len(db.get_runs(f"s{number}"))
        assert db.check().ok
        db.close()
    proxy.close()


def test_a_fork_and_a_deletion_whose_commits_are_cut_are_done_once(postgres_server: postgres.Server) -> None:
    url = postgres_server.url_over_network()
    if url is None:
        pytest.skip("the server at hand is not reached over the network")
    own = make_url(url)
    assert own.host is not None and own.port is not None
    proxy = Proxy(own.host, own.port)
    with postgres_server.schema() as name:
        within = make_url(between(own, proxy)).update_query_dict({"options": f"-c search_path={name}", "sslmode": "disable"})
        db = PostgresDb(within, pool_size=1)
        Steps(db).graph.invoke({"count": 0}, session_id="source")
        proxy.chance = 0.5
        forks = [db.fork_session("source", session_id=f"fork-{number}") for number in range(rounds(10, 100))]
        assert all(db.delete_session(fork) for fork in forks)
        exported = db.export_session("source")
        copies = [db.import_session(exported, session_id=f"copy-{number}") for number in range(rounds(5, 50))]
        proxy.chance = 0.0
        assert AFTER in proxy.cuts and db.count_sessions() == 1 + len(copies) and db.check().ok
        db.close()
    proxy.close()


def test_waiting_runs_of_other_threads_are_not_disturbed_by_a_cut(postgres_server: postgres.Server) -> None:
    """Two threads on one session, one connection: each is cut now and then, and both come to their end."""
    with postgres_server.schema() as name:
        db = PostgresDb(f"{postgres_server.url_within(name)}&application_name={name}", pool_size=1)
        db.get_sessions()
        steps = Steps(db)
        threads = [
            threading.Thread(target=lambda: [steps.graph.invoke({"count": 0}, session_id="s") for _ in range(5)])
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            postgres_server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", name)
            time.sleep(random.uniform(0, 0.1))
        assert steps.graph.get_state("s").values["path"] == list("abcd") * 10
        assert set(steps.executed.values()) == {1}
        db.close()
