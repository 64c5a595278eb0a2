"""Ctrl-C while a plain call waits for what others run: that ends before the run is given back, or is left."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Context, StateGraph, append
from graphflow.drive import crew, loop, sync


class State(TypedDict):
    path: Annotated[list[str], append]


class Interrupted(BaseException):
    """What the handler of a signal raises, as that of Ctrl-C raises KeyboardInterrupt."""


@pytest.fixture
def interrupt_caller() -> Any:
    """Interrupts the main thread, from any other one."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are handled in the main thread")

    def handle(number: int, frame: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def graph_of(db: Any, *nodes: Callable[..., Any]) -> Any:
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node).add_edge(START, node.__name__).add_edge(node.__name__, END)
    return builder.compile(db=db)


def test_an_async_node_is_left_where_it_awaits(db: Any, interrupt_caller: Callable[[], None]) -> None:
    seen: list[str] = []

    async def node(state: Any) -> Any:
        seen.append("begun")
        if len(seen) == 1:
            threading.Timer(0.05, interrupt_caller).start()
            try:
                await asyncio.sleep(30)
            finally:
                seen.append("cleaned up")
        return {"path": ["node"]}

    graph = graph_of(db, node)
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    assert seen == ["begun", "cleaned up"] and graph.get_state("s").status == "cancelled"
    assert graph.resume("s")["path"] == ["node"]


def test_what_a_helper_does_is_ended_and_kept_and_not_done_twice(db: Any, interrupt_caller: Callable[[], None]) -> None:
    times: list[str] = []
    begun, ended = threading.Event(), threading.Event()

    def mine(state: Any) -> Any:
        times.append("mine")
        assert begun.wait(30)  # so a helper is called for the other one
        return {"path": ["mine"]}

    def others(state: Any) -> Any:
        times.append("others")
        begun.set()
        time.sleep(0.1)  # by now the caller waits
        interrupt_caller()
        time.sleep(0.3)
        ended.set()
        return {"path": ["others"]}

    graph = graph_of(db, mine, others)
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    assert ended.is_set() and graph.get_state("s").status == "cancelled"
    assert graph.resume("s")["path"] == ["mine", "others"] and times == ["mine", "others"]


def test_an_async_node_beside_others_is_left_where_it_awaits(db: Any, interrupt_caller: Callable[[], None]) -> None:
    seen: list[str] = []

    def mine(state: Any) -> Any:
        seen.append("mine")
        return {"path": ["mine"]}

    async def awaits(state: Any) -> Any:
        if "cleaned up" not in seen:
            threading.Timer(0.1, interrupt_caller).start()
            try:
                await asyncio.sleep(30)
            finally:
                seen.append("cleaned up")
        return {"path": ["awaits"]}

    graph = graph_of(db, awaits, mine)
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    assert seen == ["mine", "cleaned up"] and graph.get_state("s").status == "cancelled"
    assert graph.resume("s")["path"] == ["awaits", "mine"] and seen == ["mine", "cleaned up"]


def test_plain_nodes_beside_others_are_told_to_stop(db: Any, interrupt_caller: Callable[[], None]) -> None:
    begun, told = threading.Event(), threading.Event()

    def mine(state: Any) -> Any:
        assert begun.wait(30)
        return {"path": ["mine"]}

    def others(state: Any, ctx: Context) -> Any:
        begun.set()
        time.sleep(0.1)
        interrupt_caller()
        ends = time.monotonic() + 30
        while not ctx.cancelled and time.monotonic() < ends:
            time.sleep(0.005)
        if ctx.cancelled:
            told.set()
        return {"path": ["others"]}

    graph = graph_of(db, mine, others)
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    assert told.is_set()


def test_others_are_told_to_stop_when_the_callers_own_node_is_interrupted(
    db: Any, interrupt_caller: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "GRACE", 30.0)
    seen: list[str] = []
    begun, left = threading.Event(), threading.Event()

    def mine(state: Any) -> Any:
        if not begun.is_set():
            assert begun.wait(30)
            interrupt_caller()
            time.sleep(30)
        return {"path": ["mine"]}

    def others(state: Any, ctx: Context) -> Any:
        begun.set()
        ends = time.monotonic() + 10
        while not ctx.cancelled and time.monotonic() < ends:
            time.sleep(0.005)
        seen.append("told" if ctx.cancelled else "not told")
        return {"path": ["others"]}

    async def awaits(state: Any) -> Any:
        if not left.is_set():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                left.set()
                raise
        return {"path": ["awaits"]}

    graph = graph_of(db, mine, others, awaits)
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    assert seen == ["told"] and left.is_set() and graph.get_state("s").status == "cancelled"
    assert graph.resume("s")["path"] == ["mine", "others", "awaits"] and seen == ["told"]


def test_an_async_node_that_has_not_begun_never_does(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "GRACE", 30.0)
    left: list[loop.Started[Any]] = []
    loop_is_free, seen = threading.Event(), []
    cancel_task = loop.Started.cancel_task

    def leave(started: loop.Started[Any]) -> None:
        cancel_task(started)
        left.append(started)
        loop_is_free.set()

    async def others_work() -> None:
        assert loop_is_free.wait(30)

    def mine(state: Any) -> Any:
        if not loop_is_free.is_set():
            raise Interrupted
        return {"path": ["mine"]}

    async def awaits(state: Any) -> Any:
        seen.append("awaits")
        return {"path": ["awaits"]}

    monkeypatch.setattr(loop.Started, "cancel_task", leave)
    graph = graph_of(db, mine, awaits)
    busy = loop.start(others_work())
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    busy.result()
    assert [started.done() for started in left] == [True] and seen == []
    gc.collect()  # Python would complain of a coroutine that nobody awaits
    assert graph.resume("s")["path"] == ["mine", "awaits"] and seen == ["awaits"]


def test_an_attempt_that_may_run_out_of_time_has_ended_before_it_is_made_again(
    db: Any, interrupt_caller: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "GRACE", 30.0)
    seen: list[str] = []

    def node(state: Any, ctx: Context) -> Any:
        seen.append("begun")
        if len(seen) == 1:
            time.sleep(0.1)  # by now the caller waits
            interrupt_caller()
            ends = time.monotonic() + 30
            while not ctx.cancelled and time.monotonic() < ends:
                time.sleep(0.005)
            time.sleep(0.1)
        seen.append("ended")
        return {"path": ["node"]}

    graph = StateGraph(State).add_node("node", node, timeout=60).add_edge(START, "node").add_edge("node", END).compile(db=db)
    with pytest.raises(Interrupted):
        graph.invoke({}, session_id="s")
    assert seen == ["begun", "ended"] and graph.get_state("s").status == "cancelled"
    assert graph.resume("s")["path"] == ["node"] and seen == ["begun", "ended"] * 2
