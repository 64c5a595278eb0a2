"""The first turn of a fresh process: ``python -m benchmarks.first_turn graphflow|raw FILE``. Prints [ms, processor ms]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import graphflow.db.statements  # noqa: F401  # what a SqliteDb loads at first use: imports are measured elsewhere
from benchmarks.clock import cost
from benchmarks.conversation import SESSION, USER, text
from benchmarks.raw import Chat
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel

QUESTION, ANSWER = text("first question"), text("first answer")


def of_graphflow(file: Path) -> None:
    """Everything from making the agent to having the answer stored."""
    agent = Agent(ScriptedModel([ANSWER]), db=SqliteDb(file))
    agent.run(QUESTION, session_id=SESSION, user_id=USER)


def of_raw(file: Path) -> None:
    """Everything from opening the file to having the two rows stored."""
    Chat(file).turn(QUESTION, ANSWER)


if __name__ == "__main__":
    turn = {"graphflow": of_graphflow, "raw": of_raw}[sys.argv[1]]
    spent = cost(lambda: turn(Path(sys.argv[2]))).scaled(1e3)
    print(json.dumps([spent.wall, spent.cpu]))
