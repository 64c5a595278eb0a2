"""Imports: how long a fresh process takes before it can work, and the memory it holds then."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.process import coldest

BARE = "pass"
PYDANTIC = "import pydantic"
LIBRARY = "import graphflow"
AGENT = "from graphflow import Agent"
SESSION = """
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel
Agent(ScriptedModel(["Hello"]), db=SqliteDb(sys.argv[1] + f"/{time.time_ns()}.db")).run("Hi", session_id="first")
"""
RAW_SESSION = """
import pydantic, sqlite3
connection = sqlite3.connect(sys.argv[1] + f"/{time.time_ns()}.db")
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE message (session TEXT, seq INTEGER, role TEXT, content TEXT, PRIMARY KEY (session, seq))")
connection.execute("INSERT INTO message VALUES ('first', 1, 'user', 'Hi'), ('first', 2, 'assistant', 'Hello')")
connection.commit()
"""


def processes(place: Place) -> Measured:
    """Each in processes of its own: ours beside the least that could do."""
    works = {"bare": BARE, "pydantic": PYDANTIC, "library": LIBRARY, "agent": AGENT}
    sessions = {"session": SESSION, "raw": RAW_SESSION}
    measured = coldest(
        {name: [work] for name, work in works.items()} | {name: [work, str(place.folder)] for name, work in sessions.items()}
    )
    return {
        **beside("library", measured["library"], measured["bare"]),
        **beside("agent", measured["agent"], measured["pydantic"]),
        **beside("session", measured["session"], measured["raw"]),
    }


def beside(name: str, ours: Mapping[str, float], limit: Mapping[str, float]) -> Measured:
    """Both figures of one import."""
    return {f"{name}.{key}": Pair(ours[key], limit[key]) for key in ("ms", "mib")}


CASE = Case(
    "imports",
    (
        Figure("library.ms", "import graphflow (limit: a bare interpreter)", "ms", at_most=20),
        Figure("library.mib", "… memory", "MiB", times=1.5),
        Figure("agent.ms", "from graphflow import Agent (limit: import pydantic)", "ms", at_most=80),
        Figure("agent.mib", "… memory", "MiB", times=2),
        Figure("session.ms", "import and a first run stored on SQLite (limit: pydantic, sqlite3)", "ms", at_most=350),
        Figure("session.mib", "… memory", "MiB", at_most=60),
    ),
    {"processes": processes},
)
