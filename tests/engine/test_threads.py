"""Helper threads: who takes work, how many there are, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import operator
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Send, StateGraph
from graphflow.db import SqliteDb
from graphflow.drive import threads
from graphflow.drive.threads import WORKERS, _Helpers, in_own_thread, in_thread


class Numbers(TypedDict, total=False):
    n: int
    seen: Annotated[list[Any], operator.add]


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_helper_that_is_free_takes_the_next_work(monkeypatch):
    monkeypatch.setattr(threads, "_process", threads._PerProcess())
    idents = {in_thread(threading.get_ident).result() for _ in range(50)}
    alone = {in_own_thread(threading.get_ident).result() for _ in range(50)}
    assert threading.get_ident() not in idents | alone
    assert len(idents) <= 2 and len(alone) <= 2 and not idents & alone


def test_work_runs_with_the_context_of_whoever_gave_it_and_changes_nothing_of_it():
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    name.set("caller")

    def work() -> str:
        before = name.get()
        name.set("helper")
        return before

    assert [in_thread(work).result(), in_own_thread(work).result(), name.get()] == ["caller"] * 3


@pytest.mark.parametrize("run", [in_thread, in_own_thread])
def test_what_work_raises_is_raised_where_it_is_waited_for(run):
    def work() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run(work).result()
    assert run(lambda: 1).result() == 1


def test_no_work_waits_behind_another_until_there_are_as_many_helpers_as_there_may_be():
    gate, running = threading.Event(), threading.Semaphore(0)

    def blocks() -> None:
        running.release()
        gate.wait(10)

    waiting = [in_thread(blocks) for _ in range(WORKERS)]
    for _ in waiting:
        assert running.acquire(timeout=10)
    late, cancelled = in_thread(lambda: "late"), in_thread(lambda: "cancelled")
    alone = [in_own_thread(blocks) for _ in range(WORKERS + 1)]
    for _ in alone:
        assert running.acquire(timeout=10)
    assert not late.done() and cancelled.cancel()
    gate.set()
    assert late.result(10) == "late"
    with pytest.raises(CancelledError):
        cancelled.result(10)
    for done in (*waiting, *alone):
        done.result(10)


def test_helpers_without_a_limit_end_when_there_is_nothing_to_do(monkeypatch):
    monkeypatch.setattr(threads, "LINGERING", 0.02)
    helpers, ended = _Helpers("test"), threading.Semaphore(0)
    for _ in range(3):
        for _ in range(5):
            helpers.start(lambda: time.sleep(0.01), lambda value, error: ended.release())
        for _ in range(5):
            assert ended.acquire(timeout=10)
        assert 1 <= len(helpers.threads) <= 5
        until(lambda: not helpers.threads)
        assert helpers.free == 0


def test_what_a_helper_has_begun_ends_before_the_process_does_and_what_may_never_end_does_not():
    code = """
import threading
import time
from graphflow.drive.threads import start

def work():
    time.sleep(0.2)
    print("ended ", end="", flush=True)

start(work)
start(work, store=True)
start(threading.Event().wait, alone=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["ended", "ended"], "")


def ends(code: str) -> str:
    """What a program prints, that has to end by itself."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_where_no_more_threads_can_be_started_those_there_are_do_everything(monkeypatch):
    monkeypatch.setattr(threads, "_process", threads._PerProcess())
    start, started = threading.Thread.start, []

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("graphflow_"):
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    gate = threading.Event()
    waiting = [in_thread(lambda: gate.wait(10)) for _ in range(2)]
    late = in_thread(lambda: "late")
    gate.set()
    assert late.result(10) == "late" and all(done.result(10) for done in waiting)

    builder = StateGraph(Numbers).add_node("node", lambda one: {"seen": [time.sleep(0.02) or one["n"]]})
    builder.add_conditional_edges(START, lambda state: [Send("node", {"n": n}) for n in range(20)], ["node"])
    assert builder.add_edge("node", END).compile().invoke({})["seen"] == [*range(20)]
    assert len(started) == 2


def test_a_process_ends_though_no_thread_could_be_started_at_first():
    code = """
import threading
from graphflow.drive.threads import in_thread

start = threading.Thread.start

