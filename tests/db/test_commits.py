"""A commit writes everything or nothing, and only for the one writer whose turn it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import AfterValidator, BaseModel, Field

from graphflow import END, START, StateGraph, add_messages, append, merge
from graphflow.core.control import Interrupt, Overwrite
from graphflow.core.effects import CloseRun, Commit, Load, OpenRun
from graphflow.core.state import StateSchema, logged, state_schema
from graphflow.core.stored import TaskResult, TaskRow
from graphflow.db import InMemoryDb, SqliteDb
from graphflow.db.tags import MAX_DEPTH
from graphflow.errors import LeaseLost, NotOwner, SerializationError, SessionBusy
from graphflow.messages import Message, RemoveMessage

from .conftest import CHAT, Writer

Make = Callable[..., Writer]


def test_a_session_that_was_never_written_is_none(db: Any) -> None:
    assert db.load(Load("s1", None, CHAT)) is None


def test_a_run_is_there_with_its_input_after_its_first_commit(writer: Make) -> None:
    session = writer(user_id="ada")
    session.begin("r1", {"count": {"set": 1}}, [Message("user", "hello")])
    stored = session.load(with_log=True)
    assert (stored.status, stored.head, stored.seq, stored.epoch, stored.log_head) == ("running", 0, 0, 1, 1)
    assert stored.user_id == "ada" and stored.session_type == "graph"
    assert stored.frontier.next == ["node"] and stored.frontier.origin == 0
    assert stored.values["count"] == 1
    assert stored.values["messages"] == [Message("user", "hello", id="r1-1")]
    assert stored.run is not None and (stored.run.run_id, stored.run.status, stored.run.first_message) == ("r1", "running", 1)


def test_every_kind_of_delta_is_folded(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"count": {"set": 1}, "notes": {"append": ["a"]}, "session_state": {"merge": {"x": 1, "y": (2,)}}})
    session.step({"notes": {"append": ["b", "c"]}, "session_state": {"merge": {"z": 3}, "drop": ["x"]}})
    session.step({"count": {"unset": None}, "anything": {"set": {1: "one"}}})
    values = session.load().values
    assert values["notes"] == ["a", "b", "c"]
    assert values["session_state"] == {"y": (2,), "z": 3}
    assert "count" not in values
    assert values["anything"] == {1: "one"}


def test_a_logged_channel_holds_the_messages_of_its_run_only(writer: Make) -> None:
    session = writer()
    session.turn("r1", "one", "1")
    session.begin("r2", messages=[Message("user", "two")])
    session.step({}, [Message("assistant", "draft"), RemoveMessage(id="r2-4"), Message("assistant", "2", id="mine")])
    stored = session.load(with_log=True)
    assert [(m.id, m.text) for m in stored.values["messages"]] == [("r2-3", "two"), ("mine", "2")]
    assert stored.ranges == {"messages": [(3, 6)]}
    assert session.load().values["messages"] == []


def test_a_second_writer_that_begins_the_same_session_writes_nothing(writer: Make) -> None:
    writer().begin("r1", {"count": {"set": 1}})
    with pytest.raises(LeaseLost, match=r"session 's1'.*that it did not exist.*found head 0, epoch 1"):
        writer().begin("r2", {"count": {"set": 2}})
    assert writer().load().values["count"] == 1
    assert len(writer().db.get_runs("s1")) == 1


def test_a_writer_that_was_fenced_off_writes_nothing(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"count": {"set": 1}})
    session.db.commit(Commit("s1", 0, 1, "r1", take_over=True, reopened="r1", status="running"))
    for write in (
        lambda: session.step({"count": {"set": 2}}, [Message("user", "late")]),
        lambda: session.keep(TaskRow("t", "node", "step", 1, name="a")),
        lambda: session.db.commit(Commit("s1", 0, 1, "r1", closed=[CloseRun("r1", "error", 0)], status="error")),
    ):
        with pytest.raises(LeaseLost, match="expected head 0, epoch 1, found head 0, epoch 2"):
            write()
    stored = session.load()
    assert (stored.values["count"], stored.epoch, stored.status, stored.tasks) == (1, 2, "running", [])
    assert session.db.get_messages("s1") == []


def test_two_writers_at_one_head_cannot_both_go_on(tmp_path: Path) -> None:
    first, second = (Writer(SqliteDb(tmp_path / "one.db")) for _ in range(2))
    first.begin("r1", {"count": {"set": 1}})
    second.head, second.epoch, second.run_id = 0, 1, "r1"
    first.step({"count": {"set": 2}})
    with pytest.raises(LeaseLost, match="expected head 0, epoch 1, found head 1, epoch 1"):
        second.step({"count": {"set": 3}})
    assert second.load().values["count"] == 2
    for session in (first, second):
        session.db.close()


def test_many_threads_on_one_session_commit_each_step_once(tmp_path: Path) -> None:
    dbs = [SqliteDb(tmp_path / "one.db", synchronous="normal") for _ in range(2)]
    Writer(dbs[0]).begin("r1", {"notes": {"append": []}})
    done: list[str] = []

    def work(name: str, db: SqliteDb) -> None:
        for n in range(10):
            while True:
                stored = db.load(Load("s1", None, CHAT))
                assert stored is not None
                session = Writer(db)
                session.head, session.epoch, session.run_id, session.weight = stored.head, stored.epoch, "r1", stored.weight
                session.values = stored.values
                try:
                    session.step({"notes": {"append": [f"{name}{n}"]}})
                except LeaseLost:
                    continue
                done.append(f"{name}{n}")
                break

    threads = [threading.Thread(target=work, args=(f"t{n}-", dbs[n % 2])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = dbs[0].load(Load("s1", None, CHAT))
    assert stored is not None and len(done) == 40
    assert sorted(stored.values["notes"]) == sorted(done)
    assert stored.head == 40
    for db in dbs:
        db.close()


def test_what_cannot_be_stored_leaves_no_trace(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"count": {"set": 1}})
    for delta in ({"anything": {"set": object()}}, {"notes": {"append": ["ok", object()]}}):
        before = dict(session.values)
        with pytest.raises(SerializationError, match=r"state\.(anything|notes\[1\])"):
            session.step(delta, [Message("user", "hello")])
        session.values, session.log_head, session.ranges = before, 0, {}
    with pytest.raises(SerializationError, match="answer"):
        session.keep(TaskRow("t", "node", "answer", object()))
    stored = session.load()
    assert (stored.head, stored.tasks, session.db.get_messages("s1")) == (0, [], [])
    session.step({"count": {"set": 2}})
    assert session.load().values["count"] == 2


def test_an_owner_is_adopted_once_and_kept(writer: Make) -> None:
    session = writer()
    session.turn("r1")
    session.user_id = "ada"
    session.turn("r2")
    with pytest.raises(NotOwner, match="'s1' belongs to another user"):
        writer(user_id="bob").load()
    with pytest.raises(NotOwner):
        writer().load()
    assert session.load().user_id == "ada"


def test_only_a_commit_that_takes_over_adopts_an_owner(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    session.step({}, user_id="mallory")
    assert session.load().user_id is None


# --- runs --------------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_closed_and_reopened(writer: Make) -> None:
    session = writer()
    session.turn("r1")
    session.begin("r2", messages=[Message("user", "more")])
    session.end(status="error", error="ValueError: \ud800\0", metrics={"seconds": 0.123456789, "nodes": {}, "tokens": 0})
    first, second = session.db.get_runs("s1")
    assert (first.number, first.status, first.run_id) == (1, "completed", "r1")
    assert (second.number, second.status, second.error) == (2, "error", "ValueError: \\ud800\\x00")
    assert second.metrics == {"seconds": 0.123457}
    session.db.commit(Commit("s1", session.head, session.epoch, "r2", take_over=True, reopened="r2", status="running"))
    again = session.db.get_run("r2")
    assert (again.status, again.error, again.ended_at) == ("running", None, None)


def test_a_run_may_open_and_close_in_one_commit(writer: Make) -> None:
    session = writer()
    session.begin("r1", closed=[CloseRun("r1", "completed", 0)], status="completed")
    assert session.load().status == "completed"
    assert session.db.get_run("r1").status == "completed"


def test_a_run_id_is_used_once(writer: Make) -> None:
    writer("s1").turn("r1")
    with pytest.raises(ValueError, match="there is a run 'r1' already"):
        writer("s2").begin("r1")
    assert writer().db.get_session("s2") is None


def test_an_idempotency_key_belongs_to_one_run(writer: Make) -> None:
    writer("s1").begin("r1", opened=OpenRun("r1", "graph", "f", 1, idempotency_key="k"))
    with pytest.raises(SessionBusy, match=r"run 'r1' has begun with the idempotency key 'k'"):
        writer("s2").begin("r2", opened=OpenRun("r2", "graph", "f", 1, idempotency_key="k"))
    writer("s3", user_id="ada").begin("r3", opened=OpenRun("r3", "graph", "f", 1, idempotency_key="k"))
    assert writer().db.get_session("s2") is None


# --- tasks -------------------------------------------------------------------------------------------------------------


def test_task_rows_are_there_until_their_superstep_is_committed(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    rows = [
        TaskRow("t1", "a", "result", TaskResult([("count", 3), ("notes", Overwrite(["x"])), ("secret", "key")], ("b",))),
        TaskRow("t2", "b", "step", (1, 2), name="fetch", nth=1),
        TaskRow("t2", "b", "interrupt", Interrupt("i", "sure?", "b")),
        TaskRow("t2", "b", "answer", None),
    ]
    session.keep(*rows)
    session.keep(TaskRow("t2", "b", "step", "newer", name="fetch", nth=1))
    stored = {(row.task_id, row.kind): row for row in session.load().tasks}
    assert len(stored) == 4
    assert stored["t1", "result"].value == TaskResult([("count", 3), ("notes", Overwrite(["x"]))], ("b",))
    assert stored["t2", "step"].value == "newer"
    assert stored["t2", "interrupt"].value == Interrupt("i", "sure?", "b")
    assert stored["t2", "answer"].value is None
    session.step({"count": {"set": 3}}, drop_tasks=True)
    assert session.load().tasks == []


def test_tasks_of_another_superstep_are_not_given(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    session.step({})
    session.keep(TaskRow("t1", "a", "step", 1, name="x"), origin=0)
    assert session.load().tasks == []


def test_closing_a_run_with_an_error_keeps_its_tasks(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    session.keep(TaskRow("t1", "a", "step", 1, name="x"), closed=[CloseRun("r1", "error", 0, error="boom")], status="error")
    stored = session.load()
    assert (stored.status, len(stored.tasks)) == ("error", 1)
    assert stored.run is not None and stored.run.status == "error"


# --- namespaces --------------------------------------------------------------------------------------------------------


def test_a_nested_graph_has_checkpoints_of_its_own_and_leaves_the_head_alone(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"count": {"set": 1}})
    inner = writer()
    inner.run_id, inner.epoch = "r1", 1
    inner.step({"count": {"set": 10}}, [Message("user", "inside")], ns="inner")
    inner.step({"count": {"set": 11}}, ns="inner")
    nested = session.load(ns="inner", with_log=True)
    assert (nested.seq, nested.values["count"], nested.head) == (1, 11, 1)
    assert [m.text for m in nested.values["messages"]] == ["inside"]
    assert (session.load().values["count"], session.load().head) == (1, 0)
    assert session.db.load(Load("s1", None, CHAT, ns="other")) is None
    session.db.commit(Commit("s1", 0, 1, "r1", take_over=True))
    with pytest.raises(LeaseLost):
        inner.step({"count": {"set": 12}}, ns="inner")


# --- weight ------------------------------------------------------------------------------------------------------------


def _stored_bytes(db: SqliteDb) -> tuple[int, int]:
    """Bytes of all deltas and snapshots, and of the longest chain that a load has to read."""
    rows = db._read(lambda tx: tx.all("SELECT base, length(delta), length(snapshot) FROM gf_checkpoints", {}))
    chains: dict[int, int] = {}
    for base, delta, snapshot in rows:
        chains[base] = chains.get(base, 0) + (snapshot or delta or 0)
    return sum((delta or 0) + (snapshot or 0) for _, delta, snapshot in rows), max(chains.values())


def test_bytes_written_are_linear_and_loads_are_about_twice_the_state(sqlite_db: SqliteDb) -> None:
    session = Writer(sqlite_db)
    session.begin("r1", {"notes": {"append": []}})
    totals = {}
    for n in range(1, 401):
        session.step({"notes": {"append": ["x" * 100]}})
        if n in (200, 400):
            totals[n] = _stored_bytes(sqlite_db)
    assert totals[400][0] < 2.5 * totals[200][0]
    assert totals[400][0] < 4 * 400 * 100
    state = len("".join(session.values["notes"]))
    assert totals[400][1] < 2.2 * state
    assert session.load().values["notes"] == ["x" * 100] * 400


def test_a_run_that_is_completed_can_leave_a_snapshot_of_what_is_stored(sqlite_db: SqliteDb) -> None:
    sqlite_db._light = True
    session = Writer(sqlite_db)
    for number in range(20):
        session.turn(f"r{number}", count=number)
        session.values["anything"] = ["changed in place, and not written"]
        loaded = session.load()
        assert (loaded.values["count"], loaded.values.get("anything")) == (number, None)
        assert (loaded.weight, loaded.weight.texts) == (session.weight, session.weight.texts)
    rows = sqlite_db._read(lambda tx: tx.all("SELECT seq, base, snapshot FROM gf_checkpoints ORDER BY seq", {}))
    assert [base for _, base, _ in rows] == [0, *(at for at in range(1, 39, 2) for _ in range(2)), 39]
    assert "notes" not in rows[-1][2], "a default that nobody wrote stays the code's"
    assert [session.load(at=at).values["count"] for at in range(40)] == [at // 2 for at in range(40)]
    assert sqlite_db.check().ok


def test_a_name_that_is_another_ones_alias_now_and_then_is_left_in_the_order_of_writes(sqlite_db: SqliteDb) -> None:
    sqlite_db._light = True
    session = Writer(sqlite_db, schema=named("count", "notes"))
    session.turn("r", count=0, notes=["0"])
    for number in range(1, 6):
        names = ("count", "notes") if number % 2 else ("counted", "noted")
        session.schema = named(*names)
        stored = session.load()
        session.values, session.weight = stored.values, stored.weight
        session.begin(f"r{number}", {names[0]: {"set": number}, names[1]: {"append": [str(number)]}})
        session.end()
        loaded = session.load().values
        assert (loaded[names[0]], loaded[names[1]]) == (number, [str(at) for at in range(number + 1)])


def named(count: str, notes: str) -> StateSchema:
    """A state with channels of these names, which once were called otherwise."""
    hints = {count: int, notes: Annotated[list[str], append], "messages": Annotated[list[Message], add_messages, logged]}
    others = {"count": count, "counted": count, "notes": notes, "noted": notes}
    aliases = {old: new for old, new in others.items() if old != new}
    return replace(state_schema(TypedDict("Named", hints)), aliases=aliases)  # type: ignore[operator]


class Item(BaseModel):
    n: int


def by_number(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.n)


@pytest.mark.parametrize(
    ("hint", "updates"),
    [
        (Annotated[list[Item], Field(max_length=2), append], [[Item(n=1)], [Item(n=2)], [Item(n=3)]]),
        (Annotated[list[Item], AfterValidator(by_number), append], [[Item(n=2)], [Item(n=1)]]),
        (Annotated[dict[str, Item], Field(max_length=1), merge], [{"a": Item(n=1)}, {"b": Item(n=2)}]),
    ],
)
@pytest.mark.parametrize("how", ["light", "pruned"])
def test_what_is_checked_write_by_write_stays_as_it_was_written(
    sqlite_db: SqliteDb, hint: Any, updates: list[Any], how: str
) -> None:
    sqlite_db._light = how == "light"
    schema = TypedDict("schema", {"value": hint})  # type: ignore[operator]  # noqa: UP013 - the hint is no literal
    written = iter(updates)
    builder = StateGraph(schema).add_node("node", lambda _: {"value": next(written)}).add_edge(START, "node")
    graph = builder.add_edge("node", END).compile(db=sqlite_db)
    for _ in updates:
        graph.invoke({}, session_id="s")
    if how == "pruned":
        assert sqlite_db.prune(keep_last=1).checkpoints
    value = graph.get_state("s").values["value"]
    if type(value) is list:
        assert value == [item for update in updates for item in update]
    else:
        assert list(value) == ["a", "b"]


def test_what_is_nested_as_deep_as_is_allowed_can_be_put_into_a_snapshot(sqlite_db: SqliteDb) -> None:
    deep: Any = b""
    for _ in range(MAX_DEPTH):
        deep = [deep]
    sqlite_db._light = True
    session = Writer(sqlite_db)
    session.begin("r0")
    with pytest.raises(SerializationError):
        session.end({"anything": {"set": [deep]}})
    session.end({"anything": {"set": deep}})
    session.turn("r1")
    assert sqlite_db.prune(keep_last=1).checkpoints
    assert session.load().values["anything"] == deep


def test_a_long_state_is_not_written_again_wherever_a_run_is_completed(sqlite_db: SqliteDb) -> None:
    sqlite_db._light = True
    session = Writer(sqlite_db)
    for number in range(6):
        session.turn(f"r{number}", anything="x" * 400 if number == 0 else number)
    rows = sqlite_db._read(lambda tx: tx.all("SELECT seq FROM gf_checkpoints WHERE seq = base ORDER BY seq", {}))
    assert rows[0] == (0,) and rows[1][0] > 3


def test_any_checkpoint_can_be_loaded(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"notes": {"append": ["n0"]}})
    for n in range(1, 100):
        session.step({"notes": {"append": [f"n{n}"]}, "count": {"set": n}})
    bases = set()
    for at in range(0, 100, 7):
        stored = session.load(at=at)
        assert stored.seq == at and stored.head == 99
        assert stored.values["notes"] == [f"n{n}" for n in range(at + 1)]
        bases.add(stored.weight.snapshot_seq)
    assert len(bases) > 1


def test_a_loaded_session_goes_on_with_the_same_weight(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    for n in range(50):
        session.step({"count": {"set": n}})
    assert session.load().weight == session.weight


def test_the_weight_is_unchanged_when_a_commit_fails(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"count": {"set": 1}})
    weight = (session.weight.snapshot_seq, session.weight.snapshot_bytes, session.weight.delta_bytes)
    session.epoch = 9
    with pytest.raises(LeaseLost):
        session.step({"count": {"set": 2}})
    assert (session.weight.snapshot_seq, session.weight.snapshot_bytes, session.weight.delta_bytes) == weight


def test_stamps_of_one_database_increase_whatever_the_clock_does() -> None:
    ticks = iter([5.0, 5.0, 3.0, 3.0, 9.0, 9.0, 9.0, 9.0])
    db = InMemoryDb(clock=lambda: next(ticks))
    for n in range(3):
        Writer(db, f"s{n}").begin(f"r{n}")
    times = [session.created_at for session in db.get_sessions(sort_order="asc")]
    assert times == sorted(set(times)) and times[0].timestamp() >= 5.0
    db.close()
