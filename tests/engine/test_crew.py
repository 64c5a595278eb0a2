"""The threads that run several tasks at once under plain calls."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Send, StateGraph, append
from graphflow.drive import crew


class S(TypedDict):
    threads: Annotated[list[int], append]


def fan_out(node: Any, size: int) -> Any:
    builder = StateGraph(S).add_node("each", node).add_edge("each", END)
    builder.add_conditional_edges(START, lambda state: [Send("each", {"threads": []}) for _ in range(size)], ["each"])
    return builder.compile()


def test_tasks_that_never_wait_are_done_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "thread_time", perf_counter)  # as if nothing else ran on this machine
    monkeypatch.setattr(crew, "PATIENCE", 60)
    graph = fan_out(lambda state: {"threads": [threading.get_ident()]}, 200)
    assert set(graph.invoke({"threads": []})["threads"]) == {threading.get_ident()}


def test_tasks_that_wait_for_each_other_are_all_running() -> None:
    together = threading.Barrier(8)

    def node(state: Any) -> Any:
        together.wait(60)
        return {"threads": [threading.get_ident()]}

    assert len(set(fan_out(node, 8).invoke({"threads": []})["threads"])) == 8


def test_a_task_that_waited_calls_for_help_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "thread_time", lambda: 0.0)
    monkeypatch.setattr(crew, "PATIENCE", 60)
    begun: list[int] = []
    together = threading.Barrier(7)

    def node(state: Any) -> Any:
        begun.append(1)
        if len(begun) == 1:
            threading.Event().wait(0.01)
        else:
            together.wait(30)
        return {"threads": [threading.get_ident()]}

    assert len(set(fan_out(node, 8).invoke({"threads": []})["threads"])) == 7
