"""A database in memory lives as long as the object, and nobody need close it."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys

import pytest

from graphflow.db import InMemoryDb
from tests.db.conftest import Writer


def test_one_that_nobody_has_any_longer_is_closed() -> None:
    db = InMemoryDb()
    Writer(db).turn("r1")
    assert db._tx is not None
    connection = db._tx.connection
    del db
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_one_that_is_left_open_is_no_complaint_at_the_end_of_the_process() -> None:
    lines = [
        "from graphflow import Agent",
        "from graphflow.db import InMemoryDb",
        "db = InMemoryDb()",
        "print(Agent('offline', db=db).run('Hello', session_id='s').status, db.count_sessions())",
    ]
    done = subprocess.run([sys.executable, "-X", "dev", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("completed 1\n", "")
