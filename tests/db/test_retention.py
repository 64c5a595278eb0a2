"""Pruning takes away the past that nobody needs and nothing else."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, StateGraph, append, interrupt
from graphflow.core.control import MISSING, Interrupt
from graphflow.core.reducers import apply_op
from graphflow.core.stored import TaskRow
from graphflow.db import InMemoryDb, retention
from graphflow.errors import CorruptCheckpoint, SessionNotFound
from graphflow.messages import Message
from graphflow.testing import ScriptedModel

from .conftest import CHAT, Writer

Make = Callable[..., Writer]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(db: Any) -> Clock:
    """What the database under test takes for the time."""
    made = db._clock = Clock()
    return made


def filled(writer: Make, session_id: str = "s1", *, steps: int = 40, **options: Any) -> Writer:
    """A session whose last run is finished; checkpoints 0 to ``steps`` + 3."""
    session = writer(session_id, **options)
    session.turn(f"{session_id}-r0", "earlier", "yes", count=-1)
    session.begin(f"{session_id}-r1", {"count": {"set": 0}, "session_state": {"merge": {"n": 0}}}, [Message("user", "count")])
    for n in range(steps):
        session.step(
            {"notes": {"append": [f"note {n}", n]}, "count": {"set": n}, "session_state": {"merge": {"n": n, "x": (n,)}}}
        )
    session.end({"session_state": {"merge": {"x": {n}}}}, [Message("assistant", "done")])
    return session


def everything(session: Writer, seqs: range) -> list[Any]:
    """The session at each of these checkpoints."""
    found = []
    for at in seqs:
        stored = session.load(at=at, with_log=True)
        found.append((stored.seq, stored.values, stored.ranges, stored.frontier, stored.log_head, stored.created_at))
    return found


def seqs(db: Any, session_id: str = "s1", ns: str = "") -> list[int]:
    statement = f"SELECT seq FROM gf_checkpoints JOIN gf_sessions ON session = ordinal WHERE session_id = '{session_id}'"
    return [row[0] for row in db._read(lambda tx: tx.all(f"{statement} AND ns = '{ns}' ORDER BY seq", {}))]


@pytest.mark.parametrize("keep", [1, 2, 5, 17, 43])
def test_the_newest_checkpoints_stay_as_they_were(writer: Make, keep: int) -> None:
    session = filled(writer)
    kept = range(session.head - keep + 1, session.head + 1)
    before = everything(session, kept)
    messages = session.db.get_messages("s1")
    report = session.db.prune(keep_last=keep)
    assert seqs(session.db) == list(kept)
    assert everything(session, kept) == before
    assert session.db.get_messages("s1") == messages and len(session.db.get_runs("s1")) == 2
    assert session.db.get_session_state("s1") == {"n": 39, "x": {39}}
    assert (report.sessions, report.checkpoints, report.rows) == (1, kept[0], kept[0]) and report.bytes > 0
    assert session.db.check().ok
    assert session.db.prune(keep_last=keep) == retention.PruneReport(), "nothing is left to do"


def test_a_session_goes_on_after_pruning_and_can_be_pruned_again(writer: Make) -> None:
    session = filled(writer)
    for round in range(3):
        session.db.prune(keep_last=3)
        loaded = session.load(with_log=True)
        session.weight, session.values, session.epoch = loaded.weight, loaded.values, loaded.epoch
        session.begin(f"again-{round}", {"count": {"set": round}}, [Message("user", "more")])
        for n in range(25):
            session.step({"notes": {"append": [n]}})
        session.end(messages=[Message("assistant", "ok")])
        assert session.load().values["notes"][-1] == 24 and session.db.check().ok
    assert session.load().values["count"] == 2 and len(session.load().values["notes"]) == 80 + 75


def test_whoever_loaded_a_session_before_it_was_pruned_loads_it_again(writer: Make) -> None:
    """A run that was about to begin builds on a snapshot that is gone: it is refused, and what takes its place is sound."""
    session = filled(writer)
    assert session.head > session.weight.snapshot_seq, "its last snapshot is to go"
    session.db.prune(keep_last=session.head - session.weight.snapshot_seq)
    with pytest.raises(Exception, match="epoch"):
        session.begin("late")
    assert session.db.check().ok


def test_what_is_older_goes(writer: Make, db: Any, clock: Clock) -> None:
    old = filled(writer, "old", steps=10)
    clock.now += 1000
    new = filled(writer, "new", steps=10)
    old.db.prune(older_than=timedelta(seconds=500))
    assert seqs(db, "old") == [old.head] and len(seqs(db, "new")) == new.head + 1
    clock.now += 1000
    db.prune(older_than=500, keep_last=4)
    assert seqs(db, "new") == list(range(new.head - 3, new.head + 1)) and seqs(db, "old") == [old.head]
    db.prune(older_than=datetime.fromtimestamp(clock.now + 1, UTC))
    assert seqs(db, "new") == [new.head] and db.check().ok
    assert len(db.get_messages("old")) == len(db.get_messages("new")) == 4, "messages stay"


def test_only_the_sessions_of_one_user(writer: Make) -> None:
    ann, bob = filled(writer, "a", user_id="ann"), filled(writer, "b", user_id="bob")
    assert ann.db.prune(keep_last=1, user_id="ann").sessions == 1
    assert seqs(ann.db, "a") == [ann.head] and len(seqs(ann.db, "b")) == bob.head + 1


def test_what_was_pruned_is_said_to_be(writer: Make) -> None:
    session = filled(writer)
    session.db.prune(keep_last=4)
    first = session.head - 3
    message = f"checkpoint 3 of session 's1' was pruned; kept are {first} to {session.head}"
    with pytest.raises(SessionNotFound, match=message):
        session.load(at=3)
    with pytest.raises(SessionNotFound, match=message):
        session.db.fork_session("s1", at=3)
    with pytest.raises(SessionNotFound, match=f"has no checkpoint 99; its checkpoints are {first} to {session.head}"):
        session.load(at=99)


def test_checkpoints_that_are_missing_without_having_been_pruned_are_damage(writer: Make) -> None:
    session = filled(writer)
    session.db.prune(keep_last=30)
    session.db._write(lambda tx: tx.execute("DELETE FROM gf_checkpoints WHERE seq < 20"))
    problem = f"checkpoint {session.head - 29} of session 's1' is missing"
    assert any(problem in found for found in session.db.check().problems)
    with pytest.raises(CorruptCheckpoint, match="begin at 20 instead of"):
        session.db.export_session("s1")
    with pytest.raises(CorruptCheckpoint):
        session.db.prune(keep_last=2)


def test_forks_exports_and_imports_of_a_pruned_session(writer: Make) -> None:
    session = filled(writer)
    db = session.db
    db.prune(keep_last=6)
    kept = range(session.head - 5, session.head + 1)
    expected = [row[1] for row in everything(session, kept)]
    new = db.fork_session("s1", at=session.head - 2)
    assert seqs(db, new) == list(kept)[:4]
    fork = Writer(db, new)
    assert [row[1]["notes"] for row in everything(fork, range(kept[0], kept[3] + 1))] == [v["notes"] for v in expected[:4]]
    exported = json.loads(json.dumps(db.export_session("s1")))
    other = InMemoryDb()
    assert other.import_session(exported) == "s1"
    assert [row[1] for row in everything(Writer(other, "s1"), kept)] == expected
    assert other.check().ok and db.check().ok
    with pytest.raises(SessionNotFound, match="was pruned"):
        other.fork_session("s1", at=0)
    db.delete_session("s1")
    db.delete_session(new)
    assert db.check().checked == db._read(lambda tx: tx.one("SELECT count(*) FROM gf_graphs", {}))[0], "no rows are left behind"


def test_nothing_of_an_unfinished_run_goes(writer: Make) -> None:
    session = filled(writer)
    session.begin("r2", messages=[Message("user", "approve")])
    start = session.head
    for n in range(20):
        session.step({"notes": {"append": [n]}})
    session.keep(TaskRow("t", "node", "interrupt", Interrupt("i", "sure?", "node")), status="paused")
    before = everything(session, range(start, session.head + 1))
    session.db.prune(keep_last=1)
    assert seqs(session.db) == list(range(start, session.head + 1))
    assert everything(session, range(start, session.head + 1)) == before
    assert session.load().tasks and session.db.check().ok


def test_a_run_under_way_does_not_notice(writer: Make) -> None:
    """The rows that the next commit builds on stay as they are, so that nothing has to be loaded again."""
    session = filled(writer)
    session.begin("r2", {"count": {"set": 100}})
    for n in range(30):
        session.step({"notes": {"append": [n]}})
        session.db.prune(keep_last=1)
    session.end()
    assert session.load().values["notes"][-30:] == list(range(30)) and session.db.check().ok
    session.db.prune(keep_last=1)
    assert seqs(session.db) == [session.head]


def test_nested_graphs_go_with_the_checkpoints_around_them(db: Any) -> None:
    session = Writer(db)
    session.begin("r1")
    for call in range(3):
        rows = [(f"node:{session.head}.0", 4), ("keeper", 4)]
        for ns, count in rows:
            inner = Writer(db)
            inner.run_id, inner.epoch = "r1", session.epoch
            if ns == "keeper" and call:
                inner.head, loaded = 4 * call - 1, inner.load(ns=ns)
                inner.values, inner.weight = loaded.values, loaded.weight
            for n in range(count):
                inner.step({"notes": {"append": [f"{call}-{n}"]}}, ns=ns)
        session.step({"count": {"set": call}})
    session.end()
    db.prune(keep_last=2)
    assert [seqs(db, ns=f"node:{n}.0") for n in range(3)] == [[], [], []]
    assert seqs(db, ns="keeper") == [10, 11], "a graph that keeps its state between calls keeps it"
    assert len(session.load(ns="keeper").values["notes"]) == 12
    assert db.check().ok and seqs(db) == [3, 4]


def test_nested_graphs_of_an_unfinished_run_stay(db: Any) -> None:
    session = filled(lambda *a, **k: Writer(db, *a, **k))
    session.begin("r2")
    inner = Writer(db)
    inner.run_id, inner.epoch = "r2", session.epoch
    for n in range(5):
        inner.step({"notes": {"append": [n]}}, ns="node:9.0")
    db.prune(keep_last=1)
    assert seqs(db, ns="node:9.0") == [0, 1, 2, 3, 4] and db.check().ok


def test_sessions_go_only_when_that_is_asked_for(writer: Make, db: Any, clock: Clock) -> None:
    filled(writer, "old")
    paused = writer("paused")
    paused.begin("p1", messages=[Message("user", "?")])
    paused.keep(TaskRow("t", "node", "interrupt", Interrupt("i", "sure?", "node")), status="paused")
    writer("running").begin("p2")
    clock.now += 100
    filled(writer, "new")
    db.prune(older_than=50)
    assert db.count_sessions() == 4
    report = db.prune(older_than=50, delete_sessions=True)
    assert report.deleted_sessions == 1 and report.rows > 6
    assert {session.session_id for session in db.get_sessions()} == {"paused", "running", "new"}
    assert db.check().ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "prune what"),
        ({"keep_last": 0}, "keep_last=0"),
        ({"keep_last": True}, "keep_last=True"),
        ({"keep_last": "3"}, "keep_last='3'"),
        ({"older_than": -1}, "older_than=-1"),
        ({"older_than": "a week"}, "older_than='a week'"),
        ({"older_than": float("nan")}, "older_than=nan"),
        ({"older_than": datetime(2026, 1, 1)}, "time zone"),
        ({"keep_last": 2, "delete_sessions": True}, "needs older_than"),
        ({"keep_last": 2, "user_id": ""}, "user_id"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InMemoryDb().prune(**options)


def test_it_works_in_short_transactions(writer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    session = filled(writer, steps=60)
    filled(writer, "s2", steps=60)
    monkeypatch.setattr(retention, "BATCH", 10)
    monkeypatch.setattr(retention, "PAGE", 1)
    sizes: list[int] = []
    write = session.db._write

    def counting(work: Callable[[Any], Any]) -> Any:
        result = write(work)
        assert session.db.check().ok, "it may be killed after any of them"
        sizes.append(result[0].checkpoints)
        return result

    session.db._write = counting
    report = session.db.prune(keep_last=3)
    assert len(sizes) > 6 and max(sizes) < 25 and sum(sizes) == report.checkpoints == 2 * 61 and report.sessions == 2


def test_a_transaction_that_fails_takes_nothing_away(writer: Make) -> None:
    session = filled(writer)
    write = session.db._write

    def failing(work: Callable[[Any], Any]) -> Any:
        def failed(tx: Any) -> Any:
            work(tx)
            raise ConnectionError("cut")

        return write(failed)

    session.db._write = failing
    with pytest.raises(ConnectionError):
        session.db.prune(keep_last=1)
    assert len(seqs(session.db)) == session.head + 1 and session.db.check().ok


@pytest.mark.parametrize("exact", [set(), {"x"}])
@pytest.mark.parametrize(
    "ops",
    [
        [{"set": [1]}, {"append": [2]}, {"append": [{"a": {"$": 1}}]}],
        [{"append": [1]}, {"unset": None}, {"append": [2]}],
        [{"append": [1]}, {"unset": None, "append": [5]}, {"append": [2]}],
        [{"merge": {"a": 1}}, {"merge": {"b": (1,)}, "drop": ["a"]}, {"merge": {"a": 2}}],
        [{"set": {"a": 1}}, {"merge": {"b": 1}}, {"set": {"c": 1}}, {"merge": {"d": {"$": 1}}}],
        [{"set": {1: 2}}, {"merge": {3: 4}}],
        [{"set": {"a": 1}}, {"unset": None}],
        [{"set": "text"}, {"set": 5}],
    ],
)
def test_a_folded_chain_is_worth_what_its_parts_are(ops: list[dict[str, Any]], exact: set[str]) -> None:
    from graphflow.db.codec import write_value  # noqa: PLC0415
    from graphflow.db.jsontext import loads  # noqa: PLC0415

    texts = [write_value({"x": op}, "x") for op in ops]
    expected: Any = MISSING
    for text in texts:
        expected = apply_op(expected, loads(text)["x"])
    value: Any = MISSING
    op = loads(retention.snapshot_of(texts, exact))["x"]
    for part in op.get("ops", (op,)):
        value = apply_op(value, part)
    assert value == expected and type(value) is type(expected)


# --- with graphs and agents ---------------------------------------------------------------------------------------------------


class Counting(TypedDict):
    n: int
    log: Annotated[list[str], append]


def counting_graph(db: Any) -> Any:
    def count(state: Counting) -> dict[str, Any]:
        return {"n": state["n"] + 1, "log": [f"at {state['n']}"]}

    builder = StateGraph(Counting).add_node("count", count).add_edge(START, "count")
    builder.add_node("ask", lambda state: {"log": [interrupt("sure?")]}).add_edge("ask", END)
    return builder.add_conditional_edges("count", lambda s: "count" if s["n"] < 12 else "ask", ["count", "ask"]).compile(db=db)


def test_history_begins_at_the_oldest_kept(way: Any, db: Any) -> None:
    graph = counting_graph(db)
    way.invoke(graph, {"n": 0}, session_id="s")
    way.resume(graph, "s", "yes")
    before = way.get_state_history(graph, "s")
    db.prune(keep_last=4)
    assert way.get_state_history(graph, "s") == before[:4]
    assert way.get_state_history(graph, "s", 2) == before[:2]
    assert way.get_state_history(graph, "s", 99) == before[:4]
    assert way.get_state(graph, "s", before[3].seq) == before[3]
    with pytest.raises(SessionNotFound, match="was pruned"):
        way.get_state(graph, "s", before[4].seq)
    fork = way.fork(graph, "s", at=before[3].seq)
    assert way.resume(graph, fork).status == "paused"


def test_a_paused_run_is_resumed_after_pruning(way: Any, db: Any) -> None:
    graph = counting_graph(db)
    way.invoke(graph, {"n": 0}, session_id="s")
    db.prune(keep_last=1)
    assert way.resume(graph, "s", "yes")["log"][-1] == "yes"
    db.prune(keep_last=1)
    assert way.get_state(graph, "s").values["n"] == 12 and db.check().ok


def test_runs_go_on_in_asyncio_while_another_thread_prunes(db: Any) -> None:
    async def talk(number: int) -> None:
        agent = Agent(ScriptedModel(["hi"] * 8), db=db, session_id=f"s{number}", session_state={"n": 0})
        for turn in range(8):
            await agent.arun(f"turn {turn}", session_state={"n": turn})
            if number == 0:
                await asyncio.to_thread(db.prune, keep_last=1)

    stop = threading.Event()

    def prune() -> None:
        while not stop.is_set():
            db.prune(keep_last=2)

    async def main() -> None:
        await asyncio.gather(*(talk(number) for number in range(4)))

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        asyncio.run(main())
    finally:
        stop.set()
        thread.join()
    for number in range(4):
        assert db.get_session_state(f"s{number}") == {"n": 7} and len(db.get_messages(f"s{number}")) == 16
    assert db.check().ok
    assert CHAT.channels["session_state"].kind == "keys"


class Notes(TypedDict):
    notes: Annotated[list[str], append]


def summing_graph(db: Any) -> Any:
    """A graph around one that keeps a sum between turns."""

    def add(state: Counting) -> dict[str, Any]:
        return {"n": state.get("n", 0) + 1}

    steps = StateGraph(Counting).add_node("add", add).add_node("rest", lambda state: {}).add_node("more", lambda state: {})
    inner = steps.add_edge(START, "add").add_edge("add", "rest").add_edge("rest", "more").add_edge("more", END).compile()
    options: dict[str, Any] = {"input": lambda state: {}, "output": lambda state: {"notes": [f"now {state['n']}"]}}
    builder = StateGraph(Notes).add_node("sum", inner, persist=True, **options)
    return builder.add_edge(START, "sum").add_edge("sum", END).compile(db=db)


@pytest.mark.parametrize("keep", [1, 2, 6, 9])
def test_a_fork_at_any_kept_checkpoint_has_what_a_lasting_graph_had_come_to(db: Any, keep: int) -> None:
    graph = summing_graph(db)
    heads = []
    for _ in range(6):
        graph.invoke({"notes": []}, session_id="s")
        heads.append(graph.get_state("s").seq)
    db.prune(keep_last=keep)
    first = seqs(db, "s")[0]
    kept = [(turn, head) for turn, head in enumerate(heads, 1) if head >= first]
    assert kept
    for turn, head in kept:
        fork = db.fork_session("s", at=head)
        assert graph.invoke({"notes": []}, session_id=fork)["notes"][-1] == f"now {turn + 1}"
    assert len(seqs(db, "s", ns="sum")) < 24
    assert db.check().ok
