"""History switched off: the model sees the new message only, though everything is stored. One call may ask for it all the same.

    python examples/sessions/history_off.py

Without a key the offline model answers.
"""

from typing import Any

from graphflow.agent import Agent
from graphflow.db import SqliteDb


def talk(db: Any, model: Any = "offline") -> None:
    """The same question without and with the history."""
    agent = Agent(model, db=db, session_id="no_history", add_history_to_context=False)
    agent.print_response("Hi, my name is Alice")
    agent.print_response("What's my name?")
    agent.print_response("What's my name?", add_history_to_context=True)
    print(len(agent.get_chat_history()), "messages are stored")


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
