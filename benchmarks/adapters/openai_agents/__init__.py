"""openai-agents. It is asynchronous; everything is driven on one event loop."""

SESSION = """
import asyncio
from agents import Agent, Runner, SQLiteSession
from benchmarks.adapters.openai_agents.model import Scripted
session = SQLiteSession("first", sys.argv[1])
asyncio.run(Runner.run(Agent(name="first", model=Scripted(iter(["Hello"]))), "Hi", session=session))
"""
IMPORTS = {"agent": "from agents import Agent", "session": SESSION}
