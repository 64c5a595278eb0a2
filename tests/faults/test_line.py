"""The line for a session, in one process and in several: whoever leaves it at whatever moment, nobody in it is forgotten."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from graphflow.db.turns import SessionQueue, Ticket
from tests.faults import workers
from tests.faults.killing import Program, Programs
from tests.faults.scale import SEED, rounds

ROUNDS = rounds(3, 50)
PLACES = 12


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Holder:
    """A run of this process, which has the session until it is let go."""

    def __init__(self, db: Any, session_id: str) -> None:
        self._waiting, self._may_end = threading.Event(), threading.Event()
        self._graph = workers.held_graph(db, "holder", "ends", lambda *words: self._waiting.set(), self)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._graph.invoke, args=({},), kwargs={"session_id": session_id})
        self._thread.start()
        assert self._waiting.wait(60)

    def exists(self) -> bool:
        """What the run asks."""
        return self._may_end.is_set()

    def end(self) -> None:
        self._may_end.set()
        self._thread.join()


@pytest.mark.timeout(1800)
def test_of_two_processes_whose_first_in_line_leave_at_the_same_time_all_others_get_their_turn(
    programs: Programs, tmp_path: Any
) -> None:
    """The holder of the session ends at that moment, too."""
    place = programs.make("standing")
    gates = tmp_path / "gates"
    gates.mkdir()
    db = place.open()
    holder = Holder(db, "s0")
    players, processes = [], []
    for who in ("x", "y"):
        (tmp_path / who).mkdir()
        players.append(Program("standing", tmp_path / who, place.database))
        processes.append(players[-1].start(WHO=who, ROUNDS=str(ROUNDS), GATES=str(gates)))
    try:
        for number in range(ROUNDS):
            session_id = f"s{number}"
            until(lambda s=session_id: all(["standing", s] in player.lines() for player in players))  # type: ignore[misc]
            following = Holder(db, f"s{number + 1}")
            (gates / session_id).touch()
            holder.end()
            holder = following
        holder.end()
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()
    finally:
        for process in processes:
            process.kill()
    for number in range(ROUNDS):
        path = db.get_messages(f"s{number}")
        said = Counter(message.text for message in path if message.text.endswith("middle"))
        stayed = [f"{who}{n} middle" for who in "xy" for n in (1, 4)]
        assert [said[text] for text in stayed] == [1] * 4 and max(said.values()) == 1, said
        order = [message.text for message in path if message.text in stayed]
        assert [text for text in order if text[0] == "x"] == stayed[:2], "within a process, first come, first served"
    for player in players:
        ends = [line[2:] for line in player.lines() if line[0] == "ended"]
        assert len(ends) == ROUNDS and all(end[1] == end[4] == "completed" for end in ends)
        assert {end[place] for end in ends for place in (2, 3, 5)} == {"CancelledError"}
    assert db.check().ok
    db.close()


class Slow(Future[None]):
    """A turn that takes its time to say whether it has come: two that ask at the same time both hear that it has not."""

    def done(self) -> bool:
        known = super().done()
        time.sleep(0.0005)
        return known


@pytest.mark.timeout(1800)
def test_of_threads_that_leave_a_line_at_the_same_time_nobody_is_called_twice_or_forgotten() -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    for _ in range(rounds(100, 2_000)):
        queue = SessionQueue()
        tickets = [queue.join("db", "s", cancelling=place > 0 and dice.random() < 0.2) for place in range(PLACES)]
        for ticket in tickets[1:]:
            ticket.future = Slow()
        leaving = [tickets[0], *dice.sample(tickets[1:], dice.randrange(1, PLACES - 1))]
        together = threading.Barrier(len(leaving))

        def leave(ticket: Ticket, queue: SessionQueue = queue, together: threading.Barrier = together) -> None:
            together.wait()
            queue.leave(ticket)

        with ThreadPoolExecutor(len(leaving)) as pool:
            list(pool.map(leave, leaving))
        staying = [ticket for ticket in tickets if ticket not in leaving]
        served = 0
        while served < len(staying):
            having = [ticket for ticket in staying if ticket.has_turn]
            assert len(having) == served + 1, "one more has been called, and one only"
            served += 1
            queue.leave(next(ticket for ticket in having if ticket in queue._lines[ticket.key]))
        assert queue._lines == {}
