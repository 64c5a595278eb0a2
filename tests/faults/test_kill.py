"""kill -9: real processes, really killed, at chosen commits and at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.faults import workers
from tests.faults.killing import Program, Programs
from tests.faults.scale import FULL, SEED, rounds

RANDOM_KILLS = rounds(2, 84)
"""For each of the three programs and each database."""


class Kill(NamedTuple):
    """What stood when a process was killed: the length of the journal, and the tasks whose results were durable."""

    line: int
    finished: set[str]


def check_chain(program: Program, kills: list[Kill]) -> None:
    """The chain ended as if nothing had happened, and nothing that was stored at a kill ran again after it."""
    lines = program.lines()
    assert lines[-1] == ["done", *workers.EXPECTED_PATH]
    db = program.open()
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


Check = Callable[[Program], Callable[[], None]]


def killed_once(programs: Programs, name: str, point: str, number: int, check: Check) -> int | None:
    """Kill a program when it passes a point for the n-th time, run it again, and check.

    It may come to its end before: then gives how often it passed the point. None: it was killed.
    """
    program = programs.make(name)
    code = program.run(f"{point}:{number}")
    verify = check(program)
    passed = None if code else program.passed(point)
    if code:
        assert program.run() == 0
    verify()
    assert passed is None or program.lines()[-1][0] == "done"
    return passed


def killed_to_the_end(programs: Programs, name: str, points: Sequence[str], numbers: Sequence[int], check: Check) -> list[int]:
    """Kill a program at each of these passages of each point, until it gets past the last. How many kills at each point.

    The end is found when so many programs, one after the other, came to theirs without being killed, and when the last number
    is one that none of those that did has reached.
    """

    def at(point: str) -> int:
        kills, undisturbed, beyond = 0, list[int](), 0
        for number in numbers:
            passed = killed_once(programs, name, point, number, check)
            if passed is None:
                kills, beyond = kills + 1, 0
                continue
            assert passed < number, "a program passed the point at which it was to be killed"
            undisturbed.append(passed)
            beyond += 1
            if beyond == BEYOND and max(undisturbed) < number:
                break
        assert beyond == BEYOND and max(undisturbed) < number, "the end was not found"
        often = f"undisturbed, it passes {min(undisturbed)} to {max(undisturbed)} times"
        print(f"{name}: killed at {kills} passages of {point!r}, the last number tried is {number}; {often}")
        return kills

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(at, points))


def every(quick: int, first: int = 1) -> Sequence[int]:
    """The numbers of passages: in a quick run, one of so many, from the first on that is of interest."""
    return range(rounds(first, 1), 10**6, rounds(quick, 1))


def of_chain(program: Program) -> Callable[[], None]:
    kill = killed(program)
    return lambda: check_chain(program, [kill])


def of_workflow(program: Program) -> Callable[[], None]:
    ran = len(program.lines())

    def finished() -> None:
        lines = [line[1] for line in program.lines() if line[0] == "run"]
        again = Counter(lines) - Counter(STEPS)
        # Steps whose commit was not acknowledged run again: one of them, or the branches that ended at the same time.
        assert again.total() <= 1 or set(again) <= {"left", "right1", "right2"}, (ran, lines)
        check_workflow(program, again)

    return finished


def of_memory(program: Program) -> Callable[[], None]:
    return lambda: check_memory(program)


def of_agent(program: Program) -> Callable[[], None]:
    stored = stored_questions(program)
    return lambda: check_agent(program, stored)


CHECKED = [("chain", of_chain, 45), ("agent", of_agent, 75), ("workflow", of_workflow, 60), ("memory", of_memory, 60)]
AROUND = ("before", "after")
INSIDE = ("statement", "COMMIT", "committed")
BEYOND = rounds(1, 12)
"""So many runs one after the other that were not killed are past the end. Tasks that end together are committed together, or
not, so that one run passes a point a few times more than another."""


@pytest.mark.timeout(1800)
def test_a_kill_at_every_commit_of_a_graph_ends_like_an_undisturbed_run(programs: Programs) -> None:
    kills = killed_to_the_end(programs, "chain", AROUND, every(16), of_chain)
    assert min(kills) >= rounds(1, 13), "input, ten steps, a fan-out and the end are thirteen commits"


@pytest.mark.timeout(1800)
def test_a_kill_at_every_commit_of_an_agent_loses_no_turn(programs: Programs) -> None:
    kills = killed_to_the_end(programs, "agent", AROUND, every(25), of_agent)
    assert min(kills) >= rounds(1, 4 * workers.TURNS), "input, question, notes and answer of each turn"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "check", "quick"), CHECKED, ids=[name for name, *_ in CHECKED])
def test_a_kill_before_every_statement_and_around_every_commit_leaves_all_or_nothing(
    programs: Programs, name: str, check: Check, quick: int
) -> None:
    kills = killed_to_the_end(programs, name, INSIDE, every(quick, 4), check)
    if programs.at_once:  # how many commits are more than one statement depends on which siblings end together
        assert min(kills) >= rounds(0, 1) and sum(kills) >= rounds(2, 30)
    else:
        assert min(kills) >= 1 and sum(kills) >= rounds(3, 30)


def check_memory(program: Program) -> None:
    """Each turn left one memory, whatever the keeper said at which attempt, and the summary is of all but the last lines."""
    db = program.open()
    kept = [memory.memory.partition(",")[0] for memory in db.get_user_memories("ann")]
    assert kept == [f"I like number {turn}" for turn in range(5)]
    runs = {run.run_id for run in db.get_runs(workers.SESSION)}
    assert {memory.run_id for memory in db.get_user_memories("ann")} == runs
    assert len(db.get_messages(workers.SESSION)) == 10
    assert db.get_session_summary(workers.SESSION) == "4 more lines"
    assert db.check().ok
    db.close()


@pytest.mark.timeout(1800)
def test_a_kill_neither_loses_nor_doubles_a_memory_or_a_summary(programs: Programs) -> None:
    # The first turn commits its input, what rode along, a finished task and the superstep; the third one a summary as well.
    kills = killed_to_the_end(programs, "memory", AROUND, every(14, 2), of_memory)
    assert min(kills) >= rounds(1, 15)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("finishing", range(1, 20) if FULL else [1, 19])
def test_of_twenty_parallel_nodes_the_finished_never_run_again(finishing: int, programs: Programs) -> None:
    program = programs.make("parallel")
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
    db = program.open()
    try:
        session = db.get_session(workers.SESSION)
        return [] if session is None else [m.text for m in db.get_messages(workers.SESSION) if m.role == "user"]
    finally:
        db.close()


def check_agent(program: Program, stored_before: list[str]) -> None:
    """All turns are there once, in order, each with its own answer; nothing acknowledged or stored before the kill is
    missing.
    """
    db = program.open()
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


STEPS = ["one", "left", "right1", "right2", *["turn1", "turn2"] * 3, "three"]
"""The executions of the steps of the workflow."""


def check_workflow(program: Program, again: Counter[str]) -> None:
    """The workflow ended as if nothing had happened, and only ``again`` ran more than once."""
    lines = program.lines()
    listed = ["one", "left", "right1", "right2", "right", "both", "turn1", "turn2", "turns", "three"]
    assert lines[-1] == ["done", "three<7", *listed]
    ran = Counter(line[1] for line in lines if line[0] == "run")
    assert ran - Counter(STEPS) == again
    db = program.open()
    assert [message.text for message in db.get_messages(workers.SESSION)] == ["input", "three<7"]
    assert [run.status for run in db.get_runs(workers.SESSION)] == ["completed"] and db.check().ok
    db.close()


@pytest.mark.parametrize("step", ["right2:1", "turn1:2", "three:1", *(("left:1", "turn2:3", "one:1") if FULL else ())])
def test_a_killed_workflow_repeats_the_step_that_was_running_and_no_other(step: str, programs: Programs) -> None:
    program = programs.make("workflow")
    assert program.run(DIE_IN=step) == -signal.SIGKILL
    assert program.run() == 0
    check_workflow(program, Counter([step.split(":")[0]]))


def test_a_kill_at_every_commit_of_a_workflow_ends_like_an_undisturbed_run(programs: Programs) -> None:
    kills = killed_to_the_end(programs, "workflow", AROUND, every(12), of_workflow)
    assert min(kills) >= rounds(1, 12)


BRANCHES = ("left", "right1", "right2")


def unfinished(program: Program) -> Counter[str]:
    """The steps that were running when a workflow was killed: those whose results are not durable."""
    ran = [(name, key) for word, name, *key in program.lines() if word == "run"]
    last = ran[-1][0]
    if last not in BRANCHES:
        return Counter([last])  # a step begins when the one before it is stored
    stored = program.stored_results()
    begun = {name: key for name, key in ran if name in BRANCHES}
    if "right2" in begun:
        del begun["right1"]
    return Counter(name for name, (key,) in begun.items() if key not in stored)


class Chain:
    """What is looked at when a graph is killed, and in the end."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kills: list[Kill] = []

    def killed(self) -> None:
        self.kills.append(killed(self.program))

    def ended(self) -> None:
        check_chain(self.program, self.kills)


