"""Side writes: what a task hands over beside its update is stored with its superstep, once or not at all."""

from __future__ import annotations

import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Command, StateGraph, interrupt
from graphflow.core.control import Update
from graphflow.core.stored import MemoryWrite, SummaryWrite
from graphflow.errors import InvalidUpdate, NoDatabase


class State(TypedDict):
    n: Annotated[int, operator.add]
    done: Annotated[int, operator.add]


def memories_of(db: Any, user_id: str) -> list[tuple[Any, ...]]:
    """Text, version and run of each memory of a user, in the order they came."""
    columns = "memory, version, run_id, memory_id, message_id"
    select = f"SELECT {columns} FROM gf_memories WHERE user_id = '{user_id}' ORDER BY ordinal"
    rows = db._read(lambda tx: tx.all(select, {}))
    return [tuple(row) for row in rows]


def texts(db: Any, user_id: str = "ann") -> list[str]:
    return [row[0] for row in memories_of(db, user_id)]


def remembering(*texts: str) -> Update:
    return Update({"n": 1}, [MemoryWrite("add", text) for text in texts])


def graph_of(db: Any, **nodes: Any) -> Any:
    """START, then all nodes side by side."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        options = {"rerunnable": True} if name.startswith("re") else {}
        builder.add_node(name, node, **options)
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    return builder.compile(db=db)


def test_an_update_and_its_side_writes_are_stored_together(way, db):
    graph = graph_of(db, node=lambda state: Update({"n": 1}, [MemoryWrite("add", "likes tea", ("drinks",), message_id="m1")]))
    out = way.invoke(graph, {}, session_id="s", user_id="ann")
    assert out["n"] == 1
    ((text, version, run_id, memory_id, message_id),) = memories_of(db, "ann")
    assert (text, version, run_id, message_id) == ("likes tea", 1, out.run_id, "m1")
    assert memory_id


def test_side_writes_may_stand_beside_commands_in_a_list(way, db):
    graph = graph_of(
        db, node=lambda state: [Command({"n": 1}, goto=END), remembering("a", "b"), Update(writes=[MemoryWrite("add", "c")])]
    )
    assert way.invoke(graph, {}, session_id="s", user_id="ann")["n"] == 2
    assert texts(db) == ["a", "b", "c"]


def test_a_summary_belongs_to_the_session(way, db):
    graph = graph_of(db, node=lambda state: Update(writes=[SummaryWrite("They said hello", 2, ("greetings",))]))
    way.invoke(graph, {}, session_id="s")
    assert db.get_session_summary("s") == "They said hello"
    assert db.check().ok
    again = graph_of(db, node=lambda state: Update(writes=[SummaryWrite("They talked", 2)]))
    way.invoke(again, {}, session_id="s")
    assert db.get_session_summary("s") == "They talked"


def test_a_failed_superstep_stores_none_of_them_and_a_resumed_one_each_once(way, db):
    fails = threading.Event()
    fails.set()
    ran = []

    def remember(state: State) -> Update:
        ran.append(1)
        return remembering("likes tea", "likes cake")

    def other(state: State) -> dict[str, int]:
        if fails.is_set():
            raise RuntimeError("not yet")
        return {"done": 1}

    graph = graph_of(db, remember=remember, other=other)
    with pytest.raises(RuntimeError):
        way.invoke(graph, {}, session_id="s", user_id="ann")
    assert texts(db) == []
    fails.clear()
    assert way.resume(graph, "s", user_id="ann")["n"] == 1
    assert texts(db) == ["likes tea", "likes cake"]
    assert ran == [1], "the finished task, with its side writes, was kept"


def test_a_question_beside_them_keeps_them_for_the_superstep_that_is_committed(way, db):
    graph = graph_of(db, remember=lambda state: remembering("likes tea"), asks=lambda state: {"done": interrupt("how many?")})
    assert way.invoke(graph, {}, session_id="s", user_id="ann").status == "paused"
    assert texts(db) == []
    assert way.resume(graph, "s", 3, user_id="ann")["done"] == 3
    assert texts(db) == ["likes tea"]


def test_a_rerunnable_node_with_side_writes_does_not_wait_for_the_next_commit(way, db):
    seen = []

    def last(state: State) -> dict[str, int]:
        seen.append(texts(db))
        return {"done": 1}

    builder = StateGraph(State)
    builder.add_node("reads", lambda state: {"n": 1}, rerunnable=True)
    builder.add_node("remembers", lambda state: remembering("likes tea"), rerunnable=True)
    builder.add_node("last", last)
    for a, b in ((START, "reads"), ("reads", "remembers"), ("remembers", "last"), ("last", END)):
        builder.add_edge(a, b)
    graph = builder.compile(db=db)
    assert way.invoke(graph, {}, session_id="s", user_id="ann")["n"] == 2
    assert seen == [["likes tea"]]
    assert way.get_state(graph, "s", user_id="ann").values["n"] == 2


def test_the_same_fact_is_stored_once_however_many_sessions_say_it_at_once(db):
    graph = graph_of(
        db, node=lambda state: remembering("likes tea", "lives in Oslo"), other=lambda state: remembering("likes tea")
    )
    failures: list[Exception] = []

    def run(n: int) -> None:
        try:
            graph.invoke({}, session_id=f"s{n}", user_id="ann")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert texts(db) == ["likes tea", "lives in Oslo"]
    graph.invoke({}, session_id="t", user_id="bob")
    assert texts(db, "bob") == ["likes tea", "lives in Oslo"]


def change(db: Any, session_id: str, *writes: MemoryWrite, user_id: str = "ann") -> None:
    graph_of(db, node=lambda state: Update(writes=writes)).invoke({}, session_id=session_id, user_id=user_id)


def test_a_change_or_a_drop_holds_only_for_what_was_read(db):
    change(db, "s", MemoryWrite("add", "lives in Oslo"), MemoryWrite("add", "likes tea"))
    (oslo, tea) = (row[3] for row in memories_of(db, "ann"))
    change(db, "s", MemoryWrite("change", "lives in Rome", memory_id=oslo, version=1))
    assert [row[:2] for row in memories_of(db, "ann")] == [("lives in Rome", 2), ("likes tea", 1)]
    change(db, "t", MemoryWrite("change", "lives in Bonn", memory_id=oslo, version=1))
    change(db, "t", MemoryWrite("drop", memory_id=oslo, version=1))
    assert texts(db) == ["lives in Rome", "likes tea", "lives in Bonn"], (
        "what was said meanwhile stays, and so does the new text"
    )
    change(db, "t", MemoryWrite("change", "lives in Bonn", memory_id=oslo, version=2))
    assert texts(db) == ["likes tea", "lives in Bonn"], "no fact stands there twice"
    change(db, "t", MemoryWrite("drop", memory_id=tea, version=1), MemoryWrite("drop", memory_id=tea, version=1))
    assert texts(db) == ["lives in Bonn"]


def test_nobody_changes_another_users_memories(db):
    change(db, "s", MemoryWrite("add", "likes tea"))
    ((_, _, _, memory_id, _),) = memories_of(db, "ann")
    change(db, "t", MemoryWrite("drop", memory_id=memory_id, version=1), user_id="bob")
    assert texts(db) == ["likes tea"]
    with pytest.raises(InvalidUpdate, match="its own user"):
        change(db, "t", MemoryWrite("add", "x", user_id="ann"), user_id="bob")


@pytest.mark.parametrize(
    "write", [MemoryWrite("add", " "), MemoryWrite("change", "x"), MemoryWrite("drop"), "likes tea", SummaryWrite("x", -1)]
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(write, way, db):
    graph = graph_of(db, node=lambda state: Update({"n": 1}, [MemoryWrite("add", "fine"), write]))
    with pytest.raises(InvalidUpdate, match="node 'node' hands over"):
        way.invoke(graph, {}, session_id="s", user_id="ann")
    assert texts(db) == []


def test_a_memory_needs_a_user_and_a_database(way, db):
    with pytest.raises(InvalidUpdate, match="give the call a user_id="):
        way.invoke(graph_of(db, node=lambda state: remembering("x")), {}, session_id="s")
    with pytest.raises(NoDatabase, match="compile it with db="):
        way.invoke(graph_of(None, node=lambda state: remembering("x")), {}, user_id="ann")


def test_events_tell_what_was_stored(way, db):
    graph = graph_of(db, node=lambda state: Update(writes=[MemoryWrite("add", "likes tea"), SummaryWrite("Tea.", 0)]))
    events = way.stream(graph, {}, session_id="s", user_id="ann", stream_mode="events")
    (memory,) = [event for event in events if event.type == "memory_updated"]
    assert (memory.action, memory.memory, memory.memory_id) == ("added", "likes tea", memories_of(db, "ann")[0][3])
    (summary,) = [event for event in events if event.type == "summary_updated"]
    assert (summary.summary, summary.upto_seq) == ("Tea.", 0)


def test_deleting_a_user_deletes_the_memories(db):
    change(db, "s", MemoryWrite("add", "likes tea"))
    change(db, "t", MemoryWrite("add", "likes tea"), user_id="bob")
    db.delete_user("ann")
    assert (texts(db), texts(db, "bob")) == ([], ["likes tea"])
