"""Supersteps of a run under way, which have a commit of their own kind: one row, compared and inserted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypedDict

import pytest

from graphflow import END, START, StateGraph
from graphflow.core.effects import Advance, Commit
from graphflow.db import SqliteDb
from graphflow.errors import LeaseLost
from graphflow.messages import ImagePart
from tests.engine.counting import Counting

PICTURE = ImagePart(data=b"png" * 500, media_type="image/png")


class State(TypedDict, total=False):
    count: int
    picture: Any


def add(state: State) -> State:
    return {"count": state.get("count", 0) + 1}


def chain(db: Any, *nodes: Callable[[State], State]) -> Any:
    names = [f"n{number}" for number, _ in enumerate(nodes)]
    graph = StateGraph(State)
    for name, node in zip(names, nodes, strict=True):
        graph.add_node(name, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph.compile(db=db)


def test_the_steps_between_begin_and_end_are_advances(way, db):
    counted = Counting(db)
    way.invoke(chain(counted, add, add, add), {}, session_id="s")
    assert [type(effect) for effect in counted.commits] == [Commit, Advance, Advance, Commit]
    assert [effect.checkpoint.seq for effect in counted.commits] == [0, 1, 2, 3]
    assert db.check().problems == ()


def test_a_step_that_writes_a_picture_stores_its_contents(way, db):
    counted = Counting(db)

    def draw(state: State) -> State:
        return {"picture": PICTURE}

    way.invoke(chain(counted, add, draw, add), {}, session_id="s")
    assert type(counted.commits[2]) is Advance
    assert chain(db, add, draw, add).get_state("s").values == {"count": 2, "picture": PICTURE}
    assert db.check().problems == ()
    db.delete_session("s")
    assert db.check().problems == (), "the contents went with the session"


@pytest.mark.parametrize("picture", [None, PICTURE], ids=["a statement", "a transaction"])
def test_a_step_of_a_session_that_was_taken_over_writes_nothing(way, db, picture):
    def overtaken(state: State) -> State:
        db.commit(Commit("s", 1, 1, "another", take_over=True, status="error"))  # as another process would
        return {"count": 9} if picture is None else {"picture": picture}

    with pytest.raises(LeaseLost, match=r"session 's' was taken over .* expected head 1, epoch 1, found head 1, epoch 2"):
        way.invoke(chain(db, add, overtaken, add), {}, session_id="s")
    assert chain(db, add, overtaken, add).get_state("s").values == {"count": 1}
    assert db.check().problems == ()


def test_a_step_of_a_session_that_was_deleted_writes_nothing(way, db):
    def deleted(state: State) -> State:
        db.delete_session("s")
        return {"count": 9}

    with pytest.raises(LeaseLost, match="session 's' was deleted while a run of it went on"):
        way.invoke(chain(db, add, deleted, add), {}, session_id="s")
    assert db.get_session("s") is None and db.check().problems == ()


def test_a_step_that_others_kept_from_being_written_is_tried_again(way, tmp_path):
    db = SqliteDb(tmp_path / "s.db", busy_timeout=0.05, retry_timeout=30)

    def hold(state: State) -> State:
        rival = sqlite3.connect(db.db_file, isolation_level=None, check_same_thread=False)
        rival.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, rival.close).start()
        return add(state)

    assert way.invoke(chain(db, add, hold, add), {}, session_id="s")["count"] == 3
    assert [row.seq for row in chain(db, add, hold, add).get_state_history("s")] == [3, 2, 1, 0]
    assert db.check().problems == ()
