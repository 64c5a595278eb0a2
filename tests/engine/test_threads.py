"""Helper threads: who takes work, how many there are, and how they end."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

from graphflow.drive import threads
from graphflow.drive.threads import WORKERS, _Helpers, in_own_thread, in_thread


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
