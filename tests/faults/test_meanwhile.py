"""What another process does to a session while a run of it goes on: it is deleted, begun anew, pruned, cancelled, run as well.

Whoever comes too late is told so by a typed error, and nothing of his is stored; what was acknowledged stays, whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import workers
from tests.faults.killing import Program, Programs

SHAPES = ("ends", "goes on", "records a step", "asks", "fails", "nested", "siblings")


class Player:
    """A process with a run that waits in its middle until it is told to go on."""

    def __init__(self, program: Program, who: str, shape: str, durability: str) -> None:
        self.program = Program("held", program.journal.parent / who, program.database)
        self.program.journal.parent.mkdir()
        self.process = self.program.start(WHO=who, SHAPE=shape, DURABILITY=durability, LEASE_TTL="600")
        self._until(lambda: ["waiting"] in self.program.lines())

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)

    def go_on(self) -> list[str]:
        """Let it end; how it did."""
        self.program.journal.with_suffix(".go").touch()
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors.decode()
        return self.program.lines()[-1]


@pytest.fixture
def players(programs: Programs) -> Any:
    """Starts such processes on one database, which is given with the first."""
    program = programs.make("held")
    started: list[Player] = []

    def start(who: str, shape: str = "goes on", durability: str = "sync") -> Player:
        started.append(Player(program, who, shape, durability))
        return started[-1]

    start.program = program  # type: ignore[attr-defined]
    yield start
    for player in started:
        if player.process.poll() is None:
            player.process.kill()
            player.process.communicate()


def tables(program: Program) -> dict[str, int]:
    """How many rows each table has that holds what was said and done."""
    names = ("sessions", "runs", "checkpoints", "tasks", "messages", "summaries", "media_uses")
    return {name: program.ask(f"SELECT count(*) FROM gf_{name}")[0][0] for name in names}


def state_of(program: Program) -> Any:
    """The session as it is stored."""
    db = program.open()
    try:
        assert db.check().ok
        return workers.held_graph(db, "", "goes on", lambda *words: None, None).get_state(workers.SESSION)
    finally:
        db.close()


ENDS = {"asks": "paused", "fails": "error"}


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_of_a_session_that_was_deleted_and_begun_anew_writes_nothing_into_the_new_one(
    players: Any, shape: str, durability: str
) -> None:
    """The new one has as many checkpoints and as many take-overs as the old one: by them they cannot be told apart."""
    program = players.program
    db = program.open()
    if durability == "exit":  # stands in the database before, and is there again
        workers.held_graph(db, "old", "goes on", lambda *words: None, None).invoke({}, session_id=workers.SESSION)
    late = players("late", shape, durability)
    assert db.delete_session(workers.SESSION)
    if durability == "exit":
        workers.held_graph(db, "new", "goes on", lambda *words: None, None).invoke({}, session_id=workers.SESSION)
    other = players("other", shape, durability)
    before = db.export_session(workers.SESSION)
    # Whose node failed hears of that.
    assert late.go_on()[:2] == ["late", "error" if shape == "fails" else "LeaseLost"]
    assert db.export_session(workers.SESSION) == before
    db.close()
    assert other.go_on()[:2] == ["other", ENDS.get(shape, "completed")]
    state = state_of(program)
    assert "late" not in str(state.values) and "old" not in str(state.values) and "other" in str(state.values)
    assert state.status == ENDS.get(shape, "completed")
