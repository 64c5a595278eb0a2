"""Memories: what a user says in one session is known in all of them.

    python examples/sessions/memories.py

Without a key the offline model answers, and keeps what the user says about themselves.
"""

from typing import Any

from graphflow.agent import Agent
from graphflow.db import SqliteDb


def talk(db: Any, model: Any = "offline") -> None:
    """A preference is told in one session and asked for in another, which has no history of it."""
    agent = Agent(model, db=db, user_id="alice", update_memory_on_run=True)
    agent.print_response("I love pizza, especially margherita", session_id="chat_session")
    agent.print_response("What food do I like?", session_id="new_session")
    for memory in db.search_user_memories("alice", "pizza"):
        print("memory:", memory.memory)


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