def refused(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refused
try:
    in_thread(lambda: 1)
except RuntimeError:
    threading.Thread.start = start
print(in_thread(lambda: "later").result(10))
"""
    assert ends(code) == "later\n"


def test_no_task_of_a_superstep_sees_what_another_set_in_its_context():
    variable: contextvars.ContextVar[int | None] = contextvars.ContextVar("variable", default=None)

    def node(one: Any) -> Any:
        before = variable.get()
        variable.set(one["n"])
        time.sleep(0.002)
        return {"seen": [before]}

    builder = StateGraph(Numbers).add_node("node", node).add_edge("node", END)
    builder.add_conditional_edges(START, lambda state: [Send("node", {"n": n}) for n in range(20)], ["node"])
    assert builder.compile().invoke({})["seen"] == [None] * 20
    assert variable.get() is None


def test_a_process_ends_though_ctrl_c_came_while_a_helper_was_started():
    code = """
import threading
import time
from graphflow.drive.threads import in_thread

start, started = threading.Thread.start, []

def interrupted(thread):
    start(thread)
    if thread.name.startswith("graphflow_"):
        started.append(thread)
        if len(started) == 2:
            raise KeyboardInterrupt

threading.Thread.start = interrupted
first = in_thread(lambda: time.sleep(0.2))
try:
    in_thread(lambda: 1)
except KeyboardInterrupt:
    print("interrupted", in_thread(lambda: "still there").result(10))
"""
    assert ends(code) == "interrupted still there\n"


@pytest.mark.skipif((3, 12) <= sys.version_info < (3, 12, 2), reason="these start no threads once the main one has ended")
def test_a_run_in_a_thread_of_ones_own_goes_on_though_the_main_thread_has_ended(tmp_path):
    code = f"""
import asyncio
import threading
import time
from typing import TypedDict
from graphflow import END, START, StateGraph
from graphflow.db import SqliteDb

class S(TypedDict):
    n: int

def slow(state):
    time.sleep(0.2)
    return {{"n": state["n"] + 1}}

builder = StateGraph(S).add_node("a", slow).add_node("b", slow)
graph = builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile(db=SqliteDb({str(tmp_path / "s.db")!r}))

def run():
    begun.set()
    print(asyncio.run(graph.ainvoke({{"n": 0}}, session_id="s"))["n"])

begun = threading.Event()
threading.Thread(target=run).start()
begun.wait()
"""
    assert ends(code) == "2\n"


def test_a_commit_that_has_begun_is_waited_for_however_often_it_is_cancelled(tmp_path, monkeypatch):
    db, under_way, committed = SqliteDb(tmp_path / "s.db"), threading.Event(), []
    commit = db.commit

    def slow(effect: Any) -> None:
        if effect.status == "completed":
            under_way.set()
            time.sleep(0.2)
        commit(effect)
        committed.append(effect.status)

    monkeypatch.setattr(db, "commit", slow)
    builder = StateGraph(Numbers).add_node("node", lambda state: {"n": 1}).add_edge(START, "node").add_edge("node", END)
    graph = builder.compile(db=db)

    async def cancel_twice() -> None:
        run = asyncio.ensure_future(graph.ainvoke({}, session_id="s"))
        while not under_way.is_set():
            await asyncio.sleep(0.01)
        for _ in range(2):
            run.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(cancel_twice())
    assert committed == ["running", "completed"] and graph.get_state("s").status == "completed"
    db.close()


def test_threads_that_begin_others_are_waited_for_at_the_end_of_the_process(tmp_path):
    code = f"""
import asyncio
import threading
from typing import TypedDict
from graphflow import END, START, StateGraph
from graphflow.db import SqliteDb

class State(TypedDict):
    n: int

graph = StateGraph(State).add_node("a", lambda state: {{"n": state["n"]}}).add_edge(START, "a").add_edge("a", END)
graph = graph.compile(db=SqliteDb({str(tmp_path / "s.db")!r}))

def tick(left):
    print(asyncio.run(graph.ainvoke({{"n": left}}))["n"], end=" ", flush=True)
    if left:
        threading.Timer(0.2, tick, (left - 1,)).start()

tick(3)
"""
    if sys.version_info >= (3, 12, 0):  # from there on no thread begins after the main one has ended
        code = code.replace("tick(3)", "import time; tick(3); time.sleep(2)")
    assert ends(code) == "3 2 1 0 "


def test_a_helper_that_was_interrupted_before_it_ran_helps_nobody(monkeypatch):
    helpers, done = _Helpers("test"), threading.Event()

    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threads._Helper, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            helpers.start(lambda: None, lambda value, error: None)
    helpers.start(done.set, lambda value, error: None)
    assert done.wait(10)
