"""graphflow."""

SESSION = """
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel
Agent(ScriptedModel(["Hello"]), db=SqliteDb(sys.argv[1])).run("Hi", session_id="first")
"""
IMPORTS = {"library": "import graphflow", "agent": "from graphflow import Agent", "session": SESSION}
