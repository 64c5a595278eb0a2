"""Within a process, the runs of one session take turns: first come, first served."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Graph, StateGraph
from graphflow.db import InMemoryDb
from graphflow.db.turns import SessionQueue, session_queue
from graphflow.errors import SessionBusy
from tests.forking import fork


def test_the_first_goes_on_at_once_and_the_others_in_the_order_they_came() -> None:
    queue = SessionQueue()
    first, second, third = (queue.join("db", "s1") for _ in range(3))
    assert [ticket.future.done() for ticket in (first, second, third)] == [True, False, False]
    queue.leave(first)
    assert [ticket.future.done() for ticket in (second, third)] == [True, False]
    queue.leave(second)
    assert third.future.done()


def test_other_sessions_and_other_databases_do_not_wait() -> None:
    queue = SessionQueue()
    assert queue.join("db", "s1").future.done()
    assert queue.join("db", "s2").future.done()
    assert queue.join("other", "s1").future.done()


def test_whoever_gives_up_waiting_is_passed_over() -> None:
    queue = SessionQueue()
    first, second, third = (queue.join("db", "s1") for _ in range(3))
    queue.leave(second)
    queue.leave(first)
    assert third.future.done() and not second.future.done()


def test_leaving_twice_does_no_harm() -> None:
    queue = SessionQueue()
    first, second, third = (queue.join("db", "s1") for _ in range(3))
    queue.leave(first)
    queue.leave(first)
    assert second.future.done() and not third.future.done()


def test_nothing_is_kept_of_a_line_that_is_empty() -> None:
    queue = SessionQueue()
    for n in range(100):
        queue.leave(queue.join("db", f"s{n}"))
    assert queue._lines == {}


def test_threads_have_the_session_one_at_a_time() -> None:
    queue = SessionQueue()
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(50):
            ticket = queue.join("db", "s1")
            ticket.future.result(30)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            queue.leave(ticket)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 400 and queue._lines == {}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_begins_with_no_lines() -> None:
    ticket = session_queue().join("fork-test", "s1")

    def has_its_turn() -> None:
        assert session_queue().join("fork-test", "s1").future.done()

    ended = fork(has_its_turn).join()
    session_queue().leave(ticket)
    assert ended == 0


# --- giving up while waiting -----------------------------------------------------------------------------------------------


class Held(TypedDict):
    n: int


def held_graph(db: Any, let_go: threading.Event, begun: threading.Event) -> Graph:
    """A graph whose first run holds its session until it is let go."""

    def hold(state: Held) -> None:
        begun.set()
        let_go.wait(20)

    return StateGraph(Held).add_node(hold).add_edge(START, "hold").add_edge("hold", END).compile(db=db)


@pytest.mark.parametrize("cancelled", [False, True], ids=["timed out", "cancelled"])
def test_who_gives_up_waiting_under_asyncio_blocks_nobody(cancelled: bool) -> None:
    db = InMemoryDb(busy_timeout=30.0 if cancelled else 0.2)
    let_go, begun = threading.Event(), threading.Event()
    graph = held_graph(db, let_go, begun)

    async def talk() -> str:
        holder = asyncio.ensure_future(graph.ainvoke({"n": 1}, session_id="s"))
        await asyncio.to_thread(begun.wait, 20)
        waiting = asyncio.ensure_future(graph.ainvoke({"n": 2}, session_id="s"))
        await asyncio.sleep(0.05)
        if cancelled:
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else SessionBusy):
            await waiting
        let_go.set()
        await holder
        return (await graph.ainvoke({"n": 3}, session_id="s")).status

    assert asyncio.run(talk()) == "completed"
    assert not session_queue().is_used(db.identity, "s")


def test_whoever_waits_for_the_last_hears_of_it_also_when_the_queue_was_opened_again() -> None:
    queue = SessionQueue()
    ticket = queue.join("db", "s1")
    queue.close()
    ended: list[bool] = []
    waiter = threading.Thread(target=lambda: ended.append(queue.wait(600)))
    waiter.start()
    while not queue._empty._waiters:  # type: ignore[attr-defined]
        threading.Event().wait(0.001)
    queue.reopen()
    queue.leave(ticket)
    waiter.join(60)
    assert ended == [True]


def test_who_is_interrupted_while_it_leaves_calls_the_next_when_it_leaves_again() -> None:
    queue = SessionQueue()
    first, second = (queue.join("db", "s1") for _ in range(2))
    queue._lines["db", "s1"].remove(first)  # as far as it came
    queue.leave(first)
    assert second.has_turn and second.future.done()


def test_who_is_interrupted_while_it_comes_does_not_stand_in_line() -> None:
    class Stopped(BaseException):
        pass

    class Stop:
        def cancel(self) -> None:
            raise Stopped

    class Holder:
        run_id, stop = "r1", Stop()

    queue = SessionQueue()
    first = queue.join("db", "s1", Holder())  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        queue.join("db", "s1", cancelling=True)
    assert queue.waiting("db", "s1") == 0
    queue.leave(first)
    assert queue._lines == {}
