"""What one process asks of another: to stop a run, to wait for a key's result; and how a process ends that is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphflow.db import PostgresDb, SqliteDb
from tests.faults import programs

ROOT = Path(__file__).parents[2]


class Place:
    """A database that processes share: how to open it, here and there."""

    def __init__(self, kind: str, where: str) -> None:
        self.kind, self.where = kind, where
        self.started: list[subprocess.Popen[str]] = []

    def open(self, **options: Any) -> Any:
        return PostgresDb(self.where, **options) if self.kind == "postgres" else SqliteDb(self.where, **options)

    def start(self, program: str, *words: object) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}"}
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "tests.faults.programs",
            self.kind,
            self.where,
            program,
            *map(str, words),
        ]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=ROOT, env=env, **pipes)
        self.started.append(process)
        return process


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        made = Place("sqlite", str(tmp_path / "s.db"))
        yield made
    else:
        server = request.getfixturevalue("postgres_server")
        with server.schema() as name:
            made = Place("postgres", server.url_within(name))
            yield made
    for process in made.started:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str], code: int = 0) -> list[str]:
    """What a process that ended wrote."""
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return out.splitlines()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, process.stderr.read() if process.stderr else ""
    return line


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_of_another_process_is_cancelled_within_seconds(place: Place) -> None:
    process = place.start("loop")
    run_id = first_line(process)
    db = place.open()
    graph = programs.looping(db)
    started = time.monotonic()
    assert graph.get_state("s").status == "running"
    assert graph.cancel(run_id) is True
    assert lines(process)[-1] == "ended cancelled"
    assert time.monotonic() - started < 15
    assert graph.get_state("s").status == "cancelled" and graph.cancel(run_id) is False
    db.close()


def test_a_run_of_another_process_makes_way(place: Place) -> None:
    process = place.start("loop")
    first_line(process)
    db = place.open()
    graph = programs.looping(db)
    result = graph.invoke({"limit": 3}, session_id="s", on_busy="cancel")
    assert result.status == "completed"
    assert lines(process)[-1] == "ended cancelled"
    assert [run.status for run in db.get_runs("s")] == ["cancelled", "completed"]
    db.close()


def test_two_processes_with_one_key_run_once(place: Place) -> None:
    place.open().get_sessions()
    processes = [place.start("keyed", "k") for _ in range(2)]
    outputs = [lines(process) for process in processes]
    assert sorted(line for output in outputs for line in output if line == "ran") == ["ran"]
    ends = {output[-1] for output in outputs}
    assert len(ends) == 1 and ends.pop().startswith("result "), outputs
    db = place.open()
    assert db.count_sessions() == 1
    db.close()


def test_a_key_whose_process_was_killed_is_gone_on_with(place: Place) -> None:
    process = place.start("stuck", "k")
    assert first_line(process) == "ran"
    process.kill()
    process.communicate()
    db = place.open(busy_timeout=20)
    assert db.get_sessions()[0].status == db.get_runs(db.get_sessions()[0].session_id)[0].status == "crashed"
    assert lines(place.start("keyed", "k"))[-1].startswith("result ")
    assert [run.status for run in db.get_runs(db.get_sessions()[0].session_id)] == ["completed"]
    db.close()


# --- the end of a process --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are different on this system")
@pytest.mark.parametrize("where", ["main", "threads", "asyncio"])
def test_a_process_that_is_told_to_end_stores_its_runs_and_frees_their_sessions(place: Place, where: str) -> None:
    process = place.start("server", where)
    first_line(process)
    db = place.open()
    sessions = ["s"] if where == "main" else ["s0", "s1", "s2"]
    graph = programs.looping(db)
    until(lambda: all(db.get_session(session) is not None and graph.get_state(session).seq > 1 for session in sessions))
    process.send_signal(signal.SIGTERM)
    lines(process, 143)
    for session in sessions:
        snapshot = graph.get_state(session)
        assert snapshot.status == "cancelled" and snapshot.next == ("step",)
        assert graph.resume(session, recursion_limit=10**6).status == "completed", "nobody has to wait for a lease"
    db.close()


def test_a_handler_that_was_there_before_is_called(place: Place) -> None:
    process = place.start("handled")
    first_line(process)
    db = place.open()
    until(lambda: db.get_session("s") is not None)
    db.close()
    process.send_signal(signal.SIGTERM)
    assert lines(process)[-2:] == ["own handler", "ended cancelled"]


def test_leases_are_given_back_when_a_process_ends_with_runs_in_daemon_threads(place: Place) -> None:
    process = place.start("daemon")
    assert lines(process)[-1] == "leaving"
    db = place.open()
    owner = db._read(lambda tx: tx.one("SELECT lease_owner FROM gf_sessions", {}))
    assert owner == (None,), "no other machine has to wait until it runs out"
    assert db.get_session("s").status == "crashed"
    db.close()
