"""Ctrl-C while a plain call waits for what others run: that ends before the run is given back, or is left."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Context, StateGraph, append


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
