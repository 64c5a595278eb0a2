"""Calls of graphs inside nodes inside calls: whoever waits for somebody keeps no thread and no loop that this one needs."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, StateGraph
from graphflow.drive import loop
from graphflow.drive.threads import DEEPEST, WORKERS, in_own_thread

LONGEST = 30.0


class Path(TypedDict, total=False):
    path: Annotated[list[str], operator.add]


def graph(*nodes: Callable[..., Any]) -> Any:
    """A graph whose nodes run beside each other."""
    builder = StateGraph(Path)
    for number, node in enumerate(nodes):
        builder.add_node(f"node{number}", node).add_edge(START, f"node{number}").add_edge(f"node{number}", END)
    return builder.compile()


def result(call: Callable[[], Any]) -> Any:
    """What comes of a call; a test that waits for nothing is not to wait forever."""
    return in_own_thread(call).result(LONGEST)


async def leaf(state: Path) -> Path:
    await asyncio.sleep(0)
    return {"path": ["leaf"]}


def plain_leaf(state: Path) -> Path:
    return {"path": ["leaf"]}


def invoking(inner: Any) -> Callable[..., Any]:
    """An async node that holds its loop up with a plain call."""

    async def node(state: Path) -> Path:
        return {"path": inner.invoke({})["path"]}

    return node


def awaiting(inner: Any) -> Callable[..., Any]:
    async def node(state: Path) -> Path:
        return {"path": (await inner.ainvoke({}))["path"]}

    return node


def streaming(inner: Any) -> Callable[..., Any]:
    async def node(state: Path) -> Path:
        return {"path": [*inner.stream({})][-1]["node0"]["path"]}

    return node


@pytest.mark.parametrize("levels", [1, 2, 3, DEEPEST + 2])
def test_async_nodes_may_call_graphs_of_async_nodes_as_deep_as_they_like(levels: int) -> None:
    called = graph(leaf)
    for _ in range(levels):
        called = graph(invoking(called))
    assert result(lambda: called.invoke({}))["path"] == ["leaf"]


@pytest.mark.parametrize("levels", [1, 2, DEEPEST + 2])
def test_an_async_node_may_call_a_graph_whose_async_nodes_run_beside_each_other(levels: int) -> None:
    called = graph(leaf, leaf)
    for _ in range(levels):
        called = graph(invoking(called))
    assert result(lambda: called.invoke({}))["path"] == ["leaf", "leaf"]


def test_an_async_node_may_call_a_graph_whose_nodes_in_threads_call_graphs_of_async_nodes() -> None:
    inner, together = graph(leaf), threading.Barrier(2)

    def node(state: Path) -> Path:
        together.wait(LONGEST)  # so that one of the two is in another thread
        return {"path": inner.invoke({})["path"]}

    called = graph(invoking(graph(node, node)))
    assert result(lambda: called.invoke({}))["path"] == ["leaf", "leaf"]


def test_an_async_node_may_read_the_stream_of_a_graph_of_async_nodes() -> None:
    called = graph(streaming(graph(leaf)))
    assert result(lambda: called.invoke({}))["path"] == ["leaf"]


@pytest.mark.parametrize(
    "inside",
    [
        lambda: asyncio.run(graph(plain_leaf).ainvoke({})),
        lambda: graph(awaiting(graph(plain_leaf))).invoke({}),
        lambda: graph(invoking(graph(leaf))).invoke({}),
    ],
    ids=["plain nodes in a loop of its own", "plain nodes called by async ones", "async nodes called by async ones"],
)
def test_nodes_that_have_all_helpers_may_call_graphs_that_need_one(inside: Callable[[], Any]) -> None:
    together = threading.Barrier(WORKERS)

    def node(state: Path) -> Path:
        together.wait(LONGEST)
        return {"path": inside()["path"]}

    outer = graph(node)

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*[outer.ainvoke({}) for _ in range(WORKERS)])

    assert [out["path"] for out in result(lambda: asyncio.run(all_at_once()))] == [["leaf"]] * WORKERS


def test_a_coroutine_that_is_cancelled_before_its_loop_comes_to_it_has_ended() -> None:
    free, busy = threading.Event(), threading.Event()

    async def holds_up() -> None:
        busy.set()
        free.wait(LONGEST)

    async def begins() -> None:
        await asyncio.sleep(LONGEST)

    loop.start(holds_up())
    assert busy.wait(LONGEST)
    started = loop.start(begins())
    started.cancel_task()
    free.set()
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        started.result(LONGEST)
