"""kill -9 while members of a team are working."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from tests.faults.killing import Program, Programs
from tests.faults.scale import FULL
from tests.faults.workers import SESSION


def check_team(program: Program) -> None:
    """The run ended well, everything was said once, and the database is whole."""
    assert program.lines()[-1] == ["done", "leader", "is", "done"]
    db = program.open()
    said = [message.text for message in db.get_messages(SESSION, include_members=True)]
    runs = [(run.ns, run.status) for run in db.get_runs(SESSION, include_members=True)]
    assert db.check().ok
    db.close()
    members = ["task of quick", "quick is done", "task of slow", "", "noted x", "slow is done"]
    assert said == ["go", "", *members, "quick is done", "slow is done", "leader is done"]
    assert runs == [("", "completed"), ("quick", "completed"), ("slow", "completed")]


def test_a_killed_team_goes_on_inside_one_member_and_leaves_the_finished_one_alone(programs: Programs) -> None:
    program = programs.make("team")
    process = program.start(STALL="yes")
    deadline = time.monotonic() + 60
    while not (["model", "slow", "answer"] in program.lines() and program.stored_results()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(program.stored_results()) == 1, "the quick member is stored while the slow one still works"
    assert program.run() == 0
    times = Counter(tuple(line) for line in program.lines())
    assert times["model", "leader", "ask"] == times["model", "quick", "ask"] == 1
    assert times["model", "slow", "ask"] == times["tool", "x"] == 1, "what was finished inside the member"
    assert times["model", "slow", "answer"] == 2, "what was in flight"
    check_team(program)


@pytest.mark.parametrize("number", [3, 5, 7, 9] if FULL else [3, 7])
def test_a_team_killed_after_a_commit_ends_as_if_nothing_had_happened(number: int, programs: Programs) -> None:
    program = programs.make("team")
    if program.run(f"after:{number}") == -signal.SIGKILL:
        assert program.run() == 0
    check_team(program)
    assert all(times <= 2 for times in Counter(map(tuple, program.lines())).values())
