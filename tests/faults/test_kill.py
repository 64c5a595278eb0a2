"""kill -9: real processes, really killed, at chosen commits and at random moments."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from graphflow.db import SqliteDb
from tests.faults import workers

ROOT = Path(__file__).parents[2]
RANDOM_KILLS = int(os.environ.get("GRAPHFLOW_RANDOM_KILLS", "10"))
"""For each of the two programs."""
SEED = int(os.environ.get("GRAPHFLOW_SEED", str(random.randrange(10**6))))


class Program:
    """One of the workers with its database and journal."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.database = folder / "s.db"
        self.journal = folder / "journal"

    def start(self, kill: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Start the process; ``kill`` makes it kill itself."""
        command = [
            sys.executable,
            "-m",
            "tests.faults.workers",
            self.name,
            str(self.database),
            str(self.journal),
            *([kill] if kill else []),
        ]
        env = {**os.environ, **environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}"}
        return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE)

    def run(self, kill: str = "", **environment: str) -> int:
        """Run it to its end; its return code."""
        process = self.start(kill, **environment)
        _, errors = process.communicate(timeout=60)
        if process.returncode not in (0, -signal.SIGKILL):
            raise AssertionError(errors.decode())
        return process.returncode

    def lines(self) -> list[list[str]]:
        """The journal."""
        return [line.split() for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    def stored_results(self) -> set[str]:
        """The ids of tasks whose results are in the database: acknowledged, though their superstep is not finished."""
        if not self.database.exists():
            return set()
        with closing(sqlite3.connect(self.database)) as connection:
            try:
                return {row[0] for row in connection.execute("SELECT task_id FROM gf_tasks WHERE kind = 'result'")}
            except sqlite3.OperationalError:
                return set()

    def stored_seq(self) -> int:
        """The session's head, -1 when there is none."""
        if not self.database.exists():
            return -1
        with closing(sqlite3.connect(self.database)) as connection:
            try:
                row = connection.execute("SELECT head FROM gf_sessions").fetchone()
            except sqlite3.OperationalError:
                return -1
        return -1 if row is None else row[0]


class Kill(NamedTuple):
    """What stood when a process was killed: the length of the journal, and the tasks whose results were durable."""

    line: int
    finished: set[str]


def check_chain(program: Program, kills: list[Kill]) -> None:
    """The chain ended as if nothing had happened, and nothing that was stored at a kill ran again after it."""
    lines = program.lines()
    assert lines[-1] == ["done", *workers.EXPECTED_PATH]
    db = SqliteDb(db_file=str(program.database))
    graph = workers.chain_graph(db, lambda *words: None)  # type: ignore[arg-type]
    state = graph.get_state(workers.SESSION)
    assert (state.status, state.values["path"], state.values["total"]) == ("completed", workers.EXPECTED_PATH, 1)
    texts = [message.text for message in db.get_messages(workers.SESSION)]
    assert texts == ["go", *(f"step{i}" for i in range(10)), "end"]
    assert db.check().ok
    db.close()
    for kill in kills:
        again = {line[1] for line in lines[kill.line :] if line[0] == "run"} & kill.finished
        assert not again, "a stored task ran again"


def killed(program: Program) -> Kill:
    """What is durable now: rows of the unfinished superstep, and every task of a finished one."""
    lines = program.lines()
    done = program.stored_results()
    seq = program.stored_seq()
    for _, key, name in (line for line in lines if line[0] == "run"):
        if (name.startswith("step") and int(name[4:]) < seq) or (name.startswith("work") and seq >= 11):
            done.add(key)
    return Kill(len(lines), done)


def at_every_commit(name: str, commits: int, folder: Path, check: Callable[[Program], Callable[[], None]]) -> int:
    """Kill a program before and after each of its first ``commits`` commits, run it again, and check. How many were killed."""

    def once(kill: str) -> bool:
        place = folder / kill.replace(":", "-")
        place.mkdir()
        program = Program(name, place)
        code = program.run(kill)
        verify = check(program)
        if code:
            assert program.run() == 0
        verify()
        return code == -signal.SIGKILL

    kills = [f"{where}:{number}" for number in range(1, commits + 1) for where in ("before", "after")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(once, kills))


def test_a_kill_at_every_commit_of_a_graph_ends_like_an_undisturbed_run(tmp_path):
    def check(program: Program) -> Callable[[], None]:
        kill = killed(program)
        return lambda: check_chain(program, [kill])

    assert at_every_commit("chain", 17, tmp_path, check) >= 26, "input, ten steps, a fan-out and the end are thirteen commits"


def test_a_kill_at_every_commit_of_an_agent_loses_no_turn(tmp_path):
    def check(program: Program) -> Callable[[], None]:
        stored = stored_questions(program)
        return lambda: check_agent(program, stored)

    assert at_every_commit("agent", 10, tmp_path, check) == 20


@pytest.mark.parametrize("finishing", [1, 7, 19])
def test_of_twenty_parallel_nodes_the_finished_never_run_again(finishing, tmp_path):
    program = Program("parallel", tmp_path)
    process = program.start(FINISHING=str(finishing))
    deadline = time.monotonic() + 60
    while len(program.stored_results()) < finishing and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = program.stored_results()
    assert len(finished) == finishing, "what finished is stored while its siblings still run"
    assert program.run(FINISHING="20") == 0
    lines = program.lines()
    assert lines[-1] == ["done", *map(str, range(20))]
    times = Counter(line[1] for line in lines if line[0] == "run")
    assert all(times[key] == 1 for key in finished) and len(times) == 20


def stored_questions(program: Program) -> list[str]:
    """The user's messages in the database."""
    if not program.database.exists():
        return []
    db = SqliteDb(db_file=str(program.database))
    try:
        session = db.get_session(workers.SESSION)
        return [] if session is None else [m.text for m in db.get_messages(workers.SESSION) if m.role == "user"]
    finally:
        db.close()


def check_agent(program: Program, stored_before: list[str]) -> None:
    """All turns are there once, in order, each with its own answer; nothing acknowledged or stored before the kill is
    missing.
    """
    db = SqliteDb(db_file=str(program.database))
    messages = db.get_messages(workers.SESSION)
    runs = db.get_runs(workers.SESSION)
    assert db.check().ok
    db.close()
    questions = [f"question-{turn}" for turn in range(workers.TURNS)]
    assert [m.text for m in messages if m.role == "user"] == questions
    assert [m.text for m in messages if m.role == "assistant" and m.text] == [f"answer to {q}" for q in questions]
    assert [m.text for m in messages if m.role == "tool"] == [f"noted {q}-{i}" for q in questions for i in range(2)]
    assert [run.status for run in runs] == ["completed"] * workers.TURNS
    assert stored_before == questions[: len(stored_before)]
    for line in program.lines():
        if line[0] == "acknowledged":
            assert line[2:] == ["answer", "to", line[1]]


@pytest.mark.parametrize("name", ["chain", "agent"])
def test_kills_at_random_moments_repeat_nothing_finished_and_lose_nothing_stored(name, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(f"{SEED}-{name}")
    count = 0
    round_number = 0
    while count < RANDOM_KILLS:
        round_number += 1
        folder = tmp_path / str(round_number)
        folder.mkdir()
        program = Program(name, folder)
        kills: list[Kill] = []
        stored: list[str] = []
        while True:
            before = len(program.lines())
            process = program.start()
            deadline = time.monotonic() + 30
            while len(program.lines()) == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, errors.decode()
            count += 1
            if name == "chain":
                kills.append(killed(program))
            else:
                stored = stored_questions(program)
            if count >= RANDOM_KILLS:
                assert program.run() == 0
                break
        check_chain(program, kills) if name == "chain" else check_agent(program, stored)


STEPS = ["one", "left", "right1", "right2", *["turn1", "turn2"] * 3, "three"]
"""The executions of the steps of the workflow."""


def check_workflow(program: Program, again: Counter[str]) -> None:
    """The workflow ended as if nothing had happened, and only ``again`` ran more than once."""
    lines = program.lines()
    assert lines[-1] == ["done", "three<7", "one", "left", "right1", "right2", "both", "turn1", "turn2", "three"]
    ran = Counter(line[1] for line in lines if line[0] == "run")
    assert ran - Counter(STEPS) == again
    db = SqliteDb(db_file=str(program.database))
    assert [message.text for message in db.get_messages(workers.SESSION)] == ["input", "three<7"]
    assert [run.status for run in db.get_runs(workers.SESSION)] == ["completed"] and db.check().ok
    db.close()


@pytest.mark.parametrize("step", ["three:1", "right2:1", "left:1", "turn1:2", "turn2:3", "one:1"])
def test_a_killed_workflow_repeats_the_step_that_was_running_and_no_other(step, tmp_path):
    program = Program("workflow", tmp_path)
    assert program.run(DIE_IN=step) == -signal.SIGKILL
    assert program.run() == 0
    check_workflow(program, Counter([step.split(":")[0]]))


def test_a_kill_at_every_commit_of_a_workflow_ends_like_an_undisturbed_run(tmp_path):
    def check(program: Program) -> Callable[[], None]:
        ran = len(program.lines())
        return lambda: finished(program, ran)

    def finished(program: Program, ran: int) -> None:
        lines = [line[1] for line in program.lines() if line[0] == "run"]
        again = Counter(lines) - Counter(STEPS)
        # Steps whose commit was not acknowledged run again: one of them, or the branches that ended at the same time.
        assert again.total() <= 1 or set(again) <= {"left", "right1", "right2"}, (ran, lines)
        check_workflow(program, again)

    # Branches commit at the same time, so a commit may be counted twice and not be the one to kill at.
    assert at_every_commit("workflow", 7, tmp_path, check) >= 12, "the loop and the end are in the test above"
