"""A file that others lock, a full disk, a file that may not be written: waited for, or a typed error, never half a commit."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.errors import DatabaseFailed
from graphflow.testing import ScriptedModel
from tests.faults.conversations import Echo, Talkers
from tests.faults.scale import rounds

ROOT = Path(__file__).parents[2]
LOCKED_FOR = rounds(1, 5)
"""Seconds."""


class Rival:
    """Another writer, who keeps the file locked for a while."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._locked = threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self._thread.start()
        assert self._locked.wait(10)

    def _hold(self) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._locked.set()
            time.sleep(LOCKED_FOR)
            connection.execute("ROLLBACK")

    def end(self) -> None:
        self._thread.join()


@pytest.mark.parametrize("busy_timeout", [60, 0.05], ids=["waited for by SQLite", "tried again"])
def test_a_lock_of_another_writer_is_waited_for(tmp_path: Path, busy_timeout: float) -> None:
    path = tmp_path / "s.db"
    db = SqliteDb(path, busy_timeout=busy_timeout)
    agent = Agent(Echo(), db=db, session_id="s")
    agent.run("before")
    rival = Rival(path)
    started = time.monotonic()
    assert agent.run("while locked").content == "answer to while locked"
    assert time.monotonic() - started > LOCKED_FOR / 2
    rival.end()
    assert [message.text for message in db.get_messages("s")][2:] == ["while locked", "answer to while locked"]
    db.close()


def test_a_lock_that_stays_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    db = SqliteDb(path, busy_timeout=0.05, retry_timeout=0.2)
    agent = Agent(Echo(), db=db, session_id="s")
    agent.run("before")
    rival = Rival(path)
    with pytest.raises(DatabaseFailed, match=r"locked.*longer busy_timeout=.*nothing was written") as caught:
        agent.run("while locked")
    assert caught.value.transient and isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert len(db.get_messages("s")) == 2, "readers do not wait"
    rival.end()
    assert agent.run("after").status == "completed"
    assert [run.status for run in db.get_runs("s")] == ["completed"] * 2
    db.close()


def test_many_threads_wait_for_the_lock_and_share_what_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    db = SqliteDb(path)
    db.get_sessions()
    rival = Rival(path)
    talkers = Talkers(db, 20, 2)
    talkers.start()
    rival.end()
    talkers.end()
    talkers.check()
    db.close()


FILLING = """
import resource, signal, sys
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.errors import DatabaseFailed
from tests.faults.conversations import Echo
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
db = SqliteDb(sys.argv[1])
agent = Agent(Echo(), db=db, session_id="s")
agent.run("first")
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for turn in range(10_000):
    try:
        output = agent.run(f"{turn} " + "x" * 5000)
        assert output.status == "completed"
        print("acknowledged", turn, flush=True)
    except DatabaseFailed as error:
        assert not error.transient, error
        print("failed", str(error).replace(" ", "_"), flush=True)
        break
try:
    db.close()
except Exception:
    pass
"""


def child(code: str, *args: object, **options: object) -> list[list[str]]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}"}
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def check_filled(path: Path, lines: list[list[str]]) -> None:
    """What was acknowledged is there, the turn that failed is not taken for completed, and there is no half of it."""
    assert lines[-1][0] == "failed" and len(lines) > 3
    db = SqliteDb(path)
    assert db.check().ok
    texts = [message.text.split()[0] for message in db.get_messages("s") if message.role == "user"]
    acknowledged = ["first", *(line[1] for line in lines[:-1])]
    assert texts[: len(acknowledged)] == acknowledged
    statuses = [run.status for run in db.get_runs("s")]
    assert statuses[: len(acknowledged)] == ["completed"] * len(acknowledged)
    assert "completed" not in statuses[len(acknowledged) :]
    answers = [message for message in db.get_messages("s") if message.role == "assistant"]
    assert len(answers) == len(acknowledged)
    assert Agent(ScriptedModel(["there is room again"]), db=db, session_id="s").run("after").status == "completed"
    db.close()


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited on this system")
def test_a_file_that_must_not_grow_is_an_error_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    check_filled(path, child(FILLING, path, 600_000))


def test_a_full_disk_is_an_error_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        lines = child(FILLING, disk / "s.db", 0)
        assert "no_room_left" in lines[-1][1]
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        check_filled(disk / "s.db", lines)
    finally:
        subprocess.run(["umount", disk], check=True)


READING = """
import os, sys
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.errors import DatabaseFailed
from tests.faults.conversations import Echo
agent = Agent(Echo(), db=SqliteDb(sys.argv[2]), session_id="s")
agent.run("what is loaded when it is first used is loaded now")
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
db = SqliteDb(sys.argv[1])
try:
    Agent(Echo(), db=db, session_id="s").run("again")
except DatabaseFailed as error:
    assert not error.transient
    print("failed", str(error).replace(" ", "_"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="rights are different on this system")
def test_a_file_that_may_not_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"graphflow-read-only-{os.getpid()}"
    folder.mkdir()
    path = folder / "s.db"
    try:
        db = SqliteDb(path)
        Agent(Echo(), db=db, session_id="s").run("before")
        db.close()
        path.chmod(0o444)
        folder.chmod(0o555)
        lines = child(READING, path, tmp_path / "other.db")
        assert lines[0][0] == "failed" and ("cannot_be_written" in lines[0][1] or "cannot_be_opened" in lines[0][1])
        folder.chmod(0o755)
        path.chmod(0o644)
        assert len(db.get_messages("s")) == 2 and db.check().ok
        db.close()
    finally:
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
