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
from tests.faults.scale import FULL

SHAPES = ("goes on", "records a step", "nested", *(("ends", "asks", "fails", "siblings") if FULL else ()))


class Player:
    """A process with a run that waits in its middle until it is told to go on."""

    def __init__(self, program: Program, who: str, shape: str, durability: str, user_id: str) -> None:
        self.program = Program("held", program.journal.parent / who, program.database)
        self.program.journal.parent.mkdir()
        self.process = self.program.start(WHO=who, SHAPE=shape, DURABILITY=durability, OWNER=user_id, LEASE_TTL="600")
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

    def start(who: str, shape: str = "goes on", durability: str = "sync", user_id: str = "") -> Player:
        started.append(Player(program, who, shape, durability, user_id))
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


def state_of(program: Program, user_id: str | None = None) -> Any:
    """The session as it is stored."""
    db = program.open()
    try:
        assert db.check().ok
        return graph_of(db, "").get_state(workers.SESSION, user_id=user_id)
    finally:
        db.close()


def graph_of(db: Any, who: str, shape: str = "goes on") -> Any:
    """The same graph, which waits for nothing."""
    return workers.held_graph(db, who, shape, lambda *words: None, None)


def path_of(*names: str) -> list[str]:
    return [f"{who} {where}" for who in names for where in ("first", "middle", "last")]


def is_whole(program: Program, status: str, path: list[str], user_id: str | None = None) -> None:
    """What is stored is this and nothing else: the state, what was said, and no row beside the session's."""
    state = state_of(program, user_id)
    assert (state.status, state.values["path"]) == (status, path)
    db = program.open()
    assert [message.text for message in db.get_messages(workers.SESSION)] == path
    db.close()
    assert program.ask("SELECT count(*) FROM gf_sessions") == [(1,)]


def is_empty(program: Program) -> None:
    assert set(tables(program).values()) == {0}, tables(program)


# --- deleted ---------------------------------------------------------------------------------------------------------------

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
        graph_of(db, "old").invoke({}, session_id=workers.SESSION)
    late = players("late", shape, durability)
    assert db.delete_session(workers.SESSION)
    if durability == "exit":
        graph_of(db, "new").invoke({}, session_id=workers.SESSION)
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


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize("way", ["delete", "prune", *(["delete user"] if FULL else [])])
def test_a_run_of_a_session_that_was_deleted_ends_with_an_error_and_leaves_nothing(
    players: Any, durability: str, way: str
) -> None:
    program = players.program
    db = program.open()
    graph_of(db, "old").invoke({}, session_id=workers.SESSION, user_id="ann")
    late = players("late", durability=durability, user_id="ann")
    if way == "prune" and durability == "sync":
        assert db.prune(older_than=0, delete_sessions=True).deleted_sessions == 0, "one that is run is in use"
        assert late.go_on()[:2] == ["late", "completed"]
        db.close()
        return is_whole(program, "completed", path_of("old", "late"), "ann")
    if way == "prune":
        assert db.prune(older_than=0, delete_sessions=True).deleted_sessions == 1
    else:
        assert db.delete_session(workers.SESSION) if way == "delete" else db.delete_user("ann") == 1
    assert late.go_on()[:2] == ["late", "LeaseLost"]
    assert db.check().ok
    db.close()
    is_empty(program)


def test_a_session_that_is_stored_at_the_end_of_its_run_is_not_there_to_be_deleted_before(players: Any) -> None:
    program = players.program
    late = players("late", durability="exit")
    db = program.open()
    assert db.delete_session(workers.SESSION) is False
    db.close()
    assert late.go_on()[:2] == ["late", "completed"]
    is_whole(program, "completed", path_of("late"))


# --- pruned ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize("keep", [1, 2, 9] if FULL else [2])
def test_pruning_takes_nothing_from_a_run_that_goes_on_and_nothing_of_what_was_done(
    players: Any, durability: str, keep: int
) -> None:
    """One that is stored at its end only cannot be seen: it may have to be told that its session was written anew."""
    program = players.program
    db = program.open()
    earlier = [f"run{number}" for number in range(6)]
    for who in earlier:
        graph_of(db, who).invoke({}, session_id=workers.SESSION)
    late = players("late", durability=durability)
    report = db.prune(keep_last=keep)
    epoch = program.ask("SELECT epoch FROM gf_sessions")[0][0]
    db.close()
    assert report.checkpoints > 0
    lost = durability == "exit" and epoch > len(earlier)
    assert late.go_on()[:2] == ["late", "LeaseLost" if lost else "completed"]
    is_whole(program, "completed", path_of(*earlier, *(() if lost else ("late",))))


# --- cancelled, answered, run as well --------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cancel", *(["answer", "run"] if FULL else [])])
def test_of_a_run_that_is_stored_at_its_end_and_whoever_came_before_it_the_late_one_is_told(players: Any, first: str) -> None:
    program = players.program
    db = program.open()
    asking = graph_of(db, "old", "asks")
    paused = asking.invoke({}, session_id=workers.SESSION)
    assert paused.status == "paused"
    late = players("late", durability="exit")
    if first == "cancel":
        assert asking.cancel(paused.run_id) is True
        status, path = "cancelled", ["old first"]
    elif first == "answer":
        assert asking.resume(workers.SESSION, "yes").status == "completed"
        status, path = "completed", path_of("old")
    else:
        assert graph_of(db, "new").invoke({}, session_id=workers.SESSION, on_unfinished="abandon").status == "completed"
        status, path = "completed", ["old first", *path_of("new")]
    assert late.go_on()[:2] == ["late", "LeaseLost"]
    is_whole(program, status, path)
    if first == "cancel":
        assert asking.resume(workers.SESSION, "yes")["path"] == path_of("old"), "what was asked stays"
    db.close()


def test_whoever_cancels_after_it_is_told_that_the_run_has_ended(players: Any) -> None:
    program = players.program
    db = program.open()
    asking = graph_of(db, "old", "asks")
    paused = asking.invoke({}, session_id=workers.SESSION)
    late = players("late", durability="exit")
    assert late.go_on()[:2] == ["late", "completed"]
    assert asking.cancel(paused.run_id) is False
    assert [run.status for run in db.get_runs(workers.SESSION)] == ["abandoned", "completed"]
    db.close()
    is_whole(program, "completed", ["old first", *path_of("late")])


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize("begun", [False, True], ids=["a new session", "a session that is there"])
def test_of_two_runs_at_the_same_time_one_is_stored(players: Any, durability: str, begun: bool) -> None:
    """The late one came first, but it says so at its end only."""
    program = players.program
    earlier = []
    if begun:
        db = program.open()
        graph_of(db, "old").invoke({}, session_id=workers.SESSION)
        earlier = path_of("old")
        db.close()
    late = players("late", durability="exit")
    other = players("other", durability=durability)
    if durability == "exit":
        assert other.go_on()[:2] == ["other", "completed"]
    assert late.go_on()[:2] == ["late", "LeaseLost"]
    if durability == "sync":
        assert other.go_on()[:2] == ["other", "completed"]
    is_whole(program, "completed", [*earlier, *path_of("other")])
