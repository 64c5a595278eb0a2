"""agno."""

SESSION = """
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from benchmarks.adapters.agno.model import Scripted
agent = Agent(model=Scripted(iter(["Hello"])), db=SqliteDb(db_file=sys.argv[1]), telemetry=False)
agent.run("Hi", session_id="first")
"""
IMPORTS = {"agent": "from agno.agent import Agent", "session": SESSION}
