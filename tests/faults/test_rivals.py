"""Several processes on one session: they follow each other, a dead one is outlived, and one that stalls is fenced off."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graphflow import Agent, StateGraph
from graphflow.core.control import END, START
from graphflow.db import SqliteDb
from graphflow.errors import SessionBusy
from graphflow.testing import ScriptedModel
from tests.faults import workers
from tests.faults.killing import Programs
from tests.faults.scale import rounds

PROCESSES, TURNS = rounds(4, 8), rounds(8, 100)


def ends_well(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=rounds(100, 3000))
    assert process.returncode == 0, errors.decode()


def reading(db: SqliteDb) -> Any:
    """A connection of its own to look with."""
    return closing(sqlite3.connect(db.db_file))


def until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.timeout(3600)
def test_processes_on_one_session_follow_each_other_and_nothing_is_lost(programs: Programs) -> None:
    program = programs.make("rival")
    started = time.monotonic()
    processes = [program.start(TURNS=str(TURNS)) for _ in range(PROCESSES)]
    for process in processes:
        ends_well(process)
    acknowledged = [line[1] for line in program.lines() if line[0] == "acknowledged"]
    print(f"{PROCESSES} processes, {len(acknowledged)} turns in {time.monotonic() - started:.1f} s")
    db = program.open()
    messages = [m for m in db.get_messages(workers.SESSION) if m.role == "user" or (m.role == "assistant" and m.text)]
    session = db.get_session(workers.SESSION)
    assert session is not None and db.check().ok
    state = session.session_state
    db.close()
    asked = [message.text for message in messages[::2]]
    assert sorted(asked) == sorted(acknowledged) and len(asked) == PROCESSES * TURNS
    assert [message.text for message in messages[1::2]] == [f"answer to {question}" for question in asked]
    for pid in {question.split("-")[0] for question in asked}:
        own = [question for question in asked if question.startswith(f"{pid}-")]
        assert own == [f"{pid}-{turn}" for turn in range(TURNS)], "each process's own turns are in its order"
    assert state["count"] == PROCESSES * TURNS


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped on this system")
@pytest.mark.timeout(1800)
def test_a_holder_that_stalls_past_its_lease_is_refused_when_it_wakes_up(programs: Programs) -> None:
    for _ in range(rounds(2, 50)):
        program = programs.make("stalled")
        process = program.start(LEASE_TTL="0.4")
        try:
            until(lambda program=program: ["asked"] in program.lines())
            process.send_signal(signal.SIGSTOP)
            db = program.open(lease_ttl=0.4)
            agent = Agent(ScriptedModel(["the answer"]), db=db, session_id=workers.SESSION)
            with pytest.raises(SessionBusy, match="process"):
                agent.run("too early", on_busy="reject")
            agent.run("next question")
            process.send_signal(signal.SIGCONT)
            ends_well(process)
        finally:
            process.kill()
        assert [line[0] for line in program.lines()] == ["asked", "lost"]
        assert [m.text for m in agent.get_chat_history()] == ["stalled question", "next question", "the answer"]
        assert [run.status for run in db.get_runs(workers.SESSION)] == ["abandoned", "completed"]
        assert db.check().ok
        db.close()


def test_a_killed_holder_is_not_waited_for(programs: Programs) -> None:
    """The lease would run for half an hour; but its process is known to be gone."""
    program = programs.make("stalled")
    process = program.start(LEASE_TTL="1800")
    until(lambda: ["asked"] in program.lines())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    db = program.open(busy_timeout=5)
    output = Agent(ScriptedModel(["the answer"]), db=db, session_id=workers.SESSION).resume()
    assert output.content == "the answer"
    db.close()


def test_a_lease_is_renewed_as_long_as_the_run_goes_on(tmp_path: Path) -> None:
    db = SqliteDb(db_file=str(tmp_path / "s.db"), lease_ttl=0.2)
    seen: list[int] = []

    def renewed() -> bool:
        with reading(db) as connection:
            seen.append(connection.execute("SELECT lease_until FROM gf_sessions").fetchone()[0])
        return len(set(seen)) > 2

    def look(state: Any) -> None:
        until(renewed)

    graph = StateGraph(workers.State).add_node("look", look).add_edge(START, "look").add_edge("look", END).compile(db=db)
    graph.invoke({"total": 0}, session_id="s")
    assert seen == sorted(seen)
    with reading(db) as connection:
        assert connection.execute("SELECT lease_owner, lease_until FROM gf_sessions").fetchone() == (None, None)
    db.close()
