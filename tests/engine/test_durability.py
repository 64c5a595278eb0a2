"""Durability "exit": one commit, at the end of a run."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Message, Send, StateGraph, add_messages, append, interrupt, logged, merge, per_run
from graphflow.core.effects import Commit
from graphflow.errors import InvalidUpdate, LeaseLost, SerializationError
from tests.engine.counting import Counting


class S(TypedDict):
    path: Annotated[list[Any], append]
    facts: Annotated[dict[str, int], merge]
    count: int
    anything: Any
    scratch: Annotated[list[str], append, per_run]
    messages: Annotated[list[Message], add_messages, logged]
    inbox: Annotated[list[Message], add_messages]


def work(state):
    n = state.get("count", 0) + 1
    return {
        "count": n,
        "path": [n],
        "facts": {f"n{n}": n},
        "scratch": [f"s{n}"],
        "messages": [("assistant", f"message {n}")],
        "inbox": [("user", f"mail {n}")],
    }


def loop(db, node=work, until=5, **compiled):
    builder = StateGraph(S)
    builder.add_node("work", node)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", lambda state: "work" if state["count"] % until else END, ["work", END])
    return builder.compile(db=db, **compiled)


def plain(values):
    """The state without the ids that messages were given."""
    return {
        name: [(m.role, m.content) for m in value] if name in ("messages", "inbox") else value for name, value in values.items()
    }


def test_a_run_is_one_commit(way, db):
    counting = Counting(db)
    graph = loop(counting, durability="exit")
    result = way.invoke(graph, {"messages": [("user", "hi")]}, session_id="s")
    assert len(counting.commits) == 1
    assert (result.status, result.seq, result["path"]) == ("completed", 0, [1, 2, 3, 4, 5])
    state = way.get_state(graph, "s")
    assert state.values == result.value and (state.status, state.seq, state.next) == ("completed", 0, ())


def test_it_leaves_what_a_run_of_many_commits_leaves(way, db):
    graph = loop(db)
    for session, durability in (("sync", "sync"), ("exit", "exit")):
        for turn in range(3):
            given = {"messages": [("user", f"turn {turn}")], "scratch": ["given"]}
            way.invoke(graph, given, session_id=session, durability=durability)
    one, two = (plain(graph.get_state(session).values) for session in ("sync", "exit"))
    assert one == two
    assert [(m.role, m.content) for m in db.get_messages("sync")] == [(m.role, m.content) for m in db.get_messages("exit")]
    assert [run.status for run in db.get_runs("exit")] == ["completed"] * 3
    ids = [m.id for m in graph.get_state("exit").values["inbox"]]
    assert len(set(ids)) == len(ids) == 15
    assert db.check().ok


def test_the_call_overrides_what_was_compiled(way, db):
    counting = Counting(db)
    way.invoke(loop(counting, durability="exit"), {}, session_id="a", durability="sync")
    assert len(counting.commits) == 6
    counting.commits.clear()
    way.invoke(loop(counting), {}, session_id="a", durability="exit")
    assert len(counting.commits) == 1


def test_a_wrong_durability_is_refused(way, db):
    with pytest.raises(ValueError, match="'sync' or 'exit'"):
        loop(db, durability="async")
    with pytest.raises(ValueError, match="'sync' or 'exit'"):
        way.invoke(loop(db), {}, durability="never")


def test_until_the_end_nothing_is_stored(way, db):
    seen = []

    def look(state):
        seen.append(db.get_session("s"))
        return work(state)

    way.invoke(loop(db, look, durability="exit"), {}, session_id="s")
    assert seen == [None] * 5 and db.get_session("s") is not None


def test_a_question_is_committed_with_everything_before_it(way, db):
    def ask(state):
        if state.get("count") == 3:
            return {**work(state), "anything": interrupt("go on?")}
        return work(state)

    counting = Counting(db)
    graph = loop(counting, ask, durability="exit")
    result = way.invoke(graph, {}, session_id="s")
    assert (result.status, result["path"], len(counting.commits)) == ("paused", [1, 2, 3], 1)
    state = graph.get_state("s")
    assert (state.status, state.next, state.interrupts) == ("paused", ("work",), result.interrupts)
    result = way.resume(graph, "s", "yes")
    assert (result["path"], result["anything"]) == ([1, 2, 3, 4, 5], "yes")
    assert len(counting.commits) == 3  # the answer, and the end
    assert graph.get_state("s").values == result.value
    assert db.check().ok


def test_half_answered_questions_are_kept(way, db):
    builder = StateGraph(S)
    builder.add_node("first", work)
    builder.add_edge(START, "first")
    for name in ("one", "two"):
        builder.add_node(name, lambda state, name=name: {"path": [interrupt(name)]})
        builder.add_edge("first", name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db, durability="exit")
    _, two = way.invoke(graph, {}, session_id="s").interrupts
    result = way.resume(graph, "s", answers={two.id: "second"})
    assert [question.value for question in result.interrupts] == ["one"]
    assert way.resume(graph, "s", "first")["path"] == [1, "first", "second"]


def test_pauses_and_resumes_of_one_run_have_tasks_of_their_own(way, db):
    keys = []

    def ask(state, ctx):
        keys.append(ctx.task_key)
        interrupt("go on?")
        return work(state)

    graph = loop(db, ask, until=3, durability="exit")
    way.invoke(graph, {}, session_id="s")
    for _ in range(3):
        way.resume(graph, "s", True)
    assert graph.get_state("s").values["path"] == [1, 2, 3]
    assert keys[0] == keys[1] and keys[2] == keys[3] and len(set(keys)) == 3


def test_task_keys_are_never_those_of_another_run(way, db):
    keys = []

    def note(state, ctx):
        keys.append(ctx.task_key)
        return work(state)

    graph = loop(db, note)
    for durability in ("exit", "sync", "exit"):
        way.invoke(graph, {}, session_id="s", durability=durability)
    assert len(set(keys)) == len(keys) == 15


def test_an_error_commits_what_was_done_and_resume_goes_on(way, db):
    broken = [True]

    def fail(state, ctx):
        ctx.step("once", lambda: broken.append(state.get("count")))
        if state.get("count") == 2 and broken[0]:
            raise ZeroDivisionError
        return work(state)

    counting = Counting(db)
    graph = loop(counting, fail, durability="exit")
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {"messages": [("user", "hi")]}, session_id="s")
    assert len(counting.commits) == 1
    state = graph.get_state("s")
    assert (state.status, state.next, state.values["path"]) == ("error", ("work",), [1, 2])
    broken[0] = False
    assert way.resume(graph, "s")["path"] == [1, 2, 3, 4, 5]
    assert broken[1:] == [None, 1, 2, 3, 4], "the step of the failed node is not computed again"


def test_a_failed_router_keeps_the_finished_node_once(way, db):
    broken, builder = [True], StateGraph(S)

    def route(state):
        if broken and state["count"] == 3:
            raise ZeroDivisionError
        return "work" if state["count"] < 5 else END

    builder.add_node("work", work)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", route, ["work", END])
    graph = builder.compile(db=db, durability="exit")
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {}, session_id="s")
    assert graph.get_state("s").values["path"] == [1, 2]
    broken.clear()
    result = way.resume(graph, "s")
    assert result["path"] == [1, 2, 3, 4, 5] and [m.content for m in result["inbox"]] == [f"mail {n}" for n in range(1, 6)]


def test_siblings_that_finished_are_kept_with_an_error(way, db):
    broken, calls = [True], []

    def one(state):
        calls.append("one")
        return {"path": ["one"]}

    def two(state):
        calls.append("two")
        if broken:
            raise ZeroDivisionError
        return {"path": ["two"]}

    builder = StateGraph(S)
    builder.add_node("first", work)
    builder.add_edge(START, "first")
    for name, node in (("one", one), ("two", two)):
        builder.add_node(name, node)
        builder.add_edge("first", name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db, durability="exit")
    with pytest.raises(ZeroDivisionError):
        way.invoke(graph, {}, session_id="s")
    broken.clear()
    assert way.resume(graph, "s")["path"] == [1, "one", "two"]
    assert calls.count("one") == 1


def test_results_that_cannot_be_merged_are_made_anew(way, db):
    clash, builder = [True], StateGraph(S)
    builder.add_node("first", work)
    builder.add_edge(START, "first")
    for name in ("one", "two"):
        builder.add_node(name, lambda state, name=name: {"anything": name} if clash or name == "one" else None)
        builder.add_edge("first", name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db, durability="exit")
    with pytest.raises(InvalidUpdate):
        way.invoke(graph, {}, session_id="s")
    clash.clear()
    assert way.resume(graph, "s")["anything"] == "one"


def test_a_pause_at_a_node_is_committed(way, db):
    counting = Counting(db)
    graph = loop(counting, until=3, durability="exit", interrupt_before=["work"])
    result, pauses = way.invoke(graph, {}, session_id="s"), 0
    while result.status == "paused":
        assert graph.get_state("s").values.get("path", []) == result["path"]
        result, pauses = way.resume(graph, "s"), pauses + 1
    assert (pauses, result["path"]) == (3, [1, 2, 3])


def test_sends_joins_and_deferred_nodes_work_as_ever(way, db):
    builder = StateGraph(S)
    builder.add_node("fan", lambda state: None)
    builder.add_node("each", lambda n: {"path": [n]})
    builder.add_node("last", lambda state: {"count": len(state["path"])}, defer=True)
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("each", n) for n in range(5)], ["each"])
    builder.add_edge("each", "last")
    builder.add_edge("last", END)
    graph = builder.compile(db=db, durability="exit")
    assert way.invoke(graph, {}, session_id="s")["count"] == 5
    assert graph.get_state("s").values["path"] == [0, 1, 2, 3, 4]


def test_what_cannot_be_stored_is_an_error_and_nothing_is(way, db):
    graph = loop(db, lambda state: {**work(state), "anything": object()}, durability="exit")
    with pytest.raises(SerializationError, match="anything") as caught:
        way.invoke(graph, {}, session_id="s")
    assert db.get_session("s") is None
    notes = "\n".join(caught.value.__notes__)
    assert "nothing of this run is stored" in notes and "resume(" not in notes


def test_a_session_that_another_run_moved_meanwhile_is_not_overwritten(way, db):
    def rival(state):
        if state.get("count", 0) == 1:
            # as another process would: past this process's line
            db.commit(Commit("s", 0, 1, "r", take_over=True, status="completed"))
        return work(state)

    way.invoke(loop(db, until=1), {}, session_id="s")
    before = loop(db).get_state("s").values
    with pytest.raises(LeaseLost):
        way.invoke(loop(db, rival, durability="exit"), {}, session_id="s")
    assert loop(db).get_state("s").values == before


def test_an_abandoned_run_is_closed_by_the_same_commit(way, db):
    graph = loop(db, lambda state: {**work(state), "anything": interrupt("?")}, until=1)
    way.invoke(graph, {}, session_id="s")
    counting = Counting(db)
    way.invoke(loop(counting, until=1), {}, session_id="s", durability="exit", on_unfinished="abandon")
    assert len(counting.commits) == 1
    assert [run.status for run in db.get_runs("s")] == ["abandoned", "completed"]


def test_a_cancelled_run_keeps_what_was_done(db):
    async def node(state):
        if state.get("count") == 2:
            await asyncio.sleep(30)
        return work(state)

    graph = loop(db, node, durability="exit")

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(graph.ainvoke({}, session_id="s"), 1)

    asyncio.run(main())
    state = graph.get_state("s")
    assert (state.status, state.values["path"]) == ("cancelled", [1, 2])


def test_checkpoints_of_a_stream_say_that_they_wait(way, db):
    parts = way.stream(loop(db, durability="exit"), {}, session_id="s", stream_mode="events")
    assert [part.stored for part in parts if part.type == "checkpoint"] == [False] * 4 + [True]


def test_without_a_database_it_changes_nothing(way):
    assert way.invoke(loop(None, durability="exit"), {})["path"] == [1, 2, 3, 4, 5]
