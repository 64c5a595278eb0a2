"""Leases: who holds them, when they are known to be dead, and that none is kept longer than its run."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypedDict

import pytest

from graphflow import END, START, StateGraph
from graphflow.core.calls import CallOptions
from graphflow.core.effects import Commit
from graphflow.db import SqliteDb
from graphflow.db.leases import in_words, is_dead, keeper, process_name
from graphflow.db.turns import session_queue
from graphflow.drive.sync import give_back
from graphflow.drive.world import World
from tests.forking import fork


class State(TypedDict):
    n: int


def graph(node: Callable[[Any], Any], db: SqliteDb) -> Any:
    return StateGraph(State).add_node("n", node).add_edge(START, "n").add_edge("n", END).compile(db=db)


def holder(path: Path) -> tuple[str | None, int | None]:
    with closing(sqlite3.connect(path)) as connection:
        row: tuple[str | None, int | None] = connection.execute("SELECT lease_owner, lease_until FROM gf_sessions").fetchone()
    return row


def test_this_process_is_alive_and_one_that_only_has_its_number_is_dead() -> None:
    machine, pid, born, nonce = process_name().split(":")
    assert not is_dead(process_name())
    assert is_dead(f"{machine}:{pid}:{int(born or 0) + 1}:{nonce}") or not born
    assert not is_dead(f"another:{pid}:1:{nonce}"), "nothing is known of processes of other machines"
    for damaged in ("", "x", f"{machine}:pid:{born}:{nonce}", f"{machine}:{pid}"):
        assert not is_dead(damaged) and "process unknown" in in_words(damaged, 3)
    assert "this machine" in in_words(process_name(), 3) and "another machine" in in_words(f"x:{pid}:1:2", 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_ended_is_dead_even_before_its_parent_noticed() -> None:
    reading, writing = os.pipe()
    child = fork(lambda: os.write(writing, process_name().encode()))
    name = os.read(reading, 500).decode()
    deadline = time.monotonic() + 10
    while not is_dead(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_dead(name)
    child.join()
    assert is_dead(name)


def test_a_lease_is_held_while_the_run_goes_on_and_not_after(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    db = SqliteDb(db_file=path)
    seen = []
    graph(lambda state: seen.append(holder(path)), db).invoke({"n": 1}, session_id="s")
    assert seen[0][0] == process_name() and seen[0][1] is not None
    assert holder(path) == (None, None)
    db.close()


class Failing(SqliteDb):
    """A SqliteDb that cannot store how a run ended."""

    failing = True

    def commit(self, effect: Commit) -> None:
        if self.failing and effect.closed:
            raise sqlite3.OperationalError("no room")
        super().commit(effect)


def test_a_lease_that_a_failed_run_could_not_give_back_is_given_back_soon(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    db = Failing(db_file=path)
    with pytest.raises(sqlite3.OperationalError):
        graph(lambda state: {"n": 2}, db).invoke({"n": 1}, session_id="s")
    deadline = time.monotonic() + 10
    while holder(path) != (None, None) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holder(path) == (None, None)
    db.failing = False
    assert graph(lambda state: {"n": 3}, db).resume("s")["n"] == 3
    db.close()


def test_a_store_with_a_short_ttl_is_renewed_although_one_with_a_long_ttl_was_there_first(tmp_path: Path) -> None:
    slow, quick = SqliteDb(db_file=tmp_path / "slow.db"), SqliteDb(db_file=tmp_path / "quick.db", lease_ttl=0.3)

    def inner(state: Any) -> None:
        first = holder(tmp_path / "quick.db")[1]
        deadline = time.monotonic() + 10
        while holder(tmp_path / "quick.db")[1] == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert holder(tmp_path / "quick.db")[1] != first

    def outer(state: Any) -> None:
        time.sleep(0.1)
        graph(inner, quick).invoke({"n": 1}, session_id="q")

    graph(outer, slow).invoke({"n": 1}, session_id="s")
    slow.close()
    quick.close()


def test_giving_back_a_lease_late_leaves_the_next_one_of_this_process_alone(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db", lease_ttl=3600)

    def node(state: State) -> None:
        before = holder(tmp_path / "s.db")
        db.renew_leases(["s"], [("s", 1)])  # as the keeper does for an earlier run, whose lease was taken under epoch 1
        assert before[0] == holder(tmp_path / "s.db")[0] == process_name()

    for _ in range(2):
        assert graph(lambda state: node(state) if db.get_runs("s")[1:] else None, db).invoke({"n": 1}, session_id="s")
    db.close()


def test_giving_a_turn_back_again_leaves_the_lease_of_the_next_run_alone(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db", lease_ttl=3600)
    world = World(db, None, CallOptions("s", db=db))
    world.tickets.append(session_queue().join(db.identity, "s", world.call))
    give_back(world)

    def node(state: State) -> None:
        give_back(world)  # as after a signal that came when the turn had just been given back
        assert "s" in keeper()._stores[db].held

    graph(node, db).invoke({"n": 1}, session_id="s")
    db.close()


def test_leases_are_found_by_their_sessions(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db", lease_ttl=3600)

    def node(state: State) -> None:
        with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as connection:
            connection.execute("UPDATE gf_sessions SET lease_until = 1")
        db.renew_leases(["another"])
        assert holder(tmp_path / "s.db") == (process_name(), 1)
        db.renew_leases(["another", "s"])
        assert (holder(tmp_path / "s.db")[1] or 0) > 1
        sql, names = db._statements(), {"held": "[]", "me": "me", "lease_ttl": 1}
        for statement in (sql.renew_leases, sql.asked_to_stop, sql.end_all_leases):
            plan = db._read(lambda tx, statement=statement: tx.all(f"EXPLAIN QUERY PLAN {statement}", names))
            assert not [row for row in plan if "SCAN gf_" in row[3] or "TEMP B-TREE" in row[3]], plan
        db.end_leases(["another"])
        assert holder(tmp_path / "s.db")[0] == process_name()
        db.end_leases(["s"])
        assert holder(tmp_path / "s.db")[0] is None

    graph(node, db).invoke({"n": 1}, session_id="s")
    db.close()
