"""The two drivers: the same results and errors both ways, parallel tasks, threads, loops, and nothing that starves."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
import time
from itertools import pairwise
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, CachePolicy, Context, RetryPolicy, Send, StateGraph, append, interrupt
from graphflow.db import InMemoryDb, SqliteDb
from tests.forking import fork


class S(TypedDict):
    path: Annotated[list[str], append]


def fan(node: Any, count: int, db: Any = None) -> Any:
    """START sends ``count`` items to one node."""
    builder = StateGraph(S).add_node("work", node).add_edge("work", END)
    return builder.add_conditional_edges(START, lambda s: [Send("work", i) for i in range(count)], ["work"]).compile(db=db)


def single(node: Any, db: Any = None) -> Any:
    return StateGraph(S).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile(db=db)


async def awaits(state: Any) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"path": ["async"]}


def test_async_nodes_run_under_plain_calls_and_sync_nodes_under_asyncio(way):
    builder = StateGraph(S).add_node("one", awaits).add_node("two", lambda s: {"path": ["sync"]})
    graph = builder.add_edge(START, "one").add_edge("one", "two").add_edge("two", END).compile()
    assert way.invoke(graph, {})["path"] == ["async", "sync"]


def logged(fn: Any) -> Any:
    """A plain function around any other, as many a decorator makes it."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


@pytest.mark.parametrize("settings", [{}, {"retry": RetryPolicy()}, {"timeout": 60}, {"cache": CachePolicy()}])
def test_what_a_plain_node_gives_is_awaited_where_it_has_to_be(way, db, settings):
    builder = StateGraph(S).add_node("wrapped", logged(awaits), **settings).add_node("lambda", lambda s: awaits(s), **settings)
    graph = builder.add_edge(START, "wrapped").add_edge("wrapped", "lambda").add_edge("lambda", END).compile(db=db)
    assert way.invoke(graph, {})["path"] == ["async", "async"]
    assert way.invoke(fan(logged(awaits), 3, db), {})["path"] == ["async"] * 3


def test_what_a_plain_error_handler_gives_is_awaited_where_it_has_to_be(way):
    async def mend(state: Any, error: Any) -> dict[str, Any]:
        return {"path": [type(error.exception).__name__]}

    def fails(state: Any) -> None:
        raise OSError

    builder = StateGraph(S).add_node("node", fails, on_error=logged(mend)).add_edge(START, "node").add_edge("node", END)
    assert way.invoke(builder.compile(), {})["path"] == ["OSError"]


def test_invoke_works_inside_a_running_loop():
    async def notebook() -> Any:
        return single(awaits).invoke({})["path"]

    assert asyncio.run(notebook()) == ["async"]


def test_a_single_task_of_invoke_runs_in_the_callers_own_thread():
    seen = []
    single(lambda s: seen.append(threading.current_thread())).invoke({})
    assert seen == [threading.current_thread()]


def test_sync_and_async_tasks_of_one_superstep_wait_for_each_other(way):
    """Each task waits for the other to begin: they only end if both run at the same time."""
    first, second = threading.Event(), threading.Event()

    def sync_node(state: Any) -> None:
        first.set()
        assert second.wait(10)

    async def async_node(state: Any) -> None:
        second.set()
        while not first.is_set():
            await asyncio.sleep(0.001)

    builder = StateGraph(S).add_node("a", sync_node).add_node("b", async_node)
    for name in "ab":
        builder.add_edge(START, name).add_edge(name, END)
    assert way.invoke(builder.compile(), {}).status == "completed"


def test_parallel_sync_tasks_run_at_the_same_time_and_keep_their_order(way):
    barrier = threading.Barrier(8, timeout=10)

    def meet(item: int) -> dict[str, Any]:
        barrier.wait()
        return {"path": [str(item)]}

    assert way.invoke(fan(meet, 8), {})["path"] == [str(i) for i in range(8)]


def test_max_concurrency_bounds_the_tasks_at_once(way):
    running, most, lock = [0], [0], threading.Lock()

    def count(item: int) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002)
        with lock:
            running[0] -= 1

    async def acount(item: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.002)
        running[0] -= 1

    for node in (count, acount):
        most[0] = 0
        way.invoke(fan(node, 30), {}, max_concurrency=3)
        assert 1 <= most[0] <= 3
    with pytest.raises(ValueError, match="max_concurrency"):
        way.invoke(fan(count, 2), {}, max_concurrency=0)


