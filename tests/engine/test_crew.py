"""The threads that run several tasks at once under plain calls."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
import weakref
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BeforeValidator

from graphflow import END, START, Send, StateGraph, append
from graphflow.db import SqliteDb
from graphflow.drive import crew, lookout
from graphflow.drive.threads import start
from tests.forking import fork


class S(TypedDict):
    threads: Annotated[list[int], append]


def fan_out(node: Any, size: int) -> Any:
    builder = StateGraph(S).add_node("each", node).add_edge("each", END)
    builder.add_conditional_edges(START, lambda state: [Send("each", {"threads": []}) for _ in range(size)], ["each"])
    return builder.compile()


def test_tasks_that_never_wait_are_done_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "thread_time", perf_counter)  # as if nothing else ran on this machine
    monkeypatch.setattr(crew.Crew, "look", lambda self: None)
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
    monkeypatch.setattr(crew.Crew, "look", lambda self: None)
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


def test_a_helper_that_comes_at_once_calls_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_and_let_it_begin(work: Any) -> None:
        start(work)
        sleep(0.02)

    monkeypatch.setattr(crew, "start", start_and_let_it_begin)
    together = threading.Barrier(8)

    def node(state: Any) -> Any:
        together.wait(10)
        return {"threads": [threading.get_ident()]}

    assert len(set(fan_out(node, 8).invoke({"threads": []})["threads"])) == 8


def test_helpers_see_the_context_variables_of_the_caller() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant of a test", default="nobody")
    together = threading.Barrier(8)
    seen: list[tuple[str, int]] = []

    def node(state: Any) -> Any:
        seen.append((tenant.get(), threading.get_ident()))
        tenant.set("a branch")
        together.wait(60)
        return {"threads": []}

    for name in ("first", "second"):
        tenant.set(name)
        fan_out(node, 8).invoke({"threads": []})
        assert [value for value, _ in seen] == [name] * 8
        assert len({thread for _, thread in seen}) == 8
        assert tenant.get() == name
        seen.clear()


class Thing:
    """Something that can be waited for to go away."""


def test_the_lookout_keeps_nothing_and_ends_when_there_is_nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "LINGERING", 0.05)
    mine = lookout.Lookout()
    monkeypatch.setattr(crew, "lookout", mine)
    kept: contextvars.ContextVar[Any] = contextvars.ContextVar("kept")
    things = [Thing()]
    gone = weakref.ref(things[0])

    def run() -> None:
        kept.set(things[0])
        fan_out(lambda state: {"threads": [sleep(0.02) or 1]}, 4).invoke({"threads": []})

    for _ in range(2):  # it wakes up again
        contextvars.copy_context().run(run)
        assert mine._awake
        until = perf_counter() + 30
        while mine._awake and perf_counter() < until:
            sleep(0.01)
        assert not mine._awake
    things.clear()
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
def test_a_forked_child_looks_for_itself() -> None:
    def several() -> None:
        graph = fan_out(lambda state: {"threads": [sleep(0.05) or threading.get_ident()]}, 6)
        assert len(set(graph.invoke({"threads": []})["threads"])) > 1

    several()
    assert fork(several).join() == 0


def test_a_crew_whose_tasks_all_wait_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    look = crew.Crew.look
    monkeypatch.setattr(crew.Crew, "look", lambda self: looks.append(look(self)) or looks[-1])

    async def waits(state: Any) -> Any:
        await asyncio.sleep(0.3)
        return {"threads": []}

    fan_out(waits, 3).invoke({"threads": []})
    fan_out(lambda state: {"threads": [sleep(0.3) or 1]}, 3).invoke({"threads": []})
    assert len(looks) <= 6, looks  # a hundred and more, if it went on


def test_helpers_are_not_called_to_a_crew_that_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr(crew, "start", lambda work: called.append(1) or start(work))

    def node(state: Any) -> Any:
        if len(called) >= 3:
            raise SystemExit("enough")
        sleep(1)
        return {"threads": []}

    with pytest.raises(SystemExit):
        fan_out(node, 60).invoke({"threads": []})
    assert len(called) < 40  # two hundred, if they were called on


def test_another_lookout_is_called_when_one_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = lookout.Lookout()
    monkeypatch.setattr(crew, "lookout", mine)
    with monkeypatch.context() as broken:
        broken.setattr(crew.Crew, "look", lambda self: 1 / 0)
        fan_out(lambda state: {"threads": [sleep(0.05) or 1]}, 3).invoke({"threads": []})
    until = perf_counter() + 30
    while mine._awake and perf_counter() < until:
        sleep(0.01)
    together = threading.Barrier(4)
    fan_out(lambda state: {"threads": [together.wait(60)]}, 4).invoke({"threads": []})


tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
checked_for: list[str] = []


def noted(value: int) -> int:
    checked_for.append(tenant.get())
    return value


class Checked(TypedDict):
    numbers: Annotated[list[Annotated[int, BeforeValidator(noted)]], append]


def test_results_are_recorded_with_the_context_variables_of_the_caller(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    builder = StateGraph(Checked).add_node("each", lambda state: {"numbers": [sleep(0.1) or 1]}).add_edge("each", END)
    builder.add_conditional_edges(START, lambda state: [Send("each", {}) for _ in range(8)], ["each"])
    graph = builder.compile(db=db)

    def run() -> None:
        tenant.set("acme")
        checked_for.clear()
        graph.invoke({"numbers": []}, session_id="s")

    contextvars.copy_context().run(run)
    assert len(checked_for) >= 8 and set(checked_for) == {"acme"}
    db.close()
