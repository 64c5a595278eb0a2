"""Sessions: what is stored when, what resume does, and how state is looked at and edited."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphflow import (
    END,
    START,
    Command,
    Message,
    Send,
    StateGraph,
    add_messages,
    append,
    interrupt,
    logged,
    per_run,
    untracked,
)
from graphflow.core.effects import Commit, Load, ReadHistory
from graphflow.db import InMemoryDb, SqliteDb
from graphflow.errors import (
    GraphChanged,
    GraphChangedWarning,
    InvalidAnswer,
    InvalidId,
    InvalidUpdate,
    LeaseLost,
    ModelError,
    NoDatabase,
    NotOwner,
    SerializationError,
    SessionNotFound,
    UnfinishedRun,
)


class S(TypedDict):
    path: Annotated[list[str], append]
    topic: str


class Flaky:
    """A node that raises until told not to."""

    def __init__(self, name: str = "flaky") -> None:
        self.name, self.broken, self.calls = name, True, 0

    def __call__(self, state: Any) -> dict[str, Any]:
        self.calls += 1
        if self.broken:
            raise ValueError("not yet")
        return {"path": [self.name]}


def chain(*nodes, db):
    builder = StateGraph(S)
    names = []
    for i, node in enumerate(nodes):
        names.append(f"n{i}")
        builder.add_node(names[-1], node)
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    return builder.compile(db=db)


def visit(name):
    return lambda state: {"path": [name]}


def test_a_session_goes_on_where_it_was(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {"topic": "tea"}, session_id="s")
    result = way.invoke(graph, {}, session_id="s")
    assert result.value == {"path": ["a", "a"], "topic": "tea"}
    assert (result.session_id, result.status) == ("s", "completed")


def test_without_a_session_id_a_new_one_is_made_and_returned(way, db):
    graph = chain(visit("a"), db=db)
    first, second = way.invoke(graph, {}), way.invoke(graph, {})
    assert first.session_id != second.session_id
    assert way.get_state(graph, first.session_id).values == {"path": ["a"]}


def test_sessions_are_apart(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {"topic": "one"}, session_id="one")
    way.invoke(graph, {"topic": "two"}, session_id="two")
    assert way.get_state(graph, "one").values["topic"] == "one"


def test_a_session_outlives_the_process_that_made_it(way, tmp_path):
    path = str(tmp_path / "s.db")
    first = SqliteDb(db_file=path)
    way.invoke(chain(visit("a"), db=first), {"topic": "tea"}, session_id="s")
    first.close()
    second = SqliteDb(db_file=path)
    assert way.invoke(chain(visit("b"), db=second), {}, session_id="s").value == {"path": ["a", "b"], "topic": "tea"}
    second.close()


def test_the_input_is_stored_before_the_first_node_runs(way, db):
    seen = {}

    def look(state, ctx):
        seen.update(graph.get_state("s").values)

    graph = chain(look, db=db)
    way.invoke(graph, {"topic": "tea"}, session_id="s")
    assert seen["topic"] == "tea"


def test_each_superstep_is_stored_before_the_next_begins(way, db):
    seen = []

    def look(state):
        seen.append(graph.get_state("s").values["path"])
        return {"path": ["look"]}

    graph = chain(visit("a"), look, look, db=db)
    way.invoke(graph, {}, session_id="s")
    assert seen == [["a"], ["a", "look"]]


# --- errors and resume -------------------------------------------------------------------------------------------------


def test_an_exception_comes_out_as_itself_with_a_note_and_the_run_can_be_resumed(way, db):
    flaky = Flaky()
    graph = chain(visit("a"), flaky, visit("b"), db=db)
    with pytest.raises(ValueError, match="not yet") as caught:
        way.invoke(graph, {}, session_id="s")
    notes = "\n".join(caught.value.__notes__)
    assert "'n1'" in notes and "'s'" in notes and "checkpoint 1" in notes and "resume('s')" in notes
    state = way.get_state(graph, "s")
    assert (state.status, state.next, state.values["path"]) == ("error", ("n1",), ["a"])
    flaky.broken = False
    result = way.resume(graph, "s")
    assert (result["path"], result.status) == (["a", "flaky", "b"], "completed")


def test_a_failed_run_does_not_stop_a_new_one(way, db):
    flaky = Flaky()
    graph = chain(flaky, db=db)
    with pytest.raises(ValueError):
        way.invoke(graph, {}, session_id="s")
    flaky.broken = False
    assert way.invoke(graph, {}, session_id="s")["path"] == ["flaky"]


def test_a_finished_sibling_is_not_run_again(way, db):
    calls = []

    def good(state):
        calls.append("good")
        return {"path": ["good"]}

    async def agood(state):
        calls.append("agood")
        return {"path": ["agood"]}

    flaky = Flaky()
    builder = (
        StateGraph(S).add_node("good", good).add_node("flaky", flaky).add_node("agood", agood).add_node("end", visit("end"))
    )
    for name in ("good", "flaky", "agood"):
        builder.add_edge(START, name).add_edge(name, "end")
    graph = builder.add_edge("end", END).compile(db=db)
    with pytest.raises(ValueError):
        way.invoke(graph, {}, session_id="s")
    assert [(task.node, task.state) for task in way.get_state(graph, "s").tasks] == [
        ("good", "done"),
        ("flaky", "pending"),
        ("agood", "done"),
    ]
    flaky.broken = False
    result = way.resume(graph, "s")
    assert result["path"] == ["good", "flaky", "agood", "end"]
    assert sorted(calls) == ["agood", "good"]


def test_finished_sends_keep_their_results_while_others_are_retried(way, db):
    calls: dict[int, int] = {}
    broken = {3, 7}

    def work(item):
        calls[item] = calls.get(item, 0) + 1
        if item in broken:
            raise RuntimeError(item)
        return {"path": [str(item)]}

    builder = StateGraph(S).add_node("work", work).add_edge("work", END)
    graph = builder.add_conditional_edges(START, lambda s: [Send("work", i) for i in range(10)], ["work"]).compile(db=db)
    with pytest.raises(RuntimeError):
        way.invoke(graph, {}, session_id="s")
    broken.clear()
    assert way.resume(graph, "s")["path"] == [str(i) for i in range(10)]
    assert calls == {i: 2 if i in (3, 7) else 1 for i in range(10)}


def test_siblings_that_cannot_be_merged_are_run_anew_after_the_error(way, db):
    def one(state):
        return {"topic": "one"}

    both = StateGraph(S).add_node("one", one).add_node("two", lambda s: {"topic": "two"})
    for name in ("one", "two"):
        both.add_edge(START, name).add_edge(name, END)
    graph = both.compile(db=db)
    with pytest.raises(InvalidUpdate, match="topic"):
        way.invoke(graph, {}, session_id="s")
    state = way.get_state(graph, "s")
    assert state.status == "error" and {task.state for task in state.tasks} == {"pending"}


def test_resume_of_a_finished_session_gives_what_it_has(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {}, session_id="s")
    result = way.resume(graph, "s")
    assert (result["path"], result.status) == (["a"], "completed")


def test_resume_of_an_unknown_session_says_so(way, db):
    with pytest.raises(SessionNotFound, match="'nobody'"):
        way.resume(chain(visit("a"), db=db), "nobody")


def test_what_needs_a_database_says_so(way):
    graph = chain(visit("a"), db=None)
    for method in ("get_state", "resume", "get_state_history", "fork"):
        with pytest.raises(NoDatabase, match="db="):
            getattr(way, method)(graph, "s")
    with pytest.raises(NoDatabase):
        way.update_state(graph, "s", {})


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\x00b", "new\nline", "\ud800"])
def test_a_bad_session_id_is_refused_before_anything_is_written(way, db, bad):
    with pytest.raises(InvalidId):
        way.invoke(chain(visit("a"), db=db), {}, session_id=bad)
    assert db.get_sessions() == []


def test_a_wrong_input_writes_nothing(way, db):
    with pytest.raises(InvalidUpdate):
        way.invoke(chain(visit("a"), db=db), {"topic": 5}, session_id="s")
    assert db.get_session("s") is None


def test_a_session_that_is_deleted_while_its_run_goes_on_is_told_so(way, db):
    builder = StateGraph(S).add_node("delete", lambda s: db.delete_session("s") and None).add_edge(START, "delete")
    with pytest.raises(LeaseLost, match="session 's' was deleted while a run of it went on"):
        way.invoke(builder.add_edge("delete", END).compile(db=db), {}, session_id="s")


def test_an_error_before_the_first_checkpoint_names_none(way, db):
    def fails(state):
        raise KeyError("x")

    builder = StateGraph(S).add_node("a", fails).add_edge(START, "a").add_edge("a", END)
    with pytest.raises(KeyError) as caught:
        way.invoke(builder.compile(db=db, durability="exit"), {}, session_id="s")
    told = "\n".join(caught.value.__notes__)
    assert "session 's' (next: a)" in told and "checkpoint" not in told


def test_an_unstorable_value_is_an_error_with_its_path_and_the_run_can_be_mended(way, db):
    class Thing:
        pass

    class Bag(TypedDict):
        things: dict[str, Any]

    values = [{"deep": [1, Thing()]}]
    builder = StateGraph(Bag).add_node("put", lambda s: {"things": values[0]}).add_edge(START, "put").add_edge("put", END)
    graph = builder.compile(db=db)
    with pytest.raises(SerializationError) as caught:
        way.invoke(graph, {"things": {}}, session_id="s")
    assert "things" in caught.value.path and "[1]" in caught.value.path
    assert "after checkpoint 0 (next: put)" in "\n".join(caught.value.__notes__)
    assert way.get_state(graph, "s").status == "error"
    values[0] = {"deep": [1, 2]}
    assert way.resume(graph, "s")["things"] == {"deep": [1, 2]}


class Item(BaseModel):
    name: str
    when: datetime
    price: Decimal


class Rich(TypedDict):
    items: Annotated[list[Item], append]
    span: timedelta
    pair: tuple[int, str]
    tags: set[str]
    anything: Any


def test_rich_types_come_back_as_they_were(way, db):
    value = {
        "items": [Item(name="tea", when=datetime(2026, 1, 2, tzinfo=UTC), price=Decimal("1.10"))],
        "span": timedelta(hours=3),
        "pair": (1, "x"),
        "tags": {"a", "b"},
        "anything": {"t": (1, 2), "b": b"\x00\xff", "n": float("inf"), "big": 2**80, 3: "int key"},
    }
    builder = StateGraph(Rich).add_node("n", lambda s: None).add_edge(START, "n").add_edge("n", END)
    graph = builder.compile(db=db)
    way.invoke(graph, value, session_id="s")
    stored = way.get_state(graph, "s").values
    assert stored == value
    assert type(stored["items"][0]) is Item and type(stored["pair"]) is tuple and type(stored["anything"]["t"]) is tuple


def in_place(old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    old.update(new)
    return old


class InPlace(TypedDict):
    facts: Annotated[dict[str, int], in_place]


def test_what_a_reducer_changes_in_place_is_stored(way, db):
    builder = StateGraph(InPlace).add_node("n", lambda s: {"facts": {"node": 2}}).add_edge(START, "n").add_edge("n", END)
    graph = builder.compile(db=db)
    way.invoke(graph, {"facts": {"input": 1}}, session_id="s")
    assert way.get_state(graph, "s").values == {"facts": {"input": 1, "node": 2}}


def test_a_node_whose_router_raises_has_finished(way, db):
    calls, broken = [], [True]

    def node(state):
        calls.append(1)
        return {"path": ["x"]}

    def router(state):
        if broken[0]:
            raise ValueError("no way")
        return END

    graph = StateGraph(S).add_node("x", node).add_edge(START, "x").add_conditional_edges("x", router, [END]).compile(db=db)
    with pytest.raises(ValueError, match="no way"):
        way.invoke(graph, {}, session_id="s")
    assert db.check().ok
    broken[0] = False
    assert way.resume(graph, "s")["path"] == ["x"]
    assert calls == [1]


def test_typed_errors_on_resume_keep_finished_siblings_and_answers(way, db):
    calls: list[str] = []
    broken = [True]

    def sibling(state):
        calls.append("sibling")
        return {"path": ["sibling"]}

    def asking(state):
        answer = interrupt("name?")
        if broken[0]:
            raise ModelError("down")
        return {"path": [answer]}

    builder = StateGraph(S).add_node("sibling", sibling).add_node("asking", asking)
    graph = (
        builder.add_edge(START, "sibling")
        .add_edge(START, "asking")
        .add_edge("sibling", END)
        .add_edge("asking", END)
        .compile(db=db)
    )
    way.invoke(graph, {}, session_id="s")
    for _ in range(2):
        with pytest.raises(ModelError):
            way.resume(graph, "s", "Anna") if way.get_state(graph, "s").interrupts else way.resume(graph, "s")
    broken[0] = False
    assert way.resume(graph, "s")["path"] == ["sibling", "Anna"]
    assert calls == ["sibling"]


def test_an_alias_keeps_finished_siblings_and_answers(way, db):
    def named(name, flaky):
        builder = StateGraph(S).add_node(name, ask).add_node("flaky", flaky).add_node("good", visit("good"))
        for node in (name, "flaky", "good"):
            builder.add_edge(START, node).add_edge(node, END)
        return builder

    flaky = Flaky()
    with pytest.raises(ValueError):
        way.invoke(named("old", flaky).compile(db=db), {}, session_id="s")
    flaky.broken = False
    graph = named("new", flaky).compile(db=db, aliases={"old": "new"})
    with pytest.warns(GraphChangedWarning):
        assert way.resume(graph, "s").status == "paused"
        assert way.resume(graph, "s", 7)["path"] == ["got 7", "flaky", "good"]


def test_a_plain_session_state_field_keeps_its_other_keys(way, db):
    class Plain(TypedDict):
        session_state: dict[str, int]

    def node(state, ctx):
        ctx.session_state["b"] = 2

    graph = StateGraph(Plain).add_node("n", node).add_edge(START, "n").add_edge("n", END).compile(db=db)
    assert way.invoke(graph, {"session_state": {"a": 1}}, session_id="s")["session_state"] == {"a": 1, "b": 2}
    bare = StateGraph(S).add_node("n", node).add_edge(START, "n").add_edge("n", END).compile()
    with pytest.raises(InvalidUpdate, match="session_state"):
        way.invoke(bare, {})


def test_a_state_that_cannot_be_made_leaves_an_error_whether_streamed_or_not(db):
    @dataclass
    class Needs:
        x: int
        y: int

    @dataclass
    class Part:
        x: int

    def first(state):
        return {"x": state.x + 1}

    first.__annotations__["state"] = Part
    builder = StateGraph(Needs).add_node("first", first).add_node("n", lambda s: None)
    graph = builder.add_edge(START, "first").add_edge("first", "n").add_edge("n", END).compile(db=db)
    for session, run in (("a", graph.invoke), ("b", lambda i, session_id: list(graph.stream(i, session_id=session_id)))):
        with pytest.raises(InvalidUpdate, match="'y'"):
            run({"x": 1}, session_id=session)
        assert db.get_session(session).status == "error"


class Mixed(TypedDict):
    items: Annotated[list[Item], append]
    secret: Annotated[str, untracked]


def test_a_finished_sibling_keeps_typed_values_and_leaks_no_secret(way, tmp_path):
    db = SqliteDb(db_file=str(tmp_path / "s.db"))
    item = Item(name="tea", when=datetime(2026, 1, 2, tzinfo=UTC), price=Decimal("1.10"))
    flaky = Flaky()
    flaky.name = "x"
    builder = StateGraph(Mixed).add_node("good", lambda s: {"items": [item], "secret": "correct-horse"})
    builder.add_node("bad", lambda s: flaky(s) and {"items": []})
    graph = builder.add_edge(START, "good").add_edge(START, "bad").add_edge("good", END).add_edge("bad", END).compile(db=db)
    with pytest.raises(ValueError):
        way.invoke(graph, {}, session_id="s")
    assert all(b"correct-horse" not in file.read_bytes() for file in tmp_path.iterdir())
    flaky.broken = False
    assert way.resume(graph, "s")["items"] == [item]
    db.close()


# --- unfinished runs ---------------------------------------------------------------------------------------------------


def ask(state):
    return {"path": [f"got {interrupt({'question': 'how many?'})}"]}


def test_a_question_pauses_the_run_and_its_answer_goes_on(way, db):
    graph = chain(visit("a"), ask, visit("b"), db=db)
    paused = way.invoke(graph, {}, session_id="s")
    assert (paused.status, [q.value for q in paused.interrupts], paused.interrupts[0].node) == (
        "paused",
        [{"question": "how many?"}],
        "n1",
    )
    state = way.get_state(graph, "s")
    assert (state.status, state.next, state.interrupts) == ("paused", ("n1",), paused.interrupts)
    done = way.resume(graph, "s", None)
    assert (done["path"], done.status, done.interrupts) == (["a", "got None", "b"], "completed", ())


def test_several_questions_of_one_node_are_answered_in_order(way, db):
    def twice(state):
        return {"path": [str(interrupt("first?")), str(interrupt("second?"))]}

    graph = chain(twice, db=db)
    first = way.invoke(graph, {}, session_id="s")
    second = way.resume(graph, "s", 1)
    assert second.status == "paused" and first.interrupts[0].id != second.interrupts[0].id
    assert way.invoke(graph, Command(resume=2), session_id="s")["path"] == ["1", "2"]


def test_questions_of_parallel_nodes_may_be_answered_one_by_one(way, db):
    runs = []

    def asking(name):
        def node(state):
            runs.append(name)
            return {"path": [f"{name}={interrupt(name)}"]}

        return node

    builder = StateGraph(S)
    for name in ("x", "y"):
        builder.add_node(name, asking(name)).add_edge(START, name).add_edge(name, END)
    graph = builder.compile(db=db)
    x, y = way.invoke(graph, {}, session_id="s").interrupts
    with pytest.raises(InvalidAnswer, match="2 pending"):
        way.resume(graph, "s", "bare")
    with pytest.raises(InvalidAnswer, match="nobody"):
        way.resume(graph, "s", answers={"nobody": 1})
    half = way.resume(graph, "s", answers={y.id: 2})
    assert (half.status, half.interrupts) == ("paused", (x,))
    runs.clear()
    assert way.resume(graph, "s", answers={x.id: 1})["path"] == ["x=1", "y=2"]
    assert runs == ["x"], "the answered task is not run again"


def test_an_answer_without_a_question_is_an_error(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {}, session_id="s")
    with pytest.raises(InvalidAnswer, match="no pending question"):
        way.resume(graph, "s", "yes")


def test_a_question_passes_through_except_exception(way, db):
    def careful(state):
        try:
            answer = interrupt("sure?")
        except Exception:
            return {"path": ["swallowed"]}
        return {"path": [answer]}

    graph = chain(careful, db=db)
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert way.resume(graph, "s", "yes")["path"] == ["yes"]


def test_new_input_on_a_paused_graph_names_resume_or_abandons(way, db):
    graph = chain(ask, db=db)
    first = way.invoke(graph, {}, session_id="s")
    with pytest.raises(UnfinishedRun, match=r"resume\('s'\)"):
        way.invoke(graph, {}, session_id="s")
    second = way.invoke(graph, {}, session_id="s", on_unfinished="abandon")
    assert second.run_id != first.run_id
    assert [run.status for run in db.get_runs("s")] == ["abandoned", "paused"]


def test_a_graph_that_lost_its_pending_node_says_what_is_missing(way, db):
    flaky = Flaky()
    with pytest.raises(ValueError):
        way.invoke(chain(visit("a"), flaky, db=db), {}, session_id="s")
    renamed = StateGraph(S).add_node("n0", visit("a")).add_node("renamed", visit("r"))
    renamed.add_edge(START, "n0").add_edge("n0", "renamed").add_edge("renamed", END)
    with pytest.raises(GraphChanged, match="'n1'"):
        way.resume(renamed.compile(db=db), "s")
    with pytest.warns(GraphChangedWarning):
        assert way.resume(renamed.compile(db=db, aliases={"n1": "renamed"}), "s")["path"] == ["a", "r"]


# --- owners ------------------------------------------------------------------------------------------------------------


def test_an_owned_session_needs_its_owner(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {}, session_id="s", user_id="anna")
    for other in ("ben", None):
        with pytest.raises(NotOwner):
            way.invoke(graph, {}, session_id="s", user_id=other)
        with pytest.raises(NotOwner):
            way.get_state(graph, "s", user_id=other)
        with pytest.raises(NotOwner):
            way.update_state(graph, "s", {"topic": "mine"}, user_id=other)
        with pytest.raises(NotOwner):
            way.fork(graph, "s", user_id=other)
    assert way.get_state(graph, "s", user_id="anna").values["path"] == ["a"]


def test_an_ownerless_session_is_adopted_with_its_state(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {"topic": "tea"}, session_id="s")
    assert way.invoke(graph, {}, session_id="s", user_id="anna")["topic"] == "tea"
    with pytest.raises(NotOwner):
        way.invoke(graph, {}, session_id="s", user_id="ben")


# --- one writer --------------------------------------------------------------------------------------------------------


class Counter(TypedDict):
    count: int


def slow_count(state):
    before = state["count"]
    time.sleep(0.002)
    return {"count": before + 1}


def counter(db):
    return StateGraph(Counter).add_node("n", slow_count).add_edge(START, "n").add_edge("n", END).compile(db=db)


def test_runs_on_one_session_wait_for_each_other_in_threads(db):
    graph = counter(db)
    graph.invoke({"count": 0}, session_id="s")
    threads = [threading.Thread(target=lambda: graph.invoke({}, session_id="s")) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert graph.get_state("s").values["count"] == 13


def test_runs_on_one_session_wait_for_each_other_in_asyncio(db):
    graph = counter(db)

    async def all_at_once():
        await graph.ainvoke({"count": 0}, session_id="s")
        await asyncio.gather(*(graph.ainvoke({}, session_id="s") for _ in range(12)))

    asyncio.run(all_at_once())
    assert graph.get_state("s").values["count"] == 13


def test_a_run_whose_session_was_taken_over_fails_loudly_and_writes_nothing(way, tmp_path):
    path = str(tmp_path / "s.db")
    mine, theirs = SqliteDb(db_file=path), SqliteDb(db_file=path)
    other = chain(visit("theirs"), db=theirs)

    def stalled(state):
        # Another process would not stand in this process's line, so its commit is made by hand.
        stored = theirs.load(load_of(other))
        theirs.commit(take_over(stored))
        return {"path": ["mine"]}

    graph = chain(stalled, db=mine)
    with pytest.raises(LeaseLost):
        way.invoke(graph, {}, session_id="s")
    assert "path" not in other.get_state("s").values or other.get_state("s").values["path"] == []
    mine.close()
    theirs.close()


def load_of(graph):
    return Load("s", None, graph.plan.schema)


def take_over(stored):
    return Commit("s", stored.head, stored.epoch, stored.run.run_id, take_over=True)


# --- looking and editing -----------------------------------------------------------------------------------------------


def test_history_is_newest_first_and_each_checkpoint_can_be_read(way, db):
    graph = chain(visit("a"), visit("b"), db=db)
    way.invoke(graph, {"topic": "tea"}, session_id="s")
    history = way.get_state_history(graph, "s")
    assert [(snap.seq, snap.values["path"], snap.next) for snap in history] == [
        (2, ["a", "b"], ()),
        (1, ["a"], ("n1",)),
        (0, [], ("n0",)),
    ]
    assert [snap.seq for snap in way.get_state_history(graph, "s", limit=2)] == [2, 1]
    assert way.get_state(graph, "s", at=1).values["path"] == ["a"]
    with pytest.raises(SessionNotFound):
        way.get_state(graph, "s", at=9)


def test_each_checkpoint_of_the_history_knows_its_own_run_and_the_newest_its_questions(way, db):
    graph = chain(visit("a"), ask, db=db)
    first = way.invoke(graph, {}, session_id="s")
    way.resume(graph, "s", 1)
    second = way.invoke(graph, {}, session_id="s")
    history = way.get_state_history(graph, "s")
    assert [snap.run_id for snap in history] == [second.run_id] * 2 + [first.run_id] * 3
    assert [snap.status for snap in history] == ["paused", "running", "completed", "running", "running"]
    assert history[0].interrupts == second.interrupts and not any(snap.interrupts for snap in history[1:])
    assert way.get_state(graph, "s", at=2).status == "completed"


def test_update_state_goes_through_the_reducers(way, db):
    graph = chain(visit("a"), db=db)
    way.invoke(graph, {}, session_id="s")
    seq = way.update_state(graph, "s", {"path": ["by hand"]})
    state = way.get_state(graph, "s")
    assert (state.seq, state.values["path"], state.next) == (seq, ["a", "by hand"], ())
    with pytest.raises(InvalidUpdate, match="did you mean 'path'"):
        way.update_state(graph, "s", {"paht": []})


def test_update_state_as_a_node_runs_what_follows_it(way, db):
    graph = chain(visit("a"), visit("b"), visit("c"), db=db)
    way.invoke(graph, {}, session_id="s")
    way.update_state(graph, "s", {"path": ["hand"]}, as_node="n0")
    assert way.get_state(graph, "s").next == ("n1",)
    assert way.resume(graph, "s")["path"] == ["a", "b", "c", "hand", "b", "c"]
    with pytest.raises(ValueError, match="nowhere"):
        way.update_state(graph, "s", {}, as_node="nowhere")


def test_update_state_as_the_node_that_asked_gives_its_question_up(way, db):
    graph = chain(ask, visit("z"), db=db)
    way.invoke(graph, {}, session_id="s")
    way.update_state(graph, "s", {"path": ["by hand"]}, as_node="n0")
    state = way.get_state(graph, "s")
    assert (state.status, state.next, state.interrupts) == ("paused", ("n1",), ())
    with pytest.raises(UnfinishedRun, match="is paused before 'n1'; go on with resume"):
        way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s")["path"] == ["by hand", "z"]
    assert way.get_state(graph, "s").status == db.get_session("s").status == db.get_runs("s")[0].status == "completed"


def test_update_state_keeps_finished_siblings_and_pending_questions(way, db):
    graph = chain(ask, db=db)
    way.invoke(graph, {}, session_id="s")
    way.update_state(graph, "s", {"topic": "changed"})
    assert way.resume(graph, "s", 5)["path"] == ["got 5"]


def test_update_state_may_begin_a_session(way, db):
    graph = chain(visit("a"), db=db)
    way.update_state(graph, "new", {"topic": "tea"}, as_node=START)
    assert way.resume(graph, "new").value == {"path": ["a"], "topic": "tea"}


def test_a_fork_goes_its_own_way_and_leaves_the_source_alone(way, db):
    graph = chain(visit("a"), visit("b"), db=db)
    way.invoke(graph, {"topic": "tea"}, session_id="s")
    before = way.get_state_history(graph, "s")
    fork = way.fork(graph, "s", at=1)
    assert way.get_state(graph, fork).next == ("n1",)
    assert way.resume(graph, fork)["path"] == ["a", "b"]
    way.update_state(graph, fork, {"topic": "coffee"})
    assert way.get_state_history(graph, "s") == before
    assert way.fork(graph, "s", session_id="named") == "named"
    assert way.get_state(graph, "named").values == before[0].values


def test_a_fork_in_the_middle_of_a_run_is_paused_before_what_is_next(way, db):
    graph = chain(visit("a"), visit("b"), db=db)
    way.invoke(graph, {}, session_id="s")
    fork = way.fork(graph, "s", at=1)
    state, (run,) = way.get_state(graph, fork), db.get_runs(fork)
    assert (state.status, state.next, state.interrupts) == ("paused", ("n1",), ())
    assert (db.get_session(fork).status, run.status, run.error) == ("paused", "paused", None)
    with pytest.raises(UnfinishedRun, match="is paused before 'n1'; go on with resume"):
        way.invoke(graph, {}, session_id=fork)
    assert way.resume(graph, fork)["path"] == ["a", "b"]


def test_a_copy_of_a_run_that_goes_on_is_paused_where_that_was(way, db):
    copies: list[str] = []

    def copy(state):
        if not copies:
            copies.append(db.import_session(db.export_session("s"), session_id="copy"))
        return {"path": ["b"]}

    graph = chain(visit("a"), copy, db=db)
    way.invoke(graph, {}, session_id="s")
    state, (run,) = way.get_state(graph, "copy"), db.get_runs("copy")
    assert (state.status, state.next, db.get_session("copy").status, run.status) == ("paused", ("n1",), "paused", "paused")
    assert way.resume(graph, "copy")["path"] == ["a", "b"] and db.check().ok


def test_a_fork_where_a_run_failed_has_failed_too(way, db):
    flaky = Flaky()
    graph = chain(visit("a"), flaky, db=db)
    with pytest.raises(ValueError):
        way.invoke(graph, {}, session_id="s")
    fork = way.fork(graph, "s")
    assert (way.get_state(graph, fork).status, db.get_runs(fork)[0].error) == ("error", db.get_runs("s")[0].error)
    assert way.get_state(graph, way.fork(graph, "s", at=0)).status == "paused", "before it failed"
    flaky.broken = False
    assert way.resume(graph, fork)["path"] == ["a", "flaky"]


def test_a_fork_of_a_paused_session_asks_again(way, db):
    graph = chain(ask, db=db)
    way.invoke(graph, {}, session_id="s")
    fork = way.fork(graph, "s")
    assert way.resume(graph, fork).status == "paused"
    assert way.resume(graph, fork, 1)["path"] == ["got 1"]
    assert way.resume(graph, "s", 2)["path"] == ["got 2"]


# --- the message log ---------------------------------------------------------------------------------------------------


class Talk(TypedDict):
    messages: Annotated[list[Message], add_messages, logged]
    notes: Annotated[list[str], append, per_run]


def answer(state):
    return {"messages": Message("assistant", f"answer to {state['messages'][-1].text}"), "notes": ["x"]}


def talk(db):
    return StateGraph(Talk).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile(db=db)


def test_logged_messages_are_per_run_in_the_state_and_for_ever_in_the_log(way, db):
    graph = talk(db)
    for i in range(3):
        result = way.invoke(graph, {"messages": [("user", f"q{i}")]}, session_id="s")
        assert [m.text for m in result["messages"]] == [f"q{i}", f"answer to q{i}"]
    log = db.get_messages("s")
    assert [m.text for m in log] == [text for i in range(3) for text in (f"q{i}", f"answer to q{i}")]
    assert len({m.id for m in log}) == 6
    assert way.get_state(graph, "s").values["messages"] == result["messages"]


def test_a_replaced_message_supersedes_the_old_one_in_the_log(way, db):
    def redact(state):
        first = state["messages"][0]
        return {"messages": [first.model_copy(update={"content": "[redacted]"}), ("assistant", "ok")]}

    graph = StateGraph(Talk).add_node("n", redact).add_edge(START, "n").add_edge("n", END).compile(db=db)
    result = way.invoke(graph, {"messages": [("user", "secret")]}, session_id="s")
    assert [m.text for m in result["messages"]] == ["[redacted]", "ok"]
    assert [m.text for m in db.get_messages("s")] == ["[redacted]", "ok"]
    assert [m.text for m in way.get_state(graph, "s").values["messages"]] == ["[redacted]", "ok"]


def test_ids_that_users_give_to_messages_are_good_within_a_run(way, db):
    graph = talk(db)
    for text in ("first", "second"):
        way.invoke(graph, {"messages": [Message("user", text, id="msg-1")]}, session_id="s")
    asked = [message.text for message in db.get_messages("s") if message.role == "user"]
    assert asked == ["first", "second"]
    history = db.read_history(ReadHistory("s", before=99, last_runs=1))
    assert [message.text for message in history] == ["second", "answer to second"]


def test_bytes_written_do_not_grow_with_the_length_of_a_session(tmp_path):
    db = SqliteDb(db_file=str(tmp_path / "s.db"))
    graph = talk(db)
    sizes = {}
    for i in range(1, 401):
        graph.invoke({"messages": [("user", "x" * 400)]}, session_id="s")
        if i in (100, 200, 300, 400):
            sizes[i] = sum(len(str(message)) for message in db.get_messages("s")), total_bytes(db, tmp_path)
    db.close()
    growth = [sizes[b][1] - sizes[a][1] for a, b in ((100, 200), (200, 300), (300, 400))]
    assert max(growth) < 1.3 * min(growth), sizes


def total_bytes(db, folder):
    with closing(sqlite3.connect(folder / "s.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "s.db").stat().st_size


def test_rerunnable_nodes_ride_on_the_next_commit(way):
    db = Counting()
    builder = StateGraph(S).add_node("read", visit("read"), rerunnable=True).add_node("work", visit("work"))
    graph = builder.add_edge(START, "read").add_edge("read", "work").add_edge("work", END).compile(db=db)
    assert way.invoke(graph, {}, session_id="s")["path"] == ["read", "work"]
    assert db.commits == 2
    assert way.get_state(graph, "s").values["path"] == ["read", "work"]


def test_what_rode_along_is_stored_before_parallel_results_rest_on_it(way, db):
    calls: list[str] = []
    flaky = Flaky()

    def noted(name):
        def node(state):
            calls.append(name)
            return {"path": [name]}

        return node

    builder = StateGraph(S).add_node("read", noted("read"), rerunnable=True).add_node("good", noted("good"))
    builder.add_node("flaky", flaky).add_edge(START, "read").add_edge("read", "good").add_edge("read", "flaky")
    graph = builder.add_edge("good", END).add_edge("flaky", END).compile(db=db)
    with pytest.raises(ValueError):
        way.invoke(graph, {}, session_id="s")
    assert way.get_state(graph, "s").values["path"] == ["read"]
    flaky.broken = False
    assert way.resume(graph, "s")["path"] == ["read", "good", "flaky"]
    assert calls == ["read", "good"]


class NotRecording(InMemoryDb):
    """An InMemoryDb that cannot keep tasks."""

    def commit(self, effect: Any) -> None:
        if effect.tasks and not effect.closed:
            raise OSError("no room for tasks")
        super().commit(effect)


def test_a_recording_that_fails_fails_the_run(way):
    slow = threading.Event()

    def first(state):
        return {"path": ["first"]}

    def second(state):
        slow.wait(0.3)
        return {"path": ["second"]}

    builder = StateGraph(S).add_node("first", first).add_node("second", second)
    graph = builder.add_edge(START, "first").add_edge(START, "second").add_edge("first", END).add_edge("second", END)
    with pytest.raises(OSError, match="no room for tasks"):
        way.invoke(graph.compile(db=NotRecording()), {}, session_id="s")


class Counting(InMemoryDb):
    """An InMemoryDb that counts its transactions."""

    commits = 0

    def commit(self, effect: Any) -> None:
        self.commits += 1
        super().commit(effect)
