"""Shutting down within a process: runs stop and are stored, those that wait are sent away, none begins."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest

from graphflow import END, START, StateGraph
from graphflow.db.turns import SessionQueue, session_queue
from graphflow.errors import SessionBusy
from graphflow.shutdown import graceful_shutdown, stop_runs
from tests.conftest import Way


class State(TypedDict):
    n: int


@pytest.fixture(autouse=True)
def reopened() -> Iterator[None]:
    yield
    session_queue().reopen()


def endless(db: Any) -> tuple[Any, threading.Event]:
    begun = threading.Event()

    def node(state: State) -> dict[str, int]:
        begun.set()
        time.sleep(0.005)
        return {"n": state["n"] + 1}

    builder = StateGraph(State).add_node("n", node).add_edge(START, "n")
    return builder.add_conditional_edges("n", lambda state: END if state["n"] < 0 else "n", ["n", END]).compile(db=db), begun


def test_running_runs_are_stored_and_waiting_ones_sent_away(way: Way, db: Any) -> None:
    graph, begun = endless(db)
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(way.invoke, graph, {"n": 0}, session_id="s", recursion_limit=10**6)
        assert begun.wait(30)
        waiting = threads.submit(way.invoke, graph, {"n": 0}, session_id="s")
        while not session_queue().waiting(db.identity, "s"):
            time.sleep(0.002)
        assert stop_runs(20) is True
        assert running.result(30).status == "cancelled"
        with pytest.raises(SessionBusy, match="shutting down"):
            waiting.result(30)
    assert graph.get_state("s").status == "cancelled" and len(db.get_runs("s")) == 1
    with pytest.raises(SessionBusy, match="another process"):
        way.invoke(graph, {"n": 0}, session_id="other")
    session_queue().reopen()
    assert way.invoke(graph, {"n": -5}, session_id="other").status == "completed"


def test_leaving_the_block_stops_what_runs_and_brings_the_handlers_back(db: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    graph, begun = endless(db)
    with ThreadPoolExecutor(1) as threads:
        with graceful_shutdown():
            assert signal.getsignal(signal.SIGTERM) is not before
            running = threads.submit(graph.invoke, {"n": 0}, session_id="s", recursion_limit=10**6)
            assert begun.wait(30)
        assert running.result(30).status == "cancelled"
    assert signal.getsignal(signal.SIGTERM) is before
    assert graph.invoke({"n": -5}, session_id="other").status == "completed"


def test_what_does_not_stop_in_time_is_told(db: Any) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def node(state: State) -> None:
        begun.set()
        assert go_on.wait(30)

    graph = StateGraph(State).add_node("n", node).add_edge(START, "n").add_edge("n", END).compile(db=db)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(graph.invoke, {"n": 0}, session_id="s")
        assert begun.wait(30)
        assert stop_runs(0.1) is False
        go_on.set()
        assert running.result(30).status == "completed", "nobody was told that it is cancelled, and nothing is left to do"
    assert stop_runs(10) is True


def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphflow.db.turns.LONGEST_LINE", 2)
    queue = SessionQueue()
    for _ in range(3):
        queue.join("db", "s")
    with pytest.raises(SessionBusy, match="2 runs wait"):
        queue.join("db", "s")
    assert queue.join("db", "other").has_turn


def test_a_block_that_is_left_because_its_run_was_stopped_ends_the_process_after_what_stands_around_it(tmp_path):
    code = f"""
import atexit, os, signal, threading, time
from typing import TypedDict
from graphflow import END, START, StateGraph
from graphflow.db import SqliteDb
from graphflow.shutdown import graceful_shutdown

class State(TypedDict):
    n: int

def slow(state):
    time.sleep(0.2)
    return {{"n": state["n"] + 1}}

graph = StateGraph(State).add_node("a", slow).add_edge(START, "a")
graph = graph.add_conditional_edges("a", lambda state: "a" if state["n"] < 99 else END, ["a", END])
graph = graph.compile(db=SqliteDb({str(tmp_path / "s.db")!r}))
atexit.register(lambda: print("atexit", flush=True))
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    with graceful_shutdown():
        graph.invoke({{"n": 0}}, session_id="s")  # whose end the process may or may not hear of
finally:
    time.sleep(0.5)
    print("cleaned up", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split("\n")[:-1], done.stderr) == (143, ["cleaned up", "atexit"], "")