def test_graphs_called_inside_nodes_never_starve_each_other(way):
    """More crews inside crews than there are helpers in the process."""
    inner = fan(lambda i: time.sleep(0.001) or {"path": ["x"]}, 8)

    def outer(item: int) -> dict[str, Any]:
        return {"path": [str(len(inner.invoke({})["path"]))]}

    assert way.invoke(fan(outer, 80), {})["path"] == ["8"] * 80


def test_stored_crews_inside_crews_do_not_starve_on_recording(way):
    db = InMemoryDb()
    inner = fan(lambda i: time.sleep(0.001) or {"path": ["x"]}, 4, db)

    def outer(item: int) -> dict[str, Any]:
        return {"path": [str(len(inner.invoke({}, session_id=f"inner-{item}")["path"]))]}

    assert way.invoke(fan(outer, 60, db), {}, session_id="outer")["path"] == ["4"] * 60


def test_a_function_that_blocks_stops_nobody_else_in_the_loop_whatever_the_ones_before_took():
    quick = StateGraph(S).add_node("quick", lambda s: {"path": ["quick"]}).add_node("slow", lambda s: time.sleep(0.2))
    graph = quick.add_edge(START, "quick").add_edge("quick", "slow").add_edge("slow", END).compile()

    async def longest_silence() -> float:
        longest, run = 0.0, asyncio.ensure_future(graph.ainvoke({}))
        while not run.done():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)
        return longest

    assert asyncio.run(longest_silence()) < 0.1


def test_functions_that_end_at_once_let_the_loop_go_on_between_them():
    names = [f"node{number}" for number in range(20)]
    builder = StateGraph(S)
    for name in names:
        builder.add_node(name, lambda s: None)
    for left, right in pairwise([START, *names, END]):
        builder.add_edge(left, right)

    async def turns_of_others() -> int:
        turns, run = 0, asyncio.ensure_future(builder.compile().ainvoke({}))
        while not run.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(turns_of_others()) >= len(names)


def test_an_async_node_may_call_another_graph_that_has_async_nodes(way):
    inner = single(awaits)

    async def outer(state: Any) -> dict[str, Any]:
        return {"path": [*inner.invoke({})["path"], "outer"]}

    assert way.invoke(single(outer), {})["path"] == ["async", "outer"]


def test_many_async_and_sync_tasks_of_one_superstep_all_run(way):
    async def anode(item: int) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"path": ["a"]}

    builder = StateGraph(S).add_node("anode", anode).add_node("node", lambda item: {"path": ["s"]})
    builder.add_edge("anode", END).add_edge("node", END)
    sends = [Send("anode" if item < 60 else "node", item) for item in range(120)]
    graph = builder.add_conditional_edges(START, lambda s: sends, ["anode", "node"]).compile()
    assert way.invoke(graph, {})["path"] == ["a"] * 60 + ["s"] * 60


