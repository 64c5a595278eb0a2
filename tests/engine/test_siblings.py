"""Finished siblings are kept, whatever becomes of the task beside them."""

from __future__ import annotations

import time
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, StateGraph, append, interrupt
from graphflow.errors import SerializationError


class Undeclared:
    """A class that no state declares."""


class S(TypedDict):
    path: Annotated[list[str], append]
    anything: Any


class Siblings:
    """Three nodes side by side. What ``bad`` does while it is broken is given; ``first`` ends before the others."""

    def __init__(self, bad: Any, first: str = "") -> None:
        self.bad, self.first, self.broken = bad, first, True
        self.calls: list[str] = []

    def node(self, name: str) -> Any:
        def run(state: S) -> Any:
            self.calls.append(name)
            if self.broken and self.first and (name == "bad") != (self.first == "bad"):
                time.sleep(0.3)
            if name == "bad" and self.broken:
                return self.bad()
            return {"path": [name]}

        return run

    def graph(self, db: Any, **nodes: Any) -> Any:
        builder = StateGraph(S)
        for name in ("one", "bad", "two"):
            builder.add_node(name, nodes.get(name) or self.node(name)).add_edge(START, name).add_edge(name, END)
        return builder.compile(db=db)


@pytest.mark.parametrize("first", ["bad", "others", ""])
def test_a_result_that_cannot_be_stored_leaves_its_siblings_finished(way, db, first):
    siblings = Siblings(lambda: {"anything": Undeclared()}, first)
    graph = siblings.graph(db)
    with pytest.raises(SerializationError, match="anything"):
        way.invoke(graph, {}, session_id="s")
    assert graph.get_state("s").status == "error"
    siblings.broken = False
    assert way.resume(graph, "s")["path"] == ["one", "bad", "two"]
    assert sorted(siblings.calls) == ["bad", "bad", "one", "two"]
    assert db.check().ok


def test_beside_a_question_it_is_an_error_and_the_question_can_be_answered(way, db):
    siblings = Siblings(lambda: {"anything": Undeclared()})
    graph = siblings.graph(db, two=lambda state: {"path": [interrupt("well?")]})
    with pytest.raises(SerializationError, match="anything"):
        way.invoke(graph, {}, session_id="s")
    siblings.broken = False
    assert graph.get_state("s").status == "error"
    assert way.resume(graph, "s", "yes")["path"] == ["one", "bad", "yes"]
    assert sorted(siblings.calls) == ["bad", "bad", "one"]


def test_a_question_that_cannot_be_stored_leaves_its_siblings_finished(way, db):
    siblings = Siblings(lambda: interrupt(Undeclared()))
    graph = siblings.graph(db)
    with pytest.raises(SerializationError):
        way.invoke(graph, {}, session_id="s")
    siblings.broken = False
    assert way.resume(graph, "s")["path"] == ["one", "bad", "two"]
    assert sorted(siblings.calls) == ["bad", "bad", "one", "two"]


def test_beside_another_error_that_error_is_raised(way, db):
    siblings = Siblings(lambda: {"anything": Undeclared()})

    def fail(state):
        if siblings.broken:
            raise ZeroDivisionError
        return {"path": ["two"]}

    graph = siblings.graph(db, two=fail)
    with pytest.raises((ZeroDivisionError, SerializationError)):
        way.invoke(graph, {}, session_id="s")
    assert graph.get_state("s").status == "error"
    siblings.broken = False
    assert way.resume(graph, "s")["path"] == ["one", "bad", "two"]
    assert sorted(siblings.calls) == ["bad", "bad", "one"]


@pytest.mark.parametrize("first", ["bad", "others", ""])
def test_inside_a_nested_graph_too(way, db, first):
    siblings = Siblings(lambda: {"anything": Undeclared()}, first)
    inner = siblings.graph(None)
    graph = StateGraph(S).add_node("inner", inner).add_edge(START, "inner").add_edge("inner", END).compile(db=db)
    with pytest.raises(SerializationError, match="anything"):
        way.invoke(graph, {}, session_id="s")
    siblings.broken = False
    assert way.resume(graph, "s")["path"] == ["one", "bad", "two"]
    assert sorted(siblings.calls) == ["bad", "bad", "one", "two"]
