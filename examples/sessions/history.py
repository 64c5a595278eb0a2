"""A session remembers: the second question is answered from the first, in this process and in any later one.

    python examples/sessions/history.py

Without a key the offline model answers. Run it twice: the session goes on where it was.
"""

from typing import Any

from graphflow.agent import Agent
from graphflow.db import SqliteDb


def talk(db: Any, model: Any = "offline") -> None:
    """Two messages of one session."""
    agent = Agent(model, db=db, session_id="user_123_session", add_history_to_context=True)
    agent.print_response("Hi, my name is Alice")
    agent.print_response("What's my name?")


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
