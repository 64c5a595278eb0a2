"""The command as its users have it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphflow import Agent
from graphflow.db import SqliteDb

ROOT = Path(__file__).parents[2]

Command = Callable[..., "subprocess.CompletedProcess[str]"]

BOT = '''
from typing import TypedDict

from graphflow import Agent, END, START, StateGraph, tool


class State(TypedDict):
    n: int


@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@tool(user_input=["city"])
def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


agent = Agent("offline", name="clerk", tools=[pay, weather])
keyless = Agent("openai:some-model")
builder = StateGraph(State).add_node("count", lambda state: {"n": 1}).add_edge(START, "count").add_edge("count", END)
graph = builder.compile()
number = 3
'''


@pytest.fixture
def graphflow(tmp_path: Path) -> Command:
    """Runs ``graphflow`` with these arguments in an empty folder; gives what it printed and its exit code."""

    def run(*arguments: str, said: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "nodes")])
        # Where Python would write ASCII, what the command writes without rich is UTF-8.
        encoding = variables.get("PYTHONIOENCODING", "utf-8").replace("ascii", "utf-8")
        kept = {name: value for name, value in os.environ.items() if name not in ("OPENAI_API_KEY", "GRAPHFLOW_MODEL")}
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "graphflow.cli", *arguments],
            env={**kept, "PYTHONPATH": path, "GRAPHFLOW_MODEL": "offline", **variables},
            cwd=tmp_path,
            input=said,
            capture_output=True,
            encoding=encoding,
            timeout=60,
        )

    return run


@pytest.fixture
def bot(tmp_path: Path) -> None:
    """A module ``bot`` of the user's, in the folder where the command runs."""
    (tmp_path / "bot.py").write_text(BOT, "utf-8")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A database with three sessions: two of Ann's, one that nobody owns."""
    file = tmp_path / "graphflow.db"
    db = SqliteDb(file)
    agent = Agent("offline", name="clerk", db=db)
    agent.run("Hi, my name is Ann", session_id="ann-1", user_id="ann")
    agent.run("What is my name?", session_id="ann-1", user_id="ann")
    agent.run("I live in Oslo", session_id="ann-2", user_id="ann")
    Agent("offline", name="other", db=db).run("Hello", session_id="open")
    db.close()
    return file