class Conversation:
    """What is looked at when an agent is killed, and in the end."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.stored: list[str] = []

    def killed(self) -> None:
        self.stored = stored_questions(self.program)

    def ended(self) -> None:
        check_agent(self.program, self.stored)


class Flow:
    """What is looked at when a workflow is killed, and in the end."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.running: Counter[str] = Counter()

    def killed(self) -> None:
        if any(line[0] == "run" for line in self.program.lines()):
            self.running += unfinished(self.program)

    def ended(self) -> None:
        ran = Counter(line[1] for line in self.program.lines() if line[0] == "run")
        again = ran - Counter(STEPS)
        assert not again - self.running, "a stored step ran again"
        check_workflow(self.program, again)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "watched"), [("chain", Chain), ("agent", Conversation), ("workflow", Flow)])
def test_kills_at_random_moments_repeat_nothing_finished_and_lose_nothing_stored(
    name: str, watched: type[Chain | Conversation | Flow], programs: Programs
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(f"{SEED}-{name}")
    done = ended = 0
    while done < RANDOM_KILLS:
        program = programs.make(name)
        watch = watched(program)
        while done < RANDOM_KILLS and killed_by_chance(program, chance):
            done += 1
            watch.killed()
        if done == RANDOM_KILLS:
            assert program.run() == 0
        watch.ended()
        ended += 1
    print(f"{name}: {done} kills in {ended} programs: nothing finished repeated, nothing acknowledged lost, all ended")


def killed_by_chance(program: Program, chance: random.Random) -> bool:
    """Start a program and kill it a while after it has done some of its work; False when it had ended by then.

    Work is counted in lines of the journal: however slow the machine is, a program is killed early, late and in between.
    """
    due = len(program.lines()) + chance.randrange(1, 12)
    process = program.start()
    deadline = time.monotonic() + 30
    while len(program.lines()) < due and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.03))
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode != 0