def test_an_exit_inside_an_async_node_ends_the_caller_and_not_the_loop_of_everybody():
    async def leaves(state: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        single(leaves).invoke({})
    assert single(awaits).invoke({})["path"] == ["async"]


class Odd(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)


@pytest.mark.parametrize(
    "error", [ValueError("x"), Odd(1, "x"), StopIteration("x"), StopAsyncIteration("x"), TimeoutError("x")]
)
@pytest.mark.parametrize("parallel", [1, 3])
def test_errors_are_the_same_both_ways(way, error, parallel):
    def fail(item: Any) -> None:
        raise error

    async def afail(item: Any) -> None:
        raise error

    for node in (fail, afail):
        with pytest.raises((type(error), RuntimeError)) as caught:
            way.invoke(fan(node, parallel), {})
        if isinstance(error, StopIteration):
            assert isinstance(caught.value, RuntimeError) and "StopIteration" in str(caught.value)
        else:
            assert caught.value is error


def test_the_first_failing_task_in_order_is_the_one_that_is_raised(way):
    def fail(item: int) -> None:
        time.sleep(0.01 * (3 - item))
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        way.invoke(fan(fail, 3), {})


def test_context_variables_of_the_caller_reach_every_node(way):
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def anode(item: Any) -> dict[str, Any]:
        return {"path": [variable.get()]}

    def node(item: Any) -> dict[str, Any]:
        return {"path": [variable.get()]}

    token = variable.set("mine")
    try:
        for one in (node, anode):
            assert way.invoke(fan(one, 3), {})["path"] == ["mine"] * 3
            assert way.invoke(single(one), {})["path"] == ["mine"]
    finally:
        variable.reset(token)


def test_a_question_inside_a_task_group_is_found(way):
    async def node(state: Any) -> dict[str, Any]:
        answers: list[str] = []

        async def ask() -> None:
            answers.append(interrupt("sure?"))

        async with asyncio.TaskGroup() as group:
            group.create_task(ask())
        return {"path": answers}

    graph = single(node, InMemoryDb())
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert way.resume(graph, "s", "yes")["path"] == ["yes"]


def test_interrupt_outside_of_a_node_says_so():
    with pytest.raises(RuntimeError, match="outside of a node"):
        interrupt("x")


def test_a_keyboard_interrupt_leaves_a_resumable_session(db):
    broken = [True]

    def node(state: Any) -> dict[str, Any]:
        if broken[0]:
            raise KeyboardInterrupt
        return {"path": ["done"]}

    graph = single(node, db)
    with pytest.raises(KeyboardInterrupt):
        graph.invoke({}, session_id="s")
    assert graph.get_state("s").status == "cancelled"
    broken[0] = False
    assert graph.resume("s")["path"] == ["done"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_works_with_threads_loops_and_databases_of_its_own(db):
    graph = fan(awaits, 3, db)
    graph.invoke({}, session_id="parent")

    def runs_it_too() -> None:
        assert graph.invoke({}, session_id="child")["path"] == ["async"] * 3

    assert fork(runs_it_too).join() == 0


class Slow(SqliteDb):
    """A SqliteDb whose commits take a while, and say when they begin."""

    begun: threading.Event

    def commit(self, effect: Any) -> None:
        self.begun.set()
        time.sleep(0.05)
        super().commit(effect)


def test_a_cancellation_during_a_commit_lets_it_finish_and_the_session_goes_on_from_it(tmp_path):
    db = Slow(db_file=str(tmp_path / "s.db"))
    db.begun = threading.Event()
    graph = two_steps(db)

    async def cancel_in_commit(which: int) -> None:
        db.begun.clear()
        task = asyncio.create_task(graph.ainvoke({}, session_id=f"s{which}"))
        for _ in range(which):
            while not db.begun.is_set():
                await asyncio.sleep(0.001)
            db.begun.clear()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for which in (1, 2, 3):
        asyncio.run(cancel_in_commit(which))
        state = graph.get_state(f"s{which}")
        assert (state.seq, state.status) == (which - 1, "completed" if which == 3 else "cancelled")
        assert graph.resume(f"s{which}")["path"] == ["a", "b"]
    db.close()


def test_ctx_write_and_task_keys(way):
    keys = []

    def node(item: int, ctx: Context) -> dict[str, Any]:
        keys.append(ctx.task_key)
        ctx.write({"item": item})
        return {}

    parts = way.stream(fan(node, 3), {}, stream_mode="custom")
    assert sorted(part["item"] for part in parts) == [0, 1, 2]
    assert len(set(keys)) == 3


# --- streams -----------------------------------------------------------------------------------------------------------


def two_steps(db: Any = None) -> Any:
    builder = StateGraph(S).add_node("a", lambda s: {"path": ["a"]}).add_node("b", lambda s: {"path": ["b"]})
    return builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile(db=db)


def test_updates_are_the_default_and_come_in_order(way):
    assert way.stream(two_steps(), {}) == [{"a": {"path": ["a"]}}, {"b": {"path": ["b"]}}]


def test_values_are_whole_states_from_the_input_on(way):
    parts = way.stream(two_steps(), {"path": ["in"]}, stream_mode="values")
    assert [part["path"] for part in parts] == [["in"], ["in", "a"], ["in", "a", "b"]]


def test_several_modes_give_pairs(way):
    parts = way.stream(two_steps(), {}, stream_mode=["updates", "values"])
    assert [mode for mode, _ in parts] == ["values", "updates", "values", "updates", "values"]


def test_checkpoints_tasks_and_events_are_typed(way, db):
    graph = two_steps(db)
    checkpoints = way.stream(graph, {}, session_id="s", stream_mode="checkpoints")
    assert [(event.type, event.seq, event.next) for event in checkpoints] == [("checkpoint", 1, ("b",)), ("checkpoint", 2, ())]
    events = way.stream(graph, {}, session_id="s", stream_mode="events")
    assert [event.type for event in events] == [
        "run_started",
        *["node_started", "node_completed", "checkpoint"] * 2,
        "run_completed",
    ]
    assert events[-1].output["path"] == ["a", "b", "a", "b"]
    with pytest.raises(AttributeError, match="no field"):
        _ = events[0].nothing


def test_an_unknown_mode_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="stream_mode='valeus': give 'values', 'updates'"):
        two_steps().stream({}, stream_mode="valeus")


def test_the_error_of_a_streamed_run_is_raised_after_its_parts(way):
    def fail(state: Any) -> None:
        raise ValueError("late")

    builder = StateGraph(S).add_node("a", lambda s: {"path": ["a"]}).add_node("b", fail)
    graph = builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile()
    parts = []
    with pytest.raises(ValueError, match="late"):
        for part in graph.stream({}):
            parts.append(part)
    assert parts == [{"a": {"path": ["a"]}}]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_left_early_stops_the_run_and_resume_goes_on(db, asynchronous):
    ran: list[int] = []

    def node(state: Any, ctx: Context) -> dict[str, Any]:
        ran.append(1)
        for i in range(1000):
            ctx.write(i)
        return {"path": ["x"]}

    builder = StateGraph(S)
    names = [f"n{i}" for i in range(6)]
    for name in names:
        builder.add_node(name, node)
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    graph = builder.compile(db=db)

    async def leave() -> None:
        stream = graph.astream({}, session_id="s", stream_mode="checkpoints")
        async for _ in stream:
            break
        await stream.aclose()

    if asynchronous:
        asyncio.run(leave())
    else:
        stream = graph.stream({}, session_id="s", stream_mode="custom")
        next(stream)
        stream.close()
    state = graph.get_state("s")
    assert state.status == "cancelled" and len(ran) < 6
    done = len(state.values["path"])
    ran.clear()
    assert graph.resume("s")["path"] == ["x"] * 6
    assert len(ran) == 6 - done, "what was committed is not run again"


def test_a_stream_left_between_its_parts_stops_the_run_too(db):
    """The mode gives one part at the start and none later: leaving is noticed all the same."""
    ran: list[int] = []

    def node(state: Any, ctx: Context) -> None:
        ran.append(1)
        if len(ran) == 1:
            ctx.write("only")
        time.sleep(0.01)

    builder = StateGraph(S)
    names = [f"n{i}" for i in range(20)]
    for name in names:
        builder.add_node(name, node)
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    stream = builder.compile(db=db).stream({}, session_id="s", stream_mode="custom")
    next(stream)
    stream.close()
    assert len(ran) < 20 and db.get_session("s").status == "cancelled"


def test_a_stream_left_after_the_last_commit_leaves_a_completed_run(db):
    stream = two_steps(db).stream({}, session_id="s", stream_mode="events")
    for event in stream:
        if event.type == "node_completed" and event.node == "b":
            break
    stream.close()
    assert db.get_session("s").status == "completed"


def test_a_slow_reader_gets_everything(way):
    parts = []
    graph = fan(lambda i: {"path": [str(i)]}, 300)
    for part in graph.stream({}):
        time.sleep(0.0001)
        parts.append(part)
    assert len(parts) == 300


def test_events_know_their_run_and_session(way, db):
    events = way.stream(two_steps(db), {}, session_id="s", stream_mode="events")
    assert {event.session_id for event in events} == {"s"}
    assert {event.run_id for event in events} == {events[-1].output.run_id}


def test_a_listener_that_raises_becomes_a_warning_and_the_run_goes_on(way):
    def listener(event: Any) -> None:
        raise RuntimeError("tracing is down")

    builder = StateGraph(S).add_node("a", lambda s: {"path": ["a"]}).add_edge(START, "a").add_edge("a", END)
    with pytest.warns(RuntimeWarning, match="tracing is down"):
        assert way.invoke(builder.compile(on_event=listener), {})["path"] == ["a"]
