"""Graphs to draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import pytest

from graphflow import END, START, StateGraph
from graphflow.core.plan import Plan


class State(TypedDict):
    """One field is enough to draw."""

    done: bool


def work(state: State) -> None:
    """A node that does nothing."""


def build(*names: str) -> StateGraph:
    """A graph with these nodes, entered at the first."""
    made = StateGraph(State)
    for name in names:
        made.add_node(name, work)
    return made.add_edge(START, names[0])


@pytest.fixture(name="build")
def _build() -> Callable[..., StateGraph]:
    return build


@pytest.fixture
def chain() -> Callable[..., Plan]:
    """The plan of a graph that runs these nodes one after the other."""

    def make(*names: str) -> Plan:
        made = build(*names)
        for left, right in zip(names, [*names[1:], END], strict=True):
            made.add_edge(left, right)
        return made.plan()

    return make


@pytest.fixture
def deep() -> Plan:
    """A graph in a graph in a graph, with a loop in the middle one."""
    inner = build("find", "rank").add_edge("find", "rank").add_edge("rank", END).compile()
    middle = build("ask").add_node("search", inner).add_edge("ask", "search")
    middle.add_conditional_edges("search", lambda state: END, {"again": "ask", "fine": END})
    outer = build("intake").add_node("team", middle.compile()).add_node("report", work)
    return outer.add_edge("intake", "team").add_edge("team", "report").add_edge("report", END).plan()


@pytest.fixture
def wide(build: Callable[..., StateGraph]) -> Callable[[int], Plan]:
    """A graph that fans out to many nodes and waits for all of them."""

    def make(number: int) -> Plan:
        names = [f"worker {index}" for index in range(number)]
        made = build("split", *names, "gather")
        for name in names:
            made.add_edge("split", name)
        return made.add_edge(names, "gather").add_edge("gather", END).plan()

    return make
