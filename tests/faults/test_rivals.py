"""Two processes on one session: the compare-and-set makes the loser fail loudly, and no acknowledged turn is lost."""

from __future__ import annotations

from graphflow.db import SqliteDb
from tests.faults import workers
from tests.faults.test_kill import Program


def test_two_processes_on_one_session_lose_no_acknowledged_turn(tmp_path):
    program = Program("rival", tmp_path)
    processes = [program.start(), program.start()]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()
    lines = program.lines()
    acknowledged = {line[1] for line in lines if line[0] == "acknowledged"}
    refused = {line[1] for line in lines if line[0] == "refused"}
    assert len(acknowledged) + len(refused) == 60 and acknowledged
    db = SqliteDb(db_file=str(program.database))
    completed = {}
    for run in db.get_runs(workers.SESSION):
        if run.status == "completed":
            completed[run.messages[0].text] = [(message.role, message.text) for message in run.messages]
    asked = [message.text for message in db.get_messages(workers.SESSION) if message.role == "user"]
    assert db.check().ok
    db.close()
    assert set(completed) == acknowledged
    for question, messages in completed.items():
        assert messages[-1] == ("assistant", f"answer to {question}")
        assert [role for role, _ in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert acknowledged | refused >= set(asked), "nothing was stored that nobody said"
    assert len(asked) == len(set(asked))
